/* Every allocation and system call of opening, mapping, checking and writing VMDKs fails once: each
 * failure is explained and leaves nothing behind.
 * label: quick */
#include "vmdk_build.h"

#include "fault.h"

static void ignore(void *user, enum check_level level, const char *text)
{
    (void)user;
    (void)level;
    (void)text;
}

static bool read_all(const char *name, struct err *e)
{
    struct image *img = open_chain(name, e);
    uint64_t at = 0;
    bool ok = img != NULL;

    while (ok && at < img->size) {
        struct extent x;

        ok = image_map(img, at, img->size - at, &x, e);
        at += x.len;
    }
    ok = ok && driver_vmdk.check(img, ignore, NULL, e);
    image_free(img);
    return ok;
}

/* A failed look-ahead is no failure of the map, and a check goes on: those may succeed. */
static void fail_each(const char *what, bool (*op)(const char *, struct err *), const char *name)
{
    struct err e = ERR_INIT;
    long points;

    fault_count();
    assert_ok(op(name, &e), &e);
    points = fault_disarm();
    assert_true(points > 5);
    for (long nth = 1; nth <= points; nth++) {
        bool ok;

        err_clear(&e);
        fault_arm(nth);
        ok = op(name, &e);
        fault_disarm();
        if (!ok && (e.kind == ERR_NONE || e.kind == ERR_BUG || !e.text[0]))
            fail_msg("%s %s, fault %ld of %ld: %s '%s'", what, name, nth, points,
                     err_kind_name(e.kind), e.text);
    }
}

static bool write_all(const char *option, struct err *e)
{
    void *options = calloc(1, driver_vmdk.options_size);
    struct target_options to = {
        .driver = &driver_vmdk, .options = options, .name = "d.vmdk", .size = 40 << 20};
    struct target *t = NULL;
    bool ok = opt_presets(driver_vmdk.options, options, e) &&
              opt_assign(driver_vmdk.options, options, option, e) && (t = target_new(&to, e));

    while (ok && t->at < t->size) {
        struct place p = {t->at, 64 << 10, t->coded_only ? PLACE_CODED : PLACE_PLAIN, 512};
        struct placed placed;

        ok = target_place(t, &p, &placed, e);
    }
    ok = ok && target_seal(t, e);
    target_free(t);
    opt_release(driver_vmdk.options, options);
    free(options);
    return ok;
}

static void test_reading(void **state)
{
    static const char *const names[] = {"sparse.vmdk", "delta.vmdk", "stream.vmdk",
                                        "longer.vmdk", "split.vmdk", "flat.vmdk"};

    (void)state;
    need_peer();
    assert_true(run("truncate -s 70M a.raw && for p in 0 1000000 40000000 72000000; do "
                    "echo data | dd of=a.raw bs=1 seek=$p conv=notrunc; done"));
    assert_true(
        run("qemu-img convert -O vmdk a.raw sparse.vmdk && "
            "qemu-img create -f vmdk -b sparse.vmdk -F vmdk delta.vmdk && "
            "qemu-img convert -O vmdk -o subformat=streamOptimized a.raw stream.vmdk && "
            "qemu-img convert -O vmdk -o subformat=twoGbMaxExtentSparse a.raw split.vmdk && "
            "qemu-img convert -O vmdk -o subformat=monolithicFlat a.raw flat.vmdk && "
            "cp sparse.vmdk longer.vmdk && truncate -s +1M longer.vmdk"));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        fail_each("reading", read_all, names[i]);
}

static void test_writing(void **state)
{
    static const char *const options[] = {
        "subformat=monolithicSparse", "subformat=streamOptimized", "subformat=monolithicFlat",
        "subformat=twoGbMaxExtentSparse", "subformat=twoGbMaxExtentFlat"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        fail_each("writing", write_all, options[i]);
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
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_writing),
    };

    return cmocka_run_group_tests(tests, NULL, clean_up);
}
