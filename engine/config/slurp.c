/* Small text files; see slurp.h. Opened without blocking, so that a FIFO is refused and not waited
 * for; the size is checked before a byte is read and again as bytes arrive. */
#include "slurp.h"

#include "cleanup.h"
#include "fault.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_file(const char *path, bool device, struct stat *ret_st, struct err *e)
{
    int fd = fault_point("open") ? (errno = EIO, -1)
                                 : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    if (fd < 0 || fstat(fd, ret_st) != 0) {
        int errnum = errno;

        if (fd >= 0)
            close(fd);
        err_errno(e, ERR_IO, errnum, "cannot read '%s'", path);
        return -1;
    }
    if (S_ISREG(ret_st->st_mode) || (device && S_ISBLK(ret_st->st_mode)))
        return fd;
    err_set(e, ERR_USAGE, "'%s' is %s, not a file", path,
            S_ISDIR(ret_st->st_mode)    ? "a directory"
            : S_ISFIFO(ret_st->st_mode) ? "a FIFO"
                                        : "a device or socket");
    close(fd);
    return -1;
}

/* Reads until `size` bytes or the end of the file. */
static bool read_some(int fd, const char *path, char *buf, size_t size, size_t *ret_len,
                      struct err *e)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = fault_point("read") ? (errno = EIO, -1) : read(fd, buf + len, size - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, ERR_IO, errno, "cannot read '%s'", path);
        if (n == 0)
            break;
        len += (size_t)n;
    }
    *ret_len = len;
    return true;
}

char *slurp(const char *path, size_t max, size_t *ret_len, struct err *e)
{
    AUTO(fd_close) int fd = -1;
    AUTO(free) char *text = NULL;
    struct stat st;
    size_t len;

    fd = open_file(path, false, &st, e);
    if (fd < 0)
        return NULL;
    if ((uint64_t)st.st_size > max) {
        err_set(e, ERR_USAGE, "'%s' has %s: at most %s are taken", path,
                SIZE_TEXT((uint64_t)st.st_size), SIZE_TEXT(max));
        return NULL;
    }
    /* One byte more than allowed, so that a file that grew meanwhile is noticed. */
    text = mem_alloc(max + 2, e);
    if (!text || !read_some(fd, path, text, max + 1, &len, e))
        return NULL;
    if (len > max) {
        err_set(e, ERR_USAGE, "'%s' is larger than %s", path, SIZE_TEXT(max));
        return NULL;
    }
    text[len] = '\0';
    *ret_len = len;
    return TAKE(text);
}

bool slurp_head(const char *path, void *buf, size_t size, size_t *ret_len, struct err *e)
{
    AUTO(fd_close) int fd = -1;
    struct stat st;

    fd = open_file(path, true, &st, e);
    return fd >= 0 && read_some(fd, path, buf, size, ret_len, e);
}
