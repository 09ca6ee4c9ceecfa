/* VHD structures: bytes to structs and back, geometry, names. Pure functions; see vhd.h. */
#include "vhd.h"

#include "bytes.h"
#include "text.h"

#include <ctype.h>

static const char footer_cookie[8] = {'c', 'o', 'n', 'e', 'c', 't', 'i', 'x'};
static const char header_cookie[8] = {'c', 'x', 's', 'p', 'a', 'r', 's', 'e'};

enum { FOOTER_SUM = 64, HEADER_SUM = 36, HEADER_NAME = 64, HEADER_LOCATORS = 576 };

/* spec: "one's complement of the sum of all the bytes without the checksum field" */
static uint32_t checksum(const uint8_t *raw, size_t len, size_t field)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++)
        if (i < field || i >= field + 4)
            sum += raw[i];
    return ~sum;
}

bool vhd_footer_unpack(const uint8_t raw[VHD_FOOTER_SIZE], struct vhd_footer *ret)
{
    struct vhd_footer f = {
        .features = get_be32(raw + 8),
        .version = get_be32(raw + 12),
        .data_offset = get_be64(raw + 16),
        .timestamp = get_be32(raw + 24),
        .creator_version = get_be32(raw + 32),
        .original_size = get_be64(raw + 40),
        .current_size = get_be64(raw + 48),
        .cylinders = get_be16(raw + 56),
        .heads = raw[58],
        .sectors = raw[59],
        .type = get_be32(raw + 60),
        .saved_state = raw[84] != 0,
    };

    if (memcmp(raw, footer_cookie, sizeof(footer_cookie)) != 0)
        return false;
    memcpy(f.creator, raw + 28, sizeof(f.creator));
    memcpy(f.creator_os, raw + 36, sizeof(f.creator_os));
    memcpy(f.uuid, raw + 68, sizeof(f.uuid));
    f.sum_ok = checksum(raw, VHD_FOOTER_SIZE, FOOTER_SUM) == get_be32(raw + FOOTER_SUM);
    *ret = f;
    return true;
}

void vhd_footer_pack(const struct vhd_footer *f, uint8_t raw[VHD_FOOTER_SIZE])
{
    memset(raw, 0, VHD_FOOTER_SIZE);
    memcpy(raw, footer_cookie, sizeof(footer_cookie));
    put_be32(raw + 8, f->features);
    put_be32(raw + 12, f->version);
    put_be64(raw + 16, f->data_offset);
    put_be32(raw + 24, f->timestamp);
    memcpy(raw + 28, f->creator, sizeof(f->creator));
    put_be32(raw + 32, f->creator_version);
    memcpy(raw + 36, f->creator_os, sizeof(f->creator_os));
    put_be64(raw + 40, f->original_size);
    put_be64(raw + 48, f->current_size);
    put_be16(raw + 56, f->cylinders);
    raw[58] = f->heads;
    raw[59] = f->sectors;
    put_be32(raw + 60, f->type);
    memcpy(raw + 68, f->uuid, sizeof(f->uuid));
    raw[84] = f->saved_state;
    put_be32(raw + FOOTER_SUM, checksum(raw, VHD_FOOTER_SIZE, FOOTER_SUM));
}

bool vhd_header_unpack(const uint8_t raw[VHD_HEADER_SIZE], struct vhd_header *ret)
{
    struct vhd_header h = {
        .table_offset = get_be64(raw + 16),
        .version = get_be32(raw + 24),
        .table_entries = get_be32(raw + 28),
        .block_size = get_be32(raw + 32),
    };

    if (memcmp(raw, header_cookie, sizeof(header_cookie)) != 0)
        return false;
    memcpy(h.parent_uuid, raw + 40, sizeof(h.parent_uuid));
    memcpy(h.parent_name, raw + HEADER_NAME, sizeof(h.parent_name));
    for (size_t i = 0; i < VHD_LOCATORS; i++) {
        const uint8_t *entry = raw + HEADER_LOCATORS + 24 * i;
        struct vhd_locator *l = &h.locators[i];

        memcpy(l->code, entry, sizeof(l->code));
        l->length = get_be32(entry + 8);
        l->offset = get_be64(entry + 16);
    }
    h.sum_ok = checksum(raw, VHD_HEADER_SIZE, HEADER_SUM) == get_be32(raw + HEADER_SUM);
    *ret = h;
    return true;
}

void vhd_header_pack(const struct vhd_header *h, uint8_t raw[VHD_HEADER_SIZE])
{
    memset(raw, 0, VHD_HEADER_SIZE);
    memcpy(raw, header_cookie, sizeof(header_cookie));
    put_be64(raw + 8, VHD_NO_OFFSET);
    put_be64(raw + 16, h->table_offset);
    put_be32(raw + 24, h->version);
    put_be32(raw + 28, h->table_entries);
    put_be32(raw + 32, h->block_size);
    memcpy(raw + 40, h->parent_uuid, sizeof(h->parent_uuid));
    memcpy(raw + HEADER_NAME, h->parent_name, sizeof(h->parent_name));
    for (size_t i = 0; i < VHD_LOCATORS; i++) {
        const struct vhd_locator *l = &h->locators[i];
        uint8_t *entry = raw + HEADER_LOCATORS + 24 * i;

        memcpy(entry, l->code, sizeof(l->code));
        put_be32(entry + 4, (uint32_t)div_up(l->length, VHD_SECTOR));
        put_be32(entry + 8, l->length);
        put_be64(entry + 16, l->offset);
    }
    put_be32(raw + HEADER_SUM, checksum(raw, VHD_HEADER_SIZE, HEADER_SUM));
}

void vhd_geometry(uint64_t size, struct vhd_footer *f)
{
    uint64_t total = MIN(size / VHD_SECTOR, UINT64_C(65535) * 16 * 255);
    uint64_t sectors, heads, rest; /* rest: cylinders times heads */

    if (total >= UINT64_C(65535) * 16 * 63) {
        sectors = 255;
        heads = 16;
        rest = total / sectors;
    } else {
        sectors = 17;
        rest = total / sectors;
        heads = MAX((rest + 1023) / 1024, UINT64_C(4));
        if (rest >= heads * 1024 || heads > 16) {
            sectors = 31;
            heads = 16;
            rest = total / sectors;
        }
        if (rest >= heads * 1024) {
            sectors = 63;
            heads = 16;
            rest = total / sectors;
        }
    }
    f->cylinders = (uint16_t)(rest / heads);
    f->heads = (uint8_t)heads;
    f->sectors = (uint8_t)sectors;
}

/* Virtual PC and qemu (without force_size) present the disk as cylinders * heads * sectors and may
 * record another current size beside it; everybody else means the current size. The largest
 * geometry stands for "too large for a geometry". As qemu 9 and later do (block/vpc.c); qemu 7.2
 * takes the geometry for every creator but win, qem2, d2v, CTXS and tap. */
uint64_t vhd_size(const struct vhd_footer *f)
{
    uint64_t chs = (uint64_t)f->cylinders * f->heads * f->sectors;
    bool by_chs = memcmp(f->creator, "vpc ", 4) == 0 || memcmp(f->creator, "qemu", 4) == 0;

    if (by_chs && chs && chs != UINT64_C(65535) * 16 * 255)
        return chs * VHD_SECTOR;
    return f->current_size;
}

uint32_t vhd_bitmap_size(uint32_t block_size)
{
    return (uint32_t)round_up(div_up(block_size / VHD_SECTOR, 8), VHD_SECTOR);
}

void vhd_uuid_text(const uint8_t uuid[16], char text[VHD_UUID_TEXT])
{
    static const uint8_t groups[] = {4, 2, 2, 2, 6}; /* bytes between the dashes */

    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        hex_encode(uuid, groups[i], text);
        uuid += groups[i];
        text += 2 * groups[i];
        *text++ = i + 1 < ARRAY_LEN(groups) ? '-' : 0;
    }
}

const char *vhd_host_name(char *name)
{
    bool drive = isalpha((unsigned char)name[0]) && name[1] == ':';
    char *start = drive ? name + 2 : name, *last;

    for (char *c = start; *c; c++)
        if (*c == '\\')
            *c = '/';
    if (!drive && name[0] != '/')
        return name;
    last = strrchr(start, '/');
    return last ? last + 1 : start;
}
