/* Writing VMDK: what the layouts (sparse, stream, flat) share. */
#ifndef VMDK_WRITE_H
#define VMDK_WRITE_H

#include "vmdk.h"

enum {
    WRITE_GRAIN = 64 << 10, /* what VMware writes */
    WRITE_TABLE = VMDK_GTES * 4,
    WRITE_DESC_SECTORS = 20, /* room for an embedded descriptor, as qemu and VMware leave it */
    WRITE_ALIGN = 128,       /* grains begin at a multiple of so many sectors */
};

/* Extents of split disks: 2047 MiB, as VMware makes them. */
#define WRITE_SPLIT (UINT64_C(4192256) * VMDK_SECTOR)
#define WRITE_TABLE_SPAN ((uint64_t)WRITE_GRAIN * VMDK_GTES) /* guest bytes of a grain table */

/* The grain table being filled; it is queued once the guest position has passed it. */
struct open_table {
    uint64_t index;
    bool used; /* an entry was set */
    uint8_t bytes[WRITE_TABLE];
};

struct writer;

struct writer_ops {
    const char *create_type;
    bool (*begin)(struct target *t, struct writer *w, struct err *e);
    bool (*place)(struct target *t, struct writer *w, const struct place *p, struct placed *ret,
                  struct err *e);
    bool (*seal)(struct target *t, struct writer *w, struct err *e);
};

struct writer {
    const struct writer_ops *ops;
    struct descriptor_new desc;
    uint8_t content_id[16], uuid[16];
    char *base;            /* the target's name without ".vmdk" */
    uint64_t extent_bytes; /* guest bytes of one extent's file */
    bool split;            /* a descriptor of its own, extents in further files */
    struct open_table table;
    uint64_t next; /* where the next grain goes, bytes */
    /* sparse: the extent being written */
    unsigned extent;
    bool zero_marks; /* over a parent, a grain of zeroes is marked */
    /* stream */
    uint8_t *gd; /* little-endian sector numbers */
    uint64_t gd_count;
    struct codec coder; /* codec_grain with the library of the inflater: part of a run's identity */
};

extern const struct writer_ops write_sparse, write_split_sparse, write_stream, write_flat,
    write_split_flat;

/* The guest bytes of extent number `i`. */
uint64_t writer_extent_len(const struct target *t, const struct writer *w, unsigned i);
/* "disk-s001.vmdk"; `letter` 's' or 'f', or "disk-flat.vmdk" for letter 0. */
char *writer_extent_name(const struct writer *w, char letter, unsigned i, struct err *e);
/* The descriptor as text; `type` and `letter` of its extents. Embedded: the target itself. */
bool writer_descriptor(const struct target *t, const struct writer *w, struct buf *b,
                       const char *type, char letter, struct err *e);
/* Queues the descriptor file of a split disk. */
bool writer_seal_descriptor(struct target *t, struct writer *w, const char *type, char letter,
                            struct err *e);

#endif
