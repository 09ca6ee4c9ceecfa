/* Byte and text buffers; see buf.h. */
#include "buf.h"

#include "mem.h"

#include <stdio.h>
#include <string.h>

void buf_release(struct buf *b)
{
    if (!b)
        return;
    free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

static bool reserve(struct buf *b, size_t more)
{
    size_t want, grown = b->room ? b->room * 2 : 128;
    void *p;

    if (b->failed)
        return false;
    if (__builtin_add_overflow(b->len, more, &want) || __builtin_add_overflow(want, 1, &want)) {
        b->failed = true;
        return false;
    }
    if (want <= b->room)
        return true;
    p = mem_grow(b->data, grown < want ? want : grown, 1, NULL);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->data = p;
    b->room = grown < want ? want : grown;
    return true;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    if (!reserve(b, len))
        return;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_zero(struct buf *b, size_t len)
{
    if (!reserve(b, len))
        return;
    memset(b->data + b->len, 0, len + 1);
    b->len += len;
}

void buf_format(struct buf *b, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0)
        b->failed = true;
    if (n < 0 || !reserve(b, (size_t)n))
        return;
    va_start(args, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
}

void buf_varint(struct buf *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;

    do {
        bytes[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    buf_add(b, bytes, n);
}

bool varint_get(const void *data, size_t len, size_t *pos, uint64_t *ret_v)
{
    const uint8_t *p = data;
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64 && *pos < len; shift += 7) {
        uint8_t b = p[(*pos)++];

        if (shift == 63 && b > 1)
            return false; /* past 64 bits */
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret_v = v;
            return true;
        }
    }
    return false;
}

bool buf_ok(const struct buf *b, struct err *e)
{
    return !b->failed || err_set(e, ERR_MEMORY, "out of memory");
}

char *buf_take(struct buf *b, struct err *e)
{
    char *data;

    buf_add(b, "", 0);
    if (!buf_ok(b, e)) {
        buf_release(b);
        return NULL;
    }
    data = b->data;
    *b = (struct buf){0};
    return data;
}
