/* The gate: see gate.h.
 *
 * A name goes through these steps: path_map rewrites it, protocol names are refused, a relative
 * name is put behind the folder of the image that names it. The result is opened with O_PATH, which
 * reads nothing and starts no device; the kernel then tells the real path of what was opened, and
 * only when that lies under a root is the object opened again, through /proc/self/fd, for reading.
 * Between the check and the use there is nothing to swap. Where /proc is missing, openat2 with
 * RESOLVE_BENEATH opens the name relative to a root instead. */
#include "gate.h"

#include "bytes.h"
#include "fault.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct gate {
    unsigned refs;
    struct opt_texts roots; /* real paths; the first is the folder of the file the user named */
    struct opt_pairs path_map;
    unsigned file_flags; /* of every file */
};

/* A name in the words of an error message. */
enum { SHOWN_MAX = 256 };
#define SHOWN(name) shown((name), (char[SHOWN_MAX]){0})

/* Control characters of a recorded name must not reach a terminal. */
static const char *shown(const char *name, char buf[SHOWN_MAX])
{
    size_t n = 0;

    for (; name[n] && n + 1 < SHOWN_MAX; n++)
        buf[n] = iscntrl((unsigned char)name[n]) ? '?' : name[n];
    buf[n] = '\0';
    return buf;
}

/* The real directory of a file. */
static char *real_dir(const char *path, struct err *e)
{
    char *real = fault_point("realpath") ? (errno = EIO, NULL) : realpath(path, NULL), *slash;

    if (!real) {
        err_errno(e, ERR_IO, errno, "opening '%s'", path);
        return NULL;
    }
    slash = strrchr(real, '/');
    slash[slash == real] = '\0'; /* "/" stays */
    return real;
}

static bool add_root(struct gate *g, const char *dir, struct err *e)
{
    AUTO(free) char *real = realpath(dir, NULL);

    if (!real)
        return err_errno(e, ERR_USAGE, errno, "the allowed folder '%s' cannot be used", dir);
    return opt_texts_add(&g->roots, real, e);
}

static bool fill(struct gate *g, const char *path, const struct gate_rules *rules, struct err *e)
{
    AUTO(free) char *dir = real_dir(path, e);

    if (!dir || !opt_texts_add(&g->roots, dir, e))
        return false;
    for (size_t i = 0; rules && i < rules->allow.count; i++)
        if (!add_root(g, rules->allow.items[i], e))
            return false;
    for (size_t i = 0; rules && i < rules->path_map.count; i++)
        if (!opt_pairs_add(&g->path_map, rules->path_map.items[i].key,
                           rules->path_map.items[i].value, e))
            return false;
    return true;
}

struct gate *gate_new(const char *path, const struct gate_rules *rules, struct err *e)
{
    struct gate *g = mem_new(struct gate, e);

    if (!g)
        return NULL;
    g->refs = 1;
    g->file_flags = rules && rules->direct ? FILE_DIRECT : 0;
    if (!fill(g, path, rules, e)) {
        gate_free(g);
        return NULL;
    }
    return g;
}

struct gate *gate_ref(struct gate *g)
{
    __atomic_add_fetch(&g->refs, 1, __ATOMIC_RELAXED);
    return g;
}

void gate_free(struct gate *g)
{
    if (!g || __atomic_sub_fetch(&g->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    opt_texts_release(&g->roots);
    opt_pairs_release(&g->path_map);
    free(g);
}

/* What of `path` follows `prefix`, when the prefix ends at a '/' boundary; NULL otherwise. */
static const char *after_prefix(const char *path, const char *prefix)
{
    size_t n = strlen(prefix);

    while (n && prefix[n - 1] == '/')
        n--;
    if (strncmp(path, prefix, n) != 0 || (path[n] && path[n] != '/'))
        return NULL;
    return path + n;
}

/* True when the real path lies under one of the roots, from the first-th on. */
static bool inside(const struct gate *g, const char *real, size_t first)
{
    for (size_t i = first; i < g->roots.count; i++)
        if (after_prefix(real, g->roots.items[i]))
            return true;
    return false;
}

/* The name with the longest matching recorded prefix replaced. */
static char *rewrite(const struct gate *g, const char *name, struct err *e)
{
    const struct opt_pair *best = NULL;
    const char *rest = NULL;
    size_t keep;

    for (size_t i = 0; i < g->path_map.count; i++) {
        const struct opt_pair *p = &g->path_map.items[i];
        const char *after = *p->key ? after_prefix(name, p->key) : NULL;

        if (after && (!best || strlen(p->key) > strlen(best->key))) {
            best = p;
            rest = after;
        }
    }
    if (!best)
        return mem_text(name, e);
    keep = strlen(best->value);
    while (*rest && keep && best->value[keep - 1] == '/')
        keep--;
    return mem_format(e, "%.*s%s", (int)keep, best->value, rest);
}

/* "C:/..." or "C:\...": absolute on the machine that recorded it. */
static bool has_drive(const char *name)
{
    return isalpha((unsigned char)name[0]) && name[1] == ':' && (name[2] == '/' || name[2] == '\\');
}

/* "nbd://...", "json:{...}": a ':' before the first '/'. */
static bool is_protocol(const char *name)
{
    size_t n = strcspn(name, ":/");

    return name[n] == ':' && !has_drive(name);
}

static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/'), *back = has_drive(name) ? strrchr(name, '\\') : NULL;

    if (back && (!slash || back > slash))
        slash = back;
    return slash ? slash + 1 : name;
}

static char *join(const char *dir, const char *name, struct err *e)
{
    return mem_format(e, "%s%s%s", dir, text_ends(dir, "/") ? "" : "/", name);
}

/* What came of one place a name may mean. */
enum outcome { OPENED, MISSING, OUTSIDE, FAILED /* the error is set */ };

struct attempt {
    char *path; /* where it was looked for; owned */
    char *real; /* what that is; owned, set when OPENED or OUTSIDE */
    struct io *io;
};

static void attempt_release(struct attempt *a)
{
    free(a->path);
    free(a->real);
    io_free(a->io);
}

static void attempt_release_at(struct attempt *a)
{
    attempt_release(a);
}

/* The path the kernel knows an open descriptor by; NULL without an error when there is no /proc. */
static char *path_of_fd(int fd, struct err *e)
{
    char link[64], text[PATH_MAX];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, text, sizeof(text));
    if (n < 0 && (errno == ENOENT || errno == ENOTDIR))
        return NULL;
    if (n < 0 || n == (ssize_t)sizeof(text)) {
        err_errno(e, ERR_IO, n < 0 ? errno : ENAMETOOLONG, "resolving a path");
        return NULL;
    }
    return mem_textn(text, (size_t)n, e);
}

/* Refuses what is no regular file; block devices pass only under an `allow` root, since a device
 * node beside an image is none of its parts. */
static enum outcome check_kind(const char *real, mode_t mode, bool device_allowed, const char *name,
                               const char *from, struct err *e)
{
    if (S_ISREG(mode) || (S_ISBLK(mode) && device_allowed))
        return OPENED;
    if (S_ISBLK(mode))
        err_set(e, ERR_GATE,
                "'%s', named by '%s', is a block device; to allow it add this to the job file: "
                "allow: [%s] (on the command line: --allow %s)",
                SHOWN(name), from, SHOWN(real), SHOWN(real));
    else
        err_set(e, ERR_FORMAT, "'%s', named by '%s', is %s, not an image", SHOWN(name), from,
                S_ISDIR(mode) ? "a directory" : "neither a file nor a block device");
    return FAILED;
}

/* Without /proc: the path relative to the n-th root, which the kernel resolves without leaving that
 * root. The descriptor; -1 with errno when it cannot be opened so. */
static int open_beneath(const struct gate *g, size_t n, const char *path, unsigned flags)
{
    struct open_how how = {.flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
                                    (flags & FILE_WRITE ? O_RDWR : O_RDONLY),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    const char *rest = after_prefix(path, g->roots.items[n]);
    AUTO(fd_close) int dir = -1;

    errno = EXDEV;
    if (!rest)
        return -1;
    dir = open(g->roots.items[n], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    rest += strspn(rest, "/");
    return (int)syscall(SYS_openat2, dir, *rest ? rest : ".", &how, sizeof(how));
}

/* Without /proc: tries the roots in turn. A link that leads from one root into another counts as
 * outside, and direct I/O is not to be had. */
static enum outcome attempt_beneath(const struct gate *g, struct attempt *a, const char *name,
                                    const char *from, unsigned flags, struct err *e)
{
    a->real = realpath(a->path, NULL);
    if (!a->real)
        a->real = mem_text(a->path, e);
    for (size_t i = 0; a->real && i < g->roots.count; i++) {
        AUTO(fd_close) int fd = open_beneath(g, i, a->path, flags);
        enum outcome kind;
        struct stat st;

        if (fd < 0 && (errno == EXDEV || errno == ELOOP))
            continue;
        if (fd < 0 || fstat(fd, &st) < 0) {
            err_errno(e, ERR_IO, errno, "opening '%s', which '%s' names", SHOWN(name), from);
            return FAILED;
        }
        kind = check_kind(a->real, st.st_mode, i > 0, name, from, e);
        if (kind == OPENED)
            a->io = file_from_fd(TAKE_FD(fd), a->real, e);
        return a->io ? OPENED : FAILED;
    }
    return a->real ? OUTSIDE : FAILED;
}

/* Tries to open a->path. */
static enum outcome attempt(const struct gate *g, struct attempt *a, const char *name,
                            const char *from, unsigned flags, struct err *e)
{
    AUTO(fd_close)
    int fd = fault_point("open") ? (errno = EIO, -1) : open(a->path, O_PATH | O_CLOEXEC);
    enum outcome kind;
    struct stat st;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG))
        return MISSING;
    if (fd < 0 && errno == EACCES && !inside(g, a->path, 0)) {
        a->real = mem_text(a->path, e);
        return a->real ? OUTSIDE : FAILED;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        err_errno(e, errno == ELOOP ? ERR_FORMAT : ERR_IO, errno, "opening '%s', which '%s' names",
                  SHOWN(name), from);
        return FAILED;
    }
    a->real = path_of_fd(fd, e);
    if (!a->real)
        return e->kind ? FAILED : attempt_beneath(g, a, name, from, flags, e);
    if (!inside(g, a->real, 0))
        return OUTSIDE;
    kind = check_kind(a->real, st.st_mode, inside(g, a->real, 1), name, from, e);
    if (kind == OPENED)
        a->io = file_reopen(fd, a->real, flags | g->file_flags, e);
    return a->io ? OPENED : FAILED;
}

/* Says what the user can write to let the name pass. */
static void refuse(const struct gate *g, const struct attempt *a, const char *name,
                   const char *from, struct err *e)
{
    AUTO(free) char *dir = mem_text(a->real, e);
    char *slash = dir ? strrchr(dir, '/') : NULL;
    bool same = strcmp(name, a->real) == 0;

    if (!dir)
        return;
    if (slash)
        slash[slash == dir] = '\0';
    err_set(e, ERR_GATE,
            "'%s', named by '%s', %s%s%slies outside '%s'; to allow it add this to the job file: "
            "allow: [%s] (on the command line: --allow %s)",
            SHOWN(name), from, same ? "" : "is '", same ? "" : SHOWN(a->real),
            same ? "" : "', which ", g->roots.items[0], SHOWN(dir), SHOWN(dir));
}

static struct io *hand_over(struct attempt *a, char **ret_path)
{
    *ret_path = TAKE(a->real);
    return TAKE(a->io);
}

/* An absolute name that did not open: a file of that last part beside the image will do. */
static struct io *open_beside(const struct gate *g, const struct attempt *first, enum outcome why,
                              const char *dir, const char *name, const char *from, unsigned flags,
                              char **ret_path, struct err *e)
{
    const char *part = last_part(name);
    AUTO(attempt_release) struct attempt a = {0};
    enum outcome outcome = MISSING;

    if (*part && strcmp(part, ".") != 0 && strcmp(part, "..") != 0) {
        a.path = join(dir, part, e);
        if (!a.path)
            return NULL;
        outcome = attempt(g, &a, name, from, flags, e);
    }
    if (outcome == OPENED) {
        log_detail("'%s', which '%s' names, is taken from '%s'", SHOWN(name), from, a.real);
        return hand_over(&a, ret_path);
    }
    if (outcome == OUTSIDE)
        refuse(g, &a, name, from, e);
    else if (outcome == MISSING && why == OUTSIDE)
        refuse(g, first, name, from, e);
    else if (outcome == MISSING)
        err_set(e, ERR_FORMAT, "missing '%s', which '%s' names; it was looked for as '%s' and '%s'",
                SHOWN(name), from, SHOWN(first->path), a.path ? SHOWN(a.path) : dir);
    return NULL;
}

struct io *gate_open(struct gate *g, const char *from_path, const char *name, unsigned file_flags,
                     char **ret_path, struct err *e)
{
    AUTO(free) char *dir = NULL, *mapped = NULL;
    AUTO(attempt_release) struct attempt a = {0};
    struct err fallback = ERR_INIT, *error = e ? e : &fallback;
    enum outcome outcome;
    bool absolute;

    if (!*name) {
        err_set(error, ERR_FORMAT, "'%s' names a file by an empty name", from_path);
        return NULL;
    }
    dir = real_dir(from_path, error);
    mapped = dir ? rewrite(g, name, error) : NULL;
    if (!mapped)
        return NULL;
    if (is_protocol(mapped)) {
        err_set(error, ERR_GATE,
                "'%s', named by '%s', is not the name of a file: only files are followed",
                SHOWN(name), from_path);
        return NULL;
    }
    absolute = mapped[0] == '/' || has_drive(mapped);
    a.path = mapped[0] == '/' ? TAKE(mapped) : join(dir, mapped, error);
    if (!a.path)
        return NULL;
    outcome = attempt(g, &a, name, from_path, file_flags, error);
    if (outcome == OPENED)
        return hand_over(&a, ret_path);
    if (outcome == FAILED)
        return NULL;
    if (absolute)
        return open_beside(g, &a, outcome, dir, name, from_path, file_flags, ret_path, error);
    if (outcome == OUTSIDE)
        refuse(g, &a, name, from_path, error);
    else
        err_set(error, ERR_FORMAT, "missing '%s', which '%s' names; it was looked for as '%s'",
                SHOWN(name), from_path, SHOWN(a.path));
    return NULL;
}
