/* ${env:NAME}: what a run began with holds until it is finished, so that an environment that
 * changed neither drops progress nor renames targets; see job_load.h.
 *
 * A machine's values are kept beside it (struct machine) as they are used, and recorded with its
 * run. Here, when the first one is asked for, those of an unfinished run that can go on are put in
 * front; only a name that has none there is looked up in the environment. */
#include "job_load.h"

#include "identity.h"
#include "state.h"

#include <stdlib.h>

/* Only a run that goes on: one whose sources changed is begun again, if at all. */
static bool read_recorded(struct state *s, struct opt_pairs *ret, struct err *e)
{
    struct source_facts facts = {0};
    struct state_run run = {0};
    bool ok = state_base(s, &run, e);

    if (ok && run.id && run.status != RUN_DONE) {
        ok = state_sources(s, run.id, &facts, e);
        if (ok && facts_hold(&facts, NULL))
            ok = state_env(s, run.id, ret, e);
    }
    source_facts_release(&facts);
    state_run_release(&run);
    return ok;
}

/* A state that cannot be opened is told of by who needs it. */
static bool recorded(const struct scope *s, struct err *e)
{
    AUTO(state_close) struct state *state = NULL;

    if (!s->state_dir || !s->job->name)
        return true;
    state = state_peek(s->state_dir, s->job->name, s->machine, NULL);
    return !state || read_recorded(state, s->env, e);
}

const char *env_value(struct scope *s, const char *name, struct err *e)
{
    const char *value;

    if (!s->env)
        return getenv(name);
    if (!s->env_read && !recorded(s, e))
        return NULL;
    s->env_read = true;
    value = opt_pairs_get(s->env, name);
    if (value)
        return value;
    value = getenv(name);
    return value && opt_pairs_add(s->env, name, value, e) ? value : NULL;
}
