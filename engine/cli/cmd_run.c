/* `strata run`, `strata abandon`: events go to the bar, the plain lines and the events file while
 * the job runs; the table of results closes it. */
#include "bytes.h"
#include "clock.h"
#include "commands.h"
#include "doc.h"
#include "events.h"
#include "jobs.h"
#include "print.h"
#include "progress.h"
#include "table.h"
#include "text.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct running {
    const struct cli *cli;
    struct event_stream events;
    struct progress progress;
    size_t machines;
};

static void event_label(const struct event *ev, struct buf *to)
{
    buf_text(to, ev->machine ? ev->machine : ev->job);
    if (ev->stage)
        buf_format(to, " %s", ev->stage);
    if (ev->disk)
        buf_format(to, " %s", ev->disk);
}

static void on_event(void *user, const struct event *ev)
{
    AUTO(buf_release) struct buf label = {0}, line = {0};
    struct running *r = user;

    event_stream_write(&r->events, ev);
    event_label(ev, &label);
    switch (ev->kind) {
    case EVENT_PROGRESS:
        progress_show(&r->progress, label.data ? label.data : "", ev->done, ev->total, ev->resumed,
                      ev->rate, ev->eta);
        return;
    case EVENT_WARNING:
        tell("warning: %s: %s", label.data, ev->text ? ev->text : "");
        return;
    case EVENT_STARTED:
        if (!ev->stage)
            return;
        buf_text(&line, label.data);
        if (ev->resumed)
            buf_format(&line, ": %s are already done", SIZE_TEXT(ev->resumed));
        break;
    case EVENT_FAILED: /* of one machine, the line that ends the program says it */
        if (r->machines < 2)
            return;
        buf_format(&line, "%s: failed: %s", label.data, ev->text ? ev->text : "");
        break;
    case EVENT_FINISHED:
    case EVENT_CHECKPOINT:
        return;
    }
    progress_say(&r->progress, line.data ? line.data : "");
}

/* ---- results ---- */

static const char *result_word(const struct machine_result *r)
{
    if (r->kind == ERR_NONE)
        return r->unchanged ? "unchanged" : "done";
    if (r->kind == ERR_INTERRUPTED || r->kind == ERR_TERMINATED)
        return "interrupted";
    return r->kind == ERR_DIFFERS ? "differs" : "failed";
}

static uint64_t saved(const struct machine_result *r)
{
    return r->after && r->before > r->after ? r->before - r->after : 0;
}

static void size_cell(struct table *t, uint64_t size)
{
    table_text(t, size ? SIZE_TEXT(size) : "");
}

static void result_row(struct table *t, const struct machine_result *r)
{
    table_text(t, r->machine);
    table_text(t, result_word(r));
    table_cell(t, "%d", r->status);
    table_text(t, r->stage);
    size_cell(t, r->before);
    size_cell(t, r->after);
    size_cell(t, saved(r));
    size_cell(t, r->read);
    size_cell(t, r->written);
    table_text(t, r->unchanged ? "" : duration_text(r->seconds, (char[SIZE_TEXT_MAX]){0}));
    size_cell(t, r->resumed);
    if (r->text && !text_starts(r->text, result_word(r)))
        table_note(t, "%s", r->text);
    if (r->advice && *r->advice)
        table_note(t, "next: %s", r->advice);
}

struct totals {
    size_t machines, done, unchanged, failed;
    uint64_t before, after, read, written, seconds, resumed;
    enum err_kind gravest;
    const struct machine_result *first_grave; /* the first of the gravest; NULL: all went well */
};

static struct totals add_up(const struct machine_result *results, size_t count, uint64_t seconds)
{
    struct totals sum = {.seconds = seconds};

    for (size_t i = 0; i < count; i++) {
        const struct machine_result *r = &results[i];
        enum err_kind graver = err_graver(sum.gravest, r->kind);

        if (!r->machine)
            continue;
        sum.machines++;
        sum.done += r->kind == ERR_NONE && !r->unchanged;
        sum.unchanged += r->kind == ERR_NONE && r->unchanged;
        sum.failed += r->kind != ERR_NONE;
        sum.before += r->before;
        sum.after += r->after;
        sum.read += r->read;
        sum.written += r->written;
        sum.resumed += r->resumed;
        if (r->kind != ERR_NONE && graver != sum.gravest)
            sum.first_grave = r;
        sum.gravest = graver;
    }
    return sum;
}

static void totals_line(const struct totals *sum, struct buf *to)
{
    char count[64];

    buf_text(to, count_text(sum->machines, "machine", count));
    if (sum->done)
        buf_format(to, ", %zu done", sum->done);
    if (sum->unchanged)
        buf_format(to, ", %zu unchanged", sum->unchanged);
    if (sum->failed)
        buf_format(to, ", %zu not done", sum->failed);
    buf_format(to, "; %s read, ", SIZE_TEXT(sum->read));
    buf_format(to, "%s written, %s\n", SIZE_TEXT(sum->written),
               duration_text(sum->seconds, (char[SIZE_TEXT_MAX]){0}));
}

static bool closing_text(const struct running *r, const struct machine_result *results,
                         size_t count, const struct totals *sum, struct err *e)
{
    static const char *const heads[] = {"machine",  "result", ">exit",    "stage",
                                        ">before",  ">after", ">saved",   ">read",
                                        ">written", ">time",  ">resumed", NULL};
    AUTO(buf_release) struct buf text = {0};
    AUTO(table_release) struct table t = {0};

    table_init(&t, heads);
    for (size_t i = 0; i < count; i++)
        if (results[i].machine)
            result_row(&t, &results[i]);
    if (!table_print(&t, &text, terminal_width(STDOUT_FILENO), e))
        return false;
    totals_line(sum, &text);
    if (sum->failed) {
        buf_text(&text, "to go on: ");
        jobs_command(r->cli, "run", &text);
        buf_char(&text, '\n');
    }
    if (!buf_ok(&text, e))
        return false;
    if (r->events.to == stdout)
        tell_text(text.data);
    else
        out("%s", text.data);
    return true;
}

static json_t *result_doc(const struct machine_result *r)
{
    json_t *one = json_object();

    doc_set(one, "machine", doc_text(r->machine));
    doc_set(one, "result", doc_text(result_word(r)));
    doc_set(one, "status", json_integer(r->status));
    doc_set(one, "kind", doc_text(err_kind_name(r->kind)));
    doc_set(one, "stage", doc_text(r->stage));
    doc_set(one, "before", doc_count(r->before));
    doc_set(one, "after", doc_count(r->after));
    doc_set(one, "saved", doc_count(saved(r)));
    doc_set(one, "read", doc_count(r->read));
    doc_set(one, "written", doc_count(r->written));
    doc_set(one, "seconds", doc_count(r->seconds));
    doc_set(one, "resumed", doc_count(r->resumed));
    doc_set(one, "unchanged", json_boolean(r->unchanged));
    doc_set(one, "text", doc_text(r->text));
    doc_set(one, "advice", doc_text(r->advice));
    return one;
}

static bool closing_doc(const struct running *r, const struct job *job,
                        const struct machine_result *results, const struct totals *sum,
                        struct err *e)
{
    json_t *doc = json_object(), *machines = json_array(), *total = json_object();
    AUTO(buf_release) struct buf next = {0};

    for (size_t i = 0; i < job->machine_count; i++)
        if (results[i].machine)
            doc_add(machines, result_doc(&results[i]));
    doc_set(total, "machines", doc_count(sum->machines));
    doc_set(total, "done", doc_count(sum->done));
    doc_set(total, "unchanged", doc_count(sum->unchanged));
    doc_set(total, "not_done", doc_count(sum->failed));
    doc_set(total, "before", doc_count(sum->before));
    doc_set(total, "after", doc_count(sum->after));
    doc_set(total, "read", doc_count(sum->read));
    doc_set(total, "written", doc_count(sum->written));
    doc_set(total, "resumed", doc_count(sum->resumed));
    doc_set(total, "seconds", doc_count(sum->seconds));
    if (sum->failed)
        jobs_command(r->cli, "run", &next);
    doc_set(doc, "job", doc_text(job->name));
    doc_set(doc, "status", json_integer(err_exit_status(sum->gravest)));
    doc_set(doc, "machines", machines);
    doc_set(doc, "totals", total);
    doc_set(doc, "next", doc_text(next.data));
    return doc_print(doc, e);
}

/* The line that every failure ends with. */
static bool closing_error(const struct running *r, const struct totals *sum, struct err *e)
{
    const struct machine_result *worst = sum->first_grave;
    AUTO(buf_release) struct buf next = {0};
    const char *why;

    if (!worst)
        return true;
    why = worst->text && *worst->text ? worst->text : err_kind_name(worst->kind);
    jobs_command(r->cli, "run", &next);
    if (sum->gravest == ERR_INTERRUPTED || sum->gravest == ERR_TERMINATED)
        return err_set(e, sum->gravest, "interrupted: '%s' goes on", next.data);
    if (sum->machines == 1)
        return err_set(e, sum->gravest, "'%s': %s%s%s", worst->machine, why,
                       worst->advice && *worst->advice ? "; " : "",
                       worst->advice ? worst->advice : "");
    return err_set(e, sum->gravest, "%zu of %zu machines are not done, '%s' first: %s", sum->failed,
                   sum->machines, worst->machine, why);
}

static bool report(const struct running *r, const struct job *job,
                   const struct machine_result *results, uint64_t seconds, struct err *e)
{
    struct totals sum = add_up(results, job->machine_count, seconds);
    bool ok = r->cli->json ? closing_doc(r, job, results, &sum, e)
                           : closing_text(r, results, job->machine_count, &sum, e);

    return ok && closing_error(r, &sum, e);
}

static bool run_loaded(struct running *r, const struct job *job, struct err *e)
{
    struct machine_result *results = mem_array(MAX(job->machine_count, 1u), sizeof(*results), e);
    uint64_t began = clock_mono();
    struct run_options options;
    bool ok;

    if (!results || !jobs_run_options(r->cli, &options, e)) {
        free(results);
        return false;
    }
    r->machines = job->machine_count;
    options.event = on_event;
    options.user = r;
    progress_init(&r->progress, r->cli);
    ok = run_job(job, &options, results, e);
    progress_end(&r->progress);
    ok = ok && report(r, job, results, (clock_mono() - began) / 1000000000, e);
    for (size_t i = 0; i < job->machine_count; i++)
        machine_result_release(&results[i]);
    free(results);
    return ok;
}

bool cmd_run(struct cli *cli, struct err *e)
{
    AUTO(job_free) struct job *job = NULL;
    struct running r = {.cli = cli};
    bool ok;

    if (cli->json && cli->events && strcmp(cli->events, "-") == 0)
        return err_set(e, ERR_USAGE,
                       "--json and '--events -' both want standard output: give a file to one");
    job = jobs_load(cli, e);
    if (!job || !event_stream_open(&r.events, cli->events, e))
        return false;
    ok = run_loaded(&r, job, e);
    event_stream_close(&r.events);
    return ok;
}

bool cmd_abandon(struct cli *cli, struct err *e)
{
    AUTO(job_free) struct job *job = jobs_load(cli, e);
    struct opt_texts removed = {0};
    struct run_options options;
    bool ok;

    if (!job || !jobs_run_options(cli, &options, e))
        return false;
    ok = run_abandon(job, &options, &removed, e);
    if (ok && cli->json) {
        json_t *doc = json_object();

        doc_set(doc, "removed", doc_texts(&removed));
        ok = doc_print(doc, e);
    } else if (ok) {
        for (size_t i = 0; i < removed.count; i++)
            out("removed %s\n", removed.items[i]);
        if (!removed.count)
            out("nothing to remove\n");
    }
    opt_texts_release(&removed);
    return ok;
}
