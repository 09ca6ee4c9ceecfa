/* The commands: one table, from which help, the manual page and shell completion are made. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli.h"

enum command_group { GROUP_JOBS, GROUP_IMAGES, GROUP_WRITING, GROUP_ABOUT, GROUP_COUNT };

enum argument_kind { ARGUMENT_FILE, ARGUMENT_STAGE, ARGUMENT_FORMAT, ARGUMENT_COMMAND };

struct command {
    const char *name;
    const char *arguments; /* "JOB", "SRC DST", "[NAME]" */
    enum command_group group;
    const char *summary;         /* one line */
    const char *text;            /* paragraphs, separated by an empty line */
    const char *options;         /* names, separated by blanks, besides the common ones */
    const char *const *examples; /* command line, what it does, ...; NULL at the end */
    unsigned args_min, args_max;
    enum argument_kind argument; /* what completion offers */
    bool stops; /* a signal lets it finish what is in flight; else it ends the program at once */
    bool (*run)(struct cli *cli, struct err *e);
};

extern const struct command commands[]; /* ends with a NULL name */
extern const char *const command_groups[GROUP_COUNT];

const struct command *command_find(const char *name);
/* ERR_USAGE with the nearest. */
const struct command *command_named(const char *name, struct err *e);

bool cmd_plan(struct cli *cli, struct err *e);
bool cmd_run(struct cli *cli, struct err *e);
bool cmd_abandon(struct cli *cli, struct err *e);
bool cmd_status(struct cli *cli, struct err *e);
bool cmd_history(struct cli *cli, struct err *e);
bool cmd_log(struct cli *cli, struct err *e);
bool cmd_info(struct cli *cli, struct err *e);
bool cmd_map(struct cli *cli, struct err *e);
bool cmd_check(struct cli *cli, struct err *e);
bool cmd_digest(struct cli *cli, struct err *e);
bool cmd_compare(struct cli *cli, struct err *e);
bool cmd_measure(struct cli *cli, struct err *e);
bool cmd_convert(struct cli *cli, struct err *e);
bool cmd_schema(struct cli *cli, struct err *e);
bool cmd_stages(struct cli *cli, struct err *e);
bool cmd_formats(struct cli *cli, struct err *e);
bool cmd_help(struct cli *cli, struct err *e);

#endif
