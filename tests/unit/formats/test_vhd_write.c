/* Writing VHDs: contents as this driver and the real peer read them, placement, limits.
 * label: quick */
#include "vhd_build.h"

#include "copy.h"
#include "driver.h"
#include "fault.h"
#include "file.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>

static const struct driver *const drivers[] = {&driver_vhd, &driver_raw, NULL};

enum { SUBFORMAT_DYNAMIC, SUBFORMAT_FIXED };

/* Data in random stretches, the last sector included. */
static struct io *make_source(uint64_t seed, uint64_t size)
{
    struct err e = ERR_INIT;
    struct io *io = io_memory("source", size, &e);

    assert_ok(io, &e);
    for (int i = 0; i < 12; i++) {
        uint64_t len = MIN(test_random(&seed) % (200 * KIB) + 1, size);
        uint64_t at = i ? test_random(&seed) % (size - len + 1) : size - len;
        uint8_t *data = malloc(len);

        for (uint64_t j = 0; j < len; j++)
            data[j] = (uint8_t)(test_random(&seed) >> 32);
        assert_ok(io_write(io, at, data, len, &e), &e);
        free(data);
    }
    return io;
}

static struct image *open_as(struct io *io, const char *format)
{
    struct image_options options = {.format = format, .lock = IMAGE_LOCK_NONE};
    struct err e = ERR_INIT;
    struct image *img = image_open_io(io, "test", NULL, &options, &e);

    assert_ok(img, &e);
    return img;
}

static struct target *new_target(uint64_t size, int subformat, uint64_t block_size, struct err *e)
{
    struct vhd_options vhd = {.subformat = subformat, .block_size = block_size};
    struct target_options options = {.driver = &driver_vhd,
                                     .options = &vhd,
                                     .name = "t.vhd",
                                     .size = size,
                                     .identity = {.bytes = {1, 2, 3}},
                                     .mtime = 946684800 + 77};

    return target_new(&options, e);
}

/* Converts into `io` (taken over) and returns the target's length as measured by its driver. */
static uint64_t convert(struct io *source, struct io *io, int subformat, uint64_t block_size,
                        unsigned workers)
{
    struct err e = ERR_INIT;
    struct image *img = open_as(io_ref(source), "raw");
    struct target *t = new_target(img->size, subformat, block_size, &e);
    struct copy c = {.source = img, .target = t, .workers = workers};
    uint64_t end;

    assert_ok(t, &e);
    t->files.items[0].io = io;
    assert_ok(copy_run(&c, &e), &e);
    end = t->files.items[0].end;
    target_free(t);
    image_free(img);
    return end;
}

static void assert_same_disk(struct io *source, struct io *vhd)
{
    struct image *a = open_as(io_ref(source), "raw"), *b = open_as(io_ref(vhd), "vhd");

    test_same(a, b);
    image_free(a);
    image_free(b);
}

static void no_finding(void *user, enum check_level level, const char *text)
{
    (void)user;
    (void)level;
    fail_msg("%s", text);
}

static const struct {
    uint64_t size;
    int subformat;
    uint64_t block_size;
} shapes[] = {
    {9 * MIB + 1536, SUBFORMAT_DYNAMIC, 2 * MIB},
    {9 * MIB + 1536, SUBFORMAT_DYNAMIC, 512 * KIB},
    {16 * MIB, SUBFORMAT_DYNAMIC, 2 * MIB},
    {37 * MIB, SUBFORMAT_DYNAMIC, 16 * MIB},
    {512, SUBFORMAT_DYNAMIC, 2 * MIB},
    {9 * MIB + 1536, SUBFORMAT_FIXED, 2 * MIB},
    {512, SUBFORMAT_FIXED, 2 * MIB},
};

static void test_contents(void **state)
{
    bool peer = system("command -v qemu-img >/dev/null") == 0;
    char path[600], command[2048];

    (void)state;
    snprintf(path, sizeof(path), "%s/t.vhd", test_dir());
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        struct err e = ERR_INIT;
        struct io *source = make_source(i + 1, shapes[i].size), *io;
        struct image *img;
        uint64_t end;

        io = file_open(path, FILE_WRITE | FILE_CREATE, &e);
        assert_ok(io, &e);
        end = convert(source, io_ref(io), shapes[i].subformat, shapes[i].block_size, 2);
        assert_int_equal(end, io->size);
        assert_same_disk(source, io);
        img = open_as(io_ref(io), "vhd");
        assert_ok(img->driver->check(img, no_finding, NULL, &e), &e);
        image_free(img);
        if (peer) {
            uint8_t *bytes = malloc(shapes[i].size);
            FILE *raw;

            snprintf(command, sizeof(command), "%s/t.raw", test_dir());
            raw = fopen(command, "wb");
            assert_ok(io_read(source, 0, bytes, shapes[i].size, &e), &e);
            assert_int_equal(fwrite(bytes, 1, shapes[i].size, raw), shapes[i].size);
            fclose(raw);
            free(bytes);
            snprintf(command, sizeof(command),
                     "cd '%s' && qemu-img compare -q -f raw -F vpc t.raw t.vhd && "
                     "qemu-img info -f vpc --output=json t.vhd | grep -q 'virtual-size\": %llu,'",
                     test_dir(), (unsigned long long)shapes[i].size);
            assert_int_equal(system(command), 0);
        }
        io_free(io);
        io_free(source);
        unlink(path);
    }
    test_rmdir();
    if (!peer)
        print_message("qemu-img is not installed: only this driver read the images\n");
}

/* The same bytes for any number of workers, and on a store that was not zero before, where the
 * image may end earlier than the store. */
static void test_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        struct err e = ERR_INIT;
        struct io *source = make_source(i + 1, shapes[i].size), *ios[3];
        uint8_t *first = NULL;
        uint64_t len = 0;

        for (size_t j = 0; j < ARRAY_LEN(ios); j++) {
            uint8_t *bytes;

            assert_ok((ios[j] = io_memory("t.vhd", 0, &e)), &e);
            if (j == 2) {
                bytes = malloc(len);
                memset(bytes, 0xee, len);
                assert_ok(io_write(ios[j], 0, bytes, len, &e), &e);
                free(bytes);
                ios[j]->fresh = false;
            }
            convert(source, io_ref(ios[j]), shapes[i].subformat, shapes[i].block_size, j ? 4 : 1);
            if (!j)
                len = ios[j]->size;
            assert_int_equal(ios[j]->size, len);
            bytes = malloc(len);
            assert_ok(io_read(ios[j], 0, bytes, len, &e), &e);
            if (j == 1)
                assert_memory_equal(first, bytes, len);
            if (j == 2)
                assert_same_disk(source, ios[j]);
            if (j)
                free(bytes);
            else
                first = bytes;
        }
        for (size_t j = 0; j < ARRAY_LEN(ios); j++)
            io_free(ios[j]);
        free(first);
        io_free(source);
    }
}

/* In a block on a store that was not zero, every byte is covered: the part before the first data,
 * and what the last block has past the disk's end. */
static void test_stale_store(void **state)
{
    enum { SIZE = 3 * MIB };
    struct err e = ERR_INIT;
    struct io *source = io_memory("source", SIZE, &e), *io = io_memory("t.vhd", 0, &e);
    uint8_t *bytes = malloc(8 * MIB), data[4096];
    struct image *img;
    struct extent x;

    (void)state;
    memset(bytes, 0xee, 8 * MIB);
    memset(data, 1, sizeof(data));
    assert_ok(io_write(io, 0, bytes, 8 * MIB, &e), &e);
    io->fresh = false;
    assert_ok(io_write(source, 2 * MIB + 64 * KIB, data, sizeof(data), &e), &e);
    convert(source, io_ref(io), SUBFORMAT_DYNAMIC, 2 * MIB, 1);
    io->size = MIN(io->size, (uint64_t)(2 * MIB + 4096 + 512)); /* as a device of that length */
    img = open_as(io_ref(io), "vhd");
    assert_ok(image_map_layer(img, 0, SIZE, &x, &e), &e);
    assert_int_equal(x.kind, EXTENT_ZERO);
    assert_int_equal(x.len, 2 * MIB);
    assert_ok(image_map_layer(img, 2 * MIB, MIB, &x, &e), &e);
    assert_int_equal(x.pos, 4096);
    assert_ok(io_read(io, 4096, bytes, 2 * MIB, &e), &e);
    for (size_t i = 0; i < 2 * MIB; i++)
        if (bytes[i] != (i >= 64 * KIB && i < 64 * KIB + 4096))
            fail_msg("byte %zu of the block is %02x", i, bytes[i]);
    free(bytes);
    image_free(img);
    io_free(source);
    io_free(io);
}

static void put(struct target *t, uint64_t at, uint64_t len, enum place_kind kind, bool stored,
                uint64_t pos, uint64_t covered)
{
    struct place p = {.at = at, .len = len, .kind = kind};
    struct err e = ERR_INIT;
    struct placed placed;

    assert_ok(target_place(t, &p, &placed, &e), &e);
    assert_int_equal(placed.stored, stored);
    assert_int_equal(placed.len, covered);
    if (stored)
        assert_int_equal(placed.pos, pos);
}

static void test_placement(void **state)
{
    struct err e = ERR_INIT;
    struct target *t = new_target(100 * MIB, SUBFORMAT_DYNAMIC, 2 * MIB, &e);
    const uint64_t first = 4096, stride = 2 * MIB + 4096;
    const uint8_t *footer;

    (void)state;
    assert_ok(t, &e);
    assert_int_equal(t->unit, 4096);
    assert_false(t->sequential);
    put(t, 0, 5 * MIB, PLACE_ZERO, false, 0, 5 * MIB);
    put(t, 5 * MIB, 4096, PLACE_PLAIN, true, first + MIB, 4096);
    put(t, 5 * MIB + 4096, 4096, PLACE_ZERO, true, first + MIB + 4096, 4096);
    put(t, 5 * MIB + 8192, 4 * MIB, PLACE_PLAIN, true, first + MIB + 8192, MIB - 8192);
    put(t, 6 * MIB, 3 * MIB, PLACE_PLAIN, true, first + stride, 2 * MIB);
    put(t, 8 * MIB, 92 * MIB, PLACE_ZERO, false, 0, 92 * MIB);
    assert_ok(target_seal(t, &e), &e);
    assert_int_equal(target_measured(t), first + stride + 2 * MIB + 512);
    footer = t->queue.items[t->queue.count - 1].data;
    assert_int_equal(get_be32(footer + 24), 77);
    assert_int_equal(get_be64(footer + 48), 100 * MIB);
    assert_memory_equal(footer + 28, "qem2", 4);
    assert_int_equal(footer[68 + 6] >> 4, 4);
    target_free(t);

    t = new_target(64 * KIB, SUBFORMAT_FIXED, 2 * MIB, &e);
    assert_ok(t, &e);
    assert_true(t->sequential);
    put(t, 0, 4096, PLACE_ZERO, true, 0, 4096);
    put(t, 4096, 60 * KIB, PLACE_PLAIN, true, 4096, 60 * KIB);
    assert_ok(target_seal(t, &e), &e);
    assert_int_equal(target_measured(t), 64 * KIB + 512);
    target_free(t);
}

/* The BAT is written in windows while placing; memory stays flat. */
static void test_large(void **state)
{
    struct err e = ERR_INIT;
    struct target *t = new_target(2040 * GIB, SUBFORMAT_DYNAMIC, 2 * MIB, &e);
    const uint64_t first = 0x3fd000; /* behind 1044480 entries, aligned */
    uint64_t table = 0;

    (void)state;
    assert_ok(t, &e);
    put(t, 0, 2039 * GIB, PLACE_ZERO, false, 0, 2039 * GIB);
    put(t, 2039 * GIB, 4096, PLACE_PLAIN, true, first, 4096);
    put(t, 2039 * GIB + 4096, GIB - 4096, PLACE_ZERO, true, first + 4096, 2 * MIB - 4096);
    put(t, 2039 * GIB + 2 * MIB, GIB - 2 * MIB, PLACE_ZERO, false, 0, GIB - 2 * MIB);
    assert_ok(target_seal(t, &e), &e);
    for (size_t i = 0; i < t->queue.count; i++) {
        const struct target_write *w = &t->queue.items[i];

        if (w->pos == 1536 + table && w->len <= 4096 && w->len > 512)
            table += w->len;
    }
    assert_int_equal(table, 4 * 1020 * 1024);
    target_free(t);
}

static void test_limits(void **state)
{
    static const struct {
        uint64_t size;
        int subformat;
        uint64_t block_size;
        enum err_kind kind;
    } rows[] = {
        {2040 * GIB, SUBFORMAT_DYNAMIC, 2 * MIB, ERR_NONE},
        {2040 * GIB + 512, SUBFORMAT_DYNAMIC, 2 * MIB, ERR_UNSUPPORTED},
        {2040 * GIB, SUBFORMAT_DYNAMIC, 512 * KIB, ERR_UNSUPPORTED},
        {2000 * GIB, SUBFORMAT_DYNAMIC, 512 * KIB, ERR_NONE},
        {32 * TIB, SUBFORMAT_FIXED, 2 * MIB, ERR_NONE},
        {64 * TIB + 512, SUBFORMAT_FIXED, 2 * MIB, ERR_UNSUPPORTED},
        {0, SUBFORMAT_DYNAMIC, 2 * MIB, ERR_UNSUPPORTED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = ERR_INIT;
        struct target *t = new_target(rows[i].size, rows[i].subformat, rows[i].block_size, &e);

        assert_int_equal(e.kind, rows[i].kind);
        assert_int_equal(t != NULL, rows[i].kind == ERR_NONE);
        target_free(t);
    }
}

static bool write_all(struct err *e)
{
    struct target *t = new_target(9 * MIB, SUBFORMAT_DYNAMIC, 2 * MIB, e);
    struct place p = {.at = MIB, .len = 8 * MIB, .kind = PLACE_PLAIN};
    struct place gap = {.len = MIB, .kind = PLACE_ZERO};
    struct placed placed;
    bool ok = t && target_place(t, &gap, &placed, e);

    while (ok && p.len) {
        ok = target_place(t, &p, &placed, e);
        p.at += placed.len;
        p.len -= placed.len;
    }
    ok = ok && target_seal(t, e);
    target_free(t);
    return ok;
}

/* Every fault point fails once: cleanly and with words. */
static void test_faults(void **state)
{
    struct err e = ERR_INIT;
    long points;

    (void)state;
    fault_count();
    assert_ok(write_all(&e), &e);
    points = fault_disarm();
    assert_true(points > 10);
    for (long nth = 1; nth <= points; nth++) {
        fault_arm(nth);
        assert_false(write_all(&e));
        fault_disarm();
        assert_int_equal(e.kind, ERR_MEMORY);
        err_clear(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents),    cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_stale_store), cmocka_unit_test(test_placement),
        cmocka_unit_test(test_faults),      cmocka_unit_test(test_large),
        cmocka_unit_test(test_limits),
    };

    drivers_register(drivers);
    return cmocka_run_group_tests_name("vhd_write", tests, NULL, NULL);
}
