/* The front doors of byte stores: every range is checked here once, so that the stores behind can
 * trust their arguments; see io.h. */
#include "io.h"

#include "bytes.h"
#include "mem.h"

#include <inttypes.h>
#include <string.h>

void io_free(struct io *io)
{
    if (!io || __atomic_sub_fetch(&io->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    io->ops->free(io);
}

struct io *io_ref(struct io *io)
{
    __atomic_add_fetch(&io->refs, 1, __ATOMIC_RELAXED);
    return io;
}

void io_grown(struct io *io, uint64_t end)
{
    uint64_t size = io_size(io);

    while (size < end && !__atomic_compare_exchange_n(&io->size, &size, end, true, __ATOMIC_RELAXED,
                                                      __ATOMIC_RELAXED))
        ;
}

bool io_read(struct io *io, uint64_t pos, void *buf, size_t len, struct err *e)
{
    if (!range_inside(pos, len, io_size(io)))
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short: %zu bytes at %" PRIu64
                       " were wanted, the file has %" PRIu64,
                       io->name, len, pos, io_size(io));
    return !len || io->ops->read(io, pos, buf, len, e);
}

bool io_read_padded(struct io *io, uint64_t pos, void *buf, size_t len, struct err *e)
{
    uint64_t size = io_size(io);
    size_t inside = pos < size ? (size_t)MIN((uint64_t)len, size - pos) : 0;

    if (inside && !io->ops->read(io, pos, buf, inside, e))
        return false;
    memset((char *)buf + inside, 0, len - inside);
    return true;
}

/* Checks that a store can be changed in this range. */
static bool may_write(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
    uint64_t end;

    if (!io->ops->write)
        return err_set(e, ERR_BUG, "'%s' is written to, but %s stores are read only", io->name,
                       io->ops->kind);
    if (__builtin_add_overflow(pos, len, &end) || end > INT64_MAX)
        return err_set(e, ERR_BUG, "%" PRIu64 " bytes at %" PRIu64 " of '%s' is past any file", len,
                       pos, io->name);
    if (end > io_size(io) && (io->device || !io->ops->resize))
        return err_set(e, ERR_SPACE,
                       "'%s' is too small: it has %" PRIu64 " bytes, and %" PRIu64 " bytes at "
                       "%" PRIu64 " are to be written",
                       io->name, io_size(io), len, pos);
    return true;
}

bool io_write(struct io *io, uint64_t pos, const void *buf, size_t len, struct err *e)
{
    return may_write(io, pos, len, e) && (!len || io->ops->write(io, pos, buf, len, e));
}

bool io_sync(struct io *io, struct err *e)
{
    return !io->ops->sync || io->ops->sync(io, e);
}

bool io_resize(struct io *io, uint64_t size, struct err *e)
{
    if (size == io_size(io))
        return true;
    if (io->device || !io->ops->resize)
        return err_set(e, ERR_UNSUPPORTED,
                       "the size of '%s' is fixed: it has %" PRIu64 " bytes, not %" PRIu64,
                       io->name, io_size(io), size);
    if (size > INT64_MAX)
        return err_set(e, ERR_BUG, "'%s' cannot have %" PRIu64 " bytes", io->name, size);
    return io->ops->resize(io, size, e);
}

bool io_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
    static const char zeroes[64 * KIB];

    if (!may_write(io, pos, len, e))
        return false;
    if (io->ops->zero)
        return !len || io->ops->zero(io, pos, len, e);
    while (len) {
        size_t n = (size_t)MIN(len, (uint64_t)sizeof(zeroes));

        if (!io->ops->write(io, pos, zeroes, n, e))
            return false;
        pos += n;
        len -= n;
    }
    return true;
}

bool io_extent(struct io *io, uint64_t pos, uint64_t want, enum io_extent_kind *ret_kind,
               uint64_t *ret_len, struct err *e)
{
    uint64_t size = io_size(io);

    if (pos >= size || !want)
        return err_set(e, ERR_BUG, "the map of '%s' was asked at %" PRIu64 " of %" PRIu64 " bytes",
                       io->name, pos, size);
    want = MIN(want, size - pos);
    if (io->ops->extent)
        return io->ops->extent(io, pos, want, ret_kind, ret_len, e);
    *ret_kind = IO_DATA;
    *ret_len = want;
    return true;
}

void io_flush_hint(struct io *io, uint64_t pos, uint64_t len)
{
    if (io->ops->flush_hint)
        io->ops->flush_hint(io, pos, len);
}
