/* The plan: what a run would do to each machine, from every check that needs no write. */
#ifndef JOB_PLAN_H
#define JOB_PLAN_H

#include "err.h"
#include "job.h"
#include "vec.h"

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_CRITICAL };

struct finding {
    const char *id; /* "chain.depth": fixed names, documented in docs/preflight.md */
    unsigned layer; /* enum stage_layer */
    enum severity severity;
    enum err_kind kind; /* how a critical one ends the run (ERR_REFUSED, ERR_SPACE, ERR_BUSY...) */
    char *disk;         /* disk id; NULL: the machine */
    char *text, *advice;
    char *accepted; /* reason, when the job accepts it */
};

struct plan_disk {
    char *id, *path, *format, *subformat;
    struct opt_texts chain; /* top first */
    uint64_t size;          /* virtual */
    uint64_t allocated;     /* of all layers on disk */
    uint64_t data;          /* bytes the map names as data */
};

struct plan_stage {
    const struct stage *stage;
    char *what;              /* one line */
    uint64_t reads, writes;  /* bytes */
    bool estimate;           /* the numbers are upper bounds or guesses: shown with ~ */
    uint64_t seconds;        /* rough; 0: not worth saying */
    struct opt_texts alters; /* every file it will create, replace or change */
    struct opt_texts drops;  /* what the conversion cannot carry */
    struct opt_texts notes;
};

struct plan_space { /* one per filesystem involved */
    char *dir;      /* a folder on it */
    uint64_t dev;
    uint64_t need;  /* estimate */
    uint64_t bound; /* upper bound */
    uint64_t free;
};

struct machine_plan {
    char *name;
    VEC(struct plan_disk) disks;
    VEC(struct plan_stage) stages;
    VEC(struct finding) findings;
    VEC(struct plan_space) space;
    struct opt_texts publish; /* final names, in order */
    struct opt_texts nics;    /* "00:50:56:01:02:03 VM Network -> (no mapping)" */
    char *resumes;            /* "goes on at 1.2 GiB of 3 GiB in 'convert'"; NULL: from the start */
    bool finished;      /* nothing to do: sources and outputs are unchanged since the last run */
    struct err verdict; /* kind NONE: can run */
};

void machine_plan_release(struct machine_plan *p);

/* Plans one machine; returns false only when the plan itself could not be made (then verdict says
 * why too). Writes nothing but reads the state when it exists. `state_dir` as run.h. */
bool plan_machine(const struct job *job, const struct machine *machine, const char *state_dir,
                  struct machine_plan *ret, struct err *e);

#endif
