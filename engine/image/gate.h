/* The gate: every name found inside an image (parent, extent, data file) is opened here and nowhere
 * else.
 *
 * A name is allowed when, with all symbolic links and `..` resolved, it lies under one of the
 * roots: the real directory of the file the user named, and the directories of `allow`. `path_map`
 * rewrites a recorded prefix first. The check is made on the opened object, not on the text, so
 * nothing can be swapped between check and use. */
#ifndef IMAGE_GATE_H
#define IMAGE_GATE_H

#include "file.h"
#include "opt.h"

/* How the files of an image are opened, as the job or the command line says; borrowed, may be NULL.
 */
struct gate_rules {
    struct opt_texts allow;    /* further roots */
    struct opt_pairs path_map; /* recorded prefix -> replacement */
    bool direct;               /* past the page cache, where the file system can */
};

struct gate;

/* `path`: the file the user named; its real directory is the first root. */
struct gate *gate_new(const char *path, const struct gate_rules *rules, struct err *e);
struct gate *gate_ref(struct gate *g);
void gate_free(struct gate *g);
AUTO_TYPE(struct gate *, gate_free)

/* Opens `name` as recorded in the image `from_path`: relative names start at that file's real
 * directory. ERR_GATE when it resolves outside the roots (the message prints the `allow:` line to
 * add; nothing of the target is read), ERR_FORMAT when it does not exist ("missing ..."), naming
 * what was looked for. An absolute name that does not exist, or is not allowed, is also looked for
 * by its last part beside from_path. Protocol names ("nbd://...", "json:{...}") are ERR_GATE.
 * `ret_path`: the real path, owned by the caller. */
struct io *gate_open(struct gate *g, const char *from_path, const char *name, unsigned file_flags,
                     char **ret_path, struct err *e);

#endif
