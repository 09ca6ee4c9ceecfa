/* The checks of the preflight stage, by what they look at. Each adds findings (plan_finding) and
 * fails only when it could not look. Ids are documented in docs/preflight.md. */
#ifndef STAGES_PREFLIGHT_H
#define STAGES_PREFLIGHT_H

#include "machine_run.h"

/* True when the container itself is encrypted, so that its data cannot be read. A raw disk that
 * holds an encrypted volume is read as it is. */
bool preflight_encrypted(const struct image *img);

/* preflight_image.c: the container and its chain. */
bool preflight_image(struct machine_run *m, const struct machine_disk *d, struct err *e);
/* preflight_disk.c: what is on the virtual disk: partition table, encryption inside. */
bool preflight_disk(struct machine_run *m, const struct machine_disk *d, struct err *e);
/* preflight_host.c: who else uses the files: mounts, VMware's lock and suspend files. */
bool preflight_host(struct machine_run *m, const struct machine_disk *d, struct err *e);

#endif
