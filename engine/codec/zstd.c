/* Zstandard frames (RFC 8878). The only user of libzstd.
 *
 * A frame whose end is known decodes straight into the unit, which serves as the window. One that
 * goes on past the unit, or whose tail is missing, is streamed until the unit is full; only then
 * the library allocates a window, so its size is bounded. */
#include "codec_state.h"
#include "mem.h"

#include <zstd.h>

/* The preset is as fast as level 1 and 1% smaller; 3 costs a third more time for another 1%. */
enum { LEVEL_MIN = 1, LEVEL_MAX = 19, LEVEL_PRESET = 2 };
enum { WINDOW_LOG_MAX = 23 }; /* 8 MiB, what RFC 8878 §3.1.1.1.2 asks of decoders; units are less */

struct zstd_state {
    ZSTD_CCtx *encoder;
    ZSTD_DCtx *decoder;
};

void zstd_state_free(struct zstd_state *z)
{
    if (!z)
        return;
    ZSTD_freeCCtx(z->encoder);
    ZSTD_freeDCtx(z->decoder);
    free(z);
}

struct zstd_state *zstd_state_new(struct err *e)
{
    return mem_new(struct zstd_state, e);
}

static ZSTD_DCtx *decoder(struct codec_state *s, struct err *e)
{
    struct zstd_state *z = s->zstd;

    if (!z->decoder) {
        z->decoder = ZSTD_createDCtx();
        if (z->decoder)
            ZSTD_DCtx_setParameter(z->decoder, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
        else
            err_set(e, ERR_MEMORY, "out of memory for decompression");
    }
    return z->decoder;
}

/* Decodes until the unit is full; what follows in the frame is left alone. */
static bool stream_unit(ZSTD_DCtx *d, const void *in, size_t in_len, void *out, size_t out_len,
                        struct err *e)
{
    ZSTD_inBuffer from = {in, in_len, 0};
    ZSTD_outBuffer to = {out, out_len, 0};

    ZSTD_DCtx_reset(d, ZSTD_reset_session_only);
    while (to.pos < to.size) {
        size_t in_before = from.pos, out_before = to.pos;
        size_t r = ZSTD_decompressStream(d, &to, &from);

        if (ZSTD_isError(r))
            return err_set(e, ERR_FORMAT, "the compressed data is damaged: %s",
                           ZSTD_getErrorName(r));
        if (to.pos < to.size && (r == 0 || (from.pos == in_before && to.pos == out_before)))
            return err_set(e, ERR_FORMAT,
                           "the compressed data is damaged: it gives %zu bytes instead of %zu",
                           to.pos, out_len);
    }
    return true;
}

static bool zstd_decode(struct codec_state *s, uint64_t unit_at, const void *in, size_t in_len,
                        void *out, size_t out_len, struct err *e)
{
    ZSTD_DCtx *d = decoder(s, e);
    size_t frame = ZSTD_findFrameCompressedSize(in, in_len);

    (void)unit_at;
    if (!d)
        return false;
    if (!ZSTD_isError(frame) && ZSTD_decompressDCtx(d, out, out_len, in, frame) == out_len)
        return true;
    return stream_unit(d, in, in_len, out, out_len, e);
}

static size_t zstd_encode(struct codec_state *s, uint64_t unit_at, const void *in, size_t in_len,
                          void *out, size_t out_max, int level)
{
    struct zstd_state *z = s->zstd;
    size_t n;

    (void)unit_at;
    if (level < LEVEL_MIN || level > LEVEL_MAX)
        return 0;
    if (!z->encoder)
        z->encoder = ZSTD_createCCtx();
    if (!z->encoder ||
        ZSTD_isError(ZSTD_CCtx_setParameter(z->encoder, ZSTD_c_compressionLevel, level)))
        return 0;
    n = ZSTD_compress2(z->encoder, out, out_max, in, in_len);
    return ZSTD_isError(n) ? 0 : n;
}

static size_t zstd_bound(size_t in_len)
{
    return ZSTD_compressBound(in_len);
}

const struct codec codec_zstd = {
    .name = "zstd",
    .decode = zstd_decode,
    .encode = zstd_encode,
    .bound = zstd_bound,
    .level_min = LEVEL_MIN,
    .level_max = LEVEL_MAX,
    .level_preset = LEVEL_PRESET,
    .library = "libzstd " ZSTD_VERSION_STRING,
};
