/* State of an image being written; shared by create.c, place.c and refs.c.
 *
 * Clusters are handed out front to back and never given back:
 *
 *     header | L1 table | refcount block | L2 table | data ... | L2 table | data ... | refcount
 * table
 *
 * A refcount block stands at the first cluster it counts, or behind the tables that crossed into
 * its range; an L2 table stands before the first cluster of its range. Both are queued when the
 * allocation, or the guest position, has left their range, so that only one of each is held. */
#ifndef QCOW2_WRITER_H
#define QCOW2_WRITER_H

#include "qcow2.h"
#include "vec.h"

#define QCOW2_NO_TABLE UINT64_MAX

struct qcow2_writer {
    struct qcow2_geometry geo;
    struct qcow2_header header; /* completed and written by seal */
    bool preallocate;           /* zero and absent ranges get clusters too */

    uint64_t next;        /* first host cluster not handed out yet */
    uint8_t *block;       /* counters of the refcount block being filled */
    uint64_t block_index; /* its place in the refcount table */
    unsigned block_bits;  /* log2 of the counters of a block */
    VEC(uint64_t) blocks; /* host position of every refcount block */

    uint8_t *l1;       /* as on disk */
    uint8_t *l2;       /* the table being filled */
    uint64_t l2_index; /* its L1 entry; QCOW2_NO_TABLE: none yet */
    uint64_t l2_pos;   /* 0: no cluster of its range was needed so far */

    uint64_t tail; /* where further coded bytes may go in a cluster begun; 0: nowhere */
};

/* Queues the L2 table being filled, if it has a place. */
bool qcow2_l2_flush(struct target *t, struct err *e);

/* Hands out 1..want clusters in one piece. */
bool qcow2_refs_take(struct target *t, uint64_t want, uint64_t *ret_first, uint64_t *ret_count,
                     struct err *e);
/* Hands out exactly that many in one piece; the refcount blocks this makes necessary follow. */
bool qcow2_refs_take_all(struct target *t, uint64_t count, uint64_t *ret_first, struct err *e);
/* Room for `len` coded bytes, fewer than a cluster: behind the last coded bytes where possible. */
bool qcow2_refs_take_coded(struct target *t, uint32_t len, uint64_t *ret_pos, struct err *e);
/* Places the refcount table and queues it and the last refcount block. */
bool qcow2_refs_seal(struct target *t, struct err *e);

#endif
