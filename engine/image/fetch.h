/* Fetching: the bytes of an extent, read and decoded. One struct fetch a thread. */
#ifndef IMAGE_FETCH_H
#define IMAGE_FETCH_H

#include "codec.h"
#include "image.h"

struct fetch { /* zero-initialised */
    struct codec_state *codecs;
    uint8_t *stored; /* the coded form of a unit */
    size_t stored_room;
    uint8_t *unit; /* the last unit of which only a part was wanted */
    size_t unit_room;
    const struct io *unit_io; /* where that one came from; NULL: none */
    uint64_t unit_pos;
    uint64_t read; /* bytes read from stores so far */
};

/* Fills `out` with the extent's len bytes; ZERO and ABSENT give zeroes. */
bool fetch_extent(struct fetch *f, const struct extent *x, void *out, struct err *e);
void fetch_release(struct fetch *f);

#endif
