/* Sparse layouts: one file with its descriptor (monolithicSparse), or files of up to 2047 MiB and a
 * descriptor beside them (twoGbMaxExtentSparse). Each file is
 *
 *     header  [descriptor, 20 sectors]  redundant GD  its GTs  GD  GTs  | grains of 64 KiB ...
 *
 * with room for every table, as VMware and qemu lay it out, so that both can go on writing to it.
 * A table is queued when the guest position has passed it; tables without entries stay the zeroes
 * they are. Directories and header follow at the end of the extent. */
#include "write.h"

#include "bytes.h"
#include "mem.h"

#include <inttypes.h>
#include <string.h>

/* Where things are in an extent's file, in sectors. */
struct plan {
    uint64_t capacity, tables, gd_sectors, rgd, gd, overhead;
};

static void plan_extent(const struct target *t, const struct writer *w, unsigned i,
                        struct plan *ret)
{
    uint64_t len = writer_extent_len(t, w, i);

    ret->capacity = len / VMDK_SECTOR;
    ret->tables = div_up(len, WRITE_TABLE_SPAN);
    ret->gd_sectors = div_up(ret->tables * 4, VMDK_SECTOR);
    ret->rgd = w->split ? 1 : 1 + WRITE_DESC_SECTORS;
    ret->gd = ret->rgd + ret->gd_sectors + ret->tables * (WRITE_TABLE / VMDK_SECTOR);
    ret->overhead = round_up(ret->gd + (ret->gd - ret->rgd), WRITE_ALIGN);
}

static unsigned file_of(const struct writer *w, unsigned extent)
{
    return w->split ? extent + 1 : 0;
}

static void begin_extent(struct target *t, struct writer *w, unsigned i)
{
    struct plan plan;

    plan_extent(t, w, i, &plan);
    w->extent = i;
    w->next = plan.overhead * VMDK_SECTOR;
    target_extend(t, file_of(w, i), w->next);
}

static bool begin(struct target *t, struct writer *w, struct err *e)
{
    unsigned count, file;
    struct plan plan;

    w->split = w->ops == &write_split_sparse;
    w->zero_marks = w->desc.parent_hint != NULL;
    if (w->split)
        w->extent_bytes = WRITE_SPLIT;
    plan_extent(t, w, 0, &plan);
    if (plan.overhead + plan.capacity + WRITE_ALIGN > UINT32_MAX)
        return err_set(e, ERR_UNSUPPORTED,
                       "monolithicSparse counts sectors in 32 bits and holds a little less than "
                       "2 TiB; use subformat twoGbMaxExtentSparse, streamOptimized or "
                       "monolithicFlat");
    count = (unsigned)div_up(t->size, w->extent_bytes);
    for (unsigned i = 0; w->split && i < count; i++) {
        AUTO(free) char *name = writer_extent_name(w, 's', i, e);

        if (!name || !target_add_file(t, name, &file, e))
            return false;
    }
    t->front = w->split ? 0 : plan.overhead * VMDK_SECTOR;
    begin_extent(t, w, 0);
    return true;
}

static bool flush_table(struct target *t, struct writer *w, struct err *e)
{
    unsigned file = file_of(w, w->extent);
    struct plan plan;
    uint64_t at;

    if (!w->table.used)
        return true;
    w->table.used = false;
    plan_extent(t, w, w->extent, &plan);
    at = plan.gd_sectors * VMDK_SECTOR + w->table.index * WRITE_TABLE;
    return target_queue(t, file, plan.rgd * VMDK_SECTOR + at, w->table.bytes, WRITE_TABLE, false,
                        e) &&
           target_queue(t, file, plan.gd * VMDK_SECTOR + at, w->table.bytes, WRITE_TABLE, false, e);
}

/* Sets the entry of the grain at `inside` of the extent. */
static bool set_entry(struct target *t, struct writer *w, uint64_t inside, uint32_t entry,
                      struct err *e)
{
    uint64_t grain = inside / WRITE_GRAIN;

    if (w->table.used && w->table.index != grain / VMDK_GTES && !flush_table(t, w, e))
        return false;
    if (!w->table.used) {
        memset(w->table.bytes, 0, sizeof(w->table.bytes));
        w->table.index = grain / VMDK_GTES;
        w->table.used = true;
    }
    put_le32(w->table.bytes + grain % VMDK_GTES * 4, entry);
    return true;
}

static bool queue_directory(struct target *t, const struct writer *w, const struct plan *plan,
                            uint64_t at, struct err *e)
{
    size_t len = plan->gd_sectors * VMDK_SECTOR; /* at most 256 KiB: 2 TiB of disk */
    AUTO(free) uint8_t *gd = mem_alloc(len, e);

    if (!gd)
        return false;
    for (uint64_t i = 0; i < plan->tables; i++)
        put_le32(gd + i * 4, (uint32_t)(at + plan->gd_sectors + i * (WRITE_TABLE / VMDK_SECTOR)));
    return target_queue(t, file_of(w, w->extent), at * VMDK_SECTOR, gd, len, false, e);
}

static bool queue_header(struct target *t, const struct writer *w, const struct plan *plan,
                         struct err *e)
{
    uint8_t b[VMDK_SECTOR];
    struct vmdk_header h = {
        .version = w->zero_marks ? 2 : 1,
        .flags = VMDK_FLAG_NEWLINES | VMDK_FLAG_REDUNDANT | (w->zero_marks ? VMDK_FLAG_ZEROED : 0),
        .capacity = plan->capacity,
        .grain = WRITE_GRAIN / VMDK_SECTOR,
        .desc_at = w->split ? 0 : 1,
        .desc_len = w->split ? 0 : WRITE_DESC_SECTORS,
        .gtes = VMDK_GTES,
        .rgd = plan->rgd,
        .gd = plan->gd,
        .overhead = plan->overhead,
    };

    vmdk_header_pack(&h, b);
    return target_queue(t, file_of(w, w->extent), 0, b, sizeof(b), !w->split, e);
}

static bool end_extent(struct target *t, struct writer *w, struct err *e)
{
    struct plan plan;

    plan_extent(t, w, w->extent, &plan);
    return flush_table(t, w, e) && queue_directory(t, w, &plan, plan.rgd, e) &&
           queue_directory(t, w, &plan, plan.gd, e) && queue_header(t, w, &plan, e);
}

static bool place_grains(struct target *t, struct writer *w, uint64_t inside, uint64_t grains,
                         bool zero, struct err *e)
{
    for (uint64_t i = 0; i < grains; i++) {
        uint32_t entry = zero ? 1 : (uint32_t)((w->next + i * WRITE_GRAIN) / VMDK_SECTOR);

        if (!set_entry(t, w, inside + i * WRITE_GRAIN, entry, e))
            return false;
    }
    return true;
}

static bool place(struct target *t, struct writer *w, const struct place *p, struct placed *ret,
                  struct err *e)
{
    unsigned extent = (unsigned)(p->at / w->extent_bytes);
    uint64_t inside = p->at % w->extent_bytes, end, grains;

    ret->len = MIN(p->len, w->extent_bytes - inside);
    grains = div_up(ret->len, WRITE_GRAIN);
    if (p->kind == PLACE_PLAIN) {
        ret->stored = true;
        ret->file = file_of(w, extent);
        ret->pos = w->next;
        if (!place_grains(t, w, inside, grains, false, e))
            return false;
        w->next += grains * WRITE_GRAIN;
        target_extend(t, ret->file, w->next);
    } else if (p->kind == PLACE_ZERO && w->zero_marks) {
        if (!place_grains(t, w, inside, grains, true, e))
            return false;
    }
    end = inside + ret->len;
    if (end == w->extent_bytes && p->at + ret->len < t->size) {
        if (!end_extent(t, w, e))
            return false;
        begin_extent(t, w, extent + 1);
    } else if (w->table.used && end >= (w->table.index + 1) * WRITE_TABLE_SPAN) {
        return flush_table(t, w, e);
    }
    return true;
}

static bool queue_embedded(struct target *t, const struct writer *w, struct err *e)
{
    struct buf b = {0};
    bool ok = writer_descriptor(t, w, &b, "SPARSE", 0, e);

    if (ok && b.len > WRITE_DESC_SECTORS * VMDK_SECTOR)
        ok =
            err_set(e, ERR_UNSUPPORTED, "the descriptor of '%s' does not fit into 10 KiB", t->name);
    if (ok) {
        buf_zero(&b, WRITE_DESC_SECTORS * VMDK_SECTOR - b.len);
        ok = buf_ok(&b, e) && target_queue(t, 0, VMDK_SECTOR, b.data, b.len, false, e);
    }
    buf_release(&b);
    return ok;
}

static bool seal(struct target *t, struct writer *w, struct err *e)
{
    if (w->split)
        return end_extent(t, w, e) && writer_seal_descriptor(t, w, "SPARSE", 's', e);
    return queue_embedded(t, w, e) && end_extent(t, w, e);
}

const struct writer_ops write_sparse = {
    .create_type = "monolithicSparse",
    .begin = begin,
    .place = place,
    .seal = seal,
};

const struct writer_ops write_split_sparse = {
    .create_type = "twoGbMaxExtentSparse",
    .begin = begin,
    .place = place,
    .seal = seal,
};
