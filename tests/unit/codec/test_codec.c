/* label: quick
 * Codecs: round trips at every level, streams of other writers, damage, bounds and determinism. */
#include "codec.h"

#include "bytes.h"
#include "mem.h"
#include "test.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

static struct err e;

enum { UNIT = 65536 };

static uint8_t text[UNIT], noise[UNIT], zeroes[UNIT];

static const struct {
    const char *name;
    const uint8_t *data;
} inputs[] = {{"text", text}, {"noise", noise}, {"zeroes", zeroes}};

static const struct codec *const codecs[] = {&codec_deflate, &codec_zlib, &codec_zstd};

static int setup(void **state)
{
    uint64_t random = 1;

    (void)state;
    for (size_t i = 0; i < UNIT; i++) {
        noise[i] = (uint8_t)test_random(&random);
        text[i] = (uint8_t)("the quick brown fox"[test_random(&random) % 19]);
    }
    for (size_t i = 4096; i < UNIT; i += 512)
        memcpy(text + i, text + i - 4096, 200);
    return 0;
}

static void test_find(void **state)
{
    (void)state;
    assert_ptr_equal(codec_find("deflate"), &codec_deflate);
    assert_ptr_equal(codec_find("zlib"), &codec_zlib);
    assert_ptr_equal(codec_find("zstd"), &codec_zstd);
    assert_null(codec_find("lzo"));
    for (size_t c = 0; c < ARRAY_LEN(codecs); c++) {
        assert_true(codecs[c]->level_min <= codecs[c]->level_preset &&
                    codecs[c]->level_preset <= codecs[c]->level_max);
        assert_non_null(strchr(codecs[c]->library, '.'));
    }
}

static void test_round_trips(void **state)
{
    static const size_t lengths[] = {1, 2, 511, 4096, UNIT};
    struct codec_state *s = codec_state_new(&e);
    static uint8_t packed[2 * UNIT], again[2 * UNIT], out[UNIT];

    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(codecs); c++)
        for (int level = codecs[c]->level_min; level <= codecs[c]->level_max; level++)
            for (size_t i = 0; i < ARRAY_LEN(inputs); i++)
                for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
                    size_t len = lengths[l], bound = codecs[c]->bound(len);
                    size_t n = codecs[c]->encode(s, 0, inputs[i].data, len, packed, bound, level);

                    assert_true(bound <= sizeof(packed));
                    assert_true(n > 0 && n <= bound);
                    memset(out, 0x55, sizeof(out));
                    e = ERR_INIT;
                    assert_ok(codecs[c]->decode(s, 0, packed, n, out, len, &e), &e);
                    assert_memory_equal(out, inputs[i].data, len);
                    /* the same call gives the same bytes */
                    assert_int_equal(
                        codecs[c]->encode(s, 0, inputs[i].data, len, again, bound, level), n);
                    assert_memory_equal(packed, again, n);
                }
    codec_state_free(s);
    codec_state_free(NULL);
}

static void test_does_not_fit(void **state)
{
    struct codec_state *s = codec_state_new(&e);
    static uint8_t packed[UNIT];

    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(codecs); c++) {
        assert_int_equal(codecs[c]->encode(s, 0, noise, UNIT, packed, UNIT - 512, 1), 0);
        assert_int_equal(codecs[c]->encode(s, 0, text, UNIT, packed, 100, 1), 0);
        assert_int_equal(codecs[c]->encode(s, 0, text, UNIT, packed, UNIT, 99), 0);
        assert_true(codecs[c]->encode(s, 0, zeroes, UNIT, packed, 4096, 1) > 0);
    }
    codec_state_free(s);
}

/* A stream by the reference library: zlib with a window, or a zstd frame without its size. */
static size_t reference(const struct codec *c, const uint8_t *in, size_t len, uint8_t *out,
                        size_t max)
{
    if (c == &codec_zstd) {
        ZSTD_CCtx *z = ZSTD_createCCtx();
        ZSTD_inBuffer from = {in, 0, 0};
        ZSTD_outBuffer to = {out, max, 0};

        ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 0);
        while (from.size < len) { /* a block each; the size stays unknown */
            from.size += 4096;
            ZSTD_compressStream2(z, &to, &from, ZSTD_e_flush);
        }
        while (ZSTD_compressStream2(z, &to, &from, ZSTD_e_end) > 0)
            ;
        ZSTD_freeCCtx(z);
        return to.pos;
    } else {
        z_stream z = {
            .next_in = (Bytef *)in, .avail_in = (uInt)len, .next_out = out, .avail_out = (uInt)max};

        deflateInit2(&z, 9, Z_DEFLATED, c == &codec_zlib ? 15 : -12, 9, Z_DEFAULT_STRATEGY);
        deflate(&z, Z_FINISH);
        deflateEnd(&z);
        return z.total_out;
    }
}

/* What other writers leave: trailing bytes, streams that go on past the unit, missing tails. */
static void test_other_writers(void **state)
{
    struct codec_state *s = codec_state_new(&e);
    static uint8_t packed[2 * UNIT], out[UNIT];

    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(codecs); c++) {
        size_t n = reference(codecs[c], text, UNIT, packed, sizeof(packed));

        e = ERR_INIT;
        assert_ok(codecs[c]->decode(s, 0, packed, n, out, UNIT, &e), &e);
        assert_memory_equal(out, text, UNIT);
        memset(packed + n, 0xee, 512);
        assert_ok(codecs[c]->decode(s, 0, packed, n + 512, out, UNIT, &e), &e);
        assert_memory_equal(out, text, UNIT);
        /* only the first part is wanted */
        memset(out, 0, UNIT);
        assert_ok(codecs[c]->decode(s, 0, packed, n, out, UNIT / 2, &e), &e);
        assert_memory_equal(out, text, UNIT / 2);
        /* cut after what is wanted */
        memset(out, 0, UNIT);
        assert_ok(codecs[c]->decode(s, 0, packed, n / 2, out, 4096, &e), &e);
        assert_memory_equal(out, text, 4096);
    }
    codec_state_free(s);
}

static void damaged(struct codec_state *s, const struct codec *c, const void *in, size_t len)
{
    static uint8_t out[UNIT];

    e = ERR_INIT;
    assert_false(c->decode(s, 0, in, len, out, UNIT, &e));
    if (e.kind != ERR_FORMAT || !strstr(e.text, "damaged"))
        fail_msg("%s: %s", err_kind_name(e.kind), e.text);
}

static void test_damage(void **state)
{
    struct codec_state *s = codec_state_new(&e);
    static uint8_t packed[2 * UNIT];

    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(codecs); c++) {
        size_t n = codecs[c]->encode(s, 0, text, UNIT / 2, packed, sizeof(packed),
                                     codecs[c]->level_preset);

        damaged(s, codecs[c], packed, n);     /* too few bytes */
        damaged(s, codecs[c], packed, n / 2); /* cut */
        damaged(s, codecs[c], packed, 1);
        damaged(s, codecs[c], packed, 0);
        damaged(s, codecs[c], noise, UNIT);
        memset(packed + n / 3, 0xff, n / 3);
        damaged(s, codecs[c], packed, n);
    }
    /* the zlib wrapper's checksum counts */
    {
        size_t n = codec_zlib.encode(s, 0, text, UNIT, packed, sizeof(packed), 6);

        packed[n - 1] ^= 1;
        damaged(s, &codec_zlib, packed, n);
    }
    codec_state_free(s);
}

/* A frame that asks for a window of 1 GiB is refused, not obeyed. */
static void test_window(void **state)
{
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 0x01, 0x00, 0x00};
    struct codec_state *s = codec_state_new(&e);

    (void)state;
    damaged(s, &codec_zstd, frame, sizeof(frame));
    codec_state_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),         cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_does_not_fit), cmocka_unit_test(test_other_writers),
        cmocka_unit_test(test_damage),       cmocka_unit_test(test_window),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
