/* Clashing targets; see run_clashes.h. */
#include "run_clashes.h"

#include "machine_run.h"

#include <string.h>

struct claim {
    char *path;
    const struct machine *machine;
};
struct claims {
    struct claim *items;
    size_t count, room;
};

static int by_path(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    int order = strcmp(x->path, y->path);

    return order ? order : (x->machine > y->machine) - (x->machine < y->machine);
}

/* A source that cannot be read is told by its own machine's plan or run. */
static bool claim_machine(const struct job *job, const struct machine *machine,
                          struct claims *claims, struct err *e)
{
    struct machine_run m = {.job = job, .machine = machine};
    struct opt_texts targets = {0};
    bool ok = true;

    m.date = mem_text("", e);
    ok = m.date;
    if (ok && machine_read(&m, NULL))
        for (unsigned i = 0; ok && i < machine->stage_count; i++)
            if (machine->stages[i].stage->targets)
                machine->stages[i].stage->targets(&m, i, &targets, NULL);
    for (size_t i = 0; ok && i < targets.count; i++) {
        struct claim c = {targets.items[i], machine};

        ok = VEC_PUSH(claims, c, e);
        if (ok)
            targets.items[i] = NULL;
    }
    opt_texts_release(&targets);
    machine_run_release(&m);
    return ok;
}

bool run_clashes(const struct job *job, struct err *e)
{
    struct claims claims = {0};
    bool ok = true;

    for (size_t i = 0; ok && i < job->machine_count; i++)
        ok = claim_machine(job, &job->machines[i], &claims, e);
    if (claims.count)
        qsort(claims.items, claims.count, sizeof(*claims.items), by_path);
    for (size_t i = 1; ok && i < claims.count; i++) {
        const struct claim *a = &claims.items[i - 1], *b = &claims.items[i];

        if (strcmp(a->path, b->path) != 0)
            continue;
        if (a->machine == b->machine)
            ok = err_set(e, ERR_USAGE,
                         "two disks of the machine '%s' would be written to '%s': use ${disk} in "
                         "the name",
                         a->machine->name, a->path);
        else
            ok = err_set(e, ERR_USAGE,
                         "the machines '%s' and '%s' would both be written to '%s': use "
                         "${machine} in the name",
                         a->machine->name, b->machine->name, a->path);
    }
    for (size_t i = 0; i < claims.count; i++)
        free(claims.items[i].path);
    free(claims.items);
    return ok;
}
