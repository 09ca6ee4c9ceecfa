/* convert: writes each disk into a container, as it is seen at this point: chain merged, edits
 * included.
 *
 * Every disk is one output (publish.h) filled by one copy. What an interrupted run left is
 * continued, what is complete is left alone. Names become final together, behind the verify that
 * follows, or at the end of the stage. */
#include "convert.h"

#include "bytes.h"
#include "mounts.h"
#include "rates.h"
#include "stages.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char *const exists_words[] = {"refuse", "overwrite", NULL};
static const char *const compression_words[] = {"none", "zlib", "zstd", NULL};
const char *const convert_preallocation_words[] = {"off", "metadata", "falloc", "full", NULL};

static const struct opt_row rows[] = {
    {.key = "format",
     .type = OPT_TEXT,
     .at = OPT_AT(struct convert_options, format, char *),
     .check = driver_known,
     .help = "container to write: raw, qcow2, vmdk, vhd, vdi; default: the source's"},
    {.key = "to",
     .type = OPT_TEXT,
     .flags = OPT_PATH,
     .at = OPT_AT(struct convert_options, to, char *),
     .help = "file or block device to write; default: beside the source, with the new suffix"},
    {.key = "disk",
     .type = OPT_TEXT,
     .at = OPT_AT(struct convert_options, disk, char *),
     .help = "write only the disk with this id"},
    {.key = "disks",
     .type = OPT_NODE,
     .flags = OPT_NAMED,
     .at = OPT_AT(struct convert_options, disks, const struct node *),
     .sub = convert_disk_rows,
     .help = "by disk id: other values for 'to' and 'format', or 'skip: yes'"},
    {.key = "exists",
     .type = OPT_WORD,
     .flags = OPT_POLICY,
     .at = OPT_AT(struct convert_options, exists, int),
     .words = exists_words,
     .preset = "refuse",
     .help = "when there is something at the final name that this job did not write; a block "
             "device needs overwrite"},
    {.key = "compression",
     .type = OPT_WORD,
     .at = OPT_AT(struct convert_options, compression, int),
     .words = compression_words,
     .preset = "none",
     .help = "compress the data, where the format can"},
    {.key = "level",
     .type = OPT_COUNT,
     .at = OPT_AT(struct convert_options, level, uint64_t),
     .max = 22,
     .preset = "0",
     .help = "compression level; 0: the format's usual one"},
    {.key = "subformat",
     .type = OPT_TEXT,
     .at = OPT_AT(struct convert_options, subformat, char *),
     .help = "layout of vmdk and vhd: streamOptimized, fixed, ..."},
    {.key = "cluster_size",
     .type = OPT_SIZE,
     .flags = OPT_POW2,
     .at = OPT_AT(struct convert_options, cluster_size, uint64_t),
     .help = "allocation unit of the new image; default: the format's"},
    {.key = "preallocation",
     .type = OPT_WORD,
     .at = OPT_AT(struct convert_options, preallocation, int),
     .words = convert_preallocation_words,
     .preset = "off",
     .help = "give every unit its place (metadata), and reserve its disk space (falloc, full)"},
    {.key = "options",
     .type = OPT_PAIRS,
     .at = OPT_AT(struct convert_options, options, struct opt_pairs),
     .help = "further options of the format, as 'strata formats NAME' lists them"},
    {.key = "digest",
     .type = OPT_BOOL,
     .flags = OPT_POLICY,
     .at = OPT_AT(struct convert_options, digest, bool),
     .preset = "no",
     .help = "compute the tree digest though no verify follows"},
    {0},
};

static bool has_disk(const struct machine_run *m, const char *id)
{
    for (size_t i = 0; i < m->source.disk_count; i++)
        if (!strcmp(m->source.disks[i].id, id))
            return true;
    return false;
}

static bool unknown_disk(const struct machine_run *m, const char *id, struct err *e)
{
    AUTO(buf_release) struct buf ids = {0};

    for (size_t i = 0; i < m->source.disk_count; i++)
        buf_format(&ids, "%s%s", i ? ", " : "", m->source.disks[i].id);
    return err_set(e, ERR_USAGE, "the machine '%s' has no disk '%s': it has %s", m->machine->name,
                   id, ids.data ? ids.data : "none");
}

static bool check(struct machine_run *m, unsigned index, struct err *e)
{
    const struct convert_options *o = stage_options(m, index);

    if (o->disk && !has_disk(m, o->disk))
        return unknown_disk(m, o->disk, e);
    for (size_t i = 0; o->disks && i < o->disks->count; i++)
        if (!has_disk(m, o->disks->keys[i]))
            return unknown_disk(m, o->disks->keys[i], e);
    return true;
}

static bool targets(struct machine_run *m, unsigned index, struct opt_texts *ret, struct err *e)
{
    const struct convert_options *o = stage_options(m, index);

    for (size_t i = 0; i < m->source.disk_count; i++) {
        struct convert_disk own = {0};
        AUTO(free) char *name = NULL;
        bool ok = convert_disk_options(o, &m->disks[i], &own, e);

        if (ok && !own.skip)
            name = convert_name(m, o, &own, &m->disks[i], e);
        opt_release(convert_disk_rows, &own);
        if (!ok || (name && !opt_texts_add(ret, name, e)))
            return false;
    }
    return !e || e->kind == ERR_NONE;
}

static bool plan_mounted(struct machine_run *m, const struct machine_disk *d,
                         const struct output *out, struct err *e)
{
    AUTO(free) char *where = NULL;

    if (!mounts_find(out->files[0].final, &where, e))
        return false;
    return !where || plan_finding(m, "target.mounted", LAYER_FILE, SEVERITY_CRITICAL, ERR_BUSY,
                                  d->id, "unmount it", e, "the target '%s' is mounted at '%s'",
                                  out->files[0].final, where);
}

/* Can the files be made and renamed in their folder, or the device be written? The permissions of
 * this process are asked for, nothing is tried. */
static bool plan_writable(struct machine_run *m, const struct machine_disk *d,
                          const struct convert_target *t, struct err *e)
{
    const char *path = t->device ? t->final : t->dir;
    int mode = t->device ? W_OK : W_OK | X_OK;

    if (faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0)
        return true;
    return plan_finding(m, "target.unwritable", LAYER_FILE, SEVERITY_CRITICAL, ERR_IO, d->id,
                        errno == EROFS
                            ? "its filesystem is mounted read-only: write to another one"
                            : "run it as a user who may write there, or write to another place",
                        e, "cannot write to '%s': %s", path, strerror(errno));
}

/* What is at the names, and whether it may be replaced. */
static bool plan_names(struct machine_run *m, const struct machine_disk *d,
                       const struct convert_target *t, struct plan_stage *row, struct err *e)
{
    AUTO(output_free) struct output *out = NULL;
    struct err why = ERR_INIT;
    char tag[RUN_TAG_MAX];

    run_tag(m, tag);
    out = output_new(t->target, t->dir, tag, e);
    if (!out)
        return false;
    for (size_t i = 0; i < out->count; i++)
        if (!opt_texts_add(&row->alters, out->files[i].final, e) ||
            !opt_texts_add(&m->plan->publish, out->files[i].final, e))
            return false;
    if (!plan_mounted(m, d, out, e))
        return false;
    for (size_t i = 0; i < m->source.disk_count && why.kind == ERR_NONE; i++)
        output_apart(out, m->disks[i].image, &why);
    if (why.kind != ERR_NONE)
        return plan_finding(m, "target.is-source", LAYER_FILE, SEVERITY_CRITICAL, why.kind, d->id,
                            NULL, e, "%s", why.text);
    if (!output_check(out, t->replace ? OUTPUT_OVERWRITE : 0, &why))
        return plan_finding(m, why.kind == ERR_BUSY ? "target.in-use" : "target.exists", LAYER_FILE,
                            SEVERITY_CRITICAL, why.kind, d->id,
                            why.kind == ERR_REFUSED ? "'exists: overwrite' replaces it" : NULL, e,
                            "%s", why.text);
    return plan_writable(m, d, t, e);
}

static bool plan_drops(const struct machine_disk *d, struct plan_stage *row, struct err *e)
{
    for (const struct image *img = d->image; img; img = img->parent)
        for (size_t i = 0; i < img->facts.dropped.count; i++)
            if (!opt_texts_add(&row->drops, img->facts.dropped.items[i], e))
                return false;
    return true;
}

static bool plan_notes(const struct machine_disk *d, const struct convert_target *t,
                       struct plan_stage *row, struct err *e)
{
    AUTO(free) char *note = NULL;

    if (t->method == COPY_CLONE &&
        !opt_texts_add(&row->notes, "blocks are shared with the source, not copied", e))
        return false;
    if (t->target->size == d->image->size)
        return true;
    note = mem_format(e, "%s is rounded up by %s of zeroes", d->id,
                      SIZE_TEXT(t->target->size - d->image->size));
    return note && opt_texts_add(&row->notes, note, e);
}

/* A device's room is its size. */
static bool plan_device(struct machine_run *m, const struct machine_disk *d,
                        const struct convert_target *t, uint64_t bound, struct err *e)
{
    uint64_t exact = target_measured(t->target), most = MAX(bound, exact);

    if (t->target->found_at_end && exact < t->device &&
        !plan_finding(
            m, "target.device-larger", LAYER_CONTAINER, SEVERITY_WARNING, ERR_NONE, d->id,
            "use a format or subformat that is recognised by its start", e,
            "the target '%s' has %s and this kind of %s ends at %s: readers that look for "
            "its footer at the end of the device may not recognise it",
            t->final, SIZE_TEXT(t->device), t->driver->name, SIZE_TEXT(exact)))
        return false;
    return most <= t->device ||
           plan_finding(m, "target.too-small", LAYER_FILE, SEVERITY_CRITICAL, ERR_SPACE, d->id,
                        "choose a larger device", e, "the target '%s' has %s, disk %s needs %s",
                        t->final, SIZE_TEXT(t->device), d->id, SIZE_TEXT(most));
}

static bool plan_disk(struct machine_run *m, const struct convert_options *o,
                      const struct machine_disk *d, struct plan_stage *row, struct buf *what,
                      uint64_t *ms, struct err *e)
{
    AUTO(convert_target_release) struct convert_target t = {0};
    struct copy_estimate estimate;
    uint64_t need, bound;
    struct err why = ERR_INIT;

    if (!convert_resolve(m, o, d, &t, &why)) {
        if (why.kind == ERR_USAGE || why.kind == ERR_MEMORY)
            return err_set(e, why.kind, "%s", why.text);
        return plan_finding(
            m, why.kind == ERR_UNSUPPORTED ? "target.cannot-hold" : "target.unusable",
            LAYER_CONTAINER, SEVERITY_CRITICAL, why.kind, d->id, NULL, e, "%s", why.text);
    }
    if (t.skip)
        return true;
    buf_format(what, "%s%s to %s '%s'", what->len ? "; " : "", d->id, t.driver->name, t.final);
    if (!plan_names(m, d, &t, row, e) || !plan_drops(d, row, e) || !plan_notes(d, &t, row, e) ||
        !copy_estimate(d->image, &estimate, e) || !convert_need(m, d, &t, &need, &bound, e))
        return false;
    if (t.method != COPY_CLONE) {
        row->reads += estimate.stored;
        *ms += rates_guess(m, &(struct pass){.reads = estimate.stored,
                                             .writes = need,
                                             .data = estimate.data,
                                             .coder = t.target->coder,
                                             .level = t.target->coder_level});
    }
    row->writes += need;
    row->estimate = row->estimate || need != bound;
    return t.device ? plan_device(m, d, &t, bound, e) : plan_space_add(m, t.dir, need, bound, e);
}

static bool plan(struct machine_run *m, unsigned index, struct plan_stage *row, struct err *e)
{
    const struct convert_options *o = stage_options(m, index);
    AUTO(buf_release) struct buf what = {0};
    uint64_t ms = 0;

    for (size_t i = 0; i < m->source.disk_count; i++)
        if (!plan_disk(m, o, &m->disks[i], row, &what, &ms, e))
            return false;
    row->seconds = rates_seconds(ms);
    if (!what.len)
        buf_text(&what, "nothing to write");
    row->what = buf_take(&what, e);
    return row->what;
}

static bool wants_digest(const struct machine_run *m, unsigned index,
                         const struct convert_options *o)
{
    bool later = o->digest;

    for (size_t i = index + 1; i < m->machine->stage_count; i++)
        later = later || (m->machine->stages[i].stage->flags & STAGE_VERIFIES);
    return later;
}

static bool run_disk(struct machine_run *m, unsigned index, const struct machine_disk *d,
                     struct err *e)
{
    const struct convert_options *o = stage_options(m, index);
    AUTO(convert_target_release) struct convert_target t = {0};
    struct run_output *out;
    struct output_request request;
    struct copy copy = {.source = d->image, .sync = true};

    if (!convert_resolve(m, o, d, &t, e))
        return false;
    if (t.skip)
        return true;
    out = run_output_find(m, d->id);
    if (out && out->row.status >= OUTPUT_SEALED &&
        !memcmp(&out->row.recipe, &t.recipe, sizeof(t.recipe)))
        return true;
    request = (struct output_request){.disk = d->id,
                                      .format = t.driver->name,
                                      .recipe = t.recipe,
                                      .dir = t.dir,
                                      .replace = t.replace};
    copy.size = t.target->size;
    copy.method = t.method;
    copy.digest = wants_digest(m, index, o);
    if (!run_output_begin(m, TAKE(t.target), &request, &out, e))
        return false;
    copy.target = out->target;
    return run_copy(m, d->id, out, &copy, e) &&
           run_output_seal(m, out, copy.tree_valid ? &copy.tree : NULL, e);
}

static bool run(struct machine_run *m, unsigned index, struct err *e)
{
    for (size_t i = 0; i < m->source.disk_count; i++)
        if (!run_disk(m, index, &m->disks[i], e))
            return err_while(e, "writing disk %s", m->disks[i].id);
    return true;
}

const struct stage stage_convert = {
    .name = "convert",
    .help = "writes each disk into a container, to a file or block device",
    .layers = LAYER_CONTAINER,
    .flags = STAGE_ALTERS | STAGE_OUTPUT,
    .options = rows,
    .options_size = sizeof(struct convert_options),
    .shorthand = "format",
    .targets = targets,
    .check = check,
    .plan = plan,
    .run = run,
};
