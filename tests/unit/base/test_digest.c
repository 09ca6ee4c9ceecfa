/* label: quick
 * Digests against published values, and the tree digest put together by hand. */
#include "digest.h"

#include "bytes.h"
#include "test.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static struct err e;

/* FIPS 180-4 and RFC 1321 examples. */
static void test_known(void **state)
{
    static const struct {
        const char *name, *text, *hex;
    } rows[] = {
        {"sha256", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"sha256", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"sha1", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"md5", "abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"sha512", "abc",
         "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
         "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct digest *d = digest_new(rows[i].name, &e);
        uint8_t out[64];
        char hex[129];

        assert_ok(d, &e);
        for (int twice = 0; twice < 2; twice++) { /* it starts afresh after each result */
            size_t n;

            for (const char *p = rows[i].text; *p; p++)
                digest_add(d, p, 1);
            n = digest_finish(d, out);
            hex_encode(out, n, hex);
            assert_string_equal(hex, rows[i].hex);
        }
        digest_free(d);
    }
    digest_free(NULL);
    assert_null(digest_new("sha0", &e));
    assert_int_equal(e.kind, ERR_USAGE);
    err_clear(&e);
}

static void test_zero_chunk(void **state)
{
    static const size_t lengths[] = {0, 1, 4096, DIGEST_CHUNK - 1, DIGEST_CHUNK};
    uint8_t *zeroes = calloc(1, DIGEST_CHUNK);
    struct digest_value a, b;

    (void)state;
    for (int twice = 0; twice < 2; twice++)
        for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
            digest_sha256(zeroes, lengths[i], &a);
            digest_zero_chunk(lengths[i], &b);
            assert_memory_equal(a.bytes, b.bytes, DIGEST_SIZE);
        }
    free(zeroes);
}

/* Two MiB and a half: one full chunk of data, one of zeroes, half a chunk. */
static void test_tree(void **state)
{
    const uint64_t size = 5 * (MIB / 2);
    uint8_t *disk = calloc(1, size), tail[8], out[64];
    struct digest *d = digest_new("sha256", &e);
    struct digest_value chunk;
    char hex[DIGEST_HEX_MAX];

    (void)state;
    memset(disk, 'a', MIB);
    memset(disk + 2 * MIB, 'b', MIB / 2);
    digest_sha256(disk, MIB, &chunk);
    digest_add(d, chunk.bytes, DIGEST_SIZE);
    digest_zero_chunk(DIGEST_CHUNK, &chunk);
    digest_add(d, chunk.bytes, DIGEST_SIZE);
    digest_sha256(disk + 2 * MIB, MIB / 2, &chunk);
    digest_add(d, chunk.bytes, DIGEST_SIZE);
    put_le64(tail, size);
    digest_add(d, tail, sizeof(tail));
    assert_int_equal(digest_finish(d, out), DIGEST_SIZE);
    hex_encode(out, DIGEST_SIZE, hex);
    assert_string_equal(hex, "a3dbd1849322ea91024ffe073672692c1f7abf39a828ff8ab38046b3e3e44426");
    digest_free(d);
    free(disk);
}

static void test_crc32(void **state)
{
    (void)state;
    assert_int_equal(crc32_sum(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(crc32_sum(crc32_sum(0, "1234", 4), "56789", 5), 0xcbf43926);
    assert_int_equal(crc32_sum(0, "", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_zero_chunk),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_crc32),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
