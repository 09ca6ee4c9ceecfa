/* label: quick
 * What files and block devices add: kinds refused, holes, direct I/O, space, clones, fault points.
 */
#include "file.h"

#include "bytes.h"
#include "fault.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct err e;

static const char *in_dir(const char *name)
{
    static char paths[4][600];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", test_dir(), name);
    return path;
}

static struct io *make_file(const char *name, unsigned flags)
{
    struct io *io;

    e = ERR_INIT;
    unlink(in_dir(name));
    io = file_open(in_dir(name), FILE_WRITE | FILE_CREATE | flags, &e);
    assert_ok(io, &e);
    return io;
}

static void refused(const char *path, unsigned flags, enum err_kind kind, const char *words)
{
    e = ERR_INIT;
    assert_null(file_open(path, flags, &e));
    if (e.kind != kind || !strstr(e.text, words))
        fail_msg("%s: %s, not '%s'", err_kind_name(e.kind), e.text, words);
}

static void test_kinds(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", in_dir("socket"));
    assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    assert_int_equal(symlink("regular", in_dir("link")), 0);
    refused(test_dir(), 0, ERR_USAGE, "is a directory, not an image");
    refused(test_dir(), FILE_WRITE, ERR_USAGE, "is a directory, not an image");
    refused(in_dir("fifo"), 0, ERR_USAGE, "is a FIFO, not an image");
    refused(in_dir("fifo"), FILE_WRITE, ERR_USAGE, "is a FIFO, not an image");
    refused(in_dir("socket"), 0, ERR_USAGE, "is a socket, not an image");
    refused("/dev/null", 0, ERR_USAGE, "is a character device, not an image");
    refused(in_dir("none"), 0, ERR_IO, "No such file or directory");
    refused(in_dir("none"), FILE_WRITE, ERR_IO, "No such file or directory");
    io_free(make_file("regular", 0));
    refused(in_dir("regular"), FILE_WRITE | FILE_CREATE, ERR_REFUSED, "exists already");
    refused(in_dir("regular/x"), 0, ERR_IO, "Not a directory");
    refused(in_dir("link"), FILE_NOFOLLOW, ERR_REFUSED, "symbolic link");
    close(s);
}

static void test_open_modes(void **state)
{
    struct io *io = make_file("modes", 0);
    struct stat st;

    (void)state;
    assert_true(io->fresh);
    assert_false(io->device);
    assert_ok(io_write(io, 0, "abc", 3, &e), &e);
    io_free(io);
    io = file_open(in_dir("modes"), 0, &e);
    assert_false(io->fresh);
    assert_int_equal(io->size, 3);
    assert_false(io_write(io, 0, "x", 1, &e));
    assert_int_equal(e.kind, ERR_IO);
    err_clear(&e);
    assert_ok(io_sync(io, &e), &e);
    assert_int_equal(fcntl(io->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    io_free(io);
    io = file_open(in_dir("modes"), FILE_WRITE, &e);
    assert_false(io->fresh);
    io_free(io);
    io = file_open(in_dir("modes"), FILE_WRITE | FILE_TRUNCATE, &e);
    assert_true(io->fresh);
    assert_int_equal(io->size, 0);
    io_free(io);
    assert_int_equal(stat(in_dir("modes"), &st), 0);
    assert_int_equal(st.st_size, 0);
}

/* A file that shrank behind our back is cut short, not zero. */
static void test_cut_short(void **state)
{
    struct io *io = make_file("short", 0);
    char buf[100];

    (void)state;
    assert_ok(io_resize(io, 1000, &e), &e);
    assert_int_equal(truncate(in_dir("short"), 950), 0);
    assert_false(io_read(io, 900, buf, 100, &e));
    assert_int_equal(e.kind, ERR_FORMAT);
    assert_non_null(strstr(e.text, "the file has 950"));
    io_free(io);
}

static void test_holes(void **state)
{
    struct io *io = make_file("holes", 0);
    enum io_extent_kind kind;
    uint64_t len, before;
    char *data = calloc(1, MIB);

    (void)state;
    memset(data, 'x', MIB);
    assert_ok(io_resize(io, 64 * MIB, &e), &e);
    assert_ok(io_extent(io, 5, UINT64_MAX, &kind, &len, &e), &e);
    if (kind != IO_HOLE) {
        io_free(io);
        free(data);
        print_message("the file system of TMPDIR has no holes\n");
        skip();
    }
    assert_int_equal(len, 64 * MIB - 5);
    assert_ok(io_write(io, 8 * MIB, data, MIB, &e), &e);
    assert_ok(io_extent(io, 0, UINT64_MAX, &kind, &len, &e), &e);
    assert_true(kind == IO_HOLE && len == 8 * MIB);
    assert_ok(io_extent(io, 8 * MIB + 7, UINT64_MAX, &kind, &len, &e), &e);
    assert_true(kind == IO_DATA && len == MIB - 7);
    assert_ok(io_extent(io, 8 * MIB + 9, 10, &kind, &len, &e), &e);
    assert_true(kind == IO_DATA && len == 10);
    before = file_allocated(io);
    assert_true(before >= MIB && before < 2 * MIB);
    /* the cached answer does not outlive a change */
    assert_ok(io_zero(io, 8 * MIB, MIB, &e), &e);
    assert_ok(io_extent(io, 8 * MIB + 7, UINT64_MAX, &kind, &len, &e), &e);
    assert_int_equal(kind, IO_HOLE);
    assert_true(file_allocated(io) < before);
    io_free(io);
    free(data);
}

static void test_direct(void **state)
{
    struct io *io = make_file("direct", FILE_DIRECT);
    static uint8_t want[300001], got[300001];
    uint64_t random = 9;

    (void)state;
    for (size_t i = 0; i < sizeof(want); i++)
        want[i] = (uint8_t)test_random(&random);
    assert_ok(io_write(io, 0, want, sizeof(want), &e), &e);
    for (int i = 0; i < 100; i++) {
        uint64_t pos = test_random(&random) % sizeof(want);
        size_t len = test_random(&random) % (sizeof(want) - pos);

        assert_ok(io_read(io, pos, got, len, &e), &e);
        assert_memory_equal(got, want + pos, len);
    }
    assert_ok(io_read(io, 1, got, sizeof(want) - 1, &e), &e); /* up to a ragged end */
    assert_memory_equal(got, want + 1, sizeof(want) - 1);
    assert_int_equal(truncate(in_dir("direct"), 200000), 0);
    assert_false(io_read(io, 190000, got, 100000, &e));
    assert_int_equal(e.kind, ERR_FORMAT);
    io_free(io);
}

static void test_space(void **state)
{
    struct io *io = make_file("space", 0);

    (void)state;
    assert_ok(io_write(io, 0, "x", 1, &e), &e);
    assert_ok(file_preallocate(io, 8 * MIB, &e), &e);
    assert_int_equal(io->size, 8 * MIB);
    assert_true(file_allocated(io) >= 8 * MIB);
    assert_false(file_preallocate(io, UINT64_C(1) << 50, &e));
    assert_true(e.kind == ERR_SPACE || e.kind == ERR_IO);
    err_clear(&e);
    file_drop_cache(io, 0, 0);
    assert_ok(file_sync_dir(in_dir("space"), &e), &e);
    assert_ok(file_sync_dir("name-without-folder", &e), &e);
    assert_false(file_sync_dir(in_dir("none/x"), &e));
    assert_int_equal(e.kind, ERR_IO);
    io_free(io);
}

/* Clones where the file system can, and a clear refusal where it cannot; true when it could. */
static bool clone_in(const char *dir)
{
    static char data[256 * 1024], got[256 * 1024];
    struct io *a, *b, *m = io_memory("m", 4096, &e);
    char name[2][100];
    bool works;

    snprintf(name[0], sizeof(name[0]), "%sa", dir);
    snprintf(name[1], sizeof(name[1]), "%sb", dir);
    a = make_file(name[0], 0);
    b = make_file(name[1], 0);
    memset(data, 'c', sizeof(data));
    assert_ok(io_write(a, 0, data, sizeof(data), &e), &e);
    assert_ok(io_write(b, 0, "head", 4, &e), &e);
    works = file_clone_works(a, b);
    assert_int_equal(b->size, 4);
    assert_int_equal(lseek(b->fd, 0, SEEK_END), 4);
    assert_false(file_clone_works(m, b));
    assert_false(file_clone(m, 0, b, 0, 4096, &e));
    assert_int_equal(e.kind, ERR_UNSUPPORTED);
    err_clear(&e);
    if (works) {
        assert_ok(file_clone(a, 0, b, 65536, sizeof(data), &e), &e);
        assert_int_equal(b->size, 65536 + sizeof(data));
        assert_ok(io_read(b, 65536, got, sizeof(got), &e), &e);
        assert_memory_equal(got, data, sizeof(got));
    }
    assert_false(file_clone(a, 1, b, 0, 100, &e)); /* no file system shares parts of blocks */
    assert_int_equal(e.kind, ERR_UNSUPPORTED);
    io_free(a);
    io_free(b);
    io_free(m);
    return works;
}

static void test_clone(void **state)
{
    (void)state;
    clone_in("");
}

/* On a file system that surely has reflinks: an XFS in a file, which takes root to mount. */
static void test_clone_xfs(void **state)
{
    char command[2000];
    bool works;

    (void)state;
    snprintf(command, sizeof(command),
             "exec 2>/dev/null; mkdir '%s/xfs' && truncate -s 320M '%s/xfs.img' && "
             "mkfs.xfs -q -m reflink=1 '%s/xfs.img' && mount -o loop '%s/xfs.img' '%s/xfs'",
             test_dir(), test_dir(), test_dir(), test_dir(), test_dir());
    if (geteuid() != 0 || system(command) != 0) {
        print_message("cannot mount an XFS here\n");
        skip();
    }
    works = clone_in("xfs/");
    snprintf(command, sizeof(command), "umount '%s/xfs'", test_dir());
    assert_int_equal(system(command), 0);
    assert_true(works);
}

/* A full disk is told from other failures: on a tiny tmpfs, which takes root to mount. */
static void test_full(void **state)
{
    static char data[MIB];
    char command[700];
    const char *dir = in_dir("full");
    struct io *io;

    (void)state;
    mkdir(dir, 0700);
    snprintf(command, sizeof(command), "mount -t tmpfs -o size=512k none '%s' 2>/dev/null", dir);
    if (geteuid() != 0 || system(command) != 0) {
        print_message("cannot mount a tmpfs here\n");
        skip();
    }
    memset(data, 1, sizeof(data));
    io = make_file("full/file", 0);
    assert_false(io_write(io, 0, data, sizeof(data), &e));
    snprintf(command, sizeof(command), "umount '%s'", dir);
    io_free(io);
    assert_int_equal(system(command), 0);
    assert_int_equal(e.kind, ERR_SPACE);
    assert_non_null(strstr(e.text, "No space left on device"));
}

/* Every fault point of a small life of a file fails once: cleanly, and explained. */
static bool life(const char *path, struct err *err)
{
    enum io_extent_kind kind;
    uint64_t len;
    char buf[100];
    struct io *io;
    bool ok;

    unlink(path);
    io = file_open(path, FILE_WRITE | FILE_CREATE, err);
    ok = io && io_write(io, 0, "hello", 5, err) && io_zero(io, 100, 10000, err) &&
         io_zero(io, 200, 5000, err) && io_extent(io, 0, 1, &kind, &len, err) &&
         io_read(io, 0, buf, 100, err) && io_resize(io, 500, err) &&
         file_lock(io, FILE_LOCK_WRITE, err) && file_preallocate(io, 9000, err) &&
         io_sync(io, err) && file_sync_dir(path, err);
    io_free(io);
    return ok;
}

static void test_faults(void **state)
{
    const char *path = in_dir("torture");
    long points;

    (void)state;
    e = ERR_INIT;
    fault_count();
    assert_ok(life(path, &e), &e);
    points = fault_disarm();
    assert_true(points > 10);
    for (long nth = 1; nth <= points; nth++) {
        e = ERR_INIT;
        fault_arm(nth);
        assert_false(life(path, &e));
        fault_disarm();
        assert_int_not_equal(e.kind, ERR_NONE);
        assert_true(strlen(e.text) > 10);
    }
}

/* A loop device over a file, where that is allowed. */
static void test_device(void **state)
{
    char command[800], device[100] = "";
    struct io *io = make_file("backing", 0);
    static char data[8192];
    FILE *p;

    (void)state;
    assert_ok(io_resize(io, 4 * MIB, &e), &e);
    io_free(io);
    snprintf(command, sizeof(command), "losetup -f --show '%s' 2>/dev/null", in_dir("backing"));
    p = popen(command, "r");
    if (!p || !fgets(device, sizeof(device), p))
        device[0] = '\0';
    if (p)
        pclose(p);
    if (!device[0]) {
        print_message("cannot set up a loop device here\n");
        skip();
    }
    device[strcspn(device, "\n")] = '\0';
    io = file_open(device, FILE_WRITE, &e);
    if (io) {
        memset(data, 'd', sizeof(data));
        assert_true(io->device);
        assert_false(io->fresh);
        assert_int_equal(io->size, 4 * MIB);
        assert_ok(io_write(io, 4 * MIB - sizeof(data), data, sizeof(data), &e), &e);
        assert_ok(io_zero(io, 4 * MIB - sizeof(data) + 100, 5000, &e), &e);
        assert_ok(io_read(io, 4 * MIB - sizeof(data), data, sizeof(data), &e), &e);
        assert_true(bytes_zero(data + 100, 5000));
        assert_int_equal(data[99], 'd');
        assert_int_equal(data[5100], 'd');
        assert_false(io_write(io, 4 * MIB - 1, data, 2, &e));
        assert_int_equal(e.kind, ERR_SPACE);
        err_clear(&e);
        assert_false(io_resize(io, MIB, &e));
        err_clear(&e);
        assert_ok(file_lock(io, FILE_LOCK_WRITE, &e), &e);
        assert_ok(io_sync(io, &e), &e);
        io_free(io);
    }
    snprintf(command, sizeof(command), "losetup -d '%s'", device);
    assert_int_equal(system(command), 0);
    assert_ok(io, &e);
}

static struct io *wrapped;

static struct io *wrap(struct io *io, struct err *err)
{
    (void)err;
    return wrapped = io;
}

static void test_wrap(void **state)
{
    struct io *io;

    (void)state;
    file_wrap = wrap;
    io = make_file("wrapped", 0);
    assert_ptr_equal(io, wrapped);
    io_free(io);
    wrapped = NULL;
    io = file_open(in_dir("wrapped"), 0, &e);
    assert_null(wrapped);
    io_free(io);
    file_wrap = NULL;
}

static int teardown(void **state)
{
    char command[1500];

    (void)state;
    /* only a failed test leaves these mounted */
    snprintf(command, sizeof(command), "umount '%s/full' '%s/xfs' 2>/dev/null", test_dir(),
             test_dir());
    if (system(command) == 0)
        print_message("a failed test's mounts were removed\n");
    test_rmdir();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),     cmocka_unit_test(test_open_modes),
        cmocka_unit_test(test_cut_short), cmocka_unit_test(test_holes),
        cmocka_unit_test(test_direct),    cmocka_unit_test(test_space),
        cmocka_unit_test(test_clone),     cmocka_unit_test(test_clone_xfs),
        cmocka_unit_test(test_full),      cmocka_unit_test(test_faults),
        cmocka_unit_test(test_device),    cmocka_unit_test(test_wrap),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
