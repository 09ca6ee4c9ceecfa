/* The plan as a JSON document. */
#ifndef CLI_PLAN_DOC_H
#define CLI_PLAN_DOC_H

#include "job.h"
#include "plan.h"

/* "info", "warning", "critical" */
const char *severity_name(enum severity severity);

/* `next`: the command that does it; NULL: it cannot be run. */
bool plan_doc_print(const struct job *job, const struct machine_plan *plans, size_t count,
                    enum err_kind gravest, const char *next, struct err *e);

#endif
