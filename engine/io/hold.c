/* A store whose first bytes are held back in memory until they are released. A block device that is
 * being written stays without a valid first sector that way: until the end it is no image, no disk
 * and no filesystem to anybody who looks. */
#include "io.h"

#include "bytes.h"
#include "mem.h"

#include <pthread.h>
#include <string.h>

struct hold {
    struct io io;
    struct io *base;
    pthread_mutex_t lock; /* of `first` */
    size_t len;
    bool released;
    uint8_t first[];
};

static struct hold *hold_of(struct io *io)
{
    return (struct hold *)io;
}

/* How much of [pos, pos+len) lies in the held part; 0 once it was released. */
static size_t held(struct hold *h, uint64_t pos, uint64_t len)
{
    return h->released || pos >= h->len ? 0 : (size_t)MIN(len, h->len - pos);
}

static bool hold_read(struct io *io, uint64_t pos, void *buf, size_t len, struct err *e)
{
    struct hold *h = hold_of(io);
    size_t n;

    pthread_mutex_lock(&h->lock);
    n = held(h, pos, len);
    if (n)
        memcpy(buf, h->first + pos, n);
    pthread_mutex_unlock(&h->lock);
    return n == len || io_read(h->base, pos + n, (uint8_t *)buf + n, len - n, e);
}

static bool hold_write(struct io *io, uint64_t pos, const void *buf, size_t len, struct err *e)
{
    struct hold *h = hold_of(io);
    size_t n;

    pthread_mutex_lock(&h->lock);
    n = held(h, pos, len);
    if (n)
        memcpy(h->first + pos, buf, n);
    pthread_mutex_unlock(&h->lock);
    return n == len || io_write(h->base, pos + n, (const uint8_t *)buf + n, len - n, e);
}

static bool hold_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
    struct hold *h = hold_of(io);
    size_t n;

    pthread_mutex_lock(&h->lock);
    n = held(h, pos, len);
    if (n)
        memset(h->first + pos, 0, n);
    pthread_mutex_unlock(&h->lock);
    return n == len || io_zero(h->base, pos + n, len - n, e);
}

static bool hold_sync(struct io *io, struct err *e)
{
    return io_sync(hold_of(io)->base, e);
}

static void hold_flush_hint(struct io *io, uint64_t pos, uint64_t len)
{
    io_flush_hint(hold_of(io)->base, pos, len);
}

static void hold_free(struct io *io)
{
    struct hold *h = hold_of(io);

    io_free(h->base);
    pthread_mutex_destroy(&h->lock);
    free(io->name);
    free(h);
}

static const struct io_ops hold_ops = {
    .kind = "held back",
    .read = hold_read,
    .write = hold_write,
    .sync = hold_sync,
    .zero = hold_zero,
    .flush_hint = hold_flush_hint,
    .free = hold_free,
};

struct io *io_hold(struct io *base, size_t len, struct err *e)
{
    struct hold *h;

    len = (size_t)MIN((uint64_t)len, base->size);
    h = mem_alloc(sizeof(*h) + len, e);
    if (!h)
        return NULL;
    h->io = (struct io){
        .ops = &hold_ops, .size = base->size, .fd = base->fd, .device = base->device, .refs = 1};
    h->base = io_ref(base);
    h->io.held = h->len = len;
    pthread_mutex_init(&h->lock, NULL);
    h->io.name = mem_text(base->name, e);
    if (!h->io.name) {
        hold_free(&h->io);
        return NULL;
    }
    return &h->io;
}

bool io_hold_release(struct io *io, struct err *e)
{
    struct hold *h = hold_of(io);

    if (h->released)
        return true;
    if (!io_sync(h->base, e) || !io_write(h->base, 0, h->first, h->len, e) || !io_sync(h->base, e))
        return false;
    h->released = true;
    return true;
}
