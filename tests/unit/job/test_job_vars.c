/* Variables and secrets: both steps of expansion, and where values come from.
 * label: quick */
#include "test.h"

#include "job_fixture.h"

#include <unistd.h>

#define HEAD "strata: 1\nname: n\n"

static void test_expand(void **state)
{
    static const struct {
        const char *text;
        int index;
        const char *id, *date, *want; /* `want` NULL: an error */
    } cases[] = {
        {"plain", -1, NULL, NULL, "plain"},
        {"", -1, NULL, NULL, ""},
        {"x-${disk}-${disk_id}", 1, "scsi0:1", NULL, "x-1-scsi0:1"},
        {"x-${date}", -1, NULL, "2026-11-23", "x-2026-11-23"},
        {"x-${disk}", -1, NULL, NULL, NULL},
        {"x-${disk_id}", 0, NULL, NULL, NULL},
        {"x-${date}", 0, "a", NULL, NULL},
        {"x-${other}", 0, "a", "d", NULL},
        {"x-${disk", 0, "a", "d", NULL},
        {"$${disk} $ {disk} $$ ${disk}", 2, "a", "d", "${disk} $ {disk} $$ 2"},
        {"?${secret:s}&n=${disk}", 2, "a", "d", "?${secret:s}&n=2"},
        {"?${secret:s}&n=$${disk}", 2, "a", "d", "?${secret:s}&n=$${disk}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct expand_disk disk = {cases[i].index, cases[i].id};
        struct err e = ERR_INIT;
        char *text = job_expand(cases[i].text, &disk, cases[i].date, &e);

        if (cases[i].want) {
            assert_ok(text, &e);
            assert_string_equal(text, cases[i].want);
        } else {
            assert_null(text);
            assert_int_equal(e.kind, ERR_USAGE);
        }
        free(text);
    }
}

/* What a text of a stage is after loading, and after job_expand for disk 0. */
static void test_loading(void **state)
{
    static const struct {
        const char *text, *loaded, *want;
    } cases[] = {
        {"${job}/${machine}", "n/a", "n/a"}, {"${one}", "1", "1"},
        {"${two}", "1 and 1", "1 and 1"},    {"${mine}", "m1", "m1"},
        {"${over}", "machine", "machine"},   {"${given}", "line", "line"},
        {"${later}", "d${disk}", "d0"},      {"${env:JOB_TEST_TEXT}", "$${disk}x", "${disk}x"},
        {"$${one}", "$${one}", "${one}"},    {"$one {one} $", "$one {one} $", "$one {one} $"},
    };
    struct job_overrides o = {0};

    (void)state;
    assert_int_equal(setenv("JOB_TEST_TEXT", "${disk}x", 1), 0);
    assert_true(opt_texts_add(&o.vars, "given=line", NULL));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct expand_disk disk = {0, "scsi0:0"};
        struct err e = ERR_INIT;
        const struct fake_convert *c;
        struct buf text = {0};
        struct loaded l;
        char *done;

        buf_format(&text,
                   HEAD "vars: {one: 1, two: '${one} and ${one}', over: job, given: job, later: "
                        "'d${disk}'}\n"
                        "machines: [{name: a, source: s, vars: {mine: 'm${one}', over: machine, "
                        "given: machine}}]\nstages: [{convert: {format: '%s'}}]\n",
                   cases[i].text);
        load(&l, text.data, &o);
        assert_loaded(&l);
        c = l.job->machines[0].stages[0].options;
        assert_string_equal(c->format, cases[i].loaded);
        done = job_expand(c->format, &disk, NULL, &e);
        assert_ok(done, &e);
        assert_string_equal(done, cases[i].want);
        free(done);
        buf_release(&text);
        unload(&l);
    }
    opt_texts_release(&o.vars);
}

/* Texts outside stages are final at once. */
static void test_final(void **state)
{
    struct loaded l;

    (void)state;
    load(&l,
         HEAD "vars: {d: '$${x}'}\nworkdir: '/w/$${disk}/${d}'\n"
              "machines: [{name: a, source: 'h://h/${machine}?${secret:s}'}]\n"
              "secrets: {s: {env: X}}\nstages: [preflight]\n",
         NULL);
    assert_loaded(&l);
    assert_string_equal(l.job->workdir, "/w/${disk}/${x}");
    assert_string_equal(l.job->machines[0].source, "h://h/a?${secret:s}");
    unload(&l);
}

static void test_overrides(void **state)
{
    static const struct {
        const char *var, *want;
    } cases[] = {
        {"novalue", "--var 'novalue' is not of the form name=value"},
        {"a b=c", "'a b' cannot be a variable"},
        {"=c", "'' cannot be a variable"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct job_overrides o = {0};
        struct loaded l;

        assert_true(opt_texts_add(&o.vars, cases[i].var, NULL));
        load(&l, HEAD "machines: [{name: a, source: s}]\nstages: [preflight]\n", &o);
        assert_null(l.job);
        assert_int_equal(l.e.kind, ERR_USAGE);
        assert_non_null(strstr(l.e.text, cases[i].want));
        opt_texts_release(&o.vars);
        unload(&l);
    }
}

#define SECRETS                                                                                    \
    HEAD "machines: [{name: a, source: s}]\nstages: [preflight]\nsecrets:\n"                       \
         "  env: {env: JOB_TEST_SECRET}\n  noenv: {env: JOB_TEST_NONE}\n"                          \
         "  file: {file: key}\n  nofile: {file: none}\n  emptyfile: {file: empty}\n"               \
         "  cred: {credential: c}\n"                                                               \
         "  command: {command: [sh, -c, 'echo $0', '${machine}-${upload_size}']}\n"                \
         "  script: {command: ./grant}\n"                                                          \
         "  failing: {command: ['false']}\n  missing: {command: [no-such-program-here]}\n"         \
         "  silent: {command: ['true']}\n  loud: {command: [sh, -c, 'yes | head -c 200000']}\n"

static void test_secrets(void **state)
{
    static const struct {
        const char *name, *want;
        bool ok;
    } cases[] = {
        {"env", "from the environment", true},
        {"noenv", "the secret 'noenv' is not to be had: the environment has no 'JOB_TEST_NONE'",
         false},
        {"file", "from a file", true},
        {"nofile", "the secret 'nofile' is not to be had: cannot read", false},
        {"emptyfile", "the secret 'emptyfile' is empty", false},
        {"cred", "from systemd", true},
        {"command", "a-77", true},
        {"script", "granted", true},
        {"failing", "its command failed (status 1)", false},
        {"missing", "cannot run 'no-such-program-here'", false},
        {"silent", "the secret 'silent' is empty", false},
        {"loud", "prints more than 64 KiB", false},
        {"none", "there is no secret 'none'", false},
    };
    struct opt_pairs values = {0};
    struct loaded l;

    (void)state;
    assert_int_equal(setenv("JOB_TEST_SECRET", "from the environment\n", 1), 0);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", below("creds"), 1), 0);
    put("key", "from a file\r\n\n");
    put("empty", "\n");
    put("creds/c", "from systemd\n");
    put("grant", "#!/bin/sh\necho granted\n");
    assert_int_equal(chmod(below("grant"), 0700), 0);
    assert_true(opt_pairs_add(&values, "machine", "a", NULL));
    assert_true(opt_pairs_add(&values, "upload_size", "77", NULL));
    load(&l, SECRETS, NULL);
    assert_loaded(&l);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        char *value = job_secret_for(l.job, cases[i].name, &values, &e);

        if (cases[i].ok) {
            assert_ok(value, &e);
            assert_string_equal(value, cases[i].want);
        } else {
            assert_null(value);
            if (!strstr(e.text, cases[i].want))
                fail_msg("'%s' is not in '%s'", cases[i].want, e.text);
        }
        free(value);
    }
    opt_pairs_release(&values);
    unload(&l);
}

static void test_no_credentials(void **state)
{
    struct err e = ERR_INIT;
    struct loaded l;

    (void)state;
    unsetenv("CREDENTIALS_DIRECTORY");
    load(&l, SECRETS, NULL);
    assert_loaded(&l);
    assert_null(job_secret(l.job, "cred", &e));
    assert_non_null(strstr(e.text, "LoadCredential=c"));
    err_clear(&e);
    assert_null(job_secret(l.job, "command", &e));
    assert_non_null(strstr(e.text, "'${machine}' has no value here"));
    unload(&l);
}

static void test_reveal(void **state)
{
    struct err e = ERR_INIT;
    struct loaded l;
    char *text;

    (void)state;
    assert_int_equal(setenv("JOB_TEST_SECRET", "a${b}", 1), 0);
    load(&l, SECRETS, NULL);
    assert_loaded(&l);
    text = job_reveal(l.job, "h://x?${secret:env}&$${y}", NULL, &e);
    assert_ok(text, &e);
    assert_string_equal(text, "h://x?a${b}&${y}");
    free(text);
    text = job_reveal(l.job, "plain ${x}", NULL, &e);
    assert_string_equal(text, "plain ${x}"); /* no secret: nothing is touched */
    free(text);
    assert_null(job_reveal(l.job, "${secret:noenv}", NULL, &e));
    unload(&l);
}

static int clean(void **state)
{
    (void)state;
    test_rmdir();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expand),  cmocka_unit_test(test_loading),
        cmocka_unit_test(test_final),   cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_secrets), cmocka_unit_test(test_no_credentials),
        cmocka_unit_test(test_reveal),
    };

    return cmocka_run_group_tests(tests, NULL, clean);
}
