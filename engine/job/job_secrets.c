/* Secrets of a job; see job.h. A job file only says where a secret is; the value is fetched when it
 * is needed and is in no message, not even in a source line shown with a mistake. */
#include "job_load.h"

#include "bytes.h"
#include "clock.h"
#include "slurp.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
    SECRET_MAX = 64 << 10, /* tokens and keys are a few kilobytes */
    SECRET_SECONDS = 120,  /* a command that takes longer waits for somebody */
    SIGNATURE_MIN = 16,    /* of a "sig=" that is a signature: shorter is an example */
};

extern char **environ;

static const char where[] = "say where it is: {env: NAME}, {file: PATH}, {credential: NAME} or "
                            "{command: [PROGRAM, ...]}";

static const struct secret *find_secret(const struct job *job, const char *name)
{
    for (size_t i = 0; i < job->secret_count; i++)
        if (strcmp(job->secrets[i].name, name) == 0)
            return &job->secrets[i];
    return NULL;
}

bool secret_known(const struct job *job, const char *name)
{
    return find_secret(job, name);
}

static bool load_one(struct job_loader *l, const struct node *map, size_t i, struct scope *scope)
{
    struct secret *s = &l->job->secrets[i];
    struct decode d = {.mistakes = l->mistakes, .expand = scope_expand, .user = scope};
    const struct node *value = map->items[i];
    int ways;

    l->job->secret_count++;
    s->name = mem_text(map->keys[i], l->e);
    if (!s->name)
        return false;
    if (!var_name_valid(map->keys[i]))
        mistake_add(l->mistakes, map->key_at[i],
                    "'%s' cannot be a secret's name: letters, digits, _ and - only", map->keys[i]);
    if (value->kind == NODE_SCALAR) {
        mistakes_hide(l->mistakes, value->at);
        mistake_add(l->mistakes, value->at, "a secret is never written into a job file: %s", where);
        return true;
    }
    if (!rows_decode(job_secret_rows, value, s, &d))
        return true;
    ways = !!s->env + !!s->file + !!s->credential + !!s->command.count;
    if (ways != 1)
        mistake_add(l->mistakes, value->at, "a secret is in one place: %s", where);
    if (s->credential && strchr(s->credential, '/'))
        mistake_add(l->mistakes, value->at, "a credential is a name without '/'");
    return paths_resolve(job_secret_rows, s, l->job->dir, l->e);
}

bool secrets_load(struct job_loader *l, const struct node *map, struct scope *scope)
{
    if (!map || map->kind != NODE_MAP)
        return true;
    l->job->secrets = mem_array(map->count, sizeof(*l->job->secrets), l->e);
    if (!l->job->secrets)
        return false;
    for (size_t i = 0; i < map->count; i++)
        if (!load_one(l, map, i, scope))
            return false;
    return true;
}

/* What follows "sig=" or a password of a URL, unless it comes from a variable. */
static bool looks_secret(const char *text)
{
    const char *p = strstr(text, "sig="), *colon, *at;

    if (p && strcspn(p + 4, "&$ \"'") >= SIGNATURE_MIN)
        return true;
    p = strstr(text, "://");
    if (!p)
        return false;
    p += 3;
    at = memchr(p, '@', strcspn(p, "/?# "));
    colon = at ? memchr(p, ':', (size_t)(at - p)) : NULL;
    return colon && colon + 1 < at && colon[1] != '$';
}

void secrets_look(const struct node *n, struct mistakes *m)
{
    if (n->kind == NODE_SCALAR && looks_secret(n->text)) {
        mistakes_hide(m, n->at);
        mistake_add(m, n->at,
                    "this looks like a secret written out: put it under 'secrets' and "
                    "write ${secret:name}");
    }
    for (size_t i = 0; i < n->count; i++)
        secrets_look(n->items[i], m);
}

static char *from_environment(const struct secret *s, struct err *e)
{
    const char *value = getenv(s->env);

    if (!value)
        err_set(e, ERR_USAGE, "the secret '%s' is not to be had: the environment has no '%s'",
                s->name, s->env);
    return value ? mem_text(value, e) : NULL;
}

static char *from_file(const struct secret *s, const char *path, struct err *e)
{
    struct err own = ERR_INIT;
    size_t len;
    char *text = slurp(path, SECRET_MAX, &len, &own);

    if (!text)
        err_set(e, ERR_USAGE, "the secret '%s' is not to be had: %s", s->name, own.text);
    return text;
}

static char *from_credential(const struct secret *s, struct err *e)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    AUTO(free) char *path = NULL;

    if (!dir) {
        err_set(e, ERR_USAGE,
                "the secret '%s' is not to be had: there is no $CREDENTIALS_DIRECTORY; start "
                "strata from a systemd unit with LoadCredential=%s",
                s->name, s->credential);
        return NULL;
    }
    path = mem_format(e, "%s/%s", dir, s->credential);
    return path ? from_file(s, path, e) : NULL;
}

/* The arguments with their values. */
static char **command_args(const struct secret *s, const struct opt_pairs *values, struct err *e)
{
    char **argv = mem_array(s->command.count + 1, sizeof(*argv), e);

    for (size_t i = 0; argv && i < s->command.count; i++) {
        argv[i] = vars_fill(s->command.items[i], values, e);
        if (argv[i])
            continue;
        err_while(e, "running the command of the secret '%s'", s->name);
        while (i > 0)
            free(argv[--i]);
        free(argv);
        return NULL;
    }
    return argv;
}

/* Reads until the end of the pipe, at most SECRET_MAX bytes and SECRET_SECONDS. */
static bool read_pipe(const struct secret *s, int fd, struct buf *out, struct err *e)
{
    uint64_t end = clock_mono() + (uint64_t)SECRET_SECONDS * 1000000000;
    char part[4096];

    for (;;) {
        uint64_t now = clock_mono();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = now < end ? poll(&p, 1, (int)((end - now) / 1000000) + 1) : 0;
        ssize_t n;

        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return err_set(e, ERR_USAGE, "the command of the secret '%s' takes longer than %d s",
                           s->name, SECRET_SECONDS);
        n = read(fd, part, sizeof(part));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, ERR_IO, errno, "reading from the command of the secret '%s'",
                             s->name);
        if (n == 0)
            return buf_ok(out, e);
        buf_add(out, part, (size_t)n);
        explicit_bzero(part, sizeof(part));
        if (out->len > SECRET_MAX)
            return err_set(e, ERR_USAGE, "the command of the secret '%s' prints more than %s",
                           s->name, SIZE_TEXT(SECRET_MAX));
    }
}

static bool start(const struct job *job, const struct secret *s, char **argv, int out, pid_t *ret,
                  struct err *e)
{
    posix_spawn_file_actions_t actions;
    int rc;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return err_set(e, ERR_MEMORY, "out of memory");
    rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (!rc)
        rc = posix_spawn_file_actions_addchdir_np(&actions, job->dir);
    if (!rc)
        rc = posix_spawnp(ret, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return !rc || err_errno(e, ERR_USAGE, rc, "the secret '%s' is not to be had: cannot run '%s'",
                            s->name, argv[0]);
}

static char *from_command(const struct job *job, const struct secret *s,
                          const struct opt_pairs *values, struct err *e)
{
    char **argv = command_args(s, values, e);
    struct buf out = {0};
    int fds[2] = {-1, -1}, status = 0;
    pid_t child = -1;
    char *value = NULL;

    if (!argv)
        return NULL;
    if (pipe2(fds, O_CLOEXEC) != 0) {
        err_errno(e, ERR_IO, errno, "cannot make a pipe");
    } else if (start(job, s, argv, fds[1], &child, e)) {
        bool ok;

        close(TAKE_FD(fds[1]));
        ok = read_pipe(s, fds[0], &out, e);
        if (!ok)
            kill(child, SIGKILL);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        if (ok && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
            err_set(e, ERR_USAGE, "the secret '%s' is not to be had: its command failed (%s %d)",
                    s->name, WIFEXITED(status) ? "status" : "signal",
                    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        else if (ok)
            value = buf_take(&out, e);
    }
    if (out.data)
        explicit_bzero(out.data, out.len);
    buf_release(&out);
    fd_close_at(&fds[0]);
    fd_close_at(&fds[1]);
    for (size_t i = 0; i < s->command.count; i++)
        free(argv[i]);
    free(argv);
    return value;
}

char *job_secret_for(const struct job *job, const char *name, const struct opt_pairs *values,
                     struct err *e)
{
    const struct secret *s = find_secret(job, name);
    char *value;

    if (!s) {
        err_set(e, ERR_USAGE, "there is no secret '%s'", name);
        return NULL;
    }
    value = s->env          ? from_environment(s, e)
            : s->file       ? from_file(s, s->file, e)
            : s->credential ? from_credential(s, e)
                            : from_command(job, s, values, e);
    if (!value)
        return NULL;
    for (size_t len = strlen(value); len && strchr("\r\n", value[len - 1]); len--)
        value[len - 1] = '\0';
    if (*value)
        return value;
    free(value);
    err_set(e, ERR_USAGE, "the secret '%s' is empty", name);
    return NULL;
}

char *job_secret(const struct job *job, const char *name, struct err *e)
{
    return job_secret_for(job, name, NULL, e);
}
