/* What the job commands share: loading the job that the command line names, with every mistake
 * printed, and the command lines that are printed as advice. */
#ifndef CLI_JOBS_H
#define CLI_JOBS_H

#include "buf.h"
#include "cli.h"
#include "job.h"
#include "run.h"

/* The job, after printing its mistakes; NULL with the error that ends the command. */
struct job *jobs_load(const struct cli *cli, struct err *e);

/* ERR_USAGE when there is no place for the state. */
bool jobs_run_options(const struct cli *cli, struct run_options *ret, struct err *e);

/* The command line again, for `command`: "strata run --var pool=/srv job.yaml". */
void jobs_command(const struct cli *cli, const char *command, struct buf *to);

/* "3 machines" */
const char *count_text(size_t n, const char *one, char buf[64]);

#endif
