/* Writing VMDKs: every layout read back by us and by qemu, the same bytes for any number of
 * workers, sizes as measured, overlays over a parent, limits. label: quick timeout: 300 */
#include "vmdk_build.h"

#include "copy.h"
#include "file.h"

#include <unistd.h>

static const char *const subformats[] = {
    "monolithicSparse",     "streamOptimized",    "monolithicFlat",
    "twoGbMaxExtentSparse", "twoGbMaxExtentFlat",
};

/* A disk with data here and there: noise, text, grains that are zero but for a byte, and a tail. */
static void make_disk(const char *name, uint64_t size)
{
    struct err e = ERR_INIT;
    struct io *io = file_open(in_dir("%s", name), FILE_WRITE | FILE_CREATE, &e);
    uint64_t seed = size + 1;
    uint8_t buf[100000];

    assert_ok(io && io_resize(io, size, &e), &e);
    for (unsigned i = 0; i < 40; i++) {
        uint64_t len = test_random(&seed) % sizeof(buf) + 1;
        uint64_t at = i < 2 ? 0 : i == 2 ? size : test_random(&seed) % size;

        len = MIN(len, size);
        at = MIN(at, size - len);
        if (i % 4 == 3)
            len = 1;
        for (size_t n = 0; n < len; n++)
            buf[n] = (uint8_t)(i % 2 ? "strata"[n % 6] : (uint8_t)test_random(&seed));
        assert_ok(io_write(io, at, buf, len, &e), &e);
    }
    io_free(io);
}

static void *options_of(const char *const *texts)
{
    const struct driver *d = &driver_vmdk;
    struct err e = ERR_INIT;
    void *o = calloc(1, d->options_size);

    assert_ok(o && opt_presets(d->options, o, &e), &e);
    for (; *texts; texts++)
        assert_ok(opt_assign(d->options, o, *texts, &e), &e);
    return o;
}

static void options_free(void *o)
{
    opt_release(driver_vmdk.options, o);
    free(o);
}

static struct target *target_of(const char *name, uint64_t size, const void *options, struct err *e)
{
    struct target_options to = {.driver = &driver_vmdk,
                                .options = options,
                                .name = name,
                                .size = size,
                                .identity = {{1, 2, 3}}};

    return target_new(&to, e);
}

static void open_files(struct target *t, const char *folder)
{
    struct err e = ERR_INIT;

    mkdir(in_dir("%s", folder), 0700);
    for (size_t i = 0; i < t->files.count; i++) {
        const char *name = t->files.items[i].name ? t->files.items[i].name : t->name;
        const char *path = in_dir("%s/%s", folder, name);

        unlink(path);
        t->files.items[i].io = file_open(path, FILE_WRITE | FILE_CREATE, &e);
        assert_ok(t->files.items[i].io, &e);
    }
}

static void finish_files(struct target *t)
{
    struct err e = ERR_INIT;

    for (size_t i = 0; i < t->files.count; i++) {
        struct target_file *f = &t->files.items[i];

        if (f->io->size < f->end)
            assert_ok(io_resize(f->io, f->end, &e), &e);
        assert_int_equal(f->io->size, f->end);
    }
}

/* Converts disk.raw to FOLDER/d.vmdk; returns the measured size. */
static uint64_t convert(const char *folder, const char *subformat, unsigned workers)
{
    char word[64];
    const char *texts[] = {word, "adapter_type=lsilogic", NULL};
    struct err e = ERR_INIT;
    struct image *source = open_chain("disk.raw", &e);
    struct target *t, *dry;
    void *options;
    uint64_t size;

    snprintf(word, sizeof(word), "subformat=%s", subformat);
    options = options_of(texts);
    assert_ok(source, &e);
    t = target_of("d.vmdk", source->size, options, &e);
    assert_ok(t, &e);
    open_files(t, folder);
    assert_ok(copy_run(&(struct copy){.source = source, .target = t, .workers = workers}, &e), &e);
    finish_files(t);
    size = target_measured(t);
    target_free(t);
    dry = target_of("d.vmdk", source->size, options, &e);
    assert_ok(dry, &e);
    assert_ok(
        copy_run(&(struct copy){.source = source, .target = dry, .measure = MEASURE_DATA}, &e), &e);
    if (strcmp(subformat, "streamOptimized") != 0)
        assert_int_equal(target_measured(dry), size);
    else
        assert_true(target_measured(dry) >= size);
    target_free(dry);
    options_free(options);
    image_free(source);
    return size;
}

static void compare_with_disk(const char *path)
{
    struct err e = ERR_INIT;
    struct image *a = open_chain("disk.raw", &e), *b = a ? open_chain(path, &e) : NULL;

    assert_ok(b, &e);
    test_same(a, b);
    image_free(a);
    image_free(b);
}

static void no_findings(void *user, enum check_level level, const char *text)
{
    (void)user;
    (void)level;
    fail_msg("check says: %s", text);
}

static void check_clean(const char *path)
{
    struct err e = ERR_INIT;
    struct image *img = open_chain(path, &e);

    assert_ok(img, &e);
    assert_ok(driver_vmdk.check(img, no_findings, NULL, &e), &e);
    image_free(img);
}

static void one_size(uint64_t size, bool peer)
{
    unlink(in_dir("disk.raw"));
    make_disk("disk.raw", size);
    for (size_t i = 0; i < ARRAY_LEN(subformats); i++) {
        convert("one", subformats[i], 1);
        convert("two", subformats[i], 3);
        assert_true(run("diff -r one two"));
        compare_with_disk("one/d.vmdk");
        check_clean("one/d.vmdk");
        if (peer)
            assert_true(run("qemu-img compare -f raw -F vmdk disk.raw one/d.vmdk"));
        if (peer && !strstr(subformats[i], "Flat"))
            assert_true(run("qemu-img check -f vmdk one/d.vmdk"));
        assert_true(run("rm -rf one two"));
    }
}

static void test_sizes(void **state)
{
    static const uint64_t sizes[] = {
        512, 65536, 65536 + 512, 1 << 20, (32 << 20) + 1536, (97 << 20) - 512,
    };
    bool peer = system("command -v qemu-img >/dev/null") == 0;

    (void)state;
    if (!peer)
        print_message("without qemu-img: only read back by us\n");
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        one_size(sizes[i], peer);
}

/* More than one extent of a split disk. */
static void test_split(void **state)
{
    (void)state;
    need_peer();
    unlink(in_dir("disk.raw"));
    make_disk("disk.raw", UINT64_C(4200) << 20);
    for (size_t i = 3; i < ARRAY_LEN(subformats); i++) {
        convert("one", subformats[i], 2);
        compare_with_disk("one/d.vmdk");
        check_clean("one/d.vmdk");
        assert_true(run("qemu-img compare -f raw -F vmdk disk.raw one/d.vmdk && rm -rf one"));
    }
}

/* What qemu writes into our files must read back: the tables are all there. */
static void test_peer_writes(void **state)
{
    struct err e = ERR_INIT;
    struct image *img;
    uint8_t byte;

    (void)state;
    need_peer();
    unlink(in_dir("disk.raw"));
    make_disk("disk.raw", 100 << 20);
    convert("one", "monolithicSparse", 2);
    assert_true(run("qemu-io -f vmdk -c 'write -P 7 65M 3M' one/d.vmdk"));
    assert_true(run("qemu-img check -f vmdk one/d.vmdk"));
    img = open_chain("one/d.vmdk", &e);
    assert_ok(img, &e);
    assert_ok(image_read(img, 66 << 20, &byte, 1, &e), &e);
    assert_int_equal(byte, 7);
    image_free(img);
    check_clean("one/d.vmdk");
}

static void put(struct target *t, uint64_t at, uint64_t len, enum place_kind kind, uint8_t fill)
{
    struct err e = ERR_INIT;
    uint8_t *buf = malloc(len);

    memset(buf, fill, len);
    while (len) {
        struct place p = {at, len, kind, 0};
        struct placed placed;

        assert_ok(target_place(t, &p, &placed, &e), &e);
        if (placed.stored)
            assert_ok(io_write(t->files.items[placed.file].io, placed.pos, buf, placed.len, &e),
                      &e);
        at += placed.len;
        len -= placed.len;
    }
    free(buf);
}

static void write_queue(struct target *t)
{
    struct err e = ERR_INIT;

    assert_ok(target_seal(t, &e), &e);
    for (size_t i = 0; i < t->queue.count; i++) {
        struct target_write *w = &t->queue.items[i];

        assert_ok(io_write(t->files.items[w->file].io, w->pos, w->data, w->len, &e), &e);
    }
    finish_files(t);
}

/* Over a parent: data, marked zeroes, and what shows through. */
static void test_overlay(void **state)
{
    static const char *const layouts[] = {"subformat=monolithicSparse",
                                          "subformat=twoGbMaxExtentSparse"};
    enum { UNIT = 64 << 10, SIZE = 80 << 20 };

    (void)state;
    need_peer();
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        const char *texts[] = {layouts[i], NULL};
        void *options = options_of(texts);
        struct parent_ref ref = {.name = (char *)"base.vmdk"};
        struct err e = ERR_INIT;
        struct target_options to = {.driver = &driver_vmdk,
                                    .options = options,
                                    .name = "o.vmdk",
                                    .size = SIZE,
                                    .parent = &ref};
        struct target *t;
        struct image *base;

        assert_true(run("rm -rf o && mkdir o && cd o && qemu-img create -f vmdk base.vmdk 80M && "
                        "qemu-io -f vmdk -c 'write -P 1 0 80M' base.vmdk"));
        base = open_chain("o/base.vmdk", &e);
        assert_ok(base, &e);
        to.parent_image = base;
        t = target_new(&to, &e);
        assert_ok(t, &e);
        open_files(t, "o");
        put(t, 0, 3 * UNIT, PLACE_PLAIN, 5);
        put(t, 3 * UNIT, 600 * UNIT, PLACE_ZERO, 0);
        put(t, 603 * UNIT, UNIT, PLACE_ABSENT, 0);
        put(t, 604 * UNIT, UNIT, PLACE_PLAIN, 6);
        put(t, 605 * UNIT, SIZE - 605 * UNIT, PLACE_ABSENT, 0);
        write_queue(t);
        target_free(t);
        image_free(base);
        assert_true(run("cd o && qemu-io -f vmdk -c 'read -P 5 0 192k' -c 'read -P 0 192k 37M' "
                        "-c 'read -P 1 39518208 64k' -c 'read -P 6 39583744 64k' "
                        "-c 'read -P 1 40M 30M' o.vmdk | tee out; ! grep -i -E 'fail|error' out"));
        assert_true(run("cd o && qemu-img convert -O raw o.vmdk ../disk.raw"));
        compare_with_disk("o/o.vmdk");
        check_clean("o/o.vmdk");
        options_free(options);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *name, *option;
        uint64_t size;
        const char *parent, *says;
    } rows[] = {
        {"d.vmdk", "subformat=monolithicSparse", UINT64_C(2) << 40, NULL, "twoGbMaxExtentSparse"},
        {"d.vmdk", "subformat=monolithicFlat", (UINT64_C(64) << 40) + 512, NULL, "at most 64 TiB"},
        {"d.vmdk", "subformat=monolithicFlat", 0, NULL, "0 bytes"},
        {"a\"b.vmdk", "subformat=monolithicFlat", 512, NULL, "quotes"},
        {"d.vmdk", "subformat=monolithicFlat", 512, "p.vmdk", "cannot have a parent"},
        {"d.vmdk", "subformat=streamOptimized", 512, "p.vmdk", "cannot have a parent"},
        {"d.vmdk", "subformat=monolithicSparse", 512, "p\n.vmdk", "control characters"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *texts[] = {rows[i].option, NULL};
        void *options = options_of(texts);
        struct parent_ref ref = {.name = (char *)rows[i].parent, .identity = (char *)"12345678"};
        struct target_options to = {.driver = &driver_vmdk,
                                    .options = options,
                                    .name = rows[i].name,
                                    .size = rows[i].size,
                                    .parent = rows[i].parent ? &ref : NULL};
        struct err e = ERR_INIT;
        struct target *t = target_new(&to, &e);

        if (t || e.kind != ERR_UNSUPPORTED || !strstr(e.text, rows[i].says))
            fail_msg("row %zu: %s '%s'", i, err_kind_name(e.kind), e.text);
        options_free(options);
    }
}

/* 64 TiB of nothing, and the last grain of a disk of almost 2 TiB. */
static void test_large(void **state)
{
    static const struct {
        const char *option;
        uint64_t size;
        size_t files;
        uint64_t most; /* bytes of all files */
    } rows[] = {
        {"subformat=streamOptimized", UINT64_C(64) << 40, 1, 9 << 20},
        {"subformat=twoGbMaxExtentSparse", UINT64_C(64) << 40, 32786, UINT64_C(20) << 30},
        {"subformat=twoGbMaxExtentFlat", UINT64_C(64) << 40, 32786, UINT64_C(65) << 40},
        {"subformat=monolithicSparse", (UINT64_C(2) << 40) - (UINT64_C(512) << 20), 1,
         UINT64_C(300) << 20},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *texts[] = {rows[i].option, NULL};
        void *options = options_of(texts);
        struct err e = ERR_INIT;
        struct target *t = target_of("d.vmdk", rows[i].size, options, &e);
        uint64_t at = 0;

        assert_ok(t, &e);
        assert_int_equal(t->files.count, rows[i].files);
        while (at < t->size) {
            struct place p = {at, t->size - at, PLACE_ZERO, 0};
            struct placed placed;

            assert_ok(target_place(t, &p, &placed, &e), &e);
            at += placed.len;
        }
        assert_ok(target_seal(t, &e), &e);
        if (target_measured(t) > rows[i].most)
            fail_msg("%s: %llu bytes", rows[i].option, (unsigned long long)target_measured(t));
        target_free(t);
        options_free(options);
    }
}

static int clean_up(void **state)
{
    (void)state;
    test_rmdir();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),       cmocka_unit_test(test_split),
        cmocka_unit_test(test_peer_writes), cmocka_unit_test(test_overlay),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_large),
    };

    return cmocka_run_group_tests(tests, NULL, clean_up);
}
