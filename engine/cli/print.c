/* Printing; see print.h. */
#include "print.h"

#include "text.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool status_shown; /* the bottom line has text to erase */
static int out_errno;     /* of the first write to standard output that failed */

/* Bytes of the well-formed character at `p`, or 0. */
static size_t utf8_length(const char *p)
{
    size_t want = (unsigned char)*p < 0x80   ? 1
                  : (unsigned char)*p < 0xe0 ? 2
                  : (unsigned char)*p < 0xf0 ? 3
                                             : 4;
    size_t bad;

    return strnlen(p, want) == want && utf8_valid(p, want, &bad) ? want : 0;
}

/* C0, DEL, C1 (U+0080 to U+009F, two bytes in UTF-8), and the marks that turn text around (U+202A
 * to U+202E, U+2066 to U+2069). */
static bool is_control(const char *p, size_t len)
{
    const unsigned char *u = (const unsigned char *)p;

    if (len == 1)
        return u[0] < 0x20 || u[0] == 0x7f;
    if (len == 2)
        return u[0] == 0xc2 && u[1] < 0xa0;
    return len == 3 && u[0] == 0xe2 &&
           ((u[1] == 0x80 && u[2] >= 0xaa && u[2] <= 0xae) ||
            (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9));
}

void safe_text(struct buf *to, const char *text, bool lines)
{
    while (*text) {
        size_t len = utf8_length(text);

        if (len && (!is_control(text, len) || (lines && *text == '\n'))) {
            buf_add(to, text, len);
        } else {
            len = len ? len : 1;
            for (size_t i = 0; i < len; i++)
                buf_format(to, "\\x%02x", (unsigned char)text[i]);
        }
        text += len;
    }
}

static void format_safe(struct buf *to, const char *fmt, va_list args, bool lines)
{
    AUTO(free) char *text = NULL;

    if (vasprintf(&text, fmt, args) < 0) {
        text = NULL;
        to->failed = true;
        return;
    }
    safe_text(to, text, lines);
}

static void erase_status(void)
{
    if (status_shown)
        fputs("\r\033[K", stderr);
    status_shown = false;
}

void out_raw(const char *text, size_t len)
{
    pthread_mutex_lock(&lock);
    erase_status();
    errno = EIO;
    if (len && fwrite(text, 1, len, stdout) != len && !out_errno)
        out_errno = errno;
    pthread_mutex_unlock(&lock);
}

void out(const char *fmt, ...)
{
    AUTO(buf_release) struct buf text = {0};
    va_list args;

    va_start(args, fmt);
    format_safe(&text, fmt, args, true);
    va_end(args);
    if (text.failed)
        out_errno = ENOMEM;
    else
        out_raw(text.data, text.len);
}

static void to_stderr(const char *before, const char *text, const char *after)
{
    pthread_mutex_lock(&lock);
    erase_status();
    fflush(stdout);
    fprintf(stderr, "%s%s%s", before, text, after);
    fflush(stderr);
    pthread_mutex_unlock(&lock);
}

void tell(const char *fmt, ...)
{
    AUTO(buf_release) struct buf text = {0};
    va_list args;

    va_start(args, fmt);
    format_safe(&text, fmt, args, false);
    va_end(args);
    to_stderr("strata: ", text.data ? text.data : fmt, "\n");
}

void tell_text(const char *text)
{
    AUTO(buf_release) struct buf safe = {0};

    safe_text(&safe, text, true);
    to_stderr("", safe.data ? safe.data : "", "");
}

void status_line(const char *text)
{
    AUTO(buf_release) struct buf safe = {0};

    if (text)
        safe_text(&safe, text, false);
    pthread_mutex_lock(&lock);
    if (text) {
        fprintf(stderr, "\r%s\033[K", safe.data ? safe.data : "");
        status_shown = true;
    } else {
        erase_status();
    }
    fflush(stderr);
    pthread_mutex_unlock(&lock);
}

bool out_finish(struct err *e)
{
    if (fflush(stdout) != 0)
        out_errno = out_errno ? out_errno : errno;
    return !out_errno || err_errno(e, ERR_IO, out_errno, "cannot write to standard output");
}

unsigned terminal_width(int fd)
{
    struct winsize size;

    return isatty(fd) ? (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80) : 0;
}
