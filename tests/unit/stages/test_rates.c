/* The times that a plan shows: each row is a pass, and the milliseconds of what holds it up.
 * label: quick */
#include "test.h"

#include "bytes.h"
#include "codec.h"
#include "rates.h"

static const struct row {
    const char *name;
    uint64_t workers, disk;
    struct pass pass;
    uint64_t ms;
} rows[] = {
    {"nothing", 4, 0, {0}, 0},
    {"reading", 4, 0, {.reads = 8 * GIB}, 8000},
    {"writing", 4, 0, {.reads = 8 * GIB, .writes = 8000 * MIB}, 20000},
    {"deflate", 4, 0, {.reads = GIB, .data = 2400 * MIB, .coder = &codec_zlib}, 10000},
    {"more workers", 8, 0, {.reads = GIB, .data = 2400 * MIB, .coder = &codec_zlib}, 5000},
    {"zstd", 1, 0, {.data = 2000 * MIB, .coder = &codec_zstd, .level = 3}, 10000},
    {"slow zstd", 1, 0, {.data = 600 * MIB, .coder = &codec_zstd, .level = 9}, 10000},
    {"the ceiling", 4, 50 * MIB, {.reads = GIB, .writes = GIB, .data = 5000 * MIB}, 100000},
    {"a ceiling that is none", 4, UINT64_MAX, {.reads = GIB, .data = GIB}, 1000},
};

static void test_row(void **state)
{
    const struct row *row = *state;
    struct job job = {.policy = {.workers = row->workers, .disk = row->disk}};
    struct machine_run m = {.job = &job};

    assert_int_equal(rates_guess(&m, &row->pass), row->ms);
}

static void test_seconds(void **unused)
{
    (void)unused;
    assert_int_equal(rates_seconds(0), 0);
    assert_int_equal(rates_seconds(999), 0);
    assert_int_equal(rates_seconds(1499), 1);
    assert_int_equal(rates_seconds(1500), 2);
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){rows[i].name, test_row, NULL, NULL, (void *)&rows[i]};
    tests[ARRAY_LEN(rows)] = (struct CMUnitTest)cmocka_unit_test(test_seconds);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
