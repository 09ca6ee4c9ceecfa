/* label: quick
 * Buffers, varints, memory, arrays and on-disk integers. */
#include "buf.h"

#include "bytes.h"
#include "fault.h"
#include "mem.h"
#include "test.h"
#include "vec.h"

#include <stdlib.h>
#include <string.h>

static struct err e;

static void test_build(void **state)
{
    struct buf b = {0};
    char *text;

    (void)state;
    buf_text(&b, "one");
    buf_char(&b, ' ');
    buf_format(&b, "%d%s", 2, "!");
    buf_zero(&b, 3);
    buf_add(&b, "end", 3);
    assert_int_equal(b.len, 12);
    assert_memory_equal(b.data, "one 2!\0\0\0end", 13);
    assert_ok(buf_ok(&b, &e), &e);
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    for (int i = 0; i < 10000; i++)
        buf_format(&b, "%04d", i);
    assert_int_equal(b.len, 40000);
    text = buf_take(&b, &e);
    assert_memory_equal(text + 4 * 1234, "1234", 4);
    assert_int_equal(strlen(text), 40000);
    assert_null(b.data);
    free(text);
    text = buf_take(&b, &e); /* an empty one is an empty text */
    assert_string_equal(text, "");
    free(text);
    buf_release(&b);
    buf_release(NULL);
}

static void test_failure_sticks(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_text(&b, "kept");
    fault_arm(1);
    buf_zero(&b, 1000);
    fault_disarm();
    buf_text(&b, "lost");
    assert_true(b.failed);
    assert_string_equal(b.data, "kept");
    assert_null(buf_take(&b, &e));
    assert_int_equal(e.kind, ERR_MEMORY);
    err_clear(&e);
    b = (struct buf){0};
    buf_zero(&b, SIZE_MAX);
    assert_true(b.failed);
    buf_release(&b);
}

static void test_varint(void **state)
{
    static const struct {
        uint64_t v;
        size_t len;
    } rows[] = {
        {0, 1},         {1, 1},           {127, 1},        {128, 2},
        {16383, 2},     {16384, 3},       {UINT32_MAX, 5}, {UINT64_C(1) << 62, 9},
        {INT64_MAX, 9}, {UINT64_MAX, 10},
    };
    static const uint8_t over[10] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
                         endless[12] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                        0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
    struct buf b = {0};
    size_t pos = 0;
    uint64_t v;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t before = b.len;

        buf_varint(&b, rows[i].v);
        assert_int_equal(b.len - before, rows[i].len);
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(varint_get(b.data, b.len, &pos, &v));
        assert_true(v == rows[i].v);
    }
    assert_int_equal(pos, b.len);
    assert_false(varint_get(b.data, b.len, &pos, &v));
    pos = b.len - 10;
    assert_false(varint_get(b.data, b.len - 1, &pos, &v)); /* cut */
    pos = 0;
    assert_false(varint_get(over, sizeof(over), &pos, &v));
    pos = 0;
    assert_false(varint_get(endless, sizeof(endless), &pos, &v));
    buf_release(&b);
}

static void test_mem(void **state)
{
    void *p;

    (void)state;
    e = ERR_INIT;
    p = mem_alloc(0, &e);
    assert_non_null(p);
    free(p);
    assert_null(mem_array(SIZE_MAX / 2, 3, &e));
    assert_int_equal(e.kind, ERR_MEMORY);
    err_clear(&e);
    assert_null(mem_grow(NULL, SIZE_MAX / 2, 3, &e));
    err_clear(&e);
    p = mem_pages(10000, &e);
    assert_int_equal((uintptr_t)p % 4096, 0);
    free(p);
    p = mem_textn("abcdef", 3, &e);
    assert_string_equal(p, "abc");
    free(p);
    p = mem_format(&e, "%s-%d", "x", 5);
    assert_string_equal(p, "x-5");
    free(p);
}

static void test_vec(void **state)
{
    VEC(int) v = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_true(VEC_PUSH(&v, i, &e));
    assert_int_equal(v.count, 1000);
    assert_int_equal(v.items[777], 777);
    assert_true(VEC_RESERVE(&v, 5000, &e));
    assert_true(v.room >= 6000);
    fault_arm(1);
    assert_false(VEC_RESERVE(&v, 50000, &e));
    fault_disarm();
    assert_int_equal(v.items[999], 999);
    err_clear(&e);
    free(v.items);
}

static void test_integers(void **state)
{
    uint8_t b[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};

    (void)state;
    assert_int_equal(get_le16(b + 1), 0x0201);
    assert_int_equal(get_be16(b + 1), 0x0102);
    assert_int_equal(get_le32(b + 1), 0x04030201);
    assert_int_equal(get_be32(b + 1), 0x01020304);
    assert_true(get_le64(b + 1) == UINT64_C(0x0807060504030201));
    assert_true(get_be64(b + 1) == UINT64_C(0x0102030405060708));
    put_be32(b + 3, 0xdeadbeef);
    assert_memory_equal(b, "\0\1\2\xde\xad\xbe\xef\7\10", 9);
    put_le64(b + 1, 1);
    assert_memory_equal(b, "\0\1\0\0\0\0\0\0\0", 9);
}

static void test_ranges(void **state)
{
    static const struct {
        uint64_t a, alen, b, blen;
        bool overlap;
    } rows[] = {
        {0, 10, 10, 10, false},
        {0, 11, 10, 10, true},
        {10, 10, 0, 10, false},
        {5, 1, 0, 10, true},
        {5, 0, 0, 10, false},
        {0, 10, 5, 0, false},
        {0, 1, 0, 1, true},
        {UINT64_MAX - 1, 1, UINT64_MAX, 1, false},
        {UINT64_MAX, UINT64_MAX, 0, 5, false},
        {5, UINT64_MAX, 9, 1, true},
        {1, 2, UINT64_MAX - 5, UINT64_MAX, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(range_overlaps(rows[i].a, rows[i].alen, rows[i].b, rows[i].blen),
                         rows[i].overlap);
        assert_int_equal(range_overlaps(rows[i].b, rows[i].blen, rows[i].a, rows[i].alen),
                         rows[i].overlap);
    }
    assert_true(range_inside(0, 10, 10) && range_inside(10, 0, 10));
    assert_false(range_inside(1, 10, 10) || range_inside(11, 0, 10));
    assert_false(range_inside(UINT64_MAX, 2, 10) || range_inside(5, UINT64_MAX, 10));
    assert_int_equal(round_up(5, 3), 6);
    assert_int_equal(round_up(6, 3), 6);
    assert_int_equal(round_down(5, 3), 3);
    assert_int_equal(div_up(0, 3), 0);
    assert_true(div_up(UINT64_MAX, 2) == UINT64_C(1) << 63);
    assert_true(is_pow2(1) && is_pow2(UINT64_C(1) << 63) && !is_pow2(0) && !is_pow2(3));
}

/* One byte that is not zero is found wherever it is, at any alignment. */
static void test_zero(void **state)
{
    static uint8_t b[600];

    (void)state;
    for (size_t start = 0; start < 20; start++) {
        for (size_t len = 0; len < 200; len++)
            assert_true(bytes_zero(b + start, len));
        for (size_t at = 0; at < 200; at++) {
            b[start + at] = 1;
            assert_false(bytes_zero(b + start, 200));
            assert_true(bytes_zero(b + start, at));
            assert_true(bytes_zero(b + start + at + 1, 200 - at));
            b[start + at] = 0;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_build),  cmocka_unit_test(test_failure_sticks),
        cmocka_unit_test(test_varint), cmocka_unit_test(test_mem),
        cmocka_unit_test(test_vec),    cmocka_unit_test(test_integers),
        cmocka_unit_test(test_ranges), cmocka_unit_test(test_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
