/* The stages of a machine; see job_load.h. Options are decoded for every machine anew, because its
 * variables differ; the same mistake at the same place is kept once. */
#include "job_load.h"

#include "bytes.h"
#include "text.h"

#include <string.h>

enum { STAGES_MAX = 64 }; /* of one machine: four times all there are */

struct item { /* an entry of a list of stages */
    const struct stage *stage;
    const struct node *options; /* NULL: none */
    struct mark at;
};

struct machine_stages { /* what an entry of `machines` says about stages */
    const struct node *list, *skip, *set;
    bool own; /* the list is the machine's own */
};

static const struct stage *known_stage(struct job_loader *l, const char *name, struct mark at)
{
    const struct stage *stage = stage_find(name);
    const char *names[STAGES_MAX];
    size_t n = 0;
    int near;

    if (stage)
        return stage;
    for (const struct stage *const *s = stages_all(); *s && n < STAGES_MAX; s++)
        names[n++] = (*s)->name;
    near = text_nearest(name, names, n);
    mistake_add(l->mistakes, at, "there is no stage '%s'%s%s%s", name,
                near >= 0 ? "; did you mean '" : "", near >= 0 ? names[near] : "",
                near >= 0 ? "'?" : "");
    return NULL;
}

/* A name, or a map of one key: the name and its options. */
static bool read_item(struct job_loader *l, const struct node *entry, struct item *ret)
{
    if (entry->kind == NODE_SCALAR && !node_null(entry)) {
        ret->at = entry->at;
        ret->stage = known_stage(l, entry->text, entry->at);
        return ret->stage;
    }
    if (entry->kind == NODE_MAP && entry->count == 1) {
        ret->at = entry->key_at[0];
        ret->stage = known_stage(l, entry->keys[0], entry->key_at[0]);
        if (!node_null(entry->items[0]))
            ret->options = entry->items[0];
        return ret->stage;
    }
    if (entry->kind == NODE_MAP && entry->count > 1 && node_null(entry->items[0]) &&
        stage_find(entry->keys[0]))
        mistake_add(l->mistakes, entry->key_at[1],
                    "this stands beside '%s', not inside it: indent its options further",
                    entry->keys[0]);
    else
        mistake_add(l->mistakes, entry->at,
                    "a stage is a name, or a name with options: 'convert: {format: qcow2}'");
    return false;
}

/* Decodes or amends; a value that is no map stands for the stage's shorthand option. */
static bool take_options(struct job_loader *l, const struct stage *stage,
                         const struct node *options, void *target, const struct decode *d,
                         bool amend)
{
    bool short_form = options && options->kind != NODE_MAP;
    char *keys[1] = {(char *)stage->shorthand};
    struct node *items[1] = {(struct node *)options};
    struct mark at = options ? options->at : (struct mark){0, 0};
    struct node map = {
        .kind = NODE_MAP, .at = at, .items = items, .keys = keys, .key_at = &at, .count = 1};

    if (short_form && !stage->shorthand) {
        mistake_add(l->mistakes, at, "'%s' takes options as a map, like {key: value}, not %s",
                    stage->name, node_kind_text(options));
        return false;
    }
    return (amend ? rows_amend : rows_decode)(stage->options, short_form ? &map : options, target,
                                              d);
}

/* The required options of a stage that was named without any. */
static void check_required(struct job_loader *l, const struct item *item, const struct node *set)
{
    const struct opt_row *row = item->stage->options;

    if (item->options)
        return;
    for (; row && row->type != OPT_END; row++)
        if ((row->flags & OPT_REQUIRED) && !node_get(set, row->key))
            mistake_add(l->mistakes, item->at, "'%s' needs '%s': %s", item->stage->name, row->key,
                        row->help);
}

static bool add_stage(struct job_loader *l, struct scope *scope, const struct item *item,
                      const struct node *set, struct machine *m)
{
    struct job_stage *slot = &m->stages[m->stage_count];
    struct decode d = {.mistakes = l->mistakes,
                       .expand = scope_expand,
                       .user = scope,
                       .kept = l->job->kept,
                       .over = set};

    slot->options = mem_alloc(item->stage->options_size, l->e);
    if (!slot->options)
        return false;
    slot->stage = item->stage;
    slot->at = item->at;
    m->stage_count++;
    take_options(l, item->stage, item->options, slot->options, &d, false);
    if (set)
        take_options(l, item->stage, set, slot->options, &d, true);
    check_required(l, item, set);
    return paths_resolve(item->stage->options, slot->options, l->job->dir, l->e);
}

/* True when the scalar, or an item of the list, is `name`. */
static bool names_stage(const struct node *n, const char *name)
{
    if (!n)
        return false;
    if (n->kind == NODE_SCALAR)
        return strcmp(n->text, name) == 0;
    for (size_t i = 0; n->kind == NODE_LIST && i < n->count; i++)
        if (names_stage(n->items[i], name))
            return true;
    return false;
}

static bool in_list(const struct node *list, const char *name)
{
    for (size_t i = 0; list && i < list->count; i++) {
        const struct node *entry = list->items[i];

        if (entry->kind == NODE_MAP ? node_get(entry, name) != NULL : names_stage(entry, name))
            return true;
    }
    return false;
}

static void check_named(struct job_loader *l, const struct machine_stages *from, const char *name,
                        struct mark at, const char *what)
{
    if (!known_stage(l, name, at))
        return;
    if (from->own)
        mistake_add(l->mistakes, at,
                    "'%s' is about the common list, which this machine's 'stages' replaces", what);
    else if (!in_list(from->list, name))
        mistake_add(l->mistakes, at, "'%s' is not in the common list: there is nothing to %s", name,
                    what);
}

/* `skip` and `set` must name stages of the common list. */
static void check_changes(struct job_loader *l, const struct machine_stages *from)
{
    if (from->skip && from->skip->kind == NODE_SCALAR)
        check_named(l, from, from->skip->text, from->skip->at, "skip");
    for (size_t i = 0; from->skip && from->skip->kind == NODE_LIST && i < from->skip->count; i++)
        if (from->skip->items[i]->kind == NODE_SCALAR)
            check_named(l, from, from->skip->items[i]->text, from->skip->items[i]->at, "skip");
    if (from->set && from->set->kind != NODE_MAP)
        mistake_add(l->mistakes, from->set->at, "'set' takes a map: stage names to options");
    for (size_t i = 0; from->set && from->set->kind == NODE_MAP && i < from->set->count; i++) {
        check_named(l, from, from->set->keys[i], from->set->key_at[i], "set");
        if (names_stage(from->skip, from->set->keys[i]))
            mistake_add(l->mistakes, from->set->key_at[i],
                        "'%s' is skipped by this machine: there is nothing to set",
                        from->set->keys[i]);
    }
}

/* The order of stages that holds without a look at a disk. */
static void check_order(struct job_loader *l, const struct machine *m)
{
    const unsigned inside =
        LAYER_CONTAINER | LAYER_TABLE | LAYER_VOLUME | LAYER_FILESYSTEM | LAYER_GUEST;
    const struct job_stage *output = NULL, *last = NULL;

    for (size_t i = 0; i < m->stage_count; i++)
        if (m->stages[i].stage->flags & STAGE_OUTPUT)
            last = &m->stages[i];
    for (size_t i = 0; i < m->stage_count; i++) {
        const struct job_stage *s = &m->stages[i];
        unsigned flags = s->stage->flags;

        if (flags & STAGE_OUTPUT)
            output = s;
        if ((flags & STAGE_VERIFIES) && !output)
            mistake_add(l->mistakes, s->at,
                        last ? "'%s' checks what was written, and nothing is written before it: "
                               "put it after '%s'"
                             : "'%s' checks what was written, and no stage writes anything%s",
                        s->stage->name, last ? last->stage->name : "");
        if ((flags & STAGE_ALTERS) && !(flags & STAGE_OUTPUT) && (s->stage->layers & inside) &&
            last && s > last)
            mistake_add(l->mistakes, s->at,
                        "'%s' would change the disk after '%s' has written it: put it before",
                        s->stage->name, last->stage->name);
    }
}

bool stages_load(struct job_loader *l, struct scope *scope, const struct node *entry,
                 struct machine *m)
{
    struct machine_stages from = {node_get(entry, "stages"), node_get(entry, "skip"),
                                  node_get(entry, "set"), false};
    size_t skipped = 0;

    from.own = from.list;
    if (!from.own)
        from.list = l->file.stages;
    check_changes(l, &from);
    if (!from.list) {
        mistake_add(l->mistakes, l->job->document->at,
                    "'stages' is missing: what the machines go through");
        return true;
    }
    if (from.list->kind != NODE_LIST || !from.list->count || from.list->count > STAGES_MAX) {
        mistake_add(l->mistakes, from.list->at, "'stages' takes a list of 1 to %d stages",
                    STAGES_MAX);
        return true;
    }
    m->stages = mem_array(from.list->count, sizeof(*m->stages), l->e);
    if (!m->stages)
        return false;
    scope->use = TEXT_STAGE;
    for (size_t i = 0; i < from.list->count; i++) {
        struct item item = {0};

        if (!read_item(l, from.list->items[i], &item))
            continue;
        if (names_stage(from.skip, item.stage->name))
            skipped++;
        else if (!add_stage(l, scope, &item, node_get(from.set, item.stage->name), m))
            return false;
    }
    if (skipped == from.list->count)
        mistake_add(l->mistakes, m->at, "machine '%s' skips every stage", m->name);
    check_order(l, m);
    return true;
}
