/* A growable byte buffer that also builds text. Failure is sticky: after one failed append the
 * buffer stays as it was, `failed` is set, and buf_take reports it once. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "cleanup.h"
#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* always NUL-terminated behind len, once anything was appended */
    size_t len, room;
    bool failed;
};

void buf_release(struct buf *b);
static inline void buf_release_at(struct buf *b)
{
    buf_release(b);
}
void buf_clear(struct buf *b);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_text(struct buf *b, const char *text);
void buf_char(struct buf *b, char c);
void buf_zero(struct buf *b, size_t len);
void buf_format(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* LEB128: seven bits a byte, low first. */
void buf_varint(struct buf *b, uint64_t v);
/* Reads a varint at *pos; false at the end of the data or past 64 bits. */
bool varint_get(const void *data, size_t len, size_t *pos, uint64_t *ret_v);
/* Hands the bytes over (NUL-terminated, never NULL on success) and empties the buffer; NULL with
 * ERR_MEMORY when an append failed. Release with free(). */
char *buf_take(struct buf *b, struct err *e);
/* False with ERR_MEMORY when an append failed. */
bool buf_ok(const struct buf *b, struct err *e);

#endif
