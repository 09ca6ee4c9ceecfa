/* The copy engine: the one place where guest data is read, decoded, hashed, encoded and written.
 *
 *     map iterator -> work items -> workers: read/decode, zero scan, hash, encode
 *          ^                                   | in guest order
 *          |                                   v
 *       journal <- sync <- workers: pwrite / clone <- coordinator: place
 *
 * An item is whole 1 MiB guest chunks. Items are processed side by side, placed in guest order by
 * whichever worker completes the next one, and written side by side. The placements of an item
 * reach the journal in a checkpoint, after the data was written and synced. */
#ifndef IMAGE_COPY_H
#define IMAGE_COPY_H

#include "digest.h"
#include "image.h"
#include "target.h"

#include <stdatomic.h>

enum copy_method {
    COPY_READ,  /* read, scan, write */
    COPY_CLONE, /* share blocks where source and target allow, read the rest */
};

/* Measuring places everything and writes nothing: the files need no stores, and
 * target_measured tells what a copy would take. */
enum copy_measure {
    MEASURE_NO,
    MEASURE_DATA, /* the data is read, and units of zeroes are left out */
    MEASURE_MAP,  /* by the map alone */
};

/* What happened to a stretch of the guest, as recorded and replayed. */
struct copy_journal {
    void *user;
    /* Commits one checkpoint: packed placements and chunk digests since the last, all durable in
     * the target. `done` are guest bytes [0, done). False: the state could not be written; the run
     * stops. */
    bool (*commit)(void *user, uint64_t done, const void *placements, size_t placements_len,
                   const void *digests, size_t digests_len, struct err *e);
    /* Resume: calls back with each committed blob in order until it answers false or there are no
     * more. */
    bool (*replay)(void *user,
                   bool (*each)(void *ctx, const void *placements, size_t placements_len,
                                const void *digests, size_t digests_len, struct err *e),
                   void *ctx, struct err *e);
};

struct copy_progress {
    uint64_t done, total;   /* bytes of source data to process (zeroes are not counted) */
    uint64_t read, written; /* bytes so far, of this process */
    uint64_t guest;         /* guest position */
    uint64_t resumed;       /* of `done`, bytes already durable when this process began */
    bool checkpoint;        /* this call marks a committed checkpoint */
};

struct copy {
    struct image *source;
    uint64_t
        size; /* bytes of the view; past the source's end it reads zero. 0: the source's size */
    struct target *target; /* NULL: read only. Its files have their stores */
    /* Compare with this image instead; a tail of zeroes behind the shorter one is no difference.
     * The first byte that differs ends the copy with ERR_DIFFERS. May be NULL. */
    struct image *other;
    enum copy_method method;
    enum copy_measure measure;
    unsigned workers; /* 0: online CPUs */
    bool digest; /* compute the tree digest (cloned ranges are read for it only when digest_clones)
                  */
    bool digest_clones;
    bool sync;                                /* durable when copy_run returns; false: --no-sync */
    const struct copy_journal *journal;       /* NULL: none */
    uint64_t checkpoint_bytes, checkpoint_ns; /* 0: 256 MiB, 2 s */
    struct throttle *throttle;                /* of reads and writes; may be NULL */
    const atomic_int *stop; /* non-zero: finish the items in flight, commit, ERR_INTERRUPTED */
    void (*progress)(
        void *user,
        const struct copy_progress *p); /* from one thread at a time, about every 100 ms */
    /* Instead of a target: every guest byte in order; buf NULL for a stretch of zeroes. */
    bool (*consume)(void *user, uint64_t at, const void *buf, uint64_t len, struct err *e);
    /* Every chunk digest in order; used by verify to find the first difference. `at` is the guest
     * offset. */
    bool (*chunk)(void *user, uint64_t at, const struct digest_value *value, struct err *e);
    void *user;
    /* results */
    struct digest_value tree; /* when digest */
    bool tree_valid;          /* false when cloned ranges were not read */
    uint64_t differs_at;      /* guest offset, after ERR_DIFFERS of `other` */
    struct copy_progress total;
};

/* Copies, seals and (unless sync is off) syncs; or compares, or measures. On failure the target's
 * durable prefix is in the journal. */
bool copy_run(struct copy *c, struct err *e);

/* Bytes of data the map names: uncompressed guest bytes, and the stored bytes a copy would read. */
struct copy_estimate {
    uint64_t data, stored;
};
bool copy_estimate(struct image *source, struct copy_estimate *ret, struct err *e);

#endif
