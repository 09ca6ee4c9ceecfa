/* label: quick
 * The lying store itself: rules hit what they name, and a power cut keeps exactly what was
 * promised. */
#include "faulty.h"
#include "file.h"

#include "bytes.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct err e;

enum { SIZE = 64 * 1024 };

static struct io *base_of(void)
{
    struct io *base;

    e = ERR_INIT;
    base = io_memory("base", SIZE, &e);
    assert_ok(base, &e);
    return base;
}

static void test_rules(void **state)
{
    struct io *base = base_of(), *io = faulty_new(base, NULL, &e);
    char buf[512];

    (void)state;
    assert_ok(faulty_add(io, &(struct faulty_rule){.op = FAULTY_READ, .pos = 4096, .len = 512}, &e),
              &e);
    assert_ok(
        faulty_add(io, &(struct faulty_rule){.op = FAULTY_WRITE, .nth = 2, .errnum = ENOSPC}, &e),
        &e);
    assert_ok(faulty_add(io, &(struct faulty_rule){.op = FAULTY_SYNC, .nth = 1}, &e), &e);
    assert_ok(io_read(io, 4096 - 512, buf, 512, &e), &e);
    assert_ok(io_read(io, 4096 + 512, buf, 512, &e), &e);
    assert_false(io_read(io, 4096 + 511, buf, 512, &e));
    assert_int_equal(e.kind, ERR_IO);
    err_clear(&e);
    assert_ok(io_write(io, 0, "one", 3, &e), &e);
    assert_false(io_write(io, 0, "two", 3, &e));
    assert_int_equal(e.kind, ERR_SPACE);
    err_clear(&e);
    assert_ok(io_write(io, 0, "six", 3, &e), &e);
    assert_false(io_sync(io, &e));
    err_clear(&e);
    assert_ok(io_sync(io, &e), &e);
    faulty_heal(io);
    assert_ok(io_read(io, 4096, buf, 512, &e), &e);
    assert_ok(faulty_add(io,
                         &(struct faulty_rule){
                             .op = FAULTY_WRITE, .nth = 1, .lasting = true, .partial = true},
                         &e),
              &e);
    assert_false(io_write(io, 0, "ABCDEF", 6, &e));
    err_clear(&e);
    assert_false(io_zero(io, 0, 6, &e));
    err_clear(&e);
    assert_false(io_resize(io, 6, &e));
    err_clear(&e);
    assert_ok(io_read(io, 0, buf, 6, &e), &e);
    assert_memory_equal(buf, "ABC\0\0\0", 6);
    io_free(io);
    io_free(base);
}

/* A fixed life in steps: a history of states after each sync, then unsynced changes. */
static bool live(struct io *io, struct err *err)
{
    char block[2048];

    memset(block, 'a', sizeof(block));
    if (!io_write(io, 1000, block, sizeof(block), err) || !io_sync(io, err))
        return false;
    memset(block, 'b', sizeof(block));
    return io_write(io, 2000, block, sizeof(block), err) && io_zero(io, 1500, 700, err) &&
           io_resize(io, 3000, err) && io_write(io, SIZE + 5000, block, 100, err);
}

static void cut_after(uint64_t seed, struct io *base)
{
    struct power *p = power_new(seed, &e);
    struct io *io = faulty_new(base, p, &e);
    char c;

    assert_ok(live(io, &e), &e);
    assert_int_equal(power_changes(p), 6);
    assert_false(power_is_off(p));
    assert_ok(power_cut(p, &e), &e);
    assert_true(power_is_off(p));
    assert_false(io_read(io, 0, &c, 1, &e));
    assert_false(io_sync(io, &e));
    assert_int_equal(e.kind, ERR_IO);
    err_clear(&e);
    io_free(io);
    power_free(p);
}

static void test_cut_extremes(void **state)
{
    struct io *plain = base_of(), *none = base_of(), *all = base_of();
    static uint8_t a[2 * SIZE], b[2 * SIZE];

    (void)state;
    /* seed 1: everything reached the disk */
    assert_ok(live(plain, &e), &e);
    cut_after(1, all);
    assert_int_equal(all->size, plain->size);
    assert_ok(io_read(plain, 0, a, plain->size, &e), &e);
    assert_ok(io_read(all, 0, b, all->size, &e), &e);
    assert_memory_equal(a, b, plain->size);
    /* seed 0: only what was synced */
    cut_after(0, none);
    assert_int_equal(none->size, SIZE);
    memset(a, 0, sizeof(a));
    memset(a + 1000, 'a', 2048);
    assert_ok(io_read(none, 0, b, SIZE, &e), &e);
    assert_memory_equal(a, b, SIZE);
    io_free(plain);
    io_free(all);
    io_free(none);
}

/* With any seed every 512-byte sector holds one of the versions it had since the sync, and over
 * many seeds all kinds of outcome are seen. */
static void test_cut_sectors(void **state)
{
    static uint8_t got[8 * 1024];
    unsigned old = 0, new = 0, torn = 0;

    (void)state;
    for (uint64_t seed = 2; seed < 60; seed++) {
        struct io *base = base_of(), *io;
        struct power *p = power_new(seed, &e);
        unsigned news = 0;

        memset(got, 1, sizeof(got));
        assert_ok(io_write(base, 0, got, sizeof(got), &e), &e);
        io = faulty_new(base, p, &e);
        memset(got, 2, sizeof(got));
        assert_ok(io_write(io, 0, got, sizeof(got), &e), &e);
        assert_ok(power_cut(p, &e), &e);
        assert_ok(io_read(base, 0, got, sizeof(got), &e), &e);
        for (size_t s = 0; s < sizeof(got); s += 512) {
            assert_true(got[s] == 1 || got[s] == 2);
            for (size_t i = 1; i < 512; i++)
                assert_int_equal(got[s + i], got[s]);
            news += got[s] == 2;
        }
        old += news == 0;
        new += news == sizeof(got) / 512;
        torn += news && news < sizeof(got) / 512;
        io_free(io);
        io_free(base);
        power_free(p);
    }
    assert_true(old > 5 && new > 10 && torn > 5);
}

/* Cut at every change in turn: what was synced before is always there. */
static void test_cut_at(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 6; nth++) {
        for (uint64_t seed = 0; seed < 10; seed++) {
            struct io *base = base_of(), *io;
            struct power *p = power_new(seed, &e);
            char buf[500];

            power_cut_at(p, nth);
            io = faulty_new(base, p, &e);
            assert_false(live(io, &e));
            assert_int_equal(e.kind, ERR_IO);
            assert_non_null(strstr(e.text, "power"));
            err_clear(&e);
            assert_ok(io_read(base, 1000, buf, 500, &e), &e);
            if (nth > 2)
                for (size_t i = 0; i < sizeof(buf); i++)
                    assert_int_equal(buf[i], 'a');
            io_free(io);
            io_free(base);
            power_free(p);
        }
    }
}

/* One supply feeds several stores, files among them; a closed store's changes are still in danger,
 * and a sync of another opening of the same file makes them safe. */
static void test_files(void **state)
{
    char path[2][600];
    struct io *base[2], *io[2], *again;
    struct power *p;
    char buf[4];

    (void)state;
    e = ERR_INIT;
    for (uint64_t synced = 0; synced < 2; synced++) {
        p = power_new(0, &e);
        for (size_t i = 0; i < 2; i++) {
            snprintf(path[i], sizeof(path[i]), "%s/file%zu", test_dir(), i);
            unlink(path[i]);
            base[i] = file_open(path[i], FILE_WRITE | FILE_CREATE, &e);
            assert_ok(base[i], &e);
            io[i] = faulty_new(base[i], p, &e);
            assert_ok(io_write(io[i], 100, "data", 4, &e), &e);
            io_free(io[i]);
            io_free(base[i]);
        }
        if (synced) {
            struct io *b = file_open(path[1], FILE_WRITE, &e);

            again = faulty_new(b, p, &e);
            assert_ok(io_sync(again, &e), &e);
            io_free(again);
            io_free(b);
        }
        assert_ok(power_cut(p, &e), &e);
        power_free(p);
        base[0] = file_open(path[0], 0, &e);
        base[1] = file_open(path[1], 0, &e);
        assert_int_equal(base[0]->size, 0);
        assert_int_equal(base[1]->size, synced ? 104 : 0);
        if (synced) {
            assert_ok(io_read(base[1], 100, buf, 4, &e), &e);
            assert_memory_equal(buf, "data", 4);
        }
        io_free(base[0]);
        io_free(base[1]);
    }
}

/* After a failed sync the data may be gone, though a later sync succeeds. */
static void test_failed_sync(void **state)
{
    struct io *base = base_of(), *io;
    struct power *p = power_new(0, &e);
    char c;

    (void)state;
    io = faulty_new(base, p, &e);
    assert_ok(faulty_add(io, &(struct faulty_rule){.op = FAULTY_SYNC, .nth = 1}, &e), &e);
    assert_ok(io_write(io, 7, "x", 1, &e), &e);
    assert_false(io_sync(io, &e));
    err_clear(&e);
    assert_ok(io_sync(io, &e), &e);
    assert_ok(io_read(io, 7, &c, 1, &e), &e);
    assert_int_equal(c, 0);
    io_free(io);
    io_free(base);
    power_free(p);
}

static int teardown(void **state)
{
    (void)state;
    test_rmdir();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),       cmocka_unit_test(test_cut_extremes),
        cmocka_unit_test(test_cut_sectors), cmocka_unit_test(test_cut_at),
        cmocka_unit_test(test_files),       cmocka_unit_test(test_failed_sync),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
