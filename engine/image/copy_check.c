/* Checkpoints: what the journal holds, how it is committed beside the workers, and how it is
 * replayed.
 *
 * The journal is two byte strings per checkpoint, covering the guest without gaps:
 *   placements: per call, in guest order
 *       kind | length in sectors << 2 (varint)        PLAIN, ZERO, ABSENT; the last may be short of
 * a sector CODED | units << 2 (varint), then the stored length of each unit (varint) digests: per
 * run of chunks 0, count (varint)                             chunks of zeroes 1, 32 bytes one
 * chunk A checkpoint first takes the bytes of the items that are written, then syncs the target,
 * then commits. */
#include "copy_engine.h"

#include "bytes.h"
#include "clock.h"
#include "file.h"
#include "mem.h"

#include <inttypes.h>
#include <string.h>

enum { SECTOR = 512, DIGEST_ZEROES = 0, DIGEST_VALUE = 1 };
enum { CACHE_KEEP = 1 << 30 }; /* bytes written that may stay in the page cache */

static bool journalled(const struct engine *g)
{
    return g->c->journal && g->target && !g->c->measure;
}

void record_place(struct engine *g, const struct place *p)
{
    if (!journalled(g))
        return;
    if (p->kind == PLACE_CODED) {
        buf_varint(&g->placements, (uint64_t)p->kind | 1 << 2);
        buf_varint(&g->placements, p->stored);
        return;
    }
    buf_varint(&g->placements, (uint64_t)p->kind | div_up(p->len, SECTOR) << 2);
}

void record_chunk(struct engine *g, const struct digest_value *value, uint64_t zero_chunks)
{
    if (!journalled(g))
        return;
    buf_char(&g->digests, value ? DIGEST_VALUE : DIGEST_ZEROES);
    if (value)
        buf_add(&g->digests, value->bytes, DIGEST_SIZE);
    else
        buf_varint(&g->digests, zero_chunks);
}

bool record_item(struct engine *g, const struct item *it, struct err *e)
{
    struct record_mark mark = {it->seq, it->at + it->len, g->placements.len, g->digests.len};

    if (!journalled(g))
        return true;
    if (!buf_ok(&g->placements, e) || !buf_ok(&g->digests, e))
        return false;
    pthread_mutex_lock(&g->lock);
    bool ok = VEC_PUSH(&g->marks, mark, e);
    pthread_mutex_unlock(&g->lock);
    return ok;
}

bool target_sync(struct engine *g, struct err *e)
{
    for (size_t i = 0; i < g->target->files.count; i++)
        if (!io_sync(g->target->files.items[i].io, e))
            return false;
    return true;
}

/* Drops the first n bytes. */
static void consume(struct buf *b, size_t n)
{
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

/* Waits for the coordinator's seat, whose buffers the checkpoint cuts. */
static void take_seat(struct engine *g)
{
    while (g->placing)
        pthread_cond_wait(&g->changed, &g->lock);
    g->placing = true;
}

static void leave_seat(struct engine *g)
{
    g->placing = false;
    pthread_cond_broadcast(&g->changed);
}

/* Copies what a commit needs: the journal bytes of the items before done_seq. *ret_n: marks
 * covered. */
static bool gather(struct engine *g, struct buf *placements, struct buf *digests, size_t *ret_n,
                   struct record_mark *ret_last, struct err *e)
{
    size_t n = 0;

    while (n < g->marks.count && g->marks.items[n].seq < g->done_seq)
        n++;
    *ret_n = n;
    if (!n)
        return true;
    *ret_last = g->marks.items[n - 1];
    buf_add(placements, g->placements.data, ret_last->placements_end);
    buf_add(digests, g->digests.data, ret_last->digests_end);
    return buf_ok(placements, e) && buf_ok(digests, e);
}

/* The journal bytes up to a mark were committed: forget them. */
static void forget(struct engine *g, size_t n, const struct record_mark *last)
{
    memmove(g->marks.items, g->marks.items + n, (g->marks.count - n) * sizeof(*g->marks.items));
    g->marks.count -= n;
    for (size_t i = 0; i < g->marks.count; i++) {
        g->marks.items[i].placements_end -= last->placements_end;
        g->marks.items[i].digests_end -= last->digests_end;
    }
    if (last->placements_end)
        consume(&g->placements, last->placements_end);
    if (last->digests_end)
        consume(&g->digests, last->digests_end);
}

bool checkpoint(struct engine *g, struct err *e)
{
    AUTO(buf_release) struct buf placements = {0}, digests = {0};
    struct record_mark last = {0};
    size_t n = 0;
    bool ok;

    pthread_mutex_lock(&g->lock);
    take_seat(g);
    ok = !g->sync_failed && gather(g, &placements, &digests, &n, &last, e);
    leave_seat(g);
    pthread_mutex_unlock(&g->lock);
    if (!ok || !n)
        return ok;
    if (!target_sync(g, e)) {
        pthread_mutex_lock(&g->lock);
        g->sync_failed = true;
        pthread_mutex_unlock(&g->lock);
        return false;
    }
    if (!g->c->journal->commit(g->c->journal->user, last.at, placements.data, placements.len,
                               digests.data, digests.len, e))
        return false;
    pthread_mutex_lock(&g->lock);
    take_seat(g);
    forget(g, n, &last);
    leave_seat(g);
    pthread_mutex_unlock(&g->lock);
    progress_report(g, true);
    return true;
}

/* A large copy would push everything else out of the page cache: what it has written goes from
 * there as soon as it is on the disk. Small results stay, whoever made them may want them next. */
static void drop_written(struct engine *g)
{
    bool large;

    pthread_mutex_lock(&g->lock);
    large = g->written_bytes > CACHE_KEEP;
    pthread_mutex_unlock(&g->lock);
    for (size_t i = 0; large && i < g->target->files.count; i++)
        file_drop_cache(g->target->files.items[i].io, 0, 0);
}

/* Sleeps until a checkpoint is due; false when the engine is ending. The lock is held. */
static bool wait_due(struct engine *g, uint64_t *due)
{
    uint64_t every_bytes = g->c->checkpoint_bytes ? g->c->checkpoint_bytes : 256 * MIB;

    while (!g->check_stop) {
        uint64_t now = clock_mono();
        struct timespec ts;

        if (now >= *due || g->done_bytes - g->looked_bytes >= every_bytes)
            return true;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        ts.tv_nsec += 50 * 1000 * 1000; /* the byte count is looked at 20 times a second */
        if (ts.tv_nsec >= 1000000000) {
            ts.tv_nsec -= 1000000000;
            ts.tv_sec++;
        }
        pthread_cond_timedwait(&g->check_wake, &g->lock, &ts);
    }
    return false;
}

static void *check_main(void *arg)
{
    struct engine *g = arg;
    uint64_t every = g->c->checkpoint_ns ? g->c->checkpoint_ns : UINT64_C(2000000000);
    uint64_t due =
        clock_mono() + every / 4; /* the first one early: a young run can be resumed too */

    pthread_mutex_lock(&g->lock);
    while (wait_due(g, &due)) {
        struct err e = ERR_INIT;
        bool ok;

        pthread_mutex_unlock(&g->lock);
        ok = !journalled(g) || checkpoint(g, &e);
        drop_written(g);
        pthread_mutex_lock(&g->lock);
        if (!ok) {
            engine_fail(g, &e);
            break;
        }
        g->looked_bytes = g->done_bytes;
        due = clock_mono() + every;
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

bool checkpoint_start(struct engine *g, struct err *e)
{
    int rc;

    if (!g->target || g->c->measure || !(g->c->sync || journalled(g)))
        return true;
    rc = pthread_create(&g->check_thread, NULL, check_main, g);
    if (rc)
        return err_errno(e, ERR_IO, rc, "starting the checkpoint thread");
    g->check_started = true;
    return true;
}

void checkpoint_stop(struct engine *g)
{
    if (!g->check_started)
        return;
    pthread_mutex_lock(&g->lock);
    g->check_stop = true;
    pthread_cond_broadcast(&g->check_wake);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->check_thread, NULL);
    g->check_started = false;
}

static bool damaged(struct err *e)
{
    return err_set(e, ERR_IO, "the journal of this run is damaged; '--fresh' starts it over");
}

/* What a store holds back at its start was lost with the process, though the journal has it: it is
 * read from the source again. */
static bool refill(void *user, const struct place *p, const struct placed *placed, struct err *e)
{
    struct engine *g = user;
    struct io *io = g->target->files.items[placed->file].io;
    struct image *source = g->c->source;
    AUTO(free) uint8_t *buf = NULL;
    uint64_t n, inside;

    if (p->kind != PLACE_PLAIN || !placed->stored || placed->pos >= io->held)
        return true;
    n = MIN(placed->len, io->held - placed->pos);
    inside = p->at < source->size ? MIN(n, source->size - p->at) : 0;
    buf = mem_alloc(n, e);
    return buf && image_read(source, p->at, buf, inside, e) && io_write(io, placed->pos, buf, n, e);
}

/* Places one recorded call again; the metadata it queues is written again too. */
static bool replay_place(struct engine *g, struct place p, struct err *e)
{
    struct target *t = g->target;

    if (!p.len || !range_inside(p.at, p.len, t->size))
        return damaged(e);
    if (!place_all(g, &p, e, refill, g))
        return false;
    if (!meta_write(g, t->queue.items, t->queue.count, e))
        return false;
    meta_release(t->queue.items, t->queue.count);
    t->queue.count = 0;
    return true;
}

static bool replay_placements(struct engine *g, const void *data, size_t len, struct err *e)
{
    struct target *t = g->target;
    size_t pos = 0;

    while (pos < len) {
        struct place p = {.at = t->at};
        uint64_t head, n;

        if (!varint_get(data, len, &pos, &head))
            return damaged(e);
        p.kind = (enum place_kind)(head & 3);
        n = head >> 2;
        if (n > UINT64_MAX / SECTOR)
            return damaged(e);
        if (p.kind != PLACE_CODED) {
            p.len = MIN(n * SECTOR, t->size - t->at);
            if (!replay_place(g, p, e))
                return false;
            continue;
        }
        while (n--) {
            uint64_t stored;

            if (!varint_get(data, len, &pos, &stored) || stored > IMAGE_STORED_MAX ||
                !t->coded_unit)
                return damaged(e);
            p.at = t->at;
            p.len = MIN(t->coded_unit, t->size - t->at);
            p.stored = (uint32_t)stored;
            if (!replay_place(g, p, e))
                return false;
        }
    }
    return true;
}

static bool replay_digests(struct engine *g, const void *data, size_t len, struct err *e)
{
    const uint8_t *p = data;
    struct digest_value zero;
    size_t pos = 0;

    digest_zero_chunk(DIGEST_CHUNK, &zero);
    while (pos < len) {
        uint8_t kind = p[pos++];
        uint64_t n;

        if (kind == DIGEST_VALUE) {
            if (len - pos < DIGEST_SIZE)
                return damaged(e);
            digest_add(g->tree, p + pos, DIGEST_SIZE);
            pos += DIGEST_SIZE;
        } else {
            if (!varint_get(data, len, &pos, &n) || n > g->size / DIGEST_CHUNK)
                return damaged(e);
            while (n--)
                digest_add(g->tree, zero.bytes, DIGEST_SIZE);
        }
    }
    return true;
}

static bool replay_one(void *user, const void *placements, size_t placements_len,
                       const void *digests, size_t digests_len, struct err *e)
{
    struct engine *g = user;

    if (!replay_placements(g, placements, placements_len, e))
        return false;
    if (g->hash && !digests_len)
        g->tree_broken = true;
    return !g->hash || replay_digests(g, digests, digests_len, e);
}

/* Whatever lies behind the durable prefix is dropped: it is written again. */
static bool cut_tail(struct engine *g, struct err *e)
{
    for (size_t i = 0; i < g->target->files.count; i++) {
        struct target_file *f = &g->target->files.items[i];

        if (f->io->device)
            continue;
        if (f->io->size > f->end && !io_resize(f->io, f->end, e))
            return false;
        f->io->fresh = true;
    }
    return true;
}

bool journal_replay(struct engine *g, struct err *e)
{
    if (!journalled(g) || !g->c->journal->replay)
        return true;
    if (!g->c->journal->replay(g->c->journal->user, replay_one, g, e))
        return err_while(e, "replaying the journal");
    if (!g->target->at)
        return true;
    g->next_at = g->target->at;
    return cut_tail(g, e);
}
