/* The machines of a job: from the list, from globs, CSV files and `images`; see job_load.h.
 *
 * Every machine is decoded on its own, in a scope of its own, from what is common to it and others
 * (the entry of the list) and what is not (its name, the file that a glob found, the CSV row). */
#include "job_load.h"

#include "bytes.h"
#include "job_csv.h"
#include "slurp.h"
#include "text.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

enum { CSV_MAX = 4 << 20 }; /* ten thousand rows of a few hundred bytes */

struct spec { /* one machine to be */
    const char *name;
    struct mark at;
    const struct node *entry;    /* NULL: one of `images` */
    const char *path;            /* the file that a pattern found; NULL */
    const struct opt_pairs *row; /* of a CSV file; NULL */
    bool dry;                    /* decode for its mistakes alone */
};

static void disks_release(struct job_disk *disks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(disks[i].id);
        opt_release(job_disk_rows, &disks[i]);
    }
    free(disks);
}

void nics_release(struct hardware *h)
{
    for (size_t i = 0; i < h->nic_count; i++)
        opt_release(job_nic_rows, &h->nics[i]);
    free(TAKE(h->nics));
    h->nic_count = 0;
}

void hardware_release(struct hardware *h)
{
    free(h->name);
    free(h->firmware);
    free(h->guest_os);
    free(h->uuid);
    nics_release(h);
}

void machine_release(struct machine *m)
{
    for (size_t i = 0; i < m->stage_count; i++) {
        opt_release(m->stages[i].stage->options, m->stages[i].options);
        free(m->stages[i].options);
    }
    free(m->stages);
    disks_release(m->disks, m->disk_count);
    hardware_release(&m->hardware);
    opt_texts_release(&m->tags);
    opt_pairs_release(&m->vars);
    opt_pairs_release(&m->env);
    free(m->name);
    free(m->source);
    *m = (struct machine){0};
}

/* A disk: a path, or a map of path, format and skip. */
static bool read_disk(struct job_loader *l, const struct node *n, const struct decode *d,
                      struct job_disk *disk)
{
    char *keys[1] = {(char *)"path"};
    struct node *items[1] = {(struct node *)n};
    struct mark at = n->at;
    struct node map = {
        .kind = NODE_MAP, .at = n->at, .items = items, .keys = keys, .key_at = &at, .count = 1};

    rows_decode(job_disk_rows, n->kind == NODE_SCALAR ? &map : n, disk, d);
    if (disk->path && !*disk->path)
        mistake_add(l->mistakes, n->at, "a disk needs a path");
    return paths_resolve(job_disk_rows, disk, l->job->dir, l->e);
}

/* `disks:`, a list without a source and a map by id with one. */
static bool read_disks(struct job_loader *l, const struct node *n, bool source,
                       const struct decode *d, struct machine *m)
{
    if (source ? n->kind != NODE_MAP : n->kind != NODE_LIST) {
        mistake_add(l->mistakes, n->at,
                    source ? "with a source, 'disks' is a map: disk id to what replaces it, like "
                             "{scsi0:1: {skip: yes}}"
                           : "without a source, 'disks' is a list of images");
        return true;
    }
    if (!n->count)
        mistake_add(l->mistakes, n->at, "'disks' is empty");
    m->disks = mem_array(n->count, sizeof(*m->disks), l->e);
    if (!m->disks)
        return false;
    for (size_t i = 0; i < n->count; i++) {
        struct job_disk *disk = &m->disks[m->disk_count++];

        if (n->keys && !(disk->id = mem_text(n->keys[i], l->e)))
            return false;
        if (!read_disk(l, n->items[i], d, disk))
            return false;
        if (!n->keys && !disk->path && n->items[i]->kind == NODE_MAP)
            mistake_add(l->mistakes, n->items[i]->at, "a disk of the list needs a 'path'");
    }
    return true;
}

static bool read_nics(struct job_loader *l, const struct node *n, const struct decode *d,
                      struct hardware *h)
{
    if (!n)
        return true;
    h->nics = mem_array(n->count, sizeof(*h->nics), l->e);
    if (!h->nics)
        return false;
    for (; h->nic_count < n->count; h->nic_count++)
        rows_decode(job_nic_rows, n->items[h->nic_count], &h->nics[h->nic_count], d);
    return true;
}

static bool read_hardware(struct job_loader *l, struct hardware_keys *keys, const struct decode *d,
                          struct hardware *h)
{
    static const char *const firmware[] = {NULL, "bios", "uefi"};

    h->name = TAKE(keys->name);
    h->guest_os = TAKE(keys->guest_os);
    h->uuid = TAKE(keys->uuid);
    h->memory = keys->memory;
    h->cpus = keys->cpus;
    if (firmware[keys->firmware] && !(h->firmware = mem_text(firmware[keys->firmware], l->e)))
        return false;
    return read_nics(l, keys->nics, d, h);
}

static bool add_tags(struct opt_texts *tags, const char *text, struct err *e)
{
    while (*text) {
        size_t n = strcspn(text, " ;");
        AUTO(free) char *tag = mem_textn(text, n, e);

        if (!tag || (n && !opt_texts_add(tags, tag, e)))
            return false;
        text += n + (text[n] != '\0');
    }
    return true;
}

/* Where the machine comes from: what a pattern found, the CSV row's column, or the entry's keys. */
static bool read_source(struct job_loader *l, const struct spec *spec, struct machine_keys *keys,
                        const struct decode *d, struct machine *m)
{
    const char *column = spec->row ? opt_pairs_get(spec->row, "source") : NULL;
    const char *tags = spec->row ? opt_pairs_get(spec->row, "tags") : NULL;

    m->tags = keys->tags;
    keys->tags = (struct opt_texts){0};
    if (tags && !add_tags(&m->tags, tags, l->e))
        return false;
    if (!spec->entry) {
        m->disks = mem_new(struct job_disk, l->e);
        if (!m->disks)
            return false;
        m->disk_count = 1;
        m->disks[0].path = mem_text(spec->path, l->e);
        return m->disks[0].path;
    }
    if (spec->path && keys->source)
        mistake_add(l->mistakes, node_get(spec->entry, "source")->at,
                    "with 'glob', the files found are the sources");
    if (spec->path)
        m->source = mem_text(spec->path, l->e);
    else if (column && *column)
        m->source = path_resolve(l->job->dir, column, l->e);
    else
        m->source = TAKE(keys->source);
    if ((spec->path || (column && *column)) && !m->source)
        return false;
    if (keys->disks && !read_disks(l, keys->disks, m->source, d, m))
        return false;
    if (!m->source && !node_get(spec->entry, "disks") && !node_get(spec->entry, "source"))
        mistake_add(l->mistakes, spec->at, "machine '%s' has neither a 'source' nor 'disks'",
                    spec->name);
    return true;
}

bool loader_scope(struct job_loader *l, const char *machine, const struct node *vars,
                  const struct opt_pairs *row, struct mark at, struct scope *ret)
{
    const struct opt_texts *given = &l->overrides->vars;

    *ret = (struct scope){.mistakes = l->mistakes, .job = l->job, .machine = machine};
    if (!scope_add_map(ret, l->file.vars, l->e) || !scope_add_map(ret, vars, l->e))
        return false;
    for (size_t i = 0; row && i < row->count; i++) {
        const struct opt_pair *field = &row->items[i];

        if (strcmp(field->key, "name") == 0 || strcmp(field->key, "source") == 0 ||
            strcmp(field->key, "tags") == 0)
            continue;
        if (!scope_add(ret, field->key, field->value, at, NULL, l->e))
            return false;
    }
    for (size_t i = 0; i < given->count; i++) {
        char *name = l->override_names.items[i];

        if (!scope_add(ret, name, given->items[i] + strlen(name) + 1, (struct mark){0, 0},
                       &l->override_used[i], l->e))
            return false;
    }
    return true;
}

static bool decode_machine(struct job_loader *l, const struct spec *spec, struct scope *scope,
                           struct machine *m)
{
    struct decode d = {.mistakes = l->mistakes, .expand = scope_expand, .user = scope};
    struct machine_keys keys = {0};
    bool ok;

    m->at = spec->at;
    m->name = mem_text(spec->name, l->e);
    if (!m->name || !scope_values(scope, &m->vars, l->e))
        return false;
    if (spec->entry)
        rows_decode(job_machine_rows, spec->entry, &keys, &d);
    ok = paths_resolve(job_machine_rows, &keys, l->job->dir, l->e) &&
         read_source(l, spec, &keys, &d, m) && read_hardware(l, &keys.hardware, &d, &m->hardware) &&
         stages_load(l, scope, spec->entry, m);
    opt_release(job_machine_rows, &keys);
    return ok;
}

static bool add_machine(struct job_loader *l, const struct spec *spec)
{
    struct machine m = {0};
    struct err name = ERR_INIT;
    struct scope scope;
    bool ok;

    if (!job_name_check(spec->name, &name))
        mistake_add(l->mistakes, spec->at, "%s%s%s%s", name.text, spec->path ? " (from '" : "",
                    spec->path ? spec->path : "", spec->path ? "'): list it under a 'name'" : "");
    if (l->machines.count == JOB_MACHINES_MAX) {
        mistake_add(l->mistakes, spec->at, "the job has more than %d machines", JOB_MACHINES_MAX);
        return true;
    }
    ok = loader_scope(l, spec->name, node_get(spec->entry, "vars"), spec->row, spec->at, &scope);
    scope.state_dir = l->overrides->state_dir;
    scope.env = spec->dry ? NULL : &m.env;
    ok = ok && decode_machine(l, spec, &scope, &m);
    scope_release(&scope);
    if (!ok || spec->dry || !VEC_PUSH(&l->machines, m, l->e))
        machine_release(&m);
    return ok && l->e->kind == ERR_NONE;
}

/* The path with what a pattern could take for a wild card written out. */
static char *pattern_path(const char *dir, const char *pattern, struct err *e)
{
    AUTO(buf_release) struct buf out = {0};

    if (*pattern == '/')
        return mem_text(pattern, e);
    for (const char *p = dir; *p; p++) {
        if (strchr("*?[\\", *p))
            buf_char(&out, '\\');
        buf_char(&out, *p);
    }
    buf_format(&out, "/%s", text_starts(pattern, "./") ? pattern + 2 : pattern);
    return buf_take(&out, e);
}

/* The file's name without folder and suffix. */
static char *machine_name(const char *path, struct err *e)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    const char *dot = strrchr(base, '.');

    return mem_textn(base, dot && dot > base ? (size_t)(dot - base) : strlen(base), e);
}

static bool seen(const struct job_loader *l, const char *path)
{
    for (size_t i = 0; i < l->machines.count; i++)
        if (l->machines.items[i].disk_count == 1 && !l->machines.items[i].source &&
            strcmp(l->machines.items[i].disks[0].path, path) == 0)
            return true;
    return false;
}

/* A machine for every file that matches; folders do not. */
static bool add_matches(struct job_loader *l, const char *pattern, struct spec spec)
{
    AUTO(free) char *full = pattern_path(l->job->dir, pattern, l->e);
    glob_t found = {0};
    size_t files = 0;
    bool ok = true;
    int rc;

    if (!full)
        return false;
    rc = glob(full, GLOB_MARK, NULL, &found);
    if (rc == GLOB_NOSPACE)
        ok = err_set(l->e, ERR_MEMORY, "out of memory");
    for (size_t i = 0; rc == 0 && i < found.gl_pathc && ok; i++) {
        AUTO(free) char *name = NULL;

        if (text_ends(found.gl_pathv[i], "/"))
            continue;
        files++;
        if (!spec.entry && seen(l, found.gl_pathv[i]))
            continue;
        name = machine_name(found.gl_pathv[i], l->e);
        spec.name = name;
        spec.path = found.gl_pathv[i];
        ok = name && add_machine(l, &spec);
        if (l->machines.count == JOB_MACHINES_MAX)
            break;
    }
    globfree(&found);
    if (ok && !files)
        mistake_add(l->mistakes, spec.at, "'%s' matches no file", pattern);
    return ok;
}

static bool add_rows(struct job_loader *l, const char *path, struct spec spec)
{
    struct err e = ERR_INIT;
    size_t len;
    AUTO(free) char *text = slurp(path, CSV_MAX, &len, &e);
    struct csv csv = {0};
    bool ok = true;

    if (!text || !csv_parse(path, text, len, JOB_MACHINES_MAX, &csv, &e)) {
        mistake_add(l->mistakes, spec.at, "%s", e.text);
        return true;
    }
    if (!csv.count)
        mistake_add(l->mistakes, spec.at, "'%s' has no rows", path);
    else if (!opt_pairs_get(&csv.items[0].fields, "name"))
        mistake_add(l->mistakes, spec.at, "'%s' has no column 'name'", path);
    for (size_t i = 0; i < csv.count && ok; i++) {
        spec.row = &csv.items[i].fields;
        spec.name = opt_pairs_get(spec.row, "name");
        ok = !spec.name || add_machine(l, &spec);
    }
    csv_release(&csv);
    return ok;
}

/* The text of a scalar key, with the job's variables. */
static char *key_text(struct job_loader *l, const struct node *entry, const char *key)
{
    const struct node *n = node_get(entry, key);
    struct err e = ERR_INIT;
    struct scope scope;
    char *text = NULL;

    if (n->kind != NODE_SCALAR || node_null(n))
        return NULL; /* reported when the entry is decoded */
    if (loader_scope(l, NULL, node_get(entry, "vars"), NULL, n->at, &scope))
        text = scope_expand(&scope, n->text, &e);
    if (e.kind != ERR_NONE)
        mistake_add(l->mistakes, n->at, "'%s': %s", key, e.text);
    scope_release(&scope);
    return text;
}

static bool add_entry(struct job_loader *l, const struct node *entry)
{
    static const char *const ways[] = {"name", "glob", "csv"};
    struct spec spec = {.at = entry->at, .entry = entry};
    AUTO(free) char *text = NULL;
    const char *way = NULL;
    size_t count = 0;

    if (entry->kind != NODE_MAP) {
        mistake_add(l->mistakes, entry->at,
                    "a machine is a map, like {name: web01, source: "
                    "web01.vmx}");
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        if (!node_get(entry, ways[i]))
            continue;
        way = ways[i];
        count++;
    }
    if (count != 1) {
        mistake_add(l->mistakes, entry->at,
                    count ? "a machine has one of 'name', 'glob' and 'csv'"
                          : "a machine needs a 'name' (or 'glob' or 'csv' for many)");
    } else {
        spec.at = node_get(entry, way)->at;
        text = key_text(l, entry, way);
    }
    if (!text) {
        spec.name = "machine";
        spec.dry = true;
        return add_machine(l, &spec);
    }
    if (strcmp(way, "glob") == 0)
        return add_matches(l, text, spec);
    if (strcmp(way, "csv") == 0) {
        AUTO(free) char *path = path_resolve(l->job->dir, text, l->e);

        return path && add_rows(l, path, spec);
    }
    spec.name = text;
    return add_machine(l, &spec);
}

static int by_name(const void *a, const void *b)
{
    const struct machine *x = *(struct machine *const *)a, *y = *(struct machine *const *)b;
    int order = strcmp(x->name, y->name);

    return order ? order : x < y ? -1 : 1;
}

static const char *origin(const struct machine *m)
{
    const char *disk = m->disk_count ? m->disks[0].path : NULL;

    return m->source ? m->source : disk ? disk : "";
}

static void report_twice(struct job_loader *l, const struct machine *a, const struct machine *b)
{
    if (a->at.line == b->at.line && a->at.col == b->at.col)
        mistake_add(l->mistakes, b->at, "there are two machines '%s': '%s' and '%s'", b->name,
                    origin(a), origin(b));
    else
        mistake_add(l->mistakes, b->at, "there are two machines '%s': see line %u", b->name,
                    a->at.line);
}

static bool check_names(struct job_loader *l)
{
    size_t count = l->machines.count;
    AUTO(free) struct machine **all = mem_array(count, sizeof(*all), l->e);

    if (!all)
        return false;
    for (size_t i = 0; i < count; i++)
        all[i] = &l->machines.items[i];
    if (count)
        qsort(all, count, sizeof(struct machine *), by_name);
    for (size_t i = 1; i < count; i++)
        if (strcmp(all[i - 1]->name, all[i]->name) == 0)
            report_twice(l, all[i - 1], all[i]);
    return true;
}

bool machines_load(struct job_loader *l, const struct node *root)
{
    const struct node *list = l->file.machines, *images = node_get(root, "images");
    struct spec nobody = {.name = "machine", .dry = true};
    bool ok = true;

    for (size_t i = 0; list && i < list->count && ok; i++)
        ok = add_entry(l, list->items[i]);
    for (size_t i = 0; i < l->file.images.count && ok; i++) {
        struct spec spec = {.at = images->kind == NODE_LIST ? images->items[i]->at : images->at};

        ok = add_matches(l, l->file.images.items[i], spec);
    }
    if ((!list || !list->count) && !images) {
        mistake_add(l->mistakes, list ? list->at : root->at,
                    "the job has no machines: list them under 'machines' or 'images'");
        nobody.path = "";
        ok = ok && add_machine(l, &nobody);
    }
    return ok && check_names(l);
}
