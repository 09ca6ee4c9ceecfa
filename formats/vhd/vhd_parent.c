/* Names of a differencing disk's parent.
 *
 * Up to eight locators name it, each for a platform: W2ru (relative) and W2ku (absolute) are
 * UTF-16, little-endian as Windows writes them; the header has another name in UTF-16BE, a bare one
 * or a path. They are tried in that order, and the first that can be read is the answer: the
 * relative one survives a move of the whole chain. Other locators (Wi2r, Wi2k, `Mac `, MacX) are
 * not needed: whoever writes them writes one of these too, and the name in the header.
 *
 * The identity is the parent's UUID. The recorded time stamp is not looked at: it is the parent
 * file's modification time, which copying changes. */
#include "vhd.h"

#include "bytes.h"
#include "mem.h"
#include "text.h"

#include <string.h>

/* A name that cannot be read is passed over; only what is not the image's fault fails. */
static bool passed_over(struct err *cause, struct err *e)
{
    return cause->kind == ERR_NONE || cause->kind == ERR_FORMAT ||
           err_set(e, cause->kind, "%s", cause->text);
}

/* *ret stays NULL when no such locator has a readable name. */
static bool locator_name(struct image *img, const char *code, char **ret, struct err *e)
{
    const struct vhd *v = img->state;

    for (size_t i = 0; i < VHD_LOCATORS && !*ret; i++) {
        const struct vhd_locator *l = &v->header.locators[i];
        AUTO(free) uint8_t *units = NULL;
        struct err cause = ERR_INIT;

        if (memcmp(l->code, code, sizeof(l->code)) != 0 || l->length > 2 * IMAGE_NAME_MAX ||
            !range_inside(l->offset, l->length, img->io->size))
            continue;
        units = mem_alloc(l->length, &cause);
        if (units && io_read(img->io, l->offset, units, l->length, &cause))
            *ret = utf16_text(units, l->length / 2, false, true, &cause);
        if (!passed_over(&cause, e))
            return false;
    }
    return true;
}

/* Fills ret->name unless it is known already or the recorded one is empty. */
static bool take_name(char *recorded, struct parent_ref *ret, struct err *e)
{
    const char *name = recorded ? vhd_host_name(recorded) : "";
    bool ok = true;

    if (!ret->name && *name && strlen(name) < IMAGE_NAME_MAX) {
        ret->name = mem_text(name, e);
        ok = ret->name != NULL;
    }
    free(recorded);
    return ok;
}

bool vhd_parent(struct image *img, struct parent_ref *ret, struct err *e)
{
    static const char *const codes[] = {"W2ru", "W2ku"};
    const struct vhd *v = img->state;
    struct err cause = ERR_INIT;
    char uuid[VHD_UUID_TEXT];

    if (v->footer.type != VHD_DIFFERENCING)
        return true;
    vhd_uuid_text(v->header.parent_uuid, uuid);
    ret->identity = mem_text(uuid, e);
    ret->format = mem_text("vhd", e); /* nothing else can be a parent: it is never probed */
    if (!ret->identity || !ret->format)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(codes) && !ret->name; i++) {
        char *name = NULL;

        if (!locator_name(img, codes[i], &name, e) || !take_name(name, ret, e))
            return false;
    }
    if (!take_name(utf16_text(v->header.parent_name, VHD_NAME_UNITS, true, true, &cause), ret, e) ||
        !passed_over(&cause, e))
        return false;
    return ret->name ||
           err_set(e, ERR_FORMAT,
                   "'%s' is a differencing VHD without a readable name of its parent", img->path);
}
