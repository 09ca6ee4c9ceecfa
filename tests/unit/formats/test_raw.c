/* Raw images: holes, padding, LUKS, and writing.
 * label: quick */
#include "test.h"

#include "bytes.h"
#include "copy.h"
#include "driver.h"
#include "file.h"
#include "formats.h"
#include "mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct driver *const drivers[] = {&driver_raw, NULL};

static struct image *open_raw(struct io *io, struct err *e)
{
    struct image_options options = {.lock = IMAGE_LOCK_NONE};

    return image_open_io(io, "disk", NULL, &options, e);
}

static struct io *store(const void *bytes, size_t len)
{
    struct err e = ERR_INIT;
    struct io *io = io_memory("disk", len, &e);

    assert_ok(io && io_write(io, 0, bytes, len, &e), &e);
    return io;
}

static void test_padding(void **state)
{
    static const struct {
        size_t len;
        uint64_t size;
    } rows[] = {{1, 512}, {511, 512}, {512, 512}, {513, 1024}, {5000, 5120}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t bytes[5120], back[5120];
        struct err e = ERR_INIT;
        struct image *img;
        struct extent x;
        uint64_t at = 0;

        memset(bytes, 0x5a, sizeof(bytes));
        img = open_raw(store(bytes, rows[i].len), &e);
        assert_ok(img, &e);
        assert_int_equal(img->size, rows[i].size);
        assert_int_equal(img->sector_size, 512);
        assert_ok(image_read(img, 0, back, img->size, &e), &e);
        assert_memory_equal(bytes, back, rows[i].len);
        assert_true(bytes_zero(back + rows[i].len, rows[i].size - rows[i].len));
        while (at < img->size) {
            assert_ok(image_map_layer(img, at, img->size - at, &x, &e), &e);
            assert_int_equal(x.kind, EXTENT_DATA);
            assert_int_equal(x.pos, at);
            assert_int_equal(x.padded, x.at + x.len > rows[i].len);
            at += x.len;
        }
        image_free(img);
    }
}

static void test_facts(void **state)
{
    static const struct {
        const char *head;
        bool luks;
    } rows[] = {
        {"LUKS\xba\xbe\0\1", true},  {"LUKS\xba\xbe\0\2", true},  {"LUKS\xba\xbe\0\3", false},
        {"LUKS\xba\xbf\0\1", false}, {"\0\0\0\0\0\0\0\0", false},
    };
    struct err e = ERR_INIT;
    struct image *img;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t bytes[1024] = {0}, back[8];

        memcpy(bytes, rows[i].head, 8);
        img = open_raw(store(bytes, sizeof(bytes)), &e);
        assert_ok(img, &e);
        assert_int_equal(img->facts.encryption != NULL, rows[i].luks);
        assert_string_equal(opt_pairs_get(&img->facts.extra, "probed"), "raw");
        assert_ok(image_read(img, 0, back, sizeof(back), &e), &e); /* its contents are copied */
        assert_memory_equal(back, rows[i].head, 8);
        image_free(img);
    }
    img = open_raw(io_memory("disk", 0, &e), &e);
    assert_null(img);
    assert_int_equal(e.kind, ERR_FORMAT);
}

static void test_holes(void **state)
{
    struct err e = ERR_INIT;
    struct extent x;
    struct image *img;
    char path[600];
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "%s/sparse", test_dir());
    fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 8 * MIB + 100), 0);
    assert_int_equal(pwrite(fd, "data", 4, 4 * MIB), 4);
    close(fd);
    img = open_raw(file_open(path, 0, &e), &e);
    assert_ok(img, &e);
    assert_ok(image_map_layer(img, 0, img->size, &x, &e), &e);
    if (x.kind == EXTENT_DATA) {
        image_free(img);
        test_rmdir();
        print_message("the file system has no holes\n");
        skip();
    }
    assert_int_equal(x.len, 4 * MIB);
    assert_ok(image_map_layer(img, 4 * MIB, 1000, &x, &e), &e);
    assert_int_equal(x.kind, EXTENT_DATA);
    assert_int_equal(x.len, 1000);
    assert_ok(image_map_layer(img, 5 * MIB, 3 * MIB + 512, &x, &e), &e);
    assert_int_equal(x.kind, EXTENT_ZERO);
    assert_int_equal(x.len, 3 * MIB);
    image_free(img);
    test_rmdir();
}

static void test_write(void **state)
{
    static const char *const choices[] = {"off", "falloc", "full"};
    uint8_t bytes[70 * KIB + 77], back[sizeof(bytes) + 512];
    uint64_t seed = 5;

    (void)state;
    memset(bytes, 0, sizeof(bytes));
    for (size_t i = 0; i < 300; i++)
        bytes[test_random(&seed) % sizeof(bytes)] = 9;
    memset(bytes + 20000, 0, 30000);
    for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
        struct err e = ERR_INIT;
        struct image *img = open_raw(store(bytes, sizeof(bytes)), &e);
        AUTO(free) void *filled = mem_alloc(driver_raw.options_size, &e);
        struct target_options options = {
            .driver = &driver_raw, .options = filled, .name = "t.raw", .size = img->size};
        struct copy c = {.source = img, .workers = 2};
        char assignment[40];
        struct io *io;

        snprintf(assignment, sizeof(assignment), "preallocation=%s", choices[i]);
        assert_ok(opt_presets(driver_raw.options, filled, &e) &&
                      opt_assign(driver_raw.options, filled, assignment, &e),
                  &e);
        c.target = target_new(&options, &e);
        assert_ok(c.target, &e);
        assert_int_equal(c.target->reserve, i > 0);
        assert_true(c.target->sequential);
        assert_ok((io = io_memory("t.raw", 0, &e)), &e);
        c.target->files.items[0].io = io_ref(io);
        assert_ok(copy_run(&c, &e), &e);
        assert_int_equal(target_measured(c.target), img->size);
        assert_int_equal(io->size, img->size);
        assert_ok(io_read(io, 0, back, img->size, &e), &e);
        assert_memory_equal(back, bytes, sizeof(bytes));
        assert_true(bytes_zero(back + sizeof(bytes), img->size - sizeof(bytes)));
        io_free(io);
        target_free(c.target);
        image_free(img);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_holes),
        cmocka_unit_test(test_write),
    };

    drivers_register(drivers);
    return cmocka_run_group_tests_name("raw", tests, NULL, NULL);
}
