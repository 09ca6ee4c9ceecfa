/* Partition tables: the front door. Sector 0 tells which kind the disk has; the kinds list their
 * partitions through ptable_add, which checks each against the disk, and overlaps are looked for at
 * the end. What is wrong with a table is a finding, never an error. */
#include "ptable.h"

#include "ptable_scan.h"

#include "bytes.h"
#include "mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *ptable_issue_text(const struct ptable *p, enum ptable_issue issue)
{
    return p->issue_texts[__builtin_ctz(issue)];
}

void ptable_found(struct ptable_scan *s, enum ptable_issue issue, const char *fmt, ...)
{
    va_list args;

    if (s->t->issues & issue)
        return;
    s->t->issues |= issue;
    va_start(args, fmt);
    vsnprintf(s->t->issue_texts[__builtin_ctz(issue)], PTABLE_TEXT_MAX, fmt, args);
    va_end(args);
}

static void join_texts(struct ptable *t)
{
    const size_t room = sizeof(t->issue_text);
    size_t len = 0;

    for (size_t i = 0; i < PTABLE_ISSUES && len < room; i++)
        if (t->issues & 1u << i)
            len += (size_t)snprintf(t->issue_text + len, room - len, "%s%s", len ? "; " : "",
                                    t->issue_texts[i]);
}

struct partition ptable_range(uint64_t start, uint64_t count, uint32_t sector_size)
{
    uint64_t sectors_max = INT64_MAX / sector_size;
    struct partition p = {0};

    start = MIN(start, sectors_max);
    p.start = start * sector_size;
    p.len = count > sectors_max - start ? INT64_MAX - p.start : count * sector_size;
    return p;
}

static bool is_extended(const struct partition *p)
{
    return p->type == 0x05 || p->type == 0x0f || p->type == 0x85;
}

bool ptable_add(struct ptable_scan *s, const struct partition *p, struct err *e)
{
    struct ptable *t = s->t;
    uint64_t end = p->start + p->len;

    if (end > s->img->size)
        ptable_found(s, PTABLE_PAST_END,
                     "partition %u ends at byte %" PRIu64 ", the disk at %" PRIu64, p->number, end,
                     s->img->size);
    if (p->start % 4096 && !is_extended(p))
        ptable_found(s, PTABLE_UNALIGNED,
                     "partition %u starts at byte %" PRIu64 ", not at a multiple of 4096",
                     p->number, p->start);
    t->end = MAX(t->end, end);
    if (t->count >= PTABLE_PARTITIONS_MAX) {
        ptable_found(s, PTABLE_TOO_MANY, "only the first %d partitions are listed",
                     PTABLE_PARTITIONS_MAX);
        return true;
    }
    if (!t->items) {
        t->items = mem_array(PTABLE_PARTITIONS_MAX, sizeof(*t->items), e);
        if (!t->items)
            return false;
    }
    t->items[t->count++] = *p;
    return true;
}

/* Logical partitions lie inside the extended one; that is no overlap. */
static bool nested(const struct ptable *t, const struct partition *a, const struct partition *b)
{
    return t->kind == PTABLE_MBR &&
           ((is_extended(a) && b->number > 4) || (is_extended(b) && a->number > 4));
}

static void find_overlaps(struct ptable_scan *s)
{
    const struct ptable *t = s->t;

    for (size_t i = 0; i < t->count; i++)
        for (size_t j = i + 1; j < t->count; j++) {
            const struct partition *a = &t->items[i], *b = &t->items[j];

            if (range_overlaps(a->start, a->len, b->start, b->len) && !nested(t, a, b))
                ptable_found(s, PTABLE_OVERLAP, "partitions %u and %u overlap", a->number,
                             b->number);
        }
}

/* A GPT counts when the MBR announces one. Without an MBR, or with an empty one, it counts too: the
 * MBR was lost, and nothing is gained by cutting what the GPT describes. An MBR with partitions of
 * its own is the table: a GPT beside it is left over from an earlier use of the disk. */
static bool may_be_gpt(const struct mbr *m)
{
    bool empty = true;

    if (!m)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(m->entries); i++) {
        if (m->entries[i].type == MBR_PROTECTIVE)
            return true;
        empty = empty && !mbr_used(&m->entries[i]);
    }
    return empty && !m->filesystem;
}

/* The boot sector of a file system carries the signature of an MBR. It is one only when it has a
 * partition that can be on this disk. */
static bool is_table(const struct ptable_scan *s, const struct mbr *m)
{
    if (!m->filesystem)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(m->entries); i++)
        if (mbr_used(&m->entries[i]) && m->entries[i].start &&
            m->entries[i].start < s->img->size / s->img->sector_size)
            return true;
    return false;
}

static bool read_tables(struct ptable_scan *s, struct err *e)
{
    uint8_t raw[MBR_SIZE];
    struct mbr m;
    bool has_mbr, found = false;

    if (s->img->size < sizeof(raw))
        return true;
    if (!image_read(s->img, 0, raw, sizeof(raw), e))
        return false;
    has_mbr = mbr_unpack(raw, &m) && mbr_plausible(&m) && is_table(s, &m);
    if (may_be_gpt(has_mbr ? &m : NULL) && !gpt_list(s, has_mbr ? &m : NULL, &found, e))
        return false;
    if (!found && has_mbr) {
        s->t->kind = PTABLE_MBR;
        if (!mbr_list(s, &m, e))
            return false;
    }
    find_overlaps(s);
    return true;
}

bool ptable_read(struct image *img, struct ptable *ret, struct err *e)
{
    struct ptable t = {.sector_size = img->sector_size};
    struct ptable_scan s = {.img = img, .t = &t, .next_logical = 5};

    if (!read_tables(&s, e)) {
        ptable_release(&t);
        return err_while(e, "reading the partition table of '%s'", img->path);
    }
    join_texts(&t);
    *ret = t;
    return true;
}

void ptable_release(struct ptable *p)
{
    if (!p)
        return;
    free(p->items);
    *p = (struct ptable){0};
}

uint64_t ptable_end(const struct ptable *p, bool with_backup)
{
    if (p->kind == PTABLE_NONE)
        return 0;
    return p->end + (with_backup ? p->backup_len : 0);
}
