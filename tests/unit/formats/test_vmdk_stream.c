/* Reading streams as different writers leave them: with and without footer, padded, without tables,
 * cut short, with the directory in front, without markers; and the grain codec.
 * label: quick */
#include "vmdk_build.h"

#include "codec.h"
#include "vmdk/vmdk.h"

enum { GRAIN = 64 << 10, GRAINS = 1030, FIRST = 128, HALF = 512 * 3 };
enum { SIZE = (GRAINS - 1) * GRAIN + HALF }; /* three tables; the last grain is a short one */

/* How a stream ends. */
enum ending { END_FOOTER, END_NO_FOOTER, END_NO_DIRECTORY, END_NOTHING };

struct stream {
    struct built b;
    uint64_t next;   /* sector */
    uint64_t footer; /* sector of the footer marker */
    uint64_t grains[GRAINS], gts[3], gd;
};

static const unsigned written[] = {0, 1, 3, 511, 513, 900, 1029};

static void add_marker(struct stream *s, uint64_t value, uint32_t type)
{
    struct vmdk_marker m = {.value = value, .type = type};

    vmdk_marker_pack(&m, built_sector(&s->b, s->next++, 512));
}

static void add_grain(struct stream *s, struct codec_state *codecs, unsigned number)
{
    uint8_t data[GRAIN], *to = built_sector(&s->b, s->next, GRAIN * 2);
    uint64_t seed = number + 1;
    size_t len, real = MIN((size_t)GRAIN, (size_t)SIZE - (size_t)number * GRAIN);

    for (size_t i = 0; i < GRAIN; i++) /* odd ones do not compress */
        data[i] = (uint8_t)(i >= real ? 0 : number % 2 ? test_random(&seed) : i >> 8);
    memcpy(s->b.model + (size_t)number * GRAIN, data, real);
    len = codec_grain.encode(codecs, (uint64_t)number * GRAIN, data, GRAIN, to, GRAIN * 2, 6);
    assert_true(len && len % 512 == 0);
    s->grains[number] = s->next;
    s->next += len / 512;
}

static void add_tables(struct stream *s)
{
    for (unsigned t = 0; t < 3; t++) {
        uint8_t *gt;

        add_marker(s, 4, VMDK_MARKER_GT);
        s->gts[t] = s->next;
        gt = built_sector(&s->b, s->next, 2048);
        for (unsigned i = 0; i < 512 && t * 512 + i < GRAINS; i++)
            put_le32(gt + i * 4, (uint32_t)s->grains[t * 512 + i]);
        s->next += 4;
    }
}

static struct vmdk_header header_of(uint32_t flags, uint64_t gd)
{
    return (struct vmdk_header){.version = 3,
                                .flags = flags,
                                .capacity = SIZE / 512,
                                .grain = 128,
                                .gtes = 512,
                                .gd = gd,
                                .overhead = FIRST,
                                .compress = 1};
}

static struct stream build_stream(enum ending ending)
{
    struct stream s = {.b = built_new(4 << 20, SIZE), .next = FIRST};
    struct vmdk_header h = header_of(0x30001, VMDK_GD_AT_END);
    struct err e = ERR_INIT;
    struct codec_state *codecs = codec_state_new(&e);

    assert_ok(codecs, &e);
    vmdk_header_pack(&h, built_sector(&s.b, 0, 512));
    for (size_t i = 0; i < ARRAY_LEN(written); i++)
        add_grain(&s, codecs, written[i]);
    codec_state_free(codecs);
    if (ending <= END_NO_FOOTER) {
        add_tables(&s);
        add_marker(&s, 1, VMDK_MARKER_GD);
        s.gd = s.next;
        for (unsigned t = 0; t < 3; t++)
            put_le32(built_sector(&s.b, s.next, 512) + t * 4, (uint32_t)s.gts[t]);
        s.next++;
    }
    s.footer = s.next;
    if (ending == END_FOOTER) {
        add_marker(&s, 1, VMDK_MARKER_FOOTER);
        h.gd = s.gd;
        vmdk_header_pack(&h, built_sector(&s.b, s.next++, 512));
    }
    if (ending != END_NOTHING)
        built_sector(&s.b, s.next++, 512);
    s.b.len = s.next * 512;
    return s;
}

static void expect(const char *what, const struct stream *s, size_t len, const char *says)
{
    struct err e = ERR_INIT;
    struct image *img;
    bool ok;

    write_file("s.vmdk", s->b.file, len);
    img = open_chain("s.vmdk", &e);
    ok = img && reads_as(img, s->b.model, s->b.size, 1 << 20, &e) &&
         reads_as(img, s->b.model, s->b.size, 77777, &e);
    image_free(img);
    if (ok ? says != NULL : !says || !strstr(e.text, says) || e.kind != ERR_FORMAT)
        fail_msg("%s: %s '%s'", what, err_kind_name(e.kind), e.text);
}

static void test_endings(void **state)
{
    static const struct {
        const char *name;
        enum ending ending;
        long longer; /* than the stream, in bytes */
        const char *says;
    } rows[] = {
        {"footer", END_FOOTER, 0, NULL},
        {"padded to 10 KiB", END_FOOTER, 10240, NULL},
        {"padded, not to a sector", END_FOOTER, 100, NULL},
        {"end of stream missing", END_FOOTER, -512, NULL},
        {"footer cut in the middle", END_FOOTER, -600, "cut short"},
        {"footer missing", END_NO_FOOTER, 0, NULL},
        {"footer missing, padded", END_NO_FOOTER, 4096, NULL},
        {"footer and end missing", END_NO_FOOTER, -512, NULL},
        {"directory missing", END_NO_DIRECTORY, 0, NULL},
        {"directory missing, padded", END_NO_DIRECTORY, 4096, "cut short"},
        {"stops after a grain", END_NOTHING, 0, "cut short"},
        {"stops in a grain", END_NOTHING, -1024, "cut short"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct stream s = build_stream(rows[i].ending);

        expect(rows[i].name, &s, s.b.len + (size_t)rows[i].longer, rows[i].says);
        built_free(&s.b);
    }
}

/* More padding than is searched quickly: the markers are followed. */
static void test_far_padding(void **state)
{
    struct stream s = build_stream(END_FOOTER);
    struct built big = built_new(12 << 20, 1);

    (void)state;
    memcpy(big.file, s.b.file, s.b.len);
    free(s.b.file);
    s.b.file = TAKE(big.file);
    expect("far padding", &s, 12 << 20, NULL);
    built_free(&big);
    built_free(&s.b);
}

static void test_directory_in_front(void **state)
{
    struct stream s = build_stream(END_FOOTER);
    struct vmdk_header h = header_of(0x30001, s.gd);

    (void)state;
    vmdk_header_pack(&h, s.b.file);
    expect("directory known to the header", &s, s.b.len, NULL);
    built_free(&s.b);
}

static void test_damage(void **state)
{
    static const struct {
        const char *name;
        enum ending ending;
        long at; /* negative: from the footer marker on, minus 1 */
        uint8_t byte;
        const char *says;
    } rows[] = {
        {"LBA of a grain", END_FOOTER, FIRST * 512, 8, "marker says sector"},
        {"length of a grain 0", END_FOOTER, FIRST * 512 + 8, 0, "compressed data"},
        {"length of a grain huge", END_FOOTER, FIRST * 512 + 11, 0x7f, "compressed data"},
        {"zlib header", END_FOOTER, FIRST * 512 + 12, 0xff, "damaged"},
        {"LBA when scanning", END_NO_DIRECTORY, FIRST * 512, 8, "cut short or damaged"},
        {"LBA past the end when scanning", END_NO_DIRECTORY, FIRST * 512 + 4, 8, "cut short"},
        {"length when scanning", END_NO_DIRECTORY, FIRST * 512 + 11, 0x7f, "cut short"},
        {"footer of another size", END_FOOTER, -1 - 512 - 12, 0x77, "another disk"},
        {"footer's directory behind it", END_FOOTER, -1 - 512 - 59, 0x77, "behind itself"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct stream s = build_stream(rows[i].ending);
        size_t at = rows[i].at < 0 ? (size_t)(s.footer * 512 - (uint64_t)(rows[i].at + 1))
                                   : (size_t)rows[i].at;

        s.b.file[at] = rows[i].byte;
        expect(rows[i].name, &s, s.b.len, rows[i].says);
        built_free(&s.b);
    }
}

/* A stream as one extent of a larger disk: its markers count from the extent. */
static void test_in_larger_disk(void **state)
{
    static const char text[] = "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\n"
                               "RW 128 ZERO\nRW 131715 SPARSE \"s.vmdk\"\n";
    struct stream s = build_stream(END_FOOTER);
    uint8_t *model = calloc(1, GRAIN + SIZE);
    struct err e = ERR_INIT;
    struct image *img;

    (void)state;
    assert_int_equal(SIZE / 512, 131715);
    memcpy(model + GRAIN, s.b.model, SIZE);
    write_file("s.vmdk", s.b.file, s.b.len);
    write_file("l.vmdk", text, strlen(text));
    img = open_chain("l.vmdk", &e);
    assert_ok(img, &e);
    assert_ok(reads_as(img, model, GRAIN + SIZE, 1 << 20, &e), &e);
    image_free(img);
    s.b.file[FIRST * 512]++;
    write_file("s.vmdk", s.b.file, s.b.len);
    img = open_chain("l.vmdk", &e);
    assert_ok(img, &e);
    assert_false(reads_as(img, model, GRAIN + SIZE, 1 << 20, &e));
    assert_non_null(strstr(e.text, "belongs to sector"));
    image_free(img);
    free(model);
    built_free(&s.b);
}

/* Compressed grains without markers: a length in front, or nothing. */
static void test_bare_grains(void **state)
{
    (void)state;
    for (unsigned prefix = 0; prefix < 2; prefix++) {
        struct built b = built_new(1 << 20, GRAIN);
        struct vmdk_header h = {.version = 3,
                                .flags = 0x10001,
                                .capacity = 128,
                                .grain = 128,
                                .gtes = 512,
                                .gd = 1,
                                .overhead = 16,
                                .compress = 1};
        struct err e = ERR_INIT;
        struct codec_state *codecs = codec_state_new(&e);
        struct image *img;
        uint8_t *to = built_sector(&b, 16, GRAIN * 2);
        size_t len;

        for (size_t i = 0; i < GRAIN; i++)
            b.model[i] = (uint8_t)(i / 100);
        vmdk_header_pack(&h, built_sector(&b, 0, 512));
        put_le32(built_sector(&b, 1, 512), 2);
        put_le32(built_sector(&b, 2, 2048), 16);
        len = codec_zlib.encode(codecs, 0, b.model, GRAIN, to + prefix * 4, GRAIN, 6);
        if (prefix)
            put_le32(to, (uint32_t)len);
        write_file("b.vmdk", b.file, 16 * 512 + prefix * 4 + len);
        img = open_chain("b.vmdk", &e);
        assert_ok(img, &e);
        assert_ok(reads_as(img, b.model, GRAIN, GRAIN, &e), &e);
        image_free(img);
        codec_state_free(codecs);
        built_free(&b);
    }
}

static void test_codec(void **state)
{
    enum { LEN = 64 << 10 };
    uint8_t *in = malloc(LEN), *out = malloc(LEN * 2), *back = malloc(LEN);
    struct err e = ERR_INIT;
    struct codec_state *s = codec_state_new(&e);
    uint64_t seed = 3;

    (void)state;
    for (int level = codec_grain.level_min; level <= codec_grain.level_max; level++) {
        for (unsigned noise = 0; noise < 2; noise++) {
            size_t n, bound = codec_grain.bound(LEN);

            for (size_t i = 0; i < LEN; i++)
                in[i] = (uint8_t)(noise ? test_random(&seed) : i / 7);
            n = codec_grain.encode(s, 640 << 10, in, LEN, out, bound, level);
            assert_true(n && n % 512 == 0 && n <= bound && n < IMAGE_STORED_MAX);
            assert_int_equal(get_le64(out), 1280);
            assert_ok(codec_grain.decode(s, 640 << 10, out, n, back, LEN, &e), &e);
            assert_memory_equal(in, back, LEN);
            assert_ok(codec_grain.decode(s, 640 << 10, out, n, back, 1000, &e), &e);
            assert_false(codec_grain.decode(s, 0, out, n, back, LEN, &e));
            err_clear(&e);
            assert_false(codec_grain.decode(s, 640 << 10, out, 11, back, LEN, &e));
            err_clear(&e);
            assert_int_equal(codec_grain.encode(s, 0, in, LEN, out, noise ? LEN : 12, level), 0);
        }
    }
    codec_state_free(s);
    free(in);
    free(out);
    free(back);
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
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_far_padding),
        cmocka_unit_test(test_directory_in_front),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_in_larger_disk),
        cmocka_unit_test(test_bare_grains),
        cmocka_unit_test(test_codec),
    };

    return cmocka_run_group_tests(tests, NULL, clean_up);
}
