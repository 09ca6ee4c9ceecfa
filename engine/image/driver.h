/* The driver interface: a format is one const struct that translates addresses.
 *
 * A driver never moves data. Reading side: `open` reads metadata, `map` answers where bytes lie.
 * Writing side: `create` declares files, `place` answers where bytes go, `seal` ends the image; all
 * three queue metadata writes and touch no file. Arguments are checked by the front door (image.c,
 * target.c): drivers trust them. A NULL slot means "cannot". */
#ifndef IMAGE_DRIVER_H
#define IMAGE_DRIVER_H

#include "image.h"
#include "opt.h"
#include "target.h"

struct probe {
    const char *path;    /* for the suffix only */
    const uint8_t *head; /* the first head_len bytes (up to 64 KiB) */
    size_t head_len;
    const uint8_t *tail; /* the last tail_len bytes (up to 4 KiB) */
    size_t tail_len;
    uint64_t size; /* of the file */
};

/* What a container of this format can hold and carry. The planner refuses or warns by these. */
struct format_limits {
    uint64_t size_max;      /* largest virtual size in bytes */
    uint32_t size_multiple; /* virtual size granularity; a target rounds up and says so */
    bool zero_mark;         /* can say "zero" over a parent without storing zeroes */
    bool parents;           /* can name a parent */
    bool snapshots;         /* can hold internal snapshots */
    bool sectors_4k;        /* can record 4096-byte sectors */
};

enum check_level { CHECK_INFO, CHECK_LEAK, CHECK_DAMAGE };
typedef void check_fn(void *user, enum check_level level, const char *text);

struct driver {
    const char *name;            /* "qcow2" */
    const char *help;            /* one line */
    const char *const *aliases;  /* other names users know ("vpc"); NULL-terminated or NULL */
    const char *const *suffixes; /* "vmdk"; NULL-terminated or NULL */
    unsigned layout_version; /* raised when place() starts to answer differently: part of a run's
                                identity */
    struct format_limits limits;

    /* reading */
    int (*probe)(
        const struct probe *p); /* 0: not mine; up to 100: certainly mine, even if damaged */
    bool (*open)(struct image *img, struct err *e); /* img->io, path, gate, snapshot are set; fills
                                                       size, sector_size, facts, state */
    void (*close)(struct image *img);               /* frees state; runs after a failed open too */
    bool (*map)(struct image *img, uint64_t at, uint64_t want, struct extent *ret, struct err *e);
    bool (*parent)(struct image *img, struct parent_ref *ret,
                   struct err *e); /* ret is zeroed; NULL slot: never has one */
    bool (*files)(struct image *img, image_file_fn *fn, void *user, unsigned layer,
                  struct err *e); /* NULL: img->io alone */
    bool (*check)(struct image *img, check_fn *report, void *user,
                  struct err *e); /* structure; false only when it cannot go on */

    /* writing */
    const struct opt_row *options; /* of create; NULL: none */
    size_t options_size;           /* of the struct they fill */
    bool (*create)(struct target *t, const void *options, struct err *e);
    bool (*place)(struct target *t, const struct place *p, struct placed *ret, struct err *e);
    bool (*seal)(struct target *t, struct err *e);
    void (*discard)(struct target *t); /* frees t->state; runs after failures too */
};

/* All drivers, in the order they are probed; ends with NULL. Defined in formats/table.c and handed
 * in by the program (drivers_register), so that the image layer does not depend on the formats. */
void drivers_register(const struct driver *const *table);
const struct driver *const *drivers_all(void);
/* By name or alias; NULL when unknown. */
const struct driver *driver_find(const char *name);
/* ERR_USAGE with the nearest name when unknown. */
const struct driver *driver_named(const char *name, struct err *e);
/* The same as an option row's check. */
bool driver_known(const char *name, struct err *e);

#endif
