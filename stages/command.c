/* command: runs a program, without a shell, at least once.
 *
 * It tells the program in STRATA_* variables what it is called for. The program is the leader of a
 * process group of its own, which is ended with it when it takes too long or the run is stopped. */
#include "stages.h"

#include "buf.h"
#include "clock.h"
#include "publish.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

enum command_on { ON_SUCCESS, ON_FAILURE, ON_ALWAYS };
static const char *const on_words[] = {"success", "failure", "always", NULL};

enum {
    LOOK_MS = 50,    /* how often the program is looked at */
    GRACE_MS = 5000, /* between SIGTERM and SIGKILL */
};

struct command_options {
    struct opt_texts run;
    int on;
    uint64_t timeout;
};

static const struct opt_row rows[] = {
    {.key = "run",
     .type = OPT_TEXTS,
     .flags = OPT_REQUIRED,
     .at = OPT_AT(struct command_options, run, struct opt_texts),
     .help = "the program and its arguments, as a list; no shell is involved"},
    {.key = "on",
     .type = OPT_WORD,
     .at = OPT_AT(struct command_options, on, int),
     .words = on_words,
     .preset = "success",
     .help = "when: after the stages before it succeeded, after one failed, or in any case"},
    {.key = "timeout",
     .type = OPT_DURATION,
     .at = OPT_AT(struct command_options, timeout, uint64_t),
     .preset = "1h",
     .help = "end the program, and fail, after this long; 0s: never"},
    {0},
};

static bool check(struct machine_run *m, unsigned index, struct err *e)
{
    const struct command_options *o = stage_options(m, index);

    for (size_t i = 0; i < o->run.count; i++)
        if (strstr(o->run.items[i], "${secret:"))
            return err_set(e, ERR_USAGE,
                           "a secret on a command line can be read by every user: let the program "
                           "fetch it itself");
    return (o->run.count && *o->run.items[0]) ||
           err_set(e, ERR_USAGE, "'run' names no program: give a list, run: [program, argument]");
}

static bool plan(struct machine_run *m, unsigned index, struct plan_stage *row, struct err *e)
{
    const struct command_options *o = stage_options(m, index);

    row->what = mem_format(e, "runs '%s' on %s", o->run.items[0], on_words[o->on]);
    return row->what;
}

static bool put(struct opt_texts *env, struct err *e, const char *name, const char *value)
{
    AUTO(free) char *text = mem_format(e, "STRATA_%s=%s", name, value ? value : "");

    return text && opt_texts_add(env, text, e);
}

/* One path a line. */
static bool put_paths(struct machine_run *m, struct opt_texts *env, struct err *e)
{
    AUTO(buf_release) struct buf disks = {0}, outputs = {0};

    for (size_t i = 0; i < m->source.disk_count; i++)
        buf_format(&disks, "%s%s", i ? "\n" : "",
                   m->disks[i].image ? m->disks[i].image->path : m->disks[i].from->path);
    for (size_t i = 0; i < m->outputs.count; i++)
        buf_format(&outputs, "%s%s", i ? "\n" : "", run_output_path(m->outputs.items[i], 0));
    return buf_ok(&disks, e) && buf_ok(&outputs, e) && put(env, e, "DISKS", disks.data) &&
           put(env, e, "OUTPUTS", outputs.data);
}

static bool make_environment(struct machine_run *m, unsigned index, struct opt_texts *env,
                             struct err *e)
{
    uint64_t attempt;
    char text[24];

    if (!state_attempt(m->state, m->run, "command", &m->identities[index], &attempt, e))
        return false;
    snprintf(text, sizeof(text), "%" PRIu64, attempt);
    for (char **v = environ; *v; v++)
        if (!text_starts(*v, "STRATA_") && !opt_texts_add(env, *v, e))
            return false;
    return put(env, e, "JOB", m->job->name) && put(env, e, "MACHINE", m->machine->name) &&
           put(env, e, "STAGE", "command") && put(env, e, "ATTEMPT", text) &&
           put(env, e, "RESULT", m->failure ? m->failure->text : "success") && put_paths(m, env, e);
}

static bool expand_arguments(struct machine_run *m, const struct opt_texts *run,
                             struct opt_texts *ret, struct err *e)
{
    for (size_t i = 0; i < run->count; i++) {
        AUTO(free) char *text = job_expand(run->items[i], NULL, m->date, e);

        if (!text || !opt_texts_add(ret, text, e))
            return false;
    }
    return true;
}

static char **null_ended(const struct opt_texts *list, struct err *e)
{
    char **array = mem_array(list->count + 1, sizeof(*array), e);

    if (array && list->count)
        memcpy(array, list->items, list->count * sizeof(*array));
    return array;
}

/* stdout is kept for results: what the program says goes to stderr. */
static bool start(char **argv, char **env, pid_t *ret, struct err *e)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, usual;
    int rc;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGINT);
    sigaddset(&usual, SIGTERM);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &usual);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    rc = posix_spawnp(ret, argv[0], &actions, &attr, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return !rc || err_errno(e, ERR_IO, rc, "cannot run '%s'", argv[0]);
}

/* Waits up to `ms` (negative: for ever), or until the run is to stop. True: it ended. */
static bool wait_for(const struct machine_run *m, pid_t pid, int64_t ms, int *ret_status)
{
    uint64_t until = clock_mono() + (uint64_t)(ms < 0 ? 0 : ms) * 1000000;

    for (;;) {
        pid_t got = waitpid(pid, ret_status, WNOHANG);

        if (got == pid)
            return true;
        if ((got < 0 && errno != EINTR) || (ms >= 0 && clock_mono() >= until))
            return false;
        if (m && m->options->stop && atomic_load(m->options->stop))
            return false;
        poll(NULL, 0, LOOK_MS);
    }
}

static void end_group(pid_t pid)
{
    int status;

    kill(-pid, SIGTERM);
    if (wait_for(NULL, pid, GRACE_MS, &status)) {
        kill(-pid, SIGKILL);
        return;
    }
    kill(-pid, SIGKILL);
    waitpid(pid, &status, 0);
}

static bool finish(struct machine_run *m, const struct command_options *o, pid_t pid, struct err *e)
{
    const char *name = o->run.items[0];
    int status = 0, sig;

    if (!wait_for(m, pid, o->timeout ? (int64_t)o->timeout * 1000 : -1, &status)) {
        end_group(pid);
        sig = m->options->stop ? atomic_load(m->options->stop) : 0;
        if (sig)
            return err_set(e, sig == SIGTERM ? ERR_TERMINATED : ERR_INTERRUPTED, "interrupted");
        return err_set(e, ERR_REFUSED, "'%s' was ended after %" PRIu64 " s: raise 'timeout'", name,
                       o->timeout);
    }
    if (WIFSIGNALED(status))
        return err_set(e, ERR_REFUSED, "'%s' was ended by signal %d", name, WTERMSIG(status));
    return !WEXITSTATUS(status) ||
           err_set(e, ERR_REFUSED, "'%s' ended with status %d", name, WEXITSTATUS(status));
}

static bool run(struct machine_run *m, unsigned index, struct err *e)
{
    const struct command_options *o = stage_options(m, index);
    struct opt_texts env = {0}, arguments = {0};
    AUTO(free) char **argv = NULL;
    AUTO(free) char **envp = NULL;
    pid_t pid;
    bool ok;

    if (m->failure ? o->on == ON_SUCCESS : o->on == ON_FAILURE)
        return true;
    ok = make_environment(m, index, &env, e) && expand_arguments(m, &o->run, &arguments, e) &&
         (argv = null_ended(&arguments, e)) && (envp = null_ended(&env, e)) &&
         start(argv, envp, &pid, e) && finish(m, o, pid, e);
    opt_texts_release(&env);
    opt_texts_release(&arguments);
    return ok;
}

const struct stage stage_command = {
    .name = "command",
    .help = "runs a program, at least once",
    .flags = STAGE_AFTERMATH,
    .options = rows,
    .options_size = sizeof(struct command_options),
    .shorthand = "run",
    .check = check,
    .plan = plan,
    .run = run,
};
