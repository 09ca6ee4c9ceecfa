/* Differencing VHDs and their parents, failing operations, and images of the real peer.
 * label: quick */
#include "vhd_build.h"

#include "driver.h"
#include "fault.h"

#include <stdio.h>
#include <stdlib.h>

static const struct driver *const drivers[] = {&driver_vhd, &driver_raw, NULL};

static void ignore(void *user, enum check_level level, const char *text)
{
    (void)user;
    (void)level;
    (void)text;
}

static void write_file(const char *path, const struct built *b)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(b->bytes, 1, b->len, f), b->len);
    fclose(f);
}

static void put_name(uint8_t *to, const char *name, bool big)
{
    for (; *name; name++, to += 2) {
        if (big)
            put_be16(to, (uint8_t)*name);
        else
            put_le16(to, (uint8_t)*name);
    }
}

/* A child whose names are those given (NULL: none); the locators' texts lie in the
 * BAT's sector, where there is room. */
static void build_child(struct built *b, const char *relative, const char *absolute,
                        const char *plain, uint8_t uuid_end)
{
    static const uint8_t bitmaps[BUILT_BLOCKS] = {0x80, 0, 0, 0, 0};
    const char *names[] = {relative, absolute};
    struct vhd_header h = built_header();

    build_dynamic(b, VHD_DIFFERENCING, bitmaps);
    h.parent_uuid[15] = uuid_end;
    for (size_t i = 0; i < 2; i++) {
        size_t at = BUILT_BAT + 64 + 200 * i;

        if (!names[i])
            continue;
        memcpy(h.locators[i].code, i ? "W2ku" : "W2ru", 4);
        h.locators[i].offset = at;
        h.locators[i].length = (uint32_t)(2 * strlen(names[i]));
        put_name(b->bytes + at, names[i], false);
    }
    if (plain)
        put_name(h.parent_name, plain, true);
    vhd_header_pack(&h, b->bytes + BUILT_HEADER);
}

static void test_chain(void **state)
{
    static const struct {
        const char *relative, *absolute, *plain;
        uint8_t uuid_end;
        enum err_kind kind;
        const char *text; /* in the message */
    } rows[] = {
        {".\\base.vhd", NULL, NULL, VHD_FIXED, ERR_NONE, NULL},
        {".\\base.vhd", "C:\\x\\other.vhd", "third.vhd", VHD_FIXED, ERR_NONE, NULL},
        {NULL, "C:\\disks\\base.vhd", "third.vhd", VHD_FIXED, ERR_NONE, NULL},
        {NULL, NULL, "base.vhd", VHD_FIXED, ERR_NONE, NULL},
        {NULL, NULL, "D:\\disks\\base.vhd", VHD_FIXED, ERR_NONE, NULL},
        {".\\base.vhd", NULL, NULL, 99, ERR_FORMAT, "is not what"},
        {".\\gone.vhd", NULL, NULL, VHD_FIXED, ERR_FORMAT, "gone.vhd"},
        {NULL, NULL, NULL, VHD_FIXED, ERR_FORMAT, "without a readable name"},
        {"..\\..\\etc\\passwd", NULL, NULL, VHD_FIXED, ERR_GATE, "etc/passwd"},
        {".\\child.vhd", NULL, NULL, VHD_DIFFERENCING, ERR_FORMAT, "circle"},
        {".\\plain.img", NULL, NULL, VHD_FIXED, ERR_FORMAT, "no VHD footer"},
    };
    char base[600], child[600], plain[600];
    struct built b;

    (void)state;
    snprintf(base, sizeof(base), "%s/base.vhd", test_dir());
    snprintf(child, sizeof(child), "%s/child.vhd", test_dir());
    snprintf(plain, sizeof(plain), "%s/plain.img", test_dir());
    build_fixed(&b, 8192); /* shorter than the child */
    write_file(base, &b);
    b.len = 8192;
    write_file(plain, &b);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct image_options options = {.lock = IMAGE_LOCK_READ};
        struct err e = ERR_INIT;
        uint8_t bytes[3 * 512];
        struct image *img;

        build_child(&b, rows[i].relative, rows[i].absolute, rows[i].plain, rows[i].uuid_end);
        write_file(child, &b);
        img = image_open(child, &options, &e);
        if (e.kind != rows[i].kind || (rows[i].text && !strstr(e.text, rows[i].text)))
            fail_msg("row %zu: %s", i, e.text);
        if (!img)
            continue;
        assert_int_equal(image_depth(img), 2);
        assert_ok(image_read(img, 0, bytes, sizeof(bytes), &e), &e);
        assert_int_equal(bytes[0], 1);
        assert_int_equal(bytes[512], 0x77);
        assert_ok(image_read(img, 8192 - 512, bytes, sizeof(bytes), &e), &e);
        assert_int_equal(bytes[511], 0x77);
        assert_int_equal(bytes[512], 0);
        image_free(img);
    }
    test_rmdir();
}

/* Locators that cannot be read are passed over. */
static void test_bad_locators(void **state)
{
    static const struct {
        uint32_t length;
        uint64_t offset;
    } rows[] = {
        {0xffffffff, 0}, {100, UINT64_MAX}, {100, BUILT_MAX}, {9000, 0}, {0, 0}, {7, 2000},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = ERR_INIT;
        struct parent_ref ref = {0};
        struct vhd_header h;
        struct built b;
        struct image *img;

        build_child(&b, NULL, NULL, "named.vhd", 1);
        put_le16(b.bytes + 2000, 0xdc00); /* half a surrogate pair */
        put_le16(b.bytes + 2002, 'a');
        assert_true(vhd_header_unpack(b.bytes + BUILT_HEADER, &h));
        memcpy(h.locators[7].code, "W2ru", 4);
        h.locators[7].length = rows[i].length;
        h.locators[7].offset = rows[i].offset;
        vhd_header_pack(&h, b.bytes + BUILT_HEADER);
        img = built_open(&b, &e);
        assert_ok(img, &e);
        assert_ok(img->driver->parent(img, &ref, &e), &e);
        assert_string_equal(ref.name, "named.vhd");
        assert_string_equal(ref.format, "vhd");
        assert_string_equal(ref.identity, "01020304-0506-0708-090a-0b0c0d0e0f01");
        parent_ref_release(&ref);
        image_free(img);
    }
}

/* Opens, reads, names the parent, checks; takes `io` over. */
static bool use_all(struct io *io, struct err *e)
{
    struct image_options options = {.format = "vhd", .lock = IMAGE_LOCK_NONE, .layer_only = true};
    struct image *img = image_open_io(io, "built.vhd", NULL, &options, e);
    struct parent_ref ref = {0};
    uint8_t bytes[512];
    bool ok = img && image_read(img, 0, bytes, sizeof(bytes), e) &&
              img->driver->parent(img, &ref, e) && img->driver->check(img, ignore, NULL, e);

    parent_ref_release(&ref);
    image_free(img);
    return ok;
}

/* Every fault point fails once: cleanly and with words (leaks are the sanitizer's to find). */
static void test_faults(void **state)
{
    struct err e = ERR_INIT;
    struct built b;
    struct io *io;
    long points;

    (void)state;
    build_child(&b, ".\\base.vhd", "C:\\base.vhd", "base.vhd", 1);
    io = built_io(&b);
    fault_count();
    assert_ok(use_all(io, &e), &e);
    points = fault_disarm();
    assert_true(points > 8);
    for (long nth = 1; nth <= points; nth++) {
        io = built_io(&b);
        fault_arm(nth);
        assert_false(use_all(io, &e));
        fault_disarm();
        assert_true(e.kind == ERR_MEMORY || e.kind == ERR_IO);
        assert_true(strlen(e.text) > 5);
        err_clear(&e);
    }
}

/* Images of the real peer, of each kind and size rule, written to here and there. */
static void test_peer(void **state)
{
    static const char *const options[] = {"subformat=dynamic", "subformat=fixed",
                                          "subformat=dynamic,force_size=on",
                                          "subformat=fixed,force_size=on"};
    static const char *const sizes[] = {"5M", "33M"};

    (void)state;
    if (system("command -v qemu-img qemu-io >/dev/null") != 0) {
        print_message("qemu-img or qemu-io is not installed\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_LEN(options) * ARRAY_LEN(sizes); i++) {
        struct image_options raw = {.format = "raw", .lock = IMAGE_LOCK_NONE};
        struct image_options probe = {.lock = IMAGE_LOCK_READ};
        char command[4096], path[600];
        struct err e = ERR_INIT;
        struct image *a, *b;
        uint8_t *x, *y;

        snprintf(command, sizeof(command),
                 "cd '%s' && qemu-img create -q -f vpc -o %s p.vhd %s && "
                 "qemu-io -f vpc -c 'write -P 17 1M 70k' -c 'write -P 18 3000k 100k' "
                 "-c 'write -P 19 512 512' -c 'write -P 20 4999k 512' p.vhd >/dev/null && "
                 "qemu-img convert -f vpc -O raw p.vhd p.raw",
                 test_dir(), options[i / 2], sizes[i % 2]);
        assert_int_equal(system(command), 0);
        snprintf(path, sizeof(path), "%s/p.vhd", test_dir());
        assert_ok((a = image_open(path, &probe, &e)), &e);
        snprintf(path, sizeof(path), "%s/p.raw", test_dir());
        assert_ok((b = image_open(path, &raw, &e)), &e);
        assert_ptr_equal(a->driver, &driver_vhd);
        assert_int_equal(a->size, b->size);
        x = malloc(a->size);
        y = malloc(a->size);
        assert_ok(image_read(a, 0, x, a->size, &e) && image_read(b, 0, y, a->size, &e), &e);
        assert_memory_equal(x, y, a->size);
        free(x);
        free(y);
        image_free(a);
        image_free(b);
    }
    test_rmdir();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_bad_locators),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_peer),
    };

    drivers_register(drivers);
    return cmocka_run_group_tests_name("vhd_chain", tests, NULL, NULL);
}
