/* Rough times for the plan. */
#ifndef STAGES_RATES_H
#define STAGES_RATES_H

#include "machine_run.h"

/* One pass over a disk. */
struct pass {
    uint64_t reads, writes;    /* bytes of files */
    uint64_t data;             /* guest bytes in them: what policy.disk counts, and is compressed */
    const struct codec *coder; /* NULL: nothing is compressed */
    int level;
};
/* Milliseconds the pass takes: an order of magnitude, for people. */
uint64_t rates_guess(const struct machine_run *m, const struct pass *p);
/* What the plan shows for them: whole seconds, and nothing below one. */
uint64_t rates_seconds(uint64_t ms);

#endif
