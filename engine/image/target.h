/* Targets: an image being written.
 *
 * The engine calls place in ascending guest order from one thread; the driver answers where the
 * bytes go and queues what metadata has become final. Placement is a pure function of the calls and
 * of the target's options and identity, so replaying the calls rebuilds the same state: that is how
 * runs resume, and how `measure` knows a size without writing (the files then have no stores). */
#ifndef IMAGE_TARGET_H
#define IMAGE_TARGET_H

#include "digest.h"
#include "io.h"
#include "vec.h"

struct codec; /* engine/codec/codec.h */

enum place_kind {
    PLACE_PLAIN,  /* bytes as they are */
    PLACE_CODED,  /* one unit in its encoded form, `stored` bytes */
    PLACE_ZERO,   /* reads zero, whatever a parent holds */
    PLACE_ABSENT, /* the parent shows through */
};

struct place { /* guest bytes [at, at+len) */
    uint64_t at,
        len; /* `at` a multiple of the target's unit; len too, except at the end of the disk */
    enum place_kind kind;
    uint32_t stored; /* CODED: encoded length */
};

struct placed {
    uint64_t len; /* how much of the place this answer covers: 1..len of the call, a multiple of the
                     unit (or the rest). The engine calls again for the remainder */
    bool stored;  /* PLAIN, CODED: true. ZERO: true where the format keeps bytes at a fixed place
                     (raw,  fixed VHD): the engine writes zeroes there unless the store is fresh */
    unsigned file; /* index into files */
    uint64_t pos;  /* the bytes go to [pos, pos+len) (CODED: [pos, pos+stored)) of that file */
};

struct target_file {
    char *name;    /* final file name (no directory) when it differs from the target's; NULL: the
                      target itself */
    struct io *io; /* NULL while measuring */
    uint64_t end;  /* highest byte placed or queued so far: kept by target.c */
};

/* A metadata write, queued by the driver, carried out by the engine. */
struct target_write {
    unsigned file;
    uint64_t pos;
    void *data; /* owned */
    size_t len;
    bool barrier; /* everything queued or placed before must be durable first */
};

enum { TARGET_FILES_MAX = 40000 }; /* 64 TiB in 2 GiB extents is 32769 files */

struct driver;
struct image;
struct parent_ref;

struct target {
    const struct driver *driver;
    /* set by target_new, read by the driver */
    char *name;           /* final file name without directory: descriptors refer to it */
    uint64_t size;        /* virtual size in bytes, already a multiple of limits.size_multiple */
    uint32_t sector_size; /* of the source */
    struct digest_value identity; /* of the run: UUIDs and CIDs are derived from it (target_uuid) */
    int64_t mtime;                /* seconds since 1970, for time stamps in headers */
    const struct parent_ref *parent;  /* overlay: what to record; NULL: none */
    const struct image *parent_image; /* the opened parent; NULL: none */
    /* set by the driver's create */
    uint64_t unit; /* placement granularity in guest bytes: zero and data may alternate at it */
    uint64_t coded_unit;       /* CODED: guest bytes of one unit; 0: never coded */
    const struct codec *coder; /* NULL: plain */
    int coder_level;
    bool coded_only; /* every data unit must be coded (streamOptimized) */
    bool coded_tail; /* the last unit is encoded at its true length instead of zero-padded to
                        coded_unit */
    uint64_t front; /* bytes at the start of file 0 with tables that are written only where they are
                       used: a store that is not fresh is zeroed there first */
    bool sequential;   /* positions only grow, nothing is patched later: can feed a pipe */
    bool found_at_end; /* readers look for its structure from the end of the file */
    bool preallocated; /* every unit has its place from the start */
    bool reserve;      /* the engine reserves disk space for files up to their end
                          (preallocation=full|falloc) */
    void *state;
    /* kept by target.c */
    VEC(struct target_file) files;
    VEC(struct target_write) queue;
    uint64_t at; /* guest bytes placed so far */
    bool sealed;
};

struct target_options {
    const struct driver *driver;
    const void *options; /* driver->options_size bytes filled by rows; NULL: presets */
    const char *name;
    uint64_t size;
    uint32_t sector_size; /* 0: 512 */
    struct digest_value identity;
    int64_t mtime;
    const struct parent_ref *parent;
    const struct image *parent_image;
};

/* Calls create; after it `files` are declared, without stores. ERR_UNSUPPORTED when the size or
 * sector size cannot be held, ERR_USAGE for options that contradict. */
struct target *target_new(const struct target_options *options, struct err *e);
void target_free(struct target *t); /* drops stores and queue; NULL is fine */
AUTO_TYPE(struct target *, target_free)

/* The front doors of place and seal. */
bool target_place(struct target *t, const struct place *p, struct placed *ret, struct err *e);
bool target_seal(struct target *t, struct err *e);

/* For drivers. Declares a file (in create only); the first is the target itself. Returns through
 * ret_index. */
bool target_add_file(struct target *t, const char *name, unsigned *ret_index, struct err *e);
/* Queues a write of a copy of `data`. */
bool target_queue(struct target *t, unsigned file, uint64_t pos, const void *data, size_t len,
                  bool barrier, struct err *e);
/* What no placement covers in an allocated unit must read zero: queues zeroes, unless the store is
 * fresh. `len` at most a unit of allocation. */
bool target_clear(struct target *t, unsigned file, uint64_t pos, uint64_t len, struct err *e);
/* Says that the file is at least that long (a tail of zeroes). */
void target_extend(struct target *t, unsigned file, uint64_t end);
/* 16 bytes derived from the identity and a label: version 4 shape, big-endian field order. */
void target_uuid(const struct target *t, const char *label, uint8_t uuid[16]);
/* 32 bits derived likewise. */
uint32_t target_id32(const struct target *t, const char *label);

/* Bytes the files would have: exact once sealed. */
uint64_t target_measured(const struct target *t);

#endif
