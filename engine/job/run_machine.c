/* One machine, from its lock to its result.
 *
 *     state opened -> source read -> earlier run judged -> run begun or gone on with
 *     -> images opened -> planned -> stage after stage -> run ended
 *
 * A stage whose identity is recorded as done is left out, unless a stage before it had to be done
 * again. Outputs are published behind the last stage that checks them. */
#include "bytes.h"
#include "clock.h"
#include "publish.h"
#include "run_base.h"
#include "run_window.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool asked_to_stop(const struct machine_run *m, struct err *e)
{
    int sig = m->options->stop ? atomic_load(m->options->stop) : 0;

    if (!sig)
        return false;
    err_set(e, sig == SIGTERM ? ERR_TERMINATED : ERR_INTERRUPTED, "interrupted");
    return true;
}

/* The state; --fresh gets past one that cannot be used. */
static bool open_state(struct machine_run *m, struct err *e)
{
    const char *dir = m->options->state_dir;
    struct err why = ERR_INIT;

    if (!dir)
        return err_set(e, ERR_USAGE, "there is no folder for the state: give --state DIR");
    m->state = state_open(dir, m->job->name, m->machine->name, &why);
    if (!m->state && why.kind == ERR_IO && m->options->fresh) {
        if (!state_move_away(dir, m->job->name, m->machine->name, e))
            return false;
        m->state = state_open(dir, m->job->name, m->machine->name, e);
        return m->state;
    }
    return m->state || err_set(e, why.kind, "%s", why.text);
}

/* Ends an unfinished run for good. */
static bool give_up(struct machine_run *m, struct base *base, struct err *e)
{
    if (!base->run.id || base->run.status == RUN_DONE)
        return true;
    base->run.status = RUN_ABANDONED;
    base->run.finished = clock_now();
    return run_outputs_undo(m->state, base->run.id, NULL, e) &&
           state_end_run(m->state, &base->run, e);
}

/* *ret_over: there is nothing more to do for this machine. */
static bool begin(struct machine_run *m, struct base *base, bool *ret_over, struct err *e)
{
    bool restart = m->job->policy.source_changed == SOURCE_CHANGED_RESTART;

    *ret_over = base->kind == BASE_DONE && !m->options->fresh;
    if (*ret_over)
        return true;
    if (!state_claim(m->state, e))
        return false;
    if (m->options->fresh) {
        if (!give_up(m, base, e))
            return false;
        base->kind = BASE_NONE;
    }
    if (base->kind == BASE_CHANGED && !restart)
        return err_set(e, base->why.kind, "%s: %s", base->why.text, base_changed_advice);
    if (base->kind == BASE_CHANGED) {
        if (!give_up(m, base, e))
            return false;
        base->kind = BASE_NONE;
    }
    if (base->kind == BASE_RESUME) {
        m->run = base->run.id;
        return state_reopen_run(m->state, m->run, &m->machine->env, e);
    }
    return state_begin_run(m->state, m->job->path, m->date, &m->machine->env,
                           base->kind == BASE_CONTINUE ? base->run.id : 0, &m->run, e);
}

/* The same checks as `plan`: what they refuse is refused before the first byte. */
static bool prepare(struct machine_run *m, const struct base *base, struct err *e)
{
    struct err opened = ERR_INIT;

    if (!plan_check(m, e))
        return false;
    if (!machine_open(m, &opened) && opened.kind == ERR_MEMORY)
        return err_set(e, opened.kind, "%s", opened.text);
    if (!base_enter(m, base, e) || !plan_build(m, opened.kind == ERR_NONE, e))
        return false;
    if (m->plan->verdict.kind != ERR_NONE)
        return err_set(e, m->plan->verdict.kind, "%s", m->plan->verdict.text);
    return state_put_sources(m->state, m->run, &m->facts, e) && run_outputs_prune(m, e);
}

static bool verified_later(const struct machine_run *m, unsigned index)
{
    for (size_t i = index + 1; i < m->machine->stage_count; i++)
        if (m->machine->stages[i].stage->flags & STAGE_VERIFIES)
            return true;
    return false;
}

/* May the stage be left out? */
static bool is_done(struct machine_run *m, const struct stage *stage, bool redone, bool *ret,
                    struct err *e)
{
    *ret = false;
    if (redone || (stage->flags & STAGE_EVERY))
        return true;
    if (!state_stage_done(m->state, m->run, &m->identities[m->stage], ret, e))
        return false;
    if (*ret && (stage->flags & STAGE_OUTPUT) && !run_outputs_complete(m)) {
        *ret = false;
        return run_outputs_drop(m, e);
    }
    return true;
}

static bool run_stage(struct machine_run *m, unsigned index, struct err *e)
{
    const struct stage *stage = m->machine->stages[index].stage;
    const struct digest_value *identity = &m->identities[index];

    bool was_done;

    m->stage = index;
    m->entered = true;
    run_event(m, EVENT_STARTED, NULL, NULL);
    if (!state_stage_done(m->state, m->run, identity, &was_done, e) ||
        (was_done && !state_put_stage(m->state, m->run, stage->name, identity, false, e)) ||
        (stage->run && !stage->run(m, index, e)) ||
        !state_put_stage(m->state, m->run, stage->name, identity, true, e))
        return false;
    run_event(m, EVENT_FINISHED, NULL, NULL);
    return true;
}

static bool run_stages(struct machine_run *m, struct err *e)
{
    bool redone = false;

    for (unsigned i = 0; i < m->machine->stage_count; i++) {
        const struct stage *stage = m->machine->stages[i].stage;
        bool done;

        m->stage = i;
        if (asked_to_stop(m, e) || !is_done(m, stage, redone, &done, e))
            return false;
        if (!done && !run_stage(m, i, e))
            return false;
        redone = redone || (!done && (stage->flags & (STAGE_ALTERS | STAGE_OUTPUT)));
        if ((stage->flags & (STAGE_OUTPUT | STAGE_VERIFIES)) && !verified_later(m, i) &&
            !run_publish(m, e))
            return false;
    }
    return true;
}

/* What asked to be called after a failure. Their own failures are told and change nothing. */
static void run_aftermath(struct machine_run *m, const struct err *failure)
{
    unsigned from = m->entered ? m->stage + 1 : 0;

    if (failure->kind == ERR_INTERRUPTED || failure->kind == ERR_TERMINATED || !m->identities)
        return;
    m->failure = failure;
    for (unsigned i = from; i < m->machine->stage_count; i++) {
        struct err why = ERR_INIT;

        if (!(m->machine->stages[i].stage->flags & STAGE_AFTERMATH))
            continue;
        m->stage = i;
        if (!m->machine->stages[i].stage->run(m, i, &why))
            run_event(m, EVENT_WARNING, NULL, "%s", why.text);
    }
    m->failure = NULL;
}

static bool can_go_on(const struct machine_run *m, enum err_kind kind)
{
    if (kind == ERR_INTERRUPTED || kind == ERR_TERMINATED)
        return true;
    for (size_t i = 0; i < m->outputs.count; i++)
        if (m->outputs.items[i]->row.status != OUTPUT_PUBLISHED)
            return kind == ERR_SPACE || kind == ERR_IO || kind == ERR_BUSY || kind == ERR_NETWORK ||
                   kind == ERR_REFUSED || kind == ERR_MEMORY;
    return false;
}

static const char *advice_for(const struct machine_run *m, enum err_kind kind)
{
    if (kind == ERR_SPACE && can_go_on(m, kind))
        return "make room and run the same command again: it goes on from the last checkpoint";
    if (can_go_on(m, kind))
        return "run the same command again to go on";
    if (kind == ERR_DIFFERS)
        return "nothing was published; '--fresh' writes the output again";
    if (kind == ERR_CHANGED)
        return "'--fresh' starts over with the source as it is now";
    return NULL;
}

static uint64_t outputs_allocated(const struct machine_run *m)
{
    uint64_t sum = 0;
    struct stat st;

    for (size_t i = 0; i < m->outputs.count; i++) {
        const struct state_output *o = &m->outputs.items[i]->row;

        for (size_t n = 0; n < o->files.count; n++)
            if (stat(o->files.items[n].final, &st) == 0)
                sum += (uint64_t)st.st_blocks * 512;
    }
    return sum;
}

static const char *stage_name(const struct machine_run *m)
{
    return m->entered ? m->machine->stages[m->stage].stage->name : NULL;
}

static void set_text(char **slot, const char *text)
{
    free(*slot);
    *slot = text ? mem_text(text, NULL) : NULL;
}

static void fill_result(struct machine_run *m, const struct err *e, uint64_t began,
                        struct machine_result *ret)
{
    m->after = outputs_allocated(m);
    ret->kind = e->kind;
    ret->status = err_exit_status(e->kind);
    ret->before = m->before;
    ret->after = m->after;
    ret->read = m->read;
    ret->written = m->written;
    ret->resumed = m->resumed;
    ret->seconds = (clock_mono() - began) / 1000000000;
    set_text(&ret->stage, stage_name(m));
    set_text(&ret->text, e->kind ? e->text : "done");
    set_text(&ret->advice, advice_for(m, e->kind));
}

/* How it ended, in the state. When even that cannot be written, the next run finds it unfinished.
 */
static bool end(struct machine_run *m, const struct machine_result *result, struct err *e)
{
    bool stopped = result->kind == ERR_INTERRUPTED || result->kind == ERR_TERMINATED;
    struct state_run r = {.id = m->run,
                          .finished = clock_now(),
                          .status = stopped                    ? RUN_UNFINISHED
                                    : result->kind == ERR_NONE ? RUN_DONE
                                                               : RUN_FAILED,
                          .kind = result->kind,
                          .stage = result->stage,
                          .text = result->text,
                          .before = result->before,
                          .after = result->after,
                          .read = result->read,
                          .written = result->written,
                          .resumed = result->resumed,
                          .seconds = result->seconds};

    return state_end_run(m->state, &r, e);
}

static void tell_warnings(struct machine_run *m)
{
    for (size_t i = 0; i < m->plan->findings.count; i++) {
        const struct finding *f = &m->plan->findings.items[i];

        if (f->severity == SEVERITY_WARNING)
            run_event(m, EVENT_WARNING, f->disk, "%s: %s%s%s", f->id, f->text,
                      f->accepted ? "; accepted: " : "", f->accepted ? f->accepted : "");
    }
}

static bool go(struct machine_run *m, struct base *base, struct machine_result *ret, uint64_t began,
               struct err *e)
{
    bool ok = prepare(m, base, e);

    tell_warnings(m);
    ok = ok && run_stages(m, e);
    if (!ok)
        run_aftermath(m, e);
    else
        m->entered = false;
    fill_result(m, e, began, ret);
    if (!end(m, ret, e)) {
        ok = false;
        fill_result(m, e, began, ret);
    }
    run_event(m, ok ? EVENT_FINISHED : EVENT_FAILED, NULL, "%s", ok ? "done" : e->text);
    return ok;
}

static void result_from(struct machine_result *ret, const struct state_run *r, const char *text)
{
    ret->unchanged = true;
    ret->before = r->before;
    ret->after = r->after;
    set_text(&ret->text, text);
}

/* False: the machine is not to be run now, and `ret` says why; or an error. */
static bool wanted_now(struct machine_run *m, struct machine_result *ret, struct err *e)
{
    struct state_run last = {0};
    bool inside = true, ok;

    if (!window_open(m->job->policy.window, clock_now(), &inside, e))
        return false;
    if (!inside) {
        set_text(&ret->text, "postponed: outside of its window");
        set_text(&ret->advice, "run the same command again inside the window");
        return false;
    }
    if (!m->options->only_failed)
        return true;
    ok = state_last(m->state, &last, e);
    if (ok && last.id && last.status == RUN_DONE) {
        result_from(ret, &last, "done before");
        ok = false;
    }
    state_run_release(&last);
    return ok;
}

void run_machine(const struct job *job, const struct machine *machine, struct reporter *reporter,
                 struct machine_result *ret)
{
    struct machine_plan plan = {0};
    struct machine_run m = {.job = job,
                            .machine = machine,
                            .options = reporter->options,
                            .reporter = reporter,
                            .plan = &plan,
                            .fail_on = SEVERITY_CRITICAL};
    uint64_t began = clock_mono();
    struct base base = {0};
    struct err e = ERR_INIT;
    bool over = false, started = false;

    set_text(&ret->machine, machine->name);
    if (!asked_to_stop(&m, &e) && open_state(&m, &e) && wanted_now(&m, ret, &e) &&
        machine_read(&m, &e) && base_find(&m, &base, &e) && begin(&m, &base, &over, &e) && !over) {
        started = true;
        run_event(&m, EVENT_STARTED, NULL, NULL);
        go(&m, &base, ret, began, &e);
    }
    if (over)
        result_from(ret, &base.run, "unchanged: sources and outputs are as the last run left them");
    if (!started && e.kind != ERR_NONE) {
        run_event(&m, EVENT_FAILED, NULL, "%s", e.text);
        fill_result(&m, &e, began, ret);
    } else if (!started) {
        run_event(&m, EVENT_FINISHED, NULL, "%s", ret->text ? ret->text : "");
    }
    base_release(&base);
    machine_run_release(&m);
    machine_plan_release(&plan);
}
