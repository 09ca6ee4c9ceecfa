/* Images: one layer is a driver over byte stores; a chain is layers linked by `parent`.
 *
 * Reading is address translation: image_map says where the bytes of a guest range lie, and the copy
 * engine (or image_read, for small reads) fetches them. Maps are not thread-safe on one chain: the
 * caller serialises them. Reading the stores they name is. */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include "gate.h"
#include "io.h"

struct codec; /* engine/codec/codec.h */

enum extent_kind {
    EXTENT_DATA,
    EXTENT_ZERO,
    EXTENT_ABSENT, /* ask the backing layer; without one it reads zero */
};

struct extent { /* guest bytes [at, at+len) */
    uint64_t at, len;
    enum extent_kind kind;
    struct io *io; /* DATA: the store that holds the bytes (borrowed from the image) ... */
    uint64_t pos;  /* ... and where in it */
    const struct codec *codec; /* NULL: stored plainly; else (part of) one coded unit: */
    uint32_t stored; /* at most this many bytes at pos, clipped at end of file; decoders accept
                        trailing bytes */
    uint32_t unit_len,
        skip;    /* decoded size of the unit; the guest bytes are its [skip, skip+len) */
    bool padded; /* plain: bytes past the end of the store read zero (else they are damage) */
};

enum {
    IMAGE_UNIT_MAX =
        2 << 20, /* largest coded unit: qcow2 clusters of 2 MiB are the largest in use */
    IMAGE_STORED_MAX = 4 << 20, /* largest stored form of one: a unit that grew, framing included */
    IMAGE_DEPTH_MAX = 256,      /* layers of a chain; VMware allows 32, qemu has no limit */
    IMAGE_NAME_MAX = 4096,      /* names recorded in images */
};

/* How a layer names its parent. Strings are owned by the structure. */
struct parent_ref {
    char *name;     /* as stored; NULL: the layer has no parent */
    char *format;   /* driver name as recorded; NULL: probe it */
    char *identity; /* what the parent must answer to (CID, UUID); NULL: nothing recorded */
};
void parent_ref_release(struct parent_ref *p);

struct image_snapshot {
    char *id, *name;
    uint64_t size;     /* virtual size in that snapshot */
    int64_t created;   /* seconds since 1970 */
    uint64_t vm_state; /* bytes of saved machine state */
};

/* What `info` tells and what a conversion would drop. */
struct image_facts {
    char *subformat;   /* "monolithicSparse", "dynamic"; NULL: the format has none */
    char *compression; /* "zlib", ...; NULL: none */
    char *encryption;  /* "LUKS", "AES"; NULL: none. Data reads are refused, info works */
    char *identity; /* what a child's parent_ref.identity must equal; NULL: the format has none */
    uint64_t cluster_size; /* allocation unit in bytes; 0: none */
    bool dirty, corrupt;   /* header flags */
    struct image_snapshot *snapshots;
    size_t snapshot_count;
    struct opt_pairs extra; /* further facts by name ("compat": "1.1", "features": "...") */
    struct opt_texts
        dropped; /* what a conversion cannot carry: "2 internal snapshots", "dirty bitmap 'b0'" */
};

struct driver;

struct image {
    const struct driver *driver;
    char *path;           /* real path, or what stands for it; owned */
    struct io *io;        /* the file that was opened; owned */
    uint64_t size;        /* virtual size in bytes */
    uint32_t sector_size; /* 512 or 4096 */
    struct image_facts facts;
    struct gate *gate;
    struct image *parent; /* NULL: last layer */
    const char *snapshot; /* internal snapshot asked for, while opening; borrowed */
    void *state;          /* the driver's; freed by its close */
};

enum image_lock {
    IMAGE_LOCK_READ, /* ERR_BUSY when somebody writes */
    IMAGE_LOCK_WARN, /* warn and go on (info, map, df) */
    IMAGE_LOCK_NONE,
};

struct image_options {
    const char *format;   /* driver name; NULL: probe */
    const char *snapshot; /* internal snapshot by name or id; NULL: the current state */
    const struct gate_rules *rules;
    enum image_lock lock;
    bool layer_only; /* leave the parents alone */
};

/* Opens the image and, unless layer_only, its parents; checks every identity. ERR_FORMAT for a
 * damaged image or a missing or changed parent, ERR_UNSUPPORTED for a feature we cannot handle,
 * ERR_GATE, ERR_BUSY, ERR_IO. An unknown content opens as raw only when asked for or when nothing
 * else scores; then facts.extra has "probed" = "raw". Opening reads metadata only. */
struct image *image_open(const char *path, const struct image_options *options, struct err *e);
void image_free(struct image *img); /* parents too; NULL is fine */
AUTO_TYPE(struct image *, image_free)

/* Opens the layer itself from a store (ownership of `io` passes, on failure too). Used by the chain
 * opener, members of archives, and tests. */
struct image *image_open_io(struct io *io, const char *path, struct gate *gate,
                            const struct image_options *options, struct err *e);

/* The layer's own view: may answer EXTENT_ABSENT. 0 < want, [at, at+want) inside the size. The
 * answer starts at `at`, has 1..want bytes, and names bytes that exist (or are `padded`). */
bool image_map_layer(struct image *img, uint64_t at, uint64_t want, struct extent *ret,
                     struct err *e);
/* The view through the chain: EXTENT_DATA or EXTENT_ZERO only. */
bool image_map(struct image *img, uint64_t at, uint64_t want, struct extent *ret, struct err *e);
/* Small reads (partition tables, headers); decodes what is coded. Within the size. */
bool image_read(struct image *img, uint64_t at, void *buf, size_t len, struct err *e);

/* Every file the chain reads, once each: calls back with (path, io, layer index). For locks,
 * identity and accounting; drivers with several stores answer through their `files` slot. */
typedef bool image_file_fn(void *user, const char *path, struct io *io, unsigned layer,
                           struct err *e);
bool image_files(struct image *img, image_file_fn *fn, void *user, struct err *e);

/* Stored bytes: sum of what the files of this layer occupy on disk. */
uint64_t image_allocated(struct image *img);
unsigned image_depth(const struct image *img); /* layers, 1 or more */

#endif
