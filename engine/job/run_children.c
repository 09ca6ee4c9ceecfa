/* Machines side by side; see run_children.h.
 *
 * A child is a fork of this process that runs one machine and then ends: it has the job as it was
 * loaded, with its variables and its options. It is forked before any thread, library context or
 * database exists in it. Through a pipe it sends messages, a length of four bytes (little-endian)
 * and its content each: 'E' an event, 'R' the result, last. A child that ends without a result
 * crashed. Children are told to stop when their parent dies. */
#include "run_children.h"

#include "buf.h"
#include "bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum {
    CHILDREN_MAX = 256,    /* more machines at once than any host has use for */
    MESSAGE_MAX = 1 << 20, /* a result with two long texts is a few KiB */
    LOOK_MS = 100,         /* how soon a signal is passed on */
};

struct child {
    pid_t pid; /* 0: free */
    int fd;
    size_t machine;
    struct buf in;
    bool told; /* its result has come */
};

struct children {
    const struct job *job;
    struct reporter *reporter;
    struct machine_result *results;
    struct child list[CHILDREN_MAX];
    size_t limit, next, running;
    bool stopped; /* no more are started */
    int signalled;
};

static void send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* the parent is gone, and we are about to be told */
        data += n;
        len -= (size_t)n;
    }
}

static void send_message(int fd, char kind, const struct buf *body)
{
    AUTO(buf_release) struct buf out = {0};
    uint8_t head[4];

    put_le32(head, (uint32_t)body->len + 1);
    buf_add(&out, head, sizeof(head));
    buf_char(&out, kind);
    buf_add(&out, body->data, body->len);
    if (!out.failed)
        send_all(fd, out.data, out.len);
}

static void send_event(void *user, const struct event *ev)
{
    AUTO(buf_release) struct buf body = {0};

    if (event_pack(ev, &body))
        send_message(*(const int *)user, 'E', &body);
}

static _Noreturn void child_main(const struct children *c, size_t machine, int fd, pid_t parent)
{
    struct run_options options = *c->reporter->options;
    struct reporter reporter = {.options = &options};
    struct machine_result result = {0};
    AUTO(buf_release) struct buf body = {0};

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    options.event = send_event;
    options.user = &fd;
    pthread_mutex_init(&reporter.lock, NULL);
    run_machine(c->job, &c->job->machines[machine], &reporter, &result);
    if (result_pack(&result, &body))
        send_message(fd, 'R', &body);
    machine_result_release(&result);
    _exit(0);
}

static bool start(struct children *c, size_t machine, struct err *e)
{
    struct child *slot = c->list;
    pid_t parent = getpid();
    int fds[2];

    while (slot->pid)
        slot++;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return err_errno(e, ERR_IO, errno, "cannot start a process for '%s'",
                         c->job->machines[machine].name);
    slot->pid = fork();
    if (slot->pid == 0) {
        close(fds[0]);
        child_main(c, machine, fds[1], parent);
    }
    close(fds[1]);
    if (slot->pid < 0) {
        slot->pid = 0;
        close(fds[0]);
        return err_errno(e, ERR_IO, errno, "cannot start a process for '%s'",
                         c->job->machines[machine].name);
    }
    slot->fd = fds[0];
    slot->machine = machine;
    slot->told = false;
    c->running++;
    return true;
}

static void set_failed(struct machine_result *r, const char *machine, const struct err *why)
{
    machine_result_release(r);
    r->machine = mem_text(machine, NULL);
    r->kind = why->kind;
    r->status = err_exit_status(why->kind);
    r->text = mem_text(why->text, NULL);
    r->advice = mem_text("run the same command again to go on", NULL);
}

static void take_event(struct children *c, const char *data, size_t len)
{
    const struct run_options *o = c->reporter->options;
    struct event ev;

    if (!event_unpack(data, len, &ev))
        return;
    if (o->event)
        o->event(o->user, &ev);
    event_release(&ev);
}

/* Handles every whole message; false when the child talks nonsense. */
static bool take_messages(struct children *c, struct child *child)
{
    struct machine_result *r = &c->results[child->machine];
    size_t pos = 0;

    while (child->in.len - pos >= 4) {
        uint32_t len = get_le32(child->in.data + pos);
        const char *body = child->in.data + pos + 4;

        if (!len || len > MESSAGE_MAX)
            return false;
        if (child->in.len - pos - 4 < len)
            break;
        if (*body == 'E')
            take_event(c, body + 1, len - 1);
        else
            child->told = result_unpack(body + 1, len - 1, r);
        pos += 4 + len;
    }
    memmove(child->in.data, child->in.data + pos, child->in.len - pos);
    child->in.len -= pos;
    return true;
}

static void end_child(struct children *c, struct child *child)
{
    struct machine_result *r = &c->results[child->machine];
    const char *name = c->job->machines[child->machine].name;
    struct err why = ERR_INIT;
    int status = 0;

    close(child->fd);
    buf_release(&child->in);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!child->told) {
        if (WIFSIGNALED(status))
            err_set(&why, ERR_BUG, "the process of '%s' was ended by signal %d", name,
                    WTERMSIG(status));
        else
            err_set(&why, ERR_BUG, "the process of '%s' ended without a result", name);
        set_failed(r, name, &why);
    }
    if (r->kind != ERR_NONE && c->job->policy.on_error == ON_ERROR_STOP)
        c->stopped = true;
    *child = (struct child){0};
    c->running--;
}

static void read_child(struct children *c, struct child *child)
{
    char data[16384];
    ssize_t n = read(child->fd, data, sizeof(data));

    if (n < 0 && errno == EINTR)
        return;
    if (n > 0)
        buf_add(&child->in, data, (size_t)n);
    if (n <= 0 || child->in.failed || !take_messages(c, child)) {
        if (n > 0)
            kill(child->pid, SIGTERM);
        end_child(c, child);
    }
}

/* A signal to this process alone is passed on; one from the terminal reaches everybody, and a
 * second one does no harm. */
static void pass_signal(struct children *c)
{
    const atomic_int *stop = c->reporter->options->stop;
    int sig = stop ? atomic_load(stop) : 0;

    if (!sig || c->signalled)
        return;
    c->signalled = sig;
    c->stopped = true;
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (c->list[i].pid)
            kill(c->list[i].pid, sig);
}

static void wait_some(struct children *c)
{
    struct pollfd fds[CHILDREN_MAX];
    struct child *who[CHILDREN_MAX];
    nfds_t n = 0;

    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (c->list[i].pid) {
            who[n] = &c->list[i];
            fds[n++] = (struct pollfd){.fd = c->list[i].fd, .events = POLLIN};
        }
    if (poll(fds, n, LOOK_MS) <= 0)
        return;
    for (nfds_t i = 0; i < n; i++)
        if (fds[i].revents)
            read_child(c, who[i]);
}

static void not_started(struct children *c)
{
    struct err why = ERR_INIT;

    if (c->signalled)
        err_set(&why, c->signalled == SIGTERM ? ERR_TERMINATED : ERR_INTERRUPTED, "not started");
    else
        err_set(&why, ERR_REFUSED,
                "not started: another machine failed and the policy is 'on_error: stop'");
    for (; c->next < c->job->machine_count; c->next++)
        set_failed(&c->results[c->next], c->job->machines[c->next].name, &why);
}

bool run_side_by_side(const struct job *job, struct reporter *reporter,
                      struct machine_result *results, struct err *e)
{
    struct children *c = mem_new(struct children, e);

    if (!c)
        return false;
    c->job = job;
    c->reporter = reporter;
    c->results = results;
    c->limit = MIN(job->policy.parallel, (uint64_t)CHILDREN_MAX);
    while (c->running || (c->next < job->machine_count && !c->stopped)) {
        while (!c->stopped && c->next < job->machine_count && c->running < c->limit) {
            struct err why = ERR_INIT;

            if (!start(c, c->next, &why))
                set_failed(&results[c->next], job->machines[c->next].name, &why);
            c->next++;
        }
        if (c->running)
            wait_some(c);
        pass_signal(c);
    }
    not_started(c);
    free(c);
    return true;
}
