/* Is a block device, or a part of it, mounted on this host? */
#ifndef STAGES_MOUNTS_H
#define STAGES_MOUNTS_H

#include "err.h"

/* *ret_where: the mount point, owned; NULL when it is not mounted or `path` is no block device. */
bool mounts_find(const char *path, char **ret_where, struct err *e);

#endif
