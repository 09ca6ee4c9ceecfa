/* Loading a job: the document as a whole, then machines (job_machines.c) with their stages
 * (job_stages.c), then what concerns all of them; see job.h.
 *
 * Mistakes never end the loading: everything that can still be looked at is, so that one run of
 * strata shows them all. */
#include "job_load.h"

#include "bytes.h"
#include "log.h"
#include "text.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_SHOWN = 10 }; /* machines named in a message */

void job_free(struct job *job)
{
    if (!job)
        return;
    for (size_t i = 0; i < job->machine_count; i++)
        machine_release(&job->machines[i]);
    free(job->machines);
    for (size_t i = 0; i < job->secret_count; i++) {
        free(job->secrets[i].name);
        opt_release(job_secret_rows, &job->secrets[i]);
    }
    free(job->secrets);
    for (size_t i = 0; i < job->network_count; i++) {
        free(job->networks[i].name);
        free(job->networks[i].bridge);
        free(job->networks[i].network);
    }
    free(job->networks);
    opt_release(job_policy_rows, &job->policy);
    opt_pairs_release(&job->vars);
    opt_texts_release(&job->rules.allow);
    opt_pairs_release(&job->rules.path_map);
    if (job->kept)
        node_list_release(job->kept);
    free(job->kept);
    node_free(job->document);
    free(job->path);
    free(job->dir);
    free(job->name);
    free(job->workdir);
    free(job);
}

/* The real folder of the file: its own symbolic links are resolved first. */
static bool find_dir(struct job *job, const char *path, struct err *e)
{
    char *real = realpath(path, NULL), *slash;

    if (!real)
        return err_errno(e, ERR_IO, errno, "cannot read '%s'", path);
    slash = strrchr(real, '/');
    slash[slash == real] = '\0';
    job->dir = real;
    job->path = mem_text(path, e);
    return job->path;
}

/* The root as a map of a version we know. False: nothing else is worth saying. */
static bool check_root(const struct node *root, struct mistakes *m)
{
    const struct node *version = node_get(root, "strata");
    uint64_t v;

    if (node_null(root)) {
        mistake_add(m, (struct mark){0, 0},
                    "is empty: a job needs strata: 1, name, machines and stages");
        return false;
    }
    if (root->kind != NODE_MAP) {
        mistake_add(m, root->at, "a job is a map of keys, the first being 'strata: 1'; this is %s",
                    node_kind_text(root));
        return false;
    }
    if (!version || version->kind != NODE_SCALAR || strcmp(version->text, "1") == 0)
        return true;
    v = strtoull(version->text, NULL, 10);
    if (v < 2 || strspn(version->text, "0123456789") != strlen(version->text))
        return true;
    mistake_add(m, version->at,
                "the job is written in version %s of the job language; this strata knows version "
                "1: a newer one is needed",
                version->text);
    return false;
}

/* A password must come from a secret; the line is hidden before anything is said about it. */
static void check_remotes(const struct node *remotes, struct mistakes *m)
{
    for (size_t i = 0; remotes && remotes->kind == NODE_MAP && i < remotes->count; i++) {
        const struct node *password = node_get(remotes->items[i], "password");

        if (!password || password->kind != NODE_SCALAR || text_starts(password->text, "${"))
            continue;
        mistakes_hide(m, password->at);
        mistake_add(m, password->at,
                    "a password is never written into a job file: put it under "
                    "'secrets' and write \"${secret:name}\"");
    }
}

static bool load_networks(struct job_loader *l, struct scope *scope)
{
    struct decode d = {.mistakes = l->mistakes, .expand = scope_expand, .user = scope};
    const struct node *map = l->file.networks;

    if (!map)
        return true;
    l->job->networks = mem_array(map->count, sizeof(*l->job->networks), l->e);
    if (!l->job->networks)
        return false;
    for (size_t i = 0; i < map->count; i++) {
        struct network_map *network = &l->job->networks[l->job->network_count++];
        struct network_keys keys = {0};
        bool ok = rows_decode(job_network_rows, map->items[i], &keys, &d);

        if (ok && !!keys.bridge + !!keys.network + keys.none != 1)
            mistake_add(l->mistakes, map->items[i]->at,
                        "'%s' needs one of bridge, network and none", map->keys[i]);
        network->bridge = keys.bridge;
        network->network = keys.network;
        network->name = mem_text(map->keys[i], l->e);
        if (!network->name)
            return false;
    }
    return true;
}

/* The keys of the job itself, out of l->file into the job. */
static bool take_keys(struct job_loader *l, struct scope *scope)
{
    struct job *job = l->job;
    struct job_file *f = &l->file;

    if (!paths_resolve(job_rows, f, job->dir, l->e))
        return false;
    job->rules.allow = f->allow;
    f->allow = (struct opt_texts){0};
    job->rules.path_map = f->path_map;
    job->rules.direct = f->policy.direct;
    f->path_map = (struct opt_pairs){0};
    job->workdir = TAKE(f->workdir);
    job->policy = f->policy;
    f->policy = (struct policy){0};
    job->remotes = f->remotes;
    for (size_t i = 0; i < job->rules.path_map.count; i++) {
        char **to = &job->rules.path_map.items[i].value;
        char *path = path_resolve(job->dir, *to, l->e);

        if (!path)
            return false;
        free(*to);
        *to = path;
    }
    for (size_t i = 0; i < scope->vars.count; i++)
        if (!opt_pairs_add(&job->vars, scope->vars.items[i].name, scope->vars.items[i].raw, l->e))
            return false;
    for (size_t i = 0; i < l->overrides->allow.count; i++)
        if (!opt_texts_add(&job->rules.allow, l->overrides->allow.items[i], l->e))
            return false;
    return load_networks(l, scope);
}

/* The job's name comes first: ${job} may stand in everything else. */
static bool take_name(struct job_loader *l, const struct node *root, struct scope *scope)
{
    const struct node *name = node_get(root, "name");
    struct err e = ERR_INIT;

    if (!name || name->kind != NODE_SCALAR || node_null(name))
        return true;
    l->job->name = scope_expand(scope, name->text, &e);
    return l->job->name || e.kind != ERR_MEMORY || err_set(l->e, ERR_MEMORY, "out of memory");
}

static bool load_keys(struct job_loader *l, const struct node *root)
{
    struct scope scope;
    struct decode d = {.mistakes = l->mistakes, .expand = scope_expand, .user = &scope};
    const struct node *secrets = node_get(root, "secrets");
    bool ok = loader_scope(l, NULL, NULL, NULL, root->at, &scope) && take_name(l, root, &scope);

    if (ok) {
        scope.use = TEXT_COMMAND;
        ok = secrets_load(l, secrets, &scope);
        scope.use = TEXT_FINAL;
    }
    if (ok) {
        check_remotes(node_get(root, "remotes"), l->mistakes);
        rows_decode(job_rows, root, &l->file, &d);
        ok = take_keys(l, &scope);
    }
    scope_release(&scope);
    return ok;
}

/* --var K=V: the names, and whether each is used. */
static bool take_overrides(struct job_loader *l)
{
    const struct opt_texts *vars = &l->overrides->vars;

    l->override_used = mem_array(vars->count, sizeof(bool), l->e);
    for (size_t i = 0; l->override_used && i < vars->count; i++) {
        const char *text = vars->items[i], *eq = strchr(text, '=');
        AUTO(free) char *name = eq ? mem_textn(text, (size_t)(eq - text), l->e) : NULL;

        if (!eq)
            return err_set(l->e, ERR_USAGE, "--var '%s' is not of the form name=value", text);
        if (!name || !opt_texts_add(&l->override_names, name, l->e))
            return false;
        if (!var_name_valid(name))
            return err_set(l->e, ERR_USAGE, "--var '%s': '%s' cannot be a variable", text, name);
    }
    return l->override_used;
}

/* A --var that nothing names is most likely mistyped. */
static void check_overrides(const struct job_loader *l, const struct node *vars)
{
    for (size_t i = 0; i < l->override_names.count; i++) {
        const char *name = l->override_names.items[i];
        int near = -1;

        if (l->override_used[i] || node_get(vars, name))
            continue;
        if (vars && vars->kind == NODE_MAP)
            near = text_nearest(name, (const char *const *)vars->keys, vars->count);
        log_warn("--var '%s': the job has no variable of that name%s%s%s", name,
                 near >= 0 ? "; did you mean '" : "", near >= 0 ? vars->keys[near] : "",
                 near >= 0 ? "'?" : "");
    }
}

static bool matches(const struct machine *m, const char *glob, const char *tag)
{
    if (glob)
        return fnmatch(glob, m->name, 0) == 0;
    for (size_t i = 0; i < m->tags.count; i++)
        if (strcmp(m->tags.items[i], tag) == 0)
            return true;
    return false;
}

static bool nothing_matches(const struct job_loader *l, const char *option, const char *value)
{
    AUTO(buf_release) struct buf names = {0};
    size_t count = l->machines.count;

    for (size_t i = 0; i < MIN(count, (size_t)NAMES_SHOWN); i++)
        buf_format(&names, "%s%s", i ? ", " : "", l->machines.items[i].name);
    if (count > NAMES_SHOWN)
        buf_format(&names, " and %zu more", count - NAMES_SHOWN);
    return err_set(l->e, ERR_USAGE, "%s '%s' matches no machine; there are: %s", option, value,
                   names.data ? names.data : "none");
}

/* Every given pattern must match something: it may be mistyped. */
static bool check_filters(const struct job_loader *l, const struct opt_texts *filters, bool glob)
{
    for (size_t i = 0; i < filters->count; i++) {
        const char *text = filters->items[i];
        bool any = false;

        for (size_t j = 0; j < l->machines.count && !any; j++)
            any = matches(&l->machines.items[j], glob ? text : NULL, text);
        if (!any)
            return nothing_matches(l, glob ? "--machine" : "--tag", text);
    }
    return true;
}

static bool chosen(const struct machine *m, const struct opt_texts *filters, bool glob)
{
    for (size_t i = 0; i < filters->count; i++)
        if (matches(m, glob ? filters->items[i] : NULL, filters->items[i]))
            return true;
    return !filters->count;
}

static bool filter(struct job_loader *l)
{
    const struct opt_texts *globs = &l->overrides->machines, *tags = &l->overrides->tags;
    size_t left = 0;

    if (!check_filters(l, globs, true) || !check_filters(l, tags, false))
        return false;
    for (size_t i = 0; i < l->machines.count; i++) {
        struct machine *m = &l->machines.items[i];
        bool keep = chosen(m, globs, true) && chosen(m, tags, false);

        if (!keep)
            machine_release(m);
        else if (left++ != i)
            l->machines.items[left - 1] = *m;
    }
    l->machines.count = left;
    return left || err_set(l->e, ERR_USAGE, "no machine matches both --machine and --tag");
}

static bool load_document(struct job_loader *l, const char *path)
{
    struct mistakes *m = l->mistakes;
    const struct node *root;
    unsigned count;

    l->job->document = node_load(path, m, l->e);
    root = l->job->document;
    if (l->e->kind != ERR_NONE)
        return false;
    if (root && check_root(root, m)) {
        secrets_look(root, m);
        l->file.vars = node_get(root, "vars");
        if (!load_keys(l, root) || !machines_load(l, root) || !targets_check(l))
            return false;
    }
    count = (unsigned)m->list.count + m->more;
    if (count)
        return err_set(l->e, ERR_USAGE, "'%s' has %u mistake%s", path, count,
                       count == 1 ? "" : "s");
    check_overrides(l, l->file.vars);
    return filter(l);
}

struct job *job_load(const char *path, const struct job_overrides *overrides, struct mistakes *m,
                     struct err *e)
{
    static const struct job_overrides none;
    struct job_loader l = {.overrides = overrides ? overrides : &none, .mistakes = m, .e = e};
    AUTO(job_free) struct job *job = mem_new(struct job, e);

    if (!job)
        return NULL;
    l.job = job;
    job->kept = mem_new(struct node_list, e);
    if (job->kept && find_dir(job, path, e) && take_overrides(&l))
        load_document(&l, path);
    job->machines = l.machines.items;
    job->machine_count = l.machines.count;
    opt_release(job_rows, &l.file);
    opt_texts_release(&l.override_names);
    free(l.override_used);
    return e->kind == ERR_NONE ? TAKE(job) : NULL;
}
