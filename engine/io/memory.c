/* A byte store in memory: one block that doubles as writes go past its end. Reads and writes share
 * a lock that only growing and shrinking take alone, since they may move the block. */
#include "io.h"

#include "bytes.h"
#include "mem.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

/* Memory stores hold metadata and test images; more is a runaway, not a use. */
#define MEMORY_MAX (4 * GIB)

struct memory {
    struct io io;
    pthread_rwlock_t lock; /* shared: the block stays where it is; exclusive: it may move */
    char *data;
    size_t room; /* bytes of `data`; those past io.size are zero */
};

static struct memory *memory_of(struct io *io)
{
    return (struct memory *)io;
}

/* Makes the store `size` bytes long; the caller holds the lock alone. */
static bool set_size(struct memory *m, uint64_t size, struct err *e)
{
    uint64_t old = m->io.size;

    if (size > MEMORY_MAX)
        return err_set(e, ERR_MEMORY, "'%s' would take %" PRIu64 " bytes of memory", m->io.name,
                       size);
    if (size > m->room) {
        size_t grown = (size_t)MAX(size, MIN((uint64_t)m->room * 2, MEMORY_MAX));
        char *p = mem_grow(m->data, grown, 1, e);

        if (!p)
            return false;
        memset(p + m->room, 0, grown - m->room);
        m->data = p;
        m->room = grown;
    }
    if (size < old)
        memset(m->data + size, 0, (size_t)(old - size));
    __atomic_store_n(&m->io.size, size, __ATOMIC_RELAXED);
    return true;
}

static bool memory_read(struct io *io, uint64_t pos, void *buf, size_t len, struct err *e)
{
    struct memory *m = memory_of(io);
    bool inside;

    pthread_rwlock_rdlock(&m->lock);
    inside = range_inside(pos, len, io->size); /* it may have shrunk since the front door */
    if (inside)
        memcpy(buf, m->data + pos, len);
    pthread_rwlock_unlock(&m->lock);
    return inside || err_set(e, ERR_FORMAT, "'%s' is cut short at %" PRIu64, io->name, pos);
}

/* Locks the store so that [pos, pos+len) is there: shared when it is, else alone and grown. */
static bool lock_range(struct memory *m, uint64_t pos, uint64_t len, struct err *e)
{
    pthread_rwlock_rdlock(&m->lock);
    if (range_inside(pos, len, m->io.size))
        return true;
    pthread_rwlock_unlock(&m->lock);
    pthread_rwlock_wrlock(&m->lock);
    if (range_inside(pos, len, m->io.size) || set_size(m, pos + len, e))
        return true;
    pthread_rwlock_unlock(&m->lock);
    return false;
}

static bool memory_write(struct io *io, uint64_t pos, const void *buf, size_t len, struct err *e)
{
    struct memory *m = memory_of(io);

    if (!lock_range(m, pos, len, e))
        return false;
    memcpy(m->data + pos, buf, len);
    pthread_rwlock_unlock(&m->lock);
    return true;
}

static bool memory_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
    struct memory *m = memory_of(io);

    if (!lock_range(m, pos, len, e))
        return false;
    memset(m->data + pos, 0, (size_t)len);
    pthread_rwlock_unlock(&m->lock);
    return true;
}

static bool memory_resize(struct io *io, uint64_t size, struct err *e)
{
    struct memory *m = memory_of(io);
    bool ok;

    pthread_rwlock_wrlock(&m->lock);
    ok = set_size(m, size, e);
    pthread_rwlock_unlock(&m->lock);
    return ok;
}

static void memory_free(struct io *io)
{
    struct memory *m = memory_of(io);

    pthread_rwlock_destroy(&m->lock);
    free(m->data);
    free(io->name);
    free(m);
}

static const struct io_ops memory_ops = {
    .kind = "memory",
    .read = memory_read,
    .write = memory_write,
    .resize = memory_resize,
    .zero = memory_zero,
    .free = memory_free,
};

struct io *io_memory(const char *name, uint64_t size, struct err *e)
{
    struct memory *m = mem_new(struct memory, e);

    if (!m)
        return NULL;
    m->io = (struct io){.ops = &memory_ops, .fd = -1, .fresh = true, .refs = 1};
    pthread_rwlock_init(&m->lock, NULL);
    m->io.name = mem_text(name, e);
    if (!m->io.name || !set_size(m, size, e)) {
        memory_free(&m->io);
        return NULL;
    }
    return &m->io;
}
