/* label: quick
 * Outputs: names of parts, what is refused, and what is left after success, failure and a writer
 * that died. */
#include "output.h"

#include "bytes.h"
#include "driver.h"
#include "fault.h"
#include "file.h"
#include "formats.h"
#include "test.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct err e;
static char root[PATH_MAX];

static const char *in(const char *name)
{
    static char path[PATH_MAX + 300];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(in(name), "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static bool there(const char *name)
{
    struct stat st;

    return lstat(in(name), &st) == 0;
}

static int setup(void **state)
{
    (void)state;
    drivers_register(formats_table);
    assert_non_null(realpath(test_dir(), root));
    return 0;
}

static int each(void **state)
{
    (void)state;
    err_clear(&e);
    unlink(in("new.raw"));
    unlink(in(".strata-test-new.raw.part"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_rmdir();
    return 0;
}

static struct target *make_target(const char *name)
{
    const struct target_options wish = {
        .driver = driver_find("raw"), .name = name, .size = MIB, .sector_size = 512};
    struct target *t = target_new(&wish, &e);

    assert_ok(t, &e);
    return t;
}

static struct output *make_output(struct target *t)
{
    struct output *o = output_new(t, root, "test", &e);

    assert_ok(o, &e);
    return o;
}

/* ---- names ---- */

static void resolves(void **state)
{
    char *dir = NULL, *name = NULL;

    (void)state;
    assert_ok(output_resolve(in("not-there"), &dir, &name, &e), &e);
    assert_string_equal(dir, root);
    assert_string_equal(name, "not-there");
    free(TAKE(dir));
    free(TAKE(name));
    put("real", "x");
    assert_int_equal(symlink("real", in("link")), 0);
    assert_ok(output_resolve(in("link"), &dir, &name, &e), &e);
    assert_string_equal(name, "real");
    free(TAKE(dir));
    free(TAKE(name));
    assert_int_equal(symlink("nothing", in("dangling")), 0);
    assert_false(output_resolve(in("dangling"), &dir, &name, &e));
    assert_int_equal(e.kind, ERR_IO);
    err_clear(&e);
    assert_false(output_resolve(in("no/such/folder"), &dir, &name, &e));
    assert_non_null(strstr(e.text, "create it first"));
    err_clear(&e);
    assert_false(output_resolve(in("real/"), &dir, &name, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    err_clear(&e);
    assert_false(output_resolve("..", &dir, &name, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    assert_null(dir);
    assert_null(name);
}

static void names_parts(void **state)
{
    char *a = output_part("/d", "disk.raw", "job", &e), *b, longest[NAME_MAX + 1] = "";

    (void)state;
    assert_string_equal(a, "/d/.strata-job-disk.raw.part");
    free(a);
    a = output_part("/", "disk.raw", "job", &e);
    assert_string_equal(a, "/.strata-job-disk.raw.part");
    free(a);
    memset(longest, 'n', NAME_MAX);
    a = output_part("/d", longest, "job", &e);
    assert_int_equal(strlen(a), strlen("/d/") + NAME_MAX);
    longest[NAME_MAX - 1] = 'm'; /* differs in what is cut off */
    b = output_part("/d", longest, "job", &e);
    assert_string_not_equal(a, b);
    free(a);
    free(b);
}

/* ---- files ---- */

static void publishes(void **state)
{
    struct target *t = make_target("new.raw");
    struct output *o = make_output(t);

    (void)state;
    assert_ok(output_create(o, 0, &e), &e);
    assert_true(there(".strata-test-new.raw.part"));
    assert_false(there("new.raw"));
    assert_true(t->files.items[0].io->fresh);
    assert_ok(io_write(t->files.items[0].io, 0, "data", 4, &e), &e);
    assert_ok(output_publish(o, true, &e), &e);
    assert_false(there(".strata-test-new.raw.part"));
    assert_true(there("new.raw"));
    output_discard(o); /* nothing is left to remove */
    assert_true(there("new.raw"));
    output_free(o);
    target_free(t);
}

static void discards(void **state)
{
    struct target *t = make_target("new.raw");
    struct output *o = make_output(t);

    (void)state;
    assert_ok(output_create(o, 0, &e), &e);
    output_discard(o);
    assert_false(there(".strata-test-new.raw.part"));
    output_free(o);
    target_free(t);
}

static void refuses_what_exists(void **state)
{
    struct target *t = make_target("new.raw");
    struct output *o = make_output(t);

    (void)state;
    put("new.raw", "old");
    assert_false(output_create(o, 0, &e));
    assert_int_equal(e.kind, ERR_REFUSED);
    assert_false(there(".strata-test-new.raw.part"));
    err_clear(&e);
    assert_ok(output_create(o, OUTPUT_OVERWRITE, &e), &e);
    assert_ok(output_publish(o, false, &e), &e);
    output_free(o);
    target_free(t);
    unlink(in("new.raw"));
    assert_int_equal(mkdir(in("new.raw"), 0700), 0);
    t = make_target("new.raw");
    o = make_output(t);
    assert_false(output_create(o, OUTPUT_OVERWRITE, &e));
    assert_int_equal(e.kind, ERR_REFUSED);
    output_free(o);
    target_free(t);
    rmdir(in("new.raw"));
}

/* Another process that opens the file and holds it. */
static pid_t hold(const char *name)
{
    int ready[2];
    char c;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct io *io = file_open(in(name), FILE_WRITE, NULL);

        c = io && file_lock(io, FILE_LOCK_WRITE, NULL) ? 'y' : 'n';
        if (write(ready[1], &c, 1) == 1)
            pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void release(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void respects_holders(void **state)
{
    struct target *t = make_target("new.raw");
    struct output *o = make_output(t);
    pid_t pid;

    (void)state;
    put(".strata-test-new.raw.part", "half");
    pid = hold(".strata-test-new.raw.part");
    assert_false(output_create(o, 0, &e));
    assert_int_equal(e.kind, ERR_BUSY);
    assert_true(there(".strata-test-new.raw.part"));
    release(pid);
    err_clear(&e);
    assert_ok(output_create(o, 0, &e), &e); /* its writer is gone: made anew */
    assert_int_equal(t->files.items[0].io->size, 0);
    output_discard(o);
    put("new.raw", "running");
    pid = hold("new.raw");
    assert_false(output_create(o, OUTPUT_OVERWRITE, &e));
    assert_int_equal(e.kind, ERR_BUSY);
    assert_false(there(".strata-test-new.raw.part"));
    release(pid);
    output_free(o);
    target_free(t);
}

static void resumes(void **state)
{
    struct target *t = make_target("new.raw");
    struct output *o = make_output(t);

    (void)state;
    assert_false(output_create(o, OUTPUT_RESUME, &e));
    assert_int_equal(e.kind, ERR_CHANGED);
    err_clear(&e);
    put(".strata-test-new.raw.part", "half");
    assert_ok(output_create(o, OUTPUT_RESUME, &e), &e);
    assert_int_equal(t->files.items[0].io->size, 4);
    assert_false(t->files.items[0].io->fresh);
    output_free(o); /* leaves the part for another time */
    target_free(t);
    assert_true(there(".strata-test-new.raw.part"));
}

static void renames_once(void **state)
{
    struct stat st;

    (void)state;
    put(".strata-test-new.raw.part", "all");
    assert_int_equal(stat(in(".strata-test-new.raw.part"), &st), 0);
    char *part = strdup(in(".strata-test-new.raw.part"));
    char *final = strdup(in("new.raw"));
    assert_ok(output_rename(part, final, st.st_ino, &e), &e);
    assert_ok(output_rename(part, final, st.st_ino, &e), &e); /* after a crash: already done */
    assert_false(output_rename(part, final, st.st_ino + 1, &e));
    assert_int_equal(e.kind, ERR_IO);
    free(part);
    free(final);
}

static void stays_apart_from_the_source(void **state)
{
    const struct image_options options = {.format = "raw", .lock = IMAGE_LOCK_READ};
    struct target *t = make_target("new.raw");
    struct output *o = make_output(t);
    struct image *img;

    (void)state;
    put("source.raw", "source");
    assert_int_equal(truncate(in("source.raw"), 4096), 0);
    img = image_open(in("source.raw"), &options, &e);
    assert_ok(img, &e);
    assert_ok(output_apart(o, img, &e), &e);
    char *other = strdup(in("new.raw"));
    assert_int_equal(link(in("source.raw"), other), 0); /* the same file by another name */
    assert_false(output_apart(o, img, &e));
    assert_int_equal(e.kind, ERR_REFUSED);
    free(other);
    image_free(img);
    output_free(o);
    target_free(t);
}

/* Every fault point of making and publishing fails once: an error, and no part is left, but for one
 * that another process seems to hold; the next writer removes that. */
static void survives_faults(void **state)
{
    long points = 0;

    (void)state;
    for (long nth = 0; nth == 0 || nth <= points; nth++) {
        struct target *t = make_target("new.raw");
        struct output *o;
        bool ok;

        err_clear(&e);
        if (nth == 0)
            fault_count();
        else
            fault_arm(nth);
        o = output_new(t, root, "test", &e);
        ok = o && output_create(o, OUTPUT_OVERWRITE, &e) && output_publish(o, true, &e);
        if (nth == 0)
            points = fault_disarm();
        else
            fault_disarm();
        if (nth == 0)
            assert_ok(ok, &e);
        else if (!ok)
            assert_int_not_equal(e.kind, ERR_NONE);
        if (o)
            output_discard(o);
        if (e.kind != ERR_BUSY && there(".strata-test-new.raw.part"))
            fail_msg("fault point %ld left the part: %s", nth, e.text);
        output_free(o);
        target_free(t);
    }
    assert_true(points > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(resolves, each),
        cmocka_unit_test_setup(names_parts, each),
        cmocka_unit_test_setup(publishes, each),
        cmocka_unit_test_setup(discards, each),
        cmocka_unit_test_setup(refuses_what_exists, each),
        cmocka_unit_test_setup(respects_holders, each),
        cmocka_unit_test_setup(resumes, each),
        cmocka_unit_test_setup(renames_once, each),
        cmocka_unit_test_setup(stays_apart_from_the_source, each),
        cmocka_unit_test_setup(survives_faults, each),
    };

    return cmocka_run_group_tests_name("output", tests, setup, teardown);
}
