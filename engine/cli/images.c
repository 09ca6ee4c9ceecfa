/* Shared by the image commands; see images.h. */
#include "images.h"

#include "buf.h"
#include "bytes.h"
#include "clock.h"
#include "log.h"
#include "progress.h"
#include "text.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

struct image *images_open_layer(const struct cli *cli, const char *path, const char *format,
                                enum image_lock lock, bool layer, struct err *e)
{
    const struct gate_rules rules = {.allow = cli->allow, .direct = cli->direct};
    const struct image_options options = {
        .format = format,
        .snapshot = cli->snapshot,
        .rules = &rules,
        .lock = lock,
        .layer_only = layer,
    };

    return image_open(path, &options, e);
}

struct image *images_open(const struct cli *cli, const char *path, const char *format,
                          enum image_lock lock, struct err *e)
{
    return images_open_layer(cli, path, format, lock, cli->layer, e);
}

static bool assign_options(const struct driver *driver, const struct opt_texts *given, void *into,
                           struct err *e)
{
    if (!driver->options) {
        return !given->count ||
               err_set(e, ERR_USAGE, "'-o %s': '%s' has no options", given->items[0], driver->name);
    }
    if (!opt_presets(driver->options, into, e))
        return false;
    for (size_t i = 0; i < given->count; i++)
        if (!opt_assign(driver->options, into, given->items[i], e))
            return err_while(e, "reading '-o %s' for a new %s image", given->items[i],
                             driver->name);
    return true;
}

/* What the bytes of the new image follow from, besides the contents: the same command gives the
 * same identifiers. */
static bool identify(const struct driver *driver, const void *options, const struct image *source,
                     struct digest_value *ret, struct err *e)
{
    const char *slash = strrchr(source->path, '/');
    AUTO(buf_release) struct buf text = {0};

    buf_format(&text, "%s %u\n", driver->name, driver->layout_version);
    for (const struct opt_row *row = driver->options; row && row->type != OPT_END; row++) {
        AUTO(free) char *value = opt_value(row, options, e);

        buf_format(&text, "%s=%s\n", row->key, value ? value : "");
    }
    buf_format(&text, "%" PRIu64 "\n%s\n", source->size, slash ? slash + 1 : source->path);
    if (!buf_ok(&text, e))
        return false;
    digest_sha256(text.data, text.len, ret);
    return true;
}

static int64_t source_mtime(const struct image *source)
{
    struct stat st;

    return source->io->fd >= 0 && fstat(source->io->fd, &st) == 0 ? st.st_mtim.tv_sec : 0;
}

static struct target *make_target(const struct cli *cli, const struct driver *driver, void *options,
                                  const struct image *source, const char *name, struct err *e)
{
    struct target_options wish = {
        .driver = driver,
        .options = options,
        .name = name,
        .size = source->size,
        .sector_size = source->sector_size,
        .mtime = clock_stamp(source_mtime(source)),
    };

    if (!assign_options(driver, &cli->new_options, options, e) ||
        !identify(driver, options, source, &wish.identity, e))
        return NULL;
    return target_new(&wish, e);
}

struct target *images_target(const struct cli *cli, const struct image *source, const char *name,
                             struct err *e)
{
    const struct driver *driver;
    AUTO(free) void *options = NULL;
    struct target *t;

    if (!cli->new_format) {
        err_set(e, ERR_USAGE, "the format of the new image is missing: add '-O qcow2'");
        return NULL;
    }
    driver = driver_named(cli->new_format, e);
    if (!driver)
        return NULL;
    if (!driver->create) {
        err_set(e, ERR_UNSUPPORTED, "images of format '%s' are read, not written", driver->name);
        return NULL;
    }
    options = mem_alloc(driver->options_size, e);
    if (!options)
        return NULL;
    t = make_target(cli, driver, options, source, name, e);
    if (driver->options)
        opt_release(driver->options, options);
    if (t && t->size != source->size)
        log_note("'%s' holds multiples of %s: the virtual size grows from %" PRIu64 " to %" PRIu64
                 " bytes",
                 driver->name, SIZE_TEXT(driver->limits.size_multiple), source->size, t->size);
    return t;
}

/* One copy with a bar. */
struct copying {
    struct progress progress;
    const char *label;
    bool (*consume)(void *user, uint64_t at, const void *buf, uint64_t len, struct err *e);
    void *user; /* of consume */
};

static void show(void *user, const struct copy_progress *p)
{
    struct copying *v = user;

    progress_show(&v->progress, v->label, p->done, p->total, p->resumed, 0, 0);
}

static bool consume(void *user, uint64_t at, const void *buf, uint64_t len, struct err *e)
{
    struct copying *v = user;

    return v->consume(v->user, at, buf, len, e);
}

bool images_copy(const struct cli *cli, const char *label, struct copy *c, struct err *e)
{
    struct copying v = {.label = label, .consume = c->consume, .user = c->user};
    AUTO(throttle_free) struct throttle *throttle = NULL;
    bool ok;

    if (cli->rate && !(throttle = throttle_new(cli->rate, e)))
        return false;
    c->workers = (unsigned)cli->workers;
    c->throttle = throttle;
    c->stop = cli->stop;
    c->progress = show;
    c->consume = c->consume ? consume : NULL;
    c->user = &v;
    progress_init(&v.progress, cli);
    ok = copy_run(c, e);
    progress_end(&v.progress);
    return ok;
}

void images_say_dropped(const struct image *source)
{
    for (; source; source = source->parent)
        for (size_t i = 0; i < source->facts.dropped.count; i++)
            log_warn("not carried over from '%s': %s", source->path,
                     source->facts.dropped.items[i]);
}
