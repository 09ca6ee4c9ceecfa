/* The map iterator: cuts the guest into items of up to 2 MiB, with every extent in them.
 *
 * Where an item starts decides where it ends, so a resumed run, which starts at an item's border,
 * cuts the rest exactly as the interrupted one did. Long stretches of zeroes become one item
 * without buffers. */
#include "copy_engine.h"

#include "bytes.h"

void item_reset(struct item *it)
{
    it->extents.count = it->other.count = it->pieces.count = 0;
    it->segments.count = it->writes.count = 0;
    meta_release(it->meta.items, it->meta.count);
    it->meta.count = 0;
    it->gap = it->hashed = false;
    it->data_bytes = 0;
    it->differs_at = UINT64_MAX;
    it->next = NULL;
}

void item_release(struct item *it)
{
    item_reset(it);
    free(it->extents.items);
    free(it->other.items);
    free(it->pieces.items);
    free(it->segments.items);
    free(it->writes.items);
    free(it->meta.items);
    free(it->data);
    free(it->coded);
    free(it->other_data);
}

/* The view of an image: past its end it reads zero. */
static bool view_map(struct image *img, uint64_t at, uint64_t want, struct extent *ret,
                     struct err *e)
{
    if (at >= img->size) {
        *ret = (struct extent){.at = at, .len = want, .kind = EXTENT_ZERO};
        return true;
    }
    return image_map(img, at, MIN(want, img->size - at), ret, e);
}

/* Bytes from `at` on that read zero, up to `want`; stops at the first data. The map is asked for
 * little first and for twice as much after every stretch of zeroes: where data follows, a driver
 * that joins what lies together must not walk to its far end each time. */
static bool zero_run(struct image *img, uint64_t at, uint64_t want, uint64_t *ret, struct err *e)
{
    uint64_t n = 0, window = ITEM_SIZE;

    while (n < want) {
        struct extent x;

        if (!view_map(img, at + n, MIN(want - n, window), &x, e))
            return false;
        if (x.kind == EXTENT_DATA)
            break;
        n += x.len;
        window = MIN(window * 2, (uint64_t)TIB);
    }
    *ret = n;
    return true;
}

/* Extents of [at, at+len): neighbours that continue each other are merged. */
static bool collect(struct image *img, uint64_t at, uint64_t len, struct item *it, bool other,
                    struct err *e)
{
    uint64_t end = at + len;

    while (at < end) {
        struct extent x;
        bool ok;

        if (!view_map(img, at, end - at, &x, e))
            return false;
        ok = other ? VEC_PUSH(&it->other, x, e) : VEC_PUSH(&it->extents, x, e);
        if (!ok)
            return false;
        if (x.kind == EXTENT_DATA)
            it->data_bytes += x.len;
        at += x.len;
    }
    return true;
}

bool item_next(struct engine *g, struct item *it, struct err *e)
{
    uint64_t left = g->size - g->next_at, zeroes, other;

    it->at = g->next_at;
    it->len = MIN(left, (uint64_t)ITEM_SIZE);
    if (!zero_run(g->c->source, it->at, left, &zeroes, e))
        return false;
    if (g->c->other && zeroes) {
        if (!zero_run(g->c->other, it->at, zeroes, &other, e))
            return false;
        zeroes = MIN(zeroes, other);
    }
    if (zeroes == left || zeroes >= ITEM_SIZE) {
        it->gap = true;
        it->len = zeroes == left ? left : round_down(zeroes, ITEM_SIZE);
        return true;
    }
    return collect(g->c->source, it->at, it->len, it, false, e) &&
           (!g->c->other || collect(g->c->other, it->at, it->len, it, true, e));
}
