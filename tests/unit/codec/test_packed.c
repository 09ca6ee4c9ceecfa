/* label: quick
 * The guess that a unit is packed already: right on packed data, never fooled by plain patterns,
 * and used only where the unit can be stored plainly. */
#include "packed.h"

#include "bytes.h"
#include "codec.h"
#include "test.h"

#include <string.h>

enum { UNIT = 65536 };

static uint8_t unit[UNIT], out[2 * UNIT];

static void fill_noise(void)
{
    uint64_t random = 3;

    for (size_t i = 0; i < UNIT; i++)
        unit[i] = (uint8_t)(test_random(&random) >> 20);
}

static void fill_zeroes(void)
{
    memset(unit, 0, UNIT);
}

static void fill_counter(void)
{
    for (size_t i = 0; i < UNIT; i++)
        unit[i] = (uint8_t)i;
}

static void fill_words(void)
{
    for (size_t i = 0; i < UNIT; i += 4)
        put_le32(unit + i, (uint32_t)(i * 2654435761u));
}

static void repeat_every(size_t period)
{
    fill_noise();
    for (size_t i = period; i < UNIT; i++)
        unit[i] = unit[i - period];
}

static void fill_repeat_4k(void)
{
    repeat_every(4096);
}

static void fill_repeat_32k(void)
{
    repeat_every(32768);
}

static void fill_mostly_noise(void)
{
    fill_noise();
    memset(unit + UNIT / 4, 0, UNIT / 4);
}

static void fill_text(void)
{
    uint64_t random = 4;

    for (size_t i = 0; i < UNIT; i++)
        unit[i] = (uint8_t)(' ' + test_random(&random) % 90);
}

static void test_guess(void **state)
{
    static const struct {
        const char *name;
        void (*fill)(void);
        size_t len;
        bool packed;
    } rows[] = {
        {"noise", fill_noise, UNIT, true},
        {"noise, 16 KiB", fill_noise, 16384, true},
        {"noise, 4 KiB: too small to tell", fill_noise, 4096, false},
        {"noise, nothing", fill_noise, 0, false},
        {"zeroes", fill_zeroes, UNIT, false},
        {"counter", fill_counter, UNIT, false},
        {"words", fill_words, UNIT, false},
        {"repeats every 4 KiB", fill_repeat_4k, UNIT, false},
        {"repeats every 32 KiB", fill_repeat_32k, UNIT, false},
        {"a quarter of zeroes", fill_mostly_noise, UNIT, false},
        {"printable", fill_text, UNIT, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rows[i].fill();
        if (looks_packed(unit, rows[i].len) != rows[i].packed)
            fail_msg("%s", rows[i].name);
    }
}

static void test_use(void **state)
{
    struct codec_state *s = codec_state_new(NULL);
    struct err e = ERR_INIT;
    static uint8_t back[UNIT];
    size_t n;

    (void)state;
    fill_noise();
    memset(unit + 4000, 0, 90); /* between two samples: it would fit, barely */
    memset(unit + 5024, 0, 90);
    memset(unit + 9120, 0, 90);
    assert_int_equal(codec_deflate.encode(s, 0, unit, UNIT, out, UNIT - 1, 6), 0);
    assert_true(codec_deflate.encode(s, 0, unit, UNIT, out, UNIT - 1, 9) > 0);
    n = codec_zlib.encode(s, 0, unit, UNIT, out, sizeof(out), 6); /* it must be stored encoded */
    assert_true(n > 0);
    assert_ok(codec_zlib.decode(s, 0, out, n, back, UNIT, &e), &e);
    assert_memory_equal(unit, back, UNIT);
    codec_state_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guess),
        cmocka_unit_test(test_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
