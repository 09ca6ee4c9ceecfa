/* What the parts of the file store share; nobody else includes it. */
#ifndef IO_FILE_STORE_H
#define IO_FILE_STORE_H

#include "file.h"

#include <pthread.h>

struct file {
    struct io io; /* io.fd: through the page cache */
    int direct;   /* the same file past the page cache; -1: not asked for or not to be had */
    bool writable;
    uint32_t block; /* a device's logical block in bytes; 1 for files */

    /* Growing by a write excludes growing by truncate, which would cut what was just written. */
    pthread_rwlock_t growth;

    /* The last answer of SEEK_DATA, valid while `changes` is what it was when asked. */
    pthread_mutex_t map_lock;
    uint64_t changes; /* counts writes, atomically */
    uint64_t map_changes, map_at, map_end;
    enum io_extent_kind map_kind;

    pthread_mutex_t lock_lock;
    uint64_t locked; /* bit n: lock byte 100+n is held; bit 32+n: 200+n */
};

extern const struct io_ops file_ops;

/* The file store behind `io`; NULL when it is another kind of store. */
static inline struct file *file_of(struct io *io)
{
    return io->ops == &file_ops ? (struct file *)io : NULL;
}

/* Notes that the contents changed, after they did. */
static inline void file_changed(struct file *f)
{
    __atomic_add_fetch(&f->changes, 1, __ATOMIC_ACQ_REL);
}

#endif
