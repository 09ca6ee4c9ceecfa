/* GPT (UEFI Specification 2.10 section 5.3): a header in sector 1 and its table of entries behind
 * it, both again at the end of the disk, table first. Header and table have a CRC-32; a copy counts
 * when both are right. The table is read in pieces, so that no count in a header decides how much
 * is allocated. */
#include "ptable_scan.h"

#include "bytes.h"
#include "digest.h"
#include "mem.h"
#include "text.h"

#include <inttypes.h>
#include <string.h>

enum {
    HEADER_MIN = 92,
    ENTRY_MIN = 128,
    ENTRY_MAX = 4096,
    TABLE_MAX = 4 << 20, /* bytes of a table that is read: 32768 usual entries, where tables in use
                            have 128 */
    PIECE = 64 << 10,    /* read at once; a multiple of every entry size */
    TABLE_USUAL = 128 * 128, /* what a new table needs when nothing is left of the old */
};

bool gpt_header_unpack(const uint8_t *raw, size_t len, struct gpt_header *ret)
{
    static const uint8_t no_crc[4];
    uint32_t size, crc;

    if (len < HEADER_MIN || memcmp(raw, "EFI PART", 8) != 0)
        return false;
    size = get_le32(raw + 12);
    if (size < HEADER_MIN || size > len)
        return false;
    crc = crc32_sum(0, raw, 16);
    crc = crc32_sum(crc, no_crc, sizeof(no_crc));
    crc = crc32_sum(crc, raw + 20, size - 20);
    if (crc != get_le32(raw + 16))
        return false;
    *ret = (struct gpt_header){
        .lba = get_le64(raw + 24),
        .alternate = get_le64(raw + 32),
        .table = get_le64(raw + 72),
        .count = get_le32(raw + 80),
        .entry_size = get_le32(raw + 84),
        .table_crc = get_le32(raw + 88),
    };
    return true;
}

void gpt_entry_unpack(const uint8_t raw[128], uint32_t sector_size, struct partition *ret,
                      bool *ret_bad)
{
    uint64_t first = get_le64(raw + 32), last = get_le64(raw + 40);

    *ret_bad = last < first || first > INT64_MAX / sector_size;
    *ret =
        ptable_range(first, *ret_bad ? 0 : last - first + (last - first < UINT64_MAX), sector_size);
    memcpy(ret->type_guid, raw, sizeof(ret->type_guid));
    memcpy(ret->guid, raw + 16, sizeof(ret->guid));
}

/* Where the copies of a header are looked for. */
struct copy {
    struct gpt_header header;
    uint32_t sector_size;
    uint64_t table_len;
    bool header_ok, ok; /* ok: the table's checksum is right too */
};

static uint64_t table_pos(const struct copy *c)
{
    return c->header.table * c->sector_size;
}

static bool table_sane(const struct ptable_scan *s, const struct copy *c)
{
    const struct gpt_header *h = &c->header;

    return h->entry_size >= ENTRY_MIN && h->entry_size <= ENTRY_MAX && is_pow2(h->entry_size) &&
           h->count && h->count <= TABLE_MAX / h->entry_size &&
           h->table <= INT64_MAX / c->sector_size &&
           range_inside(table_pos(c), (uint64_t)h->count * h->entry_size, s->img->size);
}

static bool check_table(struct ptable_scan *s, struct copy *c, struct err *e)
{
    AUTO(free) uint8_t *piece = mem_alloc(PIECE, e);
    uint32_t crc = 0;

    if (!piece)
        return false;
    c->table_len = (uint64_t)c->header.count * c->header.entry_size;
    for (uint64_t at = 0, n; at < c->table_len; at += n) {
        n = MIN((uint64_t)PIECE, c->table_len - at);
        if (!image_read(s->img, table_pos(c) + at, piece, n, e))
            return false;
        crc = crc32_sum(crc, piece, n);
    }
    c->ok = crc == c->header.table_crc;
    return true;
}

/* Reads the copy at a sector; what is wrong with it shows in ret->ok. */
static bool load(struct ptable_scan *s, uint32_t sector_size, uint64_t lba, struct copy *ret,
                 struct err *e)
{
    uint8_t raw[PTABLE_SECTOR_MAX];

    *ret = (struct copy){.sector_size = sector_size};
    if (lba < 1 || lba >= s->img->size / sector_size)
        return true;
    if (!image_read(s->img, lba * sector_size, raw, sector_size, e))
        return false;
    ret->header_ok = gpt_header_unpack(raw, sector_size, &ret->header) && ret->header.lba == lba;
    return !ret->header_ok || !table_sane(s, ret) || check_table(s, ret, e);
}

/* With the disk's sector size, then with the other one. */
static bool load_primary(struct ptable_scan *s, struct copy *ret, struct err *e)
{
    struct copy second;

    if (!load(s, s->img->sector_size, 1, ret, e))
        return false;
    if (ret->header_ok)
        return true;
    if (!load(s, s->img->sector_size == 512 ? 4096 : 512, 1, &second, e))
        return false;
    if (second.header_ok)
        *ret = second;
    return true;
}

/* The backup of a disk whose primary is bad: where the primary's header says, at the end of the
 * disk, and at the end of the disk that the protective MBR knew. */
static bool search_backup(struct ptable_scan *s, const struct mbr *m, const struct copy *primary,
                          struct copy *ret, struct err *e)
{
    uint32_t sizes[2] = {s->img->sector_size, s->img->sector_size == 512 ? 4096 : 512};

    *ret = (struct copy){.sector_size = s->img->sector_size};
    if (primary->header_ok && !load(s, primary->sector_size, primary->header.alternate, ret, e))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(sizes) && !ret->ok; i++) {
        if (!load(s, sizes[i], s->img->size / sizes[i] - 1, ret, e))
            return false;
        for (size_t j = 0; j < ARRAY_LEN(m->entries) && !ret->ok; j++)
            if (m->entries[j].type == MBR_PROTECTIVE &&
                !load(s, sizes[i], (uint64_t)m->entries[j].start + m->entries[j].count - 1, ret, e))
                return false;
    }
    return true;
}

static bool check_backup(struct ptable_scan *s, const struct copy *primary, struct copy *ret,
                         struct err *e)
{
    const struct gpt_header *a = &primary->header, *b = &ret->header;
    uint64_t last = s->img->size / primary->sector_size - 1;

    if (!load(s, primary->sector_size, a->alternate, ret, e))
        return false;
    if (!ret->ok)
        ptable_found(s, PTABLE_GPT_BACKUP, "the backup GPT at sector %" PRIu64 " is %s",
                     a->alternate, a->alternate > last ? "past the end of the disk" : "damaged");
    else if (a->table_crc != b->table_crc || a->count != b->count || a->entry_size != b->entry_size)
        ptable_found(s, PTABLE_GPT_BACKUP, "the backup GPT differs from the primary one");
    else if (a->alternate != last)
        ptable_found(s, PTABLE_GPT_BACKUP,
                     "the backup GPT is at sector %" PRIu64 ", not in the last one, %" PRIu64,
                     a->alternate, last);
    return true;
}

static void overlaps_table(struct ptable_scan *s, const struct copy *c, const struct partition *p)
{
    if (c->ok && (range_overlaps(p->start, p->len, table_pos(c), c->table_len) ||
                  range_overlaps(p->start, p->len, c->header.lba * c->sector_size, c->sector_size)))
        ptable_found(s, PTABLE_OVERLAP, "partition %u overlaps the partition table", p->number);
}

static bool list_name(const uint8_t *raw, struct partition *p, struct err *e)
{
    AUTO(free) char *name = utf16_text(raw + 56, 36, false, false, e);

    if (!name)
        return false;
    memcpy(p->name, name, MIN(strlen(name), sizeof(p->name) - 1));
    return true;
}

static bool list_entry(struct ptable_scan *s, const struct copy *used, const struct copy *other,
                       const uint8_t *raw, unsigned number, struct err *e)
{
    struct partition p;
    bool bad;

    if (bytes_zero(raw, 16))
        return true;
    gpt_entry_unpack(raw, used->sector_size, &p, &bad);
    p.number = number;
    if (bad) {
        ptable_found(s, PTABLE_BAD_ENTRY, "partition %u ends before it starts or is past any disk",
                     number);
        return true;
    }
    overlaps_table(s, used, &p);
    overlaps_table(s, other, &p);
    return list_name(raw, &p, e) && ptable_add(s, &p, e);
}

static bool list_table(struct ptable_scan *s, const struct copy *used, const struct copy *other,
                       struct err *e)
{
    AUTO(free) uint8_t *piece = mem_alloc(PIECE, e);
    uint32_t size = used->header.entry_size;
    unsigned number = 0;

    if (!piece)
        return false;
    for (uint64_t at = 0, n; at < used->table_len; at += n) {
        n = MIN((uint64_t)PIECE, used->table_len - at);
        if (!image_read(s->img, table_pos(used) + at, piece, n, e))
            return false;
        for (uint64_t i = 0; i < n; i += size)
            if (!list_entry(s, used, other, piece + i, ++number, e))
                return false;
    }
    return true;
}

/* Nothing is left of the GPT that the MBR announces. */
static bool list_lost(struct ptable_scan *s, const struct mbr *m, struct err *e)
{
    ptable_found(s, PTABLE_GPT_PRIMARY, "the MBR announces a GPT, but neither copy of it is whole");
    ptable_found(s, PTABLE_GPT_BACKUP, "there is no backup GPT to read in its place");
    s->t->backup_len = TABLE_USUAL + s->t->sector_size;
    return mbr_list(s, m, e);
}

static void use(struct ptable_scan *s, const struct copy *c)
{
    struct ptable *t = s->t;

    t->sector_size = c->sector_size;
    t->backup_len = round_up(c->table_len, c->sector_size) + c->sector_size;
    t->end = 2 * c->sector_size;
    if (c->header.lba == 1)
        t->end = MAX(t->end, table_pos(c) + c->table_len);
    if (c->sector_size != s->img->sector_size)
        ptable_found(s, PTABLE_SECTOR_SIZE,
                     "the partition table was written for %u-byte sectors, the disk has %u",
                     c->sector_size, s->img->sector_size);
}

bool gpt_list(struct ptable_scan *s, const struct mbr *m, bool *ret_found, struct err *e)
{
    bool protective = false;
    struct copy primary, backup = {0};

    for (size_t i = 0; m && i < ARRAY_LEN(m->entries); i++) {
        protective = protective || m->entries[i].type == MBR_PROTECTIVE;
        s->t->hybrid =
            s->t->hybrid || (m->entries[i].type != MBR_PROTECTIVE && mbr_used(&m->entries[i]));
    }
    if (!load_primary(s, &primary, e))
        return false;
    if (!primary.ok && !protective)
        return true;
    *ret_found = true;
    s->t->kind = PTABLE_GPT;
    if (!protective)
        ptable_found(s, PTABLE_GPT_MBR, "the protective MBR is missing");
    if (primary.ok) {
        use(s, &primary);
        if (!check_backup(s, &primary, &backup, e))
            return false;
    } else {
        if (!search_backup(s, m, &primary, &backup, e))
            return false;
        if (!backup.ok)
            return list_lost(s, m, e);
        use(s, &backup);
        ptable_found(s, PTABLE_GPT_PRIMARY, "the primary GPT is damaged; the backup was read");
    }
    if (backup.ok)
        s->t->backup_end = (backup.header.lba + 1) * backup.sector_size;
    return primary.ok ? list_table(s, &primary, &backup, e) : list_table(s, &backup, &primary, e);
}
