/* label: quick
 * Image locks: among ourselves, and against a real qemu that holds an image. */
#include "file.h"

#include "bytes.h"
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct err e;
static char image[2][600]; /* qcow2, raw */
static const char *const formats[2] = {"qcow2", "raw"};

/* Runs "TOOL FORMAT ARGUMENTS 'IMAGE' REST"; its exit status. */
static int run(const char *tool, size_t which, const char *arguments, const char *rest)
{
    char command[1500];
    int status;

    snprintf(command, sizeof(command), "%s -f %s %s '%s' %s", tool, formats[which], arguments,
             image[which], rest);
    status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        snprintf(image[i], sizeof(image[i]), "%s/disk.%s", test_dir(), formats[i]);
        if (run("qemu-img create -q", i, "", "1M >/dev/null 2>&1") != 0)
            image[i][0] = '\0';
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_rmdir();
    return 0;
}

static void need_qemu(void)
{
    if (!image[0][0]) {
        print_message("qemu-img is not installed\n");
        skip();
    }
}

/* Two openings in one process are two holders. */
static void test_among_us(void **state)
{
    static const struct {
        enum file_lock first, second;
        bool both;
    } rows[] = {
        {FILE_LOCK_READ, FILE_LOCK_READ, true},
        {FILE_LOCK_READ, FILE_LOCK_WRITE, false},
        {FILE_LOCK_WRITE, FILE_LOCK_READ, false},
        {FILE_LOCK_WRITE, FILE_LOCK_WRITE, false},
    };
    char path[600];

    (void)state;
    snprintf(path, sizeof(path), "%s/among", test_dir());
    io_free(file_open(path, FILE_WRITE | FILE_CREATE, &e));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct io *a = file_open(path, FILE_WRITE, &e), *b = file_open(path, FILE_WRITE, &e);

        assert_ok(file_lock(a, rows[i].first, &e), &e);
        assert_int_equal(file_lock_test(b, rows[i].second, &e), rows[i].both);
        err_clear(&e);
        assert_int_equal(file_lock(b, rows[i].second, &e), rows[i].both);
        if (!rows[i].both) {
            assert_int_equal(e.kind, ERR_BUSY);
            assert_non_null(strstr(e.text, "is in use"));
            err_clear(&e);
            /* a failed attempt leaves nothing behind, and the winner can go on */
            assert_ok(file_lock(a, FILE_LOCK_WRITE, &e), &e);
            assert_ok(file_lock(a, FILE_LOCK_READ, &e), &e);
        }
        io_free(a);
        assert_ok(file_lock(b, rows[i].second, &e), &e);
        io_free(b);
    }
}

/* qemu-io that holds an image open until its input ends. */
struct holder {
    pid_t pid;
    int in, out;
};

static struct holder hold(size_t which, bool writable)
{
    int in[2], out[2];
    struct holder h;
    char got[256];
    size_t n = 0;

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    h.pid = fork();
    if (h.pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(out[1], 2);
        execlp("qemu-io", "qemu-io", "-f", formats[which], writable ? image[which] : "-r",
               writable ? NULL : image[which], NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    h.in = in[1];
    h.out = out[0];
    assert_true(write(h.in, "length\n", 7) == 7);
    /* its answer tells that the image is open */
    while (n < sizeof(got) - 1) {
        ssize_t r = read(h.out, got + n, sizeof(got) - 1 - n);

        if (r <= 0)
            fail_msg("qemu-io did not open the image: %.*s", (int)n, got);
        n += (size_t)r;
        got[n] = '\0';
        if (strstr(got, "MiB"))
            break;
    }
    return h;
}

static void let_go(struct holder h)
{
    close(h.in);
    waitpid(h.pid, NULL, 0);
    close(h.out);
}

static void test_against_qemu(void **state)
{
    (void)state;
    need_qemu();
    for (size_t i = 0; i < 2; i++) {
        struct holder h = hold(i, true);
        struct io *io = file_open(image[i], FILE_WRITE, &e);

        assert_ok(io, &e);
        assert_false(file_lock_test(io, FILE_LOCK_READ, &e));
        assert_int_equal(e.kind, ERR_BUSY);
        err_clear(&e);
        assert_false(file_lock(io, FILE_LOCK_READ, &e));
        err_clear(&e);
        assert_false(file_lock(io, FILE_LOCK_WRITE, &e));
        err_clear(&e);
        let_go(h);
        assert_ok(file_lock(io, FILE_LOCK_WRITE, &e), &e);
        io_free(io);
    }
}

/* A reading qemu lets us read; while it reads qcow2 it forbids us to write. */
static void test_beside_reading_qemu(void **state)
{
    (void)state;
    need_qemu();
    for (size_t i = 0; i < 2; i++) {
        struct holder h = hold(i, false);
        struct io *io = file_open(image[i], FILE_WRITE, &e);

        assert_ok(file_lock(io, FILE_LOCK_READ, &e), &e);
        assert_false(file_lock(io, FILE_LOCK_WRITE, &e) && formats[i][0] == 'q');
        err_clear(&e);
        let_go(h);
        io_free(io);
    }
}

static void test_qemu_against_us(void **state)
{
    (void)state;
    need_qemu();
    for (size_t i = 0; i < 2; i++) {
        struct io *io = file_open(image[i], FILE_WRITE, &e);

        assert_ok(file_lock(io, FILE_LOCK_READ, &e), &e);
        assert_int_equal(run("qemu-img info", i, "", ">/dev/null 2>&1"), 0);
        assert_int_equal(run("qemu-io", i, "-c 'write 0 512'", "2>&1 | grep -q 'Failed to get'"),
                         0);
        assert_ok(file_lock(io, FILE_LOCK_WRITE, &e), &e);
        assert_int_equal(run("qemu-io", i, "-c 'write 0 512'", "2>&1 | grep -q 'Failed to get'"),
                         0);
        if (i == 0)
            assert_int_not_equal(run("qemu-img info", i, "", ">/dev/null 2>&1"), 0);
        io_free(io);
        assert_int_equal(run("qemu-io", i, "-c 'write 0 512'", ">/dev/null 2>&1"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_among_us),
        cmocka_unit_test(test_against_qemu),
        cmocka_unit_test(test_beside_reading_qemu),
        cmocka_unit_test(test_qemu_against_us),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
