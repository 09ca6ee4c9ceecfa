/* Codecs: whole units in memory, one interface, one table.
 *
 * A unit is what a format compresses at once: a cluster, a grain, a block run. Contexts are
 * expensive and not thread-safe: each worker keeps one struct codec_state, and codecs find theirs
 * in it. */
#ifndef CODEC_CODEC_H
#define CODEC_CODEC_H

#include "cleanup.h"
#include "err.h"

#include <stddef.h>
#include <stdint.h>

/* One per thread; holds whatever contexts its codecs have needed so far. */
struct codec_state;
struct codec_state *codec_state_new(struct err *e);
void codec_state_free(struct codec_state *s);
AUTO_TYPE(struct codec_state *, codec_state_free)

struct codec {
    const char *name; /* "deflate", "zlib", "zstd", ... */
    /* Decodes a unit into exactly out_len bytes. `unit_at` is its first guest byte (some framings
     * record it). The input may have trailing bytes. ERR_FORMAT when it is damaged or gives too few
     * bytes. */
    bool (*decode)(struct codec_state *s, uint64_t unit_at, const void *in, size_t in_len,
                   void *out, size_t out_len, struct err *e);
    /* Encodes a unit, framing and padding included, and returns its length, or 0 when it does not
     * fit into out_max. With out_max below in_len the caller can store the unit plainly: then data
     * that looks compressed already may be given up on (0) untried. Deterministic for a given
     * library version and level. NULL: cannot. */
    size_t (*encode)(struct codec_state *s, uint64_t unit_at, const void *in, size_t in_len,
                     void *out, size_t out_max, int level);
    /* The largest encode can return for in_len bytes: buffers are that large. */
    size_t (*bound)(size_t in_len);
    int level_min, level_max, level_preset;
    const char *library; /* name and version: part of a stage's identity */
};

extern const struct codec codec_deflate; /* raw deflate, RFC 1951 */
extern const struct codec codec_zlib;    /* zlib wrapper, RFC 1950 */
extern const struct codec codec_zstd;    /* one frame, RFC 8878 */

/* By name; NULL when unknown. */
const struct codec *codec_find(const char *name);

#endif
