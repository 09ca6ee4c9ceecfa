/* label: quick
 *
 * Reading qcow2. qemu-img and qemu-io make images of every kind; what map says must give the bytes
 * that qemu-img convert gives, and damage must be refused. */
#include "qcow2_peer.h"

#include "bytes.h"
#include "clock.h"
#include "codec.h"
#include "fault.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>

static const struct driver *const both[] = {&driver_qcow2, &driver_raw, NULL};

static struct image *open_chain(const char *name, const char *snapshot, struct err *e)
{
    struct image_options o = {.snapshot = snapshot, .lock = IMAGE_LOCK_NONE};

    drivers_register(both);
    return image_open(in_dir("%s", name), &o, e);
}

/* The guest's bytes, extent by extent, against the raw file. */
static bool same_bytes(struct image *img, const char *raw, struct err *e)
{
    static uint8_t got[1 << 20], want[1 << 20];
    int fd = open(in_dir("%s", raw), O_RDONLY);
    bool same = lseek(fd, 0, SEEK_END) == (off_t)img->size;
    struct extent x;

    for (uint64_t at = 0; same && at < img->size; at += x.len) {
        if (!image_map(img, at, MIN(sizeof(got), img->size - at), &x, e) ||
            !image_read(img, at, got, x.len, e)) {
            close(fd);
            return false;
        }
        same = pread(fd, want, x.len, (off_t)at) == (ssize_t)x.len && memcmp(got, want, x.len) == 0;
        if (!same)
            err_set(e, ERR_DIFFERS, "bytes differ near %" PRIu64, at);
    }
    close(fd);
    return same || err_set(e, ERR_DIFFERS, "contents differ");
}

struct read_case {
    const char *label;
    const char *make;     /* commands that leave an image "i" */
    const char *snapshot; /* to read; NULL: the current state */
    bool reports;         /* the driver's check finds something */
};

#define IO "qemu-io -f qcow2 "
static const struct read_case reads[] = {
    {"empty", "qemu-img create -f qcow2 i 10M", NULL, false},
    {"no size", "qemu-img create -f qcow2 i 0", NULL, false},
    {"version 2",
     "qemu-img create -f qcow2 -o compat=0.10 i 10M; " IO
     "-c 'write -P 7 1M 2M' -c 'write -P 9 5000K 7K' i",
     NULL, false},
    {"zero flags",
     "qemu-img create -f qcow2 i 10M; " IO
     "-c 'write -P 7 0 8M' -c 'write -z 1M 1M' -c 'write -zu 3M 1M' -c 'discard 5M 1M' i",
     NULL, false},
    {"512-byte clusters",
     "qemu-img create -f qcow2 -o cluster_size=512 i 3M; " IO
     "-c 'write -P 7 100K 2M' -c 'write -P 3 512 512' i",
     NULL, false},
    {"2 MiB clusters",
     "qemu-img create -f qcow2 -o cluster_size=2M i 33M; " IO
     "-c 'write -P 7 3M 9M' -c 'write -P 3 32M 1M' i",
     NULL, false},
    {"deflate",
     "qemu-img create -f qcow2 i 10M; " IO
     "-c 'write -c -P 7 0 64K' -c 'write -c -P 9 1M 1M' -c 'write -P 3 1100K 20K' i",
     NULL, false},
    {"converted, deflate", "seq 2000000 >s; qemu-img convert -f raw -O qcow2 -c s i", NULL, false},
    {"converted, zstd",
     "seq 2000000 >s; qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd s i", NULL,
     false},
    {"converted, deflate, 4K clusters",
     "seq 500000 >s; qemu-img convert -f raw -O qcow2 -c -o cluster_size=4K s i", NULL, false},
    {"converted, zstd, 2M clusters",
     "seq 2000000 >s; qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd,cluster_size=2M "
     "s i",
     NULL, false},
    {"a size between clusters",
     "qemu-img create -f qcow2 i 1234432; " IO
     "-c 'write -P 7 1200K 512' -c 'write -P 1 1233920 512' i",
     NULL, false},
    {"over a smaller parent",
     "qemu-img create -f qcow2 b 3M; " IO
     "-c 'write -P 1 0 3M' b; qemu-img create -f qcow2 -b b -F qcow2 i 8M; " IO
     "-c 'write -P 2 2M 64K' -c 'write -z 1M 64K' -c 'write -P 3 6M 1K' i",
     NULL, false},
    {"over a larger parent",
     "qemu-img create -f qcow2 b 9M; " IO
     "-c 'write -P 1 0 9M' b; qemu-img create -f qcow2 -b b -F qcow2 i 4M; " IO
     "-c 'write -P 2 2M 64K' i",
     NULL, false},
    {"over a raw parent of odd size",
     "seq 100000 >b; qemu-img create -f qcow2 -b b -F raw i 1M; " IO "-c 'write -P 2 64K 64K' i",
     NULL, false},
    {"three layers",
     "qemu-img create -f qcow2 a 4M; " IO
     "-c 'write -P 1 0 4M' a; qemu-img create -f qcow2 -b a -F qcow2 b; " IO
     "-c 'write -P 2 1M 1M' b; qemu-img create -f qcow2 -b b -F qcow2 i; " IO
     "-c 'write -z 1536K 1M' i",
     NULL, false},
    {"subclusters",
     "qemu-img create -f qcow2 -o extended_l2=on i 10M; " IO
     "-c 'write -P 7 2K 2K' -c 'write -P 8 10K 4K' -c 'write -z 1M 6K' -c 'write -P 3 2M 1M' -c "
     "'discard 2100K 8K' i",
     NULL, false},
    {"subclusters over a parent",
     "qemu-img create -f qcow2 b 10M; " IO "-c 'write -P 1 0 10M' b; "
     "qemu-img create -f qcow2 -o extended_l2=on,cluster_size=16K -b b -F qcow2 i; " IO
     "-c 'write -P 7 2K 2K' -c 'write -P 8 10K 4K' -c 'write -z 1M 6K' -c 'write -c -P 4 2M 16K' "
     "-c 'write -z 3M 1M' i",
     NULL, false},
    {"preallocated",
     "qemu-img create -f qcow2 -o preallocation=metadata i 70M; " IO "-c 'write -P 7 9M 1M' i",
     NULL, false},
    {"1-bit counters",
     "qemu-img create -f qcow2 -o refcount_bits=1 i 10M; " IO "-c 'write -P 7 0 8M' i", NULL,
     false},
    {"2-bit counters, compressed",
     "seq 900000 >s; qemu-img convert -f raw -O qcow2 -c -o refcount_bits=2,cluster_size=4K s i",
     NULL, false},
    {"64-bit counters",
     "qemu-img create -f qcow2 -o refcount_bits=64 i 10M; " IO "-c 'write -P 7 0 8M' i", NULL,
     false},
    {"snapshots, now",
     "qemu-img create -f qcow2 i 10M; " IO "-c 'write -P 7 0 8M' i; qemu-img snapshot -c one i; " IO
     "-c 'write -P 8 1M 2M' i; qemu-img snapshot -c 'my \"two\"' i; " IO "-c 'write -P 9 2M 2M' i",
     NULL, false},
    {"snapshot by name",
     "qemu-img create -f qcow2 i 10M; " IO "-c 'write -P 7 0 8M' i; qemu-img snapshot -c one i; " IO
     "-c 'write -P 8 1M 2M' i",
     "one", false},
    {"snapshot by id",
     "qemu-img create -f qcow2 i 10M; qemu-img snapshot -c x i; " IO
     "-c 'write -P 7 0 8M' i; qemu-img snapshot -c one i; " IO "-c 'write -P 8 1M 2M' i",
     "2", false},
    {"not closed",
     "qemu-img create -f qcow2 -o lazy_refcounts=on i 10M; (" IO
     "-c 'write -P 7 0 8M' -c abort i || true)",
     NULL, true},
    {"bitmaps",
     "qemu-img create -f qcow2 i 10M; qemu-img bitmap --add i b0; qemu-img bitmap --add -g 4K i "
     "b1; " IO "-c 'write -P 7 0 8M' i",
     NULL, false},
    {"cut inside its last cluster",
     "qemu-img create -f qcow2 i 10M; " IO "-c 'write -P 7 0 64K' i; truncate -s -1000 i", NULL,
     false},
};

static void count_report(void *user, enum check_level level, const char *text)
{
    (void)level;
    (void)text;
    ++*(int *)user;
}

static void read_and_compare(void **state)
{
    const struct read_case *c = *state;
    struct err e = ERR_INIT;
    struct image *img;
    int reports = 0;

    need_peer();
    assert_true(run("set -e; %s", c->make));
    if (!c->snapshot)
        assert_true(run("qemu-img convert -f qcow2 -O raw i want"));
    else
        assert_true(run("qemu-img convert -f qcow2 -l '%s' -O raw i want", c->snapshot));
    img = open_chain("i", c->snapshot, &e);
    assert_ok(img, &e);
    assert_ok(same_bytes(img, "want", &e), &e);
    assert_ok(img->driver->check(img, count_report, &reports, &e), &e);
    assert_int_equal(!!reports, c->reports);
    image_free(img);
    assert_true(run("rm -f *"));
}

/* Opening reads the header and little more; runs are as long as they are. */
static void huge(void **state)
{
    struct rusage before, after;
    struct err e = ERR_INIT;
    struct image *img;
    struct extent x;
    uint64_t start;

    (void)state;
    need_peer();
    assert_true(run("qemu-img create -f qcow2 i 64T; " IO "-c 'write -P 7 48T 3M' i"));
    getrusage(RUSAGE_SELF, &before);
    start = clock_mono();
    img = open_chain("i", NULL, &e);
    assert_ok(img, &e);
    assert_true(clock_mono() - start < 50000000);
    assert_ok(image_map(img, 0, img->size, &x, &e), &e);
    assert_int_equal(x.kind, EXTENT_ZERO);
    assert_int_equal(x.len, UINT64_C(48) << 40);
    assert_ok(image_map(img, x.len, img->size - x.len, &x, &e), &e);
    assert_int_equal(x.kind, EXTENT_DATA);
    assert_int_equal(x.len, 3 << 20);
    assert_ok(image_map(img, x.at + x.len, img->size - x.at - x.len, &x, &e), &e);
    assert_int_equal(x.at + x.len, img->size);
    image_free(img);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 32 << 10); /* KiB */
    assert_true(run("rm -f *"));
}

static void facts(void **state)
{
    struct err e = ERR_INIT;
    struct image *img;

    (void)state;
    need_peer();
    assert_true(run("qemu-img create -f qcow2 -o lazy_refcounts=on,refcount_bits=8,cluster_size=4K,"
                    "compression_type=zstd i 10M; qemu-img snapshot -c first i; "
                    "qemu-img snapshot -c 'second one' i; qemu-img bitmap --add i b0"));
    img = open_chain("i", NULL, &e);
    assert_ok(img, &e);
    assert_int_equal(img->size, 10 << 20);
    assert_int_equal(img->facts.cluster_size, 4096);
    assert_string_equal(img->facts.compression, "zstd");
    assert_null(img->facts.encryption);
    assert_int_equal(img->facts.snapshot_count, 2);
    assert_string_equal(img->facts.snapshots[0].id, "1");
    assert_string_equal(img->facts.snapshots[1].name, "second one");
    assert_int_equal(img->facts.snapshots[1].size, 10 << 20);
    assert_string_equal(opt_pairs_get(&img->facts.extra, "compat"), "1.1");
    assert_string_equal(opt_pairs_get(&img->facts.extra, "refcount_bits"), "8");
    assert_string_equal(opt_pairs_get(&img->facts.extra, "lazy_refcounts"), "yes");
    assert_string_equal(opt_pairs_get(&img->facts.extra, "bitmap"), "b0");
    assert_int_equal(img->facts.dropped.count, 2);
    assert_string_equal(img->facts.dropped.items[0], "2 internal snapshots");
    assert_string_equal(img->facts.dropped.items[1], "dirty bitmap 'b0'");
    image_free(img);
    assert_true(run("rm -f *"));
}

static void luks_is_named_not_read(void **state)
{
    struct err e = ERR_INIT;
    struct image *img;
    struct extent x;

    (void)state;
    need_peer();
    /* It times itself, and gives up on a machine that is busy. */
    assert_true(run("for i in 1 2 3 4 5; do qemu-img create -f qcow2 --object secret,id=s,data=k "
                    "-o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 i 10M && "
                    "exit; done; exit 1"));
    img = open_chain("i", NULL, &e);
    assert_ok(img, &e);
    assert_string_equal(img->facts.encryption, "LUKS");
    assert_false(image_map(img, 0, 512, &x, &e));
    assert_int_equal(e.kind, ERR_UNSUPPORTED);
    image_free(img);
    assert_true(run("rm -f *"));
}

struct refused_case {
    const char *label;
    const char *make;
    const char *snapshot;
    enum err_kind kind;
    const char *says;
};

#define POKE(at, bytes) "; printf '" bytes "' | dd of=i bs=1 seek=" #at " conv=notrunc"
static const struct refused_case refused[] = {
    {"data file", "qemu-img create -f qcow2 -o data_file=d i 1M", NULL, ERR_UNSUPPORTED,
     "data file"},
    {"named feature", "qemu-img create -f qcow2 i 1M" POKE(72, "\\200") POKE(120, "\\000\\077flux"),
     NULL, ERR_UNSUPPORTED, "feature 63 (flux"},
    {"feature without a name", "qemu-img create -f qcow2 i 1M" POKE(79, "\\040"), NULL,
     ERR_UNSUPPORTED, "feature 5 (without a name)"},
    {"version 1", "qemu-img create -f qcow i 1M", NULL, ERR_UNSUPPORTED, "version 1"},
    {"no such snapshot", "qemu-img create -f qcow2 i 1M", "x", ERR_USAGE,
     "no internal snapshot 'x'"},
    {"cut short: header", "qemu-img create -f qcow2 i 1M; truncate -s 100 i", NULL, ERR_FORMAT,
     "cut short"},
    {"cut short: L1 table", "qemu-img create -f qcow2 i 1M; truncate -s 196608 i", NULL, ERR_FORMAT,
     "cut short"},
    {"cut short: L2 table",
     "qemu-img create -f qcow2 i 1M; " IO "-c 'write 0 1M' i; truncate -s 262144 i", NULL,
     ERR_FORMAT, "cut short"},
    {"cut short: data",
     "qemu-img create -f qcow2 i 1M; " IO "-c 'write 0 1M' i; truncate -s 700000 i", NULL,
     ERR_FORMAT, "cut short"},
    {"L2 table unaligned", "qemu-img create -f qcow2 i 1M" POKE(196614, "\\002"), NULL, ERR_FORMAT,
     "L1 table entry at 196608"},
    {"snapshot table cut short",
     "qemu-img create -f qcow2 i 1M" POKE(60, "\\000\\000\\000\\001\\000\\000\\000\\000\\000\\020"),
     NULL, ERR_FORMAT, "snapshot table"},
};

static void refuse(void **state)
{
    const struct refused_case *c = *state;
    struct err e = ERR_INIT;
    struct image *img;
    uint8_t buf[512];

    need_peer();
    assert_true(run("%s", c->make));
    img = open_chain("i", c->snapshot, &e);
    for (uint64_t at = 0; img && at < img->size && image_read(img, at, buf, sizeof(buf), &e);)
        at += sizeof(buf);
    image_free(img);
    assert_int_equal(e.kind, c->kind);
    assert_non_null(strstr(e.text, c->says));
    assert_true(run("rm -rf *"));
}

static void data_file_outside(void **state)
{
    struct err e = ERR_INIT;

    (void)state;
    need_peer();
    assert_true(run("mkdir in; cd in; qemu-img create -f qcow2 -o data_file=../d ../x 1M; "
                    "qemu-img create -f qcow2 -o data_file=../d i 1M"));
    assert_null(open_chain("in/i", NULL, &e));
    assert_int_equal(e.kind, ERR_GATE);
    assert_true(run("rm -rf *"));
}

static bool read_everything(struct err *e)
{
    struct image *img = open_layer(in_dir("i"), "1", e);
    struct parent_ref ref = {0};
    bool ok = img && img->driver->parent(img, &ref, e);
    int reports = 0;
    struct extent x;

    for (uint64_t at = 0; ok && at < img->size; at += x.len)
        ok = image_map_layer(img, at, img->size - at, &x, e);
    ok = ok && img->driver->check(img, count_report, &reports, e);
    parent_ref_release(&ref);
    image_free(img);
    return ok;
}

/* Each allocation and each read fails once. */
static void every_failure_is_clean(void **state)
{
    struct err e = ERR_INIT;
    long points;

    (void)state;
    need_peer();
    assert_true(run("qemu-img create -f qcow2 b 1M; qemu-img create -f qcow2 -b b -F qcow2 -o "
                    "compression_type=zstd i 1M; " IO
                    "-c 'write -c -P 1 0 64K' -c 'write 128K 1K' i; "
                    "qemu-img snapshot -c s i; qemu-img bitmap --add i m"));
    fault_count();
    assert_ok(read_everything(&e), &e);
    points = fault_disarm();
    assert_true(points > 20);
    for (long nth = 1; nth <= points; nth++) {
        bool ok;

        err_clear(&e);
        fault_arm(nth);
        ok = read_everything(&e);
        fault_disarm();
        /* what a look-ahead could not read is read again */
        assert_true(ok || e.kind == ERR_MEMORY || e.kind == ERR_IO);
    }
    assert_true(run("rm -f *"));
}

int main(void)
{
    static const struct CMUnitTest plain[] = {
        cmocka_unit_test(huge),
        cmocka_unit_test(facts),
        cmocka_unit_test(luks_is_named_not_read),
        cmocka_unit_test(data_file_outside),
        cmocka_unit_test(every_failure_is_clean),
    };
    struct CMUnitTest tests[ARRAY_LEN(reads) + ARRAY_LEN(refused) + ARRAY_LEN(plain)];
    size_t n = 0;
    int failed;

    for (size_t i = 0; i < ARRAY_LEN(reads); i++)
        tests[n++] =
            (struct CMUnitTest){reads[i].label, read_and_compare, NULL, NULL, (void *)&reads[i]};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        tests[n++] = (struct CMUnitTest){refused[i].label, refuse, NULL, NULL, (void *)&refused[i]};
    memcpy(tests + n, plain, sizeof(plain));
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_rmdir();
    return failed;
}
