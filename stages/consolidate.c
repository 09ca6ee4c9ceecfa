/* consolidate: the chain as one disk. Chains are always read whole; this stage bounds their depth,
 * says what is merged, and picks an earlier state.
 *
 * It acts while planning, which comes before every run: the disks that later stages see are opened
 * again at the state that `at` names. */
#include "stages.h"

#include "buf.h"
#include "machine_run.h"

#include <string.h>

struct consolidate_options {
    char *at;
    uint64_t max_depth;
};

static const struct opt_row rows[] = {
    {.key = "at",
     .type = OPT_TEXT,
     .at = OPT_AT(struct consolidate_options, at, char *),
     .help = "an earlier state: an internal snapshot by name or id, or an image of the chain by "
             "its file name; default: the current state"},
    {.key = "max_depth",
     .type = OPT_COUNT,
     .at = OPT_AT(struct consolidate_options, max_depth, uint64_t),
     .min = 1,
     .max = IMAGE_DEPTH_MAX,
     .preset = "256",
     .help = "refuse chains of more layers"},
    {0},
};

static bool has_snapshot(const struct image *img, const char *name)
{
    for (size_t i = 0; i < img->facts.snapshot_count; i++)
        if (!strcmp(img->facts.snapshots[i].name, name) ||
            !strcmp(img->facts.snapshots[i].id, name))
            return true;
    return false;
}

/* The layer of that file name, with or without its suffix; NULL: none. */
static const struct image *find_layer(const struct image *img, const char *name)
{
    size_t len = strlen(name);

    for (; img; img = img->parent) {
        const char *base = strrchr(img->path, '/');

        base = base ? base + 1 : img->path;
        if (!strcmp(base, name) || (!strncmp(base, name, len) && base[len] == '.'))
            return img;
    }
    return NULL;
}

static bool pick(struct machine_run *m, size_t disk, const char *at, struct err *e)
{
    const struct machine_disk *d = &m->disks[disk];
    const struct image *layer;
    AUTO(free) char *path = NULL;

    if (has_snapshot(d->image, at))
        return machine_reopen(m, (unsigned)disk, NULL, at, e);
    layer = find_layer(d->image, at);
    if (!layer)
        return err_set(e, ERR_USAGE,
                       "disk %s has no state '%s': neither a snapshot inside '%s' nor an image of "
                       "its chain",
                       d->id, at, d->image->path);
    path = mem_text(layer->path, e);
    return path && machine_reopen(m, (unsigned)disk, path, NULL, e);
}

static bool plan(struct machine_run *m, unsigned index, struct plan_stage *row, struct err *e)
{
    const struct consolidate_options *o = stage_options(m, index);
    AUTO(buf_release) struct buf what = {0};

    for (size_t i = 0; i < m->source.disk_count; i++) {
        const struct machine_disk *d = &m->disks[i];
        unsigned depth;

        if (o->at && !pick(m, i, o->at, e))
            return false;
        depth = image_depth(d->image);
        if (depth > o->max_depth)
            return err_set(e, ERR_REFUSED,
                           "the chain of disk %s has %u layers, 'max_depth' allows %llu", d->id,
                           depth, (unsigned long long)o->max_depth);
        buf_format(&what, "%s%s: %u layer%s read as one", i ? "; " : "", d->id, depth,
                   depth == 1 ? "" : "s");
        if (o->at)
            buf_format(&what, " at '%s'", o->at);
    }
    row->what = buf_take(&what, e);
    return row->what;
}

const struct stage stage_consolidate = {
    .name = "consolidate",
    .help = "reads the whole chain as one disk, or an earlier state of it",
    .layers = LAYER_CONTAINER,
    .flags = STAGE_ALTERS,
    .options = rows,
    .options_size = sizeof(struct consolidate_options),
    .shorthand = "at",
    .plan = plan,
};
