/* label: quick
 * The byte-store contract, one test per promise, over every kind of store. */
#include "file.h"
#include "io.h"

#include "bytes.h"
#include "faulty.h"
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct err e;
static unsigned serial;

static struct io *new_memory(uint64_t size)
{
    return io_memory("store", size, &e);
}

static struct io *new_file_flags(uint64_t size, unsigned flags)
{
    char path[600];
    struct io *io;

    snprintf(path, sizeof(path), "%s/store%u", test_dir(), serial++);
    io = file_open(path, FILE_WRITE | FILE_CREATE | flags, &e);
    assert_ok(io, &e);
    assert_ok(io_resize(io, size, &e), &e);
    return io;
}

static struct io *new_file(uint64_t size)
{
    return new_file_flags(size, 0);
}

static struct io *new_direct(uint64_t size)
{
    return new_file_flags(size, FILE_DIRECT);
}

static struct io *new_faulty(uint64_t size)
{
    struct io *base = new_memory(size), *io;
    struct power *p = power_new(7, &e);

    io = faulty_new(base, p, &e);
    io_free(base);
    power_free(p);
    return io;
}

static struct io *new_slice(uint64_t size)
{
    struct io *base = new_memory(size + 2000), *io;

    io = io_slice(base, 1000, size, &e);
    io_free(base);
    return io;
}

static const struct {
    const char *name;
    struct io *(*make)(uint64_t size);
    bool grows;
} kinds[] = {
    {"memory", new_memory, true}, {"file", new_file, true},    {"direct", new_direct, true},
    {"faulty", new_faulty, true}, {"slice", new_slice, false},
};

static void each(void (*test)(struct io *io, bool grows), uint64_t size)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct io *io;

        e = ERR_INIT;
        io = kinds[i].make(size);
        assert_ok(io, &e);
        test(io, kinds[i].grows);
        io_free(io);
    }
}

static void check_reads(struct io *io, bool grows)
{
    char buf[16];

    (void)grows;
    assert_int_equal(io->size, 10000);
    memset(buf, 1, sizeof(buf));
    assert_ok(io_read(io, 0, buf, 16, &e), &e);
    assert_true(bytes_zero(buf, 16));
    assert_ok(io_write(io, 5000, "hello", 5, &e), &e);
    assert_ok(io_read(io, 4999, buf, 7, &e), &e);
    assert_memory_equal(buf, "\0hello\0", 7);
    assert_ok(io_read(io, 10000, buf, 0, &e), &e);
    assert_false(io_read(io, 9990, buf, 11, &e));
    assert_int_equal(e.kind, ERR_FORMAT);
    assert_non_null(
        strstr(e.text, "is cut short: 11 bytes at 9990 were wanted, the file has 10000"));
    err_clear(&e);
    assert_false(io_read(io, UINT64_MAX, buf, 2, &e));
    assert_int_equal(e.kind, ERR_FORMAT);
    err_clear(&e);
}

static void test_reads(void **state)
{
    (void)state;
    each(check_reads, 10000);
}

static void check_padded(struct io *io, bool grows)
{
    char buf[20];

    (void)grows;
    assert_ok(io_write(io, 0, "0123456789", 10, &e), &e);
    memset(buf, 1, sizeof(buf));
    assert_ok(io_read_padded(io, 8, buf, 20, &e), &e);
    assert_memory_equal(buf, "89\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    memset(buf, 1, sizeof(buf));
    assert_ok(io_read_padded(io, UINT64_C(1) << 60, buf, 20, &e), &e);
    assert_true(bytes_zero(buf, 20));
}

static void test_padded(void **state)
{
    (void)state;
    each(check_padded, 10);
}

static void check_growth(struct io *io, bool grows)
{
    char buf[8];

    if (!grows) {
        assert_false(io_write(io, 95, "abcdef", 6, &e));
        assert_int_equal(e.kind, ERR_SPACE);
        err_clear(&e);
        assert_false(io_resize(io, 200, &e));
        assert_int_equal(e.kind, ERR_UNSUPPORTED);
        err_clear(&e);
        assert_false(io_zero(io, 95, 6, &e));
        err_clear(&e);
        return;
    }
    assert_ok(io_write(io, 200000, "tail", 4, &e), &e);
    assert_int_equal(io->size, 200004);
    assert_ok(io_read(io, 199999, buf, 5, &e), &e);
    assert_memory_equal(buf, "\0tail", 5);
    assert_ok(io_resize(io, 200002, &e), &e);
    assert_ok(io_resize(io, 200004, &e), &e);
    assert_ok(io_read(io, 200000, buf, 4, &e), &e);
    assert_memory_equal(buf, "ta\0\0", 4);
    assert_ok(io_zero(io, 200000, 100000, &e), &e);
    assert_int_equal(io->size, 300000);
    assert_ok(io_read(io, 200000, buf, 4, &e), &e);
    assert_true(bytes_zero(buf, 4));
    assert_false(io_write(io, UINT64_MAX - 2, "abcd", 4, &e));
    assert_int_equal(e.kind, ERR_BUG);
    err_clear(&e);
    assert_false(io_write(io, INT64_MAX, "abcd", 4, &e));
    assert_int_equal(e.kind, ERR_BUG);
    err_clear(&e);
}

static void test_growth(void **state)
{
    (void)state;
    each(check_growth, 100);
}

/* Random writes, zeroes and reads against a plain array. */
static void check_model(struct io *io, bool grows)
{
    static uint8_t model[40000], buf[40000];
    uint64_t random = 42;

    (void)grows;
    memset(model, 0, sizeof(model));
    for (int i = 0; i < 400; i++) {
        uint64_t pos = test_random(&random) % sizeof(model);
        size_t len = test_random(&random) % (sizeof(model) - pos);

        switch (test_random(&random) % 4) {
        case 0:
        case 1:
            memset(model + pos, (int)(test_random(&random) % 256), len);
            assert_ok(io_write(io, pos, model + pos, len, &e), &e);
            break;
        case 2:
            memset(model + pos, 0, len);
            assert_ok(io_zero(io, pos, len, &e), &e);
            break;
        default:
            assert_ok(io_read(io, pos, buf, len, &e), &e);
            assert_memory_equal(buf, model + pos, len);
            break;
        }
    }
    assert_ok(io_sync(io, &e), &e);
    io_flush_hint(io, 0, sizeof(model));
    assert_ok(io_read(io, 0, buf, sizeof(buf), &e), &e);
    assert_memory_equal(buf, model, sizeof(buf));
}

static void test_model(void **state)
{
    (void)state;
    each(check_model, 40000);
}

/* The map covers the store, holes read zero, and asking past the end is refused. */
static void check_extents(struct io *io, bool grows)
{
    char buf[4096];
    uint64_t at = 0;

    (void)grows;
    assert_ok(io_write(io, 1 << 20, "data", 4, &e), &e);
    while (at < io->size) {
        enum io_extent_kind kind;
        uint64_t len = 0;

        assert_ok(io_extent(io, at, UINT64_MAX, &kind, &len, &e), &e);
        assert_true(len > 0 && len <= io->size - at);
        assert_true(kind == IO_DATA || at > (1 << 20) + 3 || at + len <= 1 << 20);
        if (kind == IO_HOLE) {
            size_t n = (size_t)MIN(len, (uint64_t)sizeof(buf));

            assert_ok(io_read(io, at, buf, n, &e), &e);
            assert_true(bytes_zero(buf, n));
        }
        at += len;
    }
    assert_false(io_extent(io, at, 1, &(enum io_extent_kind){0}, &(uint64_t){0}, &e));
    assert_int_equal(e.kind, ERR_BUG);
    err_clear(&e);
}

static void test_extents(void **state)
{
    (void)state;
    each(check_extents, 3 << 20);
}

enum { THREADS = 4, ROUNDS = 200, BLOCK = 4096 };

struct share {
    struct io *io;
    size_t number;
};

static void *write_share(void *arg)
{
    struct share *s = arg;
    struct err mine = ERR_INIT;
    char buf[BLOCK];

    for (size_t i = 0; i < ROUNDS; i++) {
        uint64_t block = i * THREADS + s->number;

        memset(buf, (int)(block % 251), sizeof(buf));
        if (i % 5 == 4 ? !io_zero(s->io, block * BLOCK, BLOCK, &mine)
                       : !io_write(s->io, block * BLOCK, buf, BLOCK, &mine))
            return s;
    }
    return NULL;
}

/* Threads grow one store side by side; nothing is lost. */
static void check_threads(struct io *io, bool grows)
{
    pthread_t threads[THREADS];
    struct share shares[THREADS];
    uint8_t buf[BLOCK];

    if (!grows)
        return;
    for (size_t i = 0; i < THREADS; i++) {
        shares[i] = (struct share){io, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_share, &shares[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(io->size, (uint64_t)THREADS * ROUNDS * BLOCK);
    for (uint64_t block = 0; block < THREADS * ROUNDS; block++) {
        uint8_t want = block / THREADS % 5 == 4 ? 0 : (uint8_t)(block % 251);

        assert_ok(io_read(io, block * BLOCK, buf, BLOCK, &e), &e);
        assert_int_equal(buf[0], want);
        assert_int_equal(buf[BLOCK - 1], want);
    }
}

static void test_threads(void **state)
{
    (void)state;
    each(check_threads, 0);
}

static void test_slice(void **state)
{
    struct io *base = io_memory("base", 100, &e), *a, *b;
    char buf[4];

    (void)state;
    assert_null(io_slice(base, 90, 11, &e));
    assert_int_equal(e.kind, ERR_FORMAT);
    err_clear(&e);
    a = io_slice(base, 10, 50, &e);
    b = io_slice(a, 5, 10, &e);
    assert_ok(io_write(b, 2, "abc", 3, &e), &e);
    assert_ok(io_read(base, 17, buf, 3, &e), &e);
    assert_memory_equal(buf, "abc", 3);
    io_free(base);
    io_free(a); /* b keeps both */
    assert_ok(io_read(b, 2, buf, 3, &e), &e);
    assert_memory_equal(buf, "abc", 3);
    io_free(b);
    io_free(NULL);
}

static void test_memory_ceiling(void **state)
{
    (void)state;
    assert_null(io_memory("huge", UINT64_C(1) << 40, &e));
    assert_int_equal(e.kind, ERR_MEMORY);
    err_clear(&e);
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
        cmocka_unit_test(test_reads),   cmocka_unit_test(test_padded),
        cmocka_unit_test(test_growth),  cmocka_unit_test(test_model),
        cmocka_unit_test(test_extents), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_slice),   cmocka_unit_test(test_memory_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
