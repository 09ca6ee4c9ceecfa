/* Small text files, read whole: job files, CSV lists, VMX files, secrets. */
#ifndef CONFIG_SLURP_H
#define CONFIG_SLURP_H

#include "err.h"

#include <stddef.h>

/* The whole file, NUL-terminated, owned; `*ret_len` without the NUL. ERR_IO when it is missing or
 * cannot be read, ERR_USAGE when it is no regular file (never blocks on a FIFO) or has more than
 * `max` bytes (then nothing of it is read). */
char *slurp(const char *path, size_t max, size_t *ret_len, struct err *e);

/* Up to `size` bytes from the start of a file or block device, for a look at what it is; the same
 * errors. */
bool slurp_head(const char *path, void *buf, size_t size, size_t *ret_len, struct err *e);

#endif
