/* Writing fixed and dynamic VHDs.
 *
 *     fixed      0 the disk                                         | footer
 *     dynamic    0 footer copy | 512 header | 1536 BAT | blocks ... | footer
 *
 * A block of a dynamic disk is allocated by the first data placed in it, so blocks that read zero
 * take no space; units in an allocated block that read zero are holes. Its data starts at a
 * multiple of 4 KiB with the bitmap right before it (as Windows places blocks), so that data can be
 * shared with the source and written past the page cache. The bitmap is all ones.
 *
 * The BAT is written as the placement passes it. Both copies of the footer and the header wait for
 * seal.
 *
 * The size is exact: readers take it from `current size`, not from the geometry, when the creator
 * application is `qem2` (qemu 2.6 and later, and with them whoever keeps qemu's table; Windows,
 * VirtualBox and Azure always do). The geometry is still the one of the spec's algorithm. */
#include "vhd.h"

#include "bytes.h"
#include "entries.h"
#include "mem.h"
#include "text.h"

#include <inttypes.h>

enum {
    UNIT = 4096, /* pages of the host's file systems; also the alignment of blocks */
    HEADER_POS = VHD_FOOTER_SIZE,
    BAT_POS = HEADER_POS + VHD_HEADER_SIZE,
    EPOCH = 946684800, /* 2000-01-01 in seconds since 1970: spec "Time Stamp" */
};

#define DYNAMIC_MAX (2040 * GIB) /* what Virtual PC, Hyper-V and qemu read */

enum vhd_subformat { SUBFORMAT_DYNAMIC, SUBFORMAT_FIXED };

static const char *const subformats[] = {"dynamic", "fixed", NULL};

const struct opt_row vhd_rows[] = {
    {.key = "subformat",
     .type = OPT_WORD,
     .at = OPT_AT(struct vhd_options, subformat, int),
     .words = subformats,
     .preset = "dynamic",
     .help = "dynamic grows with its contents, fixed is as large as the disk (Azure needs it)"},
    {.key = "block_size",
     .type = OPT_SIZE,
     .flags = OPT_POW2,
     .at = OPT_AT(struct vhd_options, block_size, uint64_t),
     .min = 512 * KIB,
     .max = 16 * MIB,
     .preset = "2M",
     .help = "allocation unit of a dynamic disk; Windows makes 2M and 512K"},
    {0},
};

struct writer {
    uint32_t block_size, bitmap_size;
    uint64_t blocks;
    uint64_t stride;    /* from one block to the next */
    uint64_t next;      /* where the next block's data goes */
    uint64_t block;     /* the block that has a place; blocks: none yet */
    uint64_t data;      /* its data */
    uint64_t end;       /* of the last block or the BAT: the footer's place */
    struct entries bat; /* padded to a sector */
    uint8_t *bitmap;
};

static bool create_dynamic(struct target *t, uint32_t block_size, struct err *e)
{
    struct writer *w;

    if (t->size > DYNAMIC_MAX)
        return err_set(e, ERR_UNSUPPORTED,
                       "a dynamic VHD holds at most 2040 GiB, the disk has %s; use "
                       "subformat=fixed or another format",
                       SIZE_TEXT(t->size));
    t->state = w = mem_new(struct writer, e);
    if (!w)
        return false;
    w->block_size = block_size;
    w->bitmap_size = vhd_bitmap_size(block_size);
    w->blocks = w->block = div_up(t->size, block_size);
    entries_init(&w->bat, BAT_POS, round_up(w->blocks, VHD_SECTOR / 4), 4, 0xff);
    w->stride = block_size + round_up(w->bitmap_size, UNIT);
    w->end = BAT_POS + 4 * w->bat.count;
    w->next = round_up(w->end + w->bitmap_size, UNIT);
    if ((w->next + w->blocks * w->stride) / VHD_SECTOR >= VHD_NOT_ALLOCATED)
        return err_set(e, ERR_UNSUPPORTED,
                       "blocks of %s cannot address a disk of %s when it is full; use "
                       "block_size=2M",
                       SIZE_TEXT(block_size), SIZE_TEXT(t->size));
    w->bitmap = mem_alloc(w->bitmap_size, e);
    if (!w->bitmap)
        return false;
    memset(w->bitmap, 0xff, w->bitmap_size);
    return true;
}

bool vhd_create(struct target *t, const void *options, struct err *e)
{
    const struct vhd_options *o = options;
    unsigned index;

    if (!t->size)
        return err_set(e, ERR_UNSUPPORTED, "a VHD cannot hold an empty disk");
    t->unit = UNIT;
    t->sequential = t->found_at_end = o->subformat == SUBFORMAT_FIXED;
    return target_add_file(t, NULL, &index, e) &&
           (o->subformat == SUBFORMAT_FIXED || create_dynamic(t, (uint32_t)o->block_size, e));
}

/* Gives the block at guest offset `at` its place. */
static bool allocate(struct target *t, struct writer *w, uint64_t at, struct err *e)
{
    uint8_t entry[4];

    w->block = at / w->block_size;
    w->data = w->next;
    w->next += w->stride;
    put_be32(entry, (uint32_t)((w->data - w->bitmap_size) / VHD_SECTOR));
    w->end = w->data + w->block_size;
    target_extend(t, 0, w->end);
    return entries_set(t, &w->bat, w->block, entry, e) &&
           target_queue(t, 0, w->data - w->bitmap_size, w->bitmap, w->bitmap_size, false, e) &&
           target_clear(t, 0, w->data, at % w->block_size, e);
}

bool vhd_place(struct target *t, const struct place *p, struct placed *ret, struct err *e)
{
    struct writer *w = t->state;
    uint64_t in;

    *ret = (struct placed){.len = p->len};
    if (!w) {
        ret->stored = true;
        ret->pos = p->at;
        return true;
    }
    in = p->at % w->block_size;
    if (p->kind == PLACE_PLAIN && w->block != p->at / w->block_size && !allocate(t, w, p->at, e))
        return false;
    ret->stored = w->block == p->at / w->block_size;
    if (ret->stored) {
        ret->len = MIN(p->len, w->block_size - in);
        ret->pos = w->data + in;
    }
    return true;
}

static uint32_t time_stamp(int64_t mtime)
{
    return mtime <= EPOCH ? 0 : (uint32_t)MIN(mtime - EPOCH, (int64_t)UINT32_MAX);
}

static void make_footer(const struct target *t, uint8_t raw[VHD_FOOTER_SIZE])
{
    struct vhd_footer f = {
        .features = VHD_FEATURES_RESERVED,
        .version = VHD_VERSION,
        .data_offset = t->state ? HEADER_POS : VHD_NO_OFFSET,
        .timestamp = time_stamp(t->mtime),
        .creator = {'q', 'e', 'm', '2'},
        .creator_version = 0x00050003, /* as qemu has it beside that creator */
        .creator_os = {'W', 'i', '2', 'k'},
        .original_size = t->size,
        .current_size = t->size,
        .type = t->state ? VHD_DYNAMIC : VHD_FIXED,
    };

    vhd_geometry(t->size, &f);
    target_uuid(t, "vhd", f.uuid);
    vhd_footer_pack(&f, raw);
}

bool vhd_seal(struct target *t, struct err *e)
{
    struct writer *w = t->state;
    uint8_t footer[VHD_FOOTER_SIZE], header[VHD_HEADER_SIZE];
    struct vhd_header h = {.table_offset = BAT_POS, .version = VHD_VERSION};
    uint64_t rest;

    make_footer(t, footer);
    if (!w)
        return target_queue(t, 0, t->size, footer, sizeof(footer), false, e);
    if (!entries_end(t, &w->bat, e))
        return false;
    /* the last block may reach past the disk's end, where nothing is placed */
    rest = w->block + 1 == w->blocks ? w->blocks * w->block_size - t->size : 0;
    h.table_entries = (uint32_t)w->blocks;
    h.block_size = w->block_size;
    vhd_header_pack(&h, header);
    return target_clear(t, 0, w->end - rest, rest, e) &&
           target_queue(t, 0, 0, footer, sizeof(footer), false, e) &&
           target_queue(t, 0, HEADER_POS, header, sizeof(header), false, e) &&
           target_queue(t, 0, w->end, footer, sizeof(footer), false, e);
}

void vhd_discard(struct target *t)
{
    struct writer *w = t->state;

    if (w)
        free(w->bitmap);
    free(w);
    t->state = NULL;
}
