/* A bounded cache of a file's metadata, in pages of fixed size and alignment. */
#ifndef QCOW2_PAGES_H
#define QCOW2_PAGES_H

#include "io.h"

enum {
    QCOW2_PAGE_SETS = 32,
    QCOW2_PAGE_WAYS = 8,       /* 256 pages of at most 64 KiB: 16 MiB map 128 GiB of guest */
    QCOW2_PAGE_MAX = 64 << 10, /* one L2 table of the usual cluster size */
    QCOW2_PAGE_MIN = 4 << 10,  /* smaller reads cost as much */
};

struct qcow2_page {
    uint64_t number; /* position / page size */
    uint64_t used;   /* clock of the last use; 0: empty */
    uint32_t len;    /* valid bytes: less than a page at the end of the file */
    uint8_t *data;
};

struct qcow2_pages {
    struct io *io;
    uint32_t size; /* of a page */
    uint64_t clock;
    struct qcow2_page slots[QCOW2_PAGE_SETS][QCOW2_PAGE_WAYS];
};

void qcow2_pages_init(struct qcow2_pages *p, struct io *io, uint32_t cluster_size);
void qcow2_pages_release(struct qcow2_pages *p);
/* The bytes at `pos`: *ret_data with *ret_len of them, a multiple of `item` (8 or 16) and at least
 * one; never across a page, valid until the next call. Past the end of the file: ERR_FORMAT, or
 * zeroes when `padded`. */
bool qcow2_pages_get(struct qcow2_pages *p, uint64_t pos, uint32_t item, bool padded,
                     const uint8_t **ret_data, uint32_t *ret_len, struct err *e);

#endif
