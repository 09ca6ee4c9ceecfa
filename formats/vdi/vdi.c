/* The VDI driver: probe, open, map.
 *
 * A fixed image has a map too, and the map is believed. Stored blocks may lie in any order. */
#include "vdi.h"

#include "bytes.h"
#include "gate.h"
#include "mem.h"
#include "text.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>

static int vdi_probe(const struct probe *p)
{
    struct vdi_header h;

    return p->head_len >= VDI_HEADER_SIZE && vdi_header_unpack(p->head, &h) ? 100 : 0;
}

static bool check_numbers(const struct image *img, const struct vdi_header *h, struct err *e)
{
    if (h->version >> 16 != VDI_VERSION >> 16)
        return err_set(e, ERR_UNSUPPORTED, "the image has version %u.%u; 1.1 is handled",
                       h->version >> 16, h->version & 0xffff);
    if (h->type < VDI_DYNAMIC || h->type > VDI_DIFFERENCING)
        return err_set(e, ERR_UNSUPPORTED,
                       "the image is of type %" PRIu32 "; dynamic, fixed, undo and differencing "
                       "ones (1 to 4) are handled",
                       h->type);
    if (h->sector_size != VDI_SECTOR)
        return err_set(e, ERR_UNSUPPORTED, "the sectors have %" PRIu32 " bytes; 512 are handled",
                       h->sector_size);
    if (!is_pow2(h->block_size) || h->block_size < VDI_SECTOR)
        return err_set(e, ERR_FORMAT,
                       "the blocks have %" PRIu32 " bytes; a power of two from 512 is needed",
                       h->block_size);
    if (h->map_pos % 4)
        return err_set(e, ERR_FORMAT, "the header puts the block map at %" PRIu32, h->map_pos);
    if (h->block_extra % VDI_SECTOR || h->block_extra > h->block_size)
        return err_set(e, ERR_FORMAT, "each block is preceded by %" PRIu32 " bytes",
                       h->block_extra);
    if (h->blocks > VDI_BLOCKS_MAX)
        return err_set(e, ERR_UNSUPPORTED, "the disk has %" PRIu32 " blocks; up to %d are handled",
                       h->blocks, VDI_BLOCKS_MAX);
    if (div_up(h->size, h->block_size) > h->blocks)
        return err_set(e, ERR_FORMAT,
                       "the block map has %" PRIu32 " entries, a disk of %" PRIu64
                       " bytes needs %" PRIu64,
                       h->blocks, h->size, div_up(h->size, h->block_size));
    if (!range_inside(h->map_pos, 4 * (uint64_t)h->blocks, img->io->size))
        return err_set(e, ERR_FORMAT,
                       "the image is cut short: its block map lies at [%" PRIu32 ", +%" PRIu64
                       "), the file has %" PRIu64 " bytes",
                       h->map_pos, 4 * (uint64_t)h->blocks, img->io->size);
    return true;
}

/* What a child records of its parent: who it is, and in which state. */
static char *identity(const uint8_t uuid[16], const uint8_t modification[16], struct err *e)
{
    char who[VDI_UUID_TEXT], when[VDI_UUID_TEXT];

    vdi_uuid_text(uuid, who);
    vdi_uuid_text(modification, when);
    return mem_format(e, "%s/%s", who, when);
}

static bool fill_facts(struct image *img, const struct vdi_header *h, struct err *e)
{
    static const char *const subformats[] = {[VDI_DYNAMIC] = "dynamic",
                                             [VDI_FIXED] = "fixed",
                                             [VDI_UNDO] = "undo",
                                             [VDI_DIFFERENCING] = "differencing"};

    img->facts.subformat = mem_text(subformats[h->type], e);
    img->facts.identity = identity(h->uuid, h->modification, e);
    img->facts.cluster_size = h->block_size;
    return img->facts.subformat && img->facts.identity;
}

static bool vdi_open(struct image *img, struct err *e)
{
    struct vdi *v = mem_new(struct vdi, e);
    uint8_t raw[VDI_HEADER_SIZE];

    img->state = v;
    if (!v || !io_read(img->io, 0, raw, sizeof(raw), e))
        return false;
    if (!vdi_header_unpack(raw, &v->header))
        return err_set(e, ERR_FORMAT, "there is no VDI header at the start of the file");
    if (!check_numbers(img, &v->header, e))
        return false;
    pages_init(&v->pages, img->io, PAGES_MAX);
    img->size = v->header.size;
    img->sector_size = VDI_SECTOR;
    return fill_facts(img, &v->header, e);
}

static void vdi_close(struct image *img)
{
    struct vdi *v = img->state;

    if (!v)
        return;
    pages_release(&v->pages);
    free(v);
    img->state = NULL;
}

bool vdi_entries(struct image *img, uint64_t block, const uint8_t **ret_entries,
                 uint64_t *ret_count, struct err *e)
{
    struct vdi *v = img->state;
    uint32_t len;

    if (!pages_get(&v->pages, v->header.map_pos + 4 * block, 4, false, ret_entries, &len, e))
        return false;
    *ret_count = MIN((uint64_t)len / 4, v->header.blocks - block);
    return true;
}

uint64_t vdi_block_pos(const struct vdi_header *h, uint32_t number)
{
    return h->data_pos + (uint64_t)number * (h->block_size + (uint64_t)h->block_extra) +
           h->block_extra;
}

static bool map_stored(struct image *img, uint64_t at, uint64_t want, uint32_t number,
                       struct extent *ret, struct err *e)
{
    const struct vdi_header *h = &((struct vdi *)img->state)->header;
    uint64_t in = at % h->block_size, pos = vdi_block_pos(h, number);
    uint64_t used = MIN(h->block_size, img->size - (at - in));
    enum io_extent_kind kind;

    if (!range_inside(pos, used, img->io->size))
        return err_set(e, ERR_FORMAT,
                       "block %" PRIu64 " lies at [%" PRIu64 ", +%" PRIu64
                       "), the file has %" PRIu64 " bytes",
                       at / h->block_size, pos, used, img->io->size);
    if (!io_extent(img->io, pos + in, MIN(want, used - in), &kind, &ret->len, e))
        return false;
    ret->kind = kind == IO_HOLE ? EXTENT_ZERO : EXTENT_DATA;
    ret->io = img->io;
    ret->pos = pos + in;
    return true;
}

static bool vdi_map(struct image *img, uint64_t at, uint64_t want, struct extent *ret,
                    struct err *e)
{
    const struct vdi_header *h = &((struct vdi *)img->state)->header;
    uint64_t count, same = 1;
    const uint8_t *entries;
    uint32_t first;

    if (!vdi_entries(img, at / h->block_size, &entries, &count, e))
        return false;
    first = get_le32(entries);
    if (first != VDI_FREE && first != VDI_ZERO)
        return map_stored(img, at, want, first, ret, e);
    while (same < count && get_le32(entries + 4 * same) == first)
        same++;
    ret->kind = first == VDI_FREE && !vdi_uuid_null(h->parent) ? EXTENT_ABSENT : EXTENT_ZERO;
    ret->len = MIN(want, same * h->block_size - at % h->block_size);
    return true;
}

/* Is this file the disk with that UUID? What cannot be read is not. */
static bool is_disk(struct image *img, const char *name, const uint8_t uuid[16])
{
    AUTO(free) char *path = NULL;
    struct err ignored = ERR_INIT;
    AUTO(io_free) struct io *io = gate_open(img->gate, img->path, name, 0, &path, &ignored);
    uint8_t raw[VDI_HEADER_SIZE];
    struct vdi_header h;

    return io && io_read(io, 0, raw, sizeof(raw), &ignored) && vdi_header_unpack(raw, &h) &&
           !memcmp(h.uuid, uuid, 16);
}

/* A snapshot names its parent by UUID alone: it is looked for among the images beside it. */
static bool vdi_parent(struct image *img, struct parent_ref *ret, struct err *e)
{
    const struct vdi_header *h = &((struct vdi *)img->state)->header;
    AUTO(free) char *dir = NULL;
    char uuid[VDI_UUID_TEXT];
    const char *slash;
    DIR *list;

    if (vdi_uuid_null(h->parent))
        return true;
    slash = strrchr(img->path, '/');
    dir = slash ? mem_format(e, "%.*s", (int)(slash - img->path), img->path) : NULL;
    list = dir && img->gate ? opendir(*dir ? dir : "/") : NULL;
    for (struct dirent *d; list && !ret->name && (d = readdir(list));)
        if (text_ends(d->d_name, ".vdi") && is_disk(img, d->d_name, h->parent))
            ret->name = mem_text(d->d_name, e);
    if (list)
        closedir(list);
    vdi_uuid_text(h->parent, uuid);
    if (!ret->name)
        return err_set(e, ERR_FORMAT,
                       "missing parent of '%s': no .vdi image beside it is the disk {%s}; put the "
                       "disk there",
                       img->path, uuid);
    ret->format = mem_text("vdi", e);
    ret->identity = identity(h->parent, h->parent_changed, e);
    return ret->format && ret->identity;
}

static const char *const vdi_suffixes[] = {"vdi", NULL};

const struct driver driver_vdi = {
    .name = "vdi",
    .help = "VirtualBox disks",
    .suffixes = vdi_suffixes,
    .layout_version = 1,
    .limits =
        {
            .size_max = (uint64_t)VDI_BLOCKS_MAX * MIB,
            .size_multiple = VDI_SECTOR,
        },
    .probe = vdi_probe,
    .open = vdi_open,
    .close = vdi_close,
    .map = vdi_map,
    .parent = vdi_parent,
    .check = vdi_check,
    .options = vdi_rows,
    .options_size = sizeof(struct vdi_options),
    .create = vdi_create,
    .place = vdi_place,
    .seal = vdi_seal,
    .discard = vdi_discard,
};
