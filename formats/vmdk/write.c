/* Writing VMDK: options, what all layouts share, and the descriptor of the new disk.
 *
 * Identities come from the run's (target_id32, target_uuid), so that a fresh run of the same job
 * gives the same bytes. */
#include "write.h"

#include "bytes.h"
#include "mem.h"
#include "text.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

static const char *const subformat_words[] = {
    "monolithicSparse",     "streamOptimized",    "monolithicFlat",
    "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", NULL,
};

static const struct writer_ops *const layouts[] = {
    [SUBFORMAT_SPARSE] = &write_sparse,
    [SUBFORMAT_STREAM] = &write_stream,
    [SUBFORMAT_FLAT] = &write_flat,
    [SUBFORMAT_SPLIT_SPARSE] = &write_split_sparse,
    [SUBFORMAT_SPLIT_FLAT] = &write_split_flat,
};

static const char *const adapter_words[] = {"ide", "lsilogic", "buslogic", "legacyESX", NULL};

const struct opt_row vmdk_option_rows[] = {
    {
        .key = "subformat",
        .type = OPT_WORD,
        .at = OPT_AT(struct vmdk_options, subformat, int),
        .words = subformat_words,
        .preset = "monolithicSparse",
        .help = "layout: one growing file, a compressed stream for OVF, or flat or growing files "
                "of up to 2 GiB",
    },
    {
        .key = "adapter_type",
        .type = OPT_WORD,
        .at = OPT_AT(struct vmdk_options, adapter, int),
        .words = adapter_words,
        .preset = "ide",
        .help = "controller that VMware attaches the disk to; lsilogic stands for all later SCSI, "
                "SATA and NVMe ones",
    },
    {
        .key = "hw_version",
        .type = OPT_COUNT,
        .at = OPT_AT(struct vmdk_options, hw_version, uint64_t),
        .min = 3,
        .max = 99,
        .preset = "4",
        .help = "virtual hardware version recorded in the descriptor; 4 is known everywhere",
    },
    {
        .key = "level",
        .type = OPT_COUNT,
        .at = OPT_AT(struct vmdk_options, level, uint64_t),
        .min = 1,
        .max = 12,
        .preset = "5", /* about as many bytes as zlib's level 6, which VMware and qemu use */
        .help = "compression of streamOptimized, from fast (1) to small (12)",
    },
    {0},
};

uint64_t writer_extent_len(const struct target *t, const struct writer *w, unsigned i)
{
    return MIN(w->extent_bytes, t->size - i * w->extent_bytes);
}

char *writer_extent_name(const struct writer *w, char letter, unsigned i, struct err *e)
{
    if (!letter)
        return mem_format(e, "%s-flat.vmdk", w->base);
    return mem_format(e, "%s-%c%03u.vmdk", w->base, letter, i + 1);
}

bool writer_descriptor(const struct target *t, const struct writer *w, struct buf *b,
                       const char *type, char letter, struct err *e)
{
    unsigned count = (unsigned)div_up(t->size, w->extent_bytes);

    descriptor_write_head(b, &w->desc);
    for (unsigned i = 0; i < count; i++) {
        AUTO(free)
        char *name = w->split ? writer_extent_name(w, letter, i, e) : mem_text(t->name, e);

        if (!name)
            return false;
        descriptor_write_extent(b, writer_extent_len(t, w, i) / VMDK_SECTOR, type, name);
    }
    descriptor_write_tail(b, &w->desc);
    return buf_ok(b, e);
}

bool writer_seal_descriptor(struct target *t, struct writer *w, const char *type, char letter,
                            struct err *e)
{
    struct buf b = {0};
    bool ok = writer_descriptor(t, w, &b, type, letter, e) &&
              target_queue(t, 0, 0, b.data, b.len, true, e);

    buf_release(&b);
    return ok;
}

/* A descriptor has no way to quote. */
static bool check_name(const char *name, const char *what, struct err *e)
{
    for (const char *c = name; *c; c++)
        if (*c == '"' || (unsigned char)*c < ' ')
            return err_set(e, ERR_UNSUPPORTED,
                           "a VMDK descriptor cannot hold the name of %s, '%s': quotes and control "
                           "characters are not possible; choose another name",
                           what, name);
    return true;
}

static bool set_parent(const struct target *t, struct writer *w, struct err *e)
{
    const char *cid;
    char *end;

    w->desc.parent_cid = DESCRIPTOR_NO_PARENT;
    if (!t->parent || !t->parent->name)
        return true;
    cid = t->parent_image ? t->parent_image->facts.identity : t->parent->identity;
    if (t->parent_image && t->parent_image->driver != t->driver)
        return err_set(e, ERR_UNSUPPORTED,
                       "a VMDK can only have a VMDK as its parent, not '%s' (%s)", t->parent->name,
                       t->parent_image->driver->name);
    if (!cid || strlen(cid) != 8)
        return err_set(e, ERR_UNSUPPORTED, "the parent '%s' has no content id to refer to",
                       t->parent->name);
    w->desc.parent_cid = (uint32_t)strtoul(cid, &end, 16);
    w->desc.parent_hint = t->parent->name;
    return !*end ? check_name(t->parent->name, "its parent", e)
                 : err_set(e, ERR_UNSUPPORTED, "the parent '%s' has the content id '%s'",
                           t->parent->name, cid);
}

static void set_identity(const struct target *t, struct writer *w)
{
    static const uint8_t naa[4] = {0x60, 0x00, 0xc2, 0x90}; /* VMware's identifiers begin so */

    w->desc.cid = target_id32(t, "vmdk cid");
    if (w->desc.cid >= UINT32_C(0xfffffffe)) /* "none" and "see longContentID" */
        w->desc.cid &= INT32_MAX;
    target_uuid(t, "vmdk content", w->content_id);
    target_uuid(t, "vmdk uuid", w->uuid);
    memcpy(w->uuid, naa, 3);
    w->uuid[3] = (uint8_t)(naa[3] | (w->uuid[3] & 0x0f));
    w->desc.content_id = w->content_id;
    w->desc.uuid = w->uuid;
    w->desc.sectors = t->size / VMDK_SECTOR;
}

bool vmdk_create(struct target *t, const void *options, struct err *e)
{
    const struct vmdk_options *o = options;
    struct writer *w = mem_new(struct writer, e);
    size_t len = strlen(t->name);
    unsigned index;

    if (!w)
        return false;
    t->state = w;
    if (!t->size)
        return err_set(e, ERR_UNSUPPORTED, "a VMDK cannot hold a disk of 0 bytes");
    w->ops = layouts[o->subformat];
    if (len > 5 && strcasecmp(t->name + len - 5, ".vmdk") == 0)
        len -= 5;
    w->base = mem_textn(t->name, len, e);
    w->extent_bytes = t->size;
    w->desc.create_type = w->ops->create_type;
    w->desc.adapter = adapter_words[o->adapter];
    w->desc.hw_version = (unsigned)o->hw_version;
    set_identity(t, w);
    t->unit = WRITE_GRAIN;
    t->coder_level = (int)o->level;
    return w->base && check_name(t->name, "the disk", e) && set_parent(t, w, e) &&
           target_add_file(t, NULL, &index, e) && w->ops->begin(t, w, e);
}

bool vmdk_place(struct target *t, const struct place *p, struct placed *ret, struct err *e)
{
    struct writer *w = t->state;

    return w->ops->place(t, w, p, ret, e);
}

bool vmdk_seal(struct target *t, struct err *e)
{
    struct writer *w = t->state;

    return w->ops->seal(t, w, e);
}

void vmdk_discard(struct target *t)
{
    struct writer *w = t->state;

    if (!w)
        return;
    free(w->base);
    free(w->gd);
    free(w);
    t->state = NULL;
}
