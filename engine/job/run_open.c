/* The disks of a machine: read from its source, opened with their chains, and looked at (facts);
 * see machine_run.h. */
#include "machine_run.h"

#include "file.h"
#include "identity.h"
#include "publish.h"

#include <limits.h>
#include <string.h>

bool machine_read(struct machine_run *m, struct err *e)
{
    if (!source_read(m->job, m->machine, &m->source, e))
        return false;
    m->disks = mem_array(m->source.disk_count ? m->source.disk_count : 1, sizeof(*m->disks), e);
    if (!m->disks)
        return false;
    for (size_t i = 0; i < m->source.disk_count; i++)
        m->disks[i] = (struct machine_disk){
            .index = (int)i, .id = m->source.disks[i].id, .from = &m->source.disks[i]};
    return true;
}

static bool copy_rules(struct gate_rules *to, const struct gate_rules *from, const char *dir,
                       struct err *e)
{
    to->direct = from->direct;
    for (size_t i = 0; i < from->allow.count; i++)
        if (!opt_texts_add(&to->allow, from->allow.items[i], e))
            return false;
    for (size_t i = 0; i < from->path_map.count; i++)
        if (!opt_pairs_add(&to->path_map, from->path_map.items[i].key,
                           from->path_map.items[i].value, e))
            return false;
    return opt_texts_add(&to->allow, dir, e);
}

/* A disk that a file of the source names: it is found through the gate, and its parents may lie
 * where that file lies. */
static struct image *open_named(const struct machine_run *m, const struct source_disk *d,
                                struct image_options *options, struct err *e)
{
    AUTO(gate_free) struct gate *gate = gate_new(d->from, &m->job->rules, e);
    AUTO(io_free) struct io *io = NULL;
    AUTO(free) char *path = NULL, *dir = NULL;
    struct gate_rules rules = {0};
    struct image *img = NULL;

    io = gate ? gate_open(gate, d->from, d->path, 0, &path, e) : NULL;
    dir = io ? realpath(d->from, NULL) : NULL;
    if (!dir)
        return NULL;
    strrchr(dir, '/')[strrchr(dir, '/') == dir] = '\0';
    options->rules = &rules;
    if (copy_rules(&rules, &m->job->rules, dir, e))
        img = image_open(path, options, e);
    opt_texts_release(&rules.allow);
    opt_pairs_release(&rules.path_map);
    return img;
}

static struct image *open_disk(const struct machine_run *m, const struct source_disk *d,
                               const char *snapshot, struct err *e)
{
    struct image_options options = {.format = d->format,
                                    .snapshot = snapshot,
                                    .rules = &m->job->rules,
                                    .lock = IMAGE_LOCK_READ};

    return d->named_inside ? open_named(m, d, &options, e) : image_open(d->path, &options, e);
}

static const char *error_id(enum err_kind kind)
{
    switch (kind) {
    case ERR_BUSY:
        return "disk.in-use";
    case ERR_GATE:
        return "chain.not-allowed";
    case ERR_UNSUPPORTED:
        return "disk.unsupported";
    case ERR_FORMAT:
        return "chain.damaged";
    default:
        return "disk.unreadable";
    }
}

static const char *error_advice(enum err_kind kind)
{
    switch (kind) {
    case ERR_BUSY:
        return "shut the machine down, or take a snapshot and migrate its parent";
    case ERR_GATE:
        return "add the folder to 'allow:' in the job file when it is to be trusted";
    case ERR_FORMAT:
        return "copy the whole chain again from where it came";
    default:
        return NULL;
    }
}

bool machine_open(struct machine_run *m, struct err *e)
{
    struct err first = ERR_INIT;

    for (size_t i = 0; i < m->source.files.count; i++)
        if (!facts_add_path(&m->facts, m->source.files.items[i], e))
            return false;
    for (size_t i = 0; i < m->source.disk_count; i++) {
        struct machine_disk *d = &m->disks[i];
        struct err why = ERR_INIT;

        d->image = open_disk(m, d->from, NULL, &why);
        if (d->image && facts_add_image(&m->facts, d->image, &why)) {
            m->before += chain_allocated(d->image);
            continue;
        }
        if (!plan_finding(m, error_id(why.kind), LAYER_CONTAINER, SEVERITY_CRITICAL, why.kind,
                          d->id, error_advice(why.kind), e, "%s", why.text))
            return false;
        if (first.kind == ERR_NONE)
            first = why;
    }
    return first.kind == ERR_NONE || err_set(e, first.kind, "%s", first.text);
}

bool machine_reopen(struct machine_run *m, unsigned disk, const char *path, const char *snapshot,
                    struct err *e)
{
    struct machine_disk *d = &m->disks[disk];
    struct source_disk part = *d->from;
    struct image *img;

    if (path) {
        part.path = (char *)path;
        part.format = NULL;
        part.named_inside = d->from->named_inside;
    }
    img = open_disk(m, &part, snapshot, e);
    if (!img)
        return false;
    image_free(d->image);
    d->image = img;
    return true;
}

uint64_t chain_allocated(struct image *img)
{
    uint64_t sum = 0;

    for (; img; img = img->parent)
        sum += image_allocated(img);
    return sum;
}

void machine_run_release(struct machine_run *m)
{
    for (size_t i = 0; i < m->outputs.count; i++)
        run_output_free(m->outputs.items[i]);
    free(m->outputs.items);
    for (size_t i = 0; m->disks && i < m->source.disk_count; i++)
        image_free(m->disks[i].image);
    free(m->disks);
    source_release(&m->source);
    source_facts_release(&m->facts);
    throttle_free(m->throttle);
    state_close(m->state);
    free(m->identities);
    free(m->date);
}
