/* The copy engine over memory stores: contents, digests, worker counts, interruption and replay.
 * label: quick */
#include "test.h"

#include "buf.h"
#include "bytes.h"
#include "copy.h"
#include "driver.h"
#include "formats.h"

#include <stdlib.h>
#include <string.h>

enum { SIZE = 9 * MIB + 512 * 3 };

/* Data in random stretches over a disk of zeroes. */
static struct io *make_source(uint64_t seed, uint64_t size)
{
    struct err e = ERR_INIT;
    struct io *io = io_memory("source", size, &e);

    assert_ok(io != NULL, &e);
    for (int i = 0; i < 40; i++) {
        uint64_t len = test_random(&seed) % (300 * KIB) + 1, at = test_random(&seed) % (size - len);
        uint8_t *data = malloc(len);

        for (uint64_t j = 0; j < len; j++)
            data[j] = (uint8_t)(test_random(&seed) >> 32);
        assert_ok(io_write(io, at, data, len, &e), &e);
        free(data);
    }
    return io;
}

static struct image *open_raw(struct io *io)
{
    struct image_options options = {.format = "raw", .lock = IMAGE_LOCK_NONE};
    struct err e = ERR_INIT;
    struct image *img = image_open_io(io, "source", NULL, &options, &e);

    assert_ok(img != NULL, &e);
    return img;
}

static struct target *new_target(const struct driver *driver, uint64_t size)
{
    struct target_options options = {.driver = driver, .name = "target", .size = size};
    struct err e = ERR_INIT;
    struct target *t = target_new(&options, &e);

    assert_ok(t != NULL, &e);
    for (size_t i = 0; i < t->files.count; i++)
        assert_ok((t->files.items[i].io = io_memory("target", 0, &e)) != NULL, &e);
    return t;
}

static void assert_same(struct io *a, struct io *b, uint64_t size)
{
    struct err e = ERR_INIT;
    uint8_t *x = malloc(size), *y = malloc(size);

    assert_int_equal(b->size, size);
    assert_ok(io_read(a, 0, x, size, &e), &e);
    assert_ok(io_read(b, 0, y, size, &e), &e);
    assert_memory_equal(x, y, size);
    free(x);
    free(y);
}

/* The tree digest as its definition says it. */
static void expected_tree(struct io *io, uint64_t size, struct digest_value *ret)
{
    struct err e = ERR_INIT;
    struct digest *d = digest_new("sha256", &e);
    uint8_t *chunk = malloc(DIGEST_CHUNK), le[8], out[64];

    for (uint64_t at = 0; at < size; at += DIGEST_CHUNK) {
        size_t n = MIN(size - at, (uint64_t)DIGEST_CHUNK);
        struct digest_value v;

        assert_ok(io_read(io, at, chunk, n, &e), &e);
        digest_sha256(chunk, n, &v);
        digest_add(d, v.bytes, DIGEST_SIZE);
    }
    put_le64(le, size);
    digest_add(d, le, 8);
    digest_finish(d, out);
    memcpy(ret->bytes, out, DIGEST_SIZE);
    digest_free(d);
    free(chunk);
}

static void test_contents_and_digest(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 5; workers += 2) {
        struct io *io = make_source(42, SIZE);
        struct image *img = open_raw(io);
        struct target *t = new_target(&driver_raw, SIZE);
        struct copy c = {
            .source = img, .target = t, .workers = workers, .digest = true, .sync = true};
        struct digest_value want;
        struct err e = ERR_INIT;

        assert_ok(copy_run(&c, &e), &e);
        assert_same(io, t->files.items[0].io, SIZE);
        expected_tree(io, SIZE, &want);
        assert_true(c.tree_valid);
        assert_memory_equal(c.tree.bytes, want.bytes, DIGEST_SIZE);
        target_free(t);
        image_free(img);
    }
}

static void test_empty_and_tiny(void **state)
{
    static const uint64_t sizes[] = {512, 4096, MIB, MIB + 512, 2 * MIB, 64 * GIB};
    struct err e = ERR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct io *io = io_memory("source", MIN(sizes[i], (uint64_t)MIB), &e);
        struct image *img = open_raw(io);
        struct target *t = new_target(&driver_raw, sizes[i]);
        struct copy c = {.source = img, .size = sizes[i], .target = t, .workers = 2};

        if (sizes[i] <= 4 * MIB) {
            assert_ok(copy_run(&c, &e), &e);
            assert_int_equal(t->files.items[0].io->size, sizes[i]);
        } else {
            c.measure = MEASURE_DATA;
            assert_ok(copy_run(&c, &e), &e);
            assert_int_equal(target_measured(t), sizes[i]);
        }
        target_free(t);
        image_free(img);
    }
}

/* A journal in memory, and a source that fails from some read on. */
struct memory_journal {
    struct buf placements[64], digests[64];
    size_t count;
    int stop_after; /* commits until *stop is raised */
    atomic_int stop;
};

static bool keep(void *user, uint64_t done, const void *p, size_t pn, const void *d, size_t dn,
                 struct err *e)
{
    struct memory_journal *j = user;

    (void)done;
    (void)e;
    assert_true(j->count < 64);
    buf_add(&j->placements[j->count], p, pn);
    buf_add(&j->digests[j->count], d, dn);
    j->count++;
    if (--j->stop_after <= 0)
        atomic_store(&j->stop, 2);
    return true;
}

static bool give(void *user,
                 bool (*each)(void *ctx, const void *p, size_t pn, const void *d, size_t dn,
                              struct err *e),
                 void *ctx, struct err *e)
{
    struct memory_journal *j = user;

    for (size_t i = 0; i < j->count; i++)
        if (!each(ctx, j->placements[i].data, j->placements[i].len, j->digests[i].data,
                  j->digests[i].len, e))
            return false;
    return true;
}

static void test_resume(void **state)
{
    struct memory_journal journal = {.stop_after = 1};
    struct copy_journal slots = {&journal, keep, give};
    struct io *io = make_source(7, SIZE), *part = NULL;
    struct image *img = open_raw(io);
    struct digest_value want;
    struct err e = ERR_INIT;
    unsigned rounds = 0;
    bool done = false;

    (void)state;
    expected_tree(io, SIZE, &want);
    while (!done) {
        struct target *t = new_target(&driver_raw, SIZE);
        struct copy c = {.source = img,
                         .target = t,
                         .workers = 2,
                         .digest = true,
                         .sync = true,
                         .journal = &slots,
                         .checkpoint_bytes = MIB,
                         .stop = &journal.stop};

        assert_true(rounds++ < 60);
        if (part) {
            io_free(t->files.items[0].io);
            t->files.items[0].io = io_ref(part);
        } else {
            part = io_ref(t->files.items[0].io);
        }
        journal.stop_after = 1;
        atomic_store(&journal.stop, 0);
        e = ERR_INIT;
        done = copy_run(&c, &e);
        if (!done)
            assert_int_equal(e.kind, ERR_INTERRUPTED);
        else
            assert_memory_equal(c.tree.bytes, want.bytes, DIGEST_SIZE);
        target_free(t);
    }
    assert_same(io, part, SIZE);
    io_free(part);
    image_free(img);
    for (size_t i = 0; i < 64; i++) {
        buf_release(&journal.placements[i]);
        buf_release(&journal.digests[i]);
    }
}

/* True when equal; else *ret_at is the first difference. */
static bool same(struct image *a, struct image *b, uint64_t *ret_at)
{
    struct copy c = {.source = a, .other = b, .workers = 2};
    struct err e = ERR_INIT;
    bool ok = copy_run(&c, &e);

    assert_true(ok || e.kind == ERR_DIFFERS);
    *ret_at = c.differs_at;
    return ok;
}

static void test_compare(void **state)
{
    struct io *a = make_source(3, SIZE), *b = make_source(3, SIZE);
    struct image *ia = open_raw(a), *ib = open_raw(b);
    struct err e = ERR_INIT;
    uint64_t at = 0;
    uint8_t byte = 0;

    (void)state;
    assert_true(same(ia, ib, &at));
    assert_ok(io_read(b, 5 * MIB + 77, &byte, 1, &e), &e);
    byte ^= 1;
    assert_ok(io_write(b, 5 * MIB + 77, &byte, 1, &e), &e);
    assert_false(same(ia, ib, &at));
    assert_int_equal(at, 5 * MIB + 77);
    image_free(ia);
    image_free(ib);
}

static void test_compare_tail(void **state)
{
    struct err e = ERR_INIT;
    struct io *a = io_memory("a", 4 * MIB, &e), *b = io_memory("b", 7 * MIB, &e);
    struct image *ia = open_raw(a), *ib = open_raw(b);
    uint64_t at = 0;

    (void)state;
    assert_true(same(ia, ib, &at));
    assert_true(same(ib, ia, &at));
    assert_ok(io_write(b, 6 * MIB, "x", 1, &e), &e);
    assert_false(same(ia, ib, &at));
    assert_int_equal(at, 6 * MIB);
    assert_false(same(ib, ia, &at));
    image_free(ia);
    image_free(ib);
}

struct seen {
    struct digest *flat;
    uint64_t next;
};

static bool consume(void *user, uint64_t at, const void *buf, uint64_t len, struct err *e)
{
    static const uint8_t zeroes[4096];
    struct seen *s = user;

    (void)e;
    assert_int_equal(at, s->next);
    s->next += len;
    if (buf)
        digest_add(s->flat, buf, len);
    for (; !buf && len; len -= MIN(len, (uint64_t)sizeof(zeroes)))
        digest_add(s->flat, zeroes, MIN(len, (uint64_t)sizeof(zeroes)));
    return true;
}

static void test_consume_in_order(void **state)
{
    struct io *io = make_source(11, SIZE);
    struct image *img = open_raw(io);
    struct err e = ERR_INIT;
    struct seen s = {.flat = digest_new("sha256", &e)};
    struct copy c = {.source = img, .workers = 3, .consume = consume, .user = &s};
    struct digest_value want;
    uint8_t *all = malloc(SIZE), out[64];

    (void)state;
    assert_ok(copy_run(&c, &e), &e);
    assert_int_equal(s.next, SIZE);
    digest_finish(s.flat, out);
    assert_ok(io_read(io, 0, all, SIZE, &e), &e);
    digest_sha256(all, SIZE, &want);
    assert_memory_equal(out, want.bytes, DIGEST_SIZE);
    digest_free(s.flat);
    free(all);
    image_free(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents_and_digest),
        cmocka_unit_test(test_empty_and_tiny),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_compare_tail),
        cmocka_unit_test(test_consume_in_order),
    };

    drivers_register((const struct driver *const[]){&driver_raw, NULL});
    return cmocka_run_group_tests(tests, NULL, NULL);
}
