/* Reading the deltas of ESX snapshots, built byte by byte: COWD and seSparse, compared with what
 * qemu reads, and what is refused.
 * label: quick */
#include "vmdk_build.h"

static void check_with_peer(const char *name, const struct built *b)
{
    write_file("model.raw", b->model, b->size);
    assert_true(run("qemu-img compare -f raw -F vmdk model.raw %s", name));
}

/* Three tables' worth of 512-byte grains; a quarter of them written. */
static struct built build_cowd(void)
{
    enum { SECTORS = 2 * 4096 + 100 };
    struct built b = built_new(4 << 20, SECTORS * 512);
    struct vmdk_cowd h = {
        .version = 1, .flags = 3, .sectors = SECTORS, .grain = 1, .gd = 4, .gd_count = 3};
    uint32_t next = 5 + 2 * 32;

    vmdk_cowd_pack(&h, built_sector(&b, 0, 2048));
    put_le32(built_sector(&b, 4, 512), 5); /* table 1 is absent */
    put_le32(built_sector(&b, 4, 512) + 8, 5 + 32);
    for (uint32_t i = 0; i < SECTORS; i++) {
        if ((i / 4096 == 1) || i % 16 > 3)
            continue;
        put_le32(built_sector(&b, 5 + (i / 4096 ? 32 : 0), 16384) + (size_t)(i % 4096) * 4, next);
        built_data(&b, next++, (uint64_t)i * 512, 512);
    }
    return b;
}

static void test_cowd(void **state)
{
    struct built b = build_cowd();
    struct err e = ERR_INIT;
    struct image *img;

    (void)state;
    write_file("d-delta.vmdk", b.file, b.len);
    put_text("d.vmdk", "# Disk DescriptorFile\nversion=1\nCID=00000002\nparentCID=ffffffff\n"
                       "createType=\"vmfsSparse\"\n# Extent description\n"
                       "RW 8292 VMFSSPARSE \"d-delta.vmdk\"\n");
    img = open_chain("d.vmdk", &e);
    assert_ok(img, &e);
    assert_ok(reads_as(img, b.model, b.size, 100000, &e), &e);
    assert_string_equal(img->facts.subformat, "vmfsSparse");
    image_free(img);
    img = open_chain("d-delta.vmdk", &e);
    assert_ok(img, &e);
    assert_ok(reads_as(img, b.model, b.size, b.size, &e), &e);
    image_free(img);
    need_peer();
    check_with_peer("d.vmdk", &b);
    built_free(&b);
}

enum { SE_GD = 8, SE_GTS = 16, SE_GRAINS = 16 + 3 * 64, SE_GRAIN = 4096 };

/* 40 MiB: three tables, of which the second is absent; grains of every kind. */
static struct built build_sesparse(void)
{
    struct built b = built_new(4 << 20, 40 << 20);
    struct vmdk_sesparse h = {.version = UINT64_C(0x200000001),
                              .capacity = (40 << 20) / 512,
                              .grain = 8,
                              .table = 64,
                              .volatile_at = 1,
                              .gd = SE_GD,
                              .gd_len = 8,
                              .tables = SE_GTS,
                              .tables_len = 3 * 64,
                              .grains = SE_GRAINS,
                              .grains_len = 4096};
    uint64_t next = 0;

    vmdk_sesparse_pack(&h, built_sector(&b, 0, 512));
    put_le64(built_sector(&b, 1, 512), 0xcafecafe);
    put_le64(built_sector(&b, SE_GD, 8 * 512), UINT64_C(0x1000000000000001));
    put_le64(built_sector(&b, SE_GD, 512) + 16, UINT64_C(0x1000000000000002));
    for (uint64_t i = 0; i < (40 << 20) / SE_GRAIN; i++) {
        uint8_t *e = built_sector(&b, SE_GTS + 64 * (i / 4096 ? 2 : 1), 64 * 512) + i % 4096 * 8;

        if (i / 4096 == 1 || i % 40 > 3)
            continue;
        if (i % 40 < 2) {
            put_le64(e, UINT64_C(0x3) << 60 | (next & 0xfff) << 48 | next >> 12);
            built_data(&b, SE_GRAINS + next++ * 8, i * SE_GRAIN, SE_GRAIN);
        } else {
            put_le64(e, (i % 40 == 2 ? UINT64_C(1) : UINT64_C(2)) << 60);
        }
    }
    return b;
}

#define SE_TEXT                                                                                    \
    "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"                         \
    "createType=\"seSparse\"\nRW 81920 SESPARSE \"e-sesparse.vmdk\"\n"

static void test_sesparse(void **state)
{
    struct built b = build_sesparse();
    struct err e = ERR_INIT;
    struct image *img;

    (void)state;
    put_text("e.vmdk", SE_TEXT);
    write_file("e-sesparse.vmdk", b.file, b.len);
    img = open_chain("e.vmdk", &e);
    assert_ok(img, &e);
    assert_ok(reads_as(img, b.model, b.size, 300000, &e), &e);
    assert_string_equal(img->facts.identity, "fffffffe");
    image_free(img);
    need_peer();
    check_with_peer("e.vmdk", &b);
    built_free(&b);
}

static void test_sesparse_refused(void **state)
{
    static const struct {
        unsigned at;
        uint64_t value;
        const char *says;
        bool opens;
    } rows[] = {
        {8, 1, "version", false},
        {16, 0, "capacity", false},
        {16, UINT64_C(1) << 60, "capacity", false},
        {16, UINT64_C(1) << 37, "too few", false},
        {24, 16, "grains of 16", false},
        {32, 32, "tables of 32", false},
        {40, 1, "unknown", false},
        {56, 1, "unknown", false},
        {80, 1 << 30, "past the end", false},
        {80, 2, "volatile header", false},
        {128, UINT64_C(1) << 60, "past the end", false},
        {144, UINT64_C(1) << 60, "past the end", false},
        {192, UINT64_MAX, "past the end", false},
        {512 + 24, 1, "journal", false},
        {SE_GD * 512, UINT64_C(0x2000000000000001), "directory", true},
        {SE_GD * 512, UINT64_C(0x1000000000000003), "directory", true},
        {(SE_GTS + 64) * 512, UINT64_C(0x5000000000000000), "grain 0", true},
        {(SE_GTS + 64) * 512, UINT64_C(0x0000000000000007), "grain 0", true},
        {(SE_GTS + 64) * 512, UINT64_C(0x3fffffffffffffff), "grain 0", true},
        {(SE_GTS + 64) * 512, UINT64_C(0x3ff0000000000000), "grain 0", true},
    };

    (void)state;
    put_text("e.vmdk", SE_TEXT);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b = build_sesparse();
        struct err e = ERR_INIT;
        struct image *img;
        uint8_t buf[512];
        bool ok;

        put_le64(b.file + rows[i].at, rows[i].value);
        write_file("e-sesparse.vmdk", b.file, b.len);
        img = open_chain("e.vmdk", &e);
        ok = img && image_read(img, 0, buf, sizeof(buf), &e);
        if (ok || !img != !rows[i].opens || !strstr(e.text, rows[i].says) ||
            (e.kind != ERR_FORMAT && e.kind != ERR_UNSUPPORTED))
            fail_msg("row %zu: %s '%s'", i, err_kind_name(e.kind), e.text);
        image_free(img);
        built_free(&b);
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
        cmocka_unit_test(test_cowd),
        cmocka_unit_test(test_sesparse),
        cmocka_unit_test(test_sesparse_refused),
    };

    return cmocka_run_group_tests(tests, NULL, clean_up);
}
