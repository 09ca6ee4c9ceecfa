/* Outputs: the files of a target on their way to their final names.
 *
 * Every file is written beside its final name as `.strata-TAG-NAME.part`, locked the way qemu locks
 * images, and renamed when its contents are complete; the file that names the others (number 0) is
 * renamed last. The tag keeps writers of the same name apart: a job's resumable parts from a plain
 * conversion's. A block device has no rename: it is written in place.
 *
 *     output_resolve -> target_new (with the name) -> output_new -> output_apart -> output_create
 *     -> copy_run -> output_publish, or output_discard, or output_free to keep the parts */
#ifndef IMAGE_OUTPUT_H
#define IMAGE_OUTPUT_H

#include "image.h"
#include "target.h"

#include <sys/types.h>

enum output_flag {
    OUTPUT_OVERWRITE = 1, /* final names may exist, and are replaced by publishing */
    OUTPUT_RESUME = 2,    /* the parts exist and are continued; their contents are kept */
    OUTPUT_DIRECT = 4,    /* written past the page cache, where the file system can */
};

struct output_file {
    char *final, *part; /* real paths; the same for a device */
    dev_t dev;          /* of the part, once created */
    ino_t ino;
    bool made; /* this object created or opened the part */
};

struct output {
    struct target *target;     /* borrowed; owns the stores */
    struct output_file *files; /* as many as target->files, in their order */
    size_t count;
    char *dir;   /* real folder of all of them */
    bool device; /* files[0] is a block device, written in place */
};

/* The real folder and the last part of a name that may not exist yet; a symbolic link at the name
 * itself is followed. ERR_IO for a missing folder. Both are owned by the caller. */
bool output_resolve(const char *path, char **ret_dir, char **ret_name, struct err *e);

/* The part's path for a final name; owned. Long names are cut so that the part's fits. */
char *output_part(const char *dir, const char *name, const char *tag, struct err *e);

/* Names only: touches nothing. ERR_UNSUPPORTED for a device as target of several files. */
struct output *output_new(struct target *t, const char *dir, const char *tag, struct err *e);

/* ERR_REFUSED when a final name is a file that the image reads. */
bool output_apart(const struct output *o, struct image *source, struct err *e);

/* ERR_REFUSED when a final name exists and OUTPUT_OVERWRITE is not given; ERR_BUSY when it is in
 * use. Touches nothing. */
bool output_check(const struct output *o, unsigned flags, struct err *e);

/* output_check, then creates (or, to resume, opens) and locks the parts and gives the target its
 * stores. A part left by a writer that is gone is removed first; one that is held is ERR_BUSY.
 * With OUTPUT_RESUME a part that is missing is ERR_CHANGED. On failure nothing new is left. */
bool output_create(struct output *o, unsigned flags, struct err *e);

/* A device is written in place: its old signatures are wiped (unless `resume`), and its first block
 * stays in memory until the end, so that nobody takes it for a disk before it is one. Both do
 * nothing for files. */
bool output_device_begin(struct output *o, bool resume, struct err *e);
bool output_device_end(struct output *o, struct err *e);

/* One file: `part` becomes `final`. A part that is gone is fine when `final` has that inode. */
bool output_rename(const char *part, const char *final, ino_t ino, struct err *e);

/* All files, number 0 last. `durable`: their folder is synced too; the contents are the caller's
 * matter (copy_run syncs them). The locks stay until the target is freed. */
bool output_publish(struct output *o, bool durable, struct err *e);

/* Removes the parts that this object made. */
void output_discard(struct output *o);

void output_free(struct output *o); /* leaves the parts alone; NULL is fine */
AUTO_TYPE(struct output *, output_free)

#endif
