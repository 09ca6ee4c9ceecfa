/* What an earlier run of the machine means for this one. */
#ifndef JOB_RUN_BASE_H
#define JOB_RUN_BASE_H

#include "machine_run.h"

enum base_kind {
    BASE_NONE,     /* there is nothing to build on */
    BASE_DONE,     /* it is finished, and sources, outputs and options are unchanged */
    BASE_CONTINUE, /* it is finished, its sources are unchanged, but something is to be done again
                    */
    BASE_RESUME,   /* it was interrupted or failed, and can go on */
    BASE_CHANGED,  /* it was interrupted or failed, and a source changed since */
};

struct base {
    enum base_kind kind;
    struct state_run run;
    struct err why; /* CHANGED: what changed */
};

extern const char base_changed_advice[];

/* Looks, by stat alone. Sets m->date. The source must have been read. */
bool base_find(struct machine_run *m, struct base *ret, struct err *e);
/* After machine_open: the stages' identities, and the outputs of the run that is gone on with. */
bool base_enter(struct machine_run *m, const struct base *base, struct err *e);
/* "goes on at 1.2 GiB of 3 GiB in 'convert'"; owned. */
bool base_describe(struct machine_run *m, const struct base *base, char **ret, struct err *e);
void base_release(struct base *base);

#endif
