/* Outputs that clash; see job_load.h. Only texts are compared here: two names of one file, and
 * sources whose disks are not known yet, are looked at by the plan. */
#include "job_load.h"

#include "bytes.h"

#include <stdlib.h>
#include <string.h>

struct output {
    const char *path;
    const struct machine *machine;
    const struct job_stage *stage;
};

struct outputs {
    struct output *items;
    size_t count, room;
};

#define FIELD(target, row, type) ((type *)((char *)(target) + (row)->at))

static char **target_of(const struct job_stage *s)
{
    const struct opt_row *row = opt_find(s->stage->options, "to");

    return row && row->type == OPT_TEXT && (row->flags & OPT_PATH) ? FIELD(s->options, row, char *)
                                                                   : NULL;
}

static bool given(const struct job_stage *s, const char *key)
{
    const struct opt_row *row = opt_find(s->stage->options, key);

    return row && ((row->type == OPT_TEXT && *FIELD(s->options, row, char *)) ||
                   (row->type == OPT_NODE && *FIELD(s->options, row, struct node *)));
}

/* A stage that writes one file per disk has an option to choose the disk. */
static void check_disks(struct job_loader *l, const struct machine *m, const struct job_stage *s,
                        const char *to)
{
    size_t disks = 0;

    for (size_t i = 0; i < m->disk_count; i++)
        disks += !m->disks[i].skip;
    if (m->source || disks < 2 || !opt_find(s->stage->options, "disk") || given(s, "disk") ||
        given(s, "disks") || strstr(to, "${disk"))
        return;
    mistake_add(l->mistakes, s->at,
                "the %zu disks of '%s' would all be written to '%s': use ${disk} in 'to'", disks,
                m->name, to);
}

static int by_path(const void *a, const void *b)
{
    const struct output *x = a, *y = b;
    int order = strcmp(x->path, y->path);

    if (order)
        return order;
    if (x->machine != y->machine)
        return x->machine < y->machine ? -1 : 1;
    return x->stage < y->stage ? -1 : x->stage > y->stage;
}

/* One mistake for all that write to one path. */
static void report(struct job_loader *l, const struct output *first, size_t count)
{
    const struct output *second = &first[1];

    if (first->machine == second->machine)
        mistake_add(l->mistakes, second->stage->at,
                    "'%s' of machine '%s' would be written twice, by '%s' in line %u too",
                    second->path, first->machine->name, first->stage->stage->name,
                    first->stage->at.line);
    else
        mistake_add(l->mistakes, first->stage->at,
                    "the target '%s' is that of %zu machines, '%s' and '%s'%s: use ${machine} in "
                    "it",
                    first->path, count, first->machine->name, second->machine->name,
                    count > 2 ? " among them" : "");
}

bool targets_check(struct job_loader *l)
{
    struct outputs all = {0};

    for (size_t i = 0; i < l->machines.count; i++) {
        const struct machine *m = &l->machines.items[i];

        for (size_t j = 0; j < m->stage_count; j++) {
            char **to = target_of(&m->stages[j]);
            struct output output = {to ? *to : NULL, m, &m->stages[j]};

            if (!output.path)
                continue;
            check_disks(l, m, output.stage, output.path);
            if (!VEC_PUSH(&all, output, l->e)) {
                free(all.items);
                return false;
            }
        }
    }
    if (all.count)
        qsort(all.items, all.count, sizeof(*all.items), by_path);
    for (size_t i = 0, n; i < all.count; i += n) {
        for (n = 1; i + n < all.count && !strcmp(all.items[i].path, all.items[i + n].path);)
            n++;
        if (n > 1)
            report(l, &all.items[i], n);
    }
    free(all.items);
    return true;
}
