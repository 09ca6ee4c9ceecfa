/* What a worker does to an item on its own: read or decode, hash each chunk, find the zeroes,
 * encode.
 *
 * The result is a list of pieces (what the driver will place: whole units of the target, plain,
 * coded or zero) and, inside the plain ones, segments (what is worth writing: all but zero pages,
 * or blocks that can be shared instead of copied). */
#include "copy_engine.h"

#include "bytes.h"

#include <string.h>

size_t item_coded_room(const struct engine *g)
{
    const struct target *t = g->target;

    if (!t || !t->coder || g->c->measure)
        return 0;
    return ITEM_SIZE / t->coded_unit * t->coder->bound(t->coded_unit);
}

/* True when the extent's blocks can be shared with the target instead of being read. */
static bool can_clone(const struct engine *g, const struct extent *x)
{
    return g->clone && x->kind == EXTENT_DATA && !x->codec && x->io->fd >= 0 &&
           x->pos % PAGE == 0 && x->at % PAGE == 0 &&
           (x->len % PAGE == 0 || x->at + x->len == g->size) &&
           range_inside(x->pos, x->len, x->io->size);
}

static bool read_extents(struct engine *g, struct item *it, struct worker *w, struct err *e)
{
    bool all = g->hash && (!g->clone || g->c->digest_clones);

    for (size_t i = 0; i < it->extents.count; i++) {
        const struct extent *x = &it->extents.items[i];

        if (!all && can_clone(g, x))
            continue;
        if (!fetch_extent(&w->fetch, x, it->data + (x->at - it->at), e))
            return false;
    }
    it->hashed = all;
    for (size_t i = 0; g->hash && !all && i < it->extents.count; i++)
        if (can_clone(g, &it->extents.items[i]))
            return true;
    it->hashed = g->hash;
    return true;
}

static void hash_chunks(struct item *it)
{
    for (uint64_t off = 0; off < it->len; off += DIGEST_CHUNK) {
        size_t n = MIN(it->len - off, (uint64_t)DIGEST_CHUNK), i = off / DIGEST_CHUNK;

        it->zero[i] = n == DIGEST_CHUNK && bytes_zero(it->data + off, n);
        if (!it->zero[i])
            digest_sha256(it->data + off, n, &it->digests[i]);
    }
}

static bool add_piece(struct item *it, struct piece p, struct err *e)
{
    struct piece *last = it->pieces.count ? &it->pieces.items[it->pieces.count - 1] : NULL;

    if (last && last->kind == p.kind && p.kind != PLACE_CODED) {
        last->len += p.len;
        return true;
    }
    return VEC_PUSH(&it->pieces, p, e);
}

static bool add_segment(struct item *it, struct segment s, struct err *e)
{
    struct segment *last = it->segments.count ? &it->segments.items[it->segments.count - 1] : NULL;

    if (last && last->at + last->len == s.at && last->clone == s.clone &&
        (!s.clone || last->pos + last->len == s.pos)) {
        last->len += s.len;
        return true;
    }
    return VEC_PUSH(&it->segments, s, e);
}

/* Segments of [at, at+len) from the buffer: every page that is not zero, or all of it when the
 * target's store does not read zero by itself. */
static bool scan_pages(struct engine *g, struct item *it, uint64_t at, uint64_t len, struct err *e)
{
    if (!g->c->measure && !g->target->files.items[0].io->fresh)
        return add_segment(it, (struct segment){.at = at, .len = len}, e);
    for (uint64_t n; len; at += n, len -= n) {
        n = MIN(len, PAGE - at % PAGE);
        if (!bytes_zero(it->data + (at - it->at), n) &&
            !add_segment(it, (struct segment){.at = at, .len = n}, e))
            return false;
    }
    return true;
}

/* One unit that holds data, in the form that is written. */
static bool encode_unit(struct engine *g, struct item *it, uint64_t at, uint64_t len,
                        size_t *coded_pos, struct worker *w, struct err *e)
{
    struct target *t = g->target;
    struct piece p = {.at = at, .len = len, .kind = PLACE_CODED, .coded_pos = *coded_pos};
    uint64_t in = t->coded_tail ? len : t->coded_unit;
    size_t bound = t->coder->bound(in), n;
    uint8_t *data = it->data + (at - it->at);

    if (g->c->measure) {
        p.stored = (uint32_t)bound;
        if (t->coded_only)
            return add_piece(it, p, e);
        p.kind = PLACE_PLAIN;
        return add_piece(it, p, e);
    }
    if (in > len)
        memset(data + len, 0, in - len);
    if (!w->fetch.codecs && !(w->fetch.codecs = codec_state_new(e)))
        return false;
    n = t->coder->encode(w->fetch.codecs, at, data, in, it->coded + *coded_pos,
                         t->coded_only ? bound : MIN(bound, t->coded_unit - 1), t->coder_level);
    if (n) {
        p.stored = (uint32_t)n;
        *coded_pos += n;
        return add_piece(it, p, e);
    }
    if (t->coded_only)
        return err_set(e, ERR_BUG, "%s did not encode a unit of %s", t->coder->name, t->name);
    p.kind = PLACE_PLAIN;
    return add_piece(it, p, e) && scan_pages(g, it, at, len, e);
}

/* Does the map name data in [at, at+len)? *next: the extent to begin with, as `at` ascends. */
static bool maps_data(const struct item *it, uint64_t at, uint64_t len, size_t *next)
{
    const struct extent *x = it->extents.items;

    while (*next < it->extents.count && x[*next].at + x[*next].len <= at)
        ++*next;
    for (size_t i = *next; i < it->extents.count && x[i].at < at + len; i++)
        if (x[i].kind == EXTENT_DATA)
            return true;
    return false;
}

/* Pieces and segments by the buffer's contents, or by the map alone, as if no data were zero. */
static bool scan_buffer(struct engine *g, struct item *it, struct worker *w, struct err *e)
{
    uint64_t unit = g->target->coder ? g->target->coded_unit : g->target->unit;
    uint64_t end = it->at + it->len;
    size_t coded_pos = 0, next = 0;

    for (uint64_t at = it->at, n; at < end; at += n) {
        n = MIN(unit - at % unit, end - at);
        if (g->c->measure == MEASURE_MAP ? !maps_data(it, at, n, &next)
                                         : bytes_zero(it->data + (at - it->at), n)) {
            if (!add_piece(it, (struct piece){.at = at, .len = n, .kind = PLACE_ZERO}, e))
                return false;
        } else if (g->target->coder) {
            if (!encode_unit(g, it, at, n, &coded_pos, w, e))
                return false;
        } else if (!add_piece(it, (struct piece){.at = at, .len = n, .kind = PLACE_PLAIN}, e) ||
                   (!g->c->measure && !scan_pages(g, it, at, n, e))) {
            return false;
        }
    }
    return true;
}

/* Clone mode: a unit is plain when any data lies in it; what cannot be shared is scanned. */
static bool scan_clones(struct engine *g, struct item *it, struct err *e)
{
    uint64_t unit = g->target->unit, end = it->at + it->len, covered = it->at;

    for (size_t i = 0; i < it->extents.count; i++) {
        const struct extent *x = &it->extents.items[i];
        uint64_t from = MAX(round_down(x->at, unit), covered);
        uint64_t to = MIN(round_up(x->at + x->len, unit), end);
        bool shared = can_clone(g, x);

        if (x->kind != EXTENT_DATA || (!shared && bytes_zero(it->data + (x->at - it->at), x->len)))
            continue;
        if (shared ? !add_segment(it, (struct segment){x->at, x->len, x->io, x->pos}, e)
                   : !scan_pages(g, it, x->at, x->len, e))
            return false;
        if (from > covered &&
            !add_piece(it, (struct piece){.at = covered, .len = from - covered, .kind = PLACE_ZERO},
                       e))
            return false;
        if (to > from &&
            !add_piece(it, (struct piece){.at = from, .len = to - from, .kind = PLACE_PLAIN}, e))
            return false;
        covered = MAX(covered, to);
    }
    return covered == end ||
           add_piece(it, (struct piece){.at = covered, .len = end - covered, .kind = PLACE_ZERO},
                     e);
}

static bool compare(struct item *it, struct worker *w, struct err *e)
{
    for (size_t i = 0; i < it->other.count; i++) {
        const struct extent *x = &it->other.items[i];

        if (!fetch_extent(&w->fetch, x, it->other_data + (x->at - it->at), e))
            return false;
    }
    if (memcmp(it->data, it->other_data, it->len) == 0)
        return true;
    for (uint64_t i = 0; i < it->len; i++) {
        if (it->data[i] != it->other_data[i]) {
            it->differs_at = it->at + i;
            break;
        }
    }
    return true;
}

bool item_process(struct engine *g, struct item *it, struct worker *w, struct err *e)
{
    if (it->gap) {
        it->hashed = g->hash;
        return !g->target ||
               add_piece(it, (struct piece){.at = it->at, .len = it->len, .kind = PLACE_ZERO}, e);
    }
    if (g->c->measure == MEASURE_MAP)
        return scan_buffer(g, it, w, e);
    throttle_wait(g->c->throttle, it->data_bytes,
                  g->c->stop); /* told to stop, it is still finished */
    if (!read_extents(g, it, w, e))
        return false;
    if (it->hashed)
        hash_chunks(it);
    if (g->c->other)
        return compare(it, w, e);
    if (!g->target)
        return true;
    return g->clone ? scan_clones(g, it, e) : scan_buffer(g, it, w, e);
}
