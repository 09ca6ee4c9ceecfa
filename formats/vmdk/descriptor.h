/* The VMDK descriptor: the text that names a disk's extents, parent and identity. */
#ifndef VMDK_DESCRIPTOR_H
#define VMDK_DESCRIPTOR_H

#include "buf.h"
#include "opt.h"

enum {
    /* 64 TiB in extents of 2 GiB are 32785 lines of about 60 bytes; names may be longer. */
    DESCRIPTOR_MAX = 8 << 20,
    DESCRIPTOR_EXTENTS_MAX = 40000,
    DESCRIPTOR_DDB_MAX = 256, /* entries of the disk database that are kept: about 20 are in use */
};

#define DESCRIPTOR_NO_PARENT UINT32_C(0xffffffff)

enum desc_access { DESC_RW, DESC_RDONLY, DESC_NOACCESS };

enum desc_type {
    DESC_FLAT,   /* FLAT, VMFS: bytes as they are */
    DESC_SPARSE, /* SPARSE, VMFSSPARSE, SESPARSE: the file's own magic tells which */
    DESC_ZERO,   /* no file: reads zero */
    DESC_DEVICE, /* VMFSRDM, VMFSRAW and the like: not a file's bytes */
};

struct desc_extent {
    enum desc_access access;
    enum desc_type type;
    uint64_t sectors;
    uint64_t offset; /* sectors into the file (FLAT) */
    char *name;      /* NULL for ZERO */
    char word[32];   /* the type as written */
};

struct descriptor {
    bool has_cid, has_parent_cid;
    uint32_t cid, parent_cid;
    char *create_type, *parent_hint, *change_track, *encoding; /* NULL when not given */
    VEC(struct desc_extent) extents;
    struct opt_pairs ddb; /* without their "ddb." */
};

/* True when the text begins like a descriptor (byte order mark and blanks allowed, any case). */
bool descriptor_begins(const void *text, size_t len);

/* Lenient about spacing, case of keys and words, line ends, NUL padding and unknown keys; strict
 * about what decides where bytes lie. ERR_FORMAT or ERR_UNSUPPORTED names the line. `ret` is
 * overwritten; release it also after a failure. */
bool descriptor_parse(const char *text, size_t len, struct descriptor *ret, struct err *e);
void descriptor_release(struct descriptor *d);

/* What a new disk's descriptor says. The extents come from a function, because there may be
 * thousands. */
struct descriptor_new {
    uint32_t cid, parent_cid;
    const char *create_type;
    const char *parent_hint; /* NULL: none */
    const char *adapter;
    unsigned hw_version;
    uint64_t sectors;
    const uint8_t *content_id, *uuid; /* 16 bytes each */
};

void descriptor_write_head(struct buf *b, const struct descriptor_new *d);
void descriptor_write_extent(struct buf *b, uint64_t sectors, const char *type, const char *name);
void descriptor_write_tail(struct buf *b, const struct descriptor_new *d);

#endif
