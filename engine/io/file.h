/* Files and block devices as byte stores, and what only they can do: locks, clones, preallocation.
 *
 * Locks are qemu's: open file description locks on single bytes of the image file, byte 100+n for a
 * permission held and 200+n for one refused to others (n: 0 consistent read, 1 write, 3 resize),
 * taken shared and tested against the other group (qemu block/file-posix.c). They go with the
 * descriptor. */
#ifndef IO_FILE_H
#define IO_FILE_H

#include "io.h"

#include <sys/stat.h>

enum file_flag {
    FILE_WRITE = 1,
    FILE_CREATE = 2, /* new: fails (ERR_REFUSED) when it exists; mode 0666 less the umask */
    FILE_TRUNCATE = 4,
    FILE_DIRECT = 8,    /* past the page cache; buffers and ranges must then be 4096-aligned */
    FILE_NOFOLLOW = 16, /* the last part of the path must not be a symbolic link */
};

/* Opens a regular file or block device; ERR_IO for a missing one, ERR_USAGE for a directory, FIFO,
 * socket or character device (never blocks on a FIFO). */
struct io *file_open(const char *path, unsigned flags, struct err *e);
/* Takes over an open descriptor (closed on failure too). */
struct io *file_from_fd(int fd, const char *name, struct err *e);
/* Opens anew, through /proc, what `fd` refers to (an O_PATH descriptor is enough, and stays the
 * caller's). FILE_CREATE and FILE_NOFOLLOW mean nothing here. */
struct io *file_reopen(int fd, const char *name, unsigned flags, struct err *e);

/* For tests: takes every store that file_open and file_reopen make for writing and gives back what
 * the caller gets, such as a lying store in front of it (which keeps a reference of its own). NULL:
 * none. Set while no other thread opens files. */
extern struct io *(*file_wrap)(struct io *io, struct err *e);

enum file_lock {
    FILE_LOCK_READ,  /* consistent read; others may read, not write or resize */
    FILE_LOCK_WRITE, /* write and resize; others may do neither */
};

/* ERR_BUSY when another process holds the image in a conflicting way. */
bool file_lock(struct io *io, enum file_lock mode, struct err *e);
/* The same question without taking the lock. */
bool file_lock_test(struct io *io, enum file_lock mode, struct err *e);

/* Shares blocks (FICLONERANGE). false with ERR_UNSUPPORTED where the two files cannot share: other
 * file system, no reflink, unaligned. */
bool file_clone(struct io *from, uint64_t from_pos, struct io *to, uint64_t to_pos, uint64_t len,
                struct err *e);
/* True when clones between the two work: tried on one block past the end of `to`, which is cut off
 * again. */
bool file_clone_works(struct io *from, struct io *to);

/* Reserves disk space for [0, size) without writing zeroes where the file system can. */
bool file_preallocate(struct io *io, uint64_t size, struct err *e);

/* Drops clean pages of the range from the page cache (len 0: to the end). */
void file_drop_cache(struct io *io, uint64_t pos, uint64_t len);

/* Says that what is read through this store is read once: it does not displace what others keep in
 * the page cache. */
void file_read_once(struct io *io);

/* Bytes allocated on disk. */
uint64_t file_allocated(struct io *io);

/* fsync of the directory that holds `path`. */
bool file_sync_dir(const char *path, struct err *e);

#endif
