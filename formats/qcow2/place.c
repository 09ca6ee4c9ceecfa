/* Where guest bytes go. Plain clusters are handed out in guest order, so that a long place is one
 * contiguous answer as far as its L2 table and refcount block reach. With extended L2 entries a
 * cluster begun by one place is filled by the next ones. */
#include "writer.h"

#include <inttypes.h>

bool qcow2_l2_flush(struct target *t, struct err *e)
{
    struct qcow2_writer *w = t->state;

    return !w->l2_pos || target_queue(t, 0, w->l2_pos, w->l2, w->geo.cluster_size, false, e);
}

/* Makes the L2 table that covers `at` the current one, with a place of its own. */
static bool l2_select(struct target *t, uint64_t at, struct err *e)
{
    struct qcow2_writer *w = t->state;
    uint64_t index = at >> (w->geo.cluster_bits + w->geo.l2_bits), cluster, got;

    if (w->l2_index == index)
        return true;
    if (!qcow2_l2_flush(t, e))
        return false;
    memset(w->l2, 0, w->geo.cluster_size);
    w->l2_index = index;
    w->l2_pos = 0;
    if (!qcow2_refs_take(t, 1, &cluster, &got, e))
        return false;
    w->l2_pos = cluster << w->geo.cluster_bits;
    put_be64(w->l1 + 8 * index, w->l2_pos | QCOW2_COPIED);
    return true;
}

static uint8_t *l2_entry(const struct qcow2_writer *w, uint64_t at)
{
    uint64_t index = at >> w->geo.cluster_bits & ((UINT64_C(1) << w->geo.l2_bits) - 1);

    return w->l2 + (index << w->geo.entry_bits);
}

/* Bytes from `at` to the end of what its L2 table covers. */
static uint64_t l2_left(const struct qcow2_writer *w, uint64_t at)
{
    uint64_t span = UINT64_C(1) << (w->geo.cluster_bits + w->geo.l2_bits);

    return span - (at & (span - 1));
}

/* The bits of the subclusters that the bytes [from, to) of a cluster lie in. */
static uint64_t sub_bits(const struct qcow2_writer *w, uint64_t from, uint64_t to)
{
    uint64_t behind = div_up(to, UINT64_C(1) << w->geo.sub_bits);

    return (UINT64_C(1) << behind) - (UINT64_C(1) << (from >> w->geo.sub_bits));
}

/* Walks the clusters of guest [at, at+len), which one L2 table covers, and gives each its host
 * cluster (0: none, it reads zero). */
static void entries_put(struct qcow2_writer *w, uint64_t at, uint64_t len, uint64_t host)
{
    uint64_t size = w->geo.cluster_size, end = at + len;

    while (at < end) {
        uint64_t skip = at & (size - 1), to = MIN(size, skip + (end - at));
        uint8_t *entry = l2_entry(w, at);

        if (host)
            put_be64(entry, host | QCOW2_COPIED);
        else if (w->geo.entry_bits == 3)
            put_be64(entry, QCOW2_ZERO_FLAG);
        if (w->geo.entry_bits == 4)
            put_be64(entry + 8, get_be64(entry + 8) | sub_bits(w, skip, to) << (host ? 0 : 32));
        host += host ? size : 0;
        at += to - skip;
    }
}

static bool place_plain(struct target *t, const struct place *p, struct placed *ret, struct err *e)
{
    struct qcow2_writer *w = t->state;
    uint64_t size = w->geo.cluster_size, skip = p->at & (size - 1);
    uint64_t len = MIN(p->len, l2_left(w, p->at)), cluster, got = 1, host;

    if (!l2_select(t, p->at, e))
        return false;
    host = get_be64(l2_entry(w, p->at)) & QCOW2_OFFSET_MASK;
    if (!host) {
        if (!qcow2_refs_take(t, div_up(skip + len, size), &cluster, &got, e))
            return false;
        host = cluster << w->geo.cluster_bits;
    }
    ret->len = MIN(len, got * size - skip);
    ret->stored = true;
    ret->pos = host + skip;
    entries_put(w, p->at, ret->len, host);
    return true;
}

static bool place_coded(struct target *t, const struct place *p, struct placed *ret, struct err *e)
{
    struct qcow2_writer *w = t->state;
    uint64_t entry;

    if (!p->stored || p->stored >= w->geo.cluster_size)
        return err_set(e, ERR_BUG, "a coded cluster of %" PRIu32 " bytes is not smaller than plain",
                       p->stored);
    if (!l2_select(t, p->at, e) || !qcow2_refs_take_coded(t, p->stored, &ret->pos, e))
        return false;
    if (!qcow2_coded_pack(&w->geo, ret->pos, p->stored, &entry))
        return err_set(e, ERR_BUG, "no entry can name %" PRIu32 " coded bytes at %" PRIu64,
                       p->stored, ret->pos);
    put_be64(l2_entry(w, p->at), entry);
    ret->len = MIN(p->len, (uint64_t)w->geo.cluster_size);
    ret->stored = true;
    return true;
}

bool qcow2_place(struct target *t, const struct place *p, struct placed *ret, struct err *e)
{
    struct qcow2_writer *w = t->state;

    if (p->kind == PLACE_CODED)
        return place_coded(t, p, ret, e);
    if (p->kind == PLACE_PLAIN || w->preallocate)
        return place_plain(t, p, ret, e);
    if (p->kind == PLACE_ABSENT || !t->parent)
        return true; /* no entry: reads zero, or what the parent holds */
    if (w->geo.version == 2)
        return place_plain(t, p, ret, e); /* version 2 has no zero flag: zeroes are stored */
    if (!l2_select(t, p->at, e))
        return false;
    ret->len = MIN(p->len, l2_left(w, p->at));
    entries_put(w, p->at, ret->len, 0);
    return true;
}
