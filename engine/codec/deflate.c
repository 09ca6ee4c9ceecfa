/* Raw deflate (RFC 1951) and the zlib wrapper (RFC 1950). The only user of libdeflate and zlib.
 *
 * libdeflate does whole units at several times zlib's speed, but it wants the stream to end exactly
 * where the unit does. Some writers store streams that go on, or whose tail was cut off after the
 * last byte that matters; for those, zlib inflates until the unit is full, as other readers do. */
#include "bytes.h"
#include "codec_state.h"
#include "mem.h"
#include "packed.h"

#include <libdeflate.h>
#include <zlib.h>

enum {
    LEVEL_MIN = 1,
    LEVEL_QUICK_MAX = 7, /* above, every unit is tried in earnest */
    LEVEL_MAX = 12,
    /* Measured against zlib 6 on system files: raw deflate 2 writes fewer bytes in a quarter of the
     * time (zlib's users give it a 4 KiB window there), zlib 5 as many in a third.
     * docs/PERFORMANCE.md */
    DEFLATE_PRESET = 2,
    ZLIB_PRESET = 5,
};

enum { RAW_WINDOW = -15, ZLIB_WINDOW = 15 }; /* inflateInit2: the largest window, without, with */

struct deflate_state {
    struct libdeflate_decompressor *decoder;
    struct libdeflate_compressor *encoders[LEVEL_MAX + 1]; /* each made when first asked for */
    z_stream stream;
    bool stream_ready;
};

void deflate_state_free(struct deflate_state *d)
{
    if (!d)
        return;
    libdeflate_free_decompressor(d->decoder);
    for (size_t i = 0; i < ARRAY_LEN(d->encoders); i++)
        libdeflate_free_compressor(d->encoders[i]);
    if (d->stream_ready)
        inflateEnd(&d->stream);
    free(d);
}

struct deflate_state *deflate_state_new(struct err *e)
{
    return mem_new(struct deflate_state, e);
}

static struct libdeflate_decompressor *decoder(struct codec_state *s, struct err *e)
{
    struct deflate_state *d = s->deflate;

    if (!d->decoder)
        d->decoder = libdeflate_alloc_decompressor();
    if (!d->decoder)
        err_set(e, ERR_MEMORY, "out of memory for decompression");
    return d->decoder;
}

/* Inflates until the unit is full; what follows in the stream is left alone. */
static bool inflate_unit(struct deflate_state *d, int window, const void *in, size_t in_len,
                         void *out, size_t out_len, struct err *e)
{
    z_stream *z = &d->stream;
    int r;

    if (in_len > UINT32_MAX || out_len > UINT32_MAX)
        return err_set(e, ERR_FORMAT, "a compressed unit of %zu bytes is too large", in_len);
    if (!d->stream_ready && inflateInit2(z, window) != Z_OK)
        return err_set(e, ERR_MEMORY, "out of memory for decompression");
    d->stream_ready = true;
    if (inflateReset2(z, window) != Z_OK)
        return err_set(e, ERR_MEMORY, "out of memory for decompression");
    z->next_in = (Bytef *)in;
    z->avail_in = (uInt)in_len;
    z->next_out = out;
    z->avail_out = (uInt)out_len;
    r = inflate(z, Z_FINISH);
    if (r == Z_MEM_ERROR)
        return err_set(e, ERR_MEMORY, "out of memory for decompression");
    if (r != Z_STREAM_END && r != Z_OK && r != Z_BUF_ERROR)
        return err_set(e, ERR_FORMAT, "the compressed data is damaged: %s",
                       z->msg ? z->msg : "not a deflate stream");
    if (z->avail_out)
        return err_set(e, ERR_FORMAT,
                       "the compressed data is damaged: it gives %zu bytes instead of %zu",
                       out_len - z->avail_out, out_len);
    return true;
}

static bool deflate_decode(struct codec_state *s, uint64_t unit_at, const void *in, size_t in_len,
                           void *out, size_t out_len, struct err *e)
{
    struct libdeflate_decompressor *d = decoder(s, e);
    size_t used;

    (void)unit_at;
    return d && (libdeflate_deflate_decompress_ex(d, in, in_len, out, out_len, &used, NULL) ==
                     LIBDEFLATE_SUCCESS ||
                 inflate_unit(s->deflate, RAW_WINDOW, in, in_len, out, out_len, e));
}

static bool zlib_decode(struct codec_state *s, uint64_t unit_at, const void *in, size_t in_len,
                        void *out, size_t out_len, struct err *e)
{
    struct libdeflate_decompressor *d = decoder(s, e);
    size_t used;

    (void)unit_at;
    return d && (libdeflate_zlib_decompress_ex(d, in, in_len, out, out_len, &used, NULL) ==
                     LIBDEFLATE_SUCCESS ||
                 inflate_unit(s->deflate, ZLIB_WINDOW, in, in_len, out, out_len, e));
}

/* The compressor for a unit; NULL when it is not worth trying, or there is no memory for it. Data
 * that is packed already is given up on where the caller can do without (out_max < in_len), and
 * gets the least effort otherwise; high levels are taken as the wish to try everything. */
static struct libdeflate_compressor *encoder(struct codec_state *s, int level, const void *in,
                                             size_t in_len, size_t out_max)
{
    struct deflate_state *d = s->deflate;

    if (level < LEVEL_MIN || level > LEVEL_MAX)
        return NULL;
    if (level <= LEVEL_QUICK_MAX && looks_packed(in, in_len)) {
        if (out_max < in_len)
            return NULL;
        level = LEVEL_MIN;
    }
    if (!d->encoders[level])
        d->encoders[level] = libdeflate_alloc_compressor(level);
    return d->encoders[level];
}

static size_t deflate_encode(struct codec_state *s, uint64_t unit_at, const void *in, size_t in_len,
                             void *out, size_t out_max, int level)
{
    struct libdeflate_compressor *c = encoder(s, level, in, in_len, out_max);

    (void)unit_at;
    return c ? libdeflate_deflate_compress(c, in, in_len, out, out_max) : 0;
}

static size_t zlib_encode(struct codec_state *s, uint64_t unit_at, const void *in, size_t in_len,
                          void *out, size_t out_max, int level)
{
    struct libdeflate_compressor *c = encoder(s, level, in, in_len, out_max);

    (void)unit_at;
    return c ? libdeflate_zlib_compress(c, in, in_len, out, out_max) : 0;
}

static size_t deflate_bound(size_t in_len)
{
    return libdeflate_deflate_compress_bound(NULL, in_len);
}

static size_t zlib_bound(size_t in_len)
{
    return libdeflate_zlib_compress_bound(NULL, in_len);
}

const struct codec codec_deflate = {
    .name = "deflate",
    .decode = deflate_decode,
    .encode = deflate_encode,
    .bound = deflate_bound,
    .level_min = LEVEL_MIN,
    .level_max = LEVEL_MAX,
    .level_preset = DEFLATE_PRESET,
    .library = "libdeflate " LIBDEFLATE_VERSION_STRING,
};

const struct codec codec_zlib = {
    .name = "zlib",
    .decode = zlib_decode,
    .encode = zlib_encode,
    .bound = zlib_bound,
    .level_min = LEVEL_MIN,
    .level_max = LEVEL_MAX,
    .level_preset = ZLIB_PRESET,
    .library = "libdeflate " LIBDEFLATE_VERSION_STRING,
};
