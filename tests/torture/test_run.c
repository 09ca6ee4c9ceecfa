/* Every fault point of a small plan and a small run fails in turn. The operation must fail cleanly
 * and say why, or succeed; the output is either absent or complete; and the same command afterwards
 * ends with the bytes of an undisturbed run and nothing left behind.
 * label: full
 * timeout: 1200 */
#include "test.h"

#include "bytes.h"
#include "fault.h"
#include "formats.h"
#include "job.h"
#include "plan.h"
#include "run.h"
#include "stages.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    ROUNDS_MAX = 1500, /* more points than that are sampled evenly */
    SOURCE_SIZE = 3 << 20,
};

static char *reference;
static size_t reference_len;

static void path_in(char out[700], const char *name)
{
    snprintf(out, 700, "%s/%s", test_dir(), name);
}

static void write_file(const char *name, const void *data, size_t len)
{
    char path[700];
    FILE *f;

    path_in(path, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}

static char *read_file(const char *name, size_t *ret_len)
{
    char path[700], *data = malloc(16 << 20);
    FILE *f;

    path_in(path, name);
    f = fopen(path, "r");
    if (!f) {
        free(data);
        return NULL;
    }
    *ret_len = fread(data, 1, 16 << 20, f);
    fclose(f);
    return data;
}

static void forget(const char *name)
{
    char command[800];

    snprintf(command, sizeof(command), "rm -rf '%s/%s'", test_dir(), name);
    assert_int_equal(system(command), 0);
}

static void fresh_folders(void)
{
    char path[700];

    forget("out");
    forget("state");
    path_in(path, "out");
    assert_int_equal(mkdir(path, 0777), 0);
}

static const char job_text[] =
    "strata: 1\n"
    "name: torture\n"
    "policy: {workers: 1}\n"
    "machines: [{name: m, disks: [{path: source.raw, format: raw}]}]\n"
    "stages: [preflight, consolidate, {convert: {format: qcow2, compression: zlib, to: "
    "out/m.qcow2}}, verify]\n";

static int setup(void **unused)
{
    uint8_t *data = calloc(1, SOURCE_SIZE);
    uint64_t seed = 7;

    (void)unused;
    drivers_register(formats_table);
    stages_register(stages_table);
    for (size_t i = 0; i < (512 << 10); i += 8)
        put_le64(data + (1 << 20) + i, test_random(&seed));
    memset(data + (2 << 20), 'x', 300 << 10);
    write_file("source.raw", data, SOURCE_SIZE);
    write_file("job.yaml", job_text, strlen(job_text));
    free(data);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    free(reference);
    test_rmdir();
    return 0;
}

static struct job *load(void)
{
    struct mistakes mistakes = {0};
    struct job_overrides overrides = {0};
    struct err e = ERR_INIT;
    struct job *job;
    char path[700];

    path_in(path, "job.yaml");
    job = job_load(path, &overrides, &mistakes, &e);
    assert_ok(job, &e);
    mistakes_release(&mistakes);
    return job;
}

static enum err_kind run_once(const struct job *job, char text[ERR_TEXT_MAX])
{
    struct machine_result result = {0};
    struct err e = ERR_INIT;
    char state[700];
    struct run_options options = {.state_dir = state};
    enum err_kind kind;

    path_in(state, "state");
    if (run_job(job, &options, &result, &e)) {
        kind = result.kind;
        snprintf(text, ERR_TEXT_MAX, "%s", result.text ? result.text : "");
    } else {
        kind = e.kind;
        snprintf(text, ERR_TEXT_MAX, "%s", e.text);
    }
    machine_result_release(&result);
    return kind;
}

/* The output is absent, or it is the reference. */
static void check_output(bool must_be_there, long nth, const char *text)
{
    size_t len = 0;
    char *data = read_file("out/m.qcow2", &len);

    if (!data && must_be_there)
        fail_msg("fault %ld: there is no output (%s)", nth, text);
    if (data && (len != reference_len || memcmp(data, reference, len) != 0))
        fail_msg("fault %ld: the output has other bytes (%s)", nth, text);
    free(data);
}

static void check_nothing_left(long nth)
{
    char path[700];
    struct dirent *entry;
    DIR *d;

    path_in(path, "out");
    d = opendir(path);
    while ((entry = readdir(d)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
            strcmp(entry->d_name, "m.qcow2"))
            fail_msg("fault %ld left '%s' behind", nth, entry->d_name);
    closedir(d);
}

static void test_run(void **unused)
{
    struct job *job = load();
    char text[ERR_TEXT_MAX];
    long points, step, failures = 0;

    (void)unused;
    fresh_folders();
    fault_count();
    if (run_once(job, text) != ERR_NONE)
        fail_msg("the undisturbed run failed: %s", text);
    points = fault_disarm();
    reference = read_file("out/m.qcow2", &reference_len);
    assert_non_null(reference);
    step = points / ROUNDS_MAX + 1;
    for (long nth = 1; nth <= points; nth += step) {
        enum err_kind kind;

        fresh_folders();
        fault_arm(nth);
        kind = run_once(job, text);
        fault_disarm();
        if (kind != ERR_NONE && !*text && kind != ERR_MEMORY)
            fail_msg("fault %ld: no word of why it failed", nth);
        if (kind == ERR_BUG)
            fail_msg("fault %ld: called a bug: %s", nth, text);
        failures += kind != ERR_NONE;
        check_output(kind == ERR_NONE, nth, text);
        if (run_once(job, text) != ERR_NONE)
            fail_msg("after fault %ld: %s", nth, text);
        check_output(true, nth, text);
        check_nothing_left(nth);
    }
    print_message("%ld of %ld fault points tried, %ld ended the run\n", (points + step - 1) / step,
                  points, failures);
    assert_true(failures > 100);
    job_free(job);
}

static void plan_once(const struct job *job, long nth, struct err *e)
{
    struct machine_plan plan = {0};
    char state[700];

    path_in(state, "state");
    if (!plan_machine(job, &job->machines[0], state, &plan, e)) {
        if (e->kind == ERR_NONE || e->kind == ERR_BUG || plan.verdict.kind == ERR_NONE)
            fail_msg("fault %ld: the plan failed without a good reason: %s", nth, e->text);
    }
    machine_plan_release(&plan);
}

static void test_plan(void **unused)
{
    struct job *job = load();
    struct err e = ERR_INIT;
    char state[700];
    struct stat st;
    long points;

    (void)unused;
    fresh_folders();
    fault_count();
    plan_once(job, 0, &e);
    assert_int_equal(e.kind, ERR_NONE);
    points = fault_disarm();
    for (long nth = 1; nth <= points; nth++) {
        fault_arm(nth);
        plan_once(job, nth, &e);
        fault_disarm();
        err_clear(&e);
    }
    check_nothing_left(0);
    path_in(state, "state");
    assert_int_not_equal(stat(state, &st), 0);
    job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plan), cmocka_unit_test(test_run)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
