/* Byte stores: one interface over files, block devices, memory and parts of other stores.
 *
 * All positions and lengths are bytes. Reads and writes are positioned, complete (a short one is an
 * error) and thread-safe on one store. Behaviour is added by wrapping a store in another. */
#ifndef IO_IO_H
#define IO_IO_H

#include "cleanup.h"
#include "err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io;

enum io_extent_kind { IO_DATA, IO_HOLE /* reads as zero and takes no space */ };

struct io_ops {
    const char *kind; /* "file", "memory", ... */
    bool (*read)(struct io *io, uint64_t pos, void *buf, size_t len, struct err *e);
    bool (*write)(struct io *io, uint64_t pos, const void *buf, size_t len, struct err *e);
    bool (*sync)(struct io *io, struct err *e);
    bool (*resize)(struct io *io, uint64_t size, struct err *e);
    /* Makes a range read as zero; frees its space where it can. NULL: zeroes are written. */
    bool (*zero)(struct io *io, uint64_t pos, uint64_t len, struct err *e);
    /* The kind of the byte at pos, and for how long (at least 1, at most want). NULL: all data. */
    bool (*extent)(struct io *io, uint64_t pos, uint64_t want, enum io_extent_kind *ret_kind,
                   uint64_t *ret_len, struct err *e);
    /* Starts writing a range back, without waiting. NULL: nothing to do. */
    void (*flush_hint)(struct io *io, uint64_t pos, uint64_t len);
    void (*free)(struct io *io); /* closes and frees the object */
};

struct io {
    const struct io_ops *ops;
    char *name;    /* for messages; owned */
    uint64_t size; /* bytes; kept current by resize and by writes past the end: see io_size */
    int fd;        /* of a file or block device; -1 otherwise */
    bool fresh;    /* every byte not written since it was opened reads zero (new file, memory) */
    bool device;   /* a block device: fixed size, explicit zeroes */
    size_t held;   /* bytes at the start that are durable only after io_hold_release */
    unsigned refs; /* shared by layers and extents; io_ref, io_free */
};

void io_free(struct io *io); /* drops one reference; NULL is fine */
AUTO_TYPE(struct io *, io_free)
struct io *io_ref(struct io *io);

/* The size in bytes of a store that other threads may be writing to. */
static inline uint64_t io_size(const struct io *io)
{
    return __atomic_load_n(&io->size, __ATOMIC_RELAXED);
}
/* For the kinds of store: a write has ended at `end`. Writes that end out of turn never make the
 * store seem smaller again. */
void io_grown(struct io *io, uint64_t end);

/* [pos, pos+len) must lie within the size: ERR_FORMAT otherwise ("is cut short"). */
bool io_read(struct io *io, uint64_t pos, void *buf, size_t len, struct err *e);
/* Like io_read, but what lies past the end reads as zero. */
bool io_read_padded(struct io *io, uint64_t pos, void *buf, size_t len, struct err *e);
/* Grows the store where it can. */
bool io_write(struct io *io, uint64_t pos, const void *buf, size_t len, struct err *e);
/* Everything written is on stable storage when this returns true. After a failure the state of what
 * was written since the last success is unknown: it must be written again, never only synced again.
 */
bool io_sync(struct io *io, struct err *e);
bool io_resize(struct io *io, uint64_t size, struct err *e);
bool io_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e);
bool io_extent(struct io *io, uint64_t pos, uint64_t want, enum io_extent_kind *ret_kind,
               uint64_t *ret_len, struct err *e);
void io_flush_hint(struct io *io, uint64_t pos, uint64_t len);

/* Memory: `size` zero bytes that grow with writes. `name` is copied. */
struct io *io_memory(const char *name, uint64_t size, struct err *e);

/* The bytes [pos, pos+len) of another store, as a store of its own. Takes a reference to `base`. */
struct io *io_slice(struct io *base, uint64_t pos, uint64_t len, struct err *e);

/* A store of fixed size over `base` (takes a reference) whose first `len` bytes stay in memory,
 * starting as zeroes, until io_hold_release writes them: everything else is synced first, then they
 * are. */
struct io *io_hold(struct io *base, size_t len, struct err *e);
bool io_hold_release(struct io *io, struct err *e);

/* Rate limits. One throttle may be shared by several stores and threads. `bytes_per_second` 0:
 * none. */
struct throttle;
struct throttle *throttle_new(uint64_t bytes_per_second, struct err *e);
void throttle_free(struct throttle *t);
AUTO_TYPE(struct throttle *, throttle_free)
/* Waits until `len` more bytes are allowed; returns early (false) when *stop becomes non-zero. NULL
 * throttle: at once. */
bool throttle_wait(struct throttle *t, uint64_t len, const atomic_int *stop);

#endif
