/* The plan; see plan.h. A run begins with the same steps, so that it refuses what the plan refuses
 * before the first byte. */
#include "plan.h"

#include "bytes.h"
#include "driver.h"
#include "machine_run.h"
#include "run_base.h"
#include "run_clashes.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static void plan_stage_release(struct plan_stage *s)
{
    free(s->what);
    opt_texts_release(&s->alters);
    opt_texts_release(&s->drops);
    opt_texts_release(&s->notes);
}

void machine_plan_release(struct machine_plan *p)
{
    for (size_t i = 0; i < p->disks.count; i++) {
        struct plan_disk *d = &p->disks.items[i];

        free(d->id);
        free(d->path);
        free(d->format);
        free(d->subformat);
        opt_texts_release(&d->chain);
    }
    for (size_t i = 0; i < p->stages.count; i++)
        plan_stage_release(&p->stages.items[i]);
    for (size_t i = 0; i < p->findings.count; i++) {
        free(p->findings.items[i].disk);
        free(p->findings.items[i].text);
        free(p->findings.items[i].advice);
        free(p->findings.items[i].accepted);
    }
    for (size_t i = 0; i < p->space.count; i++)
        free(p->space.items[i].dir);
    free(p->disks.items);
    free(p->stages.items);
    free(p->findings.items);
    free(p->space.items);
    opt_texts_release(&p->publish);
    opt_texts_release(&p->nics);
    free(p->resumes);
    free(p->name);
    *p = (struct machine_plan){0};
}

/* Checks of the chain, of damage, and of what the run itself refuses cannot be accepted away. */
static bool acceptable(const char *id)
{
    return !text_starts(id, "chain.") && !text_starts(id, "image.") && !text_starts(id, "disk.") &&
           !text_starts(id, "target.");
}

bool plan_finding(struct machine_run *m, const char *id, unsigned layer, enum severity severity,
                  enum err_kind kind, const char *disk, const char *advice, struct err *e,
                  const char *fmt, ...)
{
    struct finding f = {.id = id, .layer = layer, .severity = severity, .kind = kind};
    const char *reason = m->accept && acceptable(id) ? opt_pairs_get(m->accept, id) : NULL;
    char text[ERR_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if ((f.text = mem_text(text, e)) && (!disk || (f.disk = mem_text(disk, e))) &&
        (!advice || (f.advice = mem_text(advice, e))) &&
        (!reason || (f.accepted = mem_text(reason, e))) && VEC_PUSH(&m->plan->findings, f, e))
        return true;
    free(f.text);
    free(f.disk);
    free(f.advice);
    free(f.accepted);
    return false;
}

bool plan_space_add(struct machine_run *m, const char *dir, uint64_t need, uint64_t bound,
                    struct err *e)
{
    struct plan_space *s = NULL;
    struct statvfs vfs;
    struct stat st;

    if (stat(dir, &st) != 0 || statvfs(dir, &vfs) != 0)
        return true; /* a missing folder is a finding of its own */
    for (size_t i = 0; i < m->plan->space.count; i++)
        if (m->plan->space.items[i].dev == (uint64_t)st.st_dev)
            s = &m->plan->space.items[i];
    if (!s) {
        struct plan_space fresh = {.dev = (uint64_t)st.st_dev,
                                   .free = (uint64_t)vfs.f_bavail * vfs.f_frsize,
                                   .dir = mem_text(dir, e)};

        if (!fresh.dir || !VEC_PUSH(&m->plan->space, fresh, e)) {
            free(fresh.dir);
            return false;
        }
        s = &m->plan->space.items[m->plan->space.count - 1];
    }
    s->need += need;
    s->bound += bound;
    return true;
}

/* The text of a mistake, with its place in the job file. */
static bool misplaced(struct machine_run *m, unsigned index, const struct err *why, struct err *e)
{
    const struct mark *at = &m->machine->stages[index].at;

    if (why->kind != ERR_USAGE || !at->line)
        return err_set(e, why->kind, "%s", why->text);
    return err_set(e, why->kind, "%s:%u:%u: %s", m->job->path, at->line, at->col, why->text);
}

bool plan_check(struct machine_run *m, struct err *e)
{
    for (unsigned i = 0; i < m->machine->stage_count; i++) {
        const struct stage *stage = m->machine->stages[i].stage;
        struct err why = ERR_INIT;

        m->stage = i;
        if (stage->check && !stage->check(m, i, &why))
            return misplaced(m, i, &why, e);
    }
    return true;
}

static bool plan_disk_row(struct machine_run *m, const struct machine_disk *d, struct err *e)
{
    struct plan_disk row = {.id = mem_text(d->id, e)};
    struct copy_estimate estimate = {0};
    struct image *img = d->image;
    const char *subformat = img ? img->facts.subformat : NULL;
    bool ok = row.id && (row.path = mem_text(img ? img->path : d->from->path, e)) &&
              (row.format = mem_text(img ? img->driver->name : "unknown", e)) &&
              (!subformat || (row.subformat = mem_text(subformat, e)));

    for (struct image *layer = img; ok && layer; layer = layer->parent)
        ok = opt_texts_add(&row.chain, layer->path, e);
    if (ok && img) {
        ok = copy_estimate(img, &estimate, e);
        row.size = img->size;
        row.allocated = chain_allocated(img);
        row.data = estimate.data;
    }
    if (ok && VEC_PUSH(&m->plan->disks, row, e))
        return true;
    free(row.id);
    free(row.path);
    free(row.format);
    free(row.subformat);
    opt_texts_release(&row.chain);
    return false;
}

static bool plan_nics(struct machine_run *m, struct err *e)
{
    const struct hardware *h = &m->source.hardware;

    for (size_t i = 0; i < h->nic_count; i++) {
        const struct nic *nic = &h->nics[i];
        const char *to = "(no mapping)";

        for (size_t n = 0; nic->network && n < m->job->network_count; n++) {
            const struct network_map *map = &m->job->networks[n];

            if (!strcmp(map->name, nic->network))
                to = map->bridge ? map->bridge : map->network ? map->network : "(none)";
        }
        AUTO(free)
        char *text = mem_format(e, "%s %s -> %s", nic->mac ? nic->mac : "(no address)",
                                nic->network ? nic->network : "(no network)", to);
        if (!text || !opt_texts_add(&m->plan->nics, text, e))
            return false;
    }
    return true;
}

static bool plan_stages(struct machine_run *m, bool opened, struct err *e)
{
    for (unsigned i = 0; i < m->machine->stage_count; i++) {
        const struct stage *stage = m->machine->stages[i].stage;
        struct plan_stage row = {.stage = stage};
        struct err why = ERR_INIT;
        bool ok = true;

        m->stage = i;
        if (opened && stage->plan)
            ok = stage->plan(m, i, &row, &why);
        if (ok && !row.what)
            row.what = mem_text(stage->help, &why);
        if (!ok || !row.what || !VEC_PUSH(&m->plan->stages, row, &why)) {
            plan_stage_release(&row);
            return misplaced(m, i, &why, e);
        }
    }
    return true;
}

static bool plan_space_findings(struct machine_run *m, struct err *e)
{
    for (size_t i = 0; i < m->plan->space.count; i++) {
        const struct plan_space *s = &m->plan->space.items[i];

        if (s->need > s->free &&
            !plan_finding(m, "space.free", LAYER_FILE, SEVERITY_CRITICAL, ERR_SPACE, NULL,
                          "make room there, or write to another filesystem", e,
                          "'%s' needs about %s and has %s free", s->dir, SIZE_TEXT(s->need),
                          SIZE_TEXT(s->free)))
            return false;
        if (s->need <= s->free && s->bound > s->free &&
            !plan_finding(
                m, "space.free", LAYER_FILE, SEVERITY_WARNING, ERR_NONE, NULL,
                "a run that meets a full disk stops and can be continued", e,
                "'%s' has %s free: the estimate of %s fits, the upper bound of %s does not", s->dir,
                SIZE_TEXT(s->free), SIZE_TEXT(s->need), SIZE_TEXT(s->bound)))
            return false;
    }
    return true;
}

/* The gravest finding that nobody accepts is the verdict. */
static void plan_verdict(struct machine_run *m)
{
    struct err *v = &m->plan->verdict;

    for (size_t i = 0; i < m->plan->findings.count; i++) {
        const struct finding *f = &m->plan->findings.items[i];
        enum err_kind kind = f->severity == SEVERITY_CRITICAL ? f->kind : ERR_REFUSED;

        if (f->accepted || f->severity < m->fail_on)
            continue;
        if (v->kind != ERR_NONE && (err_graver(v->kind, kind) == v->kind))
            continue;
        err_clear(v);
        err_set(v, kind, "%s%s%s", f->text, f->advice ? ": " : "", f->advice ? f->advice : "");
    }
}

bool plan_build(struct machine_run *m, bool opened, struct err *e)
{
    for (size_t i = 0; i < m->source.disk_count; i++)
        if (!plan_disk_row(m, &m->disks[i], e))
            return false;
    if (!plan_nics(m, e) || !plan_stages(m, opened, e) || !plan_space_findings(m, e))
        return false;
    plan_verdict(m);
    return true;
}

static bool plan_one(struct machine_run *m, const char *state_dir, struct err *e)
{
    struct machine_plan *plan = m->plan;
    struct err opened = ERR_INIT;
    struct base base = {0};
    bool ok;

    if (!machine_read(m, e))
        return false;
    if (state_dir)
        m->state = state_peek(state_dir, m->job->name, m->machine->name, NULL);
    ok = base_find(m, &base, e) && plan_check(m, e);
    if (ok) {
        plan->finished = base.kind == BASE_DONE;
        ok = machine_open(m, &opened) || opened.kind != ERR_MEMORY ||
             err_set(e, opened.kind, "%s", opened.text);
    }
    if (ok && base.kind == BASE_RESUME)
        ok = base_describe(m, &base, &plan->resumes, e);
    if (ok && base.kind == BASE_CHANGED && m->job->policy.source_changed == SOURCE_CHANGED_STOP)
        ok = plan_finding(m, "source.changed", LAYER_FILE, SEVERITY_CRITICAL, ERR_CHANGED, NULL,
                          base_changed_advice, e, "%s", base.why.text);
    if (ok)
        ok = base_enter(m, &base, e) && plan_build(m, opened.kind == ERR_NONE, e);
    base_release(&base);
    return ok;
}

bool plan_machine(const struct job *job, const struct machine *machine, const char *state_dir,
                  struct machine_plan *ret, struct err *e)
{
    struct machine_plan plan = {0};
    struct machine_run m = {
        .job = job, .machine = machine, .plan = &plan, .fail_on = SEVERITY_CRITICAL};
    struct err why = ERR_INIT;
    /* machines that clash are the job's mistake, told once: with its first machine */
    bool ok = (plan.name = mem_text(machine->name, &why)) &&
              (machine != job->machines || run_clashes(job, &why)) && plan_one(&m, state_dir, &why);

    if (!ok) {
        err_clear(&plan.verdict);
        err_set(&plan.verdict, why.kind, "%s", why.text);
        err_set(e, why.kind, "%s", why.text);
    }
    machine_run_release(&m);
    *ret = plan;
    return ok;
}
