/* MBR and the chain of logical partitions.
 *
 *     0    boot code
 *     446  four entries of 16 bytes: status, CHS, type (4), CHS, start (8), sectors (12)
 *     510  55 AA
 *
 * An extended partition begins with a sector of the same form (EBR): one entry for a logical
 * partition, counted from this EBR, and one for the next EBR, counted from the extended partition.
 * The chain is followed as Linux does, but no EBR is visited twice and all lie in the extended
 * partition. */
#include "ptable_scan.h"

#include "bytes.h"

#include <inttypes.h>
#include <string.h>

static bool looks_like_filesystem(const uint8_t *raw)
{
    unsigned sector = get_le16(raw + 11), media = raw[21];
    bool jump = (raw[0] == 0xeb && raw[2] == 0x90) || raw[0] == 0xe9;

    if (!jump)
        return false;
    return memcmp(raw + 3, "NTFS    ", 8) == 0 || memcmp(raw + 3, "EXFAT   ", 8) == 0 ||
           (is_pow2(sector) && sector >= 512 && sector <= 4096 && is_pow2(raw[13]) &&
            (media == 0xf0 || media >= 0xf8));
}

bool mbr_unpack(const uint8_t raw[MBR_SIZE], struct mbr *ret)
{
    if (raw[510] != 0x55 || raw[511] != 0xaa)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(ret->entries); i++) {
        const uint8_t *entry = raw + 446 + 16 * i;

        ret->entries[i] = (struct mbr_entry){.status = entry[0],
                                             .type = entry[4],
                                             .start = get_le32(entry + 8),
                                             .count = get_le32(entry + 12)};
    }
    ret->filesystem = looks_like_filesystem(raw);
    return true;
}

bool mbr_plausible(const struct mbr *m)
{
    for (size_t i = 0; i < ARRAY_LEN(m->entries); i++)
        if (m->entries[i].status & 0x7f)
            return false;
    return true;
}

bool mbr_used(const struct mbr_entry *entry)
{
    return entry->type && entry->count;
}

static bool is_extended(const struct mbr_entry *entry)
{
    return entry->type == 0x05 || entry->type == 0x0f || entry->type == 0x85;
}

static bool list_entry(struct ptable_scan *s, const struct mbr_entry *entry, uint64_t base,
                       unsigned number, struct err *e)
{
    struct partition p = ptable_range(base + entry->start, entry->count, s->t->sector_size);

    p.number = number;
    p.type = entry->type;
    p.active = entry->status == 0x80;
    return ptable_add(s, &p, e);
}

/* The EBR at a sector; false without an error in `e` when it is damaged. */
static bool read_ebr(struct ptable_scan *s, uint64_t sector, struct mbr *ret, struct err *e)
{
    uint8_t raw[MBR_SIZE];
    uint64_t pos = sector * s->t->sector_size;

    if (!range_inside(pos, sizeof(raw), s->img->size)) {
        ptable_found(s, PTABLE_EBR_BROKEN,
                     "the chain of logical partitions leads past the end of the disk, to sector "
                     "%" PRIu64,
                     sector);
        return false;
    }
    if (!image_read(s->img, pos, raw, sizeof(raw), e))
        return false;
    if (!mbr_unpack(raw, ret)) {
        ptable_found(s, PTABLE_EBR_BROKEN,
                     "the chain of logical partitions is damaged at sector %" PRIu64, sector);
        return false;
    }
    return true;
}

/* Lists what one EBR names; *ret_next is the next EBR's sector, 0 at the end of the chain. */
static bool list_ebr(struct ptable_scan *s, const struct mbr *ebr, uint64_t sector,
                     const struct mbr_entry *extended, uint64_t *ret_next, struct err *e)
{
    *ret_next = 0;
    for (size_t i = 0; i < ARRAY_LEN(ebr->entries); i++) {
        const struct mbr_entry *entry = &ebr->entries[i];
        bool inside =
            range_inside(sector - extended->start + entry->start, entry->count, extended->count);

        if (!mbr_used(entry))
            continue;
        if (is_extended(entry)) {
            if (!*ret_next)
                *ret_next = (uint64_t)extended->start + entry->start;
            continue;
        }
        if (!inside && i >= 2)
            continue; /* old tools left rubbish in the last two */
        if (!inside)
            ptable_found(s, PTABLE_EBR_BROKEN,
                         "logical partition %u does not lie inside the extended one",
                         s->next_logical);
        if (!list_entry(s, entry, sector, s->next_logical++, e))
            return false;
    }
    return true;
}

static bool walk_ebrs(struct ptable_scan *s, const struct mbr_entry *extended, struct err *e)
{
    uint64_t visited[PTABLE_PARTITIONS_MAX], sector = extended->start;
    struct err cause = ERR_INIT;
    struct mbr ebr;

    for (size_t n = 0; sector; n++) {
        if (n == ARRAY_LEN(visited)) {
            ptable_found(s, PTABLE_EBR_BROKEN,
                         "the chain of logical partitions has more than %d links",
                         PTABLE_PARTITIONS_MAX);
            return true;
        }
        for (size_t i = 0; i < n; i++)
            if (visited[i] == sector) {
                ptable_found(s, PTABLE_EBR_BROKEN,
                             "the chain of logical partitions runs in a circle at sector %" PRIu64,
                             sector);
                return true;
            }
        visited[n] = sector;
        if (sector - extended->start >= extended->count) {
            ptable_found(s, PTABLE_EBR_BROKEN,
                         "the chain of logical partitions leaves the extended one, to sector "
                         "%" PRIu64,
                         sector);
            return true;
        }
        if (!read_ebr(s, sector, &ebr, &cause))
            return cause.kind == ERR_NONE || err_set(e, cause.kind, "%s", cause.text);
        if (!list_ebr(s, &ebr, sector, extended, &sector, e))
            return false;
    }
    return true;
}

/* A table of a disk with 512-byte sectors on one with 4096: nothing says so, but with the disk's
 * own sectors its partitions are past the end, and with 512 they are not. */
static void guess_sector_size(struct ptable_scan *s, const struct mbr *m)
{
    bool past = false, past_512 = false;

    for (size_t i = 0; i < ARRAY_LEN(m->entries); i++) {
        uint64_t end = (uint64_t)m->entries[i].start + m->entries[i].count;

        if (!mbr_used(&m->entries[i]))
            continue;
        past = past || end > s->img->size / s->t->sector_size;
        past_512 = past_512 || end > s->img->size / 512;
    }
    if (s->t->sector_size == 512 || !past || past_512)
        return;
    ptable_found(s, PTABLE_SECTOR_SIZE,
                 "the partition table was written for 512-byte sectors, the disk has %u",
                 s->t->sector_size);
    s->t->sector_size = 512;
}

bool mbr_list(struct ptable_scan *s, const struct mbr *m, struct err *e)
{
    guess_sector_size(s, m);
    s->t->end = MAX(s->t->end, (uint64_t)s->t->sector_size);
    for (size_t i = 0; i < ARRAY_LEN(m->entries); i++) {
        const struct mbr_entry *entry = &m->entries[i];

        if (mbr_used(entry) && entry->type != MBR_PROTECTIVE &&
            !list_entry(s, entry, 0, (unsigned)i + 1, e))
            return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(m->entries); i++)
        if (mbr_used(&m->entries[i]) && is_extended(&m->entries[i]) &&
            !walk_ebrs(s, &m->entries[i], e))
            return false;
    return true;
}
