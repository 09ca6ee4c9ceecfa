/* The copy engine's insides, shared by its files:
 *
 *   copy.c          set-up, worker loop, seal
 *   copy_item.c     the map iterator: cuts the guest into items
 *   copy_scan.c     read, hash, zero scan, encode: an item becomes pieces and segments
 *   copy_place.c    the coordinator: pieces are placed, segments become writes; the journal's
 * records copy_check.c    checkpoints and replay */
#ifndef IMAGE_COPY_ENGINE_H
#define IMAGE_COPY_ENGINE_H

#include "buf.h"
#include "codec.h"
#include "copy.h"
#include "fetch.h"

#include <pthread.h>

enum {
    ITEM_SIZE = 2 << 20, /* guest bytes of a full item: two digest chunks */
    ITEM_CHUNKS = ITEM_SIZE / DIGEST_CHUNK,
    PAGE = 4096,           /* zero scan inside a unit; alignment of clones */
    MEMORY_MAX = 64 << 20, /* all buffers of the items in flight */
    ITEMS_MAX = 64,
    WORKERS_MAX = 64,
};

/* A stretch of an item as the target will see it; units of the target. */
struct piece {
    uint64_t at, len;
    enum place_kind kind;
    uint32_t stored;  /* CODED */
    size_t coded_pos; /* CODED: where in item->coded */
};

/* Bytes worth writing inside PLAIN pieces. */
struct segment {
    uint64_t at, len;
    struct io *clone; /* share blocks from here, NULL: from the item's buffer */
    uint64_t pos;     /* of the clone */
};

enum write_kind { WRITE_DATA, WRITE_CLONE, WRITE_ZERO };

struct write {
    enum write_kind kind;
    unsigned file;
    uint64_t pos, len;
    uint8_t *data;   /* DATA: the bytes; CLONE: room for them, should sharing fail */
    struct io *from; /* CLONE */
    uint64_t from_pos;
};

struct item {
    uint64_t seq, at, len; /* len may be huge when `gap` */
    bool gap;              /* reads zero from end to end: no buffers */
    uint64_t data_bytes;   /* what the map calls data: progress counts these */
    VEC(struct extent) extents;
    VEC(struct extent) other; /* compare: of the second image */
    VEC(struct piece) pieces;
    VEC(struct segment) segments;
    VEC(struct write) writes;
    VEC(struct target_write) meta; /* queued by the driver while this item was placed */
    uint8_t *data, *coded, *other_data;
    struct digest_value digests[ITEM_CHUNKS];
    bool zero[ITEM_CHUNKS]; /* the chunk is all zero */
    bool hashed;            /* digests and zero are valid */
    uint64_t differs_at;    /* compare: first differing guest byte; UINT64_MAX: none */
    struct item *next;      /* in a queue or the free list */
};

struct worker {
    struct engine *engine;
    pthread_t thread;
    struct fetch fetch;
    uint64_t written;
};

/* A boundary in the journal's pending bytes: everything up to an item. */
struct record_mark {
    uint64_t seq, at; /* at: guest bytes placed when the item was done */
    size_t placements_end, digests_end;
};

struct engine {
    struct copy *c;
    struct target *target;
    uint64_t size; /* of the view */
    bool clone;
    bool hash; /* chunks are hashed */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned workers, running;
    struct item items[ITEMS_MAX];
    unsigned item_count;
    struct item *free_items, *writing; /* writing: placed, to be written */
    struct item *ready[ITEMS_MAX];     /* processed, waiting for their turn: by seq % ITEMS_MAX */
    bool written[ITEMS_MAX];           /* by seq % ITEMS_MAX, from done_seq on */
    uint64_t item_bytes[ITEMS_MAX];    /* their data_bytes */
    bool iterating, placing;           /* one worker at a time; outside the lock */
    unsigned writers, writers_max;     /* workers writing now; at most */
    uint64_t next_at, next_seq;        /* iterator */
    uint64_t place_seq;                /* next item to place */
    uint64_t done_seq;                 /* all items before it are written */
    uint64_t done_bytes;               /* data bytes of written items */
    bool failed, sync_failed;
    struct err err; /* the first */

    /* coordinator's: touched by whoever holds `placing` */
    struct digest *tree;
    bool tree_broken;               /* a chunk was not hashed */
    struct buf placements, digests; /* journal bytes not yet committed */
    VEC(struct record_mark) marks;

    /* checkpoints */
    pthread_t check_thread;
    pthread_cond_t check_wake;
    bool check_started, check_stop;
    uint64_t looked_bytes; /* done_bytes when the last was due */

    uint64_t last_progress; /* clock_mono */
    bool reporting;         /* a progress call is under way */
    uint64_t read_bytes, written_bytes;
    uint64_t resumed_bytes;
};

/* copy_item.c. Fills the next item (at next_at); false with an error. The caller holds `iterating`.
 */
bool item_next(struct engine *g, struct item *it, struct err *e);
void item_reset(struct item *it);
void item_release(struct item *it);

/* copy_scan.c. Reads, hashes, scans and encodes the item. */
bool item_process(struct engine *g, struct item *it, struct worker *w, struct err *e);
/* Largest encoded form of all units of an item. */
size_t item_coded_room(const struct engine *g);

/* copy_place.c. The caller holds `placing`, items come in order. */
bool item_place(struct engine *g, struct item *it, struct err *e);
bool item_write(struct engine *g, struct item *it, struct worker *w, struct err *e);
/* Writes and empties a list of metadata writes. */
bool meta_write(struct engine *g, struct target_write *list, size_t count, struct err *e);
void meta_release(struct target_write *list, size_t count);
/* Takes the target's queue. */
bool queue_take(struct engine *g, struct item *it, struct err *e);
bool place_all(struct engine *g, const struct place *want, struct err *e,
               bool (*each)(void *user, const struct place *p, const struct placed *placed,
                            struct err *e),
               void *user);

/* copy_check.c */
void record_place(struct engine *g, const struct place *p);
void record_chunk(struct engine *g, const struct digest_value *value, uint64_t zero_chunks);
bool record_item(struct engine *g, const struct item *it, struct err *e);
/* Syncs the target and commits everything written so far; the lock is not held. */
bool checkpoint(struct engine *g, struct err *e);
bool checkpoint_start(struct engine *g, struct err *e);
void checkpoint_stop(struct engine *g);
/* Replays the journal into the target; sets next_at, the tree digest and resumed_bytes. */
bool journal_replay(struct engine *g, struct err *e);
bool target_sync(struct engine *g, struct err *e);

/* copy.c. Keeps the first error and stops the workers; the lock is held. */
void engine_fail(struct engine *g, const struct err *e);
/* Tells the caller where the copy is; `checkpoint`: one was just committed. The lock is not held.
 */
void progress_report(struct engine *g, bool checkpoint);

#endif
