/* Preflight: the container and its chain. That every link is there and unchanged was checked when
 * it was opened; here is what else may be wrong with it. */
#include "preflight.h"

#include "bytes.h"
#include "driver.h"
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { DEPTH_USUAL = 3 }; /* VMware's own advice is to keep at most two or three snapshots */

/* Larger layers are not checked in full: their tables alone take minutes to read. */
static const uint64_t checked_max = 2 * TIB;

struct damage {
    unsigned count;
    char first[256];
};

static void note_damage(void *user, enum check_level level, const char *text)
{
    struct damage *d = user;

    if (level != CHECK_DAMAGE)
        return;
    if (!d->count++)
        snprintf(d->first, sizeof(d->first), "%s", text);
}

static bool check_structure(struct machine_run *m, const struct machine_disk *d, struct image *img,
                            struct err *e)
{
    struct damage damage = {0};
    struct err why = ERR_INIT;

    if (!img->driver->check)
        return true;
    if (img->size > checked_max)
        return plan_finding(m, "image.not-checked", LAYER_CONTAINER, SEVERITY_INFO, ERR_NONE, d->id,
                            "'strata check' does it", e,
                            "the tables of '%s' were not checked, since it is larger than %s",
                            img->path, SIZE_TEXT(checked_max));
    if (!img->driver->check(img, note_damage, &damage, &why)) {
        if (why.kind == ERR_MEMORY)
            return err_set(e, why.kind, "%s", why.text);
        return plan_finding(m, "image.damaged", LAYER_CONTAINER, SEVERITY_CRITICAL, why.kind, d->id,
                            "copy it again from where it came", e, "'%s' is damaged: %s", img->path,
                            why.text);
    }
    return !damage.count ||
           plan_finding(m, "image.damaged", LAYER_CONTAINER, SEVERITY_CRITICAL, ERR_FORMAT, d->id,
                        "copy it again from where it came, or repair a copy of it", e,
                        "'%s' is damaged in %u place%s, first: %s", img->path, damage.count,
                        damage.count == 1 ? "" : "s", damage.first);
}

bool preflight_encrypted(const struct image *img)
{
    return img->facts.encryption && strcmp(img->driver->name, "raw") != 0;
}

static bool check_marks(struct machine_run *m, const struct machine_disk *d,
                        const struct image *img, struct err *e)
{
    if (img->facts.corrupt &&
        !plan_finding(m, "image.corrupt", LAYER_CONTAINER, SEVERITY_CRITICAL, ERR_FORMAT, d->id,
                      "repair a copy of it ('qemu-img check -r all')", e,
                      "'%s' is marked corrupt by the program that wrote it", img->path))
        return false;
    if (img->facts.dirty && !plan_finding(m, "image.dirty", LAYER_CONTAINER, SEVERITY_WARNING,
                                          ERR_NONE, d->id, "the machine was not shut down cleanly",
                                          e, "'%s' was not closed cleanly", img->path))
        return false;
    if (preflight_encrypted(img) &&
        !plan_finding(m, "image.encrypted", LAYER_CONTAINER, SEVERITY_CRITICAL, ERR_UNSUPPORTED,
                      d->id, "decrypt it with the program that wrote it", e,
                      "'%s' is encrypted (%s): its data cannot be read", img->path,
                      img->facts.encryption))
        return false;
    return true;
}

static bool check_drops(struct machine_run *m, const struct machine_disk *d,
                        const struct image *img, struct err *e)
{
    for (size_t i = 0; i < img->facts.dropped.count; i++)
        if (!plan_finding(m, "convert.drops", LAYER_CONTAINER, SEVERITY_WARNING, ERR_NONE, d->id,
                          NULL, e, "a conversion does not carry %s of '%s'",
                          img->facts.dropped.items[i], img->path))
            return false;
    return true;
}

/* The suffix by which the file's name claims a format other than the one it was read as; NULL:
 * none. */
static const char *claimed_suffix(const struct image *img)
{
    const char *slash = strrchr(img->path, '/'), *dot = strrchr(slash ? slash : img->path, '.');

    for (const struct driver *const *d = drivers_all(); dot && *d; d++)
        for (const char *const *s = (*d)->suffixes; *d != img->driver && s && *s; s++)
            if (strcasecmp(*s, dot + 1) == 0)
                return dot;
    return NULL;
}

static bool check_guessed(struct machine_run *m, const struct machine_disk *d, struct err *e)
{
    const char *suffix = claimed_suffix(d->image);

    if (!opt_pairs_get(&d->image->facts.extra, "probed"))
        return true;
    if (suffix)
        return plan_finding(m, "format.guessed", LAYER_CONTAINER, SEVERITY_WARNING, ERR_NONE, d->id,
                            "look whether it is damaged or cut off; write 'format: raw' at the "
                            "disk when raw is right",
                            e,
                            "the name '%s' ends in '%s', but its contents are of no known format "
                            "and are read as raw",
                            d->image->path, suffix);
    return plan_finding(m, "format.guessed", LAYER_CONTAINER, SEVERITY_WARNING, ERR_NONE, d->id,
                        "write 'format: raw' at the disk when that is right", e,
                        "'%s' is of no known format and is read as raw", d->image->path);
}

bool preflight_image(struct machine_run *m, const struct machine_disk *d, struct err *e)
{
    unsigned depth = image_depth(d->image);

    if (depth > DEPTH_USUAL &&
        !plan_finding(m, "chain.depth", LAYER_CONTAINER, SEVERITY_WARNING, ERR_NONE, d->id,
                      "it is read as one disk; the source itself is better consolidated too", e,
                      "the chain of disk %s has %u layers", d->id, depth))
        return false;
    if (!check_guessed(m, d, e))
        return false;
    for (struct image *img = d->image; img; img = img->parent)
        if (!check_marks(m, d, img, e) || !check_drops(m, d, img, e) ||
            (!preflight_encrypted(img) && !check_structure(m, d, img, e)))
            return false;
    return true;
}
