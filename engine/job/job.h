/* The job: what a job file says, decoded and checked; nothing outside the file is read but what
 * `glob:`, `csv:` and `images:` name. Sources are read later (source.h), by plan and run.
 *
 * Variables are expanded while decoding. In the options of stages ${disk}, ${disk_id}, ${date} and
 * ${secret:...} stay, and a literal "${" stays written "$${": every text of a stage passes through
 * job_expand before it is used. job_reveal then puts in the secrets, at the last moment. Elsewhere
 * texts are final, but for ${secret:...}. */
#ifndef JOB_JOB_H
#define JOB_JOB_H

#include "gate.h"
#include "mistakes.h"
#include "opt.h"

struct stage;
struct node;
struct node_list;

struct policy {
    uint64_t parallel, workers, network, disk, retries;
    int on_error;       /* enum on_error */
    int source_changed; /* enum source_changed */
    bool direct;        /* images are read and written past the page cache */
    char *window;       /* "22:00-05:00"; NULL: always */
    struct opt_texts chain_search, in_use_check;
};
enum on_error { ON_ERROR_CONTINUE, ON_ERROR_STOP };
enum source_changed { SOURCE_CHANGED_STOP, SOURCE_CHANGED_RESTART };

struct hardware {   /* of a machine: from the job file, completed from its VMX or OVF */
    char *name;     /* display name; NULL: the machine's */
    char *firmware; /* "bios", "uefi"; NULL: unknown */
    char *guest_os; /* as the source says */
    char *uuid;
    uint64_t memory; /* bytes; 0: unknown */
    uint64_t cpus;   /* 0: unknown */
    struct nic {
        char *model, *mac, *network;
    } * nics;
    size_t nic_count;
};

struct job_disk { /* of the list in the job file, or an override by id */
    char *id;     /* "scsi0:1"; NULL: take the place in the list */
    char *path;   /* resolved against the job file's folder; may be NULL in an override */
    char *format; /* NULL: probe */
    bool skip;
};

struct job_stage {
    const struct stage *stage;
    void *options; /* stage->options_size bytes, filled by rows */
    struct mark at;
};

struct machine {
    char *name;
    char *source;           /* .vmx, .ovf, .ova or an image; NULL: `disks` are the list itself */
    struct job_disk *disks; /* with a source: overrides by id */
    size_t disk_count;
    struct job_stage *stages;
    size_t stage_count;
    struct opt_texts tags;
    struct opt_pairs vars; /* job's, machine's, --var: the winning values, as a stage's texts */
    struct opt_pairs env;  /* every ${env:NAME} in its texts, and what it gave */
    struct hardware hardware;
    struct mark at;
};

struct secret {
    char *name;
    char *env, *file, *credential;
    struct opt_texts command;
};

struct network_map {
    char *name, *bridge, *network; /* bridge or network; both NULL: none */
};

struct job {
    char *path; /* as named */
    char *dir;  /* real folder of the file */
    char *name;
    struct opt_pairs vars; /* the job's and --var, as written */
    struct secret *secrets;
    size_t secret_count;
    struct gate_rules rules;
    struct network_map *networks;
    size_t network_count;
    char *workdir; /* NULL: beside each target */
    struct policy policy;
    struct machine *machines;
    size_t machine_count;
    const struct node *remotes; /* `remotes:` as written, checked; NULL: none */
    struct node *document;      /* what OPT_NODE options point into ... */
    struct node_list *kept;     /* ... or into this, where they have variables */
};

struct job_overrides {
    struct opt_texts vars;     /* --var K=V */
    struct opt_texts machines; /* --machine GLOB; empty: all */
    struct opt_texts tags;     /* --tag; empty: all */
    struct opt_texts allow;    /* --allow DIR */
    /* Where unfinished runs are recorded: a machine that has one, with sources that did not change,
     * gets the values of ${env:NAME} that its run began with. NULL: the present ones for all. */
    const char *state_dir;
};

/* NULL with ERR_USAGE when there are mistakes (their number in the text, details in `m`), or with
 * another error when a file cannot be read. */
struct job *job_load(const char *path, const struct job_overrides *overrides, struct mistakes *m,
                     struct err *e);
void job_free(struct job *job);
AUTO_TYPE(struct job *, job_free)

/* What remains to be expanded for one disk. `disk` < 0: not about a disk (using ${disk} is an
 * error). */
struct expand_disk {
    int index;
    const char *id;
};
/* Expands ${disk}, ${disk_id}, ${date} in a stage's text; ${secret:...} stays. `disk` NULL: as
 * index < 0; `date` NULL: using ${date} is an error. Owned result. */
char *job_expand(const char *text, const struct expand_disk *disk, const char *date, struct err *e);
/* Puts the secrets into an expanded text. `values` as job_secret_for. Owned result; never log it.
 */
char *job_reveal(const struct job *job, const char *text, const struct opt_pairs *values,
                 struct err *e);
/* The secret's value, without the newlines at its end; owned; ERR_USAGE when it is not to be had.
 * Never log it. */
char *job_secret(const struct job *job, const char *name, struct err *e);
/* The same for a secret whose command names ${machine}, ${disk}, ${disk_id} or ${upload_size}:
 * `values` has them by name; may be NULL. */
char *job_secret_for(const struct job *job, const char *name, const struct opt_pairs *values,
                     struct err *e);

/* The JSON Schema of job files, from the rows of jobs, machines and all stages. */
char *job_schema(struct err *e);

#endif
