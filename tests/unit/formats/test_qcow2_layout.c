/* label: quick
 *
 * The pure functions under the qcow2 driver: what each on-disk structure means, and that packing
 * and unpacking are inverse. */
#include "qcow2/layout.h"

#include "test.h"

static struct qcow2_geometry geometry(uint32_t version, uint32_t cluster_bits, bool extended)
{
    struct qcow2_header h = {.version = version,
                             .cluster_bits = cluster_bits,
                             .incompatible = extended ? QCOW2_INCOMPAT_EXTENDED_L2 : 0};
    struct qcow2_geometry g;

    qcow2_geometry_set(&g, &h);
    return g;
}

struct entry_case {
    const char *label;
    uint32_t version, cluster_bits;
    bool extended;
    uint64_t word, bitmap;
    uint32_t skip;
    enum err_kind error;
    struct qcow2_piece want;
};

#define COPIED QCOW2_COPIED
static const struct entry_case entries[] = {
    {"nothing", 3, 16, false, 0, 0, 512, 0, {QCOW2_ABSENT, 65024, 0, 0}},
    {"data", 3, 16, false, COPIED | 0x50000, 0, 4096, 0, {QCOW2_DATA, 61440, 0x50000, 0}},
    {"shared data", 3, 16, false, 0x50000, 0, 0, 0, {QCOW2_DATA, 65536, 0x50000, 0}},
    {"zero", 3, 16, false, 1, 0, 0, 0, {QCOW2_ZERO, 65536, 0, 0}},
    {"zero with a place", 3, 16, false, COPIED | 0x50001, 0, 0, 0, {QCOW2_ZERO, 65536, 0x50000, 0}},
    {"zero in version 2", 2, 16, false, 1, 0, 0, ERR_FORMAT, {0}},
    {"unaligned", 3, 16, false, COPIED | 0x50200, 0, 0, ERR_FORMAT, {0}},
    {"unaligned zero", 3, 16, false, COPIED | 0x50201, 0, 0, ERR_FORMAT, {0}},
    {"reserved low bit", 3, 16, false, COPIED | 0x50002, 0, 0, ERR_FORMAT, {0}},
    {"reserved high bit", 3, 16, false, UINT64_C(1) << 56 | 0x50000, 0, 0, ERR_FORMAT, {0}},
    {"512-byte clusters", 3, 9, false, COPIED | 0x200, 0, 511, 0, {QCOW2_DATA, 1, 0x200, 0}},
    {"compressed, one sector",
     3,
     16,
     false,
     QCOW2_COMPRESSED | 0x50010,
     0,
     0,
     0,
     {QCOW2_CODED, 65536, 0x50010, 496}},
    {"compressed, three",
     3,
     16,
     false,
     QCOW2_COMPRESSED | UINT64_C(2) << 54 | 0x50000,
     0,
     512,
     0,
     {QCOW2_CODED, 65024, 0x50000, 1536}},
    {"compressed, 512",
     3,
     9,
     false,
     QCOW2_COMPRESSED | UINT64_C(1) << 61 | 0x3ff,
     0,
     0,
     0,
     {QCOW2_CODED, 512, 0x3ff, 513}},
    {"subclusters, data",
     3,
     16,
     true,
     COPIED | 0x50000,
     0x0000000f,
     1024,
     0,
     {QCOW2_DATA, 7168, 0x50000, 0}},
    {"subclusters, nothing",
     3,
     16,
     true,
     COPIED | 0x50000,
     0x0000000f,
     8192,
     0,
     {QCOW2_ABSENT, 57344, 0x50000, 0}},
    {"subclusters, zero", 3, 16, true, 0, UINT64_C(0xf0) << 32, 8192, 0, {QCOW2_ZERO, 8192, 0, 0}},
    {"subclusters, nothing before zero",
     3,
     16,
     true,
     0,
     UINT64_C(0xf0) << 32,
     0,
     0,
     {QCOW2_ABSENT, 8192, 0, 0}},
    {"subclusters, all",
     3,
     16,
     true,
     COPIED | 0x50000,
     0xffffffff,
     65535,
     0,
     {QCOW2_DATA, 1, 0x50000, 0}},
    {"subclusters, both", 3, 16, true, COPIED | 0x50000, UINT64_C(1) << 32 | 1, 0, ERR_FORMAT, {0}},
    {"subclusters without a place", 3, 16, true, 0, 1, 0, ERR_FORMAT, {0}},
    {"subclusters, zero flag", 3, 16, true, 1, 0, 0, ERR_FORMAT, {0}},
    {"compressed with subclusters", 3, 16, true, QCOW2_COMPRESSED | 0x50000, 1, 0, ERR_FORMAT, {0}},
};

static void entry(void **state)
{
    const struct entry_case *c = *state;
    struct qcow2_geometry g = geometry(c->version, c->cluster_bits, c->extended);
    struct qcow2_piece got;
    struct err e = ERR_INIT;
    uint8_t bytes[16];
    bool ok;

    put_be64(bytes, c->word);
    put_be64(bytes + 8, c->bitmap);
    ok = qcow2_entry_unpack(&g, bytes, c->skip, &got, &e);
    assert_int_equal(e.kind, c->error);
    assert_int_equal(ok, !c->error);
    if (!ok)
        return;
    assert_int_equal(got.kind, c->want.kind);
    assert_int_equal(got.len, c->want.len);
    assert_int_equal(got.host, c->want.host);
    assert_int_equal(got.stored, c->want.stored);
}

static void coded_round_trip(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint32_t bits = 9 + (uint32_t)(test_random(&seed) % 13);
        struct qcow2_geometry g = geometry(3, bits, false);
        uint32_t stored = 1 + (uint32_t)(test_random(&seed) % (g.cluster_size - 1));
        uint64_t pos = test_random(&seed) >> 16, word;
        struct qcow2_piece got;
        struct err e = ERR_INIT;
        uint8_t bytes[8];

        assert_true(qcow2_coded_pack(&g, pos, stored, &word));
        put_be64(bytes, word);
        assert_ok(qcow2_entry_unpack(&g, bytes, 0, &got, &e), &e);
        assert_int_equal(got.kind, QCOW2_CODED);
        assert_int_equal(got.host, pos);
        assert_in_range(got.stored, stored, stored + 511);
    }
}

static void coded_out_of_reach(void **state)
{
    struct qcow2_geometry g = geometry(3, 21, false);
    uint64_t word;

    (void)state;
    assert_true(qcow2_coded_pack(&g, (UINT64_C(1) << 49) - 1, 100, &word));
    assert_false(qcow2_coded_pack(&g, UINT64_C(1) << 49, 100, &word));
    assert_false(qcow2_coded_pack(&g, 0, (4u << 20) + 1, &word));
}

static void refcounts(void **state)
{
    uint8_t block[64], want[64];
    uint64_t seed = 7;

    (void)state;
    for (uint32_t order = 0; order <= 6; order++) {
        uint64_t n = sizeof(block) * 8 >> order, values[512];

        memset(block, 0xff, sizeof(block));
        for (uint64_t i = 0; i < n; i++) {
            values[i] = test_random(&seed) & qcow2_refcount_max(order);
            qcow2_refcount_set(block, order, i, values[i]);
        }
        for (uint64_t i = 0; i < n; i++)
            assert_int_equal(qcow2_refcount_get(block, order, i), values[i]);
    }
    memset(want, 0, sizeof(want));
    memset(block, 0, sizeof(block));
    qcow2_refcount_set(block, 0, 9, 1); /* narrow counters fill a byte from its lowest bit */
    want[1] = 2;
    assert_memory_equal(block, want, sizeof(block));
}

static struct qcow2_header sane(void)
{
    return (struct qcow2_header){
        .version = 3,
        .cluster_bits = 16,
        .size = 10 << 20,
        .l1_entries = 1,
        .l1_pos = 0x30000,
        .reftable_pos = 0x10000,
        .reftable_clusters = 1,
        .refcount_order = 4,
        .length = 112,
    };
}

static void header_round_trip(void **state)
{
    struct qcow2_header h = sane(), got;
    uint8_t bytes[112], again[112];
    struct err e = ERR_INIT;

    (void)state;
    h.backing_pos = 500;
    h.backing_len = 7;
    h.snapshots = 2;
    h.snapshots_pos = 0x70000;
    h.incompatible = QCOW2_INCOMPAT_COMPRESSION | QCOW2_INCOMPAT_DIRTY | UINT64_C(1) << 60;
    h.compatible = 1;
    h.autoclear = 2;
    h.compression = QCOW2_COMPRESSION_ZSTD;
    qcow2_header_pack(&h, bytes);
    assert_ok(qcow2_header_unpack(bytes, sizeof(bytes), &got, &e), &e);
    qcow2_header_pack(&got, again);
    assert_memory_equal(bytes, again, sizeof(bytes));
    assert_int_equal(got.backing_pos, 500);
    assert_int_equal(got.snapshots_pos, 0x70000);
    assert_int_equal(got.incompatible, h.incompatible);
    assert_int_equal(got.compression, QCOW2_COMPRESSION_ZSTD);
}

struct poke_case {
    const char *label;
    size_t at, width;
    uint64_t value;
    enum err_kind error;
};

static const struct poke_case pokes[] = {
    {"magic", 0, 4, 0x514649fa, ERR_FORMAT},
    {"version 1", 4, 4, 1, ERR_UNSUPPORTED},
    {"version 4", 4, 4, 4, ERR_UNSUPPORTED},
    {"backing name in the header", 8, 8, 16, ERR_FORMAT},
    {"backing name behind the cluster", 8, 8, 65537, ERR_FORMAT},
    {"clusters of 256 bytes", 20, 4, 8, ERR_FORMAT},
    {"clusters of 4 MiB", 20, 4, 22, ERR_FORMAT},
    {"shift out of range", 20, 4, 0xffffffff, ERR_FORMAT},
    {"size beyond the L1 table", 24, 8, UINT64_C(1) << 40, ERR_FORMAT},
    {"size without end", 24, 8, UINT64_MAX, ERR_FORMAT},
    {"encryption method", 32, 4, 3, ERR_UNSUPPORTED},
    {"no L1 table", 36, 4, 0, ERR_FORMAT},
    {"huge L1 table", 36, 4, 0x400001, ERR_FORMAT},
    {"unaligned L1 table", 40, 8, 0x30200, ERR_FORMAT},
    {"L1 table at the end of all numbers", 40, 8, UINT64_MAX & ~UINT64_C(0xffff), ERR_FORMAT},
    {"unaligned refcount table", 48, 8, 1, ERR_FORMAT},
    {"no refcount table", 56, 4, 0, ERR_FORMAT},
    {"huge refcount table", 56, 4, 129, ERR_FORMAT},
    {"many snapshots", 60, 4, 65537, ERR_FORMAT},
    {"refcount order", 96, 4, 7, ERR_FORMAT},
    {"short header", 100, 4, 96, ERR_FORMAT},
    {"odd header length", 100, 4, 108, ERR_FORMAT},
    {"long header", 100, 4, 65544, ERR_FORMAT},
    {"compression type without its bit", 104, 1, 1, ERR_FORMAT},
    {"unknown compression", 104, 1, 2, ERR_UNSUPPORTED},
    {"compression bit without a type", 72, 8, 8, ERR_FORMAT},
};

static void poke(void **state)
{
    const struct poke_case *c = *state;
    struct qcow2_header h = sane(), got;
    struct err e = ERR_INIT;
    uint8_t bytes[112], value[8];

    qcow2_header_pack(&h, bytes);
    put_be64(value, c->value);
    memcpy(bytes + c->at, value + 8 - c->width, c->width);
    assert_false(qcow2_header_unpack(bytes, sizeof(bytes), &got, &e));
    assert_int_equal(e.kind, c->error);
}

static void extensions(void **state)
{
    uint8_t area[64] = {0};
    struct qcow2_extension x;
    struct err e = ERR_INIT;
    size_t len = 0, pos = 0;

    (void)state;
    len += qcow2_extension_pack(area, 0x1234, "abc", 3);
    assert_int_equal(len, 16);
    len += qcow2_extension_pack(area + len, QCOW2_EXT_END, NULL, 0);
    assert_ok(qcow2_extension_next(area, len, &pos, &x, &e), &e);
    assert_int_equal(x.type, 0x1234);
    assert_int_equal(x.len, 3);
    assert_memory_equal(x.data, "abc", 3);
    assert_ok(qcow2_extension_next(area, len, &pos, &x, &e), &e);
    assert_int_equal(x.type, QCOW2_EXT_END);
    pos = 0;
    assert_false(qcow2_extension_next(area, 10, &pos, &x, &e));
    assert_int_equal(e.kind, ERR_FORMAT);
    err_clear(&e);
    pos = 16; /* the list ends with its area */
    assert_ok(qcow2_extension_next(area, 16, &pos, &x, &e), &e);
    assert_int_equal(x.type, QCOW2_EXT_END);
}

int main(void)
{
    static const struct CMUnitTest plain[] = {
        cmocka_unit_test(coded_round_trip), cmocka_unit_test(coded_out_of_reach),
        cmocka_unit_test(refcounts),        cmocka_unit_test(header_round_trip),
        cmocka_unit_test(extensions),
    };
    struct CMUnitTest tests[ARRAY_LEN(entries) + ARRAY_LEN(pokes) + ARRAY_LEN(plain)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        tests[n++] = (struct CMUnitTest){entries[i].label, entry, NULL, NULL, (void *)&entries[i]};
    for (size_t i = 0; i < ARRAY_LEN(pokes); i++)
        tests[n++] = (struct CMUnitTest){pokes[i].label, poke, NULL, NULL, (void *)&pokes[i]};
    memcpy(tests + n, plain, sizeof(plain));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
