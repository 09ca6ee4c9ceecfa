/* What the files of the convert stage share: its options, and how one disk's target follows from
 * them. */
#ifndef STAGES_CONVERT_H
#define STAGES_CONVERT_H

#include "driver.h"
#include "machine_run.h"
#include "node.h"
#include "publish.h"

enum convert_exists { EXISTS_REFUSE, EXISTS_OVERWRITE };
enum convert_compression { COMPRESSION_NONE, COMPRESSION_ZLIB, COMPRESSION_ZSTD };

struct convert_options {
    char *format, *to, *disk;
    const struct node *disks;
    int exists, compression, preallocation;
    uint64_t level, cluster_size;
    char *subformat;
    struct opt_pairs options;
    bool digest;
};

/* Of one disk: what `disks: {<id>: ...}` changes. */
struct convert_disk {
    char *to, *format;
    bool skip;
};
extern const struct opt_row convert_disk_rows[];
extern const char *const convert_preallocation_words[];

/* One disk's target, before a file is touched. */
struct convert_target {
    bool skip;
    const struct driver *driver;
    char *dir, *name, *final; /* real folder, last part, both */
    char *options;            /* of the driver, as text */
    bool replace;             /* what is there may be replaced */
    uint64_t device;          /* size of the block device at the name; 0: a file */
    struct target *target;    /* not written yet; taken over by the run */
    enum copy_method method;
    struct digest_value recipe;
};
void convert_target_release(struct convert_target *t);
static inline void convert_target_release_at(struct convert_target *t)
{
    convert_target_release(t);
}

/* True when the stage writes this disk; amended options for it in *ret (emptied with opt_release).
 */
bool convert_disk_options(const struct convert_options *o, const struct machine_disk *d,
                          struct convert_disk *ret, struct err *e);
/* The final name as far as options alone tell; NULL without an error when they do not. Owned. */
char *convert_name(struct machine_run *m, const struct convert_options *o,
                   const struct convert_disk *own, const struct machine_disk *d, struct err *e);
/* Everything about the target. The disk must be open. */
bool convert_resolve(struct machine_run *m, const struct convert_options *o,
                     const struct machine_disk *d, struct convert_target *ret, struct err *e);
/* Bytes the target will take: from sampled data, and at most. */
bool convert_need(struct machine_run *m, const struct machine_disk *d, struct convert_target *t,
                  uint64_t *ret_need, uint64_t *ret_bound, struct err *e);

#endif
