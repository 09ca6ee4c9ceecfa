/* Writing dynamic and fixed VDIs.
 *
 *     0 header | 1 MiB block map | data at the next MiB: blocks in the order of their first data
 *
 * Map and data begin at multiples of 1 MiB, as VirtualBox lays them out. A block of a dynamic image
 * is allocated by the first data placed in it; what reads zero in it is a hole. A fixed image has
 * every block in its place from the start. The header waits for seal. */
#include "vdi.h"

#include "bytes.h"
#include "entries.h"
#include "mem.h"

enum {
    BLOCK = 1 << 20, /* what VirtualBox makes, and all that qemu reads */
    MAP_POS = 1 << 20,
    ALIGN = 1 << 20,
    UNIT = 4096,        /* pages of the host's file systems */
    HEADER_LEN = 0x190, /* VDICore: sizeof(VDIHEADER1PLUS) */
};

enum vdi_subformat { SUBFORMAT_DYNAMIC, SUBFORMAT_FIXED };

static const char *const subformats[] = {"dynamic", "fixed", NULL};

const struct opt_row vdi_rows[] = {
    {.key = "subformat",
     .type = OPT_WORD,
     .at = OPT_AT(struct vdi_options, subformat, int),
     .words = subformats,
     .preset = "dynamic",
     .help = "dynamic grows with its contents, fixed is as large as the disk"},
    {0},
};

struct writer {
    struct vdi_header header;
    bool fixed;
    uint64_t block; /* dynamic: the one placed last, header.blocks: none; fixed: the next one */
    struct entries map;
};

bool vdi_create(struct target *t, const void *options, struct err *e)
{
    const struct vdi_options *o = options;
    struct writer *w = mem_new(struct writer, e);
    uint64_t blocks = div_up(t->size, BLOCK);
    unsigned index;

    t->state = w;
    if (!w)
        return false;
    w->fixed = o->subformat == SUBFORMAT_FIXED;
    w->header = (struct vdi_header){
        .version = VDI_VERSION,
        .header_size = HEADER_LEN,
        .type = w->fixed ? VDI_FIXED : VDI_DYNAMIC,
        .map_pos = MAP_POS,
        .data_pos = (uint32_t)round_up(MAP_POS + 4 * blocks, ALIGN),
        .sector_size = VDI_SECTOR,
        .size = t->size,
        .block_size = BLOCK,
        .blocks = (uint32_t)blocks,
        .allocated = w->fixed ? (uint32_t)blocks : 0,
    };
    target_uuid(t, "vdi", w->header.uuid);
    target_uuid(t, "vdi modification", w->header.modification);
    w->block = w->fixed ? 0 : blocks;
    entries_init(&w->map, MAP_POS, blocks, 4, 0xff);
    t->unit = UNIT;
    t->preallocated = w->fixed;
    t->front = w->header.data_pos;
    if (!target_add_file(t, NULL, &index, e))
        return false;
    if (w->fixed)
        target_extend(t, 0, w->header.data_pos + blocks * BLOCK);
    return true;
}

static bool set_entry(struct target *t, struct writer *w, uint64_t block, uint64_t number,
                      struct err *e)
{
    uint8_t entry[4];

    put_le32(entry, (uint32_t)number);
    return entries_set(t, &w->map, block, entry, e);
}

/* The block at guest offset `at` gets the next place. */
static bool allocate(struct target *t, struct writer *w, uint64_t at, struct err *e)
{
    uint64_t pos = w->header.data_pos + (uint64_t)w->header.allocated * BLOCK;

    w->block = at / BLOCK;
    target_extend(t, 0, pos + BLOCK);
    return set_entry(t, w, w->block, w->header.allocated++, e) &&
           target_clear(t, 0, pos, at % BLOCK, e);
}

static bool place_fixed(struct target *t, struct writer *w, const struct place *p,
                        struct placed *ret, struct err *e)
{
    for (; w->block < div_up(p->at + p->len, BLOCK); w->block++)
        if (!set_entry(t, w, w->block, w->block, e))
            return false;
    ret->stored = true;
    ret->pos = w->header.data_pos + p->at;
    return true;
}

bool vdi_place(struct target *t, const struct place *p, struct placed *ret, struct err *e)
{
    struct writer *w = t->state;
    uint64_t block = p->at / BLOCK, in = p->at % BLOCK;

    *ret = (struct placed){.len = p->len};
    if (w->fixed)
        return place_fixed(t, w, p, ret, e);
    if (p->kind == PLACE_PLAIN && w->block != block && !allocate(t, w, p->at, e))
        return false;
    if (w->block != block)
        return true;
    ret->stored = true;
    ret->len = MIN(p->len, BLOCK - in);
    ret->pos = w->header.data_pos + (w->header.allocated - UINT64_C(1)) * BLOCK + in;
    return true;
}

bool vdi_seal(struct target *t, struct err *e)
{
    struct writer *w = t->state;
    uint64_t end = w->header.data_pos + (uint64_t)w->header.allocated * BLOCK;
    bool last = w->fixed || w->block + 1 == w->header.blocks; /* it may reach past the disk's end */
    uint64_t rest = last ? (uint64_t)w->header.blocks * BLOCK - t->size : 0;
    uint8_t raw[VDI_HEADER_SIZE];

    vdi_header_pack(&w->header, raw);
    return entries_end(t, &w->map, e) && target_clear(t, 0, end - rest, rest, e) &&
           target_queue(t, 0, 0, raw, sizeof(raw), false, e);
}

void vdi_discard(struct target *t)
{
    free(t->state);
    t->state = NULL;
}
