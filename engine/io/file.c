/* Files and block devices: opening, and the store's calls.
 *
 * Every transfer loops over short counts and interruptions. What kind of thing a path names is
 * asked before it is opened, so that no FIFO blocks and no device reacts. A file opened for direct
 * I/O has two descriptors: aligned transfers bypass the page cache, unaligned reads bounce through
 * an aligned buffer, unaligned writes go through the cache, which the kernel keeps coherent. */
#include "file.h"

#include "bytes.h"
#include "fault.h"
#include "file_store.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

enum {
    DIRECT_ALIGN = 4096,  /* serves every logical block size in use */
    BOUNCE_MAX = 1 << 20, /* one aligned buffer: larger gains nothing */
    ZERO_CHUNK = 1 << 16, /* zeroes written at once where nothing better is to be had */
    IO_MAX = 1 << 30,     /* the kernel cuts a transfer at 2 GiB; stay aligned below it */
    OPEN_FLAGS = O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
};

static bool cut_short(struct file *f, uint64_t pos, size_t len, struct err *e)
{
    struct stat st;
    uint64_t size = fstat(f->io.fd, &st) == 0 ? (uint64_t)st.st_size : f->io.size;

    return err_set(e, ERR_FORMAT,
                   "'%s' is cut short: %zu bytes at %" PRIu64 " were wanted, the file has %" PRIu64,
                   f->io.name, len, pos, size);
}

static bool read_failed(struct file *f, uint64_t pos, size_t len, struct err *e)
{
    return err_errno(e, ERR_IO, errno, "reading %zu bytes at %" PRIu64 " of '%s'", len, pos,
                     f->io.name);
}

/* One read, begun again when a signal interrupts it: the count, or -1 with errno. */
static ssize_t read_some(int fd, void *buf, size_t len, uint64_t pos)
{
    ssize_t n;

    if (fault_point("pread")) {
        errno = EIO;
        return -1;
    }
    do {
        n = pread(fd, buf, MIN(len, (size_t)IO_MAX), (off_t)pos);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Reads all of the range through one descriptor. */
static bool read_all(struct file *f, int fd, uint64_t pos, char *buf, size_t len, struct err *e)
{
    while (len) {
        ssize_t n = read_some(fd, buf, len, pos);

        if (n < 0)
            return read_failed(f, pos, len, e);
        if (n == 0)
            return cut_short(f, pos, len, e);
        buf += n;
        pos += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

static bool write_all(struct file *f, int fd, uint64_t pos, const char *buf, size_t len,
                      struct err *e)
{
    while (len) {
        ssize_t n = fault_point("pwrite") ? (errno = EIO, -1)
                                          : pwrite(fd, buf, MIN(len, (size_t)IO_MAX), (off_t)pos);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_errno(e, ERR_IO, n < 0 ? errno : EIO,
                             "writing %zu bytes at %" PRIu64 " of '%s'", len, pos, f->io.name);
        buf += n;
        pos += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

static bool is_aligned(uint64_t pos, const void *buf, size_t len)
{
    return (pos | (uintptr_t)buf | len) % DIRECT_ALIGN == 0;
}

/* Reads the blocks that hold the `need` bytes at the aligned position `start`. A count that is no
 * whole number of blocks is the end of the file. */
static bool fill_bounce(struct file *f, char *bounce, uint64_t start, size_t need, struct err *e)
{
    size_t got = 0, blocks = (size_t)round_up(need, DIRECT_ALIGN);

    while (got < need) {
        ssize_t n = read_some(f->direct, bounce + got, blocks - got, start + got);

        if (n < 0)
            return read_failed(f, start, need, e);
        if (n == 0 || (got + (size_t)n < need && (size_t)n % DIRECT_ALIGN))
            return cut_short(f, start, need, e);
        got += (size_t)n;
    }
    return true;
}

/* A direct read of an unaligned range. */
static bool read_bounced(struct file *f, uint64_t pos, char *buf, size_t len, struct err *e)
{
    size_t room = (size_t)MIN(round_up(len, DIRECT_ALIGN) + DIRECT_ALIGN, (uint64_t)BOUNCE_MAX);
    AUTO(free) char *bounce = mem_pages(room, e);

    if (!bounce)
        return false;
    while (len) {
        size_t skip = (size_t)(pos % DIRECT_ALIGN), want = MIN(len, room - skip);

        if (!fill_bounce(f, bounce, pos - skip, skip + want, e))
            return false;
        memcpy(buf, bounce + skip, want);
        buf += want;
        pos += want;
        len -= want;
    }
    return true;
}

static bool file_read(struct io *io, uint64_t pos, void *buf, size_t len, struct err *e)
{
    struct file *f = (struct file *)io;

    if (f->direct < 0)
        return read_all(f, io->fd, pos, buf, len, e);
    if (is_aligned(pos, buf, len))
        return read_all(f, f->direct, pos, buf, len, e);
    return read_bounced(f, pos, buf, len, e);
}

static bool file_write(struct io *io, uint64_t pos, const void *buf, size_t len, struct err *e)
{
    struct file *f = (struct file *)io;
    int fd = f->direct >= 0 && is_aligned(pos, buf, len) ? f->direct : io->fd;
    bool grows = pos + len > io_size(io), ok;

    if (grows)
        pthread_rwlock_rdlock(&f->growth);
    ok = write_all(f, fd, pos, buf, len, e);
    if (grows) {
        if (ok)
            io_grown(io, pos + len);
        pthread_rwlock_unlock(&f->growth);
    }
    file_changed(f);
    return ok;
}

static bool file_sync(struct io *io, struct err *e)
{
    struct file *f = (struct file *)io;

    if (!f->writable)
        return true;
    if (fault_point("fsync"))
        errno = EIO;
    else if (fdatasync(io->fd) == 0)
        return true;
    return err_errno(e, ERR_IO, errno, "flushing '%s' to the disk", io->name);
}

static bool truncate_to(struct file *f, uint64_t size, struct err *e)
{
    int r;

    do {
        r = fault_point("ftruncate") ? (errno = EIO, -1) : ftruncate(f->io.fd, (off_t)size);
    } while (r < 0 && errno == EINTR);
    file_changed(f);
    if (r < 0)
        return err_errno(e, ERR_IO, errno, "setting the size of '%s' to %" PRIu64 " bytes",
                         f->io.name, size);
    __atomic_store_n(&f->io.size, size, __ATOMIC_RELAXED);
    return true;
}

static bool file_resize(struct io *io, uint64_t size, struct err *e)
{
    struct file *f = (struct file *)io;
    bool ok;

    pthread_rwlock_wrlock(&f->growth);
    ok = truncate_to(f, size, e);
    pthread_rwlock_unlock(&f->growth);
    return ok;
}

static bool write_zeroes(struct file *f, uint64_t pos, uint64_t len, struct err *e)
{
    static const char zeroes[ZERO_CHUNK] __attribute__((aligned(DIRECT_ALIGN)));

    while (len) {
        size_t n = (size_t)MIN(len, (uint64_t)ZERO_CHUNK);

        if (!write_all(f, f->io.fd, pos, zeroes, n, e))
            return false;
        pos += n;
        len -= n;
    }
    return true;
}

/* Zeroes whole blocks inside the file by the cheapest means the kernel knows: a hole, then a range
 * marked as zero, then the device's own zeroing, then writes. */
static bool zero_blocks(struct file *f, uint64_t pos, uint64_t len, struct err *e)
{
    static const int modes[] = {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
    uint64_t range[2] = {pos, len};

    if (!len)
        return true;
    if (fault_point("fallocate"))
        return err_errno(e, ERR_IO, EIO, "zeroing %" PRIu64 " bytes at %" PRIu64 " of '%s'", len,
                         pos, f->io.name);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        int r;

        do {
            r = fallocate(f->io.fd, modes[i], (off_t)pos, (off_t)len);
        } while (r < 0 && errno == EINTR);
        if (r == 0)
            return true;
        if (errno == EIO || errno == ENOSPC || errno == EDQUOT)
            return err_errno(e, ERR_IO, errno, "zeroing %" PRIu64 " bytes at %" PRIu64 " of '%s'",
                             len, pos, f->io.name);
    }
    if (f->io.device && ioctl(f->io.fd, BLKZEROOUT, range) == 0)
        return true;
    return write_zeroes(f, pos, len, e);
}

static bool zero_inside(struct file *f, uint64_t pos, uint64_t len, struct err *e)
{
    uint64_t first = round_up(pos, f->block), end = pos + len, last = round_down(end, f->block);

    if (first >= last)
        return write_zeroes(f, pos, len, e);
    return write_zeroes(f, pos, first - pos, e) && zero_blocks(f, first, last - first, e) &&
           write_zeroes(f, last, end - last, e);
}

static bool file_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
    struct file *f = (struct file *)io;
    uint64_t end = pos + len, size = io_size(io);
    bool ok = true;

    if (end > size) {
        pthread_rwlock_wrlock(&f->growth);
        size = io->size;
        if (end > size)
            ok = truncate_to(f, end, e);
        else
            size = end;
        pthread_rwlock_unlock(&f->growth);
    } else {
        size = end;
    }
    if (ok && pos < size)
        ok = zero_inside(f, pos, size - pos, e);
    file_changed(f);
    return ok;
}

/* Where the data at or after `pos` begins, or where it ends (whence SEEK_HOLE); the file's end when
 * there is no more. False when the file system cannot tell. */
static bool seek(struct file *f, uint64_t pos, int whence, uint64_t *ret_at)
{
    off_t at = lseek(f->io.fd, (off_t)pos, whence);

    if (at < 0 && errno == ENXIO)
        *ret_at = UINT64_MAX;
    else if (at < (off_t)pos)
        return false;
    else
        *ret_at = (uint64_t)at;
    return true;
}

static bool file_extent(struct io *io, uint64_t pos, uint64_t want, enum io_extent_kind *ret_kind,
                        uint64_t *ret_len, struct err *e)
{
    struct file *f = (struct file *)io;
    uint64_t changes, data = pos, hole = UINT64_MAX;

    if (fault_point("lseek"))
        return err_errno(e, ERR_IO, EIO, "looking for the holes of '%s'", io->name);
    pthread_mutex_lock(&f->map_lock);
    changes = __atomic_load_n(&f->changes, __ATOMIC_ACQUIRE);
    if (f->map_changes != changes || pos < f->map_at || pos >= f->map_end) {
        bool told = !io->device && seek(f, pos, SEEK_DATA, &data) &&
                    (data > pos || seek(f, pos, SEEK_HOLE, &hole));

        f->map_changes = changes;
        f->map_at = pos;
        f->map_kind = told && data > pos ? IO_HOLE : IO_DATA;
        f->map_end = !told ? UINT64_MAX : data > pos ? data : hole;
    }
    *ret_kind = f->map_kind;
    *ret_len = MIN(want, f->map_end - pos);
    pthread_mutex_unlock(&f->map_lock);
    return true;
}

static void file_flush_hint(struct io *io, uint64_t pos, uint64_t len)
{
    sync_file_range(io->fd, (off_t)pos, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

static void file_free(struct io *io)
{
    struct file *f = (struct file *)io;

    if (f->direct >= 0)
        close(f->direct);
    if (io->fd >= 0)
        close(io->fd);
    pthread_rwlock_destroy(&f->growth);
    pthread_mutex_destroy(&f->map_lock);
    pthread_mutex_destroy(&f->lock_lock);
    free(io->name);
    free(f);
}

const struct io_ops file_ops = {
    .kind = "file",
    .read = file_read,
    .write = file_write,
    .sync = file_sync,
    .resize = file_resize,
    .zero = file_zero,
    .extent = file_extent,
    .flush_hint = file_flush_hint,
    .free = file_free,
};

/* Refuses what is neither a regular file nor a block device. */
static bool check_kind(mode_t mode, const char *name, struct err *e)
{
    const char *what = S_ISDIR(mode)    ? "a directory"
                       : S_ISFIFO(mode) ? "a FIFO"
                       : S_ISSOCK(mode) ? "a socket"
                       : S_ISCHR(mode)  ? "a character device"
                                        : NULL;

    return !what || err_set(e, ERR_USAGE, "'%s' is %s, not an image", name, what);
}

/* Fills in the size and kind of what is open. */
static bool measure(struct file *f, struct err *e)
{
    struct stat st;
    int block = 0;

    if (fault_point("fstat") ? (errno = EIO, true) : fstat(f->io.fd, &st) < 0)
        return err_errno(e, ERR_IO, errno, "examining '%s'", f->io.name);
    if (!check_kind(st.st_mode, f->io.name, e))
        return false;
    f->block = 1;
    f->io.size = (uint64_t)st.st_size;
    f->io.fresh = f->writable && !st.st_size;
    if (!S_ISBLK(st.st_mode))
        return true;
    f->io.device = true;
    f->io.fresh = false;
    if (ioctl(f->io.fd, BLKGETSIZE64, &f->io.size) < 0)
        return err_errno(e, ERR_IO, errno, "asking for the size of '%s'", f->io.name);
    f->block = ioctl(f->io.fd, BLKSSZGET, &block) == 0 && block > 0 ? (uint32_t)block : 512;
    return true;
}

struct io *file_from_fd(int fd, const char *name, struct err *e)
{
    struct file *f = mem_new(struct file, e);
    int mode;

    if (!f) {
        close(fd);
        return NULL;
    }
    mode = fcntl(fd, F_GETFL);
    f->io = (struct io){.ops = &file_ops, .fd = fd, .refs = 1};
    f->direct = -1;
    f->writable = mode >= 0 && (mode & O_ACCMODE) != O_RDONLY;
    f->map_changes = UINT64_MAX;
    pthread_rwlock_init(&f->growth, NULL);
    pthread_mutex_init(&f->map_lock, NULL);
    pthread_mutex_init(&f->lock_lock, NULL);
    f->io.name = mem_text(name, e);
    if (!f->io.name || !measure(f, e)) {
        file_free(&f->io);
        return NULL;
    }
    return &f->io;
}

/* Opens the same file once more past the page cache, where the file system can. */
static void open_direct(struct file *f)
{
    char link[64];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", f->io.fd);
    f->direct = open(link, (f->writable ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
    if (f->direct < 0)
        log_detail("'%s' is read and written through the page cache: direct I/O is not to be had "
                   "there",
                   f->io.name);
}

struct io *(*file_wrap)(struct io *io, struct err *e);

/* The store of a descriptor just opened with `flags`. */
static struct io *opened(int fd, const char *name, unsigned flags, struct err *e)
{
    struct io *io = file_from_fd(fd, name, e);

    if (!io)
        return NULL;
    if ((flags & FILE_TRUNCATE) && !io->device && io->size) {
        if (!io_resize(io, 0, e)) {
            io_free(io);
            return NULL;
        }
        io->fresh = true;
    }
    if (flags & FILE_DIRECT)
        open_direct((struct file *)io);
    return file_wrap && (flags & FILE_WRITE) ? file_wrap(io, e) : io;
}

static int mode_of(unsigned flags)
{
    return OPEN_FLAGS | (flags & FILE_WRITE ? O_RDWR : O_RDONLY) |
           (flags & FILE_CREATE ? O_CREAT | O_EXCL : 0) | (flags & FILE_NOFOLLOW ? O_NOFOLLOW : 0);
}

struct io *file_open(const char *path, unsigned flags, struct err *e)
{
    struct stat st;
    int fd;

    if (!(flags & FILE_CREATE) &&
        fstatat(AT_FDCWD, path, &st, flags & FILE_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0) == 0 &&
        !check_kind(st.st_mode, path, e))
        return NULL;
    if (fault_point("open")) {
        fd = -1;
        errno = EIO;
    } else {
        fd = open(path, mode_of(flags), 0666);
    }
    if (fd >= 0) {
        struct io *io = opened(fd, path, flags, e);

        if (!io && (flags & FILE_CREATE))
            unlink(path);
        return io;
    }
    if (errno == EEXIST && (flags & FILE_CREATE))
        err_set(e, ERR_REFUSED, "'%s' exists already", path);
    else if (errno == ELOOP && (flags & FILE_NOFOLLOW))
        err_set(e, ERR_REFUSED, "'%s' is a symbolic link, which is not followed here", path);
    else
        err_errno(e, ERR_IO, errno, flags & FILE_CREATE ? "creating '%s'" : "opening '%s'", path);
    return NULL;
}

struct io *file_reopen(int fd, const char *name, unsigned flags, struct err *e)
{
    char link[64];
    int again;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (fault_point("open")) {
        again = -1;
        errno = EIO;
    } else {
        again = open(link, mode_of(flags & ~(unsigned)(FILE_CREATE | FILE_NOFOLLOW)));
    }
    if (again >= 0)
        return opened(again, name, flags, e);
    err_errno(e, ERR_IO, errno, "opening '%s'", name);
    return NULL;
}
