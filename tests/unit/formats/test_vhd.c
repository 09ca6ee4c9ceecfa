/* Reading VHDs: structures, sizes, which footer is believed, maps, damage.
 * label: quick */
#include "vhd_build.h"

#include "driver.h"
#include "log.h"

#include <stdio.h>

static const struct driver *const drivers[] = {&driver_vhd, &driver_raw, NULL};
static unsigned warnings;

static void count_warning(void *user, enum log_level level, const char *text)
{
    (void)user;
    (void)text;
    warnings += level == LOG_WARNING;
}

static void test_structures(void **state)
{
    struct vhd_footer f = built_footer(VHD_DYNAMIC, 5 * GIB), g;
    struct vhd_header h = built_header(), i;
    uint8_t footer[VHD_FOOTER_SIZE], header[VHD_HEADER_SIZE];
    char text[VHD_UUID_TEXT];

    (void)state;
    f.timestamp = 0x12345678;
    f.saved_state = true;
    vhd_footer_pack(&f, footer);
    assert_true(vhd_footer_unpack(footer, &g));
    assert_true(g.sum_ok);
    g.sum_ok = false;
    assert_memory_equal(&f, &g, sizeof(f));
    footer[300]++;
    assert_true(vhd_footer_unpack(footer, &g) && !g.sum_ok);
    footer[0]++;
    assert_false(vhd_footer_unpack(footer, &g));

    memcpy(h.locators[3].code, "W2ru", 4);
    h.locators[3].length = 0x7000;
    h.locators[3].offset = UINT64_C(0x123456789a);
    h.parent_name[511] = 9;
    vhd_header_pack(&h, header);
    assert_true(vhd_header_unpack(header, &i));
    assert_true(i.sum_ok);
    i.sum_ok = false;
    assert_memory_equal(&h, &i, sizeof(h));
    header[1000]++;
    assert_true(vhd_header_unpack(header, &i) && !i.sum_ok);

    vhd_uuid_text(
        (const uint8_t *)"\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32\x10", text);
    assert_string_equal(text, "01234567-89ab-cdef-fedc-ba9876543210");
    assert_int_equal(vhd_bitmap_size(2 * MIB), 512);
    assert_int_equal(vhd_bitmap_size(4 * MIB), 1024);
    assert_int_equal(vhd_bitmap_size(512 * KIB), 512);
    assert_int_equal(vhd_bitmap_size(512), 512);
}

static void test_geometry(void **state)
{
    /* the first is as Windows wrote it, the others are the algorithm by hand */
    static const struct {
        uint64_t size;
        unsigned cylinders, heads, sectors;
    } rows[] = {
        {4 * MIB, 120, 4, 17},
        {0, 0, 4, 17},
        {512, 0, 4, 17},
        {504 * MIB, 1024, 16, 63},
        {512 * MIB, 1040, 16, 63},
        {1 * GIB, 2080, 16, 63},
        {UINT64_C(65535) * 16 * 63 * 512 - 512, 65534, 16, 63},
        {UINT64_C(65535) * 16 * 63 * 512, 16191, 16, 255},
        {127 * GIB, 65278, 16, 255},
        {64 * TIB, 65535, 16, 255},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct vhd_footer f = {0};

        vhd_geometry(rows[i].size, &f);
        assert_int_equal(f.cylinders, rows[i].cylinders);
        assert_int_equal(f.heads, rows[i].heads);
        assert_int_equal(f.sectors, rows[i].sectors);
    }
}

static void test_size_rule(void **state)
{
    static const struct {
        const char *creator;
        unsigned cylinders, heads, sectors;
        uint64_t current, size;
    } rows[] = {
        {"vpc ", 10, 4, 17, 500 * 512, 10 * 4 * 17 * 512},
        {"qemu", 10, 4, 17, 500 * 512, 10 * 4 * 17 * 512},
        {"qem2", 10, 4, 17, 500 * 512, 500 * 512},
        {"win ", 10, 4, 17, 900 * 512, 900 * 512},
        {"vs  ", 10, 4, 17, 900 * 512, 900 * 512},
        {"vbox", 10, 4, 17, 900 * 512, 900 * 512},
        {"qemu", 65535, 16, 255, 300 * GIB, 300 * GIB},
        {"vpc ", 0, 4, 17, 900 * 512, 900 * 512},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct vhd_footer f = {.cylinders = (uint16_t)rows[i].cylinders,
                               .heads = (uint8_t)rows[i].heads,
                               .sectors = (uint8_t)rows[i].sectors,
                               .current_size = rows[i].current};

        memcpy(f.creator, rows[i].creator, 4);
        assert_int_equal(vhd_size(&f), rows[i].size);
    }
}

static void test_host_names(void **state)
{
    static const struct {
        const char *recorded, *name;
    } rows[] = {
        {".\\fat-parent.vhd", "./fat-parent.vhd"},
        {"..\\base\\a.vhd", "../base/a.vhd"},
        {"a b.vhd", "a b.vhd"},
        {"C:\\Projects\\test\\fat-parent.vhd", "fat-parent.vhd"},
        {"c:x.vhd", "x.vhd"},
        {"\\\\server\\share\\x.vhd", "x.vhd"},
        {"/srv/x.vhd", "x.vhd"},
        {"D:\\", ""},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[100];

        snprintf(text, sizeof(text), "%s", rows[i].recorded);
        assert_string_equal(vhd_host_name(text), rows[i].name);
    }
}

static void test_probe(void **state)
{
    struct built b;
    struct probe p = {.path = "x"};

    (void)state;
    build_dynamic(&b, VHD_DYNAMIC, NULL);
    p = (struct probe){"x", b.bytes, b.len, b.bytes + b.len - 4096, 4096, b.len};
    assert_int_equal(driver_vhd.probe(&p), 100);
    memset(b.bytes, 0, 8);
    assert_int_equal(driver_vhd.probe(&p), 60);
    memset(b.bytes + b.len - 512, 0, 8);
    assert_int_equal(driver_vhd.probe(&p), 0);

    build_fixed(&b, 4096);
    p = (struct probe){"x", b.bytes, b.len, b.bytes + 512, 4096, b.len};
    assert_int_equal(driver_vhd.probe(&p), 60);
    p = (struct probe){"x", b.bytes, b.len - 1, b.bytes + 511, 4096, b.len - 1}; /* 511 bytes */
    assert_int_equal(driver_vhd.probe(&p), 60);
    p = (struct probe){"x", b.bytes, b.len + 1000, b.bytes + 1512, 4096, b.len + 1000};
    assert_int_equal(driver_vhd.probe(&p), 60);
    p = (struct probe){"x", b.bytes, 100, b.bytes, 100, 100};
    assert_int_equal(driver_vhd.probe(&p), 0);
    p = (struct probe){"x", NULL, 0, NULL, 0, 0};
    assert_int_equal(driver_vhd.probe(&p), 0);
}

struct mapped {
    uint64_t at, len;
    enum extent_kind kind;
    uint64_t pos;
};

static void assert_map(struct image *img, const struct mapped *rows, size_t count)
{
    struct err e = ERR_INIT;
    uint64_t at = 0;

    for (size_t i = 0; i < count; i++) {
        struct extent x;

        assert_ok(image_map_layer(img, at, img->size - at, &x, &e), &e);
        assert_int_equal(x.at, rows[i].at);
        assert_int_equal(x.len, rows[i].len);
        assert_int_equal(x.kind, rows[i].kind);
        if (x.kind == EXTENT_DATA)
            assert_int_equal(x.pos, rows[i].pos);
        at += x.len;
    }
    assert_int_equal(at, img->size);
}

static void test_map_dynamic(void **state)
{
    static const struct mapped rows[] = {
        {0, 4096, EXTENT_DATA, BUILT_FIRST + 512},
        {4096, 4096, EXTENT_ZERO, 0},
        {8192, 4096, EXTENT_DATA, BUILT_FIRST + BUILT_STRIDE + 512},
        {12288, 4096, EXTENT_ZERO, 0},
        {16384, 2048, EXTENT_DATA, BUILT_FIRST + 2 * BUILT_STRIDE + 512},
    };
    static const uint8_t gaps[BUILT_BLOCKS] = {0x0f, 0, 0x80, 0, 0xff}; /* of no effect */
    struct err e = ERR_INIT;
    struct built b;
    struct image *img;
    uint8_t bytes[1024];

    (void)state;
    for (int i = 0; i < 2; i++) {
        build_dynamic(&b, VHD_DYNAMIC, i ? gaps : NULL);
        img = built_open(&b, &e);
        assert_ok(img, &e);
        assert_int_equal(img->size, BUILT_SIZE);
        assert_int_equal(img->sector_size, 512);
        assert_string_equal(img->facts.subformat, "dynamic");
        assert_string_equal(img->facts.identity, "01020304-0506-0708-090a-0b0c0d0e0f03");
        assert_int_equal(img->facts.cluster_size, BUILT_BLOCK);
        assert_string_equal(opt_pairs_get(&img->facts.extra, "creator"), "win");
        assert_map(img, rows, ARRAY_LEN(rows));
        assert_ok(image_read(img, 8192 + 512, bytes, sizeof(bytes), &e), &e);
        assert_int_equal(bytes[0], 32 + 2);
        assert_int_equal(bytes[1023], 32 + 3);
        image_free(img);
    }
}

static void test_map_differencing(void **state)
{
    /* most significant bit first; the last block has four sectors */
    static const uint8_t bitmaps[BUILT_BLOCKS] = {0xb0, 0, 0xff, 0x01, 0x6f};
    static const struct mapped rows[] = {
        {0, 512, EXTENT_DATA, BUILT_FIRST + 512},
        {512, 512, EXTENT_ABSENT, 0},
        {1024, 1024, EXTENT_DATA, BUILT_FIRST + 512 + 1024},
        {2048, 2048, EXTENT_ABSENT, 0},
        {4096, 4096, EXTENT_ABSENT, 0},
        {8192, 4096, EXTENT_DATA, BUILT_FIRST + BUILT_STRIDE + 512},
        {12288, 3584, EXTENT_ABSENT, 0},
        {15872, 512, EXTENT_DATA, BUILT_FIRST + 2 * BUILT_STRIDE + 512 + 3584},
        {16384, 512, EXTENT_ABSENT, 0},
        {16896, 1024, EXTENT_DATA, BUILT_FIRST + 3 * BUILT_STRIDE + 512 + 512},
        {17920, 512, EXTENT_ABSENT, 0},
    };
    struct err e = ERR_INIT;
    struct built b;
    struct image *img;
    struct extent x;

    (void)state;
    build_dynamic(&b, VHD_DIFFERENCING, bitmaps);
    img = built_open(&b, &e);
    assert_ok(img, &e);
    assert_string_equal(img->facts.subformat, "differencing");
    assert_map(img, rows, ARRAY_LEN(rows));
    assert_ok(image_map_layer(img, 1500, 100, &x, &e), &e); /* inside a sector */
    assert_int_equal(x.len, 100);
    assert_int_equal(x.pos, BUILT_FIRST + 512 + 1500);
    assert_ok(image_map_layer(img, 700, 5000, &x, &e), &e);
    assert_int_equal(x.len, 1024 - 700);
    assert_int_equal(x.kind, EXTENT_ABSENT);
    image_free(img);
}

/* Which footer is believed. `change` works on a whole image with right checksums. */
static void cut_tail(struct built *b)
{
    b->len -= 512;
}
static void spoil_tail(struct built *b)
{
    b->bytes[b->len - 512 + 200]++;
}
static void spoil_front(struct built *b)
{
    b->bytes[200]++;
}
static void spoil_both(struct built *b)
{
    spoil_tail(b);
    spoil_front(b);
}
static void spoil_differently(struct built *b)
{
    spoil_both(b);
    b->bytes[201]++;
}
static void spoil_and_cut(struct built *b)
{
    spoil_front(b);
    cut_tail(b);
}
static void cut_byte(struct built *b)
{
    b->len--;
}
static void pad(struct built *b)
{
    b->len += 1024;
}
static void pad_unevenly(struct built *b)
{
    b->len += 100;
}
static void spoil_and_pad(struct built *b)
{
    spoil_tail(b);
    pad(b);
}
static void lengthen(struct built *b)
{
    memmove(b->bytes + b->len, b->bytes + b->len - 512, 512);
    b->len += 512;
}
static void lengthen_and_spoil(struct built *b)
{
    lengthen(b);
    spoil_tail(b);
}
static void forge_front(struct built *b)
{
    struct vhd_footer f = built_footer(VHD_DYNAMIC, GIB);
    struct vhd_header h = built_header();

    vhd_footer_pack(&f, b->bytes);
    vhd_header_pack(&h, b->bytes + 512);
}
static void forge_and_spoil(struct built *b)
{
    forge_front(b);
    spoil_tail(b);
}
static void spoil_header(struct built *b)
{
    b->bytes[BUILT_HEADER + 900]++;
}
static void spoil_header_more(struct built *b)
{
    put_be32(b->bytes + BUILT_HEADER + 28, BUILT_BLOCKS + 1);
}
static void keep(struct built *b)
{
    (void)b;
}

static void test_footers(void **state)
{
    static const struct {
        const char *name;
        uint32_t type;
        void (*change)(struct built *b);
        bool opens;
        unsigned warns;
    } rows[] = {
        {"whole", VHD_DYNAMIC, keep, true, 0},
        {"tail cut off", VHD_DYNAMIC, cut_tail, true, 1},
        {"tail spoilt", VHD_DYNAMIC, spoil_tail, true, 1},
        {"front spoilt", VHD_DYNAMIC, spoil_front, true, 0},
        {"both spoilt alike", VHD_DYNAMIC, spoil_both, true, 1},
        {"both spoilt", VHD_DYNAMIC, spoil_differently, false, 0},
        {"tail cut off, front spoilt", VHD_DYNAMIC, spoil_and_cut, false, 0},
        {"511 bytes", VHD_DYNAMIC, cut_byte, true, 0},
        {"rubbish behind", VHD_DYNAMIC, pad, true, 1},
        {"header checksum", VHD_DYNAMIC, spoil_header, true, 1},
        {"header spoilt", VHD_DYNAMIC, spoil_header_more, false, 0},
        {"fixed", VHD_FIXED, keep, true, 0},
        {"fixed, cut off", VHD_FIXED, cut_tail, false, 0},
        {"fixed, spoilt", VHD_FIXED, spoil_tail, true, 1},
        {"fixed, longer", VHD_FIXED, lengthen, true, 0},
        {"fixed, longer, spoilt", VHD_FIXED, lengthen_and_spoil, false, 0},
        {"fixed, 511 bytes", VHD_FIXED, cut_byte, true, 0},
        {"fixed, padded", VHD_FIXED, pad, true, 0},
        {"fixed, padded unevenly", VHD_FIXED, pad_unevenly, true, 0},
        {"fixed, spoilt, padded", VHD_FIXED, spoil_and_pad, false, 0},
        {"fixed, guest forged a front", VHD_FIXED, forge_front, true, 0},
        {"fixed, guest forged a front, spoilt", VHD_FIXED, forge_and_spoil, true, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = ERR_INIT;
        struct built b;
        struct image *img;
        uint8_t bytes[512];

        if (rows[i].type == VHD_FIXED)
            build_fixed(&b, 8192);
        else
            build_dynamic(&b, rows[i].type, NULL);
        rows[i].change(&b);
        warnings = 0;
        img = built_open(&b, &e);
        if ((img != NULL) != rows[i].opens || warnings != rows[i].warns)
            fail_msg("%s: %s, %u warnings: %s", rows[i].name, img ? "opens" : "does not open",
                     warnings, e.text);
        if (img) {
            assert_string_equal(img->facts.subformat,
                                rows[i].type == VHD_FIXED ? "fixed" : "dynamic");
            assert_int_equal(img->size, rows[i].type == VHD_FIXED ? 8192 : BUILT_SIZE);
            assert_ok(image_read(img, img->size - 512, bytes, 512, &e), &e);
            assert_int_equal(bytes[0], rows[i].type == VHD_FIXED ? 0x77 : 4 * 16 + 4);
        } else {
            assert_int_equal(e.kind, ERR_FORMAT);
        }
        image_free(img);
    }
}

/* One field wrong at a time, checksums right. */
static void test_damage(void **state)
{
    enum { F = 0, T = -1 /* both footers */ };
    static const struct {
        const char *name;
        int place; /* offset in the file; T: field of both footers */
        int field;
        unsigned bits;
        uint64_t value;
        enum err_kind opens, reads;
    } rows[] = {
        {"footer version", T, 12, 32, 0x00020000, ERR_UNSUPPORTED, 0},
        {"minor version", T, 12, 32, 0x00010001, ERR_NONE, ERR_NONE},
        {"data offset past the end", T, 16, 64, 1 << 20, ERR_FORMAT, 0},
        {"data offset huge", T, 16, 64, UINT64_MAX, ERR_FORMAT, 0},
        {"data offset elsewhere", T, 16, 64, 1536, ERR_FORMAT, 0},
        {"size zero", T, 48, 64, 0, ERR_FORMAT, 0},
        {"size odd", T, 48, 64, BUILT_SIZE + 1, ERR_FORMAT, 0},
        {"size over the table", T, 48, 64, BUILT_SIZE + BUILT_BLOCK, ERR_FORMAT, 0},
        {"size huge", T, 48, 64, UINT64_MAX - 511, ERR_FORMAT, 0},
        {"type 0", T, 60, 32, 0, ERR_UNSUPPORTED, 0},
        {"type 5", T, 60, 32, 5, ERR_UNSUPPORTED, 0},
        {"fixed, and too short", T, 60, 32, VHD_FIXED, ERR_FORMAT, 0},
        {"header cookie", 512, 0, 32, 0, ERR_FORMAT, 0},
        {"header version", 512, 24, 32, 0x00020000, ERR_UNSUPPORTED, 0},
        {"table past the end", 512, 16, 64, BUILT_MAX, ERR_FORMAT, 0},
        {"table huge", 512, 16, 64, UINT64_MAX - 8, ERR_FORMAT, 0},
        {"entries too few", 512, 28, 32, BUILT_BLOCKS - 1, ERR_FORMAT, 0},
        {"entries huge", 512, 28, 32, 0xffffffff, ERR_NONE, ERR_NONE},
        {"block size 0", 512, 32, 32, 0, ERR_FORMAT, 0},
        {"block size odd", 512, 32, 32, 4097, ERR_FORMAT, 0},
        {"block size 256", 512, 32, 32, 256, ERR_FORMAT, 0},
        {"block size 2 GiB", 512, 32, 32, 0x80000000, ERR_NONE, ERR_FORMAT},
        {"block past the end", 1536, 0, 32, 0x7fffffff, ERR_NONE, ERR_FORMAT},
        {"block at the end", 1536, 8, 32, 0xfffffffe, ERR_NONE, ERR_FORMAT},
        {"block over the footer", 1536, 16, 32, (BUILT_FIRST + 3 * BUILT_STRIDE) / 512, ERR_NONE,
         ERR_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static uint8_t disk[BUILT_SIZE];
        struct err e = ERR_INIT;
        struct built b;
        struct image *img;

        build_dynamic(&b, VHD_DYNAMIC, NULL);
        for (int copy = 0; copy < (rows[i].place == T ? 2 : 1); copy++) {
            size_t base = rows[i].place == T ? (copy ? b.len - 512 : 0) : (size_t)rows[i].place;
            uint8_t *field = b.bytes + base + rows[i].field;

            if (rows[i].bits == 32)
                put_be32(field, (uint32_t)rows[i].value);
            else
                put_be64(field, rows[i].value);
        }
        built_resum(&b);
        img = built_open(&b, &e);
        if (e.kind != rows[i].opens || (img != NULL) != (rows[i].opens == ERR_NONE))
            fail_msg("%s: %s", rows[i].name, e.text);
        if (img && !image_read(img, 0, disk, MIN(img->size, sizeof(disk)), &e) &&
            e.kind != rows[i].reads)
            fail_msg("%s: %s", rows[i].name, e.text);
        if (img && e.kind != rows[i].reads)
            fail_msg("%s: reads", rows[i].name);
        if (e.kind)
            assert_true(strlen(e.text) > 10);
        image_free(img);
    }
}

struct findings {
    unsigned damage, other;
    char text[600];
};

static void collect(void *user, enum check_level level, const char *text)
{
    struct findings *f = user;

    f->damage += level == CHECK_DAMAGE;
    f->other += level != CHECK_DAMAGE;
    snprintf(f->text + strlen(f->text), sizeof(f->text) - strlen(f->text), "%s\n", text);
}

static void test_check(void **state)
{
    static const struct {
        const char *text; /* what is found; NULL: nothing */
        void (*change)(struct built *b);
        int entry; /* BAT entry to set; -1: none */
        uint32_t value;
    } rows[] = {
        {NULL, keep, -1, 0},
        {"footer at the end", cut_tail, -1, 0},
        {"checksum of the footer", spoil_both, -1, 0},
        {"copy at the start of the file differ", spoil_front, -1, 0},
        {"checksum of the dynamic disk header", spoil_header, -1, 0},
        {"1 blocks overlap another, the first at sector 12", keep, 2, BUILT_FIRST / 512 + 8},
        {"1 blocks overlap another, the first at sector 5", keep, 2, BUILT_FIRST / 512 + 1},
        {"1 blocks lie past the end of the file or on its tables, the first is block 2", keep, 2,
         1000},
        {"1 blocks lie past the end of the file or on its tables, the first is block 1", keep, 1,
         1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct findings f = {0};
        struct err e = ERR_INIT;
        struct built b;
        struct image *img;

        build_dynamic(&b, VHD_DYNAMIC, NULL);
        if (rows[i].entry >= 0)
            put_be32(b.bytes + BUILT_BAT + 4 * rows[i].entry, rows[i].value);
        rows[i].change(&b);
        img = built_open(&b, &e);
        assert_ok(img, &e);
        assert_ok(img->driver->check(img, collect, &f, &e), &e);
        if ((rows[i].text && !strstr(f.text, rows[i].text)) ||
            (f.damage > 0) != (rows[i].text != NULL))
            fail_msg("row %zu: %u findings, %s", i, f.damage, f.text);
        image_free(img);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structures),
        cmocka_unit_test(test_geometry),
        cmocka_unit_test(test_size_rule),
        cmocka_unit_test(test_host_names),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_map_dynamic),
        cmocka_unit_test(test_map_differencing),
        cmocka_unit_test(test_footers),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_check),
    };

    drivers_register(drivers);
    log_to(count_warning, NULL);
    return cmocka_run_group_tests_name("vhd", tests, NULL, NULL);
}
