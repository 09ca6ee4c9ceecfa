/* Sparse extents: from a guest position through directory and table to grains, and the runs that a
 * map answers with. The layouts (hosted, COWD, seSparse) differ in their entries only: struct
 * sparse_ops.
 *
 * Where a hosted extent has a redundant directory, it stands in for a primary directory or table
 * that cannot be right. */
#include "vmdk.h"

#include "bytes.h"
#include "mem.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    PAGE_ENTRIES = 512,      /* the directory is read in pieces of so many entries */
    DIRECTORY_MAX = 1 << 20, /* bytes of a directory that is looked through when opening: more than
                                a disk of 2 TiB has */
    RUN_TABLES = 64,         /* a run is not followed through more tables: map stays quick */
};

uint64_t sparse_entry(const struct sparse *s, const uint8_t *table, unsigned i)
{
    return s->ops->entry == 8 ? get_le64(table + (size_t)i * 8) : get_le32(table + (size_t)i * 4);
}

static uint64_t table_bytes(const struct sparse *s)
{
    return (uint64_t)s->ops->entry * s->ops->entries;
}

static uint64_t directory_bytes(const struct sparse *s)
{
    return s->gd_count * s->ops->entry;
}

/* True where the extent's own descriptor and directories are. */
static bool in_metadata(const struct sparse *s, uint64_t pos, uint64_t len)
{
    return pos < VMDK_SECTOR || range_overlaps(pos, len, s->desc_at, s->desc_len) ||
           range_overlaps(pos, len, s->gd, directory_bytes(s)) ||
           (s->rgd && range_overlaps(pos, len, s->rgd, directory_bytes(s)));
}

static int by_position(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Tables that share bytes let a small file claim any amount of data. Directories up to
 * DIRECTORY_MAX are looked through; what they name is sorted, entries that mean nothing are left
 * to the look-up. */
static bool tables_apart(const struct vmdk_extent *x, uint64_t gd, bool *ret, struct err *e)
{
    const struct sparse *s = &x->sparse;
    AUTO(free) uint8_t *bytes = NULL;
    AUTO(free) uint64_t *positions = NULL;
    size_t n = 0;

    *ret = true;
    if (directory_bytes(s) > DIRECTORY_MAX)
        return true;
    bytes = mem_alloc((size_t)directory_bytes(s), e);
    positions = mem_array((size_t)s->gd_count, sizeof(*positions), e);
    if (!bytes || !positions || !io_read(s->tables, gd, bytes, (size_t)directory_bytes(s), e))
        return false;
    for (unsigned i = 0; i < s->gd_count; i++)
        if (s->ops->table(s, sparse_entry(s, bytes, i), &positions[n]) && positions[n])
            n++;
    qsort(positions, n, sizeof(*positions), by_position);
    for (size_t i = 1; i < n && *ret; i++)
        *ret = positions[i] - positions[i - 1] >= table_bytes(s);
    return true;
}

/* Whether there can be a directory at `gd`. */
static bool try_directory(const struct vmdk_extent *x, uint64_t gd, bool *ret_apart, bool *ret,
                          struct err *e)
{
    const struct sparse *s = &x->sparse;

    *ret = gd >= VMDK_SECTOR && range_inside(gd, directory_bytes(s), s->tables->size) &&
           (s->tables != x->io || !range_overlaps(gd, directory_bytes(s), s->desc_at, s->desc_len));
    if (!*ret)
        return true;
    if (!tables_apart(x, gd, ret_apart, e))
        return false;
    *ret = *ret_apart;
    return true;
}

bool sparse_directory(struct vmdk_extent *x, struct err *e)
{
    struct sparse *s = &x->sparse;
    bool primary, redundant, apart = true;

    /* capacity is at most 64 TiB: nothing here overflows */
    s->gd_count = div_up(s->capacity, s->grain * s->ops->entries);
    if (!try_directory(x, s->rgd, &apart, &redundant, e) ||
        !try_directory(x, s->gd, &apart, &primary, e))
        return false;
    if (!redundant)
        s->rgd = 0;
    if (primary)
        return true;
    if (redundant) {
        s->gd = s->rgd;
        s->rgd = 0;
        return true;
    }
    if (!apart)
        return err_set(e, ERR_FORMAT,
                       "the grain directory at offset %" PRIu64
                       " of '%s' is damaged: grain tables overlap",
                       s->gd, x->path);
    return err_set(e, ERR_FORMAT,
                   "'%s' is cut short or damaged: a grain directory of %" PRIu64
                   " entries at offset %" PRIu64 " has no place in the file of %" PRIu64 " bytes",
                   x->path, s->gd_count, s->gd, s->tables->size);
}

bool sparse_table(struct vmdk *v, struct vmdk_extent *x, bool redundant, uint64_t index,
                  uint64_t *ret_pos, struct err *e)
{
    const struct sparse *s = &x->sparse;
    uint64_t page = round_down(index, PAGE_ENTRIES), entry, pos;
    size_t len = (size_t)MIN(s->gd_count - page, (uint64_t)PAGE_ENTRIES) * s->ops->entry;
    uint64_t at = (redundant ? s->rgd : s->gd) + page * s->ops->entry;
    const uint8_t *data = tables_get(&v->tables, s->tables, at, len, e);

    if (!data)
        return err_while(e, "reading the grain directory of '%s'", x->path);
    entry = sparse_entry(s, data, (unsigned)(index - page));
    if (!s->ops->table(s, entry, &pos))
        return err_set(e, ERR_FORMAT,
                       "entry %" PRIu64 " of the grain directory of '%s' is damaged: 0x%" PRIx64,
                       index, x->path, entry);
    if (pos && !range_inside(pos, table_bytes(s), s->tables->size))
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short or damaged: grain table %" PRIu64
                       " should lie at offset %" PRIu64 ", the file has %" PRIu64 " bytes",
                       x->path, index, pos, s->tables->size);
    if (pos && in_metadata(s, pos, table_bytes(s)))
        return err_set(e, ERR_FORMAT,
                       "the grain directory of '%s' is damaged: grain table %" PRIu64
                       " at offset %" PRIu64 " lies in the header, descriptor or directory",
                       x->path, index, pos);
    *ret_pos = pos;
    return true;
}

/* A grain table at hand: entries NULL when there is none and the whole stretch is absent. */
struct table_view {
    uint64_t index;
    const uint8_t *entries;
};

static bool load_table(struct vmdk *v, struct vmdk_extent *x, bool redundant, uint64_t index,
                       const uint8_t **ret, struct err *e)
{
    const struct sparse *s = &x->sparse;
    uint64_t pos = 0;

    *ret = NULL;
    if (!sparse_table(v, x, redundant, index, &pos, e))
        return false;
    if (!pos)
        return true;
    *ret = tables_get(&v->tables, s->tables, pos, (size_t)table_bytes(s), e);
    return *ret || err_while(e, "reading grain table %" PRIu64 " of '%s'", index, x->path);
}

static bool view_table(struct vmdk *v, struct vmdk_extent *x, uint64_t index,
                       struct table_view *ret, struct err *e)
{
    struct err first = ERR_INIT, second = ERR_INIT;
    bool ok;

    ret->index = index;
    ok = load_table(v, x, false, index, &ret->entries, &first);
    if (ok && (ret->entries || !x->sparse.rgd))
        return true;
    if (x->sparse.rgd && load_table(v, x, true, index, &ret->entries, &second) && ret->entries)
        return true;
    ret->entries = NULL;
    return ok || err_set(e, first.kind, "%s", first.text);
}

/* Bytes of grain `number` that belong to the disk: the last one may be cut by the capacity. */
static uint64_t grain_len(const struct sparse *s, uint64_t number)
{
    return MIN(s->grain, s->capacity - number * s->grain);
}

static bool grain_fits(const struct vmdk_extent *x, uint64_t number, const struct grain *g)
{
    const struct sparse *s = &x->sparse;
    uint64_t len = s->codec ? 1 : grain_len(s, number);

    if (g->kind != GRAIN_DATA)
        return true;
    return range_inside(g->pos, len, x->io->size) &&
           (s->tables != x->io ? g->pos >= VMDK_SECTOR : !in_metadata(s, g->pos, len));
}

static bool bad_grain(const struct vmdk_extent *x, uint64_t number, uint64_t entry,
                      const struct grain *g, struct err *e)
{
    if (g->kind == GRAIN_DATA && !range_inside(g->pos, 1, x->io->size))
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short: grain %" PRIu64 " lies at offset %" PRIu64
                       ", the file has %" PRIu64 " bytes",
                       x->path, number, g->pos, x->io->size);
    if (g->kind == GRAIN_DATA && g->pos + grain_len(&x->sparse, number) > x->io->size)
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short: grain %" PRIu64 " at offset %" PRIu64 " needs %" PRIu64
                       " bytes, the file ends after %" PRIu64,
                       x->path, number, g->pos, grain_len(&x->sparse, number), x->io->size);
    return err_set(e, ERR_FORMAT,
                   "the grain table entry of grain %" PRIu64 " of '%s' is damaged: 0x%" PRIx64
                   " points into the disk's own tables or means nothing",
                   number, x->path, entry);
}

/* Grain `number`, whose table is at hand. */
static bool look_up(struct vmdk *v, struct vmdk_extent *x, const struct table_view *view,
                    uint64_t number, struct grain *ret, struct err *e)
{
    const struct sparse *s = &x->sparse;
    unsigned i = (unsigned)(number % s->ops->entries);
    const uint8_t *other;
    uint64_t entry;
    struct grain g = {0};
    struct err ignored = ERR_INIT;

    entry = sparse_entry(s, view->entries, i);
    if (s->ops->grain(s, entry, ret) && grain_fits(x, number, ret))
        return true;
    if (s->rgd && load_table(v, x, true, view->index, &other, &ignored) && other &&
        s->ops->grain(s, sparse_entry(s, other, i), &g) && grain_fits(x, number, &g)) {
        *ret = g;
        return true;
    }
    return bad_grain(x, number, entry, ret, e);
}

static bool is_next(const struct sparse *s, const struct grain *first, const struct grain *g,
                    uint64_t grains)
{
    return g->kind == first->kind &&
           (g->kind != GRAIN_DATA || g->pos == first->pos + grains * s->grain);
}

/* How far the kind of `first` goes on, in grains, to at most `most`. A damaged entry ends the run:
 * it is reported when it is asked for. */
static uint64_t follow(struct vmdk *v, struct vmdk_extent *x, struct table_view *view,
                       uint64_t number, const struct grain *first, uint64_t most)
{
    const struct sparse *s = &x->sparse;
    uint64_t run = 0;
    unsigned tables = 1;

    while (run < most) {
        uint64_t n = number + run, index = n / s->ops->entries;
        struct err ahead = ERR_INIT;
        struct grain g = {0};

        if (index != view->index &&
            (++tables > RUN_TABLES || !view_table(v, x, index, view, &ahead)))
            break;
        if (!view->entries) {
            if (first->kind != GRAIN_ABSENT)
                break;
            run += s->ops->entries - n % s->ops->entries;
            continue;
        }
        if (!look_up(v, x, view, n, &g, &ahead) || !is_next(s, first, &g, run))
            break;
        run++;
    }
    return MIN(run, most);
}

/* The grains of a stream usually follow each other: what the next one's position leaves is all that
 * this one can have. */
static uint32_t stored_bound(struct vmdk *v, struct vmdk_extent *x, const struct table_view *view,
                             uint64_t number, const struct grain *g)
{
    const struct sparse *s = &x->sparse;
    uint32_t bound = (uint32_t)grain_bound((size_t)s->grain);
    struct err ignored = ERR_INIT;
    struct grain next;

    if ((number + 1) % s->ops->entries == 0 || (number + 1) * s->grain >= s->capacity)
        return bound;
    if (!look_up(v, x, view, number + 1, &next, &ignored) || next.kind != GRAIN_DATA ||
        next.pos <= g->pos)
        return bound;
    return (uint32_t)MIN((uint64_t)bound, next.pos - g->pos);
}

/* The codec checks a grain's recorded position against the guest's. In an extent that does not
 * begin the disk those differ: there the marker is read here. */
static bool check_marker(const struct vmdk_extent *x, uint64_t number, uint64_t pos, struct err *e)
{
    uint8_t head[VMDK_MARKER_HEAD];
    struct vmdk_marker m;

    if (!io_read(x->io, pos, head, sizeof(head), e))
        return false;
    vmdk_marker_unpack(head, &m);
    if (m.value == number * (x->sparse.grain / VMDK_SECTOR))
        return true;
    return err_set(e, ERR_FORMAT,
                   "the marker at offset %" PRIu64 " of '%s' belongs to sector %" PRIu64
                   ", not to grain %" PRIu64,
                   pos, x->path, m.value, number);
}

static bool map_coded(struct vmdk *v, struct vmdk_extent *x, const struct table_view *view,
                      uint64_t number, const struct grain *g, uint64_t skip, uint64_t want,
                      struct extent *ret, struct err *e)
{
    const struct sparse *s = &x->sparse;
    uint64_t len = grain_len(s, number);

    ret->kind = EXTENT_DATA;
    ret->io = x->io;
    ret->pos = g->pos;
    ret->codec = s->codec;
    if (s->codec == &codec_grain && x->start) {
        if (!check_marker(x, number, g->pos, e))
            return false;
        ret->codec = &codec_grain_at;
    }
    ret->stored = stored_bound(v, x, view, number, g);
    ret->unit_len = (uint32_t)len;
    ret->skip = (uint32_t)skip;
    ret->len = MIN(want, len - skip);
    return true;
}

bool sparse_map(struct vmdk *v, struct vmdk_extent *x, uint64_t at, uint64_t want,
                struct extent *ret, struct err *e)
{
    const struct sparse *s = &x->sparse;
    uint64_t number = at / s->grain, skip = at % s->grain, run;
    struct table_view view;
    struct grain first = {.kind = GRAIN_ABSENT};

    if (!view_table(v, x, number / s->ops->entries, &view, e) ||
        (view.entries && !look_up(v, x, &view, number, &first, e)))
        return false;
    if (first.kind == GRAIN_DATA && s->codec)
        return map_coded(v, x, &view, number, &first, skip, want, ret, e);
    run = follow(v, x, &view, number, &first, div_up(skip + want, s->grain));
    ret->len = MIN(want, run * s->grain - skip);
    ret->kind = first.kind == GRAIN_DATA   ? EXTENT_DATA
                : first.kind == GRAIN_ZERO ? EXTENT_ZERO
                                           : EXTENT_ABSENT;
    if (first.kind == GRAIN_DATA) {
        ret->io = x->io;
        ret->pos = first.pos + skip;
    }
    return true;
}
