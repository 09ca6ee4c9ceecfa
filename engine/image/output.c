/* Outputs; see output.h.
 *
 * A part's life: absent -> created and locked -> (written by the engine) -> renamed. Parts are
 * never truncated: one left behind is unlinked, under its lock, and made anew, so that the store is
 * known to read zero everywhere. */
#include "output.h"

#include "buf.h"
#include "bytes.h"
#include "digest.h"
#include "file.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    PART_TRIES = 4, /* another writer may create the name between our unlink and our create */
    DEVICE_WIPE = 1 << 20, /* at each end: partition tables, labels of volume managers and file
                              systems, and the backup GPT lie there */
    DEVICE_HOLD = 4096,    /* the first block of any device */
    NAME_TAIL_HEX = 16,    /* of the digest that stands for what was cut off a long name */
};

static bool split(const char *path, char **ret_dir, char **ret_name, struct err *e)
{
    const char *slash = strrchr(path, '/');
    AUTO(free) char *dir = NULL, *name = NULL;
    char *real;

    dir = slash ? mem_textn(path, slash == path ? 1 : (size_t)(slash - path), e) : mem_text(".", e);
    if (!dir)
        return false;
    name = mem_text(slash ? slash + 1 : path, e);
    if (!name)
        return false;
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return err_set(e, ERR_USAGE, "'%s' names no file", path);
    real = realpath(dir, NULL);
    if (!real && errno == ENOENT)
        return err_set(e, ERR_IO, "there is no folder '%s': create it first", dir);
    if (!real)
        return err_errno(e, ERR_IO, errno, "cannot use the folder '%s'", dir);
    *ret_dir = real;
    *ret_name = TAKE(name);
    return true;
}

bool output_resolve(const char *path, char **ret_dir, char **ret_name, struct err *e)
{
    AUTO(free) char *real = NULL;
    struct stat st;

    if (lstat(path, &st) != 0 || !S_ISLNK(st.st_mode))
        return split(path, ret_dir, ret_name, e);
    real = realpath(path, NULL);
    if (!real)
        return err_errno(e, ERR_IO, errno, "the symbolic link '%s' cannot be followed", path);
    return split(real, ret_dir, ret_name, e);
}

static char *join(const char *dir, const char *name, struct err *e)
{
    return mem_format(e, "%s%s%s", dir, strcmp(dir, "/") == 0 ? "" : "/", name);
}

char *output_part(const char *dir, const char *name, const char *tag, struct err *e)
{
    AUTO(buf_release) struct buf part = {0};
    struct digest_value digest;
    char hex[DIGEST_HEX_MAX];
    size_t fixed = strlen(".strata--.part") + strlen(tag), len = strlen(name);

    buf_format(&part, ".strata-%s-", tag);
    if (fixed + len <= NAME_MAX) {
        buf_text(&part, name);
    } else {
        digest_sha256(name, len, &digest);
        hex_encode(digest.bytes, NAME_TAIL_HEX / 2, hex);
        buf_add(&part, name, NAME_MAX - fixed - NAME_TAIL_HEX);
        buf_text(&part, hex);
    }
    buf_text(&part, ".part");
    return buf_ok(&part, e) ? join(dir, part.data, e) : NULL;
}

struct output *output_new(struct target *t, const char *dir, const char *tag, struct err *e)
{
    AUTO(output_free) struct output *o = mem_new(struct output, e);
    struct stat st;

    if (!o)
        return NULL;
    o->target = t;
    o->dir = mem_text(dir, e);
    o->files = mem_array(t->files.count, sizeof(*o->files), e);
    if (!o->dir || !o->files)
        return NULL;
    o->count = t->files.count;
    for (size_t i = 0; i < o->count; i++) {
        const char *name = t->files.items[i].name ? t->files.items[i].name : t->name;
        struct output_file *file = &o->files[i];

        file->final = join(dir, name, e);
        if (!file->final)
            return NULL;
        o->device = o->device || (stat(file->final, &st) == 0 && S_ISBLK(st.st_mode));
        file->part = o->device ? mem_text(file->final, e) : output_part(dir, name, tag, e);
        if (!file->part)
            return NULL;
    }
    if (o->device && o->count > 1) {
        err_set(e, ERR_UNSUPPORTED,
                "'%s' is a block device and the target has %zu files: choose a subformat of one "
                "file",
                o->files[0].final, o->count);
        return NULL;
    }
    return TAKE(o);
}

static bool apart_from(void *user, const char *path, struct io *io, unsigned layer, struct err *e)
{
    const struct output *o = user;
    struct stat source, st;

    (void)layer;
    if (io && io->fd >= 0 ? fstat(io->fd, &source) : stat(path, &source))
        return true;
    for (size_t i = 0; i < o->count; i++) {
        if (stat(o->files[i].final, &st) != 0)
            continue;
        if ((st.st_dev == source.st_dev && st.st_ino == source.st_ino) ||
            (S_ISBLK(st.st_mode) && S_ISBLK(source.st_mode) && st.st_rdev == source.st_rdev))
            return err_set(e, ERR_REFUSED,
                           "the target '%s' is a file that the source reads: choose another name",
                           o->files[i].final);
    }
    return true;
}

bool output_apart(const struct output *o, struct image *source, struct err *e)
{
    return image_files(source, apart_from, (void *)o, e);
}

static bool check_one(const struct output_file *file, unsigned flags, struct err *e)
{
    AUTO(io_free) struct io *io = NULL;
    struct stat st;

    if (lstat(file->final, &st) != 0)
        return errno == ENOENT || err_errno(e, ERR_IO, errno, "cannot look at '%s'", file->final);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return err_set(e, ERR_REFUSED, "'%s' is there and is neither a file nor a block device",
                       file->final);
    if (!(flags & OUTPUT_OVERWRITE))
        return err_set(e, ERR_REFUSED, "'%s' exists: remove it, or allow it to be overwritten",
                       file->final);
    io = file_open(file->final, 0, e);
    return io && file_lock_test(io, FILE_LOCK_WRITE, e);
}

bool output_check(const struct output *o, unsigned flags, struct err *e)
{
    for (size_t i = 0; i < o->count; i++)
        if (!check_one(&o->files[i], flags, e))
            return false;
    return true;
}

/* True when the open store is still what the name says. */
static bool same_inode(const struct io *io, const char *path)
{
    struct stat a, b;

    return fstat(io->fd, &a) == 0 && lstat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* Removes a part whose writer is gone. */
static bool remove_left(const char *part, struct err *e)
{
    AUTO(io_free) struct io *io = file_open(part, FILE_WRITE | FILE_NOFOLLOW, e);

    if (!io || !file_lock(io, FILE_LOCK_WRITE, e))
        return false;
    if (same_inode(io, part) && unlink(part) != 0 && errno != ENOENT)
        return err_errno(e, ERR_IO, errno, "cannot remove '%s'", part);
    return true;
}

static unsigned part_flags(unsigned flags)
{
    return FILE_WRITE | FILE_NOFOLLOW | (flags & OUTPUT_DIRECT ? FILE_DIRECT : 0);
}

static struct io *create_part(const char *part, unsigned flags, struct err *e)
{
    struct stat st;

    for (int i = 0; i < PART_TRIES; i++) {
        if (lstat(part, &st) == 0 && !remove_left(part, e))
            return NULL;
        AUTO(io_free) struct io *io = file_open(part, part_flags(flags) | FILE_CREATE, e);
        if (!io) {
            if (e && e->kind == ERR_REFUSED) {
                err_clear(e);
                continue;
            }
            return NULL;
        }
        if (!file_lock(io, FILE_LOCK_WRITE, e)) {
            if (e->kind != ERR_BUSY) /* else it is being removed as another's leftover */
                unlink(part);
            return NULL;
        }
        if (same_inode(io, part))
            return TAKE(io);
    }
    err_set(e, ERR_BUSY, "'%s' keeps being created by another process", part);
    return NULL;
}

static struct io *open_part(const struct output *o, const char *part, unsigned flags, struct err *e)
{
    AUTO(io_free) struct io *io = NULL;
    struct stat st;

    if (!o->device && !(flags & OUTPUT_RESUME))
        return create_part(part, flags, e);
    if (lstat(part, &st) != 0) {
        err_set(e, ERR_CHANGED, "the unfinished output '%s' is gone: start again with --fresh",
                part);
        return NULL;
    }
    io = file_open(part, part_flags(flags), e);
    return io && file_lock(io, FILE_LOCK_WRITE, e) ? TAKE(io) : NULL;
}

static bool create_file(struct output *o, size_t i, unsigned flags, struct err *e)
{
    struct output_file *file = &o->files[i];
    struct target_file *slot = &o->target->files.items[i];
    struct stat st;
    struct io *io = open_part(o, file->part, flags, e);

    if (!io)
        return false;
    if (fstat(io->fd, &st) == 0) {
        file->dev = st.st_dev;
        file->ino = st.st_ino;
    }
    io_free(slot->io);
    slot->io = io;
    file->made = true;
    return true;
}

bool output_create(struct output *o, unsigned flags, struct err *e)
{
    if (!output_check(o, flags, e))
        return false;
    for (size_t i = 0; i < o->count; i++) {
        if (create_file(o, i, flags, e))
            continue;
        if (!(flags & OUTPUT_RESUME))
            output_discard(o);
        return false;
    }
    return true;
}

static bool wipe(struct io *io, struct err *e)
{
    uint64_t head = MIN((uint64_t)DEVICE_WIPE, io->size);
    uint64_t tail = MIN((uint64_t)DEVICE_WIPE, io->size - head);

    return io_zero(io, 0, head, e) && (!tail || io_zero(io, io->size - tail, tail, e)) &&
           io_sync(io, e);
}

bool output_device_begin(struct output *o, bool resume, struct err *e)
{
    struct target_file *file = &o->target->files.items[0];
    struct io *held;

    if (!o->device)
        return true;
    if (o->target->preallocated && o->target->size > file->io->size)
        return err_set(e, ERR_SPACE, "'%s' holds %s, and %s are needed", file->io->name,
                       SIZE_TEXT(file->io->size), SIZE_TEXT(o->target->size));
    if (!resume && !wipe(file->io, e))
        return false;
    held = io_hold(file->io, DEVICE_HOLD, e);
    if (!held)
        return false;
    io_free(file->io);
    file->io = held;
    return true;
}

bool output_device_end(struct output *o, struct err *e)
{
    return !o->device || io_hold_release(o->target->files.items[0].io, e);
}

bool output_rename(const char *part, const char *final, ino_t ino, struct err *e)
{
    struct stat st;

    if (rename(part, final) == 0)
        return true;
    if (errno == ENOENT && stat(final, &st) == 0 && st.st_ino == ino)
        return true;
    return err_errno(e, ERR_IO, errno, "cannot rename '%s' to '%s'", part, final);
}

bool output_publish(struct output *o, bool durable, struct err *e)
{
    if (o->device)
        return true;
    for (size_t i = o->count; i-- > 0;)
        if (!output_rename(o->files[i].part, o->files[i].final, o->files[i].ino, e))
            return false;
    for (size_t i = 0; i < o->count; i++)
        o->files[i].made = false;
    return !durable || file_sync_dir(o->files[0].final, e);
}

void output_discard(struct output *o)
{
    for (size_t i = 0; !o->device && i < o->count; i++) {
        if (o->files[i].made)
            unlink(o->files[i].part);
        o->files[i].made = false;
    }
}

void output_free(struct output *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->count; i++) {
        free(o->files[i].final);
        free(o->files[i].part);
    }
    free(o->files);
    free(o->dir);
    free(o);
}
