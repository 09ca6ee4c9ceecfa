/* What else the engine is good for: measuring a target without writing it, estimating a copy, and
 * comparing two images. */
#include "copy_engine.h"

#include "bytes.h"
#include "mem.h"

#include <stdio.h>

bool copy_measure(struct image *source, uint64_t size, struct target *t, bool fast,
                  unsigned workers, struct err *e)
{
    struct copy c = {.source = source, .size = size, .target = t, .workers = workers};
    struct engine *g = mem_new(struct engine, e);
    bool ok;

    if (!g)
        return false;
    g->measuring = true;
    g->fast = fast;
    ok = engine_init(g, &c, e) && engine_run(g, e);
    engine_release(g);
    free(g);
    return ok;
}

bool copy_estimate(struct image *source, struct copy_estimate *ret, struct err *e)
{
    struct copy_estimate sum = {0};

    for (uint64_t at = 0; at < source->size;) {
        struct extent x;

        if (!image_map(source, at, source->size - at, &x, e))
            return false;
        if (x.kind == EXTENT_DATA) {
            sum.data += x.len;
            sum.stored += !x.codec ? x.len : x.skip == 0 ? x.stored : 0;
        }
        at += x.len;
    }
    *ret = sum;
    return true;
}

bool image_compare(struct image *a, struct image *b, bool strict, unsigned workers, bool *ret_same,
                   uint64_t *ret_offset, struct err *e)
{
    struct copy c = {.source = a, .size = MAX(a->size, b->size), .workers = workers};
    struct engine *g;
    struct err found = ERR_INIT;
    bool ok;

    *ret_same = true;
    if (strict && a->size != b->size) {
        *ret_same = false;
        *ret_offset = MIN(a->size, b->size);
        return true;
    }
    g = mem_new(struct engine, e);
    if (!g)
        return false;
    g->other = b;
    ok = engine_init(g, &c, &found) && engine_run(g, &found);
    if (!ok && found.kind == ERR_DIFFERS) {
        *ret_same = false;
        *ret_offset = g->differs_at;
        ok = true;
    } else if (!ok) {
        *e = found;
    }
    engine_release(g);
    free(g);
    return ok;
}
