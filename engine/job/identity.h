/* Identities: what the bytes of a run follow from, as SHA-256 of a canonical text.
 *
 * A stage's identity covers the files that are read (as stat knows them), the machine's disks, the
 * altering stages before it and its own options that change bytes. Policy, workers, secrets, other
 * machines and later stages are no part of it: changing them never throws work away. */
#ifndef JOB_IDENTITY_H
#define JOB_IDENTITY_H

#include "buf.h"
#include "image.h"
#include "job.h"
#include "source.h"
#include "state.h"

/* Adds every file of the chain that is not in the list yet. */
bool facts_add_image(struct source_facts *f, struct image *img, struct err *e);
bool facts_add_path(struct source_facts *f, const char *path, struct err *e);

/* True when every file still is as recorded; otherwise ERR_CHANGED says which and how. */
bool facts_hold(const struct source_facts *f, struct err *e);

/* The newest modification time, in seconds since 1970. */
int64_t facts_mtime(const struct source_facts *f);

/* One identity per stage of the machine, in an owned array. `date` stands for ${date}. */
struct digest_value *identity_stages(const struct machine *machine, const struct source *source,
                                     const struct source_facts *facts, const char *date,
                                     struct err *e);

/* The rows' values as "key=value" lines, in the order of the rows; options of policy left out. */
bool identity_options(struct buf *out, const struct opt_row *rows, const void *options,
                      struct err *e);

/* What UUIDs and CIDs of one output are derived from: the same for every run of the same job, so
 * nothing of inodes or of when it runs. */
bool identity_content(const char *job, const char *machine, const char *disk, const char *format,
                      const char *options, uint64_t size, int64_t mtime, struct digest_value *ret,
                      struct err *e);

#endif
