/* The lying store; see faulty.h.
 *
 * The log is one list in the order of the changes, over all files of a power supply. A change is
 * kept as pieces of up to 1 MiB, each with the bytes it replaced (none for holes) and the file's
 * size before it. Taking back walks the list from its end; settling then goes through it again from
 * its start and lets the seed choose. */
#include "faulty.h"

#include "bytes.h"
#include "vec.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#define PIECE_MAX MIB
#define LOG_MAX (512 * MIB) /* bytes kept unsynced: tests are smaller, a runaway is not */
enum { SECTOR = 512 };      /* what a disk writes whole or not at all */

enum change_kind { CHANGE_WRITE, CHANGE_ZERO, CHANGE_RESIZE };

struct change {
    struct io *base; /* a reference */
    enum change_kind kind;
    uint64_t pos, len; /* RESIZE: pos is the new size */
    uint64_t size;     /* of the file before */
    char *old;         /* what [pos, pos+len) held, as far as inside `size`; NULL: zeroes */
    char *data;        /* WRITE: what it holds now */
};

struct power {
    pthread_mutex_t lock; /* over all calls of all its stores */
    unsigned refs;
    uint64_t seed, state, changes, cut_at;
    bool off;
    VEC(struct change) log;
    uint64_t logged; /* bytes of `old` and `data` */
};

struct faulty {
    struct io io;
    struct io *base;
    struct power *power;
    pthread_mutex_t lock; /* over the rules */
    struct faulty_rule rules[FAULTY_RULES];
    uint64_t seen[FAULTY_RULES];
    size_t rule_count;
};

static struct faulty *faulty_of(struct io *io)
{
    return (struct faulty *)io;
}

/* ---- the power supply ---- */

struct power *power_new(uint64_t seed, struct err *e)
{
    struct power *p = mem_new(struct power, e);

    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    p->refs = 1;
    p->seed = seed;
    p->state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    return p;
}

/* xorshift64* */
static uint64_t next_random(struct power *p)
{
    p->state ^= p->state >> 12;
    p->state ^= p->state << 25;
    p->state ^= p->state >> 27;
    return (p->state * UINT64_C(0x2545f4914f6cdd1d)) >> 32;
}

static void change_release(struct power *p, struct change *c)
{
    p->logged -= (c->old ? c->len : 0) + (c->data ? c->len : 0);
    free(c->old);
    free(c->data);
    io_free(c->base);
}

void power_free(struct power *p)
{
    if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < p->log.count; i++)
        change_release(p, &p->log.items[i]);
    free(p->log.items);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static bool same_file(const struct io *a, const struct io *b)
{
    struct stat sa, sb;

    return a == b || (a->fd >= 0 && b->fd >= 0 && fstat(a->fd, &sa) == 0 &&
                      fstat(b->fd, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino);
}

/* Removes the log's changes of a file (NULL: of all). */
static void forget(struct power *p, const struct io *base)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->log.count; i++) {
        if (!base || same_file(p->log.items[i].base, base))
            change_release(p, &p->log.items[i]);
        else
            p->log.items[kept++] = p->log.items[i];
    }
    p->log.count = kept;
}

static bool take_back(const struct change *c, struct err *e)
{
    uint64_t inside = c->pos < c->size ? MIN(c->len, c->size - c->pos) : 0;

    if (c->kind != CHANGE_RESIZE && inside &&
        !(c->old ? io_write(c->base, c->pos, c->old, (size_t)inside, e)
                 : io_zero(c->base, c->pos, inside, e)))
        return false;
    return c->base->device || io_resize(c->base, c->size, e);
}

static bool apply(const struct change *c, uint64_t skip, uint64_t len, struct err *e)
{
    switch (c->kind) {
    case CHANGE_WRITE:
        return io_write(c->base, c->pos + skip, c->data + skip, (size_t)len, e);
    case CHANGE_ZERO:
        return io_zero(c->base, c->pos + skip, len, e);
    case CHANGE_RESIZE:
        break;
    }
    return c->base->device || io_resize(c->base, c->pos, e);
}

/* Applies some of the change's sectors. */
static bool tear(struct power *p, const struct change *c, struct err *e)
{
    uint64_t at = 0;

    while (at < c->len) {
        uint64_t n = MIN(c->len - at, SECTOR - (c->pos + at) % SECTOR);

        if ((next_random(p) & 1) && !apply(c, at, n, e))
            return false;
        at += n;
    }
    return true;
}

/* Makes the base stores hold what the disk does, for the changes of a file (NULL: all). */
static bool settle(struct power *p, const struct io *base, struct err *e)
{
    bool ok = true;

    for (size_t i = p->log.count; ok && i-- > 0;)
        if (!base || same_file(p->log.items[i].base, base))
            ok = take_back(&p->log.items[i], e);
    for (size_t i = 0; ok && i < p->log.count; i++) {
        const struct change *c = &p->log.items[i];
        uint64_t choice = p->seed > 1 ? next_random(p) % 4 : p->seed * 3;

        if (base && !same_file(c->base, base))
            continue;
        if (choice == 1 && c->kind != CHANGE_RESIZE)
            ok = tear(p, c, e);
        else if (choice > 1)
            ok = apply(c, 0, c->len, e);
    }
    forget(p, base);
    return ok;
}

void power_cut_at(struct power *p, uint64_t nth)
{
    pthread_mutex_lock(&p->lock);
    p->cut_at = nth;
    pthread_mutex_unlock(&p->lock);
}

bool power_cut(struct power *p, struct err *e)
{
    bool ok;

    pthread_mutex_lock(&p->lock);
    p->off = true;
    ok = settle(p, NULL, e);
    pthread_mutex_unlock(&p->lock);
    return ok;
}

bool power_is_off(struct power *p)
{
    bool off;

    pthread_mutex_lock(&p->lock);
    off = p->off;
    pthread_mutex_unlock(&p->lock);
    return off;
}

uint64_t power_changes(struct power *p)
{
    uint64_t n;

    pthread_mutex_lock(&p->lock);
    n = p->changes;
    pthread_mutex_unlock(&p->lock);
    return n;
}

/* ---- the log ---- */

/* Appends one piece to the log; the bytes it replaces are read from the base. */
static bool log_piece(struct power *p, struct io *base, struct change c, const char *data,
                      bool hole, struct err *e)
{
    uint64_t inside = c.pos < c.size && c.kind != CHANGE_RESIZE ? MIN(c.len, c.size - c.pos) : 0;
    uint64_t want = (data ? c.len : 0) + (inside && !hole ? c.len : 0);

    if (p->logged + want > LOG_MAX)
        return err_set(e, ERR_MEMORY, "'%s' has too many unsynced changes for a lying store",
                       base->name);
    if (inside && !hole) {
        c.old = mem_array(1, c.len, e);
        if (!c.old || !io_read(base, c.pos, c.old, (size_t)inside, e))
            goto fail;
    }
    if (data) {
        c.data = mem_array(1, c.len, e);
        if (!c.data)
            goto fail;
        memcpy(c.data, data, c.len);
    }
    c.base = base;
    if (!VEC_PUSH(&p->log, c, e))
        goto fail;
    io_ref(base);
    p->logged += (c.old ? c.len : 0) + (c.data ? c.len : 0);
    return true;
fail:
    free(c.old);
    free(c.data);
    return false;
}

/* Logs a write (data) or zeroes (NULL) in pieces; holes that become zeroes need no copy. */
static bool log_range(struct power *p, struct io *base, uint64_t pos, uint64_t len,
                      const char *data, struct err *e)
{
    uint64_t size = io_size(base);

    while (len) {
        uint64_t n = data || pos < size ? MIN(len, PIECE_MAX) : len;
        bool hole = false;

        if (pos < size) {
            enum io_extent_kind kind;

            if (!io_extent(base, pos, data ? n : len, &kind, &n, e))
                return false;
            hole = kind == IO_HOLE;
            if (!hole)
                n = MIN(n, PIECE_MAX);
        }
        if (!log_piece(
                p, base,
                (struct change){
                    .kind = data ? CHANGE_WRITE : CHANGE_ZERO, .pos = pos, .len = n, .size = size},
                data, hole, e))
            return false;
        pos += n;
        len -= n;
        data = data ? data + n : NULL;
    }
    return true;
}

/* A shrinking resize loses its tail, which counts as zeroed first. */
static bool log_resize(struct power *p, struct io *base, uint64_t size, struct err *e)
{
    if (size < base->size && !log_range(p, base, size, base->size - size, NULL, e))
        return false;
    return log_piece(p, base,
                     (struct change){.kind = CHANGE_RESIZE, .pos = size, .size = base->size}, NULL,
                     true, e);
}

/* ---- the store ---- */

/* True when a rule says that this operation fails; *ret_rule is that rule. */
static bool rule_hits(struct faulty *f, enum faulty_op op, uint64_t pos, uint64_t len,
                      struct faulty_rule *ret_rule)
{
    bool hit = false;

    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->rule_count; i++) {
        const struct faulty_rule *r = &f->rules[i];

        if (r->op != op ||
            (r->len && op != FAULTY_SYNC && !range_overlaps(pos, len, r->pos, r->len)))
            continue;
        f->seen[i]++;
        if (!hit && (!r->nth || f->seen[i] == r->nth || (r->lasting && f->seen[i] > r->nth))) {
            hit = true;
            *ret_rule = *r;
        }
    }
    pthread_mutex_unlock(&f->lock);
    return hit;
}

static bool fail(struct faulty *f, const struct faulty_rule *r, const char *doing, uint64_t pos,
                 struct err *e)
{
    return err_errno(e, ERR_IO, r->errnum ? r->errnum : EIO, "%s '%s' at %" PRIu64, doing,
                     f->io.name, pos);
}

static bool power_lost(struct faulty *f, struct err *e)
{
    return err_set(e, ERR_IO, "the power of '%s' is off", f->io.name);
}

/* Every change passes here, with the power's lock held when there is one: makes it in the base. */
static bool change(struct faulty *f, const struct change *c, const char *data, struct err *e)
{
    bool ok = c->kind == CHANGE_WRITE  ? io_write(f->base, c->pos, data, (size_t)c->len, e)
              : c->kind == CHANGE_ZERO ? io_zero(f->base, c->pos, c->len, e)
                                       : io_resize(f->base, c->pos, e);

    if (c->kind == CHANGE_RESIZE)
        __atomic_store_n(&f->io.size, io_size(f->base), __ATOMIC_RELAXED);
    else
        io_grown(&f->io, io_size(f->base));
    return ok;
}

/* Makes a change, logged, and cuts the power when its turn has come. */
static bool change_logged(struct faulty *f, const struct change *c, const char *data, struct err *e)
{
    struct power *p = f->power;
    bool ok;

    if (!p)
        return change(f, c, data, e);
    pthread_mutex_lock(&p->lock);
    if (p->off) {
        ok = power_lost(f, e);
    } else {
        p->changes++;
        ok = (c->kind == CHANGE_RESIZE ? log_resize(p, f->base, c->pos, e)
                                       : log_range(p, f->base, c->pos, c->len, data, e)) &&
             change(f, c, data, e);
        if (p->changes == p->cut_at) {
            p->off = true;
            ok = settle(p, NULL, e) && power_lost(f, e);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return ok;
}

static bool faulty_read(struct io *io, uint64_t pos, void *buf, size_t len, struct err *e)
{
    struct faulty *f = faulty_of(io);
    struct faulty_rule r = {0};

    if (f->power && power_is_off(f->power))
        return power_lost(f, e);
    if (rule_hits(f, FAULTY_READ, pos, len, &r))
        return fail(f, &r, "reading", pos, e);
    return io_read(f->base, pos, buf, len, e);
}

static bool faulty_write(struct io *io, uint64_t pos, const void *buf, size_t len, struct err *e)
{
    struct faulty *f = faulty_of(io);
    struct change c = {.kind = CHANGE_WRITE, .pos = pos, .len = len};
    struct faulty_rule r = {0};

    if (!rule_hits(f, FAULTY_WRITE, pos, len, &r))
        return change_logged(f, &c, buf, e);
    c.len = len / 2;
    if (r.partial && c.len && !change_logged(f, &c, buf, e))
        return false;
    return fail(f, &r, "writing", pos, e);
}

static bool faulty_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
    struct faulty *f = faulty_of(io);
    struct faulty_rule r = {0};

    if (rule_hits(f, FAULTY_WRITE, pos, len, &r))
        return fail(f, &r, "zeroing", pos, e);
    return change_logged(f, &(struct change){.kind = CHANGE_ZERO, .pos = pos, .len = len}, NULL, e);
}

static bool faulty_resize(struct io *io, uint64_t size, struct err *e)
{
    struct faulty *f = faulty_of(io);
    uint64_t old = io_size(io);
    struct faulty_rule r = {0};

    if (rule_hits(f, FAULTY_WRITE, MIN(size, old), MAX(size, old) - MIN(size, old), &r))
        return fail(f, &r, "resizing", size, e);
    return change_logged(f, &(struct change){.kind = CHANGE_RESIZE, .pos = size}, NULL, e);
}

/* A sync under a power supply, its lock held: makes the file's changes durable, or loses some. */
static bool sync_logged(struct faulty *f, const struct faulty_rule *failing, struct err *e)
{
    struct power *p = f->power;

    if (p->off)
        return power_lost(f, e);
    if (++p->changes == p->cut_at) {
        p->off = true;
        return settle(p, NULL, e) && power_lost(f, e);
    }
    if (failing) {
        bool ok = settle(p, f->base, e);

        __atomic_store_n(&f->io.size, io_size(f->base), __ATOMIC_RELAXED);
        return ok && fail(f, failing, "flushing", 0, e);
    }
    forget(p, f->base);
    return true;
}

static bool faulty_sync(struct io *io, struct err *e)
{
    struct faulty *f = faulty_of(io);
    struct faulty_rule r = {0};
    bool failing = rule_hits(f, FAULTY_SYNC, 0, 0, &r), ok;

    if (!f->power)
        return failing ? fail(f, &r, "flushing", 0, e) : io_sync(f->base, e);
    pthread_mutex_lock(&f->power->lock);
    ok = sync_logged(f, failing ? &r : NULL, e);
    pthread_mutex_unlock(&f->power->lock);
    return ok;
}

static bool faulty_extent(struct io *io, uint64_t pos, uint64_t want, enum io_extent_kind *ret_kind,
                          uint64_t *ret_len, struct err *e)
{
    return io_extent(faulty_of(io)->base, pos, want, ret_kind, ret_len, e);
}

static void faulty_free(struct io *io)
{
    struct faulty *f = faulty_of(io);

    io_free(f->base);
    power_free(f->power);
    pthread_mutex_destroy(&f->lock);
    free(io->name);
    free(f);
}

static const struct io_ops faulty_ops = {
    .kind = "faulty",
    .read = faulty_read,
    .write = faulty_write,
    .sync = faulty_sync,
    .resize = faulty_resize,
    .zero = faulty_zero,
    .extent = faulty_extent,
    .free = faulty_free,
};

struct io *faulty_new(struct io *base, struct power *power, struct err *e)
{
    struct faulty *f = mem_new(struct faulty, e);

    if (!f)
        return NULL;
    f->io = (struct io){.ops = &faulty_ops,
                        .size = base->size,
                        .fd = -1,
                        .fresh = base->fresh,
                        .device = base->device,
                        .refs = 1};
    pthread_mutex_init(&f->lock, NULL);
    f->base = io_ref(base);
    if (power) {
        __atomic_add_fetch(&power->refs, 1, __ATOMIC_RELAXED);
        f->power = power;
    }
    f->io.name = mem_text(base->name, e);
    if (!f->io.name) {
        faulty_free(&f->io);
        return NULL;
    }
    return &f->io;
}

bool faulty_add(struct io *io, const struct faulty_rule *rule, struct err *e)
{
    struct faulty *f = faulty_of(io);
    bool room;

    pthread_mutex_lock(&f->lock);
    room = f->rule_count < FAULTY_RULES;
    if (room) {
        f->rules[f->rule_count] = *rule;
        f->seen[f->rule_count++] = 0;
    }
    pthread_mutex_unlock(&f->lock);
    return room || err_set(e, ERR_BUG, "a lying store takes no more than %d rules", FAULTY_RULES);
}

void faulty_heal(struct io *io)
{
    struct faulty *f = faulty_of(io);

    pthread_mutex_lock(&f->lock);
    f->rule_count = 0;
    pthread_mutex_unlock(&f->lock);
}
