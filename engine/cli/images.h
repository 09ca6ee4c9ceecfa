/* What the image commands share: opening what the command line names, and the new image that it
 * asks for. */
#ifndef CLI_IMAGES_H
#define CLI_IMAGES_H

#include "cli.h"
#include "copy.h"
#include "driver.h"
#include "image.h"
#include "target.h"

/* Opens an argument by the options of the command line. `format` NULL: probe. */
struct image *images_open(const struct cli *cli, const char *path, const char *format,
                          enum image_lock lock, struct err *e);
/* The same; `layer`: without its parents, whatever the options say. */
struct image *images_open_layer(const struct cli *cli, const char *path, const char *format,
                                enum image_lock lock, bool layer, struct err *e);

/* The target that -O and -o ask for, with the contents' size; `name` is its file name. */
struct target *images_target(const struct cli *cli, const struct image *source, const char *name,
                             struct err *e);

/* copy_run with the command line's workers and rate, a bar with `label`, and a clean stop. */
bool images_copy(const struct cli *cli, const char *label, struct copy *c, struct err *e);

/* Warns of what the new image cannot carry, of every layer of the source. */
void images_say_dropped(const struct image *source);

#endif
