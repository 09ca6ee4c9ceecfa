/* What an earlier run means; see run_base.h. */
#include "run_base.h"

#include "clock.h"
#include "identity.h"
#include "publish.h"
#include "text.h"

#include <string.h>
#include <time.h>

const char base_changed_advice[] = "'--fresh' starts over with the source as it is now, and "
                                   "'policy: {source_changed: restart}' always does";

static char *today(struct err *e)
{
    time_t now = (time_t)clock_now();
    struct tm tm;
    char text[32];

    if (!localtime_r(&now, &tm) || !strftime(text, sizeof(text), "%Y-%m-%d", &tm))
        return mem_text("1970-01-01", e);
    return mem_text(text, e);
}

/* Is everything that the finished run did still there and still wanted? */
static bool nothing_to_do(struct machine_run *m, const struct base *base,
                          const struct digest_value *identities, bool *ret, struct err *e)
{
    struct state_outputs outputs = {0};
    bool ok = true, same = true;

    for (size_t i = 0; ok && same && i < m->machine->stage_count; i++)
        ok = state_stage_done(m->state, base->run.id, &identities[i], &same, e);
    if (ok && same)
        ok = state_list_outputs(m->state, base->run.id, &outputs, e);
    for (size_t i = 0; ok && same && i < outputs.count; i++)
        same = run_output_intact(&outputs.items[i]);
    state_outputs_release(&outputs);
    *ret = same;
    return ok;
}

static bool judge_base(struct machine_run *m, struct base *base, const struct source_facts *facts,
                       struct err *e)
{
    AUTO(free) struct digest_value *identities = NULL;
    bool finished = base->run.status == RUN_DONE, same;

    if (!facts_hold(facts, &base->why)) {
        base->kind = finished ? BASE_NONE : BASE_CHANGED;
        return true;
    }
    free(m->date);
    m->date = mem_text(base->run.date ? base->run.date : "", e);
    base->kind = finished ? BASE_CONTINUE : BASE_RESUME;
    if (!m->date || !finished)
        return m->date;
    identities = identity_stages(m->machine, &m->source, facts, m->date, e);
    if (!identities || !nothing_to_do(m, base, identities, &same, e))
        return false;
    if (same)
        base->kind = BASE_DONE;
    return true;
}

bool base_find(struct machine_run *m, struct base *ret, struct err *e)
{
    struct source_facts facts = {0};
    bool ok;

    m->date = today(e);
    if (!m->date || !m->state)
        return m->date;
    if (!state_base(m->state, &ret->run, e))
        return false;
    if (!ret->run.id)
        return true;
    ok = state_sources(m->state, ret->run.id, &facts, e) && judge_base(m, ret, &facts, e);
    source_facts_release(&facts);
    return ok;
}

bool base_enter(struct machine_run *m, const struct base *base, struct err *e)
{
    m->identities = identity_stages(m->machine, &m->source, &m->facts, m->date, e);
    if (!m->identities)
        return false;
    if (!m->run && m->state && (base->kind == BASE_RESUME || base->kind == BASE_CONTINUE))
        m->run = base->run.id;
    return !m->run || run_outputs_load(m, e);
}

bool base_describe(struct machine_run *m, const struct base *base, char **ret, struct err *e)
{
    struct state_outputs outputs = {0};
    const char *stage = base->run.stage ? base->run.stage : "the first stage";

    if (!state_list_outputs(m->state, base->run.id, &outputs, e))
        return false;
    for (size_t i = 0; !*ret && i < outputs.count; i++)
        if (outputs.items[i].status == OUTPUT_WRITING)
            *ret = mem_format(e, "goes on at %s of %s of disk %s", SIZE_TEXT(outputs.items[i].done),
                              SIZE_TEXT(outputs.items[i].size), outputs.items[i].disk);
    if (!*ret)
        *ret = mem_format(e, "goes on at '%s'", stage);
    state_outputs_release(&outputs);
    return *ret;
}

void base_release(struct base *base)
{
    state_run_release(&base->run);
}
