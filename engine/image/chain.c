/* Chains: opening an image with all its parents. Every parent goes through the gate, answers to the
 * identity its child recorded, and is none of the files already in the chain. */
#include "driver.h"
#include "image.h"

#include "mem.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static bool same_file(const struct io *a, const struct io *b)
{
    struct stat sa, sb;

    return a->fd >= 0 && b->fd >= 0 && fstat(a->fd, &sa) == 0 && fstat(b->fd, &sb) == 0 &&
           sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static bool check_cycle(const struct image *top, const struct image *child, const struct io *io,
                        struct err *e)
{
    for (const struct image *layer = top; layer; layer = layer->parent)
        if (same_file(layer->io, io))
            return err_set(e, ERR_FORMAT, "the chain runs in a circle: '%s' names '%s' again",
                           child->path, layer->path);
    return true;
}

static bool check_identity(const struct image *child, const struct image *parent,
                           const struct parent_ref *ref, struct err *e)
{
    const char *is = parent->facts.identity;

    if (!ref->identity || (is && strcmp(ref->identity, is) == 0))
        return true;
    return err_set(
        e, ERR_FORMAT,
        "the parent '%s' is not what '%s' was made over: it was %s and is %s now; it was "
        "changed or replaced after the snapshot",
        parent->path, child->path, ref->identity, is ? is : "without identity");
}

/* Opens the parent of `child`; *ret stays NULL when it has none. */
static bool open_parent(const struct image *top, struct image *child,
                        const struct image_options *options, struct image **ret, struct err *e)
{
    struct parent_ref ref = {0};
    struct image_options opts = *options;
    AUTO(free) char *path = NULL;
    struct image *parent = NULL;
    struct io *io;
    bool ok = false;

    if (!child->driver->parent)
        return true;
    if (!child->driver->parent(child, &ref, e) || !ref.name) {
        ok = !ref.name && (!e || e->kind == ERR_NONE);
        goto out;
    }
    io = gate_open(child->gate, child->path, ref.name, 0, &path, e);
    if (!io)
        goto out;
    if (!check_cycle(top, child, io, e)) {
        io_free(io);
        goto out;
    }
    opts.format = ref.format;
    opts.snapshot = NULL;
    parent = image_open_io(io, path, child->gate, &opts, e);
    if (!parent || !check_identity(child, parent, &ref, e))
        goto out;
    *ret = TAKE(parent);
    ok = true;
out:
    if (!ok && ref.name)
        err_while(e, "following '%s' to its parent '%s'", child->path, ref.name);
    image_free(parent);
    parent_ref_release(&ref);
    return ok;
}

static bool open_parents(struct image *top, const struct image_options *options, struct err *e)
{
    struct image *child = top;

    for (unsigned depth = 1;; depth++) {
        if (!open_parent(top, child, options, &child->parent, e))
            return false;
        child = child->parent;
        if (!child)
            return true;
        if (depth >= IMAGE_DEPTH_MAX)
            return err_set(e, ERR_UNSUPPORTED, "the chain of '%s' is more than %d layers deep",
                           top->path, IMAGE_DEPTH_MAX);
    }
}

struct image *image_open(const char *path, const struct image_options *options, struct err *e)
{
    AUTO(gate_free) struct gate *gate = NULL;
    AUTO(free) char *real = NULL;
    struct image *img;
    struct io *io;

    io = file_open(path, options->rules && options->rules->direct ? FILE_DIRECT : 0, e);
    if (!io)
        return NULL;
    real = realpath(path, NULL);
    if (!real)
        real = mem_text(path, e);
    gate = real ? gate_new(path, options->rules, e) : NULL;
    if (!gate) {
        io_free(io);
        return NULL;
    }
    img = image_open_io(io, real, gate, options, e);
    if (img && !options->layer_only && !open_parents(img, options, e)) {
        image_free(img);
        return NULL;
    }
    return img;
}
