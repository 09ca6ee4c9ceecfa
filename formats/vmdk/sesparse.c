/* seSparse extents (ESXi's space-efficient sparse delta disks). There is no public specification;
 * this reads what qemu (block/vmdk.c) reads and what real disks have.
 *
 * A constant header names every area. Directory entries are 0 or 0x10000000 in the upper half and
 * the number of a table in the lower. A table entry's top digit is its kind: 0 absent, 1 unmapped
 * by the guest, 2 zero, 3 a grain, whose number has its lowest 12 bits above the other 48. While a
 * journal waits to be replayed the tables are not current. */
#include "vmdk.h"

#include "bytes.h"

#include <inttypes.h>

enum { TABLE_SECTORS = 64, TABLE_ENTRIES = TABLE_SECTORS * VMDK_SECTOR / 8, GRAIN_SECTORS = 8 };

#define SESPARSE_VERSION UINT64_C(0x200000001)

static bool sesparse_table(const struct sparse *s, uint64_t entry, uint64_t *ret_pos)
{
    uint64_t index = entry & UINT32_MAX;

    *ret_pos = 0;
    if (!entry)
        return true;
    if (entry >> 32 != 0x10000000 || index >= s->tables_count)
        return false;
    *ret_pos = s->tables_at + index * TABLE_SECTORS * VMDK_SECTOR;
    return true;
}

static bool sesparse_grain(const struct sparse *s, uint64_t entry, struct grain *ret)
{
    uint64_t number =
        (entry & UINT64_C(0x0fff000000000000)) >> 48 | (entry & UINT64_C(0x0000ffffffffffff)) << 12;

    *ret = (struct grain){.kind = GRAIN_ABSENT};
    switch (entry >> 60) {
    case 0:
        return entry == 0;
    case 1:
    case 2:
        ret->kind = GRAIN_ZERO;
        return true;
    case 3:
        ret->kind = GRAIN_DATA;
        if (number > (UINT64_MAX - s->grains_at) / s->grain - 1)
            return false;
        ret->pos = s->grains_at + number * s->grain;
        return true;
    default:
        return false;
    }
}

static const struct sparse_ops sesparse_ops = {
    .entry = 8,
    .entries = TABLE_ENTRIES,
    .table = sesparse_table,
    .grain = sesparse_grain,
};

static bool check_header(const struct vmdk_extent *x, const struct vmdk_sesparse *h, struct err *e)
{
    if (h->version != SESPARSE_VERSION)
        return err_set(e, ERR_UNSUPPORTED,
                       "'%s' is of seSparse version 0x%" PRIx64 "; 2.1 is known", x->path,
                       h->version);
    if (h->grain != GRAIN_SECTORS || h->table != TABLE_SECTORS)
        return err_set(e, ERR_UNSUPPORTED,
                       "'%s' has grains of %" PRIu64 " and tables of %" PRIu64
                       " sectors; 8 and 64 are known",
                       x->path, h->grain, h->table);
    if (h->flags || h->reserved)
        return err_set(e, ERR_UNSUPPORTED, "'%s' uses unknown seSparse features", x->path);
    if (!h->capacity || h->capacity > VMDK_SIZE_MAX / VMDK_SECTOR)
        return err_set(e, ERR_FORMAT, "the header of '%s' claims a capacity of %" PRIu64 " sectors",
                       x->path, h->capacity);
    if (h->volatile_at >= x->io->size / VMDK_SECTOR || h->gd >= x->io->size / VMDK_SECTOR ||
        h->tables >= x->io->size / VMDK_SECTOR || h->grains > INT64_MAX / VMDK_SECTOR)
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short or damaged: its header names areas past the end of the "
                       "file",
                       x->path);
    return true;
}

static bool check_journal(const struct vmdk_extent *x, uint64_t at, struct err *e)
{
    uint8_t b[VMDK_SECTOR];
    bool replay;

    if (!io_read(x->io, at, b, sizeof(b), e))
        return false;
    if (!vmdk_sesparse_volatile(b, &replay))
        return err_set(e, ERR_FORMAT,
                       "the volatile header at offset %" PRIu64 " of '%s' is damaged", at, x->path);
    if (replay)
        return err_set(e, ERR_UNSUPPORTED,
                       "'%s' was not closed cleanly: its journal waits to be replayed; power the "
                       "machine on and off again in ESXi, or consolidate its snapshots there",
                       x->path);
    return true;
}

bool sesparse_open(struct vmdk_extent *x, const uint8_t head[VMDK_SECTOR], struct err *e)
{
    struct sparse *s = &x->sparse;
    struct vmdk_sesparse h;

    if (!vmdk_sesparse_unpack(head, &h))
        return err_set(e, ERR_FORMAT, "'%s' has no seSparse header", x->path);
    if (!check_header(x, &h, e) || !check_journal(x, h.volatile_at * VMDK_SECTOR, e))
        return false;
    s->ops = &sesparse_ops;
    s->capacity = h.capacity * VMDK_SECTOR;
    s->grain = GRAIN_SECTORS * VMDK_SECTOR;
    s->gd = h.gd * VMDK_SECTOR;
    s->tables_at = h.tables * VMDK_SECTOR;
    s->tables_count = h.tables_len / TABLE_SECTORS;
    s->grains_at = h.grains * VMDK_SECTOR;
    s->tables = io_ref(x->io);
    x->label = "seSparse";
    if (h.gd_len < div_up(div_up(s->capacity, s->grain * TABLE_ENTRIES) * 8, VMDK_SECTOR))
        return err_set(e, ERR_FORMAT,
                       "the grain directory of '%s' has %" PRIu64 " sectors, too few for %" PRIu64
                       " sectors of disk",
                       x->path, h.gd_len, h.capacity);
    return sparse_directory(x, e);
}
