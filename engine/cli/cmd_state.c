/* The commands that read the state: status, history, log. None of them locks or changes it. */
#include "bytes.h"
#include "clock.h"
#include "commands.h"
#include "doc.h"
#include "events.h"
#include "jobs.h"
#include "node.h"
#include "print.h"
#include "state.h"
#include "table.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

/* What is being listed: rows of a table, or items of a JSON list. */
struct listing {
    const struct cli *cli;
    struct table table;
    json_t *list;
    const char *job, *machine; /* of the rows to come */
};

/* The job's name: what the argument is, or what the file of that name says. */
static char *job_name(const char *argument, struct err *e)
{
    AUTO(node_free) struct node *root = NULL;
    struct mistakes mistakes = {0};
    const struct node *name;
    char *text = NULL;

    if (!text_ends(argument, ".yaml") && !text_ends(argument, ".yml"))
        return mem_text(argument, e);
    root = node_load(argument, &mistakes, e);
    name = root && root->kind == NODE_MAP ? node_get(root, "name") : NULL;
    if (name && name->kind == NODE_SCALAR)
        text = mem_text(name->text, e);
    else
        err_set(e, ERR_USAGE, "'%s' is no job file with a name: 'strata plan' says what is wrong",
                argument);
    mistakes_release(&mistakes);
    return text;
}

static bool need_state_dir(const struct cli *cli, struct err *e)
{
    return cli->state_dir || err_set(e, ERR_USAGE,
                                     "there is no home directory that could hold "
                                     "the state: give --state DIR");
}

static bool wanted(const struct cli *cli, const char *machine)
{
    bool match = !cli->machines.count;

    for (size_t i = 0; i < cli->machines.count; i++)
        match = match || fnmatch(cli->machines.items[i], machine, 0) == 0;
    return match;
}

typedef bool machine_fn(struct listing *l, struct state *s, struct err *e);

/* Calls back for each machine of the job that has a state. */
static bool each_machine(struct listing *l, const char *job, machine_fn *fn, struct err *e)
{
    struct opt_texts machines = {0};
    bool ok = state_machines(l->cli->state_dir, job, &machines, e);

    l->job = job;
    for (size_t i = 0; ok && i < machines.count; i++) {
        AUTO(state_close) struct state *s = NULL;
        struct err why = ERR_INIT;

        l->machine = machines.items[i];
        if (!wanted(l->cli, l->machine))
            continue;
        s = state_peek(l->cli->state_dir, job, l->machine, &why);
        if (!s && why.kind)
            tell("warning: the state of '%s': %s", l->machine, why.text);
        else if (s)
            ok = fn(l, s, e);
    }
    opt_texts_release(&machines);
    return ok;
}

static const char *run_word(const struct state_run *r)
{
    static const char *const words[] = {[RUN_UNFINISHED] = "unfinished",
                                        [RUN_FAILED] = "failed",
                                        [RUN_DONE] = "done",
                                        [RUN_ABANDONED] = "abandoned"};

    return words[r->status];
}

static void run_row(struct listing *l, const struct state_run *r)
{
    char at[CLOCK_TEXT_MAX];

    if (l->cli->json) {
        json_t *one = json_object();

        doc_set(one, "job", doc_text(l->job));
        doc_set(one, "machine", doc_text(l->machine));
        doc_set(one, "result", doc_text(run_word(r)));
        doc_set(one, "status", json_integer(err_exit_status(r->kind)));
        doc_set(one, "stage", doc_text(r->stage));
        doc_set(one, "started", doc_text(clock_text(r->started, at)));
        doc_set(one, "finished", doc_text(r->finished ? clock_text(r->finished, at) : NULL));
        doc_set(one, "file", doc_text(r->job_path));
        doc_set(one, "before", doc_count(r->before));
        doc_set(one, "after", doc_count(r->after));
        doc_set(one, "read", doc_count(r->read));
        doc_set(one, "written", doc_count(r->written));
        doc_set(one, "resumed", doc_count(r->resumed));
        doc_set(one, "seconds", doc_count(r->seconds));
        doc_set(one, "text", doc_text(r->text));
        doc_add(l->list, one);
        return;
    }
    table_text(&l->table, l->job);
    table_text(&l->table, l->machine);
    table_text(&l->table, run_word(r));
    table_text(&l->table, r->stage);
    table_text(&l->table, clock_text(r->started, at));
    table_text(&l->table, r->before ? SIZE_TEXT(r->before) : "");
    table_text(&l->table, r->after ? SIZE_TEXT(r->after) : "");
    table_text(&l->table, r->finished ? duration_text(r->seconds, (char[SIZE_TEXT_MAX]){0}) : "");
    if (r->kind != ERR_NONE && r->text)
        table_note(&l->table, "%s", r->text);
}

static const char *const run_heads[] = {"job",     "machine", "result", "stage", "started",
                                        ">before", ">after",  ">time",  NULL};

static bool last_run(struct listing *l, struct state *s, struct err *e)
{
    struct state_run r = {0};
    bool ok = state_last(s, &r, e);

    if (ok && r.id)
        run_row(l, &r);
    state_run_release(&r);
    return ok;
}

static bool history_row(void *user, const struct state_run *r)
{
    run_row(user, r);
    return true;
}

static bool all_runs(struct listing *l, struct state *s, struct err *e)
{
    return state_history(s, history_row, l, e);
}

static bool event_row(void *user, const struct state_event *ev)
{
    struct listing *l = user;
    char at[CLOCK_TEXT_MAX];

    if (l->cli->json) {
        json_t *one = json_object();

        doc_set(one, "time", doc_text(clock_text(ev->time, at)));
        doc_set(one, "job", doc_text(l->job));
        doc_set(one, "machine", doc_text(l->machine));
        doc_set(one, "disk", doc_text(ev->disk));
        doc_set(one, "stage", doc_text(ev->stage));
        doc_set(one, "event", doc_text(event_name(ev->kind)));
        doc_set(one, "done", doc_count(ev->done));
        doc_set(one, "total", doc_known(ev->total));
        doc_set(one, "text", doc_text(ev->text));
        doc_add(l->list, one);
        return true;
    }
    table_text(&l->table, clock_text(ev->time, at));
    table_text(&l->table, l->machine);
    table_text(&l->table, ev->stage);
    table_text(&l->table, ev->disk);
    table_text(&l->table, event_name(ev->kind));
    table_text(&l->table, ev->done ? SIZE_TEXT(ev->done) : "");
    table_text(&l->table, ev->text);
    return true;
}

static const char *const event_heads[] = {"time",  "machine", "stage", "disk",
                                          "event", ">done",   "what",  NULL};

static bool last_events(struct listing *l, struct state *s, struct err *e)
{
    struct state_run r = {0};
    bool ok = state_last(s, &r, e) && (!r.id || state_events(s, r.id, event_row, l, e));

    state_run_release(&r);
    return ok;
}

static void listing_init(struct listing *l, const struct cli *cli, const char *const *heads)
{
    *l = (struct listing){.cli = cli, .list = json_array()};
    table_init(&l->table, heads);
}

/* Prints what was collected; `none` when that is nothing. */
static bool listing_print(struct listing *l, const char *none, struct err *e)
{
    unsigned width = terminal_width(STDOUT_FILENO);
    AUTO(buf_release) struct buf text = {0};

    if (l->cli->json)
        return doc_print(TAKE(l->list), e);
    if (!l->table.cells.count) {
        out("%s\n", none);
        return true;
    }
    if (!table_print(&l->table, &text, width, e) || !buf_ok(&text, e))
        return false;
    out("%s", text.data);
    return true;
}

static void listing_release(struct listing *l)
{
    json_decref(l->list);
    table_release(&l->table);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The folders of the state directory: one per job. */
static bool list_jobs(const char *state_dir, struct opt_texts *ret, struct err *e)
{
    DIR *dir = opendir(state_dir);
    struct dirent *entry;
    bool ok = true;

    if (!dir)
        return errno == ENOENT ||
               err_errno(e, ERR_IO, errno, "cannot read the state directory '%s'", state_dir);
    while (ok && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && entry->d_type != DT_REG)
            ok = opt_texts_add(ret, entry->d_name, e);
    closedir(dir);
    if (ret->count)
        qsort(ret->items, ret->count, sizeof(*ret->items), by_name);
    return ok;
}

bool cmd_status(struct cli *cli, struct err *e)
{
    struct opt_texts jobs = {0};
    struct listing l;
    bool ok = need_state_dir(cli, e);

    listing_init(&l, cli, run_heads);
    if (ok && cli->args.count) {
        AUTO(free) char *job = job_name(cli->args.items[0], e);

        ok = job && opt_texts_add(&jobs, job, e);
    } else {
        ok = ok && list_jobs(cli->state_dir, &jobs, e);
    }
    for (size_t i = 0; ok && i < jobs.count; i++)
        ok = each_machine(&l, jobs.items[i], last_run, e);
    ok = ok && listing_print(&l, "nothing was run", e);
    opt_texts_release(&jobs);
    listing_release(&l);
    return ok;
}

static bool list_job(const struct cli *cli, const char *const *heads, machine_fn *fn, struct err *e)
{
    AUTO(free) char *job = need_state_dir(cli, e) ? job_name(cli->args.items[0], e) : NULL;
    struct listing l;
    bool ok;

    if (!job)
        return false;
    listing_init(&l, cli, heads);
    ok = each_machine(&l, job, fn, e) && listing_print(&l, "nothing was run", e);
    listing_release(&l);
    return ok;
}

bool cmd_history(struct cli *cli, struct err *e)
{
    return list_job(cli, run_heads, all_runs, e);
}

bool cmd_log(struct cli *cli, struct err *e)
{
    return list_job(cli, event_heads, last_events, e);
}
