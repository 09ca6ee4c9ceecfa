/* The cache: 32 sets of 8 pages, each set replacing its least recently used. Tables start at
 * multiples of 512 bytes and their entries divide a page, so no entry ever crosses one. Pages are
 * read when first asked for, and their memory is allocated then too. */
#include "pages.h"

#include "bytes.h"
#include "mem.h"

#include <assert.h>
#include <inttypes.h>

void pages_init(struct pages *p, struct io *io, uint32_t page_size)
{
    p->io = io;
    p->size = MIN(MAX(page_size, (uint32_t)PAGES_MIN), (uint32_t)PAGES_MAX);
}

void pages_release(struct pages *p)
{
    for (unsigned set = 0; set < PAGES_SETS; set++)
        for (unsigned way = 0; way < PAGES_WAYS; way++)
            free(p->slots[set][way].data);
}

static bool page_load(struct pages *p, struct page *page, uint64_t number, struct err *e)
{
    uint64_t pos = number * p->size;
    uint32_t len = (uint32_t)MIN((uint64_t)p->size, p->io->size - MIN(pos, p->io->size));

    page->used = 0; /* stays empty when the read fails */
    if (!page->data && !(page->data = mem_pages(p->size, e)))
        return false;
    if (!io_read(p->io, MIN(pos, p->io->size), page->data, len, e))
        return false;
    memset(page->data + len, 0, p->size - len);
    page->number = number;
    page->len = len;
    return true;
}

static struct page *page_find(struct pages *p, uint64_t number, struct err *e)
{
    /* multiplicative hashing: tables are often a fixed stride apart */
    unsigned set = (unsigned)((number * UINT64_C(0x9e3779b97f4a7c15)) >> 59);
    struct page *ways = p->slots[set], *oldest = ways;

    static_assert(PAGES_SETS == 1 << 5, "the top five bits of the hash choose the set");
    for (struct page *page = ways; page < ways + PAGES_WAYS; page++) {
        if (page->used && page->number == number)
            return page;
        if (page->used < oldest->used)
            oldest = page;
    }
    return page_load(p, oldest, number, e) ? oldest : NULL;
}

bool pages_get(struct pages *p, uint64_t pos, uint32_t item, bool padded, const uint8_t **ret_data,
               uint32_t *ret_len, struct err *e)
{
    uint32_t skip = (uint32_t)(pos % p->size);
    struct page *page;

    if (!padded && !range_inside(pos, item, p->io->size))
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short: it ends at %" PRIu64
                       " bytes, before the table entry at %" PRIu64,
                       p->io->name, p->io->size, pos);
    page = page_find(p, pos / p->size, e);
    if (!page)
        return false;
    page->used = ++p->clock;
    *ret_data = page->data + skip;
    *ret_len = ((padded ? p->size : page->len) - skip) / item * item;
    return true;
}
