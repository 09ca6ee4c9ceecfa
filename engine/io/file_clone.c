/* What file systems offer beyond reading and writing: shared blocks, reserved space, the page cache
 * and directories. */
#include "file.h"

#include "bytes.h"
#include "fault.h"
#include "file_store.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

enum { CLONE_UNIT = 64 * 1024 }; /* a multiple of every file system block in use */

/* FICLONERANGE between two files; 0 or an errno value. */
static int clone_range(struct file *from, uint64_t from_pos, struct file *to, uint64_t to_pos,
                       uint64_t len)
{
    struct file_clone_range range = {
        .src_fd = from->io.fd, .src_offset = from_pos, .src_length = len, .dest_offset = to_pos};
    int r;

    do {
        r = ioctl(to->io.fd, FICLONERANGE, &range);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? errno : 0;
}

bool file_clone(struct io *from, uint64_t from_pos, struct io *to, uint64_t to_pos, uint64_t len,
                struct err *e)
{
    struct file *a = file_of(from), *b = file_of(to);
    int r;

    if (!a || !b)
        return err_set(e, ERR_UNSUPPORTED, "'%s' and '%s' cannot share blocks", from->name,
                       to->name);
    if (!len)
        return true;
    pthread_rwlock_rdlock(&b->growth);
    r = fault_point("clone") ? EIO : clone_range(a, from_pos, b, to_pos, len);
    if (!r)
        io_grown(&b->io, to_pos + len);
    file_changed(b);
    pthread_rwlock_unlock(&b->growth);
    switch (r) {
    case 0:
        return true;
    case EXDEV:
    case EINVAL:
    case EOPNOTSUPP:
    case ENOSYS:
    case ENOTTY:
    case EBADF:
    case EPERM:
    case ETXTBSY:
        return err_errno(e, ERR_UNSUPPORTED, r, "'%s' cannot share blocks with '%s'", to->name,
                         from->name);
    default:
        return err_errno(e, ERR_IO, r, "sharing %" PRIu64 " bytes of '%s' with '%s'", len,
                         from->name, to->name);
    }
}

bool file_clone_works(struct io *from, struct io *to)
{
    struct file *a = file_of(from), *b = file_of(to);
    uint64_t size, at, len;
    bool works;

    if (!a || !b || from->device || to->device || !b->writable || !from->size)
        return false;
    pthread_rwlock_wrlock(&b->growth);
    size = to->size;
    at = round_up(size, CLONE_UNIT);
    len = MIN(from->size, (uint64_t)CLONE_UNIT); /* a short source is cloned to its end */
    works = clone_range(a, 0, b, at, len) == 0;
    if (works && ftruncate(to->fd, (off_t)size) < 0)
        works = false;
    file_changed(b);
    pthread_rwlock_unlock(&b->growth);
    return works;
}

bool file_preallocate(struct io *io, uint64_t size, struct err *e)
{
    struct file *f = file_of(io);
    int r;

    if (io->device || !size)
        return true;
    if (!f)
        return size <= io_size(io) || io_resize(io, size, e);
    if (fault_point("fallocate"))
        return err_errno(e, ERR_IO, EIO, "reserving %" PRIu64 " bytes for '%s'", size, io->name);
    pthread_rwlock_wrlock(&f->growth);
    do {
        r = fallocate(io->fd, 0, 0, (off_t)size);
    } while (r < 0 && errno == EINTR);
    r = r < 0 ? errno : 0;
    if (!r)
        io_grown(io, size);
    file_changed(f);
    pthread_rwlock_unlock(&f->growth);
    if (r == EOPNOTSUPP || r == ENOSYS)
        return size <= io_size(io) || io_resize(io, size, e);
    return !r || err_errno(e, ERR_IO, r, "reserving %" PRIu64 " bytes for '%s'", size, io->name);
}

void file_drop_cache(struct io *io, uint64_t pos, uint64_t len)
{
    if (file_of(io))
        posix_fadvise(io->fd, (off_t)pos, (off_t)len, POSIX_FADV_DONTNEED);
}

void file_read_once(struct io *io)
{
    if (file_of(io))
        posix_fadvise(io->fd, 0, 0, POSIX_FADV_NOREUSE);
}

uint64_t file_allocated(struct io *io)
{
    struct stat st;

    if (!file_of(io) || io->device || fstat(io->fd, &st) < 0)
        return io->size;
    return (uint64_t)st.st_blocks * 512;
}

bool file_sync_dir(const char *path, struct err *e)
{
    AUTO(free) char *copy = mem_text(path, e);
    AUTO(fd_close) int fd = -1;
    const char *dir;

    if (!copy)
        return false;
    dir = dirname(copy);
    if (fault_point("fsync-dir"))
        return err_errno(e, ERR_IO, EIO, "flushing the directory '%s'", dir);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Some network file systems cannot flush a directory and need not. */
    if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL && errno != EROFS))
        return err_errno(e, ERR_IO, errno, "flushing the directory '%s'", dir);
    return true;
}
