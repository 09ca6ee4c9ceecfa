/* Running a job: machines one after the other or side by side, each with its own state, resumed
 * where it was interrupted. Nothing here prints: events and results go to the reporter. */
#ifndef JOB_RUN_H
#define JOB_RUN_H

#include "job.h"

#include <stdatomic.h>

enum event_kind {
    EVENT_STARTED,
    EVENT_PROGRESS,
    EVENT_CHECKPOINT,
    EVENT_WARNING,
    EVENT_FINISHED,
    EVENT_FAILED,
};

struct event { /* one line of --events; texts are borrowed for the call */
    enum event_kind kind;
    int64_t time;                             /* seconds since 1970 */
    const char *job, *machine, *disk, *stage; /* disk, stage: NULL where it is about more */
    uint64_t done, total;                     /* in `unit`; total 0: unknown */
    const char *unit;                         /* "bytes" */
    uint64_t rate;                            /* per second; 0: unknown */
    uint64_t eta;                             /* seconds; 0: unknown */
    uint64_t resumed;                         /* of done, what an earlier process did */
    const char *text;                         /* warning, failure; NULL */
};

struct machine_result {
    char *machine;
    enum err_kind kind; /* ERR_NONE: done */
    int status;
    char *stage;            /* the last one entered; NULL: none */
    uint64_t before, after; /* allocated bytes of sources and outputs */
    uint64_t read, written;
    uint64_t seconds;
    uint64_t resumed; /* bytes an earlier process had done */
    bool unchanged;   /* nothing had to be done */
    char *text;       /* why it failed, or what was done */
    char *advice;     /* what to do next; NULL */
};
void machine_result_release(struct machine_result *r);

struct run_options {
    const char *state_dir; /* root of the state; the caller applies --state and the defaults */
    bool fresh;            /* forget an unfinished run */
    bool only_failed;
    const atomic_int *stop; /* set to SIGINT or SIGTERM by the signal handler */
    void (*event)(void *user,
                  const struct event *ev); /* may be NULL; from any thread, one at a time */
    void *user;
};

/* Runs the machines; results (job->machine_count of them) are owned by the caller. Returns false
 * only when nothing could be started. */
bool run_job(const struct job *job, const struct run_options *options,
             struct machine_result *ret_results, struct err *e);

/* `strata abandon`: removes part files, overlays and the state of unfinished runs; ret_removed
 * lists what. */
bool run_abandon(const struct job *job, const struct run_options *options,
                 struct opt_texts *ret_removed, struct err *e);

#endif
