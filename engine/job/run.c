/* Running a job: its machines one after the other, or side by side; see run.h. */
#include "run.h"

#include "machine_run.h"
#include "publish.h"
#include "run_children.h"
#include "run_clashes.h"

#include <string.h>

void machine_result_release(struct machine_result *r)
{
    free(r->machine);
    free(r->stage);
    free(r->text);
    free(r->advice);
    *r = (struct machine_result){0};
}

static bool must_stop(const struct job *job, const struct machine_result *r)
{
    if (r->kind == ERR_INTERRUPTED || r->kind == ERR_TERMINATED)
        return true;
    return r->kind != ERR_NONE && job->policy.on_error == ON_ERROR_STOP;
}

static void not_run(const struct job *job, size_t from, const struct machine_result *because,
                    struct machine_result *results)
{
    bool stopped = because->kind == ERR_INTERRUPTED || because->kind == ERR_TERMINATED;

    for (size_t i = from; i < job->machine_count; i++) {
        results[i].machine = mem_text(job->machines[i].name, NULL);
        results[i].kind = stopped ? because->kind : ERR_REFUSED;
        results[i].status = err_exit_status(results[i].kind);
        results[i].text = stopped ? mem_text("not started", NULL)
                                  : mem_format(NULL,
                                               "not started: '%s' failed and the policy is "
                                               "'on_error: stop'",
                                               because->machine);
        results[i].advice = mem_text("run the same command again", NULL);
    }
}

static void run_in_turn(const struct job *job, struct reporter *reporter,
                        struct machine_result *results)
{
    for (size_t i = 0; i < job->machine_count; i++) {
        run_machine(job, &job->machines[i], reporter, &results[i]);
        if (must_stop(job, &results[i])) {
            not_run(job, i + 1, &results[i], results);
            return;
        }
    }
}

bool run_job(const struct job *job, const struct run_options *options,
             struct machine_result *ret_results, struct err *e)
{
    struct reporter reporter = {.options = options};
    bool ok = true;

    if (!run_clashes(job, e))
        return false;
    pthread_mutex_init(&reporter.lock, NULL);
    if (job->policy.parallel > 1 && job->machine_count > 1)
        ok = run_side_by_side(job, &reporter, ret_results, e);
    else
        run_in_turn(job, &reporter, ret_results);
    pthread_mutex_destroy(&reporter.lock);
    return ok;
}

static bool abandon(const struct job *job, const struct machine *machine,
                    const struct run_options *options, struct opt_texts *removed, struct err *e)
{
    AUTO(state_close) struct state *s = NULL;
    AUTO(free) char *path = state_name(options->state_dir, job->name, machine->name, e);
    struct state_run r = {0};
    bool ok;

    if (!path || access(path, F_OK) != 0)
        return path;
    s = state_open(options->state_dir, job->name, machine->name, e);
    if (!s || !state_claim(s, e) || !state_base(s, &r, e))
        return false;
    ok = true;
    if (r.id && r.status != RUN_DONE) {
        r.status = RUN_ABANDONED;
        ok = run_outputs_undo(s, r.id, removed, e) && state_end_run(s, &r, e);
    }
    state_run_release(&r);
    return ok;
}

bool run_abandon(const struct job *job, const struct run_options *options,
                 struct opt_texts *ret_removed, struct err *e)
{
    if (!options->state_dir)
        return err_set(e, ERR_USAGE, "there is no folder for the state: give --state DIR");
    for (size_t i = 0; i < job->machine_count; i++)
        if (!abandon(job, &job->machines[i], options, ret_removed, e))
            return err_while(e, "abandoning '%s'", job->machines[i].name);
    return true;
}
