/* Digests; see digest.h. The only user of libcrypto. */
#include "digest.h"

#include "mem.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>

struct digest {
    EVP_MD_CTX *ctx;
    const EVP_MD *md;
};

struct digest *digest_new(const char *name, struct err *e)
{
    struct digest *d = mem_new(struct digest, e);

    if (!d)
        return NULL;
    d->md = EVP_get_digestbyname(name);
    d->ctx = d->md ? EVP_MD_CTX_new() : NULL;
    if (!d->ctx || !EVP_DigestInit_ex(d->ctx, d->md, NULL)) {
        err_set(e, d->md ? ERR_MEMORY : ERR_USAGE, "the digest '%s' is not available", name);
        digest_free(d);
        return NULL;
    }
    return d;
}

void digest_free(struct digest *d)
{
    if (!d)
        return;
    EVP_MD_CTX_free(d->ctx);
    free(d);
}

void digest_add(struct digest *d, const void *data, size_t len)
{
    EVP_DigestUpdate(d->ctx, data, len);
}

size_t digest_finish(struct digest *d, uint8_t out[64])
{
    unsigned n = 0;

    EVP_DigestFinal_ex(d->ctx, out, &n);
    EVP_DigestInit_ex(d->ctx, d->md, NULL);
    return n;
}

void digest_sha256(const void *data, size_t len, struct digest_value *ret_value)
{
    SHA256(data, len, ret_value->bytes);
}

static const uint8_t zeroes[DIGEST_CHUNK];
static struct digest_value zero_chunk;
static pthread_once_t zero_once = PTHREAD_ONCE_INIT;

static void zero_init(void)
{
    digest_sha256(zeroes, sizeof(zeroes), &zero_chunk);
}

void digest_zero_chunk(size_t len, struct digest_value *ret_value)
{
    if (len == DIGEST_CHUNK) {
        pthread_once(&zero_once, zero_init);
        *ret_value = zero_chunk;
    } else {
        digest_sha256(zeroes, len, ret_value);
    }
}

uint32_t crc32_sum(uint32_t crc, const void *data, size_t len)
{
    /* the CRC of each half byte */
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    const uint8_t *p = data;

    crc = ~crc;
    while (len--) {
        crc ^= *p++;
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}
