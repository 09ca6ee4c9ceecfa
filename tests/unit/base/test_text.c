/* label: quick
 * Sizes, durations, suggestions and UTF-8, as tables. */
#include "text.h"

#include "bytes.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static struct err e;

static void test_size_parse(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"512", 512},
        {"1b", 1},
        {"7 bytes", 7},
        {"64K", 65536},
        {"64k", 65536},
        {"64KiB", 65536},
        {"64 kib", 65536},
        {"64KB", 64000},
        {"1.5T", 3 * (TIB / 2)},
        {"30G", 30 * GIB},
        {"1.5", 1},
        {"0.5M", MIB / 2},
        {"0.3333333333333K", 341},
        {"2GB", 2000000000},
        {"7E", 7 * 1024 * 1024 * TIB},
        {"9223372036854775807", INT64_MAX},
    };
    static const char *const bad[] = {
        "",
        " 1",
        "-1",
        "+1",
        "K",
        "1Q",
        "1KK",
        "1KiBs",
        "1.K",
        ".5K",
        "1,5K",
        "0x10",
        "1 2",
        "1K ",
        "8E",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999",
        "1e3",
    };
    uint64_t bytes;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        e = ERR_INIT;
        assert_ok(size_parse(good[i].text, &bytes, &e), &e);
        if (bytes != good[i].bytes)
            fail_msg("'%s' is %llu", good[i].text, (unsigned long long)bytes);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        e = ERR_INIT;
        bytes = 77;
        if (size_parse(bad[i], &bytes, &e))
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(e.kind, ERR_USAGE);
        assert_int_equal(bytes, 77);
    }
}

static void test_size_text(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0 bytes"},         {1023, "1023 bytes"},
        {1024, "1 KiB"},        {1536, "1.50 KiB"},
        {65536, "64 KiB"},      {100 * KIB + 512, "100 KiB"},
        {MIB - 1, "1.00 MiB"},  {MIB, "1 MiB"},
        {30 * GIB, "30 GiB"},   {3 * (TIB / 2), "1.50 TiB"},
        {12345678, "11.8 MiB"}, {UINT64_MAX, "16 EiB"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(SIZE_TEXT(rows[i].bytes), rows[i].text);
}

static void test_duration(void **state)
{
    static const struct {
        const char *text;
        uint64_t seconds;
        const char *shown;
    } good[] = {
        {"0", 0, "0s"},           {"2s", 2, "2s"},
        {"90s", 90, "1m30s"},     {"5m", 300, "5m00s"},
        {"1h30m", 5400, "1h30m"}, {"7d", 604800, "168h00m"},
        {"45", 45, "45s"},        {"1d1h1m1s", 90061, "25h01m"},
    };
    static const char *const bad[] = {"", "s", "1x", "-1s", "1.5h", "1 h", "1h ", "99999999999s"};
    char buf[SIZE_TEXT_MAX];
    uint64_t seconds;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        e = ERR_INIT;
        assert_ok(duration_parse(good[i].text, &seconds, &e), &e);
        assert_int_equal(seconds, good[i].seconds);
        assert_string_equal(duration_text(seconds, buf), good[i].shown);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        e = ERR_INIT;
        if (duration_parse(bad[i], &seconds, &e))
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(e.kind, ERR_USAGE);
    }
}

static void test_nearest(void **state)
{
    static const char *const words[] = {"format", "filesystem", "size", "to", "compression"};
    static const struct {
        const char *word, *nearest;
    } rows[] = {
        {"format", "format"},
        {"fromat", "format"},
        {"formta", "format"},
        {"siez", "size"},
        {"filesytem", "filesystem"},
        {"compresion", "compression"},
        {"tt", "to"},
        {"xyzzy", NULL},
        {"workers", NULL},
        {"", NULL},
    };
    char *lengthy = malloc(1000);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int found = text_nearest(rows[i].word, words, ARRAY_LEN(words));

        if (!rows[i].nearest ? found >= 0 : found < 0 || strcmp(words[found], rows[i].nearest) != 0)
            fail_msg("'%s' suggests '%s'", rows[i].word, found < 0 ? "nothing" : words[found]);
    }
    memset(lengthy, 'x', 999);
    lengthy[999] = '\0';
    assert_int_equal(text_nearest(lengthy, words, ARRAY_LEN(words)), -1);
    assert_int_equal(text_nearest("x", words, 0), -1);
    free(lengthy);
}

static void test_ends(void **state)
{
    (void)state;
    assert_true(text_starts("abc", "ab") && text_starts("abc", "") && !text_starts("a", "ab"));
    assert_true(text_ends("a.vmdk", ".vmdk") && text_ends("a", "") && !text_ends("k", ".vmdk"));
}

static void test_utf8(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        long bad; /* -1: valid */
    } rows[] = {
        {"", 0, -1},
        {"plain", 5, -1},
        {"\xc3\xa4", 2, -1},
        {"\xe2\x82\xac", 3, -1},
        {"\xf0\x9f\x98\x80", 4, -1},
        {"\xef\xbf\xbf", 3, -1},
        {"\xf4\x8f\xbf\xbf", 4, -1},
        {"a\0b", 3, 1},             /* NUL */
        {"ab\xff", 3, 2},           /* never occurs */
        {"\x80", 1, 0},             /* continuation first */
        {"a\xc3", 2, 1},            /* cut */
        {"\xe2\x82", 2, 0},         /* cut */
        {"\xc0\xaf", 2, 0},         /* overlong */
        {"\xc1\xbf", 2, 0},         /* overlong */
        {"\xe0\x9f\xbf", 3, 0},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 4, 0}, /* overlong */
        {"\xed\xa0\x80", 3, 0},     /* surrogate */
        {"\xf4\x90\x80\x80", 4, 0}, /* past U+10FFFF */
        {"\xf5\x80\x80\x80", 4, 0}, /* past U+10FFFF */
        {"\xc3(", 2, 0},            /* no continuation */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t bad = 99;
        bool valid = utf8_valid(rows[i].bytes, rows[i].len, &bad);

        assert_int_equal(valid, rows[i].bad < 0);
        assert_int_equal(bad, valid ? 99 : rows[i].bad);
    }
}

static void test_utf16(void **state)
{
    static const struct {
        const char *bytes;
        size_t count;
        bool big, strict;
        const char *text; /* NULL: refused */
    } rows[] = {
        {"a\0b\0", 2, false, true, "ab"},
        {"\0a\0b", 2, true, true, "ab"},
        {"a\0\0\0b\0", 3, false, true, "a"},
        {"\xe4\0", 1, false, true, "\xc3\xa4"},
        {"\x20\xac", 1, true, true, "\xe2\x82\xac"},
        {"\xd8\x3d\xde\x00", 2, true, true, "\xf0\x9f\x98\x80"},
        {"\xd8\x3d", 1, true, false, "\xef\xbf\xbd"},
        {"\xd8\x3d", 1, true, true, NULL},
        {"\xde\x00\0a", 2, true, false,
         "\xef\xbf\xbd"
         "a"},
        {"\xd8\x3d\0a", 2, true, false,
         "\xef\xbf\xbd"
         "a"},
        {"", 0, true, true, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *text;

        e = ERR_INIT;
        text = utf16_text(rows[i].bytes, rows[i].count, rows[i].big, rows[i].strict, &e);
        if (rows[i].text)
            assert_string_equal(text, rows[i].text);
        else
            assert_true(!text && e.kind == ERR_FORMAT);
        free(text);
    }
}

static void test_hex(void **state)
{
    char out[9];

    (void)state;
    hex_encode("\x00\x1f\xa0\xff", 4, out);
    assert_string_equal(out, "001fa0ff");
    hex_encode("", 0, out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size_parse), cmocka_unit_test(test_size_text),
        cmocka_unit_test(test_duration),   cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_ends),       cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_utf16),      cmocka_unit_test(test_hex),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
