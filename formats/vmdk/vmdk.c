/* VMDK: VMware's disk format. This file opens disks and maps the guest over their extents; the
 * layouts of the extents are in hosted.c, stream.c, cowd.c and sesparse.c, writing begins in
 * write.c.
 *
 * A disk is one of
 *   - a sparse file that carries its own descriptor (monolithicSparse, streamOptimized): the file
 *     is the extent, whatever name the descriptor has for it (files are renamed);
 *   - a text descriptor that names its extents: flat and sparse files, holes (ZERO);
 *   - a sparse extent without any descriptor, opened by itself. */
#include "vmdk.h"

#include "bytes.h"
#include "formats.h"
#include "log.h"
#include "mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int vmdk_probe(const struct probe *p)
{
    return vmdk_header_magic(p->head, p->head_len) || vmdk_cowd_magic(p->head, p->head_len) ||
                   vmdk_sesparse_magic(p->head, p->head_len) ||
                   descriptor_begins(p->head, p->head_len)
               ? 100
               : 0;
}

static void extent_release(struct vmdk_extent *x)
{
    io_free(x->sparse.tables);
    io_free(x->io);
    free(x->path);
}

static void vmdk_close(struct image *img)
{
    struct vmdk *v = img->state;

    if (!v)
        return;
    for (size_t i = 0; i < v->extents.count; i++)
        extent_release(&v->extents.items[i]);
    free(v->extents.items);
    tables_release(&v->tables);
    descriptor_release(&v->desc);
    free(v);
    img->state = NULL;
}

/* Sets up a sparse extent by the magic of its file. */
static bool open_sparse(struct vmdk_extent *x, struct err *e)
{
    uint8_t head[VMDK_SECTOR];
    struct vmdk_header h;

    x->form = FORM_SPARSE;
    if (x->io->size < VMDK_SECTOR)
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short: its header has 512 bytes, the file %" PRIu64, x->path,
                       x->io->size);
    if (!io_read(x->io, 0, head, sizeof(head), e))
        return false;
    if (vmdk_header_unpack(head, &h))
        return hosted_open(x, &h, e);
    if (vmdk_cowd_magic(head, sizeof(head)))
        return cowd_open(x, head, e);
    if (vmdk_sesparse_magic(head, sizeof(head)))
        return sesparse_open(x, head, e);
    return err_set(e, ERR_FORMAT, "the extent '%s' has no header of a sparse extent", x->path);
}

/* Appends an extent behind the others; takes it over, on failure too. */
static bool add_extent(struct vmdk *v, struct vmdk_extent *x, struct err *e)
{
    const struct vmdk_extent *last =
        v->extents.count ? &v->extents.items[v->extents.count - 1] : NULL;

    x->start = last ? last->start + last->len : 0;
    if (VEC_PUSH(&v->extents, *x, e))
        return true;
    extent_release(x);
    return false;
}

/* The opened file as the only extent. */
static bool add_own(struct image *img, struct vmdk *v, struct err *e)
{
    struct vmdk_extent x = {.io = io_ref(img->io), .path = mem_text(img->path, e)};

    if (!x.path || !open_sparse(&x, e)) {
        extent_release(&x);
        return false;
    }
    x.len = x.sparse.capacity;
    v->embedded = true;
    return add_extent(v, &x, e);
}

static bool check_line(const struct desc_extent *line, unsigned number, uint64_t total,
                       struct err *e)
{
    if (!line->sectors)
        return err_set(e, ERR_FORMAT, "extent %u of the descriptor has no sectors", number);
    if (line->sectors > VMDK_SIZE_MAX / VMDK_SECTOR ||
        total + line->sectors * VMDK_SECTOR > VMDK_SIZE_MAX)
        return err_set(e, ERR_FORMAT,
                       "the extents of the descriptor add up to more than 64 TiB: extent %u has "
                       "%" PRIu64 " sectors",
                       number, line->sectors);
    if (line->type == DESC_DEVICE)
        return err_set(e, ERR_UNSUPPORTED,
                       "extent %u is a raw device mapping (%s '%s'): its bytes are on that device; "
                       "name the device itself as a raw disk, or clone the disk to a file in ESXi",
                       number, line->word, line->name);
    if (line->name && strncmp(line->name, "\\\\.\\", 4) == 0)
        return err_set(e, ERR_UNSUPPORTED,
                       "extent %u is a drive of a Windows host ('%s'): its bytes are not in a file",
                       number, line->name);
    if (line->access == DESC_NOACCESS && line->type != DESC_ZERO)
        return err_set(e, ERR_UNSUPPORTED,
                       "extent %u ('%s') is marked NOACCESS: its contents are not to be read",
                       number, line->name);
    if (line->offset > INT64_MAX / VMDK_SECTOR)
        return err_set(e, ERR_FORMAT, "extent %u begins at sector %" PRIu64 " of '%s'", number,
                       line->offset, line->name);
    return true;
}

/* The file of an extent. Extents that follow each other in one file share it. */
static bool open_file(struct image *img, struct vmdk *v, const char *name, const char *before,
                      struct vmdk_extent *x, struct err *e)
{
    if (before && strcmp(name, before) == 0) {
        const struct vmdk_extent *last = &v->extents.items[v->extents.count - 1];

        x->io = io_ref(last->io);
        x->path = mem_text(last->path, e);
        return x->path != NULL;
    }
    if (!img->gate)
        return err_set(e, ERR_UNSUPPORTED,
                       "the disk is in a file of its own, '%s', which cannot be reached from '%s'",
                       name, img->path);
    x->io = gate_open(img->gate, img->path, name, 0, &x->path, e);
    return x->io != NULL;
}

static bool open_flat(struct vmdk_extent *x, const struct desc_extent *line, struct err *e)
{
    x->form = FORM_FLAT;
    x->label = "flat";
    x->offset = line->offset * VMDK_SECTOR;
    if (!range_inside(x->offset, x->len, x->io->size))
        return err_set(e, ERR_FORMAT,
                       "the extent '%s' is cut short: the descriptor says %" PRIu64
                       " bytes at offset %" PRIu64 ", the file has %" PRIu64,
                       x->path, x->len, x->offset, x->io->size);
    return true;
}

static bool open_line(struct image *img, struct vmdk *v, size_t i, struct err *e)
{
    const struct desc_extent *line = &v->desc.extents.items[i];
    const struct desc_extent *before = i ? line - 1 : NULL;
    struct vmdk_extent x = {.len = line->sectors * VMDK_SECTOR, .form = FORM_ZERO, .label = "zero"};
    bool ok = true;

    if (line->type != DESC_ZERO)
        ok = open_file(img, v, line->name, before ? before->name : NULL, &x, e);
    if (ok && line->type == DESC_FLAT)
        ok = open_flat(&x, line, e);
    if (ok && line->type == DESC_SPARSE) {
        ok = open_sparse(&x, e);
        if (ok && x.len > x.sparse.capacity)
            ok = err_set(e, ERR_FORMAT,
                         "the descriptor gives extent '%s' %" PRIu64
                         " sectors, its own header only %" PRIu64,
                         x.path, line->sectors, x.sparse.capacity / VMDK_SECTOR);
    }
    if (!ok) {
        extent_release(&x);
        return false;
    }
    return add_extent(v, &x, e);
}

static bool open_lines(struct image *img, struct vmdk *v, struct err *e)
{
    uint64_t total = 0;

    if (!v->desc.extents.count)
        return err_set(e, ERR_FORMAT, "the descriptor '%s' names no extents", img->path);
    for (size_t i = 0; i < v->desc.extents.count; i++) {
        if (!check_line(&v->desc.extents.items[i], (unsigned)i + 1, total, e))
            return false;
        total += v->desc.extents.items[i].sectors * VMDK_SECTOR;
    }
    for (size_t i = 0; i < v->desc.extents.count; i++)
        if (!open_line(img, v, i, e))
            return false;
    return true;
}

static bool check_parent(const struct image *img, const struct descriptor *d, struct err *e)
{
    if (d->has_parent_cid && d->parent_cid != DESCRIPTOR_NO_PARENT && !d->parent_hint)
        return err_set(e, ERR_FORMAT,
                       "the descriptor of '%s' has a parent (%08" PRIx32
                       ") but does not name its file",
                       img->path, d->parent_cid);
    if (!d->has_parent_cid && d->parent_hint)
        return err_set(e, ERR_FORMAT,
                       "the descriptor of '%s' names a parent without its content id", img->path);
    return true;
}

static bool read_descriptor(struct image *img, struct vmdk *v, uint64_t at, uint64_t len,
                            struct err *e)
{
    AUTO(free) char *text = NULL;

    if (len > DESCRIPTOR_MAX)
        return err_set(e, ERR_FORMAT,
                       "the descriptor of '%s' has %" PRIu64 " bytes, %d are the most", img->path,
                       len, DESCRIPTOR_MAX);
    text = mem_alloc((size_t)len, e);
    if (!text || !io_read(img->io, at, text, (size_t)len, e))
        return false;
    if (at && bytes_zero(text, (size_t)len))
        return true; /* the room that some writers leave in extents of a larger disk */
    v->described = true;
    return (descriptor_parse(text, (size_t)len, &v->desc, e) ||
            err_while(e, "in '%s'", img->path)) &&
           check_parent(img, &v->desc, e);
}

/* The descriptor inside a sparse file must mean that file. Its size may be less than the header's,
 * which some writers round up to grains. */
static bool check_own(const struct image *img, struct vmdk *v, struct err *e)
{
    struct vmdk_extent *x = &v->extents.items[0];
    const struct desc_extent *line = v->desc.extents.items;

    if (v->desc.extents.count > 1)
        return err_set(e, ERR_UNSUPPORTED,
                       "'%s' is a sparse file whose own descriptor lists %zu extents", img->path,
                       v->desc.extents.count);
    if (!v->desc.extents.count)
        return true;
    if (!line->sectors || line->sectors > x->len / VMDK_SECTOR)
        return err_set(e, ERR_FORMAT,
                       "the header of '%s' says that the disk has %" PRIu64
                       " sectors, its descriptor %" PRIu64,
                       img->path, x->len / VMDK_SECTOR, line->sectors);
    x->len = line->sectors * VMDK_SECTOR;
    return true;
}

/* A sparse header in front: normally the disk itself, with capacity 0 only a descriptor's holder.
 */
static bool open_hosted(struct image *img, struct vmdk *v, const struct vmdk_header *h,
                        struct err *e)
{
    uint64_t at = h->desc_at, len = h->desc_len;

    if (h->capacity && !add_own(img, v, e))
        return false;
    if (!at && h->capacity)
        return true;
    if (at > img->io->size / VMDK_SECTOR || len > img->io->size / VMDK_SECTOR || !at || !len)
        return err_set(e, ERR_FORMAT, "the header of '%s' has a capacity of 0 and no descriptor",
                       img->path);
    if (!read_descriptor(img, v, at * VMDK_SECTOR, len * VMDK_SECTOR, e))
        return false;
    return h->capacity ? check_own(img, v, e) : open_lines(img, v, e);
}

static bool open_by_kind(struct image *img, struct vmdk *v, struct err *e)
{
    uint8_t head[VMDK_SECTOR];
    struct vmdk_header h;

    if (!io_read_padded(img->io, 0, head, sizeof(head), e))
        return false;
    if (vmdk_header_unpack(head, &h) && img->io->size >= VMDK_SECTOR)
        return open_hosted(img, v, &h, e);
    if (vmdk_header_magic(head, sizeof(head)) || vmdk_cowd_magic(head, sizeof(head)) ||
        vmdk_sesparse_magic(head, sizeof(head)))
        return add_own(img, v, e);
    return read_descriptor(img, v, 0, img->io->size, e) && open_lines(img, v, e);
}

static const char *subformat(const struct vmdk *v)
{
    const struct vmdk_extent *x = &v->extents.items[0];

    if (v->desc.create_type && *v->desc.create_type)
        return v->desc.create_type;
    if (v->described)
        return "custom";
    return x->sparse.codec ? "streamOptimized" : x->label;
}

static bool add_fact(struct image *img, const char *key, const char *value, struct err *e)
{
    return !value || opt_pairs_add(&img->facts.extra, key, value, e);
}

static bool note_descriptor(struct image *img, const struct vmdk *v, struct err *e)
{
    const struct descriptor *d = &v->desc;
    AUTO(free) char *tracked = NULL;

    if (d->has_cid) {
        img->facts.identity = mem_format(e, "%08" PRIx32, d->cid);
        if (!img->facts.identity)
            return false;
    }
    if (d->change_track) {
        tracked = mem_format(e, "changed block tracking ('%s')", d->change_track);
        if (!tracked || !opt_texts_add(&img->facts.dropped, tracked, e))
            return false;
    }
    return add_fact(img, "adapter_type", opt_pairs_get(&d->ddb, "adapterType"), e) &&
           add_fact(img, "hw_version", opt_pairs_get(&d->ddb, "virtualHWVersion"), e) &&
           add_fact(img, "long_content_id", opt_pairs_get(&d->ddb, "longContentID"), e) &&
           add_fact(img, "thin", opt_pairs_get(&d->ddb, "thinProvisioned"), e);
}

static bool note_facts(struct image *img, struct vmdk *v, struct err *e)
{
    char count[16];

    for (size_t i = 0; i < v->extents.count; i++) {
        const struct vmdk_extent *x = &v->extents.items[i];

        if (x->form != FORM_SPARSE)
            continue;
        if (!img->facts.cluster_size)
            img->facts.cluster_size = x->sparse.grain;
        if (x->sparse.codec && !img->facts.compression) {
            img->facts.compression = mem_text("zlib", e);
            if (!img->facts.compression)
                return false;
        }
        img->facts.dirty |= x->sparse.unclean;
    }
    img->facts.subformat = mem_text(subformat(v), e);
    snprintf(count, sizeof(count), "%zu", v->extents.count);
    return img->facts.subformat && add_fact(img, "extents", count, e) &&
           (!v->described || note_descriptor(img, v, e));
}

static bool vmdk_open(struct image *img, struct err *e)
{
    struct vmdk *v = mem_new(struct vmdk, e);
    const struct vmdk_extent *last;

    if (!v)
        return false;
    img->state = v;
    if (!open_by_kind(img, v, e))
        return false;
    last = &v->extents.items[v->extents.count - 1];
    img->size = last->start + last->len;
    img->sector_size = VMDK_SECTOR;
    if (!v->described)
        log_warn("'%s' is an extent without a descriptor: if its disk has a parent, only the "
                 "disk's own .vmdk text names it",
                 img->path);
    return note_facts(img, v, e);
}

static struct vmdk_extent *find_extent(struct vmdk *v, uint64_t at)
{
    size_t low = 0, high = v->extents.count;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (v->extents.items[mid].start <= at)
            low = mid;
        else
            high = mid;
    }
    return &v->extents.items[low];
}

static bool map_flat(struct vmdk_extent *x, uint64_t at, uint64_t want, struct extent *ret,
                     struct err *e)
{
    enum io_extent_kind kind;
    uint64_t pos = x->offset + at;

    if (!range_inside(pos, want, x->io->size))
        return err_set(e, ERR_FORMAT, "the extent '%s' is cut short at %" PRIu64 " bytes", x->path,
                       x->io->size);
    if (!io_extent(x->io, pos, want, &kind, &ret->len, e))
        return false;
    ret->kind = kind == IO_HOLE ? EXTENT_ZERO : EXTENT_DATA;
    ret->io = x->io;
    ret->pos = pos;
    return true;
}

static bool vmdk_map(struct image *img, uint64_t at, uint64_t want, struct extent *ret,
                     struct err *e)
{
    struct vmdk *v = img->state;
    struct vmdk_extent *x = find_extent(v, at);
    uint64_t inside = at - x->start;

    want = MIN(want, x->len - inside);
    switch (x->form) {
    case FORM_FLAT:
        return map_flat(x, inside, want, ret, e);
    case FORM_SPARSE:
        return sparse_map(v, x, inside, want, ret, e);
    case FORM_ZERO:
        ret->kind = EXTENT_ZERO;
        ret->len = want;
        return true;
    }
    return false;
}

static bool vmdk_parent(struct image *img, struct parent_ref *ret, struct err *e)
{
    const struct vmdk *v = img->state;
    const struct descriptor *d = &v->desc;

    if (!d->has_parent_cid || d->parent_cid == DESCRIPTOR_NO_PARENT)
        return true;
    ret->name = mem_text(d->parent_hint, e);
    ret->format = mem_text("vmdk", e);
    ret->identity = mem_format(e, "%08" PRIx32, d->parent_cid);
    return ret->name && ret->format && ret->identity;
}

static bool vmdk_files(struct image *img, image_file_fn *fn, void *user, unsigned layer,
                       struct err *e)
{
    const struct vmdk *v = img->state;
    const struct io *before = img->io;

    if (!fn(user, img->path, img->io, layer, e))
        return false;
    for (size_t i = 0; i < v->extents.count; i++) {
        const struct vmdk_extent *x = &v->extents.items[i];

        if (!x->io || x->io == before)
            continue;
        if (!fn(user, x->path, x->io, layer, e))
            return false;
        before = x->io;
    }
    return true;
}

static const char *const vmdk_suffixes[] = {"vmdk", NULL};

const struct driver driver_vmdk = {
    .name = "vmdk",
    .help = "VMware disks: sparse, flat, streamOptimized, and the deltas of snapshots",
    .suffixes = vmdk_suffixes,
    .layout_version = 1,
    .limits =
        {
            .size_max = VMDK_SIZE_MAX,
            .size_multiple = VMDK_SECTOR,
            .zero_mark = true,
            .parents = true,
        },
    .probe = vmdk_probe,
    .open = vmdk_open,
    .close = vmdk_close,
    .map = vmdk_map,
    .parent = vmdk_parent,
    .files = vmdk_files,
    .check = vmdk_check,
    .options = vmdk_option_rows,
    .options_size = sizeof(struct vmdk_options),
    .create = vmdk_create,
    .place = vmdk_place,
    .seal = vmdk_seal,
    .discard = vmdk_discard,
};
