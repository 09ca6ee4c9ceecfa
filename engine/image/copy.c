/* The copy engine: set-up, the workers' loop, progress and the end.
 *
 * Every worker does whatever comes next: write an item that was placed, place the next item in
 * guest order, or map and process a new one. Writing comes first, so that buffers are free again
 * soonest. The lock covers the bookkeeping alone; mapping and placing are done by one worker at a
 * time outside it. */
#include "copy_engine.h"

#include "bytes.h"
#include "clock.h"
#include "mem.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

static unsigned worker_count(const struct copy *c)
{
    long online = c->workers ? (long)c->workers : sysconf(_SC_NPROCESSORS_ONLN);

    return (unsigned)MIN(MAX(online, 1), WORKERS_MAX);
}

/* A file is written by one worker at a time: the kernel lets only one in anyway, and the others
 * would spin on its lock instead of reading ahead. Devices and several files take all. */
static unsigned writers_of(const struct target *t, unsigned workers)
{
    return t && t->files.count == 1 && t->files.items[0].io && !t->files.items[0].io->device
               ? 1
               : workers;
}

static uint64_t view_size(const struct copy *c)
{
    uint64_t size = c->size ? c->size : c->source->size;

    return c->target ? c->target->size : c->other ? MAX(size, c->other->size) : size;
}

static bool engine_init(struct engine *g, struct copy *c, struct err *e)
{
    struct target *t = c->target;
    pthread_condattr_t attr;
    size_t each;

    g->c = c;
    g->target = t;
    g->size = view_size(c);
    g->hash = c->digest || c->chunk;
    g->clone = c->method == COPY_CLONE && t && !t->coder;
    g->workers = worker_count(c);
    g->writers_max = writers_of(t, g->workers);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&g->check_wake, &attr);
    pthread_condattr_destroy(&attr);
    each = ITEM_SIZE + item_coded_room(g) + (g->c->other ? ITEM_SIZE : 0);
    g->item_count =
        MIN(MIN(g->workers * 2 + 2, (unsigned)(MEMORY_MAX / each)), (unsigned)ITEMS_MAX);
    g->item_count = MAX(g->item_count, 2u);
    for (unsigned i = 0; i < g->item_count; i++) {
        g->items[i].next = g->free_items;
        g->free_items = &g->items[i];
    }
    if (g->hash && !(g->tree = digest_new("sha256", e)))
        return false;
    return true;
}

static void engine_release(struct engine *g)
{
    for (unsigned i = 0; i < g->item_count; i++)
        item_release(&g->items[i]);
    digest_free(g->tree);
    buf_release(&g->placements);
    buf_release(&g->digests);
    free(g->marks.items);
    if (!g->workers)
        return; /* never initialised */
    pthread_cond_destroy(&g->check_wake);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
}

void engine_fail(struct engine *g, const struct err *e)
{
    if (!g->failed) {
        g->failed = true;
        g->err = *e;
    }
    pthread_cond_broadcast(&g->changed);
}

static int stop_signal(const struct engine *g)
{
    return g->c->stop ? atomic_load(g->c->stop) : 0;
}

static bool more_to_start(const struct engine *g)
{
    return g->next_at < g->size && !stop_signal(g);
}

/* The buffers an item needs, kept from one use to the next. */
static bool item_buffers(struct engine *g, struct item *it, struct err *e)
{
    size_t coded = item_coded_room(g);

    if (it->gap)
        return true;
    return (it->data || (it->data = mem_pages(ITEM_SIZE, e))) &&
           (!coded || it->coded || (it->coded = mem_pages(coded, e))) &&
           (!g->c->other || it->other_data || (it->other_data = mem_pages(ITEM_SIZE, e)));
}

/* An item is over: count it, and every one behind it that was waiting only for it. */
static void finish(struct engine *g, struct item *it)
{
    g->written[it->seq % ITEMS_MAX] = true;
    g->item_bytes[it->seq % ITEMS_MAX] = it->data_bytes;
    while (g->written[g->done_seq % ITEMS_MAX]) {
        g->written[g->done_seq % ITEMS_MAX] = false;
        g->done_bytes += g->item_bytes[g->done_seq % ITEMS_MAX];
        g->done_seq++;
    }
    it->next = g->free_items;
    g->free_items = it;
    pthread_cond_broadcast(&g->changed);
}

/* The following three run with the lock held, and leave it for the work itself. */
static void do_write(struct engine *g, struct worker *w)
{
    struct item *it = g->writing;
    struct err e = ERR_INIT;
    bool ok;

    g->writing = it->next;
    g->writers++;
    pthread_mutex_unlock(&g->lock);
    ok = item_write(g, it, w, &e);
    pthread_mutex_lock(&g->lock);
    g->writers--;
    if (ok)
        finish(g, it);
    else
        engine_fail(g, &e);
}

static void do_place(struct engine *g)
{
    struct item *it = g->ready[g->place_seq % ITEMS_MAX];
    struct err e = ERR_INIT;
    bool ok;

    g->placing = true;
    pthread_mutex_unlock(&g->lock);
    ok = item_place(g, it, &e);
    pthread_mutex_lock(&g->lock);
    g->placing = false;
    if (!ok) {
        engine_fail(g, &e);
        return;
    }
    g->ready[g->place_seq % ITEMS_MAX] = NULL;
    g->place_seq++;
    if (g->target && !g->c->measure) {
        it->next = g->writing;
        g->writing = it;
        pthread_cond_broadcast(&g->changed);
    } else {
        finish(g, it);
    }
}

static void do_new(struct engine *g, struct worker *w)
{
    struct item *it = g->free_items;
    struct err e = ERR_INIT;
    bool ok;

    g->free_items = it->next;
    g->iterating = true;
    pthread_mutex_unlock(&g->lock);
    item_reset(it);
    ok = item_next(g, it, &e);
    pthread_mutex_lock(&g->lock);
    g->iterating = false;
    if (ok) {
        it->seq = g->next_seq++;
        g->next_at += it->len;
        pthread_cond_broadcast(&g->changed);
        pthread_mutex_unlock(&g->lock);
        ok = item_buffers(g, it, &e) && item_process(g, it, w, &e);
        pthread_mutex_lock(&g->lock);
    }
    if (!ok) {
        engine_fail(g, &e);
        return;
    }
    g->ready[it->seq % ITEMS_MAX] = it;
    pthread_cond_broadcast(&g->changed);
}

static void progress_fill(struct engine *g, struct copy_progress *p)
{
    *p = g->c->total;
    p->done = g->resumed_bytes + g->done_bytes;
    p->resumed = g->resumed_bytes;
    p->guest = g->next_at;
    p->read = g->read_bytes;
    p->written = g->written_bytes;
    p->checkpoint = false;
}

void progress_report(struct engine *g, bool is_checkpoint)
{
    struct copy_progress p;

    if (!g->c->progress)
        return;
    pthread_mutex_lock(&g->lock);
    while (g->reporting)
        pthread_cond_wait(&g->changed, &g->lock);
    g->reporting = true;
    progress_fill(g, &p);
    p.checkpoint = is_checkpoint;
    pthread_mutex_unlock(&g->lock);
    g->c->progress(g->c->user, &p);
    pthread_mutex_lock(&g->lock);
    g->reporting = false;
    g->last_progress = clock_mono();
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

/* The lock is held, left for the call, and held again. */
static void progress_maybe(struct engine *g, struct worker *w)
{
    g->read_bytes += w->fetch.read;
    g->written_bytes += w->written;
    w->fetch.read = w->written = 0;
    if (!g->c->progress || g->reporting || clock_mono() - g->last_progress < 100000000)
        return;
    pthread_mutex_unlock(&g->lock);
    progress_report(g, false);
    pthread_mutex_lock(&g->lock);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct engine *g = w->engine;

    pthread_mutex_lock(&g->lock);
    while (!g->failed) {
        bool in_reach = g->next_seq - g->done_seq < ITEMS_MAX;

        if (g->writing && g->writers < g->writers_max)
            do_write(g, w);
        else if (!g->placing && g->ready[g->place_seq % ITEMS_MAX])
            do_place(g);
        else if (!g->iterating && g->free_items && in_reach && more_to_start(g))
            do_new(g, w);
        else if (!g->iterating && !more_to_start(g) && g->done_seq == g->next_seq)
            break;
        else
            pthread_cond_wait(&g->changed, &g->lock);
        progress_maybe(g, w);
    }
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    fetch_release(&w->fetch);
    return NULL;
}

static bool run_workers(struct engine *g, struct err *e)
{
    struct worker workers[WORKERS_MAX] = {0};
    unsigned started = 1;

    for (unsigned i = 0; i < g->workers; i++)
        workers[i].engine = g;
    while (started < g->workers &&
           pthread_create(&workers[started].thread, NULL, worker_main, &workers[started]) == 0)
        started++;
    worker_main(&workers[0]);
    for (unsigned i = 1; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    if (g->failed) {
        *e = g->err;
        return false;
    }
    if (g->next_at < g->size)
        return err_set(e, stop_signal(g) == SIGTERM ? ERR_TERMINATED : ERR_INTERRUPTED,
                       "interrupted");
    return true;
}

/* Ends the image: what the driver still has to write, the length of each file, the barrier writes.
 */
static bool seal(struct engine *g, struct err *e)
{
    struct target *t = g->target;
    struct target_write *list;
    bool ok;

    if (!target_seal(t, e))
        return false;
    for (size_t i = 0; i < t->files.count; i++)
        if (!t->files.items[i].io->device && t->files.items[i].io->size != t->files.items[i].end &&
            !io_resize(t->files.items[i].io, t->files.items[i].end, e))
            return false;
    list = t->queue.items;
    ok = true;
    for (size_t i = 0; ok && i < t->queue.count; i++)
        if (!list[i].barrier)
            ok = meta_write(g, &list[i], 1, e);
    if (ok && g->c->sync && t->files.items[0].io->device)
        ok = target_sync(g, e);
    for (size_t i = 0; ok && i < t->queue.count; i++)
        if (list[i].barrier)
            ok = meta_write(g, &list[i], 1, e);
    meta_release(list, t->queue.count);
    t->queue.count = 0;
    return ok && (!g->c->sync || target_sync(g, e));
}

/* Metadata the driver queued while it was created (headers reserved in front). */
static bool write_created(struct engine *g, struct err *e)
{
    struct target *t = g->target;
    struct io *io;
    bool ok;

    if (!t || g->c->measure)
        return true;
    io = t->files.items[0].io;
    ok = (io->fresh || !t->front || io_zero(io, 0, t->front, e)) &&
         meta_write(g, t->queue.items, t->queue.count, e);
    meta_release(t->queue.items, t->queue.count);
    t->queue.count = 0;
    return ok;
}

/* The engine runs to its end; `e` has the first error. */
static bool engine_run(struct engine *g, struct err *e)
{
    bool ok;

    if (!checkpoint_start(g, e))
        return false;
    ok = run_workers(g, e);
    checkpoint_stop(g);
    if (ok && g->failed) {
        *e = g->err;
        ok = false;
    }
    if (ok && g->target && !g->c->measure)
        ok = seal(g, e);
    else if (ok && g->target)
        ok = target_seal(g->target, e);
    return ok;
}

/* Data bytes of [from, to): what progress counts. */
static bool count_data(struct image *img, uint64_t from, uint64_t to, uint64_t *ret, struct err *e)
{
    to = MIN(to, img->size);
    while (from < to) {
        struct extent x;

        if (!image_map(img, from, to - from, &x, e))
            return false;
        if (x.kind == EXTENT_DATA)
            *ret += x.len;
        from += x.len;
    }
    return true;
}

static bool count_work(struct engine *g, struct err *e)
{
    uint64_t before = 0, rest = 0;

    if (!g->c->progress)
        return true;
    if (!count_data(g->c->source, 0, g->next_at, &before, e) ||
        !count_data(g->c->source, g->next_at, g->size, &rest, e))
        return false;
    g->resumed_bytes = before;
    g->c->total.total = before + rest;
    progress_report(g, false);
    return true;
}

static void finish_tree(struct engine *g)
{
    uint8_t size[8], out[64];

    if (!g->hash)
        return;
    put_le64(size, g->size);
    digest_add(g->tree, size, sizeof(size));
    digest_finish(g->tree, out);
    memcpy(g->c->tree.bytes, out, DIGEST_SIZE);
    g->c->tree_valid = !g->tree_broken;
}

/* Reserves the space of every file in full, when the driver asks for it. */
static bool reserve(struct engine *g, struct err *e)
{
    struct target *t = g->target;

    for (size_t i = 0; t && t->reserve && !g->c->measure && i < t->files.count; i++)
        if (!file_preallocate(t->files.items[i].io, t->files.items[i].end, e))
            return false;
    return true;
}

static bool read_once(void *user, const char *path, struct io *io, unsigned layer, struct err *e)
{
    (void)user;
    (void)path;
    (void)layer;
    (void)e;
    file_read_once(io);
    return true;
}

bool copy_run(struct copy *c, struct err *e)
{
    struct engine *g = mem_new(struct engine, e);
    struct err late = ERR_INIT;
    bool ok;

    if (!g)
        return false;
    c->total = (struct copy_progress){0};
    c->tree_valid = false;
    ok = image_files(c->source, read_once, NULL, e) && engine_init(g, c, e) && reserve(g, e) &&
         write_created(g, e) && journal_replay(g, e) && count_work(g, e) && engine_run(g, e);
    if (ok)
        finish_tree(g);
    /* What is durable is kept in any case; a failure of this only matters when all else went well.
     */
    if (c->journal && c->target && g->workers && g->next_seq)
        ok = checkpoint(g, ok ? e : &late) && ok;
    progress_fill(g, &c->total);
    if (ok)
        progress_report(g, false);
    engine_release(g);
    free(g);
    return ok;
}
