/* What one thread's codecs keep between units. Each codec's file owns one slot; nobody else
 * includes this. */
#ifndef CODEC_CODEC_STATE_H
#define CODEC_CODEC_STATE_H

#include "codec.h"

struct deflate_state;
struct zstd_state;

struct codec_state {
    struct deflate_state *deflate;
    struct zstd_state *zstd;
};

/* Small: what is large in them is made when first needed. */
struct deflate_state *deflate_state_new(struct err *e);
struct zstd_state *zstd_state_new(struct err *e);
void deflate_state_free(struct deflate_state *d);
void zstd_state_free(struct zstd_state *z);

#endif
