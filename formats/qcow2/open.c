/* Opening: the first cluster holds the header, the header extensions and the backing file's name.
 * Nothing else is read but the snapshot table and the bitmap directory, where there are any: L1 and
 * L2 tables wait for the first map. */
#include "qcow2.h"

#include "codec.h"
#include "gate.h"
#include "mem.h"
#include "opt.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    FEATURE_INCOMPATIBLE,
    FEATURE_COMPATIBLE,
    FEATURE_AUTOCLEAR,
};

struct opening {
    struct image *img;
    struct qcow2 *q;
    uint8_t *head; /* the first cluster, zero padded */
    size_t head_len, area_len;
    struct qcow2_extension features, bitmaps, crypt, data_file; /* data NULL: not there */
};

static bool head_read(struct opening *o, struct err *e)
{
    struct io *io = o->img->io;
    uint8_t start[QCOW2_HEADER_FULL] = {0};
    size_t have = (size_t)MIN(io->size, (uint64_t)sizeof(start));
    struct qcow2_header *h = &o->q->header;

    if (!io_read(io, 0, start, have, e) || !qcow2_header_unpack(start, have, h, e))
        return false;
    o->head_len = (size_t)1 << h->cluster_bits;
    o->area_len = h->backing_pos ? h->backing_pos : o->head_len;
    o->head = mem_alloc(o->head_len, e);
    return o->head && io_read_padded(io, 0, o->head, o->head_len, e);
}

static bool extensions_read(struct opening *o, struct err *e)
{
    struct qcow2 *q = o->q;
    size_t pos = q->header.length;
    struct qcow2_extension x;

    do {
        if (!qcow2_extension_next(o->head, o->area_len, &pos, &x, e))
            return false;
        switch (x.type) {
        case (uint32_t)QCOW2_EXT_BACKING_FORMAT:
            free(q->backing_format);
            q->backing_format = mem_textn((const char *)x.data, x.len, e);
            if (!q->backing_format)
                return false;
            break;
        case QCOW2_EXT_FEATURES:
            o->features = x;
            break;
        case QCOW2_EXT_BITMAPS:
            o->bitmaps = x;
            break;
        case QCOW2_EXT_CRYPT:
            o->crypt = x;
            break;
        case QCOW2_EXT_DATA_FILE:
            o->data_file = x;
            break;
        }
    } while (x.type != QCOW2_EXT_END);
    return true;
}

/* The name of a feature bit, by the image's own table; "" where it has none. */
static void feature_name(const struct opening *o, unsigned kind, unsigned bit, char name[47])
{
    const struct qcow2_extension *x = &o->features;

    name[0] = '\0';
    for (uint32_t i = 0; i + QCOW2_FEATURE_BYTES <= x->len; i += QCOW2_FEATURE_BYTES) {
        const uint8_t *row = x->data + i;

        if (row[0] != kind || row[1] != bit)
            continue;
        memcpy(name, row + 2, 46);
        name[46] = '\0';
        for (char *c = name; *c; c++)
            if (*c < ' ' || *c > '~')
                *c = '?';
    }
}

static bool features_check(const struct opening *o, struct err *e)
{
    uint64_t unknown = o->q->header.incompatible & ~(uint64_t)QCOW2_INCOMPAT_KNOWN;
    char name[47];
    unsigned bit;

    if (!unknown)
        return true;
    bit = (unsigned)__builtin_ctzll(unknown);
    feature_name(o, FEATURE_INCOMPATIBLE, bit, name);
    return err_set(e, ERR_UNSUPPORTED,
                   "the image needs incompatible feature %u (%s), which is not "
                   "known here",
                   bit, name[0] ? name : "without a name");
}

/* Data files are refused, but not before the gate has seen their name. */
static bool data_file_refuse(const struct opening *o, struct err *e)
{
    AUTO(free) char *name = NULL;
    AUTO(free) char *path = NULL;
    struct err tried = ERR_INIT;

    if (!(o->q->header.incompatible & QCOW2_INCOMPAT_DATA_FILE))
        return true;
    name = mem_textn(o->data_file.data ? (const char *)o->data_file.data : "", o->data_file.len, e);
    if (!name)
        return false;
    if (name[0] && o->img->gate) {
        io_free(gate_open(o->img->gate, o->img->path, name, 0, &path, &tried));
        if (tried.kind == ERR_GATE)
            return err_set(e, tried.kind, "%s", tried.text);
    }
    return err_set(e, ERR_UNSUPPORTED,
                   "the guest's data is in an external data file ('%s'), which is not supported; "
                   "'qemu-img convert' makes one file of both",
                   name);
}

static bool backing_read(struct opening *o, struct err *e)
{
    struct qcow2 *q = o->q;
    const struct qcow2_header *h = &q->header;

    if (!h->backing_pos || !h->backing_len)
        return true;
    q->backing_name = mem_textn((const char *)o->head + h->backing_pos, h->backing_len, e);
    return q->backing_name;
}

static bool extra_add(struct image *img, const char *key, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static bool extra_add(struct image *img, const char *key, struct err *e, const char *fmt, ...)
{
    char text[256]; /* ours are shorter; a long name is cut */
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return opt_pairs_add(&img->facts.extra, key, text, e);
}

/* Feature bits nobody here knows, and which may be ignored when reading. */
static bool features_list(const struct opening *o, unsigned kind, uint64_t bits, const char *key,
                          struct err *e)
{
    char name[47];

    for (; bits; bits &= bits - 1) {
        unsigned bit = (unsigned)__builtin_ctzll(bits);

        feature_name(o, kind, bit, name);
        if (!extra_add(o->img, key, e, "%u%s%s%s", bit, name[0] ? " (" : "", name,
                       name[0] ? ")" : ""))
            return false;
    }
    return true;
}

static bool facts_fill(struct opening *o, struct err *e)
{
    const struct qcow2_header *h = &o->q->header;
    struct image *img = o->img;
    struct image_facts *f = &img->facts;
    bool zstd = h->compression == QCOW2_COMPRESSION_ZSTD;

    f->cluster_size = o->q->geo.cluster_size;
    f->dirty = h->incompatible & QCOW2_INCOMPAT_DIRTY;
    f->corrupt = h->incompatible & QCOW2_INCOMPAT_CORRUPT;
    o->q->codec = zstd ? &codec_zstd : &codec_deflate;
    f->compression = mem_text(zstd ? "zstd" : "zlib", e);
    if (!f->compression)
        return false;
    if (h->crypt) {
        f->encryption = mem_text(h->crypt == QCOW2_CRYPT_AES ? "AES" : "LUKS", e);
        if (!f->encryption)
            return false;
    }
    return extra_add(img, "compat", e, "%s", h->version == 2 ? "0.10" : "1.1") &&
           extra_add(img, "refcount_bits", e, "%u", 1u << h->refcount_order) &&
           (h->version == 2 ||
            (extra_add(img, "lazy_refcounts", e, "%s",
                       h->compatible & QCOW2_COMPAT_LAZY_REFCOUNTS ? "yes" : "no") &&
             extra_add(img, "extended_l2", e, "%s",
                       h->incompatible & QCOW2_INCOMPAT_EXTENDED_L2 ? "yes" : "no"))) &&
           features_list(o, FEATURE_COMPATIBLE,
                         h->compatible & ~(uint64_t)QCOW2_COMPAT_LAZY_REFCOUNTS,
                         "unknown compatible feature", e) &&
           features_list(o, FEATURE_AUTOCLEAR,
                         h->autoclear &
                             ~(uint64_t)(QCOW2_AUTOCLEAR_BITMAPS | QCOW2_AUTOCLEAR_RAW_DATA),
                         "unknown autoclear feature", e);
}

static bool bitmap_list(void *user, const struct qcow2_bitmap *bitmap, const char *name,
                        struct err *e)
{
    struct image *img = user;
    AUTO(free) char *text = mem_format(e, "dirty bitmap '%s'", name);

    (void)bitmap;
    return text && opt_texts_add(&img->facts.dropped, text, e) &&
           opt_pairs_add(&img->facts.extra, "bitmap", name, e);
}

/* "Bitmaps extension": count, reserved, directory size, directory offset. Bitmaps say what changed
 * since a backup: one that cannot be read costs nothing but itself. */
static bool bitmaps_read(struct opening *o, struct err *e)
{
    struct qcow2 *q = o->q;
    const struct qcow2_extension *x = &o->bitmaps;
    struct err damage = ERR_INIT;

    if (!x->data)
        return true;
    if (x->len >= 24) {
        q->bitmap_count = get_be32(x->data);
        q->bitmap_dir = (struct qcow2_range){get_be64(x->data + 16), get_be64(x->data + 8)};
        if (qcow2_bitmaps_each(o->img, bitmap_list, o->img, &damage))
            return true;
        if (damage.kind != ERR_FORMAT)
            return err_set(e, damage.kind, "%s", damage.text);
    }
    q->bitmap_count = 0;
    return opt_texts_add(&o->img->facts.dropped, "dirty bitmaps whose directory is damaged", e);
}

/* Recorded names of qemu's protocol layers stand for plain bytes. */
static bool backing_format_settle(struct qcow2 *q, struct err *e)
{
    char *name = q->backing_format;

    if (!name || (strcmp(name, "file") != 0 && strcmp(name, "host_device") != 0))
        return true;
    q->backing_format = mem_text("raw", e);
    free(name);
    return q->backing_format;
}

static bool opening_run(struct opening *o, struct err *e)
{
    struct qcow2 *q = o->q;

    if (!head_read(o, e))
        return false;
    qcow2_geometry_set(&q->geo, &q->header);
    pages_init(&q->pages, o->img->io, q->geo.cluster_size);
    q->l1_pos = q->header.l1_pos;
    q->l1_entries = q->header.l1_entries;
    o->img->size = q->header.size;
    o->img->sector_size = 512;
    if (!extensions_read(o, e) || !features_check(o, e) || !data_file_refuse(o, e) ||
        !backing_read(o, e) || !backing_format_settle(q, e) || !facts_fill(o, e))
        return false;
    if (o->crypt.data && o->crypt.len >= 16)
        q->crypt = (struct qcow2_range){get_be64(o->crypt.data), get_be64(o->crypt.data + 8)};
    return qcow2_snapshots_read(o->img, e) && bitmaps_read(o, e);
}

bool qcow2_open(struct image *img, struct err *e)
{
    struct opening o = {.img = img, .q = mem_new(struct qcow2, e)};
    bool ok;

    if (!o.q)
        return false;
    img->state = o.q;
    ok = opening_run(&o, e);
    free(o.head);
    return ok;
}

void qcow2_close(struct image *img)
{
    struct qcow2 *q = img->state;

    if (!q)
        return;
    pages_release(&q->pages);
    free(q->backing_name);
    free(q->backing_format);
    free(q->snapshot_l1);
    free(q);
    img->state = NULL;
}

bool qcow2_parent(struct image *img, struct parent_ref *ret, struct err *e)
{
    const struct qcow2 *q = img->state;

    if (!q->backing_name)
        return true;
    ret->name = mem_text(q->backing_name, e);
    if (ret->name && q->backing_format && q->backing_format[0])
        ret->format = mem_text(q->backing_format, e);
    return ret->name && (ret->format || !q->backing_format || !q->backing_format[0]);
}
