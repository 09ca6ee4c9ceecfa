/* From the options of a convert stage to one disk's target: names, driver options, method, recipe;
 * see convert.h. Nothing is written. */
#include "convert.h"

#include "clock.h"
#include "codec.h"
#include "file.h"
#include "identity.h"
#include "rows.h"
#include "text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const struct opt_row convert_disk_rows[] = {
    {.key = "to",
     .type = OPT_TEXT,
     .flags = OPT_PATH,
     .at = OPT_AT(struct convert_disk, to, char *),
     .help = "where this disk goes"},
    {.key = "format",
     .type = OPT_TEXT,
     .at = OPT_AT(struct convert_disk, format, char *),
     .check = driver_known,
     .help = "format of this disk's target"},
    {.key = "skip",
     .type = OPT_BOOL,
     .at = OPT_AT(struct convert_disk, skip, bool),
     .preset = "no",
     .help = "leave this disk out"},
    {0},
};

void convert_target_release(struct convert_target *t)
{
    target_free(t->target);
    free(t->dir);
    free(t->name);
    free(t->final);
    free(t->options);
    *t = (struct convert_target){0};
}

bool convert_disk_options(const struct convert_options *o, const struct machine_disk *d,
                          struct convert_disk *ret, struct err *e)
{
    const struct node *own = o->disks ? node_get(o->disks, d->id) : NULL;
    struct mistakes mistakes = {0};
    struct decode decode = {.mistakes = &mistakes};
    bool ok = rows_decode(convert_disk_rows, own, ret, &decode);

    if (!ok && mistakes.list.count)
        err_set(e, ERR_USAGE, "'disks: %s': %s", d->id, mistakes.list.items[0].text);
    else if (!ok)
        err_set(e, ERR_MEMORY, "out of memory");
    mistakes_release(&mistakes);
    if (o->disk && strcmp(o->disk, d->id) != 0)
        ret->skip = true;
    return ok;
}

/* The name of the disk's own file with another suffix, in the same folder. */
static char *name_beside(const struct machine_disk *d, const struct driver *driver, struct err *e)
{
    const char *path = d->image->path, *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash + 1 : path, '.');
    int stem = (int)(dot && dot != slash + 1 ? (size_t)(dot - path) : strlen(path));

    return mem_format(e, "%.*s.%s", stem, path,
                      driver->suffixes && driver->suffixes[0] ? driver->suffixes[0] : driver->name);
}

char *convert_name(struct machine_run *m, const struct convert_options *o,
                   const struct convert_disk *own, const struct machine_disk *d, struct err *e)
{
    const struct expand_disk disk = {.index = d->index, .id = d->id};
    const char *to = own->to ? own->to : o->to;
    AUTO(free) char *text = to ? job_expand(to, &disk, m->date, e) : NULL;

    if (!text || *text == '/')
        return TAKE(text);
    return mem_format(e, "%s/%s", m->job->dir, text);
}

static bool set_option(const struct driver *driver, void *options, const char *key,
                       const char *value, struct err *e)
{
    const struct opt_row *row = driver->options ? opt_find(driver->options, key) : NULL;

    if (!row)
        return err_set(e, ERR_USAGE, "%s has no option '%s'", driver->name, key);
    if (opt_set(row, options, value, e))
        return true;
    return err_while(e, "setting '%s' of %s", key, driver->name);
}

static bool set_number(const struct driver *driver, void *options, const char *key, uint64_t value,
                       struct err *e)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    return !value || set_option(driver, options, key, text, e);
}

static bool set_options(const struct driver *driver, const struct convert_options *o, void *options,
                        struct err *e)
{
    static const char *const compressions[] = {NULL, "zlib", "zstd"};
    const char *compression = compressions[o->compression];
    const char *unit = driver->options && !opt_find(driver->options, "cluster_size") &&
                               opt_find(driver->options, "block_size")
                           ? "block_size"
                           : "cluster_size";

    if ((driver->options && !opt_presets(driver->options, options, e)) ||
        (compression && !set_option(driver, options, "compression", compression, e)) ||
        !set_number(driver, options, "level", o->level, e) ||
        !set_number(driver, options, unit, o->cluster_size, e) ||
        (o->subformat && !set_option(driver, options, "subformat", o->subformat, e)) ||
        (o->preallocation && !set_option(driver, options, "preallocation",
                                         convert_preallocation_words[o->preallocation], e)))
        return false;
    for (size_t i = 0; i < o->options.count; i++)
        if (!set_option(driver, options, o->options.items[i].key, o->options.items[i].value, e))
            return false;
    return true;
}

/* Can blocks of the source be shared with a file in the folder? Asked of a file without a name. */
static bool can_share(struct image *img, const char *dir)
{
    AUTO(io_free) struct io *io = NULL;
    struct stat a, b;
    int fd;

    if (img->io->fd < 0 || fstat(img->io->fd, &a) != 0 || stat(dir, &b) != 0 ||
        a.st_dev != b.st_dev)
        return false;
    fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    io = fd >= 0 ? file_from_fd(fd, dir, NULL) : NULL;
    return io && file_clone_works(img->io, io);
}

static bool make_target(struct machine_run *m, const struct machine_disk *d,
                        struct convert_target *t, const void *options, struct err *e)
{
    struct target_options to = {.driver = t->driver,
                                .options = options,
                                .name = t->name,
                                .size = d->image->size,
                                .sector_size = d->image->sector_size};
    struct source_facts facts = {0};
    bool ok = facts_add_image(&facts, d->image, e);

    to.mtime = clock_stamp(facts_mtime(&facts));
    source_facts_release(&facts);
    if (!ok || !identity_content(m->job->name, m->machine->name, d->id, t->driver->name, t->options,
                                 to.size, to.mtime, &to.identity, e))
        return false;
    t->target = target_new(&to, e);
    return t->target;
}

/* What the bytes follow from, besides the sources and the stage's options. */
static bool make_recipe(struct convert_target *t, struct err *e)
{
    const struct target *target = t->target;
    AUTO(buf_release) struct buf text = {0};

    buf_format(&text, "%s %u %s\n%s", t->driver->name, t->driver->layout_version, t->name,
               t->options);
    buf_format(&text, "%s %s %d %s\n", target->coder ? target->coder->name : "plain",
               target->coder ? target->coder->library : "", target->coder_level,
               t->method == COPY_CLONE ? "clone" : "read");
    buf_format(&text, "%" PRIu64 " %u %" PRId64 "\n", target->size, target->sector_size,
               target->mtime);
    buf_add(&text, target->identity.bytes, DIGEST_SIZE);
    if (!buf_ok(&text, e))
        return false;
    digest_sha256(text.data, text.len, &t->recipe);
    return true;
}

static bool with_driver(struct machine_run *m, const struct convert_options *o,
                        const struct machine_disk *d, struct convert_target *t, struct err *e)
{
    AUTO(free) void *options = mem_alloc(t->driver->options_size, e);
    AUTO(buf_release) struct buf text = {0};
    bool ok;

    ok = options && set_options(t->driver, o, options, e) &&
         (!t->driver->options || identity_options(&text, t->driver->options, options, e)) &&
         (t->options = mem_text(text.data ? text.data : "", e)) && make_target(m, d, t, options, e);
    if (options && t->driver->options)
        opt_release(t->driver->options, options);
    return ok;
}

/* Is what lies at the names this machine's own work, unchanged since? Then it may be replaced. */
static bool all_own(struct machine_run *m, const struct convert_target *t, bool *ret, struct err *e)
{
    *ret = m->state != NULL;
    for (size_t i = 0; *ret && i < t->target->files.count; i++) {
        const char *name = t->target->files.items[i].name;
        AUTO(free) char *path = mem_format(e, "%s/%s", t->dir, name ? name : t->name);

        if (!path)
            return false;
        if (access(path, F_OK) == 0 && !state_is_own_output(m->state, path, ret, e))
            return false;
    }
    return true;
}

static bool find_device(struct convert_target *t, struct err *e)
{
    AUTO(io_free) struct io *io = NULL;
    struct stat st;

    if (stat(t->final, &st) != 0 || !S_ISBLK(st.st_mode))
        return true;
    io = file_open(t->final, 0, e);
    t->device = io ? io->size : 0;
    return io;
}

bool convert_resolve(struct machine_run *m, const struct convert_options *o,
                     const struct machine_disk *d, struct convert_target *t, struct err *e)
{
    struct convert_disk own = {0};
    AUTO(free) char *path = NULL;
    const char *format;
    bool ok, own_output;

    ok = convert_disk_options(o, d, &own, e);
    t->skip = own.skip;
    if (!ok || own.skip)
        goto out;
    format = own.format ? own.format : o->format;
    t->driver = format ? driver_named(format, e) : d->image->driver;
    ok = t->driver != NULL;
    if (ok && !t->driver->create)
        ok = err_set(e, ERR_UNSUPPORTED, "%s can be read, not written: choose another 'format'",
                     t->driver->name);
    if (!ok)
        goto out;
    path = convert_name(m, o, &own, d, e);
    if (!path && (!e || e->kind == ERR_NONE))
        path = name_beside(d, t->driver, e);
    ok = path && output_resolve(path, &t->dir, &t->name, e) &&
         (t->final = mem_format(e, "%s/%s", t->dir, t->name)) && with_driver(m, o, d, t, e) &&
         all_own(m, t, &own_output, e) && find_device(t, e);
    if (!ok)
        goto out;
    t->replace = o->exists == EXISTS_OVERWRITE || own_output;
    t->method =
        !t->target->coder && !t->device && can_share(d->image, t->dir) ? COPY_CLONE : COPY_READ;
    ok = make_recipe(t, e);
out:
    opt_release(convert_disk_rows, &own);
    return ok;
}
