/* Reading VMDKs built byte by byte: hosted sparse extents, what stands in for damaged tables,
 * descriptors with several extents, and what is refused.
 * label: quick */
#include "vmdk_build.h"

#include <unistd.h>

enum {
    GRAIN = 4096,
    CAPACITY = 300, /* sectors: 37 grains and a half one */
    DESC = 1,
    RGD = 5,
    GD = 10,
    DATA = 16,
};

static const char embedded[] =
    "# Disk DescriptorFile\nversion=1\nCID=11223344\nparentCID=ffffffff\n"
    "createType=\"monolithicSparse\"\nRW 300 SPARSE \"other-name.vmdk\"\n"
    "ddb.adapterType = \"ide\"\n";

/* Grains 0, 1, 2 and 5 are data, 4 is a grain of zeroes, 37 is the half one; two copies of the
 * tables. */
static struct built build_hosted(void)
{
    static const unsigned data[] = {0, 1, 2, 5, 37};
    struct built b = built_new(256 << 10, CAPACITY * VMDK_SECTOR);
    struct vmdk_header h = {.version = 2,
                            .flags = 7,
                            .capacity = CAPACITY,
                            .grain = 8,
                            .desc_at = DESC,
                            .desc_len = 4,
                            .gtes = 512,
                            .rgd = RGD,
                            .gd = GD,
                            .overhead = DATA};

    vmdk_header_pack(&h, built_sector(&b, 0, VMDK_SECTOR));
    memcpy(built_sector(&b, DESC, sizeof(embedded)), embedded, sizeof(embedded));
    for (unsigned copy = 0; copy < 2; copy++) {
        unsigned at = copy ? GD : RGD;
        uint8_t *gt = built_sector(&b, at + 1, 2048);

        put_le32(built_sector(&b, at, 512), at + 1);
        put_le32(gt + 4 * 4, 1);
        for (unsigned i = 0; i < ARRAY_LEN(data); i++)
            put_le32(gt + (size_t)data[i] * 4, DATA + i * 8);
    }
    for (unsigned i = 0; i < ARRAY_LEN(data); i++)
        built_data(&b, DATA + i * 8, (uint64_t)data[i] * GRAIN, data[i] == 37 ? 2048 : GRAIN);
    return b;
}

enum where { OPEN_FAILS, READ_FAILS, READS };

#define GTE(n) ((GD + 1) * 512 + (n)*4)
#define RGTE(n) ((RGD + 1) * 512 + (n)*4)

static const struct patch_row {
    const char *name;
    enum where where;
    const char *text; /* part of the message */
    struct {
        unsigned at, bytes;
        uint64_t value;
    } patch[2];
    unsigned cut; /* bytes off the end */
} patch_rows[] = {
    {"as built", READS, NULL, {{0}}, 0},
    {"primary directory past the end", READS, NULL, {{56, 8, 1 << 20}}, 0},
    {"primary directory at 0", READS, NULL, {{56, 8, 0}}, 0},
    {"both directories past the end",
     OPEN_FAILS,
     "grain directory of 1 entries",
     {{56, 8, 1 << 20}, {48, 8, 1 << 21}},
     0},
    {"directory position overflows", READS, NULL, {{56, 8, UINT64_C(1) << 60}}, 0},
    {"both positions overflow",
     OPEN_FAILS,
     "grain directory",
     {{56, 8, UINT64_C(1) << 60}, {48, 8, UINT64_C(1) << 55}},
     0},
    {"primary entry past the end", READS, NULL, {{GD * 512, 4, 0x7fffffff}}, 0},
    {"primary entry 0", READS, NULL, {{GD * 512, 4, 0}}, 0},
    {"both entries past the end",
     READ_FAILS,
     "grain table 0",
     {{GD * 512, 4, 0x7fffffff}, {RGD * 512, 4, 0x7fffffff}},
     0},
    {"primary grain past the end", READS, NULL, {{GTE(2), 4, 0x7fffffff}}, 0},
    {"grain past the end in both",
     READ_FAILS,
     "grain 2 lies at",
     {{GTE(2), 4, 0x7fffffff}, {RGTE(2), 4, 0x7fffffff}},
     0},
    {"grain in the descriptor",
     READ_FAILS,
     "entry of grain 2",
     {{GTE(2), 4, 2}, {RGTE(2), 4, 2}},
     0},
    {"grain in the directory",
     READ_FAILS,
     "entry of grain 2",
     {{GTE(2), 4, GD}, {RGTE(2), 4, GD}},
     0},
    {"entry 1 without the flag", READ_FAILS, "entry of grain 4", {{8, 4, 3}, {4, 4, 1}}, 0},
    {"last grain cut short", READ_FAILS, "'%s' is cut short: grain 37", {{0}}, 1},
    {"all data cut off", READ_FAILS, "cut short: grain 0", {{64, 8, 15}}, 4 * GRAIN + 2048},
    {"tables cut off", OPEN_FAILS, "cut short", {{0}}, 4 * GRAIN + 2048 + 6 * 512},
    {"grain table in the header",
     READ_FAILS,
     "lies in the header",
     {{GD * 512, 4, RGD}, {RGD * 512, 4, GD}},
     0},
    {"overhead past the end", OPEN_FAILS, "tables reach to sector", {{64, 8, 4096}}, 0},
    {"descriptor past the end", OPEN_FAILS, "descriptor should have", {{28, 8, 4096}}, 0},
    {"descriptor elsewhere", OPEN_FAILS, "does not begin", {{28, 8, DATA}}, 0},
    {"descriptor of many sectors", OPEN_FAILS, "descriptor should have", {{36, 8, 1 << 30}}, 0},
    {"capacity below the descriptor's", OPEN_FAILS, "its descriptor 300", {{12, 8, 200}}, 0},
    {"capacity above 64 TiB", OPEN_FAILS, "claims a capacity", {{12, 8, UINT64_C(1) << 61}}, 0},
    {"capacity of 2^48 bytes", OPEN_FAILS, "grain directory", {{12, 8, UINT64_C(1) << 37}}, 0},
    {"no capacity and no descriptor", OPEN_FAILS, "capacity of 0", {{12, 8, 0}, {28, 8, 0}}, 0},
    {"text mode damage", OPEN_FAILS, "text mode", {{75, 1, '\n'}}, 0},
    {"footer without compression",
     OPEN_FAILS,
     "leaves its directory to a footer",
     {{56, 8, UINT64_MAX}},
     0},
    {"compression in the flags only", OPEN_FAILS, "contradicts itself", {{8, 4, 0x10007}}, 0},
    {"version 9", OPEN_FAILS, "version 9", {{4, 4, 9}}, 0},
};

static void put_patch(struct built *b, unsigned at, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        b->file[at + i] = (uint8_t)(value >> i * 8);
}

static void run_row(const struct patch_row *row, size_t step)
{
    struct built b = build_hosted();
    struct err e = ERR_INIT;
    struct image *img;
    bool ok = false;
    const char *text = row->text && row->text[0] == '\'' ? row->text + 4 : row->text;

    for (unsigned i = 0; i < 2; i++)
        put_patch(&b, row->patch[i].at, row->patch[i].bytes, row->patch[i].value);
    write_file("h.vmdk", b.file, b.len - row->cut);
    img = open_chain("h.vmdk", &e);
    if (img)
        ok = reads_as(img, b.model, b.size, step, &e);
    if (row->where != (!img ? OPEN_FAILS
                       : ok ? READS
                            : READ_FAILS) ||
        (!ok && (!strstr(e.text, text) || (e.kind != ERR_FORMAT && e.kind != ERR_UNSUPPORTED))))
        fail_msg("%s: %s: %s '%s'", row->name,
                 !img ? "open failed"
                 : ok ? "reads"
                      : "read failed",
                 err_kind_name(e.kind), e.text);
    image_free(img);
    built_free(&b);
}

static void test_hosted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(patch_rows); i++) {
        run_row(&patch_rows[i], CAPACITY * VMDK_SECTOR);
        run_row(&patch_rows[i], 1000);
    }
}

static void test_map(void **state)
{
    static const struct {
        uint64_t at, len;
        enum extent_kind kind;
        uint64_t pos;
    } want[] = {
        {0, 3 * GRAIN, EXTENT_DATA, DATA * 512},
        {3 * GRAIN, GRAIN, EXTENT_ABSENT, 0},
        {4 * GRAIN, GRAIN, EXTENT_ZERO, 0},
        {5 * GRAIN, GRAIN, EXTENT_DATA, (DATA + 24) * 512},
        {6 * GRAIN, 31 * GRAIN, EXTENT_ABSENT, 0},
        {37 * GRAIN, 2048, EXTENT_DATA, (DATA + 32) * 512},
    };
    struct built b = build_hosted();
    struct err e = ERR_INIT;
    struct image *img;
    struct extent x;
    uint64_t at = 0;

    (void)state;
    write_file("h.vmdk", b.file, b.len);
    img = open_chain("h.vmdk", &e);
    assert_ok(img, &e);
    for (size_t i = 0; i < ARRAY_LEN(want); i++, at += x.len) {
        assert_ok(image_map_layer(img, at, img->size - at, &x, &e), &e);
        assert_true(x.at == want[i].at && x.len == want[i].len && x.kind == want[i].kind);
        assert_true(x.kind != EXTENT_DATA || x.pos == want[i].pos);
    }
    assert_int_equal(at, img->size);
    assert_ok(image_map_layer(img, 100, 5, &x, &e), &e);
    assert_true(x.len == 5 && x.pos == DATA * 512 + 100);
    assert_string_equal(img->facts.subformat, "monolithicSparse");
    assert_string_equal(img->facts.identity, "11223344");
    assert_int_equal(img->facts.cluster_size, GRAIN);
    assert_string_equal(opt_pairs_get(&img->facts.extra, "adapter_type"), "ide");
    image_free(img);
    built_free(&b);
}

static void count_findings(void *user, enum check_level level, const char *text)
{
    unsigned *n = user;

    (void)text;
    n[level]++;
}

static void test_check(void **state)
{
    static const struct {
        const char *name;
        unsigned at;
        uint32_t value;
        unsigned leaks, damage;
    } rows[] = {
        {"good", 0, 0, 0, 0},
        {"copies differ, grain lost", GTE(2), 0, 1, 1},
        {"two grains at one place", GTE(2), DATA, 1, 2},
        {"past the end", GTE(2), 0x7fffffff, 1, 2},
        {"redundant table missing", RGD * 512, 0, 0, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b = build_hosted();
        struct err e = ERR_INIT;
        unsigned n[3] = {0};
        struct image *img;

        if (rows[i].at)
            put_patch(&b, rows[i].at, 4, rows[i].value);
        built_sector(&b, b.len / 512 + 3, 512); /* the half grain as a whole one */
        write_file("h.vmdk", b.file, b.len);
        img = open_chain("h.vmdk", &e);
        assert_ok(img, &e);
        assert_ok(driver_vmdk.check(img, count_findings, n, &e), &e);
        if (n[CHECK_LEAK] != rows[i].leaks || n[CHECK_DAMAGE] != rows[i].damage)
            fail_msg("%s: %u leaks, %u damages", rows[i].name, n[CHECK_LEAK], n[CHECK_DAMAGE]);
        image_free(img);
        built_free(&b);
    }
}

/* A descriptor with holes, flat extents at offsets, and a sparse one that is used in part. */
static void test_extents(void **state)
{
    struct built b = build_hosted();
    size_t size = (10 + 20 + 5 + 200 + 7) * 512;
    uint8_t *model = calloc(1, size), flat[64 * 512];
    struct err e = ERR_INIT;
    struct image *img;
    uint64_t seed = 5;

    (void)state;
    for (size_t i = 0; i < sizeof(flat); i++)
        flat[i] = (uint8_t)test_random(&seed);
    write_file("a b.img", flat, sizeof(flat));
    write_file("s.vmdk", b.file, b.len);
    put_text("m.vmdk",
             "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
             "createType=\"custom\"\nRW 10 FLAT \"a b.img\" 3\nRW 20 FLAT \"a b.img\" 13\n"
             "RW 5 ZERO\nRW 200 SPARSE \"s.vmdk\"\nRDONLY 7 FLAT \"./a b.img\"\n");
    memcpy(model, flat + 3 * 512, 30 * 512);
    memcpy(model + 35 * 512, b.model, 200 * 512);
    memcpy(model + 235 * 512, flat, 7 * 512);
    img = open_chain("m.vmdk", &e);
    assert_ok(img, &e);
    assert_ok(reads_as(img, model, size, size, &e), &e);
    assert_ok(reads_as(img, model, size, 777, &e), &e);
    assert_string_equal(img->facts.identity, "00000001");
    image_free(img);
    free(model);
    built_free(&b);
}

#define DISK(lines) "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n" lines

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        enum err_kind kind;
        const char *says;
    } rows[] = {
        {DISK("RW 4 FLAT \"/etc/passwd\" 0\n"), ERR_GATE, "passwd"},
        {DISK("RW 4 FLAT \"../../../../../../etc/passwd\" 0\n"), ERR_GATE, "passwd"},
        {DISK("RW 1 FLAT \"link.img\" 0\n"), ERR_GATE, "link.img"},
        {DISK("RW 1 SPARSE \"link.img\"\n"), ERR_GATE, "link.img"},
        {DISK("RW 1 FLAT \"nbd://localhost/x\" 0\n"), ERR_GATE, "nbd"},
        {DISK("RW 1 FLAT \"gone.img\" 0\n"), ERR_FORMAT, "gone.img"},
        {DISK("RW 9 FLAT \"small.img\" 0\n"), ERR_FORMAT, "cut short"},
        {DISK("RW 1 FLAT \"small.img\" 9\n"), ERR_FORMAT, "cut short"},
        {DISK("RW 1 FLAT \"small.img\" 36028797018963967\n"), ERR_FORMAT, "begins at sector"},
        {DISK("RW 1 SPARSE \"small.img\"\n"), ERR_FORMAT, "no header of a sparse extent"},
        {DISK("RW 0 FLAT \"small.img\"\n"), ERR_FORMAT, "no sectors"},
        {DISK("RW 301 SPARSE \"s.vmdk\"\n"), ERR_FORMAT, "300"},
        {DISK("RW 137438953473 ZERO\n"), ERR_FORMAT, "64 TiB"},
        {DISK("RW 137438953472 ZERO\nRW 1 ZERO\n"), ERR_FORMAT, "64 TiB"},
        {DISK("RW 4 VMFSRDM \"x-rdm.vmdk\"\n"), ERR_UNSUPPORTED, "raw device mapping"},
        {DISK("RW 4 FLAT \"\\\\.\\PhysicalDrive0\" 0\n"), ERR_UNSUPPORTED, "Windows host"},
        {DISK("NOACCESS 1 FLAT \"small.img\" 0\n"), ERR_UNSUPPORTED, "NOACCESS"},
        {DISK(""), ERR_FORMAT, "no extents"},
        {"# Disk DescriptorFile\nCID=1\nparentCID=2\nRW 1 ZERO\n", ERR_FORMAT, "does not name"},
        {"# Disk DescriptorFile\nCID=1\nparentFileNameHint=\"x\"\nRW 1 ZERO\n", ERR_FORMAT,
         "without its content id"},
    };
    struct built b = build_hosted();

    (void)state;
    write_file("s.vmdk", b.file, b.len);
    write_file("small.img", b.model, 1024);
    unlink(in_dir("link.img"));
    assert_int_equal(symlink("/etc/passwd", in_dir("link.img")), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = ERR_INIT;
        struct image *img;

        put_text("r.vmdk", rows[i].text);
        img = open_chain("r.vmdk", &e);
        if (img || e.kind != rows[i].kind || !strstr(e.text, rows[i].says))
            fail_msg("%s: %s '%s'", rows[i].text, err_kind_name(e.kind), e.text);
    }
    built_free(&b);
}

/* Capacity 0: the sparse file only holds the descriptor. */
static void test_holder(void **state)
{
    struct built b = build_hosted();
    struct err e = ERR_INIT;
    uint8_t model[512] = {0};
    struct image *img;

    (void)state;
    put_patch(&b, 12, 8, 0);
    memset(b.file + DESC * 512, 0, 2048);
    memcpy(b.file + DESC * 512, DISK("RW 1 ZERO\n"), sizeof(DISK("RW 1 ZERO\n")));
    write_file("h.vmdk", b.file, b.len);
    img = open_chain("h.vmdk", &e);
    assert_ok(img, &e);
    assert_ok(reads_as(img, model, sizeof(model), 512, &e), &e);
    image_free(img);
    built_free(&b);
}

/* A bare extent without descriptor, and one with the empty room that some writers leave. */
static void test_bare(void **state)
{
    (void)state;
    for (unsigned empty = 0; empty < 2; empty++) {
        struct built b = build_hosted();
        struct err e = ERR_INIT;
        struct image *img;
        struct parent_ref ref = {0};

        memset(b.file + DESC * 512, 0, 2048);
        if (!empty) {
            put_patch(&b, 28, 8, 0);
            put_patch(&b, 36, 8, 0);
        }
        write_file("h.vmdk", b.file, b.len);
        img = open_chain("h.vmdk", &e);
        assert_ok(img, &e);
        assert_ok(reads_as(img, b.model, b.size, b.size, &e), &e);
        assert_null(img->facts.identity);
        assert_ok(driver_vmdk.parent(img, &ref, &e), &e);
        assert_null(ref.name);
        image_free(img);
        built_free(&b);
    }
}

/* Two tables that share bytes, in one directory or in both. */
static void test_overlap(void **state)
{
    (void)state;
    for (unsigned both = 0; both < 2; both++) {
        struct built b = built_new(64 << 10, 4 << 20);
        struct vmdk_header h = {.version = 1,
                                .flags = 3,
                                .capacity = (4 << 20) / 512,
                                .grain = 8,
                                .gtes = 512,
                                .rgd = 1,
                                .gd = 10,
                                .overhead = 19};
        struct err e = ERR_INIT;
        struct image *img;

        vmdk_header_pack(&h, built_sector(&b, 0, 512));
        put_le32(built_sector(&b, 1, 512), 2);
        put_le32(built_sector(&b, 1, 512) + 4, both ? 2 : 6);
        put_le32(built_sector(&b, 10, 512), 11);
        put_le32(built_sector(&b, 10, 512) + 4, 12);
        built_sector(&b, 18, 512);
        write_file("o.vmdk", b.file, b.len);
        img = open_chain("o.vmdk", &e);
        if (both)
            assert_true(!img && strstr(e.text, "grain tables overlap"));
        else
            assert_ok(img && reads_as(img, b.model, b.size, b.size, &e), &e);
        image_free(img);
        built_free(&b);
    }
}

/* Opening reads headers only: 2 TiB hosted, 64 TiB seSparse, both nearly empty. */
static void test_large(void **state)
{
    struct vmdk_header h = {.version = 1,
                            .flags = 1,
                            .capacity = (UINT64_C(2) << 40) / 512 - 4096,
                            .grain = 128,
                            .gtes = 512,
                            .gd = 1,
                            .overhead = 128};
    struct vmdk_sesparse s = {.version = UINT64_C(0x200000001),
                              .capacity = (UINT64_C(64) << 40) / 512,
                              .grain = 8,
                              .table = 64,
                              .volatile_at = 1,
                              .gd = 8,
                              .gd_len = 65536,
                              .tables = 1 << 20,
                              .tables_len = 1 << 28,
                              .grains = 1 << 29};
    uint8_t head[1024] = {0};
    struct err e = ERR_INIT;
    struct image *img;
    struct extent x;

    (void)state;
    vmdk_header_pack(&h, head);
    write_file("big.vmdk", head, 512);
    assert_int_equal(truncate(in_dir("big.vmdk"), 1 << 30), 0);
    img = open_chain("big.vmdk", &e);
    assert_ok(img, &e);
    assert_ok(image_map(img, img->size - 4096, 4096, &x, &e), &e);
    assert_int_equal(x.kind, EXTENT_ZERO);
    image_free(img);
    vmdk_sesparse_pack(&s, head);
    put_le64(head + 512, 0xcafecafe);
    write_file("big.vmdk", head, 1024);
    assert_int_equal(truncate(in_dir("big.vmdk"), UINT64_C(1) << 38), 0);
    img = open_chain("big.vmdk", &e);
    assert_ok(img, &e);
    assert_int_equal(img->size, UINT64_C(64) << 40);
    assert_ok(image_map(img, img->size / 2, img->size / 2, &x, &e), &e);
    assert_int_equal(x.kind, EXTENT_ZERO);
    image_free(img);
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
        cmocka_unit_test(test_hosted),  cmocka_unit_test(test_map),
        cmocka_unit_test(test_check),   cmocka_unit_test(test_extents),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_holder),
        cmocka_unit_test(test_bare),    cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_large),
    };

    return cmocka_run_group_tests(tests, NULL, clean_up);
}
