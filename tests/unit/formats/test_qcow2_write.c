/* label: quick
 *
 * Writing qcow2. A small sink carries out what place and the queue say; the file that comes out is
 * read back through map, checked by the driver, and handed to qemu-img check and compare. */
#include "qcow2_peer.h"

#include "bytes.h"
#include "codec.h"
#include "fault.h"

#include <fcntl.h>

struct sink {
    struct target *t;
    struct io *io;
    struct codec_state *codecs;
    uint8_t *coded;
    int raw; /* what the guest must see, as a raw file */
};

static void drain(struct sink *s)
{
    struct err e = ERR_INIT;

    for (size_t i = 0; i < s->t->queue.count; i++) {
        struct target_write *w = &s->t->queue.items[i];

        assert_ok(io_write(s->io, w->pos, w->data, w->len, &e), &e);
        free(w->data);
    }
    s->t->queue.count = 0;
}

static void sink_open(struct sink *s, const char *name, uint64_t size, const char *const *texts,
                      const struct parent_ref *parent)
{
    struct err e = ERR_INIT;
    void *o = qcow2_options(texts);
    struct target_options options = {
        .driver = &driver_qcow2, .options = o, .name = name, .size = size, .parent = parent};

    *s = (struct sink){0};
    s->t = target_new(&options, &e);
    assert_ok(s->t, &e);
    opt_release(driver_qcow2.options, o);
    free(o);
    unlink(in_dir("%s", name));
    s->io = file_open(in_dir("%s", name), FILE_WRITE | FILE_CREATE, &e);
    assert_ok(s->io, &e);
    if (s->t->coder) {
        s->codecs = codec_state_new(&e);
        s->coded = malloc(s->t->coder->bound(s->t->coded_unit));
        assert_non_null(s->coded);
    }
    s->raw = open(in_dir("%s.raw", name), O_RDWR | O_CREAT, 0600);
    assert_true(s->raw >= 0);
    if (!parent)
        assert_int_equal(ftruncate(s->raw, 0), 0);
    assert_int_equal(ftruncate(s->raw, (off_t)s->t->size), 0);
    drain(s);
}

/* One place, all its answers; `data` is what goes there, if anything. */
static void sink_place(struct sink *s, struct place p, const uint8_t *data)
{
    static uint8_t zeroes[1 << 20];
    struct err e = ERR_INIT;
    struct placed at;

    while (p.len) {
        assert_ok(target_place(s->t, &p, &at, &e), &e);
        drain(s);
        if (at.stored && data)
            assert_ok(io_write(s->io, at.pos, data, p.kind == PLACE_CODED ? p.stored : at.len, &e),
                      &e);
        for (uint64_t done = 0; at.stored && !data && !s->t->preallocated && done < at.len;) {
            size_t n = MIN(at.len - done, sizeof(zeroes));

            assert_ok(io_write(s->io, at.pos + done, zeroes, n, &e), &e);
            done += n;
        }
        p.at += at.len;
        p.len -= at.len;
        data += data ? at.len : 0;
    }
}

static void sink_data(struct sink *s, uint64_t at, uint8_t *data, uint64_t len)
{
    uint64_t unit = s->t->coded_unit;

    assert_int_equal(pwrite(s->raw, data, len, (off_t)at), len);
    if (!s->t->coder) {
        sink_place(s, (struct place){.at = at, .len = len, .kind = PLACE_PLAIN}, data);
        return;
    }
    for (uint64_t done = 0; done < len; done += unit) {
        struct place p = {.at = at + done, .len = MIN(unit, len - done), .kind = PLACE_CODED};

        memset(data + done + p.len, 0, unit - p.len); /* the last unit is padded */
        p.stored = (uint32_t)s->t->coder->encode(s->codecs, p.at, data + done, unit, s->coded,
                                                 unit - 1, s->t->coder_level);
        if (!p.stored)
            p.kind = PLACE_PLAIN;
        sink_place(s, p, p.stored ? s->coded : data + done);
    }
}

static void sink_seal(struct sink *s)
{
    struct err e = ERR_INIT;

    assert_ok(target_seal(s->t, &e), &e);
    assert_true(s->t->queue.items[s->t->queue.count - 1].barrier);
    assert_int_equal(s->t->queue.items[s->t->queue.count - 1].pos, 0);
    drain(s);
    if (s->io->size < s->t->files.items[0].end)
        assert_ok(io_resize(s->io, s->t->files.items[0].end, &e), &e);
    assert_int_equal(s->io->size, target_measured(s->t));
    close(s->raw);
    io_free(s->io);
    codec_state_free(s->codecs);
    free(s->coded);
    target_free(s->t);
}

/* Random bytes, or text that gets 2 to 20 times smaller. */
static void fill(uint8_t *data, uint64_t len, uint64_t *seed)
{
    uint64_t choice = test_random(seed) % 3, repeat = 4 + test_random(seed) % 60;

    for (uint64_t i = 0; i < len; i++)
        data[i] = (uint8_t)(choice && i >= 64 && i % repeat ? data[i - repeat % 61 - 1]
                                                            : test_random(seed) | 1);
}

struct write_case {
    const char *label;
    const char *options[7];
    uint64_t size;
    uint64_t data; /* about so many bytes of it are data; 0: about half */
    bool parent;
};

static void zero_raw(const struct sink *s, uint64_t at, uint64_t len)
{
    static const uint8_t zeroes[1 << 16];

    for (uint64_t n; len; at += n, len -= n) {
        n = MIN(len, sizeof(zeroes));
        assert_int_equal(pwrite(s->raw, zeroes, n, (off_t)at), n);
    }
}

/* Alternates random stretches of data, zeroes and nothing. */
static void write_random(struct sink *s, const struct write_case *w)
{
    enum { STRETCH = 3 << 20 };
    uint64_t seed = 0x5eed + w->size, unit = s->t->unit, data = w->data ? w->data : w->size / 2;
    uint8_t *buf = malloc(STRETCH + (2 << 20));
    uint64_t stretches = w->data ? w->data / (STRETCH / 2) + 1 : 0, len;

    assert_non_null(buf);
    for (uint64_t at = 0; at < s->t->size; at += len) {
        /* 0 and 3 data (first of all), 1 zeroes, 2 nothing */
        uint64_t left = s->t->size - at, kind = at ? test_random(&seed) % 4 : 0;
        uint64_t most = kind % 3 && stretches ? s->t->size / stretches : STRETCH;

        len = round_up(
            1 + test_random(&seed) % (test_random(&seed) % 4 ? MIN(most, 20 * unit) : most), unit);
        if (stretches && kind % 3)
            len = round_up(1 + test_random(&seed) % most, unit);
        len = MIN(len, left);
        if (kind % 3 == 0 && data && len <= STRETCH) {
            fill(buf, len, &seed);
            sink_data(s, at, buf, len);
            data -= MIN(data, len);
        } else {
            if (kind == 1 && w->parent)
                zero_raw(s, at, len);
            sink_place(s, (struct place){at, len, kind == 1 ? PLACE_ZERO : PLACE_ABSENT, 0}, NULL);
        }
    }
    free(buf);
}

static void count_report(void *user, enum check_level level, const char *text)
{
    print_message("%d: %s\n", level, text);
    ++*(int *)user;
}

/* Reads the layer back; what it has no answer for must be the parent's. */
static void read_back(const char *name, uint64_t limit)
{
    struct err e = ERR_INIT;
    struct image *img = open_layer(in_dir("%s", name), NULL, &e);
    int raw = open(in_dir("%s.raw", name), O_RDONLY), reports = 0;
    struct codec_state *codecs = codec_state_new(&e);
    static uint8_t got[2 << 20], want[2 << 20], in[2 << 20];
    struct extent x;

    assert_ok(img, &e);
    for (uint64_t at = 0, data = 0; at < img->size && data < limit; at += x.len) {
        assert_ok(image_map_layer(img, at, img->size - at, &x, &e), &e);
        if (x.kind != EXTENT_DATA)
            continue;
        if (x.codec) {
            assert_ok(io_read(x.io, x.pos, in, x.stored, &e), &e);
            assert_ok(x.codec->decode(codecs, at, in, x.stored, got, x.unit_len, &e), &e);
            memmove(got, got + x.skip, x.len);
        } else {
            x.len = MIN(x.len, sizeof(got));
            assert_ok(io_read_padded(x.io, x.pos, got, x.len, &e), &e);
        }
        assert_int_equal(pread(raw, want, x.len, (off_t)at), x.len);
        assert_memory_equal(got, want, x.len);
        data += x.len;
    }
    assert_ok(img->driver->check(img, count_report, &reports, &e), &e);
    assert_int_equal(reports, 0);
    codec_state_free(codecs);
    image_free(img);
    close(raw);
}

static const struct write_case writes[] = {
    {"plain", {NULL}, 20 << 20, 0, false},
    {"one sector", {NULL}, 512, 0, false},
    {"no size", {NULL}, 0, 0, false},
    {"odd size", {NULL}, (9 << 20) + 512 * 3, 0, false},
    {"v2", {"compat=0.10"}, 20 << 20, 0, false},
    {"512", {"cluster_size=512"}, (7 << 20) + 512, 0, false},
    {"1K", {"cluster_size=1K"}, 9 << 20, 0, false},
    {"4K", {"cluster_size=4K"}, 20 << 20, 0, false},
    {"16K", {"cluster_size=16K"}, 20 << 20, 0, false},
    {"256K", {"cluster_size=256K"}, 20 << 20, 0, false},
    {"2M", {"cluster_size=2M"}, 30 << 20, 0, false},
    {"1 bit", {"refcount_bits=1"}, 20 << 20, 0, false},
    {"2 bits", {"refcount_bits=2", "cluster_size=512"}, 4 << 20, 0, false},
    {"4 bits", {"refcount_bits=4"}, 20 << 20, 0, false},
    {"8 bits", {"refcount_bits=8", "cluster_size=1K"}, 9 << 20, 0, false},
    {"32 bits", {"refcount_bits=32"}, 20 << 20, 0, false},
    {"64 bits", {"refcount_bits=64", "cluster_size=512"}, 9 << 20, 0, false},
    {"L1 over many blocks",
     {"refcount_bits=64", "cluster_size=512"},
     UINT64_C(8) << 30,
     1 << 20,
     false},
    {"zlib", {"compression=zlib"}, 20 << 20, 0, false},
    {"zlib v2", {"compression=zlib", "compat=0.10", "level=1"}, 20 << 20, 0, false},
    {"zstd", {"compression=zstd", "level=1"}, (20 << 20) + 512, 0, false},
    {"zlib 512", {"compression=zlib", "cluster_size=512"}, 4 << 20, 0, false},
    {"zlib 4K, 1 bit",
     {"compression=zlib", "cluster_size=4K", "refcount_bits=1"},
     9 << 20,
     0,
     false},
    {"zstd 4K, 2 bits",
     {"compression=zstd", "cluster_size=4K", "refcount_bits=2"},
     9 << 20,
     0,
     false},
    {"zstd 2M", {"compression=zstd", "cluster_size=2M"}, 30 << 20, 0, false},
    {"zlib 1K, 64 bits",
     {"compression=zlib", "cluster_size=1K", "refcount_bits=64"},
     9 << 20,
     0,
     false},
    {"extended", {"extended_l2=on"}, 20 << 20, 0, false},
    {"extended 16K", {"extended_l2=on", "cluster_size=16K"}, (9 << 20) + 512, 0, false},
    {"extended 2M", {"extended_l2=on", "cluster_size=2M"}, 30 << 20, 0, false},
    {"extended zstd", {"extended_l2=on", "compression=zstd"}, 20 << 20, 0, false},
    {"metadata", {"preallocation=metadata"}, 20 << 20, 0, false},
    {"metadata 4K", {"preallocation=metadata", "cluster_size=4K"}, (20 << 20) + 512, 0, false},
    {"full extended", {"preallocation=full", "extended_l2=on"}, 20 << 20, 0, false},
    {"lazy", {"lazy_refcounts=on"}, 20 << 20, 0, false},
    {"8 TiB", {NULL}, UINT64_C(8) << 40, 20 << 20, false},
    {"8 TiB zstd", {"compression=zstd"}, UINT64_C(8) << 40, 20 << 20, false},
    {"over a parent", {NULL}, 20 << 20, 0, true},
    {"over a parent, v2", {"compat=0.10"}, 20 << 20, 0, true},
    {"over a parent, extended", {"extended_l2=on"}, 20 << 20, 0, true},
    {"over a parent, zlib", {"compression=zlib"}, 20 << 20, 0, true},
    {"over a parent, 512", {"cluster_size=512"}, 9 << 20, 0, true},
};

static void write_and_compare(void **state)
{
    const struct write_case *w = *state;
    struct parent_ref parent = {(char *)"base.raw", (char *)"raw", NULL};
    struct sink s;

    need_peer();
    if (w->parent)
        assert_true(run("seq 9999999 | head -c %llu >base.raw; cp base.raw out.raw",
                        (unsigned long long)w->size * 3 / 4));
    sink_open(&s, "out", w->size, w->options, w->parent ? &parent : NULL);
    write_random(&s, w);
    sink_seal(&s);
    read_back("out", 64 << 20);
    assert_true(run("qemu-img check -f qcow2 out"));
    assert_true(run("qemu-img compare -f raw -F qcow2 out.raw out"));
    assert_true(run("qemu-img info out"));
    assert_true(run("rm -f out out.raw base.raw"));
}

struct refusal_case {
    const char *label;
    const char *options[7];
    uint64_t size;
    enum err_kind kind;
};

static const struct refusal_case refusals[] = {
    {"zstd in v2", {"compat=0.10", "compression=zstd"}, 1 << 20, ERR_USAGE},
    {"extended in v2", {"compat=0.10", "extended_l2=on"}, 1 << 20, ERR_USAGE},
    {"lazy in v2", {"compat=0.10", "lazy_refcounts=on"}, 1 << 20, ERR_USAGE},
    {"refcounts in v2", {"compat=0.10", "refcount_bits=8"}, 1 << 20, ERR_USAGE},
    {"extended in 8K", {"extended_l2=on", "cluster_size=8K"}, 1 << 20, ERR_USAGE},
    {"preallocated zlib", {"preallocation=metadata", "compression=zlib"}, 1 << 20, ERR_USAGE},
    {"level", {"compression=zlib", "level=13"}, 1 << 20, ERR_USAGE},
    {"L1 too large", {"cluster_size=512"}, UINT64_C(1) << 40, ERR_USAGE},
    {"refcounts too large",
     {"cluster_size=512", "refcount_bits=64"},
     UINT64_C(64) << 30,
     ERR_USAGE},
    {"beyond the format", {NULL}, UINT64_C(1) << 62, ERR_UNSUPPORTED},
};

static void refuse(void **state)
{
    const struct refusal_case *r = *state;
    struct err e = ERR_INIT;
    void *o = qcow2_options(r->options);
    struct target_options options = {
        .driver = &driver_qcow2, .options = o, .name = "x", .size = r->size};

    assert_null(target_new(&options, &e));
    assert_int_equal(e.kind, r->kind);
    opt_release(driver_qcow2.options, o);
    free(o);
}

/* One answer a place of 2 MiB, and no more metadata than its tables. */
static void place_is_cheap(void **state)
{
    struct err e = ERR_INIT;
    struct target_options options = {
        .driver = &driver_qcow2, .name = "x", .size = UINT64_C(64) << 40};
    struct target *t = target_new(&options, &e);
    uint64_t calls = 0, queued = 0;
    struct placed at;

    (void)state;
    assert_ok(t, &e);
    while (t->at < UINT64_C(1) << 40) {
        struct place p = {.at = t->at, .len = 2 << 20, .kind = PLACE_PLAIN};

        assert_ok(target_place(t, &p, &at, &e), &e);
        calls++;
        for (size_t i = 0; i < t->queue.count; i++) {
            queued += t->queue.items[i].len;
            free(t->queue.items[i].data);
        }
        t->queue.count = 0;
    }
    /* one answer a place, but where an L2 table or a refcount block cuts in */
    assert_true(calls <= (UINT64_C(1) << 19) + 2048 + 1024);
    assert_true(queued <= (2048 + 512) * UINT64_C(65536));
    target_free(t);
}

static bool write_everything(struct err *e)
{
    struct parent_ref parent = {(char *)"base", (char *)"vhd", NULL};
    struct target_options options = {
        .driver = &driver_qcow2, .name = "x", .size = UINT64_C(5) << 30, .parent = &parent};
    struct target *t = target_new(&options, e);
    struct placed at;
    bool ok = t;

    while (ok && t->at < t->size) {
        struct place p = {t->at, MIN(t->size - t->at, 1u << 30),
                          t->at >> 30 & 1 ? PLACE_ZERO : PLACE_PLAIN, 0};

        ok = target_place(t, &p, &at, e);
    }
    ok = ok && target_seal(t, e);
    target_free(t);
    return ok;
}

/* Each allocation fails once. */
static void every_failure_is_clean(void **state)
{
    struct err e = ERR_INIT;
    long points;

    (void)state;
    fault_count();
    assert_ok(write_everything(&e), &e);
    points = fault_disarm();
    assert_true(points > 20);
    for (long nth = 1; nth <= points; nth++) {
        err_clear(&e);
        fault_arm(nth);
        assert_false(write_everything(&e));
        fault_disarm();
        assert_int_equal(e.kind, ERR_MEMORY);
    }
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(writes) + ARRAY_LEN(refusals) + 2];
    size_t n = 0;
    int failed;

    for (size_t i = 0; i < ARRAY_LEN(writes); i++)
        tests[n++] =
            (struct CMUnitTest){writes[i].label, write_and_compare, NULL, NULL, (void *)&writes[i]};
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        tests[n++] =
            (struct CMUnitTest){refusals[i].label, refuse, NULL, NULL, (void *)&refusals[i]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(place_is_cheap);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(every_failure_is_clean);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_rmdir();
    return failed;
}
