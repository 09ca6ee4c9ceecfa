/* VMDK descriptors: what is understood, what is refused, what is written; header pack and unpack.
 * label: quick */
#include "test.h"

#include "vmdk/descriptor.h"
#include "vmdk/header.h"

#include <stdlib.h>
#include <string.h>

#define FIRST "# Disk DescriptorFile\n"

static const struct {
    const char *name, *text;
    const char *error; /* part of the message; NULL: parsed */
    enum err_kind kind;
    size_t extents;
} rows[] = {
    {"plain", FIRST "RW 128 FLAT \"a.vmdk\" 0\n", NULL, ERR_NONE, 1},
    {"crlf", "# Disk DescriptorFile\r\nversion=1\r\nRW 128 FLAT \"a.vmdk\" 0\r\n", NULL, 0, 1},
    {"byte order mark", "\xef\xbb\xbf# Disk DescriptorFile\nRW 1 ZERO\n", NULL, 0, 1},
    {"leading blanks", " \n\t# disk descriptorFILE\nRW 1 ZERO\n", NULL, 0, 1},
    {"no blank after #", "#DiskDescriptorFile\nRW 1 ZERO\n", NULL, 0, 1},
    {"no newline at the end", FIRST "RW 1 ZERO", NULL, 0, 1},
    {"lower case", FIRST "rw 1 zero\nrdonly 2 flat \"x\"\n", NULL, 0, 2},
    {"tabs", FIRST "RW\t128\tSPARSE\t\"a b.vmdk\"\n", NULL, 0, 1},
    {"no quotes", FIRST "RW 128 SPARSE a.vmdk\n", NULL, 0, 1},
    {"every type",
     FIRST "RW 1 FLAT \"a\" 5\nRW 1 SPARSE \"a\"\nRW 1 ZERO\nRW 1 VMFS \"a\"\nRW 1 VMFS \"a\" 0\n"
           "RW 1 VMFSSPARSE \"a\"\nRW 1 SESPARSE \"a\"\nRW 1 VMFSRDM \"a\"\nRW 1 VMFSRAW \"a\"\n",
     NULL, 0, 9},
    {"partition details", FIRST "RW 63 FLAT \"a\" 63 partuuid devid\n", NULL, 0, 1},
    {"unknown keys", FIRST "ddb.comment = \"x=y\"\nfoo=bar\nRW 1 ZERO\n", NULL, 0, 1},
    {"equals in a name", FIRST "RW 1 FLAT \"a=b.vmdk\" 0\n", NULL, 0, 1},
    {"no extents", FIRST "version=1\n", NULL, 0, 0},
    {"empty", "", "does not begin", ERR_FORMAT, 0},
    {"something else", "# Disk Description\n", "does not begin", ERR_FORMAT, 0},
    {"unknown type", FIRST "RW 1 FLOT \"a\"\n", "unknown type 'FLOT'", ERR_UNSUPPORTED, 0},
    {"no type", FIRST "RW 1\n", "without a type", ERR_FORMAT, 0},
    {"no sectors", FIRST "RW FLAT \"a\"\n", "number of sectors", ERR_FORMAT, 0},
    {"negative sectors", FIRST "RW -1 FLAT \"a\"\n", "number of sectors", ERR_FORMAT, 0},
    {"too many digits", FIRST "RW 99999999999999999999 ZERO\n", "number of sectors", ERR_FORMAT, 0},
    {"no name", FIRST "RW 1 FLAT\n", "without a file name", ERR_FORMAT, 0},
    {"empty name", FIRST "RW 1 FLAT \"\"\n", "without a file name", ERR_FORMAT, 0},
    {"open quote", FIRST "RW 1 FLAT \"a\n", "closing quote", ERR_FORMAT, 0},
    {"bad offset", FIRST "RW 1 FLAT \"a\" x\n", "offset is no number", ERR_FORMAT, 0},
    {"vmfs with offset", FIRST "RW 1 VMFS \"a\" 1\n", "VMFS extent with an offset", ERR_FORMAT, 0},
    {"garbled access", FIRST "version=1\nRX 1 FLAT \"a\" 0\n", "line 3", ERR_FORMAT, 0},
    {"cid too long", FIRST "CID=123456789\n", "content id", ERR_FORMAT, 0},
    {"cid no number", FIRST "CID=xyz\n", "content id", ERR_FORMAT, 0},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err e = ERR_INIT;
        struct descriptor d;
        bool ok = descriptor_parse(rows[i].text, strlen(rows[i].text), &d, &e);

        if (ok != !rows[i].error || (!ok && !strstr(e.text, rows[i].error)) ||
            (!ok && e.kind != rows[i].kind) || (ok && d.extents.count != rows[i].extents))
            fail_msg("%s: %s, %zu extents, '%s'", rows[i].name, ok ? "parsed" : "refused",
                     d.extents.count, e.text);
        descriptor_release(&d);
    }
}

static void test_values(void **state)
{
    static const char text[] =
        "# Disk DescriptorFile\nversion=1 \nencoding=\"windows-1252\"\nCID=0A1B2c3d\n"
        "parentCID = ffff0000 \ncreateType = \"vmfsSparse\" \n"
        "parentFileNameHint=\"..\\base dir\\b.vmdk\"\nchangeTrackPath=\"x-ctk.vmdk\"\n"
        "RW 100 FLAT \"a b.vmdk\" 42\nNOACCESS 7 ZERO\nRDONLY 9 SPARSE \"C:\\v\\c.vmdk\"\n"
        "ddb.adapterType=\"lsilogic\"\nDDB.virtualHWVersion = \"13\"\n\0garbage=\"x";
    struct descriptor d;
    struct err e = ERR_INIT;

    (void)state;
    assert_ok(descriptor_parse(text, sizeof(text), &d, &e), &e);
    assert_true(d.has_cid && d.has_parent_cid);
    assert_int_equal(d.cid, 0x0a1b2c3d);
    assert_int_equal(d.parent_cid, 0xffff0000);
    assert_string_equal(d.create_type, "vmfsSparse");
    assert_string_equal(d.parent_hint, "../base dir/b.vmdk");
    assert_string_equal(d.change_track, "x-ctk.vmdk");
    assert_string_equal(d.encoding, "windows-1252");
    assert_int_equal(d.extents.count, 3);
    assert_string_equal(d.extents.items[0].name, "a b.vmdk");
    assert_int_equal(d.extents.items[0].offset, 42);
    assert_int_equal(d.extents.items[0].sectors, 100);
    assert_int_equal(d.extents.items[1].access, DESC_NOACCESS);
    assert_null(d.extents.items[1].name);
    assert_string_equal(d.extents.items[2].name, "C:\\v\\c.vmdk");
    assert_string_equal(opt_pairs_get(&d.ddb, "adapterType"), "lsilogic");
    assert_string_equal(opt_pairs_get(&d.ddb, "virtualHWVersion"), "13");
    descriptor_release(&d);
}

static void test_ceilings(void **state)
{
    struct buf b = {0};
    struct descriptor d;
    struct err e = ERR_INIT;

    (void)state;
    buf_text(&b, FIRST);
    for (int i = 0; i < 5000; i++)
        buf_format(&b, "ddb.k%d = \"v\"\n", i);
    for (int i = 0; i < DESCRIPTOR_EXTENTS_MAX; i++)
        buf_text(&b, "RW 1 ZERO\n");
    assert_ok(descriptor_parse(b.data, b.len, &d, &e), &e);
    assert_int_equal(d.extents.count, DESCRIPTOR_EXTENTS_MAX);
    assert_int_equal(d.ddb.count, DESCRIPTOR_DDB_MAX);
    descriptor_release(&d);
    buf_text(&b, "RW 1 ZERO\n");
    assert_false(descriptor_parse(b.data, b.len, &d, &e));
    assert_non_null(strstr(e.text, "more than 40000 extents"));
    descriptor_release(&d);
    buf_release(&b);
}

static void test_written(void **state)
{
    static const struct {
        const char *adapter;
        uint64_t sectors;
        const char *cylinders, *heads, *spt;
    } geometry[] = {
        {"ide", 20480, "20", "16", "63"},          {"ide", 1u << 30, "16383", "16", "63"},
        {"lsilogic", 20480, "10", "64", "32"},     {"lsilogic", 2 << 21, "261", "255", "63"},
        {"buslogic", 3 << 20, "768", "128", "32"}, {"lsilogic", 33554432, "2088", "255", "63"},
    };
    static const uint8_t id[16] = {0x60, 0, 0xc2, 0x9a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

    (void)state;
    for (size_t i = 0; i < sizeof(geometry) / sizeof(geometry[0]); i++) {
        struct descriptor_new n = {.cid = 0x12,
                                   .parent_cid = 0xab,
                                   .create_type = "monolithicSparse",
                                   .parent_hint = "base.vmdk",
                                   .adapter = geometry[i].adapter,
                                   .hw_version = 10,
                                   .sectors = geometry[i].sectors,
                                   .content_id = id,
                                   .uuid = id};
        struct buf b = {0};
        struct descriptor d;
        struct err e = ERR_INIT;

        descriptor_write_head(&b, &n);
        descriptor_write_extent(&b, n.sectors, "FLAT", "x.vmdk");
        descriptor_write_tail(&b, &n);
        assert_true(buf_ok(&b, &e));
        assert_true(descriptor_begins(b.data, b.len));
        assert_ok(descriptor_parse(b.data, b.len, &d, &e), &e);
        assert_int_equal(d.cid, 0x12);
        assert_int_equal(d.parent_cid, 0xab);
        assert_string_equal(d.parent_hint, "base.vmdk");
        assert_int_equal(d.extents.items[0].sectors, n.sectors);
        assert_string_equal(opt_pairs_get(&d.ddb, "geometry.cylinders"), geometry[i].cylinders);
        assert_string_equal(opt_pairs_get(&d.ddb, "geometry.heads"), geometry[i].heads);
        assert_string_equal(opt_pairs_get(&d.ddb, "geometry.sectors"), geometry[i].spt);
        assert_string_equal(opt_pairs_get(&d.ddb, "uuid"),
                            "60 00 c2 9a 01 02 03 04-05 06 07 08 09 0a 0b 0c");
        assert_string_equal(opt_pairs_get(&d.ddb, "longContentID"),
                            "6000c29a0102030405060708090a0b0c");
        descriptor_release(&d);
        buf_release(&b);
    }
}

static void test_headers(void **state)
{
    struct vmdk_header h = {.version = 3,
                            .flags = 0x30001,
                            .capacity = UINT64_C(0x123456789a),
                            .grain = 128,
                            .desc_at = 1,
                            .desc_len = 20,
                            .gtes = 512,
                            .rgd = 21,
                            .gd = VMDK_GD_AT_END,
                            .overhead = 256,
                            .newlines = {'\n', ' ', '\r', '\n'},
                            .unclean = true,
                            .compress = 1},
                       g;
    struct vmdk_marker m = {UINT64_C(0x1122334455667788), 7, 3}, n;
    struct vmdk_cowd c = {1, 3, 0x80000000, 1, 4, 9, 77}, d;
    struct vmdk_sesparse s = {.version = UINT64_C(0x200000001),
                              .capacity = 1,
                              .grain = 8,
                              .table = 64,
                              .volatile_at = 5,
                              .gd = 6,
                              .gd_len = 7,
                              .tables = 8,
                              .tables_len = 9,
                              .grains = 10,
                              .grains_len = 11},
                         t;
    uint8_t b[VMDK_SECTOR], again[VMDK_SECTOR];

    (void)state;
    vmdk_header_pack(&h, b);
    assert_memory_equal(b, "KDMV\3\0\0\0", 8);
    assert_true(vmdk_header_unpack(b, &g));
    vmdk_header_pack(&g, again);
    assert_memory_equal(b, again, sizeof(b));
    assert_true(g.gd == h.gd && g.unclean && g.capacity == h.capacity && g.overhead == 256);
    b[0]++;
    assert_false(vmdk_header_unpack(b, &g));
    vmdk_marker_pack(&m, b);
    vmdk_marker_unpack(b, &n);
    assert_true(n.value == m.value && n.size == m.size && n.type == m.type);
    vmdk_cowd_pack(&c, b);
    assert_true(vmdk_cowd_unpack(b, &d));
    assert_memory_equal(&c, &d, sizeof(c));
    vmdk_sesparse_pack(&s, b);
    assert_true(vmdk_sesparse_unpack(b, &t));
    vmdk_sesparse_pack(&t, again);
    assert_memory_equal(b, again, sizeof(b));
    assert_true(t.grains_len == 11 && t.gd == 6 && t.version == s.version);
}

static void test_header_check(void **state)
{
    static const struct vmdk_header good = {.version = 1,
                                            .flags = 3,
                                            .capacity = 2048,
                                            .grain = 128,
                                            .gtes = 512,
                                            .rgd = 21,
                                            .gd = 26,
                                            .newlines = {'\n', ' ', '\r', '\n'}};
    struct vmdk_header h;
    struct err e = ERR_INIT;

    (void)state;
    assert_ok(vmdk_header_check(&good, "x", &e), &e);
#define WRONG(field, value)                                                                        \
    do {                                                                                           \
        h = good;                                                                                  \
        h.field = (value);                                                                         \
        err_clear(&e);                                                                             \
        assert_false(vmdk_header_check(&h, "x", &e));                                              \
        assert_true(e.kind == ERR_FORMAT || e.kind == ERR_UNSUPPORTED);                            \
    } while (0)
    WRONG(version, 0);
    WRONG(version, 4);
    WRONG(flags, 0x40003);
    WRONG(flags, 0x10003);
    WRONG(compress, 1);
    WRONG(compress, 2);
    WRONG(newlines[2], '\n');
    WRONG(grain, 0);
    WRONG(grain, 127);
    WRONG(grain, UINT64_C(1) << 63);
    WRONG(gtes, 0);
    WRONG(gtes, 511);
    WRONG(gtes, 0x40000000);
    WRONG(capacity, UINT64_C(1) << 61);
    WRONG(capacity, VMDK_SIZE_MAX / 512 + 1);
    WRONG(desc_at, 1);
    WRONG(desc_len, 1);
    h = good;
    h.flags = 2;
    h.newlines[0] = 0;
    err_clear(&e);
    assert_ok(vmdk_header_check(&h, "x", &e), &e); /* without the flag there is no test */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),     cmocka_unit_test(test_values),
        cmocka_unit_test(test_ceilings), cmocka_unit_test(test_written),
        cmocka_unit_test(test_headers),  cmocka_unit_test(test_header_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
