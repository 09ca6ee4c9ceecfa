/* qcow2 structures between bytes and structs: header, extensions, table entries, snapshot and
 * bitmap records, refcounts. Pure functions; the section names are those of qemu's
 * docs/interop/qcow2. */
#include "layout.h"

#include <inttypes.h>

static bool header_tables_check(const struct qcow2_header *h, struct err *e)
{
    uint64_t cluster = UINT64_C(1) << h->cluster_bits;
    /* entries of an L2 table: half as many when each has two words */
    uint32_t l2_bits = h->cluster_bits - (h->incompatible & QCOW2_INCOMPAT_EXTENDED_L2 ? 4 : 3);
    uint64_t l1_need = div_up(h->size, cluster << l2_bits);

    if (h->l1_entries > QCOW2_L1_BYTES_MAX / 8)
        return err_set(e, ERR_FORMAT, "the L1 table has %" PRIu32 " entries, more than %d",
                       h->l1_entries, QCOW2_L1_BYTES_MAX / 8);
    if (h->l1_entries < l1_need)
        return err_set(e, ERR_FORMAT,
                       "the L1 table has %" PRIu32 " entries, but the virtual size needs %" PRIu64,
                       h->l1_entries, l1_need);
    if (h->l1_pos % cluster || h->l1_pos > INT64_MAX - QCOW2_L1_BYTES_MAX)
        return err_set(e, ERR_FORMAT, "the L1 table's offset %#" PRIx64 " is not valid", h->l1_pos);
    if (!h->reftable_clusters)
        return err_set(e, ERR_FORMAT, "there is no refcount table");
    if (h->reftable_clusters > QCOW2_REFTABLE_BYTES_MAX / cluster)
        return err_set(e, ERR_FORMAT, "the refcount table of %" PRIu32 " clusters is too large",
                       h->reftable_clusters);
    if (h->reftable_pos % cluster || h->reftable_pos > INT64_MAX - QCOW2_REFTABLE_BYTES_MAX)
        return err_set(e, ERR_FORMAT, "the refcount table's offset %#" PRIx64 " is not valid",
                       h->reftable_pos);
    if (h->snapshots > QCOW2_SNAPSHOTS_MAX)
        return err_set(e, ERR_FORMAT, "%" PRIu32 " snapshots are more than %d", h->snapshots,
                       QCOW2_SNAPSHOTS_MAX);
    if (h->snapshots &&
        (h->snapshots_pos % cluster || h->snapshots_pos > INT64_MAX - QCOW2_SNAPSHOT_TABLE_MAX))
        return err_set(e, ERR_FORMAT, "the snapshot table's offset %#" PRIx64 " is not valid",
                       h->snapshots_pos);
    return true;
}

static bool header_check(const struct qcow2_header *h, struct err *e)
{
    uint64_t cluster = UINT64_C(1) << h->cluster_bits;
    bool other_coder = h->incompatible & QCOW2_INCOMPAT_COMPRESSION;

    if (h->size > INT64_MAX)
        return err_set(e, ERR_FORMAT, "the virtual size of %" PRIu64 " bytes is not valid",
                       h->size);
    if (h->length < (h->version == 2 ? QCOW2_HEADER_V2 : QCOW2_HEADER_V3) || h->length > cluster ||
        h->length % 8)
        return err_set(e, ERR_FORMAT, "the header length of %" PRIu32 " bytes is not valid",
                       h->length);
    if (h->refcount_order > 6)
        return err_set(e, ERR_FORMAT, "the refcount order %" PRIu32 " is larger than 6",
                       h->refcount_order);
    if (h->crypt > QCOW2_CRYPT_LUKS)
        return err_set(e, ERR_UNSUPPORTED, "encryption method %" PRIu32 " is not known", h->crypt);
    if (h->compression > QCOW2_COMPRESSION_ZSTD)
        return err_set(e, ERR_UNSUPPORTED, "compression type %u is not known", h->compression);
    if (other_coder != (h->compression != QCOW2_COMPRESSION_DEFLATE))
        return err_set(e, ERR_FORMAT,
                       "the compression type %u and its incompatible feature bit contradict",
                       h->compression);
    if (h->incompatible & QCOW2_INCOMPAT_EXTENDED_L2 && cluster < 512 * QCOW2_SUBCLUSTERS)
        return err_set(e, ERR_FORMAT,
                       "extended L2 entries need clusters of 16384 bytes, these have %" PRIu64,
                       cluster);
    if (h->backing_pos && (h->backing_pos < h->length || h->backing_pos > cluster))
        return err_set(e, ERR_FORMAT, "the backing file name's offset %#" PRIx64 " is not valid",
                       h->backing_pos);
    if (h->backing_pos &&
        (h->backing_len > QCOW2_BACKING_NAME_MAX || h->backing_len > cluster - h->backing_pos))
        return err_set(e, ERR_FORMAT, "the backing file name of %" PRIu32 " bytes is too long",
                       h->backing_len);
    return header_tables_check(h, e);
}

bool qcow2_header_unpack(const uint8_t *p, size_t len, struct qcow2_header *ret, struct err *e)
{
    struct qcow2_header h = {.refcount_order = 4, .length = QCOW2_HEADER_V2};

    if (len < QCOW2_HEADER_V2 || get_be32(p) != QCOW2_MAGIC)
        return err_set(e, ERR_FORMAT, "the header is cut short or not one of qcow2");
    h.version = get_be32(p + 4);
    h.backing_pos = get_be64(p + 8);
    h.backing_len = get_be32(p + 16);
    h.cluster_bits = get_be32(p + 20);
    h.size = get_be64(p + 24);
    h.crypt = get_be32(p + 32);
    h.l1_entries = get_be32(p + 36);
    h.l1_pos = get_be64(p + 40);
    h.reftable_pos = get_be64(p + 48);
    h.reftable_clusters = get_be32(p + 56);
    h.snapshots = get_be32(p + 60);
    h.snapshots_pos = get_be64(p + 64);
    if (h.version < 2 || h.version > 3)
        return err_set(e, ERR_UNSUPPORTED,
                       "qcow version %" PRIu32 " is not supported, only 2 and 3", h.version);
    if (h.cluster_bits < QCOW2_CLUSTER_BITS_MIN || h.cluster_bits > QCOW2_CLUSTER_BITS_MAX)
        return err_set(e, ERR_FORMAT, "the cluster size of 2^%" PRIu32 " bytes is not valid",
                       h.cluster_bits);
    if (h.version == 3) {
        if (len < QCOW2_HEADER_V3)
            return err_set(e, ERR_FORMAT, "the header is cut short");
        h.incompatible = get_be64(p + 72);
        h.compatible = get_be64(p + 80);
        h.autoclear = get_be64(p + 88);
        h.refcount_order = get_be32(p + 96);
        h.length = get_be32(p + 100);
        if (h.length > QCOW2_HEADER_V3 && len > QCOW2_HEADER_V3)
            h.compression = p[104];
    }
    if (!header_check(&h, e))
        return false;
    *ret = h;
    return true;
}

void qcow2_header_pack(const struct qcow2_header *h, uint8_t *p)
{
    memset(p, 0, h->length);
    put_be32(p, QCOW2_MAGIC);
    put_be32(p + 4, h->version);
    put_be64(p + 8, h->backing_pos);
    put_be32(p + 16, h->backing_len);
    put_be32(p + 20, h->cluster_bits);
    put_be64(p + 24, h->size);
    put_be32(p + 32, h->crypt);
    put_be32(p + 36, h->l1_entries);
    put_be64(p + 40, h->l1_pos);
    put_be64(p + 48, h->reftable_pos);
    put_be32(p + 56, h->reftable_clusters);
    put_be32(p + 60, h->snapshots);
    put_be64(p + 64, h->snapshots_pos);
    if (h->version == 2)
        return;
    put_be64(p + 72, h->incompatible);
    put_be64(p + 80, h->compatible);
    put_be64(p + 88, h->autoclear);
    put_be32(p + 96, h->refcount_order);
    put_be32(p + 100, h->length);
    if (h->length > QCOW2_HEADER_V3)
        p[104] = h->compression;
}

bool qcow2_extension_next(const uint8_t *area, size_t len, size_t *pos, struct qcow2_extension *ret,
                          struct err *e)
{
    size_t at = *pos;

    *ret = (struct qcow2_extension){.type = QCOW2_EXT_END};
    if (at >= len)
        return true;
    if (len - at < 8)
        return err_set(e, ERR_FORMAT, "the header extensions do not end");
    ret->type = get_be32(area + at);
    ret->len = get_be32(area + at + 4);
    ret->data = area + at + 8;
    if (ret->type == QCOW2_EXT_END)
        return true;
    if (ret->len > len - at - 8)
        return err_set(e, ERR_FORMAT,
                       "the header extension %#" PRIx32 " of %" PRIu32 " bytes is too large",
                       ret->type, ret->len);
    *pos = at + 8 + (size_t)round_up(ret->len, 8);
    return true;
}

size_t qcow2_extension_pack(uint8_t *p, uint32_t type, const void *data, uint32_t len)
{
    size_t padded = (size_t)round_up(len, 8);

    put_be32(p, type);
    put_be32(p + 4, len);
    memset(p + 8, 0, padded);
    if (len)
        memcpy(p + 8, data, len);
    return 8 + padded;
}

void qcow2_geometry_set(struct qcow2_geometry *g, const struct qcow2_header *h)
{
    bool extended = h->incompatible & QCOW2_INCOMPAT_EXTENDED_L2;

    *g = (struct qcow2_geometry){
        .version = h->version,
        .cluster_bits = h->cluster_bits,
        .cluster_size = UINT32_C(1) << h->cluster_bits,
        .sub_bits = h->cluster_bits - (extended ? 5 : 0),
        .entry_bits = extended ? 4 : 3,
        .l2_bits = h->cluster_bits - (extended ? 4 : 3),
    };
}

bool qcow2_table_unpack(uint64_t entry, uint32_t cluster_size, uint64_t *ret_pos, struct err *e)
{
    uint64_t pos = entry & QCOW2_OFFSET_MASK;

    if (entry & ~(QCOW2_OFFSET_MASK | QCOW2_COPIED) || pos % cluster_size)
        return err_set(e, ERR_FORMAT, "the entry %#018" PRIx64 " is unaligned or has reserved bits",
                       entry);
    *ret_pos = pos;
    return true;
}

static bool coded_unpack(const struct qcow2_geometry *g, uint64_t entry, uint32_t skip,
                         struct qcow2_piece *ret)
{
    /* "Compressed Clusters Descriptor": x = 62 - (cluster_bits - 8) bits of byte offset, above them
     * the number of further 512-byte sectors that the coded bytes may reach into. */
    unsigned x = 62 - (g->cluster_bits - 8);
    uint64_t pos = entry & ((UINT64_C(1) << x) - 1);
    uint64_t sectors = (entry & (QCOW2_COMPRESSED - 1)) >> x;

    ret->kind = QCOW2_CODED;
    ret->len = g->cluster_size - skip;
    ret->host = pos;
    ret->stored = (uint32_t)((sectors + 1) * 512 - pos % 512);
    return true;
}

/* "Extended L2 Entries": bits 0-31 of the second word say which subclusters are allocated, bits
 * 32-63 which read zero. */
static bool subclusters_unpack(const struct qcow2_geometry *g, uint64_t bitmap, uint32_t skip,
                               struct qcow2_piece *ret, struct err *e)
{
    uint32_t data = (uint32_t)bitmap, zero = (uint32_t)(bitmap >> 32);
    unsigned first = skip >> g->sub_bits;
    uint32_t run; /* a bit for each subcluster that is like the first */
    unsigned behind;

    if (data & zero)
        return err_set(e, ERR_FORMAT, "subclusters are both allocated and zero (%#018" PRIx64 ")",
                       bitmap);
    if (data && !ret->host)
        return err_set(e, ERR_FORMAT,
                       "subclusters are allocated without a host cluster (%#018" PRIx64 ")",
                       bitmap);
    if (data >> first & 1) {
        ret->kind = QCOW2_DATA;
        run = data;
    } else if (zero >> first & 1) {
        ret->kind = QCOW2_ZERO;
        run = zero;
    } else {
        ret->kind = QCOW2_ABSENT;
        run = ~(data | zero);
    }
    run = ~run >> first; /* now the lowest set bit ends the run */
    behind = run ? first + (unsigned)__builtin_ctz(run) : QCOW2_SUBCLUSTERS;
    ret->len = (uint32_t)(((uint64_t)behind << g->sub_bits) - skip);
    return true;
}

bool qcow2_entry_unpack(const struct qcow2_geometry *g, const uint8_t *entry, uint32_t skip,
                        struct qcow2_piece *ret, struct err *e)
{
    uint64_t word = get_be64(entry);
    bool extended = g->entry_bits == 4;
    bool zero = word & QCOW2_ZERO_FLAG && !extended && g->version > 2;
    uint64_t allowed = QCOW2_OFFSET_MASK | QCOW2_COPIED | (zero ? QCOW2_ZERO_FLAG : 0);

    if (word & QCOW2_COMPRESSED) {
        if (extended && get_be64(entry + 8))
            return err_set(e, ERR_FORMAT, "a compressed cluster has subclusters");
        return coded_unpack(g, word, skip, ret);
    }
    if (word & ~allowed || (word & QCOW2_OFFSET_MASK) & (g->cluster_size - 1))
        return err_set(e, ERR_FORMAT, "the entry %#018" PRIx64 " is unaligned or has reserved bits",
                       word);
    ret->host = word & QCOW2_OFFSET_MASK;
    ret->stored = 0;
    ret->len = g->cluster_size - skip;
    if (extended)
        return subclusters_unpack(g, get_be64(entry + 8), skip, ret, e);
    ret->kind = zero ? QCOW2_ZERO : ret->host ? QCOW2_DATA : QCOW2_ABSENT;
    return true;
}

bool qcow2_coded_pack(const struct qcow2_geometry *g, uint64_t pos, uint32_t stored,
                      uint64_t *ret_entry)
{
    unsigned x = 62 - (g->cluster_bits - 8);
    uint64_t sectors = (pos + stored - 1) / 512 - pos / 512;

    if (pos >> x || sectors >> (g->cluster_bits - 8))
        return false;
    *ret_entry = QCOW2_COMPRESSED | sectors << x | pos;
    return true;
}

void qcow2_snapshot_unpack(const uint8_t p[QCOW2_SNAPSHOT_FIXED], struct qcow2_snapshot *ret)
{
    *ret = (struct qcow2_snapshot){
        .l1_pos = get_be64(p),
        .l1_entries = get_be32(p + 8),
        .id_len = get_be16(p + 12),
        .name_len = get_be16(p + 14),
        .seconds = get_be32(p + 16),
        .vm_state = get_be32(p + 32),
        .extra = get_be32(p + 36),
    };
}

void qcow2_snapshot_extra_unpack(const uint8_t *p, uint32_t len, struct qcow2_snapshot *s)
{
    if (len >= 8)
        s->vm_state = get_be64(p);
    if (len >= 16)
        s->size = get_be64(p + 8);
}

void qcow2_bitmap_unpack(const uint8_t p[QCOW2_BITMAP_FIXED], struct qcow2_bitmap *ret)
{
    *ret = (struct qcow2_bitmap){
        .table_pos = get_be64(p),
        .table_entries = get_be32(p + 8),
        .name_len = get_be16(p + 18),
        .extra = get_be32(p + 20),
    };
}

uint64_t qcow2_refcount_max(uint32_t order)
{
    return order == 6 ? UINT64_MAX : (UINT64_C(1) << (1 << order)) - 1;
}

/* Counters narrower than a byte fill it from its lowest bits up ("Host cluster management"). */
uint64_t qcow2_refcount_get(const uint8_t *block, uint32_t order, uint64_t index)
{
    unsigned shift = (index << order) % 8;

    switch (order) {
    case 6:
        return get_be64(block + index * 8);
    case 5:
        return get_be32(block + index * 4);
    case 4:
        return get_be16(block + index * 2);
    default:
        return block[(index << order) / 8] >> shift & qcow2_refcount_max(order);
    }
}

void qcow2_refcount_set(uint8_t *block, uint32_t order, uint64_t index, uint64_t value)
{
    unsigned shift = (index << order) % 8;
    uint8_t *byte = block + (index << order) / 8;

    switch (order) {
    case 6:
        put_be64(byte, value);
        break;
    case 5:
        put_be32(byte, (uint32_t)value);
        break;
    case 4:
        put_be16(byte, (uint16_t)value);
        break;
    default:
        *byte = (uint8_t)((*byte & ~(qcow2_refcount_max(order) << shift)) | value << shift);
    }
}
