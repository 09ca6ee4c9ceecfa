/* Host clusters of a new image and their counters. Every cluster handed out has the count 1, except
 * those that several coded clusters share: coded bytes are packed back to back, and each of them
 * counts once in every host cluster it touches ("Compressed Clusters Descriptor"). */
#include "writer.h"

#include <inttypes.h>

/* Queues the block being filled; coded bytes can no longer be added to its clusters. */
static bool block_flush(struct target *t, struct qcow2_writer *w, struct err *e)
{
    w->tail = 0;
    return target_queue(t, 0, w->blocks.items[w->block_index], w->block, w->geo.cluster_size, false,
                        e);
}

/* Counts the clusters [from, to) once; their blocks have positions already. */
static bool count_once(struct target *t, uint64_t from, uint64_t to, struct err *e)
{
    struct qcow2_writer *w = t->state;
    uint64_t mask = (UINT64_C(1) << w->block_bits) - 1;

    for (; from < to; from++) {
        if (from >> w->block_bits != w->block_index) {
            if (!block_flush(t, w, e))
                return false;
            memset(w->block, 0, w->geo.cluster_size);
            w->block_index = from >> w->block_bits;
        }
        qcow2_refcount_set(w->block, w->header.refcount_order, from & mask, 1);
    }
    w->next = to;
    return true;
}

bool qcow2_refs_take(struct target *t, uint64_t want, uint64_t *ret_first, uint64_t *ret_count,
                     struct err *e)
{
    struct qcow2_writer *w = t->state;
    uint64_t count;

    if (w->next >> w->block_bits == w->blocks.count &&
        (!VEC_PUSH(&w->blocks, w->next << w->geo.cluster_bits, e) ||
         !count_once(t, w->next, w->next + 1, e)))
        return false;
    count = MIN(want, ((uint64_t)w->blocks.count << w->block_bits) - w->next);
    *ret_first = w->next;
    *ret_count = count;
    return count_once(t, w->next, w->next + count, e);
}

/* How many blocks must be added before everything up to `end`, themselves included, is counted. */
static uint64_t blocks_missing(const struct qcow2_writer *w, uint64_t end)
{
    uint64_t missing = 0, need;

    for (;; missing = need) {
        need = ((end + missing - 1) >> w->block_bits) + 1 - w->blocks.count;
        if (need == missing)
            return need;
    }
}

bool qcow2_refs_take_all(struct target *t, uint64_t count, uint64_t *ret_first, struct err *e)
{
    struct qcow2_writer *w = t->state;
    uint64_t first = w->next, end = first + count, missing = blocks_missing(w, end);

    for (uint64_t i = 0; i < missing; i++)
        if (!VEC_PUSH(&w->blocks, (end + i) << w->geo.cluster_bits, e))
            return false;
    *ret_first = first;
    return count_once(t, first, end + missing, e);
}

bool qcow2_refs_take_coded(struct target *t, uint32_t len, uint64_t *ret_pos, struct err *e)
{
    struct qcow2_writer *w = t->state;
    uint64_t mask = (UINT64_C(1) << w->block_bits) - 1;
    uint64_t cluster = w->tail >> w->geo.cluster_bits, index = cluster & mask, pos = w->tail;
    uint32_t order = w->header.refcount_order;
    uint64_t shared = w->tail ? qcow2_refcount_get(w->block, order, index) : 0;
    uint64_t room = w->geo.cluster_size - w->tail % w->geo.cluster_size, first = 0, got;
    /* the cluster behind is free, and no refcount block will come in between */
    bool grows = w->next == cluster + 1 && w->next >> w->block_bits < w->blocks.count;

    if (w->tail && shared < qcow2_refcount_max(order) && (len <= room || grows)) {
        qcow2_refcount_set(w->block, order, index, shared + 1);
        if (len > room && !qcow2_refs_take(t, 1, &first, &got, e))
            return false;
    } else {
        if (!qcow2_refs_take(t, 1, &first, &got, e))
            return false;
        pos = first << w->geo.cluster_bits;
    }
    *ret_pos = pos;
    w->tail = (pos + len) % w->geo.cluster_size ? pos + len : 0;
    return true;
}

bool qcow2_refs_seal(struct target *t, struct err *e)
{
    struct qcow2_writer *w = t->state;
    uint64_t entries = w->geo.cluster_size / 8, clusters = 1, need, first;
    AUTO(free) uint8_t *table = NULL;

    for (;; clusters = need) {
        need = div_up(w->blocks.count + blocks_missing(w, w->next + clusters), entries);
        if (need <= clusters)
            break;
    }
    if (!qcow2_refs_take_all(t, clusters, &first, e) || !block_flush(t, w, e))
        return false;
    table = mem_array((size_t)clusters, w->geo.cluster_size, e);
    if (!table)
        return false;
    for (size_t i = 0; i < w->blocks.count; i++)
        put_be64(table + 8 * i, w->blocks.items[i]);
    w->header.reftable_pos = first << w->geo.cluster_bits;
    w->header.reftable_clusters = (uint32_t)clusters;
    return target_queue(t, 0, w->header.reftable_pos, table,
                        (size_t)clusters << w->geo.cluster_bits, false, e);
}
