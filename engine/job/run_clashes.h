/* Two machines or two disks that would write one target: a mistake of the job. */
#ifndef JOB_RUN_CLASHES_H
#define JOB_RUN_CLASHES_H

#include "job.h"

/* ERR_USAGE names the target and both machines. Reads the sources' descriptions, opens no disk. */
bool run_clashes(const struct job *job, struct err *e);

#endif
