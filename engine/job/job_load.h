/* Inside the loading of a job: shared by job.c and the job_*.c files only.
 *
 *   job.c           the document as a whole, filters
 *   job_rows.c      the keys of the language: one table a map
 *   job_vars.c      variables
 *   job_env.c       ${env:NAME}, frozen while a run is unfinished
 *   job_secrets.c   secrets: where they are, and fetching them
 *   job_machines.c  machines from lists, globs, CSV files and images
 *   job_stages.c    the stages of a machine and their order
 *   job_targets.c   outputs that clash
 *   job_paths.c     relative paths
 *   job_csv.c       CSV files
 *   job_schema.c    the JSON Schema of all of it */
#ifndef JOB_JOB_LOAD_H
#define JOB_JOB_LOAD_H

#include "job.h"
#include "rows.h"
#include "stage.h"

enum {
    JOB_MACHINES_MAX = 10000, /* a fleet larger than any site's; bounds globs and CSV files */
    JOB_VARS_MAX = 256,       /* more is a program, not a job */
    JOB_TEXT_MAX = 64 << 10,  /* of an expanded text: paths and commands are far shorter */
    JOB_NAME_MAX = 128,       /* of a job or machine: it becomes part of file names */
};

/* The keys of a file, of a machine, of a disk and so on, as written. */
struct job_file {
    uint64_t strata;
    char *name, *workdir;
    struct opt_pairs path_map;
    struct opt_texts allow, images;
    const struct node *vars, *secrets, *remotes, *networks, *machines, *stages;
    struct policy policy;
};

struct hardware_keys {
    int firmware;
    uint64_t memory, cpus;
    char *name, *guest_os, *uuid;
    const struct node *nics;
};

struct machine_keys {
    char *name, *source, *glob, *csv;
    const struct node *vars, *disks, *set, *stages;
    struct opt_texts tags, skip;
    struct hardware_keys hardware;
};

struct network_keys {
    char *bridge, *network;
    bool none;
};

struct remote_keys {
    char *match, *user, *password, *ca;
};

extern const struct opt_row job_rows[], job_policy_rows[], job_machine_rows[], job_disk_rows[],
    job_nic_rows[], job_secret_rows[], job_network_rows[], job_remote_rows[];

/* How a text will be used, and so what may stay in it. */
enum text_use {
    TEXT_FINAL,   /* now: only ${secret:...} stays */
    TEXT_STAGE,   /* job_expand follows */
    TEXT_COMMAND, /* of a secret: ${machine}, ${disk}, ${disk_id}, ${upload_size} stay */
};

struct var {
    const char *name, *raw; /* borrowed */
    struct mark at;
    enum { VAR_NEW, VAR_BUSY, VAR_DONE, VAR_BAD } state;
    char *value;
    bool *used; /* set when a text names it; may be NULL */
};

/* The variables as one place of the file sees them. */
struct scope {
    struct mistakes *mistakes;
    const struct job *job; /* for its name and the names of its secrets */
    const char *machine;   /* NULL: outside machines */
    enum text_use use;
    VEC(struct var) vars;
    const char *state_dir; /* as struct job_overrides */
    struct opt_pairs *env; /* values of ${env:NAME} used so far; NULL: they are not kept */
    bool env_read;         /* what an unfinished run recorded is in `env` */
};

void scope_release(struct scope *s);
/* Defines a variable, over an earlier one of that name. */
bool scope_add(struct scope *s, const char *name, const char *raw, struct mark at, bool *used,
               struct err *e);
/* The pairs of a `vars:` map (NULL: none); what is no map of texts, and names that cannot be
 * variables, become mistakes. */
bool scope_add_map(struct scope *s, const struct node *vars, struct err *e);
/* struct decode's expand, with the scope as user. */
char *scope_expand(void *scope, const char *text, struct err *e);
/* Every variable's value; those that have none become mistakes. */
bool scope_values(struct scope *s, struct opt_pairs *ret, struct err *e);
bool var_name_valid(const char *name);
/* What ${env:NAME} is here, borrowed; NULL without an error when there is no such variable. */
const char *env_value(struct scope *s, const char *name, struct err *e);
/* What TEXT_COMMAND left in a text, from `values` (may be NULL). Owned. */
char *vars_fill(const char *text, const struct opt_pairs *values, struct err *e);

struct job_loader {
    struct job *job;
    struct job_file file;
    const struct job_overrides *overrides;
    struct opt_texts override_names; /* of --var K=V: one K each */
    bool *override_used;             /* one per --var: some text names it */
    struct mistakes *mistakes;
    VEC(struct machine) machines;
    struct err *e; /* no memory: set, and everything returns false */
};

/* The machine's scope: job's variables, then the entry's, the CSV row's and --var. */
bool loader_scope(struct job_loader *l, const char *machine, const struct node *vars,
                  const struct opt_pairs *row, struct mark at, struct scope *ret);
void machine_release(struct machine *m);
void hardware_release(struct hardware *h);
void nics_release(struct hardware *h);

bool machines_load(struct job_loader *l, const struct node *root);
/* Fills m->stages from the common list or the entry's own (entry may be NULL). */
bool stages_load(struct job_loader *l, struct scope *scope, const struct node *entry,
                 struct machine *m);
bool targets_check(struct job_loader *l);
bool secrets_load(struct job_loader *l, const struct node *map, struct scope *scope);
/* Texts that look like a secret written out, anywhere in the document. */
void secrets_look(const struct node *n, struct mistakes *m);
bool secret_known(const struct job *job, const char *name);

/* True for scheme://... */
bool path_is_url(const char *text);
/* The path from the job's folder; URLs, and texts that start with a secret, stay. Owned. */
char *path_resolve(const char *dir, const char *path, struct err *e);
/* path_resolve on every field whose row says OPT_PATH. */
bool paths_resolve(const struct opt_row *rows, void *target, const char *dir, struct err *e);
/* [A-Za-z0-9._-]+, not "." or "..". */
bool job_name_check(const char *text, struct err *e);

#endif
