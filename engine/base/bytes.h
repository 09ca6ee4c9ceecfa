/* On-disk integers: unaligned loads and stores of fixed byte order, and checked arithmetic. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BYTES_ACCESSORS(bits, order)                                                               \
    static inline uint##bits##_t get_##order##bits(const void *p)                                  \
    {                                                                                              \
        uint##bits##_t v;                                                                          \
        memcpy(&v, p, sizeof(v));                                                                  \
        return order##bits##toh(v);                                                                \
    }                                                                                              \
    static inline void put_##order##bits(void *p, uint##bits##_t v)                                \
    {                                                                                              \
        v = hto##order##bits(v);                                                                   \
        memcpy(p, &v, sizeof(v));                                                                  \
    }

BYTES_ACCESSORS(16, le)
BYTES_ACCESSORS(32, le)
BYTES_ACCESSORS(64, le)
BYTES_ACCESSORS(16, be)
BYTES_ACCESSORS(32, be)
BYTES_ACCESSORS(64, be)

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static inline bool is_pow2(uint64_t v)
{
    return v && !(v & (v - 1));
}

/* Rounds up; `unit` need not be a power of two. The caller knows that v + unit does not overflow.
 */
static inline uint64_t round_up(uint64_t v, uint64_t unit)
{
    uint64_t rest = v % unit;

    return rest ? v + (unit - rest) : v;
}

static inline uint64_t round_down(uint64_t v, uint64_t unit)
{
    return v - v % unit;
}

static inline uint64_t div_up(uint64_t v, uint64_t unit)
{
    return v / unit + (v % unit != 0);
}

/* True when [at, at+len) lies within [0, size). */
static inline bool range_inside(uint64_t at, uint64_t len, uint64_t size)
{
    return at <= size && len <= size - at;
}

/* True when the two byte ranges share a byte. */
static inline bool range_overlaps(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
    return alen && blen && (a < b ? b - a < alen : a - b < blen);
}

/* True when all `len` bytes are zero. */
bool bytes_zero(const void *p, size_t len);

#endif
