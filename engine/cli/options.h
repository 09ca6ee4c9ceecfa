/* The options of the command line: one table, of which each command names those it takes. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cli.h"

struct option {
    struct opt_row row; /* OPT_BOOL takes no value; OPT_TEXTS may be given several times */
    char letter;        /* 0: none */
    const char *value;  /* what the value is called; NULL: takes none */
};

extern const struct option options[]; /* ends with OPT_END */

/* The options that every command takes, by name. */
extern const char *const options_common;

/* True when `list` ("json state") names the option. */
bool option_listed(const char *list, const char *name);

/* Fills `cli` from the arguments. ERR_USAGE for an option that is unknown (with the nearest), that
 * the command does not take, or that lacks its value. */
bool options_parse(struct cli *cli, int argc, char **argv, struct err *e);
void options_release(struct cli *cli);

#endif
