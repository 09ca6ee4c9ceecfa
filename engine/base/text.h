/* Text helpers: sizes as people write them, the nearest known word, splitting. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "512", "64K", "30G", "1.5T": powers of 1024; "MB", "GB"...: powers of 1000; also "KiB", "MiB".
 * Rounds fractions down to whole bytes. False (ERR_USAGE) on anything else or beyond 2^63-1. */
bool size_parse(const char *text, uint64_t *ret_bytes, struct err *e);

enum { SIZE_TEXT_MAX = 32 };
/* "1.5 GiB", "64 KiB", "512 bytes"; three significant digits. Returns `buf`. */
const char *size_text(uint64_t bytes, char buf[SIZE_TEXT_MAX]);
#define SIZE_TEXT(bytes) size_text((bytes), (char[SIZE_TEXT_MAX]){0})

/* "2s", "90s", "5m", "1h30m", "7d" to seconds. */
bool duration_parse(const char *text, uint64_t *ret_seconds, struct err *e);
/* "1h02m", "3m20s", "12s". Returns `buf`. */
const char *duration_text(uint64_t seconds, char buf[SIZE_TEXT_MAX]);

/* The index of the word nearest to `word` in the list, or -1 when none is near enough to suggest.
 */
int text_nearest(const char *word, const char *const *words, size_t count);

bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);

/* True when the bytes are well-formed UTF-8 without NUL; *ret_bad is the offset of the first fault.
 */
bool utf8_valid(const char *text, size_t len, size_t *ret_bad);

/* UTF-16 of either byte order to UTF-8, up to the first NUL or `count` units. Unpaired surrogates
 * become U+FFFD, or, when `strict`, ERR_FORMAT. Release with free(). */
char *utf16_text(const void *units, size_t count, bool big, bool strict, struct err *e);

/* Lower-case hexadecimal; `out` has room for 2*len+1. */
void hex_encode(const void *data, size_t len, char *out);

#endif
