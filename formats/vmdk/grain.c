/* The codec of compressed grains: framing around zlib.
 *
 * "Virtual Disk Format 5.0", section "Compressed Grains": with markers a grain begins with its
 * first sector (8 bytes, relative to the extent) and the length of its data (4 bytes), and is
 * padded to a sector; without markers only the length is there. Incompressible grains grow a
 * little: zlib stores them in blocks of 64 KiB with 5 bytes each. */
#include "vmdk.h"

#include "bytes.h"

#include <inttypes.h>

static bool inflate_data(struct codec_state *s, const uint8_t *data, size_t have, uint32_t len,
                         void *out, size_t out_len, struct err *e)
{
    if (!len || len > have)
        return err_set(e, ERR_FORMAT,
                       "the grain is damaged: it claims %" PRIu32 " bytes of compressed data where "
                       "at most %zu can be",
                       len, have);
    return codec_zlib.decode(s, 0, data, len, out, out_len, e);
}

static bool decode_at(struct codec_state *s, uint64_t unit_at, const void *in, size_t in_len,
                      void *out, size_t out_len, struct err *e)
{
    const uint8_t *b = in;

    (void)unit_at;
    if (in_len < VMDK_MARKER)
        return err_set(e, ERR_FORMAT,
                       "the grain is cut short: its marker has 12 bytes, %zu are left", in_len);
    return inflate_data(s, b + VMDK_MARKER, in_len - VMDK_MARKER, get_le32(b + 8), out, out_len, e);
}

static bool decode(struct codec_state *s, uint64_t unit_at, const void *in, size_t in_len,
                   void *out, size_t out_len, struct err *e)
{
    if (in_len >= VMDK_MARKER && (get_le64(in) != unit_at / VMDK_SECTOR || unit_at % VMDK_SECTOR))
        return err_set(e, ERR_FORMAT,
                       "the grain is damaged: its marker says sector %" PRIu64
                       ", the grain table sector %" PRIu64,
                       get_le64(in), unit_at / VMDK_SECTOR);
    return decode_at(s, unit_at, in, in_len, out, out_len, e);
}

/* RFC 1950 section 2.2: method 8, and a check of the first two bytes. */
static bool is_zlib(const uint8_t *b, size_t len)
{
    return len >= 2 && (b[0] & 0x0f) == 8 && get_be16(b) % 31 == 0;
}

/* Without markers: some writers put the length in front, some nothing (qemu reads it so). */
static bool decode_bare(struct codec_state *s, uint64_t unit_at, const void *in, size_t in_len,
                        void *out, size_t out_len, struct err *e)
{
    const uint8_t *b = in;

    (void)unit_at;
    if (in_len > 6 && is_zlib(b + 4, in_len - 4) && get_le32(b) <= in_len - 4)
        return inflate_data(s, b + 4, in_len - 4, get_le32(b), out, out_len, e);
    return codec_zlib.decode(s, 0, in, in_len, out, out_len, e);
}

size_t grain_bound(size_t len)
{
    return round_up(VMDK_MARKER + codec_zlib.bound(len) + len / 512 + 64, VMDK_SECTOR);
}

static size_t encode(struct codec_state *s, uint64_t unit_at, const void *in, size_t in_len,
                     void *out, size_t out_max, int level)
{
    uint8_t *b = out;
    size_t len, end;

    if (out_max <= VMDK_MARKER)
        return 0;
    len = codec_zlib.encode(s, unit_at, in, in_len, b + VMDK_MARKER, out_max - VMDK_MARKER, level);
    end = round_up(VMDK_MARKER + len, VMDK_SECTOR);
    if (!len || end > out_max)
        return 0;
    put_le64(b, unit_at / VMDK_SECTOR);
    put_le32(b + 8, (uint32_t)len);
    memset(b + VMDK_MARKER + len, 0, end - VMDK_MARKER - len);
    return end;
}

const struct codec codec_grain = {
    .name = "grain",
    .decode = decode,
    .encode = encode,
    .bound = grain_bound,
    .level_min = 1,
    .level_max = 12,
    .level_preset = 5,
    .library = "zlib",
};

const struct codec codec_grain_at = {
    .name = "grain",
    .decode = decode_at,
    .bound = grain_bound,
    .library = "zlib",
};

const struct codec codec_grain_bare = {
    .name = "grain",
    .decode = decode_bare,
    .bound = grain_bound,
    .library = "zlib",
};
