/* Digests over libcrypto, and the tree digest of a disk.
 *
 * Tree digest: SHA-256 over the SHA-256s of each 1 MiB chunk of the guest's bytes (the last may be
 * short), in order, followed by the virtual size as 8 little-endian bytes. It depends on the
 * contents alone, never on the container, and comparing chunk digests tells where two disks differ.
 */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "cleanup.h"
#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum { DIGEST_SIZE = 32, DIGEST_CHUNK = 1 << 20, DIGEST_HEX_MAX = 2 * DIGEST_SIZE + 1 };

struct digest_value {
    uint8_t bytes[DIGEST_SIZE];
};

/* A running SHA-256 (or another named digest: "sha1", "sha256", "sha512", "md5"). */
struct digest;
struct digest *digest_new(const char *name, struct err *e);
void digest_free(struct digest *d);
AUTO_TYPE(struct digest *, digest_free)
void digest_add(struct digest *d, const void *data, size_t len);
/* Writes up to 64 bytes to `out`, returns their number; the object can then be used from the start.
 */
size_t digest_finish(struct digest *d, uint8_t out[64]);

/* One-shot SHA-256. Thread-safe. */
void digest_sha256(const void *data, size_t len, struct digest_value *ret_value);

/* The SHA-256 of `len` zero bytes, for len <= DIGEST_CHUNK; the full chunk's is computed once. */
void digest_zero_chunk(size_t len, struct digest_value *ret_value);

/* CRC-32 (polynomial 0xedb88320, as zip, gzip and GPT use it), continued from `crc`; start with 0.
 */
uint32_t crc32_sum(uint32_t crc, const void *data, size_t len);

#endif
