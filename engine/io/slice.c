/* A range of another store as a store of its own, of fixed size: every call is passed on with the
 * range's start added. */
#include "io.h"

#include "bytes.h"
#include "mem.h"

#include <inttypes.h>

struct slice {
    struct io io;
    struct io *base;
    uint64_t start;
};

static struct slice *slice_of(struct io *io)
{
    return (struct slice *)io;
}

static bool slice_read(struct io *io, uint64_t pos, void *buf, size_t len, struct err *e)
{
    struct slice *s = slice_of(io);

    return io_read(s->base, s->start + pos, buf, len, e);
}

static bool slice_write(struct io *io, uint64_t pos, const void *buf, size_t len, struct err *e)
{
    struct slice *s = slice_of(io);

    return io_write(s->base, s->start + pos, buf, len, e);
}

static bool slice_sync(struct io *io, struct err *e)
{
    return io_sync(slice_of(io)->base, e);
}

static bool slice_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
    struct slice *s = slice_of(io);

    return io_zero(s->base, s->start + pos, len, e);
}

static bool slice_extent(struct io *io, uint64_t pos, uint64_t want, enum io_extent_kind *ret_kind,
                         uint64_t *ret_len, struct err *e)
{
    struct slice *s = slice_of(io);

    return io_extent(s->base, s->start + pos, want, ret_kind, ret_len, e);
}

static void slice_flush_hint(struct io *io, uint64_t pos, uint64_t len)
{
    struct slice *s = slice_of(io);

    io_flush_hint(s->base, s->start + pos, len);
}

static void slice_free(struct io *io)
{
    struct slice *s = slice_of(io);

    io_free(s->base);
    free(io->name);
    free(s);
}

static const struct io_ops slice_ops = {
    .kind = "slice",
    .read = slice_read,
    .write = slice_write,
    .sync = slice_sync,
    .zero = slice_zero,
    .extent = slice_extent,
    .flush_hint = slice_flush_hint,
    .free = slice_free,
};

struct io *io_slice(struct io *base, uint64_t pos, uint64_t len, struct err *e)
{
    struct slice *s;

    if (!range_inside(pos, len, io_size(base))) {
        err_set(e, ERR_FORMAT,
                "'%s' is cut short: %" PRIu64 " bytes at %" PRIu64
                " were wanted, the file has %" PRIu64,
                base->name, len, pos, io_size(base));
        return NULL;
    }
    s = mem_new(struct slice, e);
    if (!s)
        return NULL;
    s->io = (struct io){.ops = &slice_ops, .size = len, .fd = -1, .refs = 1};
    s->start = pos;
    s->base = io_ref(base);
    s->io.name = mem_text(base->name, e);
    if (!s->io.name) {
        slice_free(&s->io);
        return NULL;
    }
    return &s->io;
}
