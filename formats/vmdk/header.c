/* Headers and markers of VMDK files.
 *
 * Hosted sparse header, markers and COWD: "Virtual Disk Format 5.0", VMware technical note,
 * sections "Hosted Sparse Extents", "Stream-Optimized Compressed Sparse Extents" and "ESX Server
 * Sparse Extents". The fields of the hosted header are not aligned; seSparse has no public
 * specification, its layout is as qemu's reader (block/vmdk.c) and real disks have it. */
#include "header.h"

#include "bytes.h"

#include <inttypes.h>

static const uint8_t newline_test[4] = {'\n', ' ', '\r', '\n'};

bool vmdk_header_magic(const void *bytes, size_t len)
{
    return len >= 4 && memcmp(bytes, "KDMV", 4) == 0;
}

bool vmdk_header_unpack(const uint8_t b[VMDK_SECTOR], struct vmdk_header *ret)
{
    if (!vmdk_header_magic(b, VMDK_SECTOR))
        return false;
    *ret = (struct vmdk_header){
        .version = get_le32(b + 4),
        .flags = get_le32(b + 8),
        .capacity = get_le64(b + 12),
        .grain = get_le64(b + 20),
        .desc_at = get_le64(b + 28),
        .desc_len = get_le64(b + 36),
        .gtes = get_le32(b + 44),
        .rgd = get_le64(b + 48),
        .gd = get_le64(b + 56),
        .overhead = get_le64(b + 64),
        .unclean = b[72] != 0,
        .compress = get_le16(b + 77),
    };
    memcpy(ret->newlines, b + 73, sizeof(ret->newlines));
    return true;
}

void vmdk_header_pack(const struct vmdk_header *h, uint8_t b[VMDK_SECTOR])
{
    memset(b, 0, VMDK_SECTOR);
    memcpy(b, "KDMV", 4);
    put_le32(b + 4, h->version);
    put_le32(b + 8, h->flags);
    put_le64(b + 12, h->capacity);
    put_le64(b + 20, h->grain);
    put_le64(b + 28, h->desc_at);
    put_le64(b + 36, h->desc_len);
    put_le32(b + 44, h->gtes);
    put_le64(b + 48, h->rgd);
    put_le64(b + 56, h->gd);
    put_le64(b + 64, h->overhead);
    b[72] = h->unclean;
    memcpy(b + 73, newline_test, sizeof(newline_test));
    put_le16(b + 77, h->compress);
}

static bool check_shape(const struct vmdk_header *h, const char *path, struct err *e)
{
    /* Grains have 4 KiB or more by the specification; smaller ones were made. 1 GiB is the most
     * that qemu takes. */
    if (!is_pow2(h->grain) || h->grain > 0x200000)
        return err_set(e, ERR_FORMAT,
                       "the header of '%s' has a grain size of %" PRIu64
                       " sectors, which is no power of two up to 1 GiB",
                       path, h->grain);
    if (h->gtes != VMDK_GTES)
        return err_set(e, ERR_UNSUPPORTED,
                       "the header of '%s' has grain tables of %" PRIu32 " entries, not %d", path,
                       h->gtes, VMDK_GTES);
    if (h->capacity > VMDK_SIZE_MAX / VMDK_SECTOR)
        return err_set(e, ERR_FORMAT,
                       "the header of '%s' claims a capacity of %" PRIu64
                       " sectors, more than the 64 TiB that the format can hold",
                       path, h->capacity);
    if (!h->desc_at != !h->desc_len)
        return err_set(e, ERR_FORMAT,
                       "the header of '%s' has a descriptor at sector %" PRIu64 " of %" PRIu64
                       " sectors",
                       path, h->desc_at, h->desc_len);
    return true;
}

bool vmdk_header_check(const struct vmdk_header *h, const char *path, struct err *e)
{
    uint32_t unknown = h->flags & (uint32_t)VMDK_FLAGS_INCOMPATIBLE &
                       ~(uint32_t)(VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS);

    if (h->version < 1 || h->version > 3)
        return err_set(e, ERR_UNSUPPORTED,
                       "'%s' is of sparse extent version %" PRIu32 "; 1 to 3 are known", path,
                       h->version);
    if (unknown)
        return err_set(e, ERR_UNSUPPORTED, "'%s' uses unknown features (flags 0x%08" PRIx32 ")",
                       path, h->flags);
    if ((h->flags & VMDK_FLAG_NEWLINES) &&
        memcmp(h->newlines, newline_test, sizeof(newline_test)) != 0)
        return err_set(e, ERR_FORMAT,
                       "the newline test at offset 73 of '%s' fails: the file was damaged by a "
                       "text mode transfer; copy it again in binary mode",
                       path);
    if (h->compress > 1)
        return err_set(e, ERR_UNSUPPORTED, "'%s' is compressed by unknown method %u", path,
                       h->compress);
    if (!h->compress != !(h->flags & VMDK_FLAG_COMPRESSED))
        return err_set(e, ERR_FORMAT,
                       "the header of '%s' contradicts itself: flags 0x%08" PRIx32
                       ", compression method %u",
                       path, h->flags, h->compress);
    return check_shape(h, path, e);
}

void vmdk_marker_unpack(const uint8_t b[VMDK_MARKER_HEAD], struct vmdk_marker *ret)
{
    ret->value = get_le64(b);
    ret->size = get_le32(b + 8);
    ret->type = get_le32(b + 12);
}

void vmdk_marker_pack(const struct vmdk_marker *m, uint8_t b[VMDK_MARKER_HEAD])
{
    put_le64(b, m->value);
    put_le32(b + 8, m->size);
    put_le32(b + 12, m->type);
}

bool vmdk_cowd_magic(const void *bytes, size_t len)
{
    return len >= 4 && memcmp(bytes, "COWD", 4) == 0;
}

bool vmdk_cowd_unpack(const uint8_t b[VMDK_SECTOR], struct vmdk_cowd *ret)
{
    if (!vmdk_cowd_magic(b, VMDK_SECTOR))
        return false;
    *ret = (struct vmdk_cowd){
        .version = get_le32(b + 4),
        .flags = get_le32(b + 8),
        .sectors = get_le32(b + 12),
        .grain = get_le32(b + 16),
        .gd = get_le32(b + 20),
        .gd_count = get_le32(b + 24),
        .free_sector = get_le32(b + 28),
    };
    return true;
}

void vmdk_cowd_pack(const struct vmdk_cowd *h, uint8_t b[VMDK_SECTOR])
{
    memset(b, 0, VMDK_SECTOR);
    memcpy(b, "COWD", 4);
    put_le32(b + 4, h->version);
    put_le32(b + 8, h->flags);
    put_le32(b + 12, h->sectors);
    put_le32(b + 16, h->grain);
    put_le32(b + 20, h->gd);
    put_le32(b + 24, h->gd_count);
    put_le32(b + 28, h->free_sector);
}

#define SESPARSE_MAGIC UINT64_C(0xcafebabe)
#define SESPARSE_VOLATILE_MAGIC UINT64_C(0xcafecafe)

bool vmdk_sesparse_magic(const void *bytes, size_t len)
{
    return len >= 8 && get_le64(bytes) == SESPARSE_MAGIC;
}

bool vmdk_sesparse_unpack(const uint8_t b[VMDK_SECTOR], struct vmdk_sesparse *ret)
{
    if (!vmdk_sesparse_magic(b, VMDK_SECTOR))
        return false;
    *ret = (struct vmdk_sesparse){
        .version = get_le64(b + 8),
        .capacity = get_le64(b + 16),
        .grain = get_le64(b + 24),
        .table = get_le64(b + 32),
        .flags = get_le64(b + 40),
        .reserved = get_le64(b + 48) | get_le64(b + 56) | get_le64(b + 64) | get_le64(b + 72),
        .volatile_at = get_le64(b + 80),
        .gd = get_le64(b + 128),
        .gd_len = get_le64(b + 136),
        .tables = get_le64(b + 144),
        .tables_len = get_le64(b + 152),
        .grains = get_le64(b + 192),
        .grains_len = get_le64(b + 200),
    };
    return true;
}

void vmdk_sesparse_pack(const struct vmdk_sesparse *h, uint8_t b[VMDK_SECTOR])
{
    memset(b, 0, VMDK_SECTOR);
    put_le64(b, SESPARSE_MAGIC);
    put_le64(b + 8, h->version);
    put_le64(b + 16, h->capacity);
    put_le64(b + 24, h->grain);
    put_le64(b + 32, h->table);
    put_le64(b + 40, h->flags);
    put_le64(b + 48, h->reserved);
    put_le64(b + 80, h->volatile_at);
    put_le64(b + 88, 1);
    put_le64(b + 128, h->gd);
    put_le64(b + 136, h->gd_len);
    put_le64(b + 144, h->tables);
    put_le64(b + 152, h->tables_len);
    put_le64(b + 192, h->grains);
    put_le64(b + 200, h->grains_len);
}

bool vmdk_sesparse_volatile(const uint8_t b[VMDK_SECTOR], bool *ret_replay)
{
    if (get_le64(b) != SESPARSE_VOLATILE_MAGIC)
        return false;
    *ret_replay = get_le64(b + 24) != 0;
    return true;
}
