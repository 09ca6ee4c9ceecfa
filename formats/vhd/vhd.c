/* The VHD driver's reading side: which footer counts, and where the bytes of a block lie.
 *
 * The footer in the last 512 bytes describes the disk; dynamic and differencing disks keep a copy
 * at the start of the file. Which of them is believed:
 *
 *   1. the one at the end, when its checksum is right: a fixed disk's guest owns the start of the
 *      file, so what stands there never overrides it;
 *   2. the one at the end with a wrong checksum, when something else vouches for it: for fixed
 *      disks the file has just the length it says, for others the copy at the start is the same.
 *      Such images exist. They are read with a warning;
 *   3. the copy at the start (dynamic and differencing only), with a warning: the end is lost when
 *      a write of the disk was cut off;
 *   4. a fixed disk's footer with a right checksum that stands exactly behind its disk, within the
 *      last 4 KiB: files get padded behind the footer.
 *
 * A block that the BAT names lies at that sector of the file: first its bitmap, then the data. In
 * dynamic disks the bitmap is ignored, as all readers in use do (a block is written whole); in
 * differencing ones it says sector by sector, most significant bit first, what is here and what is
 * the parent's. */
#include "vhd.h"

#include "bytes.h"
#include "formats.h"
#include "log.h"
#include "mem.h"

#include <ctype.h>
#include <inttypes.h>

enum { TAIL_MAX = 4096, OLD_FOOTER_SIZE = 511 /* Virtual PC before 2004: spec "Overview" */ };

static int vhd_probe(const struct probe *p)
{
    struct vhd_footer f;

    if (p->head_len >= VHD_FOOTER_SIZE && vhd_footer_unpack(p->head, &f) && f.type != VHD_FIXED)
        return 100;
    for (size_t back = OLD_FOOTER_SIZE; back <= VHD_FOOTER_SIZE && back <= p->tail_len; back++)
        if (memcmp(p->tail + p->tail_len - back, "conectix", 8) == 0)
            return 60; /* less than what any signature at the start scores */
    for (size_t at = 0; at + VHD_FOOTER_SIZE <= p->tail_len; at++) {
        uint64_t pos = p->size - p->tail_len + at;

        if (pos % VHD_SECTOR == 0 && vhd_footer_unpack(p->tail + at, &f) && f.sum_ok &&
            f.type == VHD_FIXED && vhd_size(&f) == pos)
            return 60;
    }
    return 0;
}

/* What was found at the end of the file. */
struct tail {
    bool found;
    struct vhd_footer footer;
    uint8_t raw[VHD_FOOTER_SIZE];
    uint64_t pos;
    uint32_t len;
};

static bool read_tail(struct io *io, struct tail *t, struct err *e)
{
    for (uint32_t len = VHD_FOOTER_SIZE; len >= OLD_FOOTER_SIZE && !t->found; len--) {
        if (io->size < len)
            continue;
        memset(t->raw, 0, sizeof(t->raw));
        if (!io_read(io, io->size - len, t->raw, len, e))
            return false;
        t->found = vhd_footer_unpack(t->raw, &t->footer);
        t->pos = io->size - len;
        t->len = len;
    }
    return true;
}

/* A fixed disk's footer that is followed by padding. */
static bool read_padded_tail(struct io *io, struct tail *t, struct err *e)
{
    uint64_t pos = round_down(io->size, VHD_SECTOR);
    uint64_t stop = pos > TAIL_MAX ? pos - TAIL_MAX : 0;

    while (pos >= stop + VHD_SECTOR) {
        pos -= VHD_SECTOR;
        if (!io_read(io, pos, t->raw, sizeof(t->raw), e))
            return false;
        if (vhd_footer_unpack(t->raw, &t->footer) && t->footer.sum_ok &&
            t->footer.type == VHD_FIXED && vhd_size(&t->footer) == pos) {
            t->found = true;
            t->pos = pos;
            t->len = VHD_FOOTER_SIZE;
            return true;
        }
    }
    return true;
}

static bool use_footer(struct vhd *v, const struct vhd_footer *f, uint64_t pos, uint32_t len)
{
    v->footer = *f;
    v->footer_pos = pos;
    v->footer_len = len;
    return true;
}

static bool find_footer(struct image *img, struct vhd *v, struct err *e)
{
    struct io *io = img->io;
    uint8_t front[VHD_FOOTER_SIZE] = {0};
    struct vhd_footer copy;
    struct tail tail = {0};
    bool has_copy, fixed;

    if (!read_tail(io, &tail, e) ||
        !io_read(io, 0, front, MIN(io->size, (uint64_t)sizeof(front)), e))
        return false;
    if (tail.found && tail.footer.sum_ok)
        return use_footer(v, &tail.footer, tail.pos, tail.len);
    fixed = tail.found && tail.footer.type == VHD_FIXED;
    if (tail.found &&
        (fixed ? vhd_size(&tail.footer) == tail.pos : memcmp(front, tail.raw, tail.len) == 0)) {
        log_warn("'%s': the checksum of the footer is wrong, but %s; it is used", img->path,
                 fixed ? "the file has the length it says" : "its copy at the start is the same");
        return use_footer(v, &tail.footer, tail.pos, tail.len);
    }
    has_copy = vhd_footer_unpack(front, &copy) && copy.type != VHD_FIXED;
    if (has_copy && copy.sum_ok) {
        log_warn("'%s': the footer at the end is %s; its copy at the start is used", img->path,
                 tail.found ? "damaged" : "missing");
        v->front_used = true;
        return use_footer(v, &copy, io->size, 0);
    }
    if (tail.found)
        return err_set(e, ERR_FORMAT, "the checksum of the footer is wrong");
    if (!read_padded_tail(io, &tail, e))
        return false;
    if (tail.found)
        return use_footer(v, &tail.footer, tail.pos, tail.len);
    return err_set(e, ERR_FORMAT,
                   has_copy ? "the footer is missing, and the checksum of its copy is wrong"
                            : "there is no VHD footer: this is not a VHD, or its end is cut off");
}

static bool check_footer(struct image *img, const struct vhd_footer *f, struct err *e)
{
    if (f->version >> 16 != VHD_VERSION >> 16)
        return err_set(e, ERR_UNSUPPORTED, "the VHD has version %u.%u; 1.0 is known",
                       f->version >> 16, f->version & 0xffff);
    if (f->type < VHD_FIXED || f->type > VHD_DIFFERENCING)
        return err_set(e, ERR_UNSUPPORTED,
                       "the VHD has type %" PRIu32 "; fixed (2), dynamic (3) and differencing (4) "
                       "are known",
                       f->type);
    img->size = vhd_size(f);
    if (!img->size || img->size % VHD_SECTOR || img->size > INT64_MAX)
        return err_set(e, ERR_FORMAT,
                       "the footer says %" PRIu64 " bytes, which is no size of a disk", img->size);
    return true;
}

static bool open_fixed(struct image *img, const struct vhd *v, struct err *e)
{
    if (img->size > v->footer_pos)
        return err_set(e, ERR_FORMAT,
                       "the image is cut short: the disk has %" PRIu64 " bytes, the file %" PRIu64
                       " before its footer",
                       img->size, v->footer_pos);
    return true;
}

static bool check_header(struct image *img, struct vhd *v, struct err *e)
{
    const struct vhd_header *h = &v->header;

    if (h->version >> 16 != VHD_VERSION >> 16)
        return err_set(e, ERR_UNSUPPORTED,
                       "the dynamic disk header has version %u.%u; 1.0 is known", h->version >> 16,
                       h->version & 0xffff);
    if (!is_pow2(h->block_size) || h->block_size < VHD_SECTOR)
        return err_set(e, ERR_FORMAT,
                       "the blocks have %" PRIu32 " bytes; a power of two from 512 is needed",
                       h->block_size);
    v->blocks = div_up(img->size, h->block_size);
    v->bitmap_size = vhd_bitmap_size(h->block_size);
    if (v->blocks > h->table_entries)
        return err_set(e, ERR_FORMAT,
                       "the block table has %" PRIu32 " entries, a disk of %" PRIu64
                       " bytes needs %" PRIu64,
                       h->table_entries, img->size, v->blocks);
    if (v->blocks > VHD_BLOCKS_MAX)
        return err_set(e, ERR_UNSUPPORTED,
                       "the disk consists of %" PRIu64 " blocks; up to %d are handled", v->blocks,
                       VHD_BLOCKS_MAX);
    if (h->table_offset % VHD_SECTOR)
        return err_set(e, ERR_FORMAT,
                       "the header puts the block table at %" PRIu64 ", inside a sector",
                       h->table_offset);
    if (!range_inside(h->table_offset, v->blocks * 4, img->io->size))
        return err_set(e, ERR_FORMAT,
                       "the image is cut short: its block table lies at [%" PRIu64 ", +%" PRIu64
                       "), the file has %" PRIu64 " bytes",
                       h->table_offset, v->blocks * 4, img->io->size);
    if (!h->sum_ok) {
        if (h->table_entries != v->blocks)
            return err_set(e, ERR_FORMAT, "the checksum of the dynamic disk header is wrong");
        log_warn("'%s': the checksum of the dynamic disk header is wrong, but its block table fits "
                 "the disk; it is used",
                 img->path);
    }
    return true;
}

static bool open_dynamic(struct image *img, struct vhd *v, struct err *e)
{
    uint8_t raw[VHD_HEADER_SIZE];
    uint64_t pos = v->footer.data_offset;

    pages_init(&v->pages, img->io, PAGES_MIN); /* a block's bitmap is one sector */
    if (!range_inside(pos, sizeof(raw), img->io->size))
        return err_set(e, ERR_FORMAT,
                       "the footer puts the dynamic disk header at %" PRIu64
                       ", past the end of the file",
                       pos);
    if (!io_read(img->io, pos, raw, sizeof(raw), e))
        return false;
    if (!vhd_header_unpack(raw, &v->header))
        return err_set(e, ERR_FORMAT, "there is no dynamic disk header at %" PRIu64, pos);
    return check_header(img, v, e);
}

static bool fill_facts(struct image *img, const struct vhd *v, struct err *e)
{
    static const char *const subformats[] = {
        [VHD_FIXED] = "fixed", [VHD_DYNAMIC] = "dynamic", [VHD_DIFFERENCING] = "differencing"};
    struct image_facts *facts = &img->facts;
    char uuid[VHD_UUID_TEXT], creator[5] = {0};

    for (size_t i = 0; i < 4; i++)
        creator[i] = isprint(v->footer.creator[i]) ? (char)v->footer.creator[i] : ' ';
    for (size_t i = 4; i && creator[i - 1] == ' '; i--)
        creator[i - 1] = 0;
    vhd_uuid_text(v->footer.uuid, uuid);
    facts->subformat = mem_text(subformats[v->footer.type], e);
    facts->identity = mem_text(uuid, e);
    facts->cluster_size = v->footer.type == VHD_FIXED ? 0 : v->header.block_size;
    return facts->subformat && facts->identity &&
           opt_pairs_add(&facts->extra, "creator", creator, e) &&
           (!v->footer.saved_state || opt_pairs_add(&facts->extra, "saved_state", "yes", e));
}

static bool vhd_open(struct image *img, struct err *e)
{
    struct vhd *v = mem_new(struct vhd, e);

    img->state = v;
    img->sector_size = VHD_SECTOR;
    if (!v || !find_footer(img, v, e) || !check_footer(img, &v->footer, e))
        return false;
    if (v->footer.type == VHD_FIXED ? !open_fixed(img, v, e) : !open_dynamic(img, v, e))
        return false;
    return fill_facts(img, v, e);
}

static void vhd_close(struct image *img)
{
    struct vhd *v = img->state;

    if (!v)
        return;
    pages_release(&v->pages);
    free(v);
    img->state = NULL;
}

/* The entries of the BAT from a block on, as many as lie together. */
static bool bat_entries(struct image *img, uint64_t block, const uint8_t **ret_entries,
                        uint64_t *ret_count, struct err *e)
{
    struct vhd *v = img->state;
    uint32_t len;

    if (!pages_get(&v->pages, v->header.table_offset + 4 * block, 4, false, ret_entries, &len, e))
        return false;
    *ret_count = MIN((uint64_t)len / 4, v->blocks - block);
    return true;
}

bool vhd_bat(struct image *img, uint64_t block, uint32_t *ret, struct err *e)
{
    const uint8_t *entries;
    uint64_t count;

    if (!bat_entries(img, block, &entries, &count, e))
        return false;
    *ret = get_be32(entries);
    return true;
}

/* Sectors from `sector` of the block on that are alike, at most `max`; *ret_here: in this file. */
static bool bitmap_run(struct image *img, uint64_t bitmap_pos, uint32_t sector, uint32_t max,
                       bool *ret_here, uint32_t *ret_run, struct err *e)
{
    struct vhd *v = img->state;
    uint32_t bit = sector % 8, len, end;
    const uint8_t *bits;
    bool here;

    if (!pages_get(&v->pages, bitmap_pos + sector / 8, 1, false, &bits, &len, e))
        return false;
    end = MIN(8 * len, bit + max);
    here = bits[0] >> (7 - bit) & 1;
    while (bit < end) {
        uint8_t byte = bits[bit / 8];

        if (bit % 8 == 0 && byte == (here ? 0xff : 0))
            bit += 8;
        else if ((byte >> (7 - bit % 8) & 1) == here)
            bit++;
        else
            break;
    }
    *ret_here = here;
    *ret_run = MIN(bit, end) - sector % 8;
    return true;
}

/* Bytes at `pos` of the file; a hole there needs no reading. */
static bool map_bytes(struct image *img, uint64_t pos, uint64_t len, struct extent *ret,
                      struct err *e)
{
    enum io_extent_kind kind;

    if (!io_extent(img->io, pos, len, &kind, &ret->len, e))
        return false;
    ret->kind = kind == IO_HOLE ? EXTENT_ZERO : EXTENT_DATA;
    ret->io = img->io;
    ret->pos = pos;
    return true;
}

static bool map_block(struct image *img, uint64_t at, uint64_t want, uint32_t entry,
                      struct extent *ret, struct err *e)
{
    struct vhd *v = img->state;
    uint64_t block_size = v->header.block_size, in = at % block_size;
    uint64_t used = MIN(block_size, img->size - (at - in));
    uint64_t bitmap_pos = (uint64_t)entry * VHD_SECTOR, data = bitmap_pos + v->bitmap_size;
    uint64_t len = MIN(want, used - in);
    uint32_t run, sector = (uint32_t)(in / VHD_SECTOR);
    bool here;

    if (!range_inside(data, used, img->io->size))
        return err_set(e, ERR_FORMAT,
                       "block %" PRIu64 " lies at [%" PRIu64 ", +%" PRIu64
                       "), the file has %" PRIu64 " bytes",
                       at / block_size, data, used, img->io->size);
    if (v->footer.type == VHD_DIFFERENCING) {
        if (!bitmap_run(img, bitmap_pos, sector, (uint32_t)(div_up(in + len, VHD_SECTOR) - sector),
                        &here, &run, e))
            return false;
        len = MIN(len, ((uint64_t)sector + run) * VHD_SECTOR - in);
        if (!here) {
            ret->kind = EXTENT_ABSENT;
            ret->len = len;
            return true;
        }
    }
    return map_bytes(img, data + in, len, ret, e);
}

static bool vhd_map(struct image *img, uint64_t at, uint64_t want, struct extent *ret,
                    struct err *e)
{
    struct vhd *v = img->state;
    uint64_t block_size = v->header.block_size, count, absent = 0;
    const uint8_t *entries;

    if (v->footer.type == VHD_FIXED)
        return map_bytes(img, at, want, ret, e);
    if (!bat_entries(img, at / block_size, &entries, &count, e))
        return false;
    if (get_be32(entries) != VHD_NOT_ALLOCATED)
        return map_block(img, at, want, get_be32(entries), ret, e);
    while (absent < count && get_be32(entries + 4 * absent) == VHD_NOT_ALLOCATED)
        absent++;
    ret->kind = v->footer.type == VHD_DIFFERENCING ? EXTENT_ABSENT : EXTENT_ZERO;
    ret->len = MIN(want, absent * block_size - at % block_size);
    return true;
}

static const char *const vhd_aliases[] = {"vpc", NULL};
static const char *const vhd_suffixes[] = {"vhd", "avhd", NULL};

const struct driver driver_vhd = {
    .name = "vhd",
    .help = "Virtual PC, Hyper-V generation 1 and Azure disks",
    .aliases = vhd_aliases,
    .suffixes = vhd_suffixes,
    .layout_version = 1,
    .limits =
        {
            .size_max = 64 * TIB, /* of fixed disks: no field ends there, no platform goes on;
                                     dynamic ones end earlier, see vhd_write.c */
            .size_multiple = VHD_SECTOR,
        },
    .probe = vhd_probe,
    .open = vhd_open,
    .close = vhd_close,
    .map = vhd_map,
    .parent = vhd_parent,
    .check = vhd_check,
    .options = vhd_rows,
    .options_size = sizeof(struct vhd_options),
    .create = vhd_create,
    .place = vhd_place,
    .seal = vhd_seal,
    .discard = vhd_discard,
};
