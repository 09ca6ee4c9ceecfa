/* Stages: what a machine goes through, in the order of the job file. One file per stage in stages/,
 * one row in stages/table.c.
 *
 * Four phases: check (options and order; touches nothing), plan (may read), run (the only one that
 * writes), undo (removes what an unfinished run left; survives a run that never began). */
#ifndef JOB_STAGE_H
#define JOB_STAGE_H

#include "err.h"
#include "opt.h"

struct machine_run; /* machine_run.h: the machine being planned or run */
struct plan_stage;

enum stage_layer {
    LAYER_FILE = 1,        /* L1 host file */
    LAYER_CONTAINER = 2,   /* L2 */
    LAYER_DEVICE = 4,      /* L3 virtual device */
    LAYER_TABLE = 8,       /* L4 partition table */
    LAYER_VOLUME = 16,     /* L5 volume manager */
    LAYER_FILESYSTEM = 32, /* L6 */
    LAYER_GUEST = 64,      /* L7 guest files */
};

enum stage_flag {
    STAGE_ALTERS = 1,   /* changes what later stages see: part of their identity */
    STAGE_OUTPUT = 2,   /* writes an output that `verify` can check */
    STAGE_VERIFIES = 4, /* publishes what it has checked */
    STAGE_EVERY = 8,    /* done again by every attempt: cheap, and what it sees may have changed */
    STAGE_AFTERMATH = 16, /* also called after an earlier stage failed */
};

struct stage {
    const char *name;
    const char *help; /* one line */
    unsigned layers;  /* enum stage_layer */
    unsigned flags;
    const struct opt_row *options;
    size_t options_size;
    const char *shorthand; /* the option a scalar value stands for; NULL: none */
    /* Final names it will create, as far as they are known without opening anything; NULL: none. */
    bool (*targets)(struct machine_run *m, unsigned index, struct opt_texts *ret, struct err *e);
    bool (*check)(struct machine_run *m, unsigned index, struct err *e);
    bool (*plan)(struct machine_run *m, unsigned index, struct plan_stage *row, struct err *e);
    bool (*run)(struct machine_run *m, unsigned index, struct err *e);
    bool (*undo)(struct machine_run *m, unsigned index, struct err *e);
};

/* All stages; ends with NULL. Defined in stages/table.c and handed in by the program. */
void stages_register(const struct stage *const *table);
const struct stage *const *stages_all(void);
const struct stage *stage_find(const char *name);
/* "L2 L4" into buf. */
const char *stage_layers_text(unsigned layers, char buf[32]);

#endif
