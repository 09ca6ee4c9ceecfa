/* The outputs of a run, from the intent to the final name.
 *
 *     intent committed -> parts created -> inodes committed (writing) -> copied -> sealed
 *     -> checked -> publishing committed -> renamed -> folders synced -> published committed
 *
 * A crash between any two of these is understood by the next run: a part that is gone while its
 * inode is at the final name was published; one without recorded inode is made anew. */
#ifndef JOB_PUBLISH_H
#define JOB_PUBLISH_H

#include "machine_run.h"
#include "output.h"

struct run_output {
    struct state_output row;
    struct target *target; /* while this process writes it, and until it is published */
    struct output *files;  /* of target */
    struct io **held;      /* locks on the parts of an output that an earlier process wrote */
};
void run_output_free(struct run_output *o);

struct output_request {
    const char *disk, *format;
    struct digest_value recipe; /* everything its bytes follow from, besides the stage's identity */
    const char *dir;            /* real folder of the final names */
    bool replace;               /* final names may exist */
};

/* Loads the outputs of the run that belong to stages of the job as it is. */
bool run_outputs_load(struct machine_run *m, struct err *e);
/* Drops the others: parts of stages that are gone or have other options now. */
bool run_outputs_prune(struct machine_run *m, struct err *e);
/* Drops the outputs of the current stage, to make them again. */
bool run_outputs_drop(struct machine_run *m, struct err *e);
/* True when all outputs of the current stage are complete and still there; false without any. */
bool run_outputs_complete(struct machine_run *m);
enum { RUN_TAG_MAX = 16 };
/* The tag of this machine's parts. */
void run_tag(const struct machine_run *m, char tag[RUN_TAG_MAX]);
/* The current stage's output for a disk; NULL when there is none. */
struct run_output *run_output_find(struct machine_run *m, const char *disk);
/* Goes on with the output that an interrupted run left, when it was made from the same recipe, or
 * begins it. Takes over the target. */
bool run_output_begin(struct machine_run *m, struct target *target,
                      const struct output_request *request, struct run_output **ret, struct err *e);
/* Complete and durable. `tree`: NULL when it is not known. */
bool run_output_seal(struct machine_run *m, struct run_output *o, const struct digest_value *tree,
                     struct err *e);
/* Where the file is now: its part, or its final name. Borrowed. */
const char *run_output_path(const struct run_output *o, size_t file);
/* Locks the parts of an output that is not published, unless this process holds them already. */
bool run_output_hold(struct run_output *o, struct err *e);
/* Publishes everything that is sealed, after a last look at the sources. */
bool run_publish(struct machine_run *m, struct err *e);
/* True when every published file still is as it was published. */
bool run_output_intact(const struct state_output *o);
/* Removes parts and rows of outputs of a run that are not published; `removed` (may be NULL) gets
 * the names. */
bool run_outputs_undo(struct state *s, int64_t run, struct opt_texts *removed, struct err *e);

#endif
