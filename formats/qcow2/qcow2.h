/* The qcow2 driver's parts. An open image is read in open.c (header, extensions), list.c (snapshots
 * and bitmaps) and map.c, and checked in check.c; a new one is laid out in create.c, place.c and
 * refs.c. driver.c ties the slots together. */
#ifndef QCOW2_QCOW2_H
#define QCOW2_QCOW2_H

#include "driver.h"
#include "layout.h"
#include "pages.h"

/* Clusters that metadata occupies and that only the check needs to know. */
struct qcow2_range {
    uint64_t pos, len;
};

struct qcow2 {
    struct qcow2_header header;
    struct qcow2_geometry geo;
    struct pages pages;
    const struct codec *codec;
    uint64_t l1_pos; /* of the state being read: the current one, or a snapshot's */
    uint32_t l1_entries;
    char *backing_name, *backing_format; /* NULL: none */
    struct qcow2_range *snapshot_l1;     /* position and bytes, one a snapshot */
    struct qcow2_range snapshot_table, bitmap_dir, crypt;
    uint32_t bitmap_count;
};

bool qcow2_open(struct image *img, struct err *e);
void qcow2_close(struct image *img);
bool qcow2_parent(struct image *img, struct parent_ref *ret, struct err *e);

/* list.c: fills facts.snapshots, facts.dropped and snapshot_l1; switches to img->snapshot. */
bool qcow2_snapshots_read(struct image *img, struct err *e);
/* Walks the directory of dirty bitmaps; false where it is damaged. */
typedef bool qcow2_bitmap_fn(void *user, const struct qcow2_bitmap *bitmap, const char *name,
                             struct err *e);
bool qcow2_bitmaps_each(struct image *img, qcow2_bitmap_fn *fn, void *user, struct err *e);

bool qcow2_map(struct image *img, uint64_t at, uint64_t want, struct extent *ret, struct err *e);
bool qcow2_check(struct image *img, check_fn *report, void *user, struct err *e);

/* Options of create; the words of `compat`, `compression` and `preallocation` are in create.c. */
struct qcow2_options {
    int compat, compression, preallocation;
    uint64_t cluster_size, level, refcount_bits;
    bool extended_l2, lazy_refcounts;
};
extern const struct opt_row qcow2_rows[];
bool qcow2_create(struct target *t, const void *options, struct err *e);
bool qcow2_place(struct target *t, const struct place *p, struct placed *ret, struct err *e);
bool qcow2_seal(struct target *t, struct err *e);
void qcow2_discard(struct target *t);

#endif
