/* The qcow2 on-disk structures and their pack/unpack pairs. Nothing here reads or writes a file.
 *
 * Source of every layout: qemu, docs/interop/qcow2 ("Header", "Header extensions", "Host cluster
 * management", "Cluster mapping", "Extended L2 Entries", "Snapshots", "Bitmaps"). All integers are
 * big-endian.
 *
 *     guest offset = [ L1 index | L2 index | offset in cluster ]
 *     header -> L1 table -> L2 tables -> data clusters
 *     header -> refcount table -> refcount blocks: one counter per host cluster */
#ifndef QCOW2_LAYOUT_H
#define QCOW2_LAYOUT_H

#include "bytes.h"
#include "err.h"

enum {
    QCOW2_MAGIC = 0x514649fb,      /* "QFI" 0xfb */
    QCOW2_HEADER_V2 = 72,          /* bytes of a version 2 header */
    QCOW2_HEADER_V3 = 104,         /* and of the smallest version 3 header */
    QCOW2_HEADER_FULL = 112,       /* with the compression type */
    QCOW2_CLUSTER_BITS_MIN = 9,    /* 512 bytes, by specification */
    QCOW2_CLUSTER_BITS_MAX = 21,   /* 2 MiB: what qemu takes */
    QCOW2_SUBCLUSTERS = 32,        /* of a cluster with extended L2 entries */
    QCOW2_BACKING_NAME_MAX = 1023, /* by specification */
    QCOW2_L1_BYTES_MAX = 32 << 20, /* what qemu takes */
    QCOW2_REFTABLE_BYTES_MAX = 8 << 20,
    QCOW2_SNAPSHOTS_MAX = 65536,
    QCOW2_SNAPSHOT_TABLE_MAX = 64 << 20,
    QCOW2_BITMAPS_MAX = 65535,
    QCOW2_BITMAP_DIR_MAX = 64 << 20,
};

/* Incompatible features: a reader that does not know one must not open the image. */
enum {
    QCOW2_INCOMPAT_DIRTY = 1,       /* refcounts may be stale */
    QCOW2_INCOMPAT_CORRUPT = 2,     /* must not be written to */
    QCOW2_INCOMPAT_DATA_FILE = 4,   /* data lies in another file */
    QCOW2_INCOMPAT_COMPRESSION = 8, /* the compression type is not deflate */
    QCOW2_INCOMPAT_EXTENDED_L2 = 16,
    QCOW2_INCOMPAT_KNOWN = 31,
    QCOW2_COMPAT_LAZY_REFCOUNTS = 1,
    QCOW2_AUTOCLEAR_BITMAPS = 1, /* the bitmaps are up to date */
    QCOW2_AUTOCLEAR_RAW_DATA = 2,
};

enum { QCOW2_COMPRESSION_DEFLATE, QCOW2_COMPRESSION_ZSTD };
enum { QCOW2_CRYPT_NONE, QCOW2_CRYPT_AES, QCOW2_CRYPT_LUKS };

struct qcow2_header {
    uint32_t version; /* 2 or 3 */
    uint64_t backing_pos;
    uint32_t backing_len;
    uint32_t cluster_bits;
    uint64_t size;
    uint32_t crypt;
    uint32_t l1_entries;
    uint64_t l1_pos;
    uint64_t reftable_pos;
    uint32_t reftable_clusters;
    uint32_t snapshots;
    uint64_t snapshots_pos;
    uint64_t incompatible, compatible, autoclear;
    uint32_t refcount_order; /* a counter has 1 << order bits */
    uint32_t length;         /* of the header on disk */
    uint8_t compression;
};

/* Reads a header and checks every field on its own and against the others; unknown feature bits are
 * left to the caller, who knows their names. */
bool qcow2_header_unpack(const uint8_t *p, size_t len, struct qcow2_header *ret, struct err *e);
/* Writes h->length bytes (72 for version 2). */
void qcow2_header_pack(const struct qcow2_header *h, uint8_t *p);

enum {
    QCOW2_EXT_END = 0,
    QCOW2_EXT_BACKING_FORMAT = (int)0xe2792aca,
    QCOW2_EXT_FEATURES = 0x6803f857,
    QCOW2_EXT_BITMAPS = 0x23852875,
    QCOW2_EXT_CRYPT = 0x0537be77,
    QCOW2_EXT_DATA_FILE = 0x44415441,
    QCOW2_FEATURE_BYTES = 48, /* one row of the feature name table: type, bit, 46 bytes of name */
};

struct qcow2_extension {
    uint32_t type, len;
    const uint8_t *data; /* into the area */
};

/* The extension at area[*pos], and *pos moved behind it. Type QCOW2_EXT_END at the end of the list
 * or of the area. ERR_FORMAT when it does not fit. */
bool qcow2_extension_next(const uint8_t *area, size_t len, size_t *pos, struct qcow2_extension *ret,
                          struct err *e);
/* Appends one at p, padded to 8 bytes; returns its length on disk. */
size_t qcow2_extension_pack(uint8_t *p, uint32_t type, const void *data, uint32_t len);

#define QCOW2_COPIED (UINT64_C(1) << 63)     /* the counter of what this names is exactly 1 */
#define QCOW2_COMPRESSED (UINT64_C(1) << 62) /* L2 only */
#define QCOW2_ZERO_FLAG UINT64_C(1)          /* L2 only, version 3, standard entries */
#define QCOW2_OFFSET_MASK UINT64_C(0x00fffffffffffe00)

/* What translating an L2 entry depends on. */
struct qcow2_geometry {
    uint32_t version;
    uint32_t cluster_bits;
    uint32_t cluster_size;
    uint32_t sub_bits;   /* log2 of the subcluster size; the cluster's without extended L2 */
    uint32_t entry_bits; /* log2 of the size of an L2 entry: 3 or 4 */
    uint32_t l2_bits;    /* log2 of the entries of an L2 table */
};

void qcow2_geometry_set(struct qcow2_geometry *g, const struct qcow2_header *h);

/* An L1 or refcount table entry: the offset of a table, 0 for none. */
bool qcow2_table_unpack(uint64_t entry, uint32_t cluster_size, uint64_t *ret_pos, struct err *e);

enum qcow2_kind { QCOW2_ABSENT, QCOW2_ZERO, QCOW2_DATA, QCOW2_CODED };

/* What an L2 entry says about the guest bytes from `skip` of its cluster on. */
struct qcow2_piece {
    enum qcow2_kind kind;
    uint32_t len;  /* bytes for which it holds, up to the end of the cluster */
    uint64_t host; /* DATA, ZERO: the host cluster (0: none); CODED: where the coded bytes start */
    uint32_t stored; /* CODED: at most so many bytes */
};

bool qcow2_entry_unpack(const struct qcow2_geometry *g, const uint8_t *entry, uint32_t skip,
                        struct qcow2_piece *ret, struct err *e);
/* The entry of a coded cluster; false when position or length do not fit its fields. */
bool qcow2_coded_pack(const struct qcow2_geometry *g, uint64_t pos, uint32_t stored,
                      uint64_t *ret_entry);

struct qcow2_snapshot {
    uint64_t l1_pos;
    uint32_t l1_entries;
    uint32_t id_len, name_len;
    uint32_t seconds;
    uint64_t vm_state;
    uint64_t size;  /* virtual size; 0: not recorded */
    uint32_t extra; /* bytes between the fixed part and the id */
};
enum { QCOW2_SNAPSHOT_FIXED = 40, QCOW2_SNAPSHOT_EXTRA = 24 };

/* The fixed part of a record. */
void qcow2_snapshot_unpack(const uint8_t p[QCOW2_SNAPSHOT_FIXED], struct qcow2_snapshot *ret);
/* The known extra data, as far as the record has them. */
void qcow2_snapshot_extra_unpack(const uint8_t *p, uint32_t len, struct qcow2_snapshot *s);

struct qcow2_bitmap {
    uint64_t table_pos;
    uint32_t table_entries;
    uint32_t extra, name_len;
};
enum { QCOW2_BITMAP_FIXED = 24 };

void qcow2_bitmap_unpack(const uint8_t p[QCOW2_BITMAP_FIXED], struct qcow2_bitmap *ret);

/* Counter `index` of a refcount block whose counters have 1 << order bits. */
uint64_t qcow2_refcount_get(const uint8_t *block, uint32_t order, uint64_t index);
void qcow2_refcount_set(uint8_t *block, uint32_t order, uint64_t index, uint64_t value);
/* The largest value of a counter. */
uint64_t qcow2_refcount_max(uint32_t order);

#endif
