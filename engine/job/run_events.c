/* What a run tells while it goes: events, and the copies that most of them are about; see
 * machine_run.h.
 *
 * Events are sent from whichever thread has one, one at a time. All but progress are kept in the
 * state. An event that the state cannot take is no reason to stop: the checkpoints are. */
#include "publish.h"

#include "bytes.h"
#include "clock.h"

#include <stdio.h>
#include <string.h>

enum { EVENT_TEXT_MAX = 2048 };
static const uint64_t progress_every = 250000000; /* about four a second */

static void send(struct machine_run *m, struct event *ev)
{
    ev->time = clock_now();
    ev->job = m->job->name;
    ev->machine = m->machine->name;
    ev->stage = m->entered ? m->machine->stages[m->stage].stage->name : NULL;
    if (m->state && m->run && ev->kind != EVENT_PROGRESS) {
        struct state_event row = {.time = ev->time,
                                  .kind = ev->kind,
                                  .disk = (char *)ev->disk,
                                  .stage = (char *)ev->stage,
                                  .text = (char *)ev->text,
                                  .done = ev->done,
                                  .total = ev->total};

        state_add_event(m->state, m->run, &row, NULL);
    }
    if (!m->reporter || !m->options->event)
        return;
    pthread_mutex_lock(&m->reporter->lock);
    m->options->event(m->options->user, ev);
    pthread_mutex_unlock(&m->reporter->lock);
}

void run_event(struct machine_run *m, enum event_kind kind, const char *disk, const char *fmt, ...)
{
    char text[EVENT_TEXT_MAX];
    struct event ev = {.kind = kind, .disk = disk, .unit = "bytes"};
    va_list args;

    if (fmt) {
        va_start(args, fmt);
        vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);
        ev.text = text;
    }
    send(m, &ev);
}

/* One copy of a run. */
struct run_copy_ctx {
    struct machine_run *m;
    const char *disk;
    struct run_output *out; /* NULL: nothing is written */
    uint64_t began, told;   /* clock_mono */
    uint64_t resumed;
    bool (*chunk)(void *user, uint64_t at, const struct digest_value *value, struct err *e);
    void *user; /* of chunk */
};

static bool commit(void *user, uint64_t done, const void *placements, size_t placements_len,
                   const void *digests, size_t digests_len, struct err *e)
{
    struct run_copy_ctx *r = user;

    if (!state_checkpoint(r->m->state, r->out->row.id, done, placements, placements_len, digests,
                          digests_len, e))
        return false;
    r->out->row.done = done;
    return true;
}

static bool replay(void *user, state_checkpoint_fn *each, void *ctx, struct err *e)
{
    struct run_copy_ctx *r = user;

    return state_replay(r->m->state, r->out->row.id, each, ctx, e);
}

static void progress(void *user, const struct copy_progress *p)
{
    struct run_copy_ctx *r = user;
    uint64_t now = clock_mono(), elapsed = now - r->began;
    struct event ev = {.kind = p->checkpoint ? EVENT_CHECKPOINT : EVENT_PROGRESS,
                       .disk = r->disk,
                       .unit = "bytes",
                       .done = p->done,
                       .total = p->total,
                       .resumed = p->resumed};

    r->resumed = p->resumed;
    if (!p->checkpoint && r->told && now - r->told < progress_every && p->done < p->total)
        return;
    r->told = now;
    if (elapsed > progress_every)
        ev.rate = (uint64_t)((double)(p->done - MIN(p->resumed, p->done)) * 1e9 / (double)elapsed);
    if (ev.rate && p->total > p->done)
        ev.eta = (p->total - p->done) / ev.rate;
    send(r->m, &ev);
}

static bool chunk(void *user, uint64_t at, const struct digest_value *value, struct err *e)
{
    struct run_copy_ctx *r = user;

    return r->chunk(r->user, at, value, e);
}

bool run_copy(struct machine_run *m, const char *disk, struct run_output *out, struct copy *c,
              struct err *e)
{
    struct run_copy_ctx r = {.m = m,
                             .disk = disk,
                             .out = out,
                             .began = clock_mono(),
                             .chunk = c->chunk,
                             .user = c->user};
    struct copy_journal journal = {.user = &r, .commit = commit, .replay = replay};
    bool ok;

    if (m->job->policy.disk && !m->throttle &&
        !(m->throttle = throttle_new(m->job->policy.disk, e)))
        return false;
    c->workers = (unsigned)m->job->policy.workers;
    c->throttle = m->throttle;
    c->stop = m->options->stop;
    c->progress = progress;
    c->chunk = c->chunk ? chunk : NULL;
    c->user = &r;
    c->journal = out ? &journal : NULL;
    ok = copy_run(c, e);
    c->journal = NULL;
    m->read += c->total.read;
    m->written += c->total.written;
    m->resumed += r.resumed;
    return ok;
}
