/* Flat layouts: the guest's bytes in one file (monolithicFlat) or in files of up to 2047 MiB
 * (twoGbMaxExtentFlat), and a descriptor beside them. */
#include "write.h"

#include "bytes.h"

enum { FLAT_UNIT = 4096 }; /* pages of the host's file systems: holes are made of them */

static bool begin(struct target *t, struct writer *w, struct err *e)
{
    unsigned count, file;
    char letter = w->ops == &write_split_flat ? 'f' : 0;

    if (w->desc.parent_hint)
        return err_set(e, ERR_UNSUPPORTED,
                       "a flat VMDK holds a whole disk and cannot have a parent; use "
                       "monolithicSparse");
    w->split = true;
    if (letter)
        w->extent_bytes = WRITE_SPLIT;
    t->unit = FLAT_UNIT;
    count = (unsigned)div_up(t->size, w->extent_bytes);
    for (unsigned i = 0; i < count; i++) {
        AUTO(free) char *name = writer_extent_name(w, letter, i, e);

        if (!name || !target_add_file(t, name, &file, e))
            return false;
        target_extend(t, file, writer_extent_len(t, w, i));
    }
    return true;
}

static bool place(struct target *t, struct writer *w, const struct place *p, struct placed *ret,
                  struct err *e)
{
    uint64_t extent = p->at / w->extent_bytes, inside = p->at % w->extent_bytes;

    (void)t;
    (void)e;
    ret->len = MIN(p->len, w->extent_bytes - inside);
    ret->stored = true;
    ret->file = (unsigned)extent + 1;
    ret->pos = inside;
    return true;
}

static bool seal(struct target *t, struct writer *w, struct err *e)
{
    return writer_seal_descriptor(t, w, "FLAT", w->ops == &write_split_flat ? 'f' : 0, e);
}

const struct writer_ops write_flat = {
    .create_type = "monolithicFlat",
    .begin = begin,
    .place = place,
    .seal = seal,
};

const struct writer_ops write_split_flat = {
    .create_type = "twoGbMaxExtentFlat",
    .begin = begin,
    .place = place,
    .seal = seal,
};
