/* `strata convert`: one image to another, in one pass.
 *
 * The target's files are written beside their final names and renamed when everything is on the
 * disk; a conversion that fails, or is interrupted, removes them. */
#include "bytes.h"
#include "clock.h"
#include "commands.h"
#include "doc.h"
#include "file.h"
#include "images.h"
#include "log.h"
#include "output.h"
#include "print.h"
#include "text.h"

#include <inttypes.h>

struct conversion {
    struct image *source;
    struct target *target;
    struct output *output;
    const char *label;
    struct copy copy;
    uint64_t began;
};

static uint64_t stored_bytes(const struct target *t)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < t->files.count; i++)
        if (t->files.items[i].io)
            sum += file_allocated(t->files.items[i].io);
    return sum;
}

static bool convert_doc(const struct conversion *v, const char *hex, struct err *e)
{
    json_t *doc = json_object(), *files = json_array();

    for (size_t i = 0; i < v->output->count; i++)
        doc_add(files, doc_text(v->output->files[i].final));
    doc_set(doc, "files", files);
    doc_set(doc, "format", doc_text(v->target->driver->name));
    doc_set(doc, "virtual_size", doc_count(v->target->size));
    doc_set(doc, "allocated", doc_count(stored_bytes(v->target)));
    doc_set(doc, "read", doc_count(v->copy.total.read));
    doc_set(doc, "written", doc_count(v->copy.total.written));
    doc_set(doc, "seconds", json_real((double)(clock_mono() - v->began) / 1e9));
    doc_set(doc, "digest", doc_text(hex));
    return doc_print(doc, e);
}

static bool report(const struct cli *cli, const struct conversion *v, struct err *e)
{
    char hex[DIGEST_HEX_MAX];
    uint64_t seconds = (clock_mono() - v->began) / 1000000000;

    hex_encode(v->copy.tree.bytes, DIGEST_SIZE, hex);
    if (cli->json)
        return convert_doc(v, v->copy.tree_valid && cli->digest ? hex : NULL, e);
    if (cli->digest)
        out("%s  %s\n", hex, v->label);
    else if (!cli->quiet)
        out("%s: %s, %s virtual, %s on disk; %s read, %s written, %s\n", v->label,
            v->target->driver->name, SIZE_TEXT(v->target->size), SIZE_TEXT(stored_bytes(v->target)),
            SIZE_TEXT(v->copy.total.read), SIZE_TEXT(v->copy.total.written),
            duration_text(seconds, (char[SIZE_TEXT_MAX]){0}));
    return true;
}

/* Cloning needs plain targets, and files on one file system that shares blocks. */
static enum copy_method choose_method(const struct conversion *v)
{
    const struct target *t = v->target;
    struct io *to = t->files.items[0].io;

    if (t->coder || v->output->device || v->source->io->fd < 0)
        return COPY_READ;
    return file_clone_works(v->source->io, to) ? COPY_CLONE : COPY_READ;
}

static bool write_target(const struct cli *cli, struct conversion *v, struct err *e)
{
    v->copy = (struct copy){
        .source = v->source,
        .size = v->target->size,
        .target = v->target,
        .method = choose_method(v),
        .digest = cli->digest,
        .digest_clones = cli->digest,
        .sync = !cli->no_sync,
    };
    return images_copy(cli, v->label, &v->copy, e) && output_device_end(v->output, e) &&
           output_publish(v->output, !cli->no_sync, e);
}

static bool open_both(const struct cli *cli, struct conversion *v, struct err *e)
{
    AUTO(free) char *dir = NULL, *name = NULL;
    const char *to = cli->args.items[1];

    v->source = images_open(cli, cli->args.items[0], cli->format, IMAGE_LOCK_READ, e);
    if (!v->source || !output_resolve(to, &dir, &name, e))
        return false;
    if (opt_pairs_get(&v->source->facts.extra, "probed"))
        log_note("'%s' is of no known format and is read as raw: '-f raw' says that this is right",
                 cli->args.items[0]);
    v->target = images_target(cli, v->source, name, e);
    if (!v->target)
        return false;
    v->output = output_new(v->target, dir, "convert", e);
    if (!v->output || !output_apart(v->output, v->source, e))
        return false;
    if (v->output->device && !cli->overwrite)
        return err_set(e, ERR_REFUSED,
                       "'%s' is a block device: add --overwrite to lose what is on it", to);
    images_say_dropped(v->source);
    return output_create(v->output, OUTPUT_OVERWRITE | (cli->direct ? OUTPUT_DIRECT : 0), e) &&
           output_device_begin(v->output, false, e);
}

bool cmd_convert(struct cli *cli, struct err *e)
{
    struct conversion v = {.label = cli->args.items[1], .began = clock_mono()};
    bool ok = open_both(cli, &v, e) && write_target(cli, &v, e) && report(cli, &v, e);

    if (!ok && (e->kind == ERR_INTERRUPTED || e->kind == ERR_TERMINATED))
        err_while(e, "writing '%s', of which nothing is left", v.label);
    if (!ok && v.output)
        output_discard(v.output);
    output_free(v.output);
    target_free(v.target);
    image_free(v.source);
    return ok;
}
