/* A bounded cache of a file's tables, in pages of fixed size and alignment: what the drivers read
 * their maps through, so that no number in a header decides how much is allocated. */
#ifndef IMAGE_PAGES_H
#define IMAGE_PAGES_H

#include "io.h"

enum {
    PAGES_SETS = 32,
    PAGES_WAYS = 8,       /* 256 pages of at most 64 KiB: 16 MiB map 128 GiB of guest */
    PAGES_MAX = 64 << 10, /* one L2 table of the usual cluster size */
    PAGES_MIN = 4 << 10,  /* smaller reads cost as much */
};

struct page {
    uint64_t number; /* position / page size */
    uint64_t used;   /* clock of the last use; 0: empty */
    uint32_t len;    /* valid bytes: less than a page at the end of the file */
    uint8_t *data;
};

struct pages {
    struct io *io;
    uint32_t size; /* of a page */
    uint64_t clock;
    struct page slots[PAGES_SETS][PAGES_WAYS];
};

/* `page_size`: a power of two; clipped to PAGES_MIN..PAGES_MAX. `io` is borrowed. */
void pages_init(struct pages *p, struct io *io, uint32_t page_size);
void pages_release(struct pages *p);
/* The bytes at `pos`: *ret_data with *ret_len of them, a multiple of `item` and at least
 * one; never across a page (`item` divides a page, and `pos`), valid until the next call. Past the
 * end of the file: ERR_FORMAT, or zeroes when `padded`. */
bool pages_get(struct pages *p, uint64_t pos, uint32_t item, bool padded, const uint8_t **ret_data,
               uint32_t *ret_len, struct err *e);

#endif
