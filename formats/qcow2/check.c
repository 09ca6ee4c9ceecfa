/* Checking the structure: everything the image names is counted, and the counts are compared with
 * the refcount blocks. A counter that is too low, or a reference that leads nowhere, is damage (a
 * writer would overwrite data in use); one that is too high is a leak.
 *
 * Counting takes 4 bytes a host cluster. To bound that, a window of clusters is counted at a time
 * and the tables are walked once for each window; up to 512 GiB of clusters of the usual size need
 * one walk. What a reference is worth on its own is reported in the first walk. */
#include "qcow2.h"

#include "mem.h"
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    WINDOW = 8 << 20, /* clusters: 32 MiB of counts */
    CHUNK = 4096,     /* bytes of a table that are looked at together */
};
/* Table entries looked at in one walk, whatever the image says: half a minute's work, which a full
 * disk of 16 TiB with fifteen snapshots just stays below. */
#define VISITS_MAX (UINT64_C(1) << 32)

struct check {
    struct image *img;
    struct qcow2 *q;
    struct report report;
    uint64_t clusters; /* of the file, the last may be partial */
    uint64_t from;     /* first cluster of the window */
    uint32_t *seen;
    uint64_t block_index, block_pos; /* the refcount table entry looked up last */
    uint64_t visits, visits_max;     /* table entries looked at in this walk */
};

static bool first_walk(const struct check *c)
{
    return c->from == 0;
}

/* Counts the clusters that the bytes [pos, pos+len) touch. */
static void count(struct check *c, uint64_t pos, uint64_t len, const char *what)
{
    unsigned bits = c->q->geo.cluster_bits;
    uint64_t first, last;

    if (!len)
        return;
    first = pos >> bits;
    last = (pos + len - 1) >> bits;
    if (first_walk(c) && (last < first || last >= c->clusters))
        report_say(&c->report, CHECK_DAMAGE, "the %s at %" PRIu64 " runs past the end of the file",
                   what, pos);
    first = MAX(first, c->from);
    last = MIN(last, MIN(c->from + WINDOW, c->clusters) - 1);
    for (; first <= last; first++)
        c->seen[first - c->from] += c->seen[first - c->from] != UINT32_MAX;
}

/* Up to CHUNK bytes of a table into `buf`; what is missing at the end of the file reads zero. */
static bool table_read(struct check *c, uint64_t pos, uint32_t len, uint32_t item, uint8_t *buf,
                       struct err *e)
{
    const uint8_t *data;
    uint32_t n;

    c->visits += len / item;
    if (c->visits > c->visits_max)
        return err_set(e, ERR_UNSUPPORTED,
                       "the tables have more than %" PRIu64 " entries in all: the check gave up",
                       c->visits_max);
    for (uint32_t done = 0; done < len; done += n) {
        if (!pages_get(&c->q->pages, pos + done, item, true, &data, &n, e))
            return false;
        n = MIN(n, len - done);
        memcpy(buf + done, data, n);
    }
    return true;
}

/* The position of a refcount block; 0 where there is none. A bad one was reported with its table.
 */
static bool block_find(struct check *c, uint64_t index, struct err *e)
{
    const struct qcow2_header *h = &c->q->header;
    uint8_t entry[8];

    if (index == c->block_index)
        return true;
    c->block_index = index;
    c->block_pos = 0;
    if (index >= (uint64_t)h->reftable_clusters << h->cluster_bits >> 3)
        return true;
    if (!table_read(c, h->reftable_pos + 8 * index, 8, 8, entry, e))
        return false;
    c->block_pos = get_be64(entry);
    if (c->block_pos % c->q->geo.cluster_size || c->block_pos >= c->img->io->size)
        c->block_pos = 0;
    return true;
}

/* The counter of a host cluster as stored; 0 where there is no block for it. */
static bool stored_get(struct check *c, uint64_t cluster, uint64_t *ret, struct err *e)
{
    uint32_t order = c->q->header.refcount_order;
    unsigned block_bits = c->q->geo.cluster_bits + 3 - order;
    uint64_t bit = (cluster & ((UINT64_C(1) << block_bits) - 1)) << order;
    uint8_t word[8];

    *ret = 0;
    if (!block_find(c, cluster >> block_bits, e))
        return false;
    if (!c->block_pos)
        return true;
    if (!table_read(c, c->block_pos + bit / 64 * 8, 8, 8, word, e))
        return false;
    *ret = qcow2_refcount_get(word, order, (bit % 64) >> order);
    return true;
}

/* Bit 63 must say whether the counter is 1. */
static bool copied_check(struct check *c, uint64_t entry, uint64_t host, uint64_t entry_pos,
                         struct err *e)
{
    uint64_t stored;

    if (!stored_get(c, host >> c->q->geo.cluster_bits, &stored, e))
        return false;
    if ((stored == 1) != !!(entry & QCOW2_COPIED))
        report_say(&c->report, CHECK_DAMAGE,
                   "the entry at %" PRIu64 " says that cluster %" PRIu64
                   " is %s, its counter is %" PRIu64,
                   entry_pos, host, entry & QCOW2_COPIED ? "not shared" : "shared", stored);
    return true;
}

static bool l2_entry_check(struct check *c, const uint8_t *entry, uint64_t pos, bool active,
                           struct err *e)
{
    struct err damage = ERR_INIT;
    struct qcow2_piece p;

    if (!qcow2_entry_unpack(&c->q->geo, entry, 0, &p, &damage)) {
        if (first_walk(c))
            report_say(&c->report, CHECK_DAMAGE, "L2 table entry at %" PRIu64 ": %s", pos,
                       damage.text);
        return true;
    }
    if (p.kind == QCOW2_CODED) {
        /* what it claims is a bound: the last one of a file may claim more than there is */
        count(c, p.host, MIN(p.stored, MAX(c->img->io->size, p.host + 1) - p.host),
              "compressed cluster");
        return true;
    }
    if (!p.host)
        return true;
    count(c, p.host, c->q->geo.cluster_size, "data cluster");
    return !active || !first_walk(c) || copied_check(c, get_be64(entry), p.host, pos, e);
}

static bool l2_check(struct check *c, uint64_t l2_pos, bool active, struct err *e)
{
    uint32_t item = UINT32_C(1) << c->q->geo.entry_bits;
    uint8_t buf[CHUNK];

    if (l2_pos >= c->img->io->size)
        return true;
    for (uint32_t at = 0; at < c->q->geo.cluster_size; at += CHUNK) {
        uint32_t len = MIN((uint32_t)CHUNK, c->q->geo.cluster_size - at);

        if (!table_read(c, l2_pos + at, len, item, buf, e))
            return false;
        for (uint32_t i = 0; i < len; i += item)
            if (!bytes_zero(buf + i, item) &&
                !l2_entry_check(c, buf + i, l2_pos + at + i, active, e))
                return false;
    }
    return true;
}

/* The current L1 table, or a snapshot's. */
static bool l1_check(struct check *c, uint64_t l1_pos, uint64_t l1_len, bool active, struct err *e)
{
    uint8_t buf[CHUNK];

    count(c, l1_pos, l1_len, "L1 table");
    if (first_walk(c) && !range_inside(l1_pos, l1_len, c->img->io->size))
        report_say(&c->report, CHECK_DAMAGE, "the L1 table at %" PRIu64 " is cut short", l1_pos);
    for (uint64_t at = 0; at < l1_len; at += CHUNK) {
        uint32_t len = (uint32_t)MIN((uint64_t)CHUNK, l1_len - at);

        if (!table_read(c, l1_pos + at, len, 8, buf, e))
            return false;
        for (uint32_t i = 0; i < len; i += 8) {
            struct err damage = ERR_INIT;
            uint64_t entry = get_be64(buf + i), l2_pos;

            if (!qcow2_table_unpack(entry, c->q->geo.cluster_size, &l2_pos, &damage)) {
                if (first_walk(c))
                    report_say(&c->report, CHECK_DAMAGE, "L1 table entry at %" PRIu64 ": %s",
                               l1_pos + at + i, damage.text);
                continue;
            }
            if (!l2_pos)
                continue;
            count(c, l2_pos, c->q->geo.cluster_size, "L2 table");
            if ((active && first_walk(c) && !copied_check(c, entry, l2_pos, l1_pos + at + i, e)) ||
                !l2_check(c, l2_pos, active, e))
                return false;
        }
    }
    return true;
}

static bool reftable_check(struct check *c, struct err *e)
{
    const struct qcow2_header *h = &c->q->header;
    uint64_t len = (uint64_t)h->reftable_clusters << h->cluster_bits;
    uint8_t buf[CHUNK];

    count(c, h->reftable_pos, len, "refcount table");
    for (uint64_t at = 0; at < len; at += CHUNK) {
        uint32_t part = (uint32_t)MIN((uint64_t)CHUNK, len - at);

        if (!table_read(c, h->reftable_pos + at, part, 8, buf, e))
            return false;
        for (uint32_t i = 0; i < part; i += 8) {
            uint64_t pos = get_be64(buf + i);

            if (pos % c->q->geo.cluster_size == 0)
                count(c, pos, pos ? c->q->geo.cluster_size : 0, "refcount block");
            else if (first_walk(c))
                report_say(&c->report, CHECK_DAMAGE,
                           "refcount table entry at %" PRIu64 ": its offset %#" PRIx64
                           " is unaligned",
                           h->reftable_pos + at + i, pos);
        }
    }
    return true;
}

/* "Bitmaps": a table entry names a cluster, or says that its bits are all one or all zero. */
static bool bitmap_check(void *user, const struct qcow2_bitmap *b, const char *name, struct err *e)
{
    struct check *c = user;
    uint64_t len = (uint64_t)b->table_entries * 8;
    uint8_t buf[CHUNK];

    if (b->table_pos % c->q->geo.cluster_size ||
        !range_inside(b->table_pos, len, c->img->io->size)) {
        if (first_walk(c))
            report_say(&c->report, CHECK_DAMAGE,
                       "the table of bitmap '%s' at %" PRIu64 " is not valid", name, b->table_pos);
        return true;
    }
    count(c, b->table_pos, len, "bitmap table");
    for (uint64_t at = 0; at < len; at += CHUNK) {
        uint32_t part = (uint32_t)MIN((uint64_t)CHUNK, len - at);

        if (!table_read(c, b->table_pos + at, part, 8, buf, e))
            return false;
        for (uint32_t i = 0; i < part; i += 8) {
            uint64_t pos = get_be64(buf + i) & QCOW2_OFFSET_MASK;

            count(c, pos, pos ? c->q->geo.cluster_size : 0, "bitmap cluster");
        }
    }
    return true;
}

static bool walk(struct check *c, struct err *e)
{
    const struct qcow2 *q = c->q;

    count(c, 0, q->geo.cluster_size, "header");
    count(c, q->snapshot_table.pos, q->snapshot_table.len, "snapshot table");
    count(c, q->crypt.pos, q->crypt.len, "encryption header");
    if (!reftable_check(c, e) ||
        !l1_check(c, q->header.l1_pos, (uint64_t)q->header.l1_entries * 8, true, e))
        return false;
    for (uint32_t i = 0; i < q->header.snapshots; i++)
        if (!l1_check(c, q->snapshot_l1[i].pos, q->snapshot_l1[i].len, false, e))
            return false;
    if (!q->bitmap_count)
        return true;
    count(c, q->bitmap_dir.pos, q->bitmap_dir.len, "bitmap directory");
    return qcow2_bitmaps_each(c->img, bitmap_check, c, e);
}

static bool compare(struct check *c, struct err *e)
{
    uint64_t end = MIN(c->from + WINDOW, c->clusters), stored;

    for (uint64_t i = c->from; i < end; i++) {
        uint32_t seen = c->seen[i - c->from];

        if (!stored_get(c, i, &stored, e))
            return false;
        if (seen > stored)
            report_say(&c->report, CHECK_DAMAGE,
                       "cluster %" PRIu64 " is used %" PRIu32 " times, its counter is %" PRIu64,
                       i << c->q->geo.cluster_bits, seen, stored);
        else if (seen < stored)
            report_say(&c->report, CHECK_LEAK,
                       "cluster %" PRIu64 " is used %" PRIu32 " times, its counter is %" PRIu64,
                       i << c->q->geo.cluster_bits, seen, stored);
    }
    return true;
}

bool qcow2_check(struct image *img, check_fn *report, void *user, struct err *e)
{
    struct qcow2 *q = img->state;
    struct check c = {
        .img = img, .q = q, .report = {.fn = report, .user = user}, .block_index = UINT64_MAX};
    uint64_t room;
    bool ok = true;

    c.clusters = div_up(img->io->size, q->geo.cluster_size);
    /* no byte of the file is an entry of more than one table that an L1 table leads to, and every
     * cluster's counter is looked up; what is more is tables that name each other */
    c.visits_max = MIN(VISITS_MAX, (q->header.snapshots + UINT64_C(2)) * (img->io->size / 4 + MIB));
    room = MIN(c.clusters, (uint64_t)WINDOW);
    c.seen = mem_array((size_t)room, sizeof(*c.seen), e);
    if (!c.seen)
        return false;
    if (img->facts.corrupt)
        report_say(&c.report, CHECK_DAMAGE, "the image is marked corrupt");
    if (img->facts.dirty)
        report_say(&c.report, CHECK_INFO, "the image was not closed: its counters may be stale");
    for (; ok && c.from < c.clusters; c.from += WINDOW) {
        memset(c.seen, 0, room * sizeof(*c.seen));
        c.visits = 0;
        ok = walk(&c, e) && compare(&c, e);
    }
    free(c.seen);
    if (ok)
        report_end(&c.report);
    return ok;
}
