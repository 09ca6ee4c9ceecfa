/* State: what is known durably about one machine of one job, so that a run goes on where it was
 * cut off. One SQLite database per machine, `<dir>/<job>/<machine>.db`; docs/state.md has the
 * tables.
 *
 * A writer holds the lock file beside the database for as long as the state is open, and an owner
 * epoch inside it: every checkpoint and every publication proves that the epoch is still its own,
 * so that a process thought dead on a shared directory cannot go on. Rows belong to a run; rows of
 * earlier runs stay for `history` until they are pruned.
 *
 * All calls are thread-safe on one state. Strings in results are owned by the structures. */
#ifndef JOB_STATE_H
#define JOB_STATE_H

#include "cleanup.h"
#include "digest.h"
#include "err.h"
#include "opt.h"
#include "vec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state;

/* Opens for writing and creates what is missing. ERR_BUSY (with the process id) when another
 * process runs this machine; ERR_IO, with advice, for a database that is damaged or was written by
 * a newer version. */
struct state *state_open(const char *dir, const char *job, const char *machine, struct err *e);
/* Opens for reading without lock. NULL without an error when there is no state. */
struct state *state_peek(const char *dir, const char *job, const char *machine, struct err *e);
void state_close(struct state *s);
AUTO_TYPE(struct state *, state_close)
const char *state_path(const struct state *s);

/* The database's path; owned. */
char *state_name(const char *dir, const char *job, const char *machine, struct err *e);
/* Moves an unusable database away (to NAME.broken); its lock must not be held. */
bool state_move_away(const char *dir, const char *job, const char *machine, struct err *e);

/* Becomes the owner: whoever owned it before can no longer commit. Once, before the first change.
 */
bool state_claim(struct state *s, struct err *e);
/* True while this process still owns the state; ERR_BUSY otherwise. */
bool state_owned(struct state *s, struct err *e);

/* A file that a run reads, as it was when the run began. */
struct source_fact {
    char *path;
    uint64_t size, inode; /* a device: its size and device number */
    int64_t mtime_ns, ctime_ns;
};
struct source_facts {
    struct source_fact *items;
    size_t count, room;
};
void source_facts_release(struct source_facts *f);
bool source_facts_add(struct source_facts *f, const struct source_fact *fact, struct err *e);

enum run_status { RUN_UNFINISHED, RUN_FAILED, RUN_DONE, RUN_ABANDONED };

struct state_run {
    int64_t id;                /* 0: there is none */
    int64_t started, finished; /* seconds since 1970; finished 0: it did not end by itself */
    char *date;                /* what ${date} is in this run */
    char *job_path;
    enum run_status status;
    enum err_kind kind;
    char *stage; /* the last one entered */
    char *text;
    uint64_t before, after, read, written, resumed, seconds;
};
void state_run_release(struct state_run *r);

/* The newest run that left something: it is done, or has outputs. id 0 when there is none. */
bool state_base(struct state *s, struct state_run *ret, struct err *e);
/* The newest run, whatever became of it. */
bool state_last(struct state *s, struct state_run *ret, struct err *e);
bool state_history(struct state *s, bool (*each)(void *user, const struct state_run *r), void *user,
                   struct err *e);
/* Begins a run; with `base`, everything of that run (sources, stages, outputs) is taken over.
 * `env`: what ${env:NAME} is in it. */
bool state_begin_run(struct state *s, const char *job_path, const char *date,
                     const struct opt_pairs *env, int64_t base, int64_t *ret_run, struct err *e);
/* Goes on with an unfinished run. Of `env`, what the run has no value of yet is added. */
bool state_reopen_run(struct state *s, int64_t run, const struct opt_pairs *env, struct err *e);
/* Adds what ${env:NAME} is in the run to `ret`. */
bool state_env(struct state *s, int64_t run, struct opt_pairs *ret, struct err *e);
/* Stores how the run ended: status, kind, stage, text and the numbers of `r`. */
bool state_end_run(struct state *s, const struct state_run *r, struct err *e);

bool state_put_sources(struct state *s, int64_t run, const struct source_facts *f, struct err *e);
bool state_sources(struct state *s, int64_t run, struct source_facts *ret, struct err *e);

/* Stages are known by their identity, which says of which work "done" speaks. */
bool state_stage_done(struct state *s, int64_t run, const struct digest_value *identity,
                      bool *ret_done, struct err *e);
bool state_put_stage(struct state *s, int64_t run, const char *name,
                     const struct digest_value *identity, bool done, struct err *e);
/* Counts attempts of a stage that may run more than once; answers with this one's number. */
bool state_attempt(struct state *s, int64_t run, const char *name,
                   const struct digest_value *identity, uint64_t *ret_attempt, struct err *e);

/* Outputs: one per disk that a stage writes. */
enum output_status {
    OUTPUT_INTENT,     /* names are chosen; files may exist */
    OUTPUT_WRITING,    /* the parts exist and have the inodes recorded */
    OUTPUT_SEALED,     /* complete and durable under the part names */
    OUTPUT_PUBLISHING, /* checked; renames may have happened */
    OUTPUT_PUBLISHED,
};
struct state_file {
    char *part, *final;
    uint64_t ino;  /* of the part, kept by the rename; 0: not known yet */
    uint64_t size; /* when sealed */
    int64_t mtime_ns;
};
struct state_output {
    int64_t id;
    struct digest_value stage; /* identity of the stage that writes it */
    char *disk, *format;
    enum output_status status;
    struct digest_value recipe; /* everything the bytes follow from, besides the sources */
    struct digest_value tree;
    bool tree_valid;
    bool replaces; /* what is at the final names may be replaced */
    uint64_t size; /* virtual */
    uint64_t done; /* guest bytes committed */
    VEC(struct state_file) files;
};
void state_output_release(struct state_output *o);
struct state_outputs {
    struct state_output *items;
    size_t count, room;
};
void state_outputs_release(struct state_outputs *o);

/* Records the intent to write the files; sets o->id. */
bool state_add_output(struct state *s, int64_t run, struct state_output *o, struct err *e);
/* Stores status, tree and the files' facts; a published one is remembered as this machine's own. */
bool state_put_output(struct state *s, const struct state_output *o, struct err *e);
bool state_list_outputs(struct state *s, int64_t run, struct state_outputs *ret, struct err *e);
/* Forgets an output and its checkpoints. */
bool state_drop_output(struct state *s, int64_t id, struct err *e);
/* True when the file was published by any run of this machine and has not changed since. */
bool state_is_own_output(struct state *s, const char *final, bool *ret_own, struct err *e);

/* Checkpoints of an output. Commits only while this process owns the state. */
bool state_checkpoint(struct state *s, int64_t output, uint64_t done, const void *placements,
                      size_t placements_len, const void *digests, size_t digests_len,
                      struct err *e);
typedef bool state_checkpoint_fn(void *user, const void *placements, size_t placements_len,
                                 const void *digests, size_t digests_len, struct err *e);
bool state_replay(struct state *s, int64_t output, state_checkpoint_fn *each, void *user,
                  struct err *e);
/* The digests of one checkpoint, number `*seq` or the next after it; *seq is moved on. *ret_data is
 * owned by the caller, NULL at the end. */
bool state_next_digests(struct state *s, int64_t output, int64_t *seq, void **ret_data,
                        size_t *ret_len, struct err *e);

/* Events, for `log`. */
struct state_event {
    int64_t time;
    int kind; /* enum event_kind */
    char *disk, *stage, *text;
    uint64_t done, total;
};
/* Events are written with the next transaction, at most a checkpoint later. */
bool state_add_event(struct state *s, int64_t run, const struct state_event *ev, struct err *e);
bool state_flush_events(struct state *s, struct err *e);
bool state_events(struct state *s, int64_t run,
                  bool (*each)(void *user, const struct state_event *), void *user, struct err *e);

/* The machines that have a state under <dir>/<job>. */
bool state_machines(const char *dir, const char *job, struct opt_texts *ret, struct err *e);

#endif
