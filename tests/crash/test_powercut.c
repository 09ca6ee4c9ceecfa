/* The power is cut at every change that a small copy makes to its target, for each format that is
 * written; what was not synced is lost, kept or torn. The copy that goes on from the journal must
 * end with the bytes of an undisturbed one.
 * label: full
 * timeout: 900 */
#include "test.h"

#include "buf.h"
#include "bytes.h"
#include "copy.h"
#include "driver.h"
#include "faulty.h"
#include "formats.h"

#include <stdlib.h>
#include <string.h>

enum {
    FILES_MAX = 8,
    SOURCE_SIZE = 6 << 20,
    SPEED = 60 << 20, /* slow enough for a few checkpoints in between */
};

static const struct format_case {
    const char *name, *format, *options[4];
} cases[] = {
    {"raw", "raw", {NULL}},
    {"qcow2", "qcow2", {NULL}},
    {"qcow2 of 4K clusters", "qcow2", {"cluster_size=4K", NULL}},
    {"qcow2 zlib", "qcow2", {"compression=zlib", NULL}},
    {"qcow2 zstd", "qcow2", {"compression=zstd", NULL}},
    {"qcow2 extended", "qcow2", {"extended_l2=on", NULL}},
    {"qcow2 preallocated", "qcow2", {"preallocation=metadata", NULL}},
    {"vmdk sparse", "vmdk", {NULL}},
    {"vmdk stream", "vmdk", {"subformat=streamOptimized", NULL}},
    {"vmdk flat", "vmdk", {"subformat=monolithicFlat", NULL}},
    {"vmdk split", "vmdk", {"subformat=twoGbMaxExtentSparse", NULL}},
    {"vhd dynamic", "vhd", {NULL}},
    {"vhd fixed", "vhd", {"subformat=fixed", NULL}},
    {"vdi dynamic", "vdi", {NULL}},
    {"vdi fixed", "vdi", {"subformat=fixed", NULL}},
};

static struct io *source_io;

/* What survives the power: the files, and the journal. */
struct disk {
    struct io *files[FILES_MAX];
    size_t file_count;
    struct buf placements[64], digests[64];
    size_t commits;
    struct power *power;
};

static void disk_release(struct disk *d)
{
    for (size_t i = 0; i < d->file_count; i++)
        io_free(d->files[i]);
    for (size_t i = 0; i < d->commits; i++) {
        buf_release(&d->placements[i]);
        buf_release(&d->digests[i]);
    }
    *d = (struct disk){0};
}

static bool commit(void *user, uint64_t done, const void *placements, size_t placements_len,
                   const void *digests, size_t digests_len, struct err *e)
{
    struct disk *d = user;

    (void)done;
    if (d->power && power_is_off(d->power))
        return err_set(e, ERR_IO, "the power is off");
    assert_true(d->commits < ARRAY_LEN(d->placements));
    buf_add(&d->placements[d->commits], placements, placements_len);
    buf_add(&d->digests[d->commits], digests, digests_len);
    d->commits++;
    return true;
}

static bool replay(void *user,
                   bool (*each)(void *ctx, const void *placements, size_t placements_len,
                                const void *digests, size_t digests_len, struct err *e),
                   void *ctx, struct err *e)
{
    struct disk *d = user;

    for (size_t i = 0; i < d->commits; i++)
        if (!each(ctx, d->placements[i].data, d->placements[i].len, d->digests[i].data,
                  d->digests[i].len, e))
            return false;
    return true;
}

static struct target *make_target(const struct format_case *c, struct err *e)
{
    const struct driver *driver = driver_named(c->format, e);
    struct target_options options = {.driver = driver,
                                     .name = "disk.img",
                                     .size = SOURCE_SIZE,
                                     .identity = {{1, 2, 3}},
                                     .mtime = 1700000000};
    void *own = mem_alloc(driver->options_size, e);
    struct target *t;

    assert_ok(opt_presets(driver->options, own, e), e);
    for (size_t i = 0; c->options[i]; i++)
        assert_ok(opt_assign(driver->options, own, c->options[i], e), e);
    options.options = own;
    t = target_new(&options, e);
    assert_ok(t, e);
    opt_release(driver->options, own);
    free(own);
    return t;
}

/* Gives the target its stores: lying ones over what is on the disk. */
static void plug_in(struct disk *d, struct target *t, struct err *e)
{
    assert_true(t->files.count <= FILES_MAX);
    for (size_t i = 0; i < t->files.count; i++) {
        bool fresh = i >= d->file_count;

        if (fresh) {
            d->files[i] = io_memory("disk.img", 0, e);
            d->file_count = i + 1;
        }
        t->files.items[i].io = faulty_new(d->files[i], d->power, e);
        assert_ok(t->files.items[i].io, e);
        t->files.items[i].io->fresh = fresh;
    }
}

static bool copy_to(struct disk *d, const struct format_case *c, bool slowly, struct err *e)
{
    struct image_options options = {.format = "raw"};
    struct copy_journal journal = {d, commit, replay};
    struct image *source;
    struct copy copy = {.workers = 2, .digest = true, .sync = true, .journal = &journal};
    bool ok;

    source = image_open_io(io_ref(source_io), "source.raw", NULL, &options, e);
    assert_ok(source, e);
    copy.source = source;
    copy.target = make_target(c, e);
    copy.checkpoint_bytes = 1 << 20;
    copy.checkpoint_ns = 1000000;
    if (slowly)
        copy.throttle = throttle_new(SPEED, e);
    plug_in(d, copy.target, e);
    ok = copy_run(&copy, e);
    throttle_free(copy.throttle);
    target_free(copy.target);
    image_free(source);
    return ok;
}

static void assert_same(const struct format_case *c, const struct disk *is, const struct disk *want,
                        uint64_t nth, uint64_t seed)
{
    struct err e = ERR_INIT;

    assert_int_equal(is->file_count, want->file_count);
    for (size_t i = 0; i < is->file_count; i++) {
        uint64_t size = want->files[i]->size;
        uint8_t *a = malloc(size + 1), *b = malloc(size + 1);

        if (is->files[i]->size != size)
            fail_msg("%s, cut at %llu, seed %llu: file %zu has %llu bytes instead of %llu", c->name,
                     (unsigned long long)nth, (unsigned long long)seed, i,
                     (unsigned long long)is->files[i]->size, (unsigned long long)size);
        assert_ok(!size || io_read(is->files[i], 0, a, size, &e), &e);
        assert_ok(!size || io_read(want->files[i], 0, b, size, &e), &e);
        for (uint64_t at = 0; at < size; at++)
            if (a[at] != b[at])
                fail_msg("%s, cut at %llu, seed %llu: file %zu differs at %llu", c->name,
                         (unsigned long long)nth, (unsigned long long)seed, i,
                         (unsigned long long)at);
        free(a);
        free(b);
    }
}

static void cut_once(const struct format_case *c, const struct disk *want, uint64_t nth,
                     uint64_t seed, size_t *resumed)
{
    struct disk d = {0};
    struct err e = ERR_INIT;

    d.power = power_new(seed, &e);
    assert_ok(d.power, &e);
    power_cut_at(d.power, nth);
    copy_to(&d, c, true, &e);
    if (!power_is_off(d.power))
        assert_ok(e.kind == ERR_NONE, &e);
    power_free(TAKE(d.power));
    err_clear(&e);
    if (d.commits)
        ++*resumed;
    else
        disk_release(&d); /* without a checkpoint a run begins with new files */
    assert_ok(copy_to(&d, c, false, &e), &e);
    assert_same(c, &d, want, nth, seed);
    disk_release(&d);
}

static void test_format(void **state)
{
    const struct format_case *c = *state;
    static const uint64_t seeds[] = {0, 1, 77};
    struct disk want = {0};
    struct err e = ERR_INIT;
    uint64_t changes;
    size_t resumed = 0;

    want.power = power_new(1, &e);
    assert_ok(copy_to(&want, c, true, &e), &e);
    changes = power_changes(want.power);
    power_free(TAKE(want.power));
    for (uint64_t nth = 1; nth <= changes; nth++)
        for (size_t s = 0; s < ARRAY_LEN(seeds); s++)
            cut_once(c, &want, nth, seeds[s], &resumed);
    print_message("%s: %llu changes, %zu runs went on from a checkpoint\n", c->name,
                  (unsigned long long)changes, resumed);
    assert_true(resumed > 0);
    disk_release(&want);
}

/* Noise, text, zeroes, and pages scattered over a stretch of zeroes. */
static int setup(void **unused)
{
    struct err e = ERR_INIT;
    uint8_t *data = calloc(1, SOURCE_SIZE);
    uint64_t seed = 5;

    (void)unused;
    drivers_register(formats_table);
    for (size_t i = 1 << 20; i < (5 << 19); i += 8)
        put_le64(data + i, test_random(&seed));
    for (size_t i = 3 << 20; i < (4 << 20); i++)
        data[i] = "a text that repeats itself, "[i % 28];
    for (size_t i = 9 << 19; i < (11 << 19); i += 40960)
        memset(data + i, (int)(i >> 12) | 1, 4096);
    memset(data + SOURCE_SIZE - 512, 9, 512);
    source_io = io_memory("source.raw", SOURCE_SIZE, &e);
    if (!source_io || !io_write(source_io, 0, data, SOURCE_SIZE, &e))
        return 1;
    free(data);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    io_free(source_io);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(cases)];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        tests[i] = (struct CMUnitTest){cases[i].name, test_format, NULL, NULL, (void *)&cases[i]};
    return cmocka_run_group_tests(tests, setup, teardown);
}
