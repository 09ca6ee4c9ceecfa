/* A machine being planned or run: what stages work on, and what the engine does for them.
 *
 *     source_read -> images opened, facts taken -> plan (every stage) -> run (stage after stage)
 *
 * Stages read the disks through m->disks and write through run outputs (publish.h); everything
 * slow goes through run_copy, which journals, reports and stops when asked. */
#ifndef JOB_MACHINE_RUN_H
#define JOB_MACHINE_RUN_H

#include "copy.h"
#include "image.h"
#include "job.h"
#include "plan.h"
#include "run.h"
#include "source.h"
#include "stage.h"
#include "state.h"

#include <pthread.h>

struct run_output; /* publish.h */

struct machine_disk {
    int index;                      /* ${disk} */
    const char *id;                 /* ${disk_id}; borrowed from the source */
    const struct source_disk *from; /* borrowed */
    struct image *image; /* what the next stage reads: the whole chain; NULL: could not be opened */
};

/* One per run_job: serialises events. */
struct reporter {
    const struct run_options *options;
    pthread_mutex_t lock;
};

struct machine_run {
    const struct job *job;
    const struct machine *machine;
    const struct run_options *options; /* NULL: planning */
    struct reporter *reporter;         /* NULL: planning */
    struct source source;
    struct machine_disk *disks;      /* as many as source.disk_count */
    struct source_facts facts;       /* the files that are read, as they were when opened */
    char *date;                      /* what ${date} is, frozen */
    struct digest_value *identities; /* one per stage */
    struct state *state;             /* NULL: planning a machine that has none */
    int64_t run;                     /* row of the state; 0: none */
    struct machine_plan *plan;       /* where checks and plans put what they find */
    VEC(struct run_output *) outputs;
    unsigned stage;            /* the one being checked, planned or run */
    bool entered;              /* `stage` is running */
    const struct err *failure; /* of an earlier stage; NULL: none */
    struct throttle *throttle;
    /* from preflight: what the job accepts, and from which severity on it refuses */
    const struct opt_pairs *accept;
    enum severity fail_on;
    /* totals of this process */
    uint64_t before, after, read, written, resumed;
};

/* Reads the source; nothing is opened. */
bool machine_read(struct machine_run *m, struct err *e);
/* Opens the disks, and takes the facts. A disk that cannot be opened becomes a finding with the
 * right kind while planning is under way; the first such error is also returned. */
bool machine_open(struct machine_run *m, struct err *e);
void machine_run_release(struct machine_run *m);

/* Opens a disk again as something else of its chain (consolidate): an image of the chain, or an
 * internal snapshot; NULL: as before. */
bool machine_reopen(struct machine_run *m, unsigned disk, const char *path, const char *snapshot,
                    struct err *e);

static inline const void *stage_options(const struct machine_run *m, unsigned index)
{
    return m->machine->stages[index].options;
}

/* Bytes of the files of the whole chain on disk. */
uint64_t chain_allocated(struct image *img);

/* Adds a finding about the stage's machine, or about one disk. `advice` may be NULL. */
bool plan_finding(struct machine_run *m, const char *id, unsigned layer, enum severity severity,
                  enum err_kind kind, const char *disk, const char *advice, struct err *e,
                  const char *fmt, ...) __attribute__((format(printf, 9, 10)));
/* Space that will be used in the folder: an estimate and an upper bound. */
bool plan_space_add(struct machine_run *m, const char *dir, uint64_t need, uint64_t bound,
                    struct err *e);
/* Every stage's check, before anything is opened. */
bool plan_check(struct machine_run *m, struct err *e);
/* Plans every stage into m->plan, then space and verdict. Not `opened`: a disk could not be opened,
 * and the findings say why. */
bool plan_build(struct machine_run *m, bool opened, struct err *e);

/* Sends an event about the machine; kept in the state too, except progress. */
void run_event(struct machine_run *m, enum event_kind kind, const char *disk, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* copy_run with what every copy of a run needs: workers, throttle, stop, progress events, the
 * totals, and for an output its journal. `out` NULL: nothing is written. c->chunk and c->user are
 * the caller's. */
bool run_copy(struct machine_run *m, const char *disk, struct run_output *out, struct copy *c,
              struct err *e);

/* One machine from lock to result. */
void run_machine(const struct job *job, const struct machine *machine, struct reporter *reporter,
                 struct machine_result *ret);

#endif
