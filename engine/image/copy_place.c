/* The coordinator's side: items in guest order are placed, their segments become writes, and the
 * journal learns what was placed; and the writing itself, which any worker does afterwards. */
#include "copy_engine.h"

#include "bytes.h"
#include "driver.h"
#include "file.h"

#include <inttypes.h>
#include <string.h>

struct placing {
    struct engine *g;
    struct item *it;
    const struct piece *piece;
    size_t segment; /* the first not wholly written yet */
};

bool place_all(struct engine *g, const struct place *want, struct err *e,
               bool (*each)(void *user, const struct place *p, const struct placed *placed,
                            struct err *e),
               void *user)
{
    struct place p = *want;

    while (p.len) {
        struct placed placed;

        if (!target_place(g->target, &p, &placed, e))
            return false;
        if (!each(user, &p, &placed, e))
            return false;
        p.at += placed.len;
        p.len -= placed.len;
    }
    return true;
}

static bool add_write(struct item *it, struct write w, struct err *e)
{
    struct write *last = it->writes.count ? &it->writes.items[it->writes.count - 1] : NULL;

    if (last && last->kind == w.kind && last->file == w.file && last->pos + last->len == w.pos &&
        ((w.kind == WRITE_DATA && last->data + last->len == w.data) ||
         (w.kind == WRITE_CLONE && last->from == w.from &&
          last->from_pos + last->len == w.from_pos) ||
         w.kind == WRITE_ZERO)) {
        last->len += w.len;
        return true;
    }
    return VEC_PUSH(&it->writes, w, e);
}

/* The writes of one plain answer: the segments that lie in it. */
static bool add_segments(struct placing *pl, uint64_t at, const struct placed *placed,
                         struct err *e)
{
    struct item *it = pl->it;
    uint64_t end = at + placed->len;

    for (size_t i = pl->segment; i < it->segments.count; i++) {
        const struct segment *s = &it->segments.items[i];
        uint64_t from = MAX(s->at, at), to = MIN(s->at + s->len, end);
        struct write w = {.file = placed->file,
                          .pos = placed->pos + (from - at),
                          .len = to - from,
                          .data = it->data + (from - it->at)};

        if (s->at >= end)
            break;
        if (s->at + s->len <= end)
            pl->segment = i + 1;
        if (to <= from)
            continue;
        if (s->clone) {
            w.kind = WRITE_CLONE;
            w.from = s->clone;
            w.from_pos = s->pos + (from - s->at);
        }
        if (!add_write(it, w, e))
            return false;
    }
    return true;
}

/* What lies behind the data in the last unit of an answer must read zero. */
static bool zero_tail(struct placing *pl, uint64_t end, const struct placed *placed, struct err *e)
{
    struct target *t = pl->g->target;
    struct io *io = t->files.items[placed->file].io;
    uint64_t tail = end == t->size ? round_up(end, t->unit) - end : 0;
    uint64_t pos = placed->pos + placed->len;

    if (!tail || io->fresh || pos >= io->size)
        return true;
    tail = MIN(tail, io->size - pos);
    return add_write(
        pl->it, (struct write){.kind = WRITE_ZERO, .file = placed->file, .pos = pos, .len = tail},
        e);
}

static bool placed_piece(void *user, const struct place *p, const struct placed *placed,
                         struct err *e)
{
    struct placing *pl = user;
    struct engine *g = pl->g;

    if (g->c->measure || !placed->stored)
        return true;
    if (p->kind == PLACE_CODED) {
        if (placed->len != p->len)
            return err_set(e, ERR_BUG, "%s split a coded unit", g->target->driver->name);
        return add_write(pl->it,
                         (struct write){.file = placed->file,
                                        .pos = placed->pos,
                                        .len = p->stored,
                                        .data = pl->it->coded + pl->piece->coded_pos},
                         e);
    }
    if (p->kind == PLACE_PLAIN)
        return add_segments(pl, p->at, placed, e) && zero_tail(pl, p->at + placed->len, placed, e);
    if (g->target->files.items[placed->file].io->fresh)
        return true;
    return add_write(
        pl->it,
        (struct write){
            .kind = WRITE_ZERO, .file = placed->file, .pos = placed->pos, .len = placed->len},
        e);
}

static bool place_pieces(struct engine *g, struct item *it, struct err *e)
{
    struct placing pl = {.g = g, .it = it};

    for (size_t i = 0; i < it->pieces.count; i++) {
        struct place p;

        pl.piece = &it->pieces.items[i];
        p = (struct place){pl.piece->at, pl.piece->len, pl.piece->kind, pl.piece->stored};
        if (!place_all(g, &p, e, placed_piece, &pl))
            return false;
        record_place(g, &p);
    }
    return queue_take(g, it, e);
}

bool queue_take(struct engine *g, struct item *it, struct err *e)
{
    struct target *t = g->target;

    if (g->c->measure) {
        meta_release(t->queue.items, t->queue.count);
    } else if (t->queue.count) {
        if (!VEC_RESERVE(&it->meta, t->queue.count, e))
            return false;
        memcpy(it->meta.items + it->meta.count, t->queue.items,
               t->queue.count * sizeof(*t->queue.items));
        it->meta.count += t->queue.count;
    }
    t->queue.count = 0;
    return true;
}

/* Chunk digests of an item, in order: to the tree, the journal and the caller. */
static bool pass_digests(struct engine *g, struct item *it, struct err *e)
{
    uint64_t full = it->gap ? it->len / DIGEST_CHUNK : 0;
    struct digest_value v;

    if (!it->hashed) {
        g->tree_broken = true;
        return true;
    }
    if (it->gap && full) {
        digest_zero_chunk(DIGEST_CHUNK, &v);
        for (uint64_t i = 0; i < full; i++) {
            digest_add(g->tree, v.bytes, DIGEST_SIZE);
            if (g->c->chunk && !g->c->chunk(g->c->user, it->at + i * DIGEST_CHUNK, &v, e))
                return false;
        }
        record_chunk(g, NULL, full);
    }
    for (uint64_t off = full * DIGEST_CHUNK; off < it->len; off += DIGEST_CHUNK) {
        size_t i = off / DIGEST_CHUNK;
        bool zero = !it->gap && it->zero[i];

        if (it->gap || zero)
            digest_zero_chunk(MIN(it->len - off, (uint64_t)DIGEST_CHUNK), &v);
        else
            v = it->digests[i];
        digest_add(g->tree, v.bytes, DIGEST_SIZE);
        record_chunk(g, zero ? NULL : &v, 1);
        if (g->c->chunk && !g->c->chunk(g->c->user, it->at + off, &v, e))
            return false;
    }
    return true;
}

bool item_place(struct engine *g, struct item *it, struct err *e)
{
    if (it->differs_at != UINT64_MAX) {
        g->c->differs_at = it->differs_at;
        return err_set(e, ERR_DIFFERS, "the contents differ at offset %" PRIu64, it->differs_at);
    }
    if (g->target && !place_pieces(g, it, e))
        return false;
    if (g->hash && !pass_digests(g, it, e))
        return false;
    if (g->c->consume && !g->c->consume(g->c->user, it->at, it->gap ? NULL : it->data, it->len, e))
        return false;
    return record_item(g, it, e);
}

void meta_release(struct target_write *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].data);
}

bool meta_write(struct engine *g, struct target_write *list, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++)
        if (!io_write(g->target->files.items[list[i].file].io, list[i].pos, list[i].data,
                      list[i].len, e))
            return false;
    return true;
}

static bool write_one(struct engine *g, const struct write *w, struct err *e)
{
    struct io *io = g->target->files.items[w->file].io;
    struct err no_clone = ERR_INIT;

    switch (w->kind) {
    case WRITE_DATA:
        return io_write(io, w->pos, w->data, w->len, e);
    case WRITE_CLONE:
        if (file_clone(w->from, w->from_pos, io, w->pos, w->len, &no_clone))
            return true;
        if (no_clone.kind != ERR_UNSUPPORTED)
            return err_set(e, no_clone.kind, "%s", no_clone.text);
        return io_read(w->from, w->from_pos, w->data, w->len, e) &&
               io_write(io, w->pos, w->data, w->len, e);
    case WRITE_ZERO:
        return io_zero(io, w->pos, w->len, e);
    }
    return false;
}

bool item_write(struct engine *g, struct item *it, struct worker *w, struct err *e)
{
    for (size_t i = 0; i < it->writes.count; i++) {
        const struct write *op = &it->writes.items[i];

        if (!write_one(g, op, e))
            return err_while(e, "writing guest offset %" PRIu64 " of '%s'", it->at,
                             g->target->name);
        if (op->kind == WRITE_DATA) {
            w->written += op->len;
            if (g->c->sync)
                io_flush_hint(g->target->files.items[op->file].io, op->pos, op->len);
        }
    }
    return meta_write(g, it->meta.items, it->meta.count, e);
}
