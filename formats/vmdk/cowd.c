/* COWD extents (vmfsSparse, the delta disks of ESX snapshots).
 *
 * "Virtual Disk Format 5.0", section "ESX Server Sparse Extents": a header of 4 sectors, a
 * directory of 32-bit sector numbers, grain tables of 4096 entries, grains of one sector by
 * default. Entry 0 is absent; there is no mark for zeroes. */
#include "vmdk.h"

#include "bytes.h"

#include <inttypes.h>

static bool cowd_table(const struct sparse *s, uint64_t entry, uint64_t *ret_pos)
{
    (void)s;
    *ret_pos = entry * VMDK_SECTOR;
    return true;
}

static bool cowd_grain(const struct sparse *s, uint64_t entry, struct grain *ret)
{
    (void)s;
    ret->kind = entry ? GRAIN_DATA : GRAIN_ABSENT;
    ret->pos = entry * VMDK_SECTOR;
    return true;
}

static const struct sparse_ops cowd_ops = {
    .entry = 4,
    .entries = VMDK_COWD_GTES,
    .table = cowd_table,
    .grain = cowd_grain,
};

bool cowd_open(struct vmdk_extent *x, const uint8_t head[VMDK_SECTOR], struct err *e)
{
    struct sparse *s = &x->sparse;
    struct vmdk_cowd h;

    if (!vmdk_cowd_unpack(head, &h))
        return err_set(e, ERR_FORMAT, "'%s' has no COWD header", x->path);
    if (h.version != 1)
        return err_set(e, ERR_UNSUPPORTED, "'%s' is of COWD version %" PRIu32 "; 1 is known",
                       x->path, h.version);
    if (!is_pow2(h.grain) || h.grain > 0x200000)
        return err_set(e, ERR_FORMAT,
                       "the header of '%s' has a grain size of %" PRIu32
                       " sectors, which is no power of two up to 1 GiB",
                       x->path, h.grain);
    if (!h.sectors)
        return err_set(e, ERR_FORMAT, "the header of '%s' says that the disk has no sectors",
                       x->path);
    s->ops = &cowd_ops;
    s->capacity = (uint64_t)h.sectors * VMDK_SECTOR;
    s->grain = (uint64_t)h.grain * VMDK_SECTOR;
    s->gd = (uint64_t)h.gd * VMDK_SECTOR;
    s->tables = io_ref(x->io);
    x->label = "COWD";
    if (h.gd_count < div_up(s->capacity, s->grain * VMDK_COWD_GTES))
        return err_set(e, ERR_FORMAT,
                       "the grain directory of '%s' has %" PRIu32 " entries, too few for %" PRIu32
                       " sectors",
                       x->path, h.gd_count, h.sectors);
    return sparse_directory(x, e);
}
