/* The first and the last step of a new image: create checks the options against each other and
 * hands out the header cluster and the L1 table; seal writes the tables that had to wait, and the
 * header behind a barrier, so that a file with a header is complete. */
#include "writer.h"

#include "codec.h"
#include "text.h"

#include <inttypes.h>

enum { COMPAT_0_10, COMPAT_1_1 };
enum { COMPRESSION_NONE, COMPRESSION_ZLIB, COMPRESSION_ZSTD };
enum { PREALLOCATION_OFF, PREALLOCATION_METADATA, PREALLOCATION_FALLOC, PREALLOCATION_FULL };

static const char *const compat_words[] = {"0.10", "1.1", NULL};
static const char *const compression_words[] = {"none", "zlib", "zstd", NULL};
static const char *const preallocation_words[] = {"off", "metadata", "falloc", "full", NULL};

const struct opt_row qcow2_rows[] = {
    {.key = "compat",
     .type = OPT_WORD,
     .at = OPT_AT(struct qcow2_options, compat, int),
     .words = compat_words,
     .preset = "1.1",
     .help = "feature level: 0.10 (version 2, for qemu before 1.1) or 1.1 (version 3)"},
    {.key = "cluster_size",
     .type = OPT_SIZE,
     .flags = OPT_POW2,
     .at = OPT_AT(struct qcow2_options, cluster_size, uint64_t),
     .min = 512,
     .max = 2u << 20,
     .preset = "64K",
     .help = "allocation unit of the new image"},
    {.key = "compression",
     .type = OPT_WORD,
     .at = OPT_AT(struct qcow2_options, compression, int),
     .words = compression_words,
     .preset = "none",
     .help = "compress each cluster; zstd needs compat 1.1 and qemu 5.1"},
    {.key = "level",
     .type = OPT_COUNT,
     .at = OPT_AT(struct qcow2_options, level, uint64_t),
     .max = 22,
     .preset = "0",
     .help = "compression level, 1-12 for zlib and 1-22 for zstd; 0 is the usual one"},
    {.key = "extended_l2",
     .type = OPT_BOOL,
     .at = OPT_AT(struct qcow2_options, extended_l2, bool),
     .preset = "no",
     .help = "allocate in 32nds of a cluster; needs compat 1.1 and clusters of 16K or more"},
    {.key = "preallocation",
     .type = OPT_WORD,
     .at = OPT_AT(struct qcow2_options, preallocation, int),
     .words = preallocation_words,
     .preset = "off",
     .help = "give every cluster its place (metadata), and reserve its disk space (falloc, full)"},
    {.key = "refcount_bits",
     .type = OPT_COUNT,
     .flags = OPT_POW2,
     .at = OPT_AT(struct qcow2_options, refcount_bits, uint64_t),
     .min = 1,
     .max = 64,
     .preset = "16",
     .help = "width of a cluster's reference counter; other than 16 needs compat 1.1"},
    {.key = "lazy_refcounts",
     .type = OPT_BOOL,
     .at = OPT_AT(struct qcow2_options, lazy_refcounts, bool),
     .preset = "no",
     .help = "let qemu postpone updates of the counters; needs compat 1.1"},
    {0},
};

static bool options_check(const struct target *t, const struct qcow2_options *o, struct err *e)
{
    const char *needs = o->compression == COMPRESSION_ZSTD ? "compression=zstd"
                        : o->extended_l2                   ? "extended_l2"
                        : o->lazy_refcounts                ? "lazy_refcounts"
                        : o->refcount_bits != 16           ? "refcount_bits other than 16"
                                                           : NULL;

    if (o->compat == COMPAT_0_10 && needs)
        return err_set(e, ERR_USAGE, "%s needs compat=1.1", needs);
    if (o->extended_l2 && o->cluster_size < 512 * QCOW2_SUBCLUSTERS)
        return err_set(e, ERR_USAGE, "extended_l2 needs a cluster_size of 16K or more");
    if (o->preallocation && o->compression)
        return err_set(e, ERR_USAGE, "preallocation and compression exclude each other");
    if (o->preallocation && t->parent)
        return err_set(e, ERR_USAGE, "preallocation would hide the parent; leave one of them out");
    return true;
}

static bool coder_set(struct target *t, const struct qcow2_options *o, struct err *e)
{
    const struct codec *c = o->compression == COMPRESSION_ZSTD ? &codec_zstd : &codec_deflate;

    if (!o->compression)
        return true;
    if (o->level && (o->level < (uint64_t)c->level_min || o->level > (uint64_t)c->level_max))
        return err_set(e, ERR_USAGE, "compression level %" PRIu64 " of %s is not in %d to %d",
                       o->level, compression_words[o->compression], c->level_min, c->level_max);
    t->coder = c;
    t->coder_level = o->level ? (int)o->level : c->level_preset;
    t->coded_unit = o->cluster_size;
    return true;
}

/* The tables have largest sizes, and offsets have so many bits: what a full image would need must
 * fit, so that no copy fails on its last gigabyte. */
static bool size_check(const struct target *t, const struct qcow2_writer *w, struct err *e)
{
    unsigned bits = w->geo.cluster_bits;
    uint64_t data = div_up(t->size, w->geo.cluster_size);
    uint64_t tables = div_up(data, UINT64_C(1) << w->geo.l2_bits);
    uint64_t counters_max = (uint64_t)QCOW2_REFTABLE_BYTES_MAX / 8 << w->block_bits;
    /* header, L1 and refcount table */
    uint64_t used = data + tables + 3 + ((QCOW2_L1_BYTES_MAX + QCOW2_REFTABLE_BYTES_MAX) >> bits);
    unsigned offset_bits = t->coder ? 62 - (bits - 8) : 56;

    used += used / ((UINT64_C(1) << w->block_bits) - 1) + 2; /* and the refcount blocks */
    if (tables > QCOW2_L1_BYTES_MAX / 8 || used > counters_max ||
        used >= UINT64_C(1) << (offset_bits - bits))
        return err_set(e, ERR_USAGE,
                       "a disk of %s cannot be held with cluster_size=%" PRIu32
                       " and refcount_bits=%u; choose larger clusters",
                       SIZE_TEXT(t->size), w->geo.cluster_size, 1u << w->header.refcount_order);
    return true;
}

static void header_begin(const struct target *t, const struct qcow2_options *o,
                         struct qcow2_header *h)
{
    bool v2 = o->compat == COMPAT_0_10, zstd = o->compression == COMPRESSION_ZSTD;

    *h = (struct qcow2_header){
        .version = v2 ? 2 : 3,
        .cluster_bits = (uint32_t)__builtin_ctzll(o->cluster_size),
        .size = t->size,
        .incompatible = (zstd ? QCOW2_INCOMPAT_COMPRESSION : 0) |
                        (o->extended_l2 ? QCOW2_INCOMPAT_EXTENDED_L2 : 0),
        .compatible = o->lazy_refcounts ? QCOW2_COMPAT_LAZY_REFCOUNTS : 0,
        .refcount_order = (uint32_t)__builtin_ctzll(o->refcount_bits),
        .length = v2 ? QCOW2_HEADER_V2 : QCOW2_HEADER_FULL,
        .compression = zstd ? QCOW2_COMPRESSION_ZSTD : QCOW2_COMPRESSION_DEFLATE,
    };
}

/* "Feature name table": type (0 incompatible, 1 compatible, 2 autoclear), bit, name. */
static const struct {
    uint8_t type, bit;
    const char *name;
} known_features[] = {
    {0, 0, "dirty bit"},        {0, 1, "corrupt bit"},         {0, 2, "external data file"},
    {0, 3, "compression type"}, {0, 4, "extended L2 entries"}, {1, 0, "lazy refcounts"},
    {2, 0, "bitmaps"},          {2, 1, "raw external data"},
};
enum { FEATURES_BYTES = 8 + ARRAY_LEN(known_features) * QCOW2_FEATURE_BYTES };

static size_t features_pack(uint8_t *p)
{
    uint8_t rows[ARRAY_LEN(known_features) * QCOW2_FEATURE_BYTES] = {0};

    for (size_t i = 0; i < ARRAY_LEN(known_features); i++) {
        uint8_t *row = rows + i * QCOW2_FEATURE_BYTES;

        row[0] = known_features[i].type;
        row[1] = known_features[i].bit;
        memcpy(row + 2, known_features[i].name, strlen(known_features[i].name));
    }
    return qcow2_extension_pack(p, QCOW2_EXT_FEATURES, rows, sizeof(rows));
}

/* How the parent's format is recorded: by the name qemu has for it. */
static const char *parent_format(const struct target *t)
{
    const char *name = t->parent->format;

    if (!name && t->parent_image)
        name = t->parent_image->driver->name;
    return name && strcmp(name, "vhd") == 0 ? "vpc" : name;
}

/* Bytes of header, extensions and backing file name without the feature names. */
static uint64_t header_need(const struct target *t, const struct qcow2_writer *w)
{
    uint64_t need = w->header.length + 8; /* 8: the end of the extensions */
    const char *format;

    if (!t->parent)
        return need;
    format = parent_format(t);
    return need + (format ? 8 + round_up(strlen(format), 8) : 0) + strlen(t->parent->name);
}

static bool header_parent_check(const struct target *t, const struct qcow2_writer *w, struct err *e)
{
    if (t->parent && strlen(t->parent->name) > QCOW2_BACKING_NAME_MAX)
        return err_set(e, ERR_USAGE,
                       "the parent's name is longer than %d bytes, the most that "
                       "qcow2 can record: '%s'",
                       QCOW2_BACKING_NAME_MAX, t->parent->name);
    if (header_need(t, w) > w->geo.cluster_size)
        return err_set(e, ERR_USAGE,
                       "the parent's name does not fit in the first cluster; choose "
                       "a larger cluster_size");
    return true;
}

/* Fills the first cluster and returns how much of it is in use. */
static size_t header_pack(const struct target *t, struct qcow2_writer *w, uint8_t *p)
{
    struct qcow2_header *h = &w->header;
    const char *format = t->parent ? parent_format(t) : NULL;
    size_t len = h->length;

    if (format)
        len += qcow2_extension_pack(p + len, (uint32_t)QCOW2_EXT_BACKING_FORMAT, format,
                                    (uint32_t)strlen(format));
    /* names are for readers that do not know a feature: left out where clusters are too small */
    if (h->version > 2 && header_need(t, w) + FEATURES_BYTES <= w->geo.cluster_size)
        len += features_pack(p + len);
    len += qcow2_extension_pack(p + len, QCOW2_EXT_END, NULL, 0);
    if (t->parent) {
        h->backing_pos = len;
        h->backing_len = (uint32_t)strlen(t->parent->name);
        memcpy(p + len, t->parent->name, h->backing_len);
        len += h->backing_len;
    }
    qcow2_header_pack(h, p);
    return (size_t)round_up(len, 512);
}

bool qcow2_create(struct target *t, const void *options, struct err *e)
{
    const struct qcow2_options *o = options;
    struct qcow2_writer *w;
    uint64_t l1_clusters, first;
    unsigned file;

    if (!options_check(t, o, e) || !coder_set(t, o, e) || !target_add_file(t, NULL, &file, e))
        return false;
    w = t->state = mem_new(struct qcow2_writer, e);
    if (!w)
        return false;
    header_begin(t, o, &w->header);
    qcow2_geometry_set(&w->geo, &w->header);
    w->block_bits = w->geo.cluster_bits + 3 - w->header.refcount_order;
    w->preallocate = o->preallocation != PREALLOCATION_OFF;
    w->l2_index = QCOW2_NO_TABLE;
    if (!size_check(t, w, e) || !header_parent_check(t, w, e))
        return false;
    w->header.l1_entries = (uint32_t)MAX(
        div_up(t->size, UINT64_C(1) << (w->geo.cluster_bits + w->geo.l2_bits)), UINT64_C(1));
    w->l1 = mem_array(w->header.l1_entries, 8, e);
    w->l2 = mem_alloc(w->geo.cluster_size, e);
    w->block = mem_alloc(w->geo.cluster_size, e);
    if (!w->l1 || !w->l2 || !w->block)
        return false;
    t->unit = t->coder ? w->geo.cluster_size : UINT64_C(1) << w->geo.sub_bits;
    t->preallocated = w->preallocate;
    t->reserve = o->preallocation >= PREALLOCATION_FALLOC;
    l1_clusters = div_up((uint64_t)w->header.l1_entries * 8, w->geo.cluster_size);
    w->header.l1_pos = w->geo.cluster_size;
    return qcow2_refs_take_all(t, 1 + l1_clusters, &first, e);
}

bool qcow2_seal(struct target *t, struct err *e)
{
    struct qcow2_writer *w = t->state;
    AUTO(free) uint8_t *head = NULL;
    size_t head_len;

    if (!qcow2_l2_flush(t, e) || !qcow2_refs_seal(t, e) ||
        !target_queue(t, 0, w->header.l1_pos, w->l1, (size_t)w->header.l1_entries * 8, false, e))
        return false;
    target_extend(t, 0, w->next << w->geo.cluster_bits);
    head = mem_alloc(w->geo.cluster_size, e);
    if (!head)
        return false;
    head_len = header_pack(t, w, head);
    return target_queue(t, 0, 0, head, head_len, true, e);
}

void qcow2_discard(struct target *t)
{
    struct qcow2_writer *w = t->state;

    if (!w)
        return;
    free(w->block);
    free(w->blocks.items);
    free(w->l1);
    free(w->l2);
    free(w);
    t->state = NULL;
}
