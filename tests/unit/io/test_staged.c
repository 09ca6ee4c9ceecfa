/* label: quick
 * Staged stores: they read like any store, and a commit is all or nothing at every power cut. */
#include "faulty.h"
#include "staged.h"

#include "bytes.h"
#include "test.h"

#include <string.h>

enum { SIZE = 64 << 10, MOST = 96 << 10 };

static struct err e;

static struct io *random_base(void)
{
    struct io *io = io_memory("base", SIZE, &e);
    uint64_t seed = 42;
    uint8_t bytes[SIZE];

    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)test_random(&seed);
    assert_ok(io && io_write(io, 0, bytes, SIZE, &e), &e);
    return io;
}

/* The same changes whatever the store. */
static void change(struct io *io, uint64_t seed, unsigned count)
{
    uint8_t bytes[5000];

    memset(bytes, 7, sizeof(bytes));
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = test_random(&seed) % (MOST - sizeof(bytes));
        size_t len = 1 + (size_t)(test_random(&seed) % (sizeof(bytes) - 1));

        switch (test_random(&seed) % 8) {
        case 0:
            assert_ok(io_resize(io, at, &e), &e);
            break;
        case 1:
            assert_ok(io_zero(io, at, len, &e), &e);
            break;
        default:
            bytes[i % sizeof(bytes)] = (uint8_t)i;
            assert_ok(io_write(io, at, bytes, len, &e), &e);
        }
    }
}

static bool equal(struct io *a, struct io *b)
{
    static uint8_t x[MOST], y[MOST];

    if (a->size != b->size)
        return false;
    assert_true(a->size <= MOST);
    assert_ok(io_read(a, 0, x, (size_t)a->size, &e) && io_read(b, 0, y, (size_t)b->size, &e), &e);
    return !memcmp(x, y, (size_t)a->size);
}

static void test_reads_like_a_store(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct io *plain = random_base(), *base = random_base(), *untouched = random_base();
        struct io *staged = staged_new(base, &e), *redo = io_memory("redo", 0, &e);

        assert_ok(staged && redo, &e);
        change(plain, seed, 12);
        change(staged, seed, 12);
        assert_true(equal(plain, staged));
        assert_true(equal(base, untouched));
        assert_ok(staged_commit(staged, redo, &e), &e);
        assert_true(equal(plain, base));
        assert_int_equal(staged_bytes(staged), 0);
        change(plain, seed + 1000, 5);
        change(staged, seed + 1000, 5);
        assert_ok(staged_commit(staged, redo, &e), &e);
        assert_true(equal(plain, base));
        assert_int_equal(redo->size, 0);
        io_free(staged);
        io_free(base);
        io_free(plain);
        io_free(untouched);
        io_free(redo);
    }
}

/* One commit with the power cut at a change; true when the power stayed on. */
static bool commit_cut(uint64_t edits, uint64_t nth, uint64_t settle, struct io *after)
{
    struct io *base = random_base(), *redo = io_memory("redo", 0, &e), *before = random_base();
    struct power *power = power_new(settle, &e);
    struct io *lying = faulty_new(base, power, &e), *lying_redo = faulty_new(redo, power, &e);
    struct io *staged = staged_new(lying, &e);
    bool done, replayed;

    assert_ok(staged, &e);
    change(staged, edits, 12);
    power_cut_at(power, nth);
    done = staged_commit(staged, lying_redo, &e);
    err_clear(&e);
    io_free(staged);
    io_free(lying);
    io_free(lying_redo);
    power_free(power);
    assert_ok(staged_replay(base, redo, &replayed, &e), &e);
    assert_true(equal(base, after) || (!done && !replayed && equal(base, before)));
    assert_int_equal(redo->size, 0);
    io_free(base);
    io_free(redo);
    io_free(before);
    return done;
}

static void test_power_cuts(void **state)
{
    unsigned cuts = 0;

    (void)state;
    for (uint64_t edits = 1; edits <= 12; edits++) {
        struct io *after = random_base();

        change(after, edits, 12);
        for (uint64_t settle = 0; settle < 6; settle++)
            for (uint64_t nth = 1; !commit_cut(edits, nth, settle, after); nth++)
                cuts++;
        io_free(after);
    }
    assert_true(cuts > 300);
}

static void test_changed_since(void **state)
{
    struct io *base = random_base(), *redo = io_memory("redo", 0, &e);
    struct io *lying = faulty_new(base, NULL, &e), *staged = staged_new(lying, &e);
    bool done;

    (void)state;
    assert_ok(io_write(staged, 1000, "new", 3, &e), &e);
    assert_ok(
        faulty_add(lying, &(struct faulty_rule){.op = FAULTY_WRITE, .nth = 1, .lasting = true}, &e),
        &e);
    assert_false(staged_commit(staged, redo, &e));
    err_clear(&e);
    assert_ok(io_write(base, 1010, "other", 5, &e), &e);
    assert_false(staged_replay(base, redo, &done, &e));
    assert_int_equal(e.kind, ERR_CHANGED);
    err_clear(&e);
    assert_true(redo->size > 0);
    io_free(staged);
    io_free(lying);
    io_free(base);
    io_free(redo);
}

static void test_no_redo(void **state)
{
    struct io *base = random_base(), *same = random_base();
    bool done = true;

    (void)state;
    for (size_t len = 0; len < 200; len += 33) {
        struct io *redo = io_memory("redo", len, &e);

        assert_ok(!len || io_write(redo, 0, "strata redo 1\n", MIN(len, (size_t)14), &e), &e);
        assert_ok(staged_replay(base, redo, &done, &e), &e);
        assert_false(done);
        assert_true(equal(base, same));
        io_free(redo);
    }
    io_free(base);
    io_free(same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_like_a_store),
        cmocka_unit_test(test_power_cuts),
        cmocka_unit_test(test_changed_since),
        cmocka_unit_test(test_no_redo),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
