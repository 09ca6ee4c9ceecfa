/* Packed data: see packed.h.
 *
 * 64 bytes of each KiB are looked at. Packed data uses all byte values alike: the chance that two
 * sampled bytes are equal is then 1/256, and programs, texts and tables are far above it. Data that
 * repeats itself compresses whatever its values are, so a piece that equals one a power of two of
 * KiB before it speaks against. */
#include "packed.h"

#include <stdint.h>
#include <string.h>

enum {
    STEP = 1024,
    PIECE = 64,
    UNIT_MIN = 16 * STEP, /* fewer pieces would not tell */
    UNIT_MAX = 4 << 20,   /* keeps the sums below far from overflow; no unit is larger */
    REPEAT_MAX = 32,      /* pieces; as far back as deflate's window reaches */
};

static bool repeats(const uint8_t *unit, size_t pieces)
{
    for (size_t back = 1; back <= REPEAT_MAX && back < pieces; back *= 2)
        for (size_t i = back; i < pieces; i++)
            if (memcmp(unit + i * STEP, unit + (i - back) * STEP, PIECE) == 0)
                return true;
    return false;
}

bool looks_packed(const void *unit, size_t len)
{
    const uint8_t *p = unit;
    size_t pieces = len / STEP;
    uint64_t n = pieces * PIECE, equal = 0;
    uint32_t count[256] = {0};

    if (len < UNIT_MIN || len > UNIT_MAX)
        return false;
    for (size_t i = 0; i < pieces; i++)
        for (size_t j = 0; j < PIECE; j++)
            count[p[i * STEP + j]]++;
    for (size_t v = 0; v < 256; v++)
        equal += (uint64_t)count[v] * count[v];
    /* pairs of equal bytes, at most 1/15 above n*n/256; each byte also equals itself */
    return (equal - n) * 256 * 15 < n * n * 16 && !repeats(p, pieces);
}
