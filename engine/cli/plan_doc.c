/* The plan as a JSON document; see plan_doc.h. */
#include "plan_doc.h"

#include "doc.h"
#include "stage.h"

const char *severity_name(enum severity severity)
{
    static const char *const names[] = {
        [SEVERITY_INFO] = "info", [SEVERITY_WARNING] = "warning", [SEVERITY_CRITICAL] = "critical"};

    return names[severity];
}

static json_t *disks_doc(const struct machine_plan *p)
{
    json_t *list = json_array();

    for (size_t i = 0; i < p->disks.count; i++) {
        const struct plan_disk *d = &p->disks.items[i];
        json_t *one = json_object();

        doc_set(one, "id", doc_text(d->id));
        doc_set(one, "path", doc_text(d->path));
        doc_set(one, "format", doc_text(d->format));
        doc_set(one, "subformat", doc_text(d->subformat));
        doc_set(one, "chain", doc_texts(&d->chain));
        doc_set(one, "virtual_size", doc_count(d->size));
        doc_set(one, "allocated", doc_count(d->allocated));
        doc_set(one, "data", doc_count(d->data));
        doc_add(list, one);
    }
    return list;
}

static json_t *stages_doc(const struct machine_plan *p)
{
    json_t *list = json_array();

    for (size_t i = 0; i < p->stages.count; i++) {
        const struct plan_stage *s = &p->stages.items[i];
        json_t *one = json_object();

        doc_set(one, "stage", doc_text(s->stage->name));
        doc_set(one, "layers", doc_text(stage_layers_text(s->stage->layers, (char[32]){0})));
        doc_set(one, "what", doc_text(s->what));
        doc_set(one, "reads", doc_count(s->reads));
        doc_set(one, "writes", doc_count(s->writes));
        doc_set(one, "estimate", json_boolean(s->estimate));
        doc_set(one, "seconds", doc_known(s->seconds));
        doc_set(one, "alters", doc_texts(&s->alters));
        doc_set(one, "not_carried_over", doc_texts(&s->drops));
        doc_set(one, "notes", doc_texts(&s->notes));
        doc_add(list, one);
    }
    return list;
}

static json_t *space_doc(const struct machine_plan *p)
{
    json_t *list = json_array();

    for (size_t i = 0; i < p->space.count; i++) {
        const struct plan_space *s = &p->space.items[i];
        json_t *one = json_object();

        doc_set(one, "dir", doc_text(s->dir));
        doc_set(one, "need", doc_count(s->need));
        doc_set(one, "at_most", doc_count(s->bound));
        doc_set(one, "free", doc_count(s->free));
        doc_add(list, one);
    }
    return list;
}

static json_t *findings_doc(const struct machine_plan *p)
{
    json_t *list = json_array();

    for (size_t i = 0; i < p->findings.count; i++) {
        const struct finding *f = &p->findings.items[i];
        json_t *one = json_object();

        doc_set(one, "id", doc_text(f->id));
        doc_set(one, "layer", doc_text(stage_layers_text(f->layer, (char[32]){0})));
        doc_set(one, "severity", doc_text(severity_name(f->severity)));
        doc_set(one, "status", json_integer(err_exit_status(f->kind)));
        doc_set(one, "disk", doc_text(f->disk));
        doc_set(one, "text", doc_text(f->text));
        doc_set(one, "advice", doc_text(f->advice));
        doc_set(one, "accepted", doc_text(f->accepted));
        doc_add(list, one);
    }
    return list;
}

static json_t *machine_doc(const struct machine_plan *p, const char *name)
{
    json_t *one = json_object(), *verdict = json_object();

    doc_set(verdict, "can_run", json_boolean(p->verdict.kind == ERR_NONE));
    doc_set(verdict, "kind", doc_text(err_kind_name(p->verdict.kind)));
    doc_set(verdict, "status", json_integer(err_exit_status(p->verdict.kind)));
    doc_set(verdict, "text", doc_text(p->verdict.kind ? p->verdict.text : NULL));
    doc_set(one, "machine", doc_text(name));
    doc_set(one, "disks", disks_doc(p));
    doc_set(one, "nics", doc_texts(&p->nics));
    doc_set(one, "stages", stages_doc(p));
    doc_set(one, "publish", doc_texts(&p->publish));
    doc_set(one, "space", space_doc(p));
    doc_set(one, "findings", findings_doc(p));
    doc_set(one, "resumes", doc_text(p->resumes));
    doc_set(one, "finished", json_boolean(p->finished));
    doc_set(one, "verdict", verdict);
    return one;
}

bool plan_doc_print(const struct job *job, const struct machine_plan *plans, size_t count,
                    enum err_kind gravest, const char *next, struct err *e)
{
    json_t *doc = json_object(), *list = json_array();

    for (size_t i = 0; i < count; i++)
        doc_add(list, machine_doc(&plans[i], job->machines[i].name));
    doc_set(doc, "job", doc_text(job->name));
    doc_set(doc, "status", json_integer(err_exit_status(gravest)));
    doc_set(doc, "machines", list);
    doc_set(doc, "next", doc_text(next));
    return doc_print(doc, e);
}
