/* Targets: the checked front doors of create, place and seal, and the queue of metadata writes. */
#include "target.h"

#include "bytes.h"
#include "driver.h"
#include "mem.h"
#include "text.h"

#include <inttypes.h>
#include <string.h>

/* The driver's defaults, when the caller has no options. */
static bool create_with_presets(struct target *t, struct err *e)
{
    const struct driver *d = t->driver;
    AUTO(free) void *preset = mem_alloc(d->options_size, e);
    bool ok;

    ok = preset && opt_presets(d->options, preset, e) && d->create(t, preset, e);
    if (preset)
        opt_release(d->options, preset);
    return ok;
}

static bool check_created(const struct target *t, struct err *e)
{
    if (!t->files.count || !t->unit || (t->coder && !t->coded_unit))
        return err_set(e, ERR_BUG, "%s left its target half described", t->driver->name);
    return true;
}

struct target *target_new(const struct target_options *options, struct err *e)
{
    const struct driver *d = options->driver;
    struct target *t;
    bool ok;

    if (!d->create) {
        err_set(e, ERR_UNSUPPORTED, "%s images cannot be written", d->name);
        return NULL;
    }
    if (options->size > d->limits.size_max) {
        err_set(e, ERR_UNSUPPORTED, "%s holds at most %s, the disk has %s", d->name,
                SIZE_TEXT(d->limits.size_max), SIZE_TEXT(options->size));
        return NULL;
    }
    if (options->sector_size == 4096 && !d->limits.sectors_4k) {
        err_set(e, ERR_UNSUPPORTED, "%s cannot say that a disk has 4096-byte sectors", d->name);
        return NULL;
    }
    t = mem_new(struct target, e);
    if (!t)
        return NULL;
    t->driver = d;
    t->name = mem_text(options->name, e);
    t->size = round_up(options->size, MAX(d->limits.size_multiple, 1u));
    t->sector_size = options->sector_size ? options->sector_size : 512;
    t->identity = options->identity;
    t->mtime = options->mtime;
    t->parent = options->parent;
    t->parent_image = options->parent_image;
    ok = t->name && (options->options || !d->options ? d->create(t, options->options, e)
                                                     : create_with_presets(t, e));
    if (ok && check_created(t, e))
        return t;
    target_free(t);
    return NULL;
}

static void clear_queue(struct target *t)
{
    for (size_t i = 0; i < t->queue.count; i++)
        free(t->queue.items[i].data);
    t->queue.count = 0;
}

void target_free(struct target *t)
{
    if (!t)
        return;
    if (t->driver->discard)
        t->driver->discard(t);
    clear_queue(t);
    free(t->queue.items);
    for (size_t i = 0; i < t->files.count; i++) {
        free(t->files.items[i].name);
        io_free(t->files.items[i].io);
    }
    free(t->files.items);
    free(t->name);
    free(t);
}

bool target_place(struct target *t, const struct place *p, struct placed *ret, struct err *e)
{
    uint64_t stored;

    if (p->at != t->at || !p->len || !range_inside(p->at, p->len, t->size) || t->sealed ||
        p->at % t->unit || (p->len % t->unit && p->at + p->len != t->size))
        return err_set(e, ERR_BUG, "a place of [%" PRIu64 ", +%" PRIu64 ") came at %" PRIu64, p->at,
                       p->len, t->at);
    *ret = (struct placed){.len = p->len};
    if (!t->driver->place(t, p, ret, e))
        return err_while(e, "placing guest offset %" PRIu64 " in '%s'", p->at, t->name);
    if (!ret->len || ret->len > p->len || ret->file >= t->files.count)
        return err_set(e, ERR_BUG, "%s answered a place at %" PRIu64 " wrongly", t->driver->name,
                       p->at);
    if (ret->stored) {
        stored = p->kind == PLACE_CODED ? p->stored : ret->len;
        target_extend(t, ret->file, ret->pos + stored);
    }
    t->at += ret->len;
    return true;
}

bool target_seal(struct target *t, struct err *e)
{
    if (t->at != t->size || t->sealed)
        return err_set(e, ERR_BUG, "a seal came at %" PRIu64 " of %" PRIu64, t->at, t->size);
    t->sealed = true;
    return t->driver->seal(t, e) || err_while(e, "closing '%s'", t->name);
}

bool target_add_file(struct target *t, const char *name, unsigned *ret_index, struct err *e)
{
    struct target_file file = {0};

    if (t->files.count >= TARGET_FILES_MAX)
        return err_set(e, ERR_UNSUPPORTED, "'%s' would consist of more than %d files", t->name,
                       TARGET_FILES_MAX);
    file.name = name ? mem_text(name, e) : NULL;
    if ((name && !file.name) || !VEC_PUSH(&t->files, file, e)) {
        free(file.name);
        return false;
    }
    *ret_index = (unsigned)t->files.count - 1;
    return true;
}

bool target_queue(struct target *t, unsigned file, uint64_t pos, const void *data, size_t len,
                  bool barrier, struct err *e)
{
    struct target_write w = {.file = file, .pos = pos, .len = len, .barrier = barrier};

    w.data = mem_alloc(len, e);
    if (!w.data)
        return false;
    memcpy(w.data, data, len);
    if (!VEC_PUSH(&t->queue, w, e)) {
        free(w.data);
        return false;
    }
    target_extend(t, file, pos + len);
    return true;
}

bool target_clear(struct target *t, unsigned file, uint64_t pos, uint64_t len, struct err *e)
{
    const struct io *io = t->files.items[file].io;
    AUTO(free) void *zeroes = NULL;

    if (!io || io->fresh || !len)
        return true;
    zeroes = mem_alloc((size_t)len, e);
    return zeroes && target_queue(t, file, pos, zeroes, (size_t)len, false, e);
}

void target_extend(struct target *t, unsigned file, uint64_t end)
{
    struct target_file *f = &t->files.items[file];

    f->end = MAX(f->end, end);
}

static void derive(const struct target *t, const char *label, struct digest_value *ret)
{
    uint8_t seed[DIGEST_SIZE + 64] = {0}; /* labels are short words of ours; more is cut */
    size_t len = MIN(strlen(label), sizeof(seed) - DIGEST_SIZE);

    memcpy(seed, t->identity.bytes, DIGEST_SIZE);
    memcpy(seed + DIGEST_SIZE, label, len);
    digest_sha256(seed, DIGEST_SIZE + len, ret);
}

void target_uuid(const struct target *t, const char *label, uint8_t uuid[16])
{
    struct digest_value v;

    derive(t, label, &v);
    memcpy(uuid, v.bytes, 16);
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* RFC 9562 section 5.4: version 4 ... */
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80); /* ... and its variant */
}

uint32_t target_id32(const struct target *t, const char *label)
{
    struct digest_value v;

    derive(t, label, &v);
    return get_le32(v.bytes);
}

uint64_t target_measured(const struct target *t)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < t->files.count; i++)
        sum += t->files.items[i].end;
    return sum;
}
