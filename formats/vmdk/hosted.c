/* Hosted sparse extents (magic KDMV): monolithicSparse, twoGbMaxExtentSparse and streamOptimized.
 *
 * "Virtual Disk Format 5.0", sections "Hosted Sparse Extents" and "Stream-Optimized Compressed
 * Sparse Extents". Directory and tables hold sector numbers: 0 is absent, and 1 a grain of zeroes
 * when the header allows it. */
#include "vmdk.h"

#include "bytes.h"

#include <inttypes.h>

static bool hosted_table(const struct sparse *s, uint64_t entry, uint64_t *ret_pos)
{
    (void)s;
    *ret_pos = entry * VMDK_SECTOR;
    return true;
}

static bool hosted_grain(const struct sparse *s, uint64_t entry, struct grain *ret)
{
    if (entry == 1 && s->zeroed)
        ret->kind = GRAIN_ZERO;
    else
        ret->kind = entry ? GRAIN_DATA : GRAIN_ABSENT;
    ret->pos = entry * VMDK_SECTOR;
    return true;
}

const struct sparse_ops hosted_ops = {
    .entry = 4,
    .entries = VMDK_GTES,
    .table = hosted_table,
    .grain = hosted_grain,
};

/* Sectors to bytes, where no file reaches beyond. 0 stands for "nowhere", which every user checks.
 */
static uint64_t bytes_of(uint64_t sectors)
{
    return sectors <= INT64_MAX / VMDK_SECTOR ? sectors * VMDK_SECTOR : 0;
}

static bool check_coded(const struct vmdk_extent *x, struct err *e)
{
    if (x->sparse.grain > IMAGE_UNIT_MAX)
        return err_set(e, ERR_UNSUPPORTED,
                       "'%s' has compressed grains of %" PRIu64 " bytes, %d are handled", x->path,
                       x->sparse.grain, IMAGE_UNIT_MAX);
    return true;
}

bool hosted_open(struct vmdk_extent *x, const struct vmdk_header *h, struct err *e)
{
    struct sparse *s = &x->sparse;

    if (!vmdk_header_check(h, x->path, e))
        return false;
    if (!h->capacity)
        return err_set(e, ERR_FORMAT, "the header of '%s' says that the disk has no sectors",
                       x->path);
    s->ops = &hosted_ops;
    s->capacity = h->capacity * VMDK_SECTOR;
    s->grain = h->grain * VMDK_SECTOR;
    s->gd = bytes_of(h->gd);
    s->rgd = h->flags & VMDK_FLAG_REDUNDANT ? bytes_of(h->rgd) : 0;
    s->desc_at = bytes_of(h->desc_at);
    s->desc_len = bytes_of(h->desc_len);
    if (h->desc_at &&
        (!s->desc_at || !s->desc_len || !range_inside(s->desc_at, s->desc_len, x->io->size)))
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short or damaged: its descriptor should have %" PRIu64
                       " sectors at sector %" PRIu64 ", the file has %" PRIu64 " bytes",
                       x->path, h->desc_len, h->desc_at, x->io->size);
    s->zeroed = (h->flags & VMDK_FLAG_ZEROED) != 0;
    s->unclean = h->unclean;
    if (h->overhead > x->io->size / VMDK_SECTOR)
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short: its tables reach to sector %" PRIu64
                       ", the file has %" PRIu64 " bytes",
                       x->path, h->overhead, x->io->size);
    s->tables = io_ref(x->io);
    x->label = "hosted sparse";
    if (h->compress) {
        x->label = "compressed";
        s->codec = h->flags & VMDK_FLAG_MARKERS ? &codec_grain : &codec_grain_bare;
        if (!check_coded(x, e) || (h->gd == VMDK_GD_AT_END && !stream_find_tables(x, h, &s->gd, e)))
            return false;
    } else if (h->gd == VMDK_GD_AT_END) {
        return err_set(e, ERR_FORMAT,
                       "the header of '%s' leaves its directory to a footer, which only compressed "
                       "extents have",
                       x->path);
    }
    return sparse_directory(x, e);
}
