/* Structure check of a VHD: what reading tolerates is told here, and the block table is read to its
 * end. Blocks may lie in any order and need not be packed; they must lie inside the file, behind
 * the structures at its start, and apart from each other. */
#include "vhd.h"

#include "bytes.h"
#include "mem.h"
#include "report.h"

#include <inttypes.h>

static bool check_footers(struct image *img, struct report *r, struct err *e)
{
    const struct vhd *v = img->state;
    uint8_t front[VHD_FOOTER_SIZE], tail[VHD_FOOTER_SIZE] = {0};

    if (v->front_used) {
        report_say(r, CHECK_DAMAGE, "the footer at the end of the file is missing or damaged");
        return true;
    }
    if (!v->footer.sum_ok)
        report_say(r, CHECK_DAMAGE, "the checksum of the footer is wrong");
    if (v->footer.type == VHD_FIXED)
        return true;
    if (!v->header.sum_ok)
        report_say(r, CHECK_DAMAGE, "the checksum of the dynamic disk header is wrong");
    if (!io_read(img->io, 0, front, sizeof(front), e) ||
        !io_read(img->io, v->footer_pos, tail, v->footer_len, e))
        return false;
    if (memcmp(front, tail, v->footer_len) != 0)
        report_say(r, CHECK_DAMAGE, "the footer and its copy at the start of the file differ");
    return true;
}

static int compare_sectors(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Sorts the places and tells of neighbours that share bytes. */
static void check_overlaps(const struct vhd *v, struct report *r, uint32_t *places, size_t n)
{
    uint32_t stride = (v->bitmap_size + v->header.block_size) / VHD_SECTOR;
    uint64_t overlaps = 0;
    uint32_t first = 0;

    qsort(places, n, sizeof(*places), compare_sectors);
    for (size_t i = 1; i < n; i++)
        if (places[i] - places[i - 1] < stride && !overlaps++)
            first = places[i];
    if (overlaps)
        report_say(r, CHECK_DAMAGE,
                   "%" PRIu64 " blocks overlap another, the first at sector %" PRIu32, overlaps,
                   first);
}

/* True when the block's bytes that the disk uses lie in the file and on none of its tables. */
static bool well_placed(struct image *img, uint64_t block, uint32_t entry)
{
    const struct vhd *v = img->state;
    uint64_t pos = (uint64_t)entry * VHD_SECTOR;
    uint64_t used = MIN(v->header.block_size, img->size - block * v->header.block_size);

    return range_inside(pos, v->bitmap_size + used, img->io->size) &&
           !range_overlaps(pos, v->bitmap_size + used, 0, VHD_FOOTER_SIZE) &&
           !range_overlaps(pos, v->bitmap_size + used, v->footer.data_offset, VHD_HEADER_SIZE) &&
           !range_overlaps(pos, v->bitmap_size + used, v->header.table_offset, v->blocks * 4) &&
           !range_overlaps(pos, v->bitmap_size + used, v->footer_pos, v->footer_len);
}

static bool check_blocks(struct image *img, struct report *r, struct err *e)
{
    struct vhd *v = img->state;
    AUTO(free) uint32_t *places = mem_array(v->blocks, sizeof(*places), e);
    uint64_t bad = 0, first_bad = 0;
    size_t n = 0;

    if (!places)
        return false;
    for (uint64_t block = 0; block < v->blocks; block++) {
        uint32_t entry;

        if (!vhd_bat(img, block, &entry, e))
            return false;
        if (entry == VHD_NOT_ALLOCATED)
            continue;
        if (!well_placed(img, block, entry) && !bad++)
            first_bad = block;
        places[n++] = entry;
    }
    if (bad)
        report_say(r, CHECK_DAMAGE,
                   "%" PRIu64 " blocks lie past the end of the file or on its tables, the first is "
                   "block %" PRIu64,
                   bad, first_bad);
    check_overlaps(v, r, places, n);
    return true;
}

bool vhd_check(struct image *img, check_fn *report, void *user, struct err *e)
{
    const struct vhd *v = img->state;
    struct report r = {.fn = report, .user = user};

    return check_footers(img, &r, e) && (v->footer.type == VHD_FIXED || check_blocks(img, &r, e));
}
