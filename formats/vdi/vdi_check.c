/* Structure check of a VDI: every entry of the map names a block that lies in the file, and that no
 * other entry names; the count of stored blocks is right. */
#include "vdi.h"

#include "bytes.h"
#include "mem.h"
#include "report.h"

#include <inttypes.h>

enum { USED_MAX = 64 << 20 }; /* bytes of bitmap: 512 TiB in blocks of 1 MiB */

struct survey {
    struct image *img;
    const struct vdi_header *h;
    struct report report;
    uint64_t room; /* stored blocks that the file has room for */
    uint64_t used;
    uint8_t *seen; /* one bit a stored block */
};

static void check_entry(struct survey *s, uint64_t block, uint32_t number)
{
    uint8_t mask = (uint8_t)(1u << number % 8);

    if (number >= s->room) {
        report_say(&s->report, CHECK_DAMAGE,
                   "block %" PRIu64 " is stored block %" PRIu32 ", past the end of the file", block,
                   number);
        return;
    }
    if (s->seen[number / 8] & mask)
        report_say(&s->report, CHECK_DAMAGE,
                   "block %" PRIu64 " shares stored block %" PRIu32 " with another", block, number);
    else
        s->used++;
    s->seen[number / 8] |= mask;
}

static bool check_map(struct survey *s, struct err *e)
{
    for (uint64_t block = 0; block < s->h->blocks;) {
        const uint8_t *entries;
        uint64_t count;

        if (!vdi_entries(s->img, block, &entries, &count, e))
            return false;
        for (uint64_t i = 0; i < count; i++) {
            uint32_t number = get_le32(entries + 4 * i);

            if (number != VDI_FREE && number != VDI_ZERO)
                check_entry(s, block + i, number);
        }
        block += count;
    }
    return true;
}

bool vdi_check(struct image *img, check_fn *report, void *user, struct err *e)
{
    const struct vdi_header *h = &((struct vdi *)img->state)->header;
    struct survey s = {.img = img, .h = h, .report = {.fn = report, .user = user}};
    uint64_t stride = h->block_size + (uint64_t)h->block_extra;
    bool ok;

    /* the last stored block may be cut at the end of the disk */
    s.room = img->io->size > h->data_pos ? div_up(img->io->size - h->data_pos, stride) : 0;
    if (s.room / 8 + 1 > USED_MAX)
        return err_set(e, ERR_UNSUPPORTED, "a file of %" PRIu64 " bytes is too large to check",
                       img->io->size);
    s.seen = mem_alloc((size_t)(s.room / 8 + 1), e);
    if (!s.seen)
        return false;
    ok = check_map(&s, e);
    free(s.seen);
    if (!ok)
        return false;
    if (h->allocated != s.used)
        report_say(&s.report, CHECK_DAMAGE,
                   "the header counts %" PRIu32 " stored blocks, the map has %" PRIu64,
                   h->allocated, s.used);
    if (s.room > s.used)
        report_say(&s.report, CHECK_LEAK, "%" PRIu64 " stored blocks are not in use",
                   s.room - s.used);
    report_end(&s.report);
    return true;
}
