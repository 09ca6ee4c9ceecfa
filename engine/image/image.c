/* Images: the driver registry, probing, opening one layer, and the checked front door of map.
 * Chains are opened in chain.c; guest bytes are fetched in fetch.c. */
#include "image.h"

#include "bytes.h"
#include "driver.h"
#include "fetch.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <inttypes.h>
#include <string.h>

enum {
    PROBE_HEAD = 64 << 10, /* the farthest signature of a known format lies at 32 KiB */
    PROBE_TAIL = 4 << 10,  /* trailers are at most 1 KiB long, some images are padded after them */
};

static const struct driver *const *registered;

void drivers_register(const struct driver *const *table)
{
    registered = table;
}

const struct driver *const *drivers_all(void)
{
    static const struct driver *const none[] = {NULL};

    return registered ? registered : none;
}

const struct driver *driver_find(const char *name)
{
    for (const struct driver *const *d = drivers_all(); *d; d++) {
        if (strcmp((*d)->name, name) == 0)
            return *d;
        for (const char *const *alias = (*d)->aliases; alias && *alias; alias++)
            if (strcmp(*alias, name) == 0)
                return *d;
    }
    return NULL;
}

const struct driver *driver_named(const char *name, struct err *e)
{
    const struct driver *found = driver_find(name);
    const char *names[64]; /* more formats than there are */
    size_t n = 0;
    int near;

    if (found)
        return found;
    for (const struct driver *const *d = drivers_all(); *d && n < ARRAY_LEN(names); d++)
        names[n++] = (*d)->name;
    near = text_nearest(name, names, n);
    err_set(e, ERR_USAGE, "there is no format '%s'%s%s%s; 'strata formats' lists them", name,
            near < 0 ? "" : "; did you mean '", near < 0 ? "" : names[near], near < 0 ? "" : "'?");
    return NULL;
}

bool driver_known(const char *name, struct err *e)
{
    return driver_named(name, e);
}

void parent_ref_release(struct parent_ref *p)
{
    if (!p)
        return;
    free(p->name);
    free(p->format);
    free(p->identity);
    *p = (struct parent_ref){0};
}

static void facts_release(struct image_facts *f)
{
    free(f->subformat);
    free(f->compression);
    free(f->encryption);
    free(f->identity);
    for (size_t i = 0; i < f->snapshot_count; i++) {
        free(f->snapshots[i].id);
        free(f->snapshots[i].name);
    }
    free(f->snapshots);
    opt_pairs_release(&f->extra);
    opt_texts_release(&f->dropped);
}

static void layer_free(struct image *img)
{
    if (img->driver && img->driver->close)
        img->driver->close(img);
    facts_release(&img->facts);
    io_free(img->io);
    gate_free(img->gate);
    free(img->path);
    free(img);
}

void image_free(struct image *img)
{
    while (img) {
        struct image *parent = img->parent;

        layer_free(img);
        img = parent;
    }
}

/* The driver with the highest score; an equal score goes to the earlier one. */
static const struct driver *probe(struct io *io, const char *path, struct err *e)
{
    AUTO(free) uint8_t *bytes = mem_alloc(PROBE_HEAD + PROBE_TAIL, e);
    size_t head = MIN(io->size, (uint64_t)PROBE_HEAD), tail = MIN(io->size, (uint64_t)PROBE_TAIL);
    const struct driver *best = NULL;
    struct probe p;
    int top = 0;

    if (!bytes || !io_read(io, 0, bytes, head, e) ||
        !io_read(io, io->size - tail, bytes + PROBE_HEAD, tail, e))
        return NULL;
    p = (struct probe){path, bytes, head, bytes + PROBE_HEAD, tail, io->size};
    for (const struct driver *const *d = drivers_all(); *d; d++) {
        int score = (*d)->probe ? (*d)->probe(&p) : 0;

        if (score > top) {
            top = score;
            best = *d;
        }
    }
    if (!best)
        err_set(e, ERR_UNSUPPORTED, "'%s' is of no known format", path);
    return best;
}

struct lock_wish {
    struct image *img;
    enum image_lock mode;
};

static bool lock_file(void *user, const char *path, struct io *io, unsigned layer, struct err *e)
{
    const struct lock_wish *wish = user;
    struct err held = ERR_INIT;

    (void)layer;
    if (io->fd < 0)
        return true;
    if (wish->mode == IMAGE_LOCK_READ)
        return file_lock(io, FILE_LOCK_READ, e);
    if (!file_lock_test(io, FILE_LOCK_READ, &held))
        log_warn("%s: what is read may be changing", held.kind ? held.text : path);
    return true;
}

static bool layer_files(struct image *img, image_file_fn *fn, void *user, unsigned layer,
                        struct err *e)
{
    if (img->driver->files)
        return img->driver->files(img, fn, user, layer, e);
    return fn(user, img->path, img->io, layer, e);
}

static bool check_opened(struct image *img, struct err *e)
{
    if (img->sector_size != 512 && img->sector_size != 4096)
        return err_set(e, ERR_UNSUPPORTED, "'%s' has sectors of %u bytes; 512 and 4096 are known",
                       img->path, img->sector_size);
    if (img->size > img->driver->limits.size_max || img->size > INT64_MAX)
        return err_set(e, ERR_FORMAT, "'%s' claims a size of %s, more than %s can hold", img->path,
                       SIZE_TEXT(img->size), img->driver->name);
    return true;
}

struct image *image_open_io(struct io *io, const char *path, struct gate *gate,
                            const struct image_options *options, struct err *e)
{
    struct image *img = mem_new(struct image, e);
    struct lock_wish wish = {img, options->lock};
    bool guessed = false;

    if (!img) {
        io_free(io);
        return NULL;
    }
    img->io = io;
    img->sector_size = 512;
    img->gate = gate ? gate_ref(gate) : NULL;
    img->snapshot = options->snapshot;
    img->path = mem_text(path, e);
    if (!img->path)
        goto fail;
    if (options->format)
        img->driver = driver_named(options->format, e);
    else if ((img->driver = probe(io, path, e)) != NULL)
        guessed = strcmp(img->driver->name, "raw") == 0;
    if (!img->driver)
        goto fail;
    if (!img->driver->open(img, e) || !check_opened(img, e)) {
        err_while(e, "opening '%s' as %s", path, img->driver->name);
        goto fail;
    }
    if (guessed && !opt_pairs_add(&img->facts.extra, "probed", "raw", e))
        goto fail;
    if (options->lock != IMAGE_LOCK_NONE && !layer_files(img, lock_file, &wish, 0, e))
        goto fail;
    img->snapshot = NULL;
    return img;
fail:
    layer_free(img);
    return NULL;
}

bool image_map_layer(struct image *img, uint64_t at, uint64_t want, struct extent *ret,
                     struct err *e)
{
    if (!want || !range_inside(at, want, img->size))
        return err_set(e, ERR_BUG, "a map of [%" PRIu64 ", +%" PRIu64 ") was asked of '%s'", at,
                       want, img->path);
    *ret = (struct extent){.at = at};
    if (!img->driver->map(img, at, want, ret, e))
        return err_while(e, "looking up guest offset %" PRIu64 " of '%s'", at, img->path);
    if (ret->at != at || !ret->len || ret->len > want || (ret->kind == EXTENT_DATA && !ret->io))
        return err_set(e, ERR_BUG, "%s answered a map at %" PRIu64 " wrongly", img->driver->name,
                       at);
    if (ret->kind != EXTENT_DATA)
        return true;
    if (!ret->codec) {
        if (!ret->padded && !range_inside(ret->pos, ret->len, ret->io->size))
            return err_set(e, ERR_FORMAT,
                           "'%s' is cut short: guest offset %" PRIu64 " lies at %" PRIu64
                           ", the file has %" PRIu64 " bytes",
                           ret->io->name, at, ret->pos, ret->io->size);
        return true;
    }
    if (ret->unit_len > IMAGE_UNIT_MAX || ret->skip >= ret->unit_len ||
        ret->len > ret->unit_len - ret->skip || ret->stored > IMAGE_STORED_MAX)
        return err_set(e, ERR_FORMAT,
                       "'%s' has a coded unit of %u bytes at %" PRIu64 ", more than is handled",
                       img->path, ret->unit_len, ret->pos);
    if (ret->pos >= ret->io->size)
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short: the coded data of guest offset %" PRIu64
                       " lies at %" PRIu64 ", the file has %" PRIu64 " bytes",
                       ret->io->name, at, ret->pos, ret->io->size);
    ret->stored = (uint32_t)MIN((uint64_t)ret->stored, ret->io->size - ret->pos);
    return true;
}

bool image_map(struct image *img, uint64_t at, uint64_t want, struct extent *ret, struct err *e)
{
    for (; img; img = img->parent) {
        if (at >= img->size)
            break; /* past a smaller parent's end: zeroes */
        want = MIN(want, img->size - at);
        if (!image_map_layer(img, at, want, ret, e))
            return false;
        if (ret->kind != EXTENT_ABSENT)
            return true;
        want = ret->len;
    }
    *ret = (struct extent){.at = at, .len = want, .kind = EXTENT_ZERO};
    return true;
}

bool image_read(struct image *img, uint64_t at, void *buf, size_t len, struct err *e)
{
    struct fetch fetch = {0};
    uint8_t *out = buf;
    bool ok = true;

    if (!range_inside(at, len, img->size))
        return err_set(e, ERR_BUG, "a read of [%" PRIu64 ", +%zu) was asked of '%s'", at, len,
                       img->path);
    while (ok && len) {
        struct extent x;

        ok = image_map(img, at, len, &x, e) && fetch_extent(&fetch, &x, out, e);
        if (ok) {
            out += x.len;
            at += x.len;
            len -= (size_t)x.len;
        }
    }
    fetch_release(&fetch);
    return ok;
}

bool image_files(struct image *img, image_file_fn *fn, void *user, struct err *e)
{
    for (unsigned layer = 0; img; img = img->parent, layer++)
        if (!layer_files(img, fn, user, layer, e))
            return false;
    return true;
}

static bool add_allocated(void *user, const char *path, struct io *io, unsigned layer,
                          struct err *e)
{
    uint64_t *sum = user;

    (void)path;
    (void)layer;
    (void)e;
    *sum += io->fd >= 0 ? file_allocated(io) : io->size;
    return true;
}

uint64_t image_allocated(struct image *img)
{
    struct err ignored = ERR_INIT;
    uint64_t sum = 0;

    layer_files(img, add_allocated, &sum, 0, &ignored);
    return sum;
}

unsigned image_depth(const struct image *img)
{
    unsigned depth = 0;

    for (; img; img = img->parent)
        depth++;
    return depth;
}
