/* The VMDK driver's own view of an open disk: extents in guest order, and for sparse ones where
 * their tables lie.
 *
 *     guest ──▶ extent ──▶ grain directory ──▶ grain table ──▶ grain
 *              (binary search)     (pages of both in one bounded cache)
 */
#ifndef VMDK_VMDK_H
#define VMDK_VMDK_H

#include "codec.h"
#include "descriptor.h"
#include "driver.h"
#include "header.h"

/* Bounded cache of pieces of directories and tables, by store and position. */
enum {
    TABLES_MAX = 64,         /* pieces: sequential maps need two, chains of extents a few more */
    TABLE_BYTES_MAX = 32768, /* of a piece: an seSparse grain table; 2 MiB in all at most */
};

struct tables {
    struct table_slot {
        const struct io *io;
        uint64_t pos;
        size_t len, room;
        uint64_t used; /* when; 0: empty */
        uint8_t *data;
    } slots[TABLES_MAX];
    uint64_t clock;
};

/* `len` bytes of the store at pos; valid until TABLES_MAX other pieces were asked for. */
const uint8_t *tables_get(struct tables *t, struct io *io, uint64_t pos, size_t len, struct err *e);
void tables_release(struct tables *t);

enum grain_kind { GRAIN_ABSENT, GRAIN_ZERO, GRAIN_DATA };

struct grain {
    enum grain_kind kind;
    uint64_t pos; /* DATA: byte position in the extent's file */
};

struct sparse;

/* What the three table layouts differ in. Both answer false for an entry that means nothing. */
struct sparse_ops {
    unsigned entry;   /* bytes of an entry, of directory and table alike */
    unsigned entries; /* of a grain table */
    /* Position of the grain table that a directory entry names; 0: there is none. */
    bool (*table)(const struct sparse *s, uint64_t entry, uint64_t *ret_pos);
    bool (*grain)(const struct sparse *s, uint64_t entry, struct grain *ret);
};

struct sparse {
    const struct sparse_ops *ops;
    struct io *tables; /* where directory and tables lie: the extent's file, or an index made of a
                          stream that has none; owned reference */
    uint64_t capacity; /* guest bytes */
    uint64_t grain;    /* bytes */
    uint64_t gd, rgd;  /* byte positions of the directory and the redundant one (0: none) */
    uint64_t gd_count; /* entries that the capacity needs */
    uint64_t tables_at, tables_count; /* seSparse: the area of grain tables, in bytes and tables */
    uint64_t grains_at;               /* seSparse: the area of grains, in bytes */
    uint64_t desc_at, desc_len;       /* hosted: the embedded descriptor, in bytes */
    bool zeroed;                      /* hosted: entry 1 is a grain of zeroes */
    const struct codec *codec;        /* hosted: NULL for plain grains */
    bool unclean;
};

enum extent_form { FORM_FLAT, FORM_ZERO, FORM_SPARSE };

struct vmdk_extent {
    uint64_t start, len; /* guest bytes */
    enum extent_form form;
    const char *label; /* "hosted sparse", "COWD", "seSparse", "flat", "zero" */
    struct io *io;     /* NULL for ZERO */
    char *path;
    uint64_t offset; /* FLAT: of its first byte in io */
    struct sparse sparse;
};

struct vmdk {
    struct descriptor desc;
    bool described; /* desc was read */
    bool embedded;  /* the file has its own header: img->io is the one extent */
    VEC(struct vmdk_extent) extents;
    struct tables tables;
};

/* sparse.c: maps and table look-ups common to all sparse extents. */

/* Guest bytes [at, at+want) relative to the extent. */
bool sparse_map(struct vmdk *v, struct vmdk_extent *x, uint64_t at, uint64_t want,
                struct extent *ret, struct err *e);
/* The position of grain table `index` by the primary or the redundant directory; 0: none. */
bool sparse_table(struct vmdk *v, struct vmdk_extent *x, bool redundant, uint64_t index,
                  uint64_t *ret_pos, struct err *e);
/* Entry `i` of a table. */
uint64_t sparse_entry(const struct sparse *s, const uint8_t *table, unsigned i);
/* Sets gd_count and checks that the directory lies inside the file. */
bool sparse_directory(struct vmdk_extent *x, struct err *e);

/* hosted.c, stream.c, cowd.c, sesparse.c: reads the header of the extent's file and sets up
 * x->sparse. */
bool hosted_open(struct vmdk_extent *x, const struct vmdk_header *h, struct err *e);
bool stream_find_tables(struct vmdk_extent *x, const struct vmdk_header *h, uint64_t *ret_gd,
                        struct err *e);
bool cowd_open(struct vmdk_extent *x, const uint8_t head[VMDK_SECTOR], struct err *e);
bool sesparse_open(struct vmdk_extent *x, const uint8_t head[VMDK_SECTOR], struct err *e);
extern const struct sparse_ops hosted_ops;

/* grain.c: compressed grains. */
extern const struct codec codec_grain;      /* marker, LBA checked against the guest's address */
extern const struct codec codec_grain_at;   /* the same without the check of the address */
extern const struct codec codec_grain_bare; /* a length alone in front, or nothing */
/* The most bytes that a compressed grain takes, framing included. */
size_t grain_bound(size_t len);

/* check.c */
bool vmdk_check(struct image *img, check_fn *report, void *user, struct err *e);

/* write.c */
enum vmdk_subformat {
    SUBFORMAT_SPARSE,
    SUBFORMAT_STREAM,
    SUBFORMAT_FLAT,
    SUBFORMAT_SPLIT_SPARSE,
    SUBFORMAT_SPLIT_FLAT,
};

struct vmdk_options {
    int subformat, adapter;
    uint64_t hw_version, level;
};

extern const struct opt_row vmdk_option_rows[];
bool vmdk_create(struct target *t, const void *options, struct err *e);
bool vmdk_place(struct target *t, const struct place *p, struct placed *ret, struct err *e);
bool vmdk_seal(struct target *t, struct err *e);
void vmdk_discard(struct target *t);

#endif
