/* Guest range to host range. One look-up walks as far as one page of an L1 or L2 table reaches;
 * map joins what such steps answer while it stays of one kind and, for data, in one piece. */
#include "qcow2.h"

#include "codec.h"

#include <inttypes.h>

enum { STEPS_MAX = 64 }; /* table pages one call may visit: 32 GiB of guest at the usual sizes */

/* What [at, at+len) of the guest is. */
struct step {
    enum qcow2_kind kind;
    uint64_t len;
    uint64_t pos; /* DATA, CODED: of the first byte */
    uint32_t stored, skip;
};

static bool entry_read(struct qcow2 *q, const uint8_t *entry, uint64_t entry_pos, uint64_t at,
                       struct qcow2_piece *ret, struct err *e)
{
    uint32_t skip = at & (q->geo.cluster_size - 1);

    if (!qcow2_entry_unpack(&q->geo, entry, skip, ret, e))
        return err_while(e, "reading the L2 table entry at %" PRIu64, entry_pos);
    if ((ret->kind == QCOW2_DATA || ret->kind == QCOW2_CODED) && ret->host >= q->pages.io->size)
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short: it ends at %" PRIu64 " bytes, before the cluster at "
                       "%" PRIu64 " that the L2 table entry at %" PRIu64 " names",
                       q->pages.io->name, q->pages.io->size, ret->host, entry_pos);
    /* a cluster begun inside the file reads zero past its end */
    if (ret->kind == QCOW2_DATA && ret->host + skip >= q->pages.io->size)
        ret->kind = QCOW2_ZERO;
    return true;
}

/* The L2 table at l2_pos; at is inside what it covers. */
static bool step_l2(struct qcow2 *q, uint64_t l2_pos, uint64_t at, uint64_t want, struct step *ret,
                    struct err *e)
{
    uint64_t mask = (UINT64_C(1) << q->geo.l2_bits) - 1;
    uint64_t index = at >> q->geo.cluster_bits & mask;
    uint32_t size = UINT32_C(1) << q->geo.entry_bits, bytes;
    uint64_t pos = l2_pos + index * size;
    const uint8_t *entries;
    struct qcow2_piece p;

    if (l2_pos >= q->pages.io->size)
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short: it ends at %" PRIu64 " bytes, before the L2 table at "
                       "%" PRIu64,
                       q->pages.io->name, q->pages.io->size, l2_pos);
    /* like data, a table begun inside the file reads zero past its end: what a cut took away with
     * the table's tail, its first entries name too */
    if (!pages_get(&q->pages, pos, size, true, &entries, &bytes, e) ||
        !entry_read(q, entries, pos, at, &p, e))
        return false;
    bytes = (uint32_t)MIN((uint64_t)bytes, (mask + 1 - index) * size);
    ret->kind = p.kind;
    ret->skip = at & (q->geo.cluster_size - 1);
    ret->pos = p.host + (p.kind == QCOW2_DATA ? ret->skip : 0);
    ret->stored = p.stored;
    ret->len = p.len;
    if (p.kind == QCOW2_CODED)
        return true;
    for (uint32_t i = 0; ret->len < want;) {
        if (!((at + ret->len) & (q->geo.cluster_size - 1)) && (i += size) >= bytes)
            break;
        /* damage further on is reported when it is reached */
        if (!entry_read(q, entries + i, pos + i, at + ret->len, &p, NULL) || p.kind != ret->kind ||
            (p.kind == QCOW2_DATA &&
             p.host + ((at + ret->len) & (q->geo.cluster_size - 1)) != ret->pos + ret->len))
            break;
        ret->len += p.len;
    }
    return true;
}

static bool step_l1(struct qcow2 *q, uint64_t at, uint64_t want, struct step *ret, struct err *e)
{
    unsigned shift = q->geo.cluster_bits + q->geo.l2_bits;
    uint64_t index = at >> shift, pos = q->l1_pos + index * 8, l2_pos = 0;
    uint64_t covered = (UINT64_C(1) << shift) - (at & ((UINT64_C(1) << shift) - 1));
    const uint8_t *entries;
    uint32_t bytes;

    *ret = (struct step){.kind = QCOW2_ABSENT, .len = want};
    if (index >= q->l1_entries)
        return true; /* a snapshot's table may be shorter than its disk */
    if (!pages_get(&q->pages, pos, 8, false, &entries, &bytes, e))
        return false;
    if (!qcow2_table_unpack(get_be64(entries), q->geo.cluster_size, &l2_pos, e))
        return err_while(e, "reading the L1 table entry at %" PRIu64, pos);
    if (l2_pos)
        return step_l2(q, l2_pos, at, MIN(want, covered), ret, e);
    bytes = (uint32_t)MIN((uint64_t)bytes, (q->l1_entries - index) * 8);
    for (uint32_t i = 8; covered < want && i < bytes && !get_be64(entries + i); i += 8)
        covered += UINT64_C(1) << shift;
    ret->len = covered;
    return true;
}

static bool joins(const struct step *a, const struct step *b)
{
    return a->kind == b->kind && a->kind != QCOW2_CODED &&
           (a->kind != QCOW2_DATA || a->pos + a->len == b->pos);
}

bool qcow2_map(struct image *img, uint64_t at, uint64_t want, struct extent *ret, struct err *e)
{
    static const enum extent_kind kinds[] = {
        [QCOW2_ABSENT] = EXTENT_ABSENT,
        [QCOW2_ZERO] = EXTENT_ZERO,
        [QCOW2_DATA] = EXTENT_DATA,
        [QCOW2_CODED] = EXTENT_DATA,
    };
    struct qcow2 *q = img->state;
    struct step s, next;

    if (img->facts.encryption)
        return err_set(
            e, ERR_UNSUPPORTED,
            "the data is encrypted (%s), which is not supported; 'qemu-img convert' with "
            "the key makes a plain image",
            img->facts.encryption);
    if (!step_l1(q, at, want, &s, e))
        return false;
    for (int steps = 1; s.len < want && steps < STEPS_MAX; steps++) {
        if (!step_l1(q, at + s.len, want - s.len, &next, NULL) || !joins(&s, &next))
            break;
        s.len += next.len;
    }
    *ret = (struct extent){.at = at, .len = MIN(s.len, want), .kind = kinds[s.kind]};
    if (ret->kind != EXTENT_DATA)
        return true;
    ret->io = img->io;
    ret->pos = s.pos;
    if (s.kind == QCOW2_CODED) {
        ret->codec = q->codec;
        ret->stored = (uint32_t)MIN((uint64_t)s.stored, img->io->size - s.pos);
        ret->unit_len = q->geo.cluster_size;
        ret->skip = s.skip;
    } else {
        ret->padded = !range_inside(ret->pos, ret->len, img->io->size);
    }
    return true;
}
