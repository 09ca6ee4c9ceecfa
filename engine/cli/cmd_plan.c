/* `strata plan`: what a run would do, as text. The JSON form is in plan_doc.c. */
#include "bytes.h"
#include "commands.h"
#include "help.h"
#include "jobs.h"
#include "plan.h"
#include "plan_doc.h"
#include "print.h"
#include "stage.h"
#include "table.h"
#include "text.h"

#include <string.h>
#include <unistd.h>

/* Text that does not go to a terminal is not broken into lines. */
static unsigned width(void)
{
    return terminal_width(STDOUT_FILENO);
}

static void size_cell(struct table *t, uint64_t size, bool estimate)
{
    if (size)
        table_cell(t, "%s%s", estimate ? "~" : "", SIZE_TEXT(size));
    else
        table_text(t, "");
}

static bool disks_text(const struct machine_plan *p, struct buf *to, struct err *e)
{
    static const char *const heads[] = {"disk",     "format", ">layers", ">virtual",
                                        ">on disk", ">data",  "image",   NULL};
    AUTO(table_release) struct table t = {0};

    table_init(&t, heads);
    t.indent = 2;
    for (size_t i = 0; i < p->disks.count; i++) {
        const struct plan_disk *d = &p->disks.items[i];

        table_text(&t, d->id);
        table_cell(&t, "%s%s%s", d->format ? d->format : "", d->subformat ? " " : "",
                   d->subformat ? d->subformat : "");
        table_cell(&t, "%zu", d->chain.count);
        size_cell(&t, d->size, false);
        size_cell(&t, d->allocated, false);
        size_cell(&t, d->data, false);
        table_text(&t, d->path);
        for (size_t n = 1; n < d->chain.count; n++)
            table_note(&t, "over %s", d->chain.items[n]);
    }
    return table_print(&t, to, width(), e);
}

/* What is published is listed below the stages. */
static bool published(const struct machine_plan *p, const char *path)
{
    for (size_t i = 0; i < p->publish.count; i++)
        if (strcmp(p->publish.items[i], path) == 0)
            return true;
    return false;
}

static bool stages_text(const struct machine_plan *p, struct buf *to, struct err *e)
{
    static const char *const heads[] = {"stage", "layers", ">reads", ">writes",
                                        ">time", "what",   NULL};
    AUTO(table_release) struct table t = {0};

    table_init(&t, heads);
    t.indent = 2;
    for (size_t i = 0; i < p->stages.count; i++) {
        const struct plan_stage *s = &p->stages.items[i];

        table_text(&t, s->stage->name);
        table_text(&t, layers_text(s->stage->layers, (char[LAYERS_TEXT_MAX]){0}));
        size_cell(&t, s->reads, s->estimate);
        size_cell(&t, s->writes, s->estimate);
        if (s->seconds)
            table_cell(&t, "~%s", duration_text(s->seconds, (char[SIZE_TEXT_MAX]){0}));
        else
            table_text(&t, "");
        table_text(&t, s->what);
        for (size_t n = 0; n < s->notes.count; n++)
            table_note(&t, "%s", s->notes.items[n]);
        for (size_t n = 0; n < s->alters.count; n++)
            if (!published(p, s->alters.items[n]))
                table_note(&t, "changes %s", s->alters.items[n]);
        for (size_t n = 0; n < s->drops.count; n++)
            table_note(&t, "not carried over: %s", s->drops.items[n]);
    }
    buf_char(to, '\n');
    return table_print(&t, to, width(), e);
}

static bool space_text(const struct machine_plan *p, struct buf *to, struct err *e)
{
    static const char *const heads[] = {">space needed", ">at most", ">free", "on the disk of",
                                        NULL};
    AUTO(table_release) struct table t = {0};

    if (!p->space.count)
        return true;
    table_init(&t, heads);
    t.indent = 2;
    for (size_t i = 0; i < p->space.count; i++) {
        const struct plan_space *s = &p->space.items[i];

        table_cell(&t, "~%s", SIZE_TEXT(s->need));
        table_text(&t, SIZE_TEXT(s->bound));
        table_text(&t, SIZE_TEXT(s->free));
        table_text(&t, s->dir);
    }
    buf_char(to, '\n');
    return table_print(&t, to, width(), e);
}

static bool findings_text(const struct machine_plan *p, struct buf *to, struct err *e)
{
    static const char *const heads[] = {"finding", "check", "disk", "what", NULL};
    AUTO(table_release) struct table t = {0};

    if (!p->findings.count)
        return true;
    table_init(&t, heads);
    t.indent = 2;
    for (size_t i = 0; i < p->findings.count; i++) {
        const struct finding *f = &p->findings.items[i];

        table_text(&t, f->accepted ? "accepted" : severity_name(f->severity));
        table_text(&t, f->id);
        table_text(&t, f->disk);
        table_text(&t, f->text);
        if (f->accepted)
            table_note(&t, "accepted: %s", f->accepted);
        else if (f->advice)
            table_note(&t, "%s", f->advice);
    }
    buf_char(to, '\n');
    return table_print(&t, to, width(), e);
}

static void safe_line(struct buf *to, const char *before, const char *text)
{
    buf_format(to, "  %s", before);
    safe_text(to, text, false);
    buf_char(to, '\n');
}

static bool machine_text(const struct machine_plan *p, struct buf *to, struct err *e)
{
    buf_format(to, "\n%s\n", p->name);
    if (!disks_text(p, to, e))
        return false;
    for (size_t i = 0; i < p->nics.count; i++)
        safe_line(to, "nic ", p->nics.items[i]);
    if (!stages_text(p, to, e))
        return false;
    if (p->publish.count)
        buf_char(to, '\n');
    for (size_t i = 0; i < p->publish.count; i++)
        safe_line(to, "publishes ", p->publish.items[i]);
    if (!space_text(p, to, e) || !findings_text(p, to, e))
        return false;
    buf_char(to, '\n');
    if (p->resumes)
        safe_line(to, "", p->resumes);
    if (p->verdict.kind)
        safe_line(to, "verdict: cannot run: ", p->verdict.text);
    else
        safe_line(to, "verdict: ",
                  p->finished ? "nothing to do, sources and outputs are unchanged" : "can run");
    return buf_ok(to, e);
}

/* ---- the job ---- */

struct planned {
    struct machine_plan *plans;
    size_t count;
    size_t refused, todo;
    enum err_kind gravest;
    const struct machine_plan *worst; /* the first of the gravest; NULL: all can run */
};

static void planned_release(struct planned *p)
{
    for (size_t i = 0; i < p->count; i++)
        machine_plan_release(&p->plans[i]);
    free(p->plans);
}

static void planned_release_at(struct planned *p)
{
    planned_release(p);
}

static bool plan_all(const struct cli *cli, const struct job *job, struct planned *p, struct err *e)
{
    p->plans = mem_array(MAX(job->machine_count, 1u), sizeof(*p->plans), e);
    if (!p->plans)
        return false;
    for (size_t i = 0; i < job->machine_count; i++) {
        struct machine_plan *plan = &p->plans[p->count++];
        struct err why = ERR_INIT;
        enum err_kind kind;

        if (!plan_machine(job, &job->machines[i], cli->state_dir, plan, &why) &&
            !plan->verdict.kind)
            plan->verdict = why;
        if (cli->fresh) {
            plan->finished = false;
            free(TAKE(plan->resumes));
        }
        kind = plan->verdict.kind;
        p->todo += kind == ERR_NONE && !plan->finished;
        p->refused += kind != ERR_NONE;
        if (kind != ERR_NONE && err_graver(p->gravest, kind) != p->gravest)
            p->worst = plan;
        p->gravest = err_graver(p->gravest, kind);
        if (atomic_load(cli->stop))
            return err_set(e, ERR_INTERRUPTED, "interrupted while planning");
    }
    return true;
}

static bool plan_text(const struct cli *cli, const struct job *job, const struct planned *p,
                      struct err *e)
{
    AUTO(buf_release) struct buf text = {0};
    char count[64];

    buf_format(&text, "job %s: %s\n", job->name, count_text(p->count, "machine", count));
    for (size_t i = 0; i < p->count; i++) {
        if (!p->plans[i].name)
            buf_format(&text, "\n%s\n", job->machines[i].name);
        else if (!machine_text(&p->plans[i], &text, e))
            return false;
    }
    if (!p->refused && p->todo) {
        buf_text(&text, "\nto do it: ");
        jobs_command(cli, "run", &text);
        buf_char(&text, '\n');
    }
    if (!buf_ok(&text, e))
        return false;
    out("%s", text.data);
    return true;
}

bool cmd_plan(struct cli *cli, struct err *e)
{
    AUTO(job_free) struct job *job = jobs_load(cli, e);
    AUTO(planned_release) struct planned p = {0};
    AUTO(buf_release) struct buf next = {0};

    if (!job || !plan_all(cli, job, &p, e))
        return false;
    jobs_command(cli, "run", &next);
    if (!(cli->json
              ? plan_doc_print(job, p.plans, p.count, p.gravest, p.refused ? NULL : next.data, e)
              : plan_text(cli, job, &p, e)))
        return false;
    if (!p.worst)
        return true;
    if (p.count == 1)
        return err_set(e, p.gravest, "%s", p.worst->verdict.text);
    return err_set(e, p.gravest, "%zu of %zu machines cannot run, '%s' first: %s", p.refused,
                   p.count, p.worst->name ? p.worst->name : "", p.worst->verdict.text);
}
