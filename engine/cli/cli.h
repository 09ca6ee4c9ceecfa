/* What one call of the program is asked to do: the command, its options and its arguments, and the
 * few things taken from the environment. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "err.h"
#include "opt.h"

#include <stdatomic.h>

enum progress_mode { PROGRESS_AUTO, PROGRESS_BAR, PROGRESS_PLAIN, PROGRESS_NONE };

struct command;

struct cli {
    const struct command *command; /* NULL: none was named */
    struct opt_texts args;         /* what is no option, without the command */

    /* options of every command */
    bool json, quiet, verbose, help, version;
    int progress; /* enum progress_mode */
    char *state;
    struct opt_texts allow;
    /* of jobs */
    struct opt_texts vars, machines, tags;
    bool fresh, only_failed;
    char *events;
    /* of images */
    char *format, *format_b;
    bool layer, chain, layout, flat, strict, fast, no_sync, overwrite, digest, direct;
    char *snapshot;
    char *new_format;
    struct opt_texts new_options;
    uint64_t workers, rate;
    /* of help */
    bool man, bash, reference;

    /* from the environment */
    char *state_dir;  /* --state, or the default */
    atomic_int *stop; /* SIGINT or SIGTERM once one came */
};

#endif
