/* The program: environment, signals, dispatch, exit status. The folder engine/cli is the only one
 * that prints, reads the environment or exits. */
#include "clock.h"
#include "commands.h"
#include "doc.h"
#include "formats.h"
#include "help.h"
#include "log.h"
#include "options.h"
#include "print.h"
#include "stages.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static atomic_int
    stop_signal; /* the first SIGINT or SIGTERM; a terminal that closes counts as one */
static atomic_bool stops_itself; /* the command looks at stop_signal */

/* The first signal asks for a clean stop; the second ends the program at once. */
static void on_signal(int number)
{
    int none = 0;

    if (number == SIGHUP)
        number = SIGTERM;
    if (!atomic_load(&stops_itself) || !atomic_compare_exchange_strong(&stop_signal, &none, number))
        _exit(128 + number);
}

static void install_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;

    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN) /* nohup stays nohup */
        sigaction(SIGHUP, &stop, NULL);
}

/* A standard descriptor that is closed would be given to the next file opened, and messages would
 * be written into an image. Results that have nowhere to go are still an error: standard output is
 * replaced by something that cannot be written. */
static void fill_standard_files(void)
{
    static const int modes[] = {O_RDONLY, O_RDONLY, O_WRONLY};
    int fd;

    for (int i = 0; i < 3; i++)
        if (fcntl(i, F_GETFD) < 0 && (fd = open("/dev/null", modes[i])) > i)
            close(fd);
}

/* A disk of many extents has many files open at once. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void show_log(void *user, enum log_level level, const char *text)
{
    const struct cli *cli = user;

    if (level == LOG_WARNING)
        tell("warning: %s", text);
    else if (level == LOG_NOTE ? !cli->quiet : cli->verbose)
        tell("%s", text);
}

/* Seconds since 1970 from an environment variable. */
static bool env_seconds(const char *name, bool *ret_set, int64_t *ret, struct err *e)
{
    const char *text = getenv(name);
    char *end;

    *ret_set = text && *text;
    if (!*ret_set)
        return true;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    if (errno || *end)
        return err_set(e, ERR_USAGE, "%s is '%s': write seconds since 1970", name, text);
    return true;
}

static bool read_clocks(struct err *e)
{
    bool set;
    int64_t at;

    if (!env_seconds("STRATA_NOW", &set, &at, e))
        return false;
    if (set)
        clock_fix(at);
    if (!env_seconds("SOURCE_DATE_EPOCH", &set, &at, e))
        return false;
    if (set)
        clock_fix_stamp(at);
    return true;
}

/* --state, else $XDG_STATE_HOME/strata, else /var/lib/strata as root, else
 * ~/.local/state/strata. NULL without an error when there is no home. */
static bool find_state_dir(struct cli *cli, struct err *e)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    if (cli->state)
        cli->state_dir = mem_text(cli->state, e);
    else if (xdg && *xdg)
        cli->state_dir = mem_format(e, "%s/strata", xdg);
    else if (geteuid() == 0)
        cli->state_dir = mem_text("/var/lib/strata", e);
    else if (home && *home)
        cli->state_dir = mem_format(e, "%s/.local/state/strata", home);
    else
        return true;
    return cli->state_dir != NULL;
}

static bool check_arguments(const struct cli *cli, struct err *e)
{
    const struct command *c = cli->command;

    if (cli->args.count < c->args_min)
        return err_set(e, ERR_USAGE, "'%s' needs %s: strata %s %s", c->name,
                       c->args_min > 1 ? "more arguments" : "an argument", c->name, c->arguments);
    if (cli->args.count > c->args_max)
        return err_set(e, ERR_USAGE, "'%s' is one argument too many: strata %s%s%s",
                       cli->args.items[c->args_max], c->name, *c->arguments ? " " : "",
                       c->arguments);
    return true;
}

static bool print_help(const struct command *command, struct err *e)
{
    AUTO(buf_release) struct buf text = {0};

    if (command)
        help_command(command, &text);
    else
        help_overview(&text);
    if (!buf_ok(&text, e))
        return false;
    out_raw(text.data, text.len);
    return true;
}

static bool run(struct cli *cli, int argc, char **argv, struct err *e)
{
    if (!options_parse(cli, argc, argv, e))
        return false;
    if (cli->version) {
        out("strata %s\n", STRATA_VERSION);
        return true;
    }
    if (cli->help || !cli->command)
        return print_help(cli->command, e);
    atomic_store(&stops_itself, cli->command->stops);
    return check_arguments(cli, e) && read_clocks(e) && find_state_dir(cli, e) &&
           cli->command->run(cli, e);
}

int main(int argc, char **argv)
{
    struct cli cli = {.stop = &stop_signal};
    struct err e = ERR_INIT, late = ERR_INIT;
    bool ok;

    fill_standard_files();
    install_signals();
    raise_file_limit();
    log_to(show_log, &cli);
    drivers_register(formats_table);
    stages_register(stages_table);
    ok = run(&cli, argc, argv, &e);
    if (!ok && e.kind == ERR_NONE)
        err_set(&e, ERR_BUG, "'%s' failed without a reason", cli.command ? cli.command->name : "");
    if (!ok && e.kind == ERR_INTERRUPTED && atomic_load(&stop_signal) == SIGTERM)
        e.kind = ERR_TERMINATED;
    status_line(NULL);
    if (!ok && cli.json && !doc_printed())
        doc_print(doc_error(&e), NULL);
    if (!out_finish(&late) && ok)
        e = late;
    if (e.kind != ERR_NONE)
        tell("%s", e.text);
    log_to(NULL, NULL);
    options_release(&cli);
    free(cli.state_dir);
    return err_exit_status(e.kind);
}
