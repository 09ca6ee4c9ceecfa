/* Text helpers; see text.h. */
#include "text.h"

#include "buf.h"
#include "bytes.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What follows the number of a size: the factor, or 0 when unknown. */
static uint64_t size_factor(const char *unit)
{
    static const char letters[] = "KMGTPE";
    const char *at;
    uint64_t base = 1024, factor = 1;

    if (!*unit || strcasecmp(unit, "b") == 0 || strcasecmp(unit, "bytes") == 0)
        return 1;
    at = strchr(letters, toupper((unsigned char)unit[0]));
    if (!at)
        return 0;
    if (strcasecmp(unit + 1, "b") == 0)
        base = 1000;
    else if (unit[1] && strcasecmp(unit + 1, "ib") != 0)
        return 0;
    for (long i = 0; i <= at - letters; i++)
        factor *= base;
    return factor;
}

bool size_parse(const char *text, uint64_t *ret_bytes, struct err *e)
{
    const char *p = text;
    uint64_t whole = 0, factor, bytes, part = 0, scale = 1;

    if (!isdigit((unsigned char)*p))
        return err_set(e, ERR_USAGE, "'%s' is not a size: write 512, 64K, 30G or 1.5T", text);
    for (; isdigit((unsigned char)*p); p++)
        if (__builtin_mul_overflow(whole, UINT64_C(10), &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
            return err_set(e, ERR_USAGE, "the size '%s' is too large", text);
    if (*p == '.') {
        if (!isdigit((unsigned char)*++p))
            return err_set(e, ERR_USAGE, "'%s' is not a size: write 512, 64K, 30G or 1.5T", text);
        for (; isdigit((unsigned char)*p); p++)
            if (scale < UINT64_C(1000000)) {
                part = part * 10 + (uint64_t)(*p - '0');
                scale *= 10;
            }
    }
    while (*p == ' ')
        p++;
    factor = size_factor(p);
    if (!factor)
        return err_set(e, ERR_USAGE,
                       "'%s' is not a size: '%s' is no unit; write K, M, G, T (powers of 1024) or "
                       "KB, MB, GB, TB (powers of 1000)",
                       text, p);
    if (__builtin_mul_overflow(whole, factor, &bytes) ||
        __builtin_add_overflow(bytes, (uint64_t)((unsigned __int128)part * factor / scale),
                               &bytes) ||
        bytes > INT64_MAX)
        return err_set(e, ERR_USAGE, "the size '%s' is too large", text);
    *ret_bytes = bytes;
    return true;
}

const char *size_text(uint64_t bytes, char buf[SIZE_TEXT_MAX])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    size_t u = 0;

    if (bytes < 1024) {
        snprintf(buf, SIZE_TEXT_MAX, "%" PRIu64 " bytes", bytes);
        return buf;
    }
    for (v /= 1024; v >= 999.5 && u + 1 < ARRAY_LEN(units); u++)
        v /= 1024;
    snprintf(buf, SIZE_TEXT_MAX, "%.*f %s",
             v < 9.995 && v != (double)(int)v   ? 2
             : v < 99.95 && v != (double)(int)v ? 1
                                                : 0,
             v, units[u]);
    return buf;
}

bool duration_parse(const char *text, uint64_t *ret_seconds, struct err *e)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    uint64_t total = 0;
    const char *p = text;

    if (!*p)
        return err_set(e, ERR_USAGE, "'' is not a duration: write 30s, 5m, 1h30m or 7d");
    while (*p) {
        char *end;
        unsigned long long n;
        size_t u = 0;

        if (!isdigit((unsigned char)*p))
            return err_set(e, ERR_USAGE, "'%s' is not a duration: write 30s, 5m, 1h30m or 7d",
                           text);
        n = strtoull(p, &end, 10);
        while (u < ARRAY_LEN(units) && units[u].unit != *end)
            u++;
        if ((u == ARRAY_LEN(units) && *end) || n > UINT32_MAX)
            return err_set(e, ERR_USAGE, "'%s' is not a duration: write 30s, 5m, 1h30m or 7d",
                           text);
        total += n * (*end ? units[u].seconds : 1);
        p = *end ? end + 1 : end;
    }
    *ret_seconds = total;
    return true;
}

const char *duration_text(uint64_t s, char buf[SIZE_TEXT_MAX])
{
    if (s >= 3600)
        snprintf(buf, SIZE_TEXT_MAX, "%" PRIu64 "h%02um", s / 3600, (unsigned)(s / 60 % 60));
    else if (s >= 60)
        snprintf(buf, SIZE_TEXT_MAX, "%um%02us", (unsigned)(s / 60), (unsigned)(s % 60));
    else
        snprintf(buf, SIZE_TEXT_MAX, "%us", (unsigned)s);
    return buf;
}

enum { WORD_MAX = 64 }; /* longer words are never suggested: no key of ours is that long */

/* Edit distance with adjacent swaps counted once (optimal string alignment). */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1], la = strlen(a), lb = strlen(b);
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    if (la > WORD_MAX || lb > WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        last[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *spare = before;

        now[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t same = a[i - 1] == b[j - 1] ? 0 : 1, best = last[j - 1] + same;

            best = MIN(best, last[j] + 1);
            best = MIN(best, now[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = MIN(best, before[j - 2] + 1);
            now[j] = best;
        }
        before = last;
        last = now;
        now = spare;
    }
    return last[lb];
}

int text_nearest(const char *word, const char *const *words, size_t count)
{
    size_t limit = strlen(word) / 3 + 1, best = limit + 1;
    int found = -1;

    for (size_t i = 0; i < count; i++) {
        size_t d = distance(word, words[i]);

        if (d < best) {
            best = d;
            found = (int)i;
        }
    }
    return found;
}

bool text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
    size_t lt = strlen(text), ls = strlen(suffix);

    return lt >= ls && strcmp(text + lt - ls, suffix) == 0;
}

/* Bytes of the UTF-8 sequence at `p` (RFC 3629), or 0 when it is not well formed. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80                    ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0  ? 2
               : (p[0] & 0xf0) == 0xe0        ? 3
               : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                              : 0;

    if (!p[0] || !n || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

bool utf8_valid(const char *text, size_t len, size_t *ret_bad)
{
    const unsigned char *p = (const unsigned char *)text;

    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(p + i, len - i);

        if (!n) {
            *ret_bad = i;
            return false;
        }
        i += n;
    }
    return true;
}

void hex_encode(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = '\0';
}

static void add_utf8(struct buf *b, uint32_t c)
{
    if (c < 0x80) {
        buf_char(b, (char)c);
        return;
    }
    if (c < 0x800) {
        buf_char(b, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            buf_char(b, (char)(0xe0 | c >> 12));
        } else {
            buf_char(b, (char)(0xf0 | c >> 18));
            buf_char(b, (char)(0x80 | (c >> 12 & 0x3f)));
        }
        buf_char(b, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    buf_char(b, (char)(0x80 | (c & 0x3f)));
}

/* The code point at units[*i], which moves past it; 0xfffd with *bad set for half a pair. */
static uint32_t utf16_next(const uint8_t *units, size_t count, size_t *i, bool big, bool *bad)
{
    uint32_t c = big ? get_be16(units + 2 * *i) : get_le16(units + 2 * *i), low = 0;

    ++*i;
    if (c < 0xd800 || c > 0xdfff)
        return c;
    if (c < 0xdc00 && *i < count)
        low = big ? get_be16(units + 2 * *i) : get_le16(units + 2 * *i);
    if (low < 0xdc00 || low > 0xdfff) {
        *bad = true;
        return 0xfffd;
    }
    ++*i;
    return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

char *utf16_text(const void *units, size_t count, bool big, bool strict, struct err *e)
{
    AUTO(buf_release) struct buf text = {0};
    bool bad = false;

    for (size_t i = 0; i < count;) {
        uint32_t c = utf16_next(units, count, &i, big, &bad);

        if (!c)
            break;
        if (bad && strict) {
            err_set(e, ERR_FORMAT, "a recorded name is not UTF-16");
            return NULL;
        }
        add_utf8(&text, c);
    }
    return buf_take(&text, e);
}
