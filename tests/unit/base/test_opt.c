/* label: quick
 * Option rows: every type's spellings, bounds, presets, assignments and ownership. */
#include "opt.h"

#include "bytes.h"
#include "fault.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static struct err e;

struct inner {
    uint64_t depth;
    char *label;
};

struct sample {
    bool flag;
    uint64_t count, size, wait;
    uint32_t share;
    char *name;
    int mode;
    struct opt_texts list;
    struct opt_pairs map;
    struct inner inner;
};

static bool no_spaces(const char *text, struct err *err)
{
    return !strchr(text, ' ') || err_set(err, ERR_USAGE, "'%s' has a space", text);
}

static const char *const modes[] = {"off", "fast", "slow", NULL};

static const struct opt_row inner_rows[] = {
    {.key = "depth", .type = OPT_COUNT, .at = OPT_AT(struct inner, depth, uint64_t), .preset = "3"},
    {.key = "label", .type = OPT_TEXT, .at = OPT_AT(struct inner, label, char *), .preset = "deep"},
    {0},
};

static const struct opt_row rows[] = {
    {.key = "flag", .type = OPT_BOOL, .at = OPT_AT(struct sample, flag, bool), .preset = "yes"},
    {.key = "count",
     .type = OPT_COUNT,
     .at = OPT_AT(struct sample, count, uint64_t),
     .min = 1,
     .max = 64,
     .preset = "4"},
    {.key = "size",
     .type = OPT_SIZE,
     .flags = OPT_POW2,
     .min = 512,
     .max = 2 << 20,
     .at = OPT_AT(struct sample, size, uint64_t),
     .preset = "64K"},
    {.key = "wait", .type = OPT_DURATION, .at = OPT_AT(struct sample, wait, uint64_t), .min = 60},
    {.key = "share",
     .type = OPT_PERCENT,
     .at = OPT_AT(struct sample, share, uint32_t),
     .max = 10000,
     .preset = "12.5%"},
    {.key = "name",
     .type = OPT_TEXT,
     .at = OPT_AT(struct sample, name, char *),
     .check = no_spaces,
     .preset = "none"},
    {.key = "mode",
     .type = OPT_WORD,
     .at = OPT_AT(struct sample, mode, int),
     .words = modes,
     .preset = "fast"},
    {.key = "list", .type = OPT_TEXTS, .at = OPT_AT(struct sample, list, struct opt_texts)},
    {.key = "map", .type = OPT_PAIRS, .at = OPT_AT(struct sample, map, struct opt_pairs)},
    {.key = "inner",
     .type = OPT_MAP,
     .at = OPT_AT(struct sample, inner, struct inner),
     .sub = inner_rows},
    {0},
};

static void test_presets(void **state)
{
    struct sample s = {0};

    (void)state;
    e = ERR_INIT;
    assert_ok(opt_presets(rows, &s, &e), &e);
    assert_true(s.flag);
    assert_int_equal(s.count, 4);
    assert_int_equal(s.size, 65536);
    assert_int_equal(s.wait, 0);
    assert_int_equal(s.share, 1250);
    assert_string_equal(s.name, "none");
    assert_int_equal(s.mode, 1);
    assert_int_equal(s.inner.depth, 3);
    assert_string_equal(s.inner.label, "deep");
    opt_release(rows, &s);
    assert_null(s.name);
    assert_null(s.inner.label);
    opt_release(rows, &s); /* once more does no harm */
}

/* Assignments, and the value as it reads afterwards, or the words of the refusal. */
static void test_assign(void **state)
{
    static const struct {
        const char *text, *value, *words;
    } cases[] = {
        {"flag=no", "no", NULL},
        {"flag=FALSE", "no", NULL},
        {"flag=on", "yes", NULL},
        {"flag=1", NULL, "neither yes nor no"},
        {"count=64", "64", NULL},
        {"count=65", NULL, "out of range: 1 to 64"},
        {"count=0", NULL, "out of range"},
        {"count=-1", NULL, "not a number"},
        {"count=4x", NULL, "not a number"},
        {"count=", NULL, "not a number"},
        {"count=18446744073709551617", NULL, "not a number"},
        {"size=2M", "2097152", NULL},
        {"size=4M", NULL, "out of range: 512 bytes to 2 MiB"},
        {"size=96K", NULL, "not a power of two"},
        {"size=big", NULL, "not a size"},
        {"wait=1h", "3600s", NULL},
        {"wait=59s", NULL, "too small: at least 1m00s"},
        {"share=10%", "10%", NULL},
        {"share=10", "10%", NULL},
        {"share=99.99%", "99.99%", NULL},
        {"share=101%", NULL, "out of range: 0% to 100%"},
        {"share=nan", NULL, "not a percentage"},
        {"share=0x10", NULL, "not a percentage"},
        {"share=-1", NULL, "not a percentage"},
        {"share=5%%", NULL, "not a percentage"},
        {"name=a=b", "a=b", NULL},
        {"name=", "", NULL},
        {"name=a b", NULL, "has a space (while setting 'name')"},
        {"mode=slow", "slow", NULL},
        {"mode=Slow", NULL, "not one of: off, fast, slow"},
        {"flog=yes", NULL, "there is no option 'flog'; did you mean 'flag'?"},
        {"zzzzzz=yes", NULL, "there is no option 'zzzzzz'"},
        {"flag", NULL, "not of the form key=value"},
        {"map=x", NULL, "more than a single value"},
        {"inner=x", NULL, "more than a single value"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sample s = {0};
        bool ok;

        e = ERR_INIT;
        assert_ok(opt_presets(rows, &s, &e), &e);
        ok = opt_assign(rows, &s, cases[i].text, &e);
        if (ok != !cases[i].words)
            fail_msg("'%s': %s", cases[i].text, ok ? "taken" : e.text);
        if (ok) {
            char key[20] = "", *value;

            memcpy(key, cases[i].text, strcspn(cases[i].text, "="));
            value = opt_value(opt_find(rows, key), &s, &e);
            assert_string_equal(value, cases[i].value);
            free(value);
        } else {
            assert_int_equal(e.kind, ERR_USAGE);
            if (!strstr(e.text, cases[i].words))
                fail_msg("'%s': %s", cases[i].text, e.text);
        }
        opt_release(rows, &s);
    }
}

static void test_lists(void **state)
{
    struct sample s = {0};

    (void)state;
    e = ERR_INIT;
    for (int i = 0; i < 20; i++)
        assert_ok(opt_assign(rows, &s, "list=x", &e), &e);
    assert_int_equal(s.list.count, 20);
    assert_ok(opt_pairs_add(&s.map, "k", "v", &e), &e);
    assert_ok(opt_pairs_add(&s.map, "k2", "v2", &e), &e);
    assert_string_equal(opt_pairs_get(&s.map, "k2"), "v2");
    assert_null(opt_pairs_get(&s.map, "k3"));
    assert_null(opt_value(opt_find(rows, "name"), &s, &e));
    assert_null(opt_value(opt_find(rows, "map"), &s, &e));
    opt_release(rows, &s);
    assert_int_equal(s.list.count, 0);
}

static void test_find(void **state)
{
    (void)state;
    assert_ptr_equal(opt_find(rows, "size"), &rows[2]);
    assert_null(opt_find(rows, "siz"));
    assert_null(opt_find(NULL, "size"));
    assert_string_equal(opt_nearest(rows, "siz"), "size");
    assert_null(opt_nearest(NULL, "size"));
}

/* Each allocation fails once; nothing leaks and the text says so. */
static void test_memory(void **state)
{
    long points;

    (void)state;
    fault_count();
    for (long nth = 0;; nth++) {
        struct sample s = {0};
        bool ok;

        e = ERR_INIT;
        fault_arm(nth);
        ok = opt_presets(rows, &s, &e) && opt_assign(rows, &s, "list=x", &e) &&
             opt_assign(rows, &s, "name=other", &e) && opt_pairs_add(&s.map, "a", "b", &e);
        points = fault_disarm();
        opt_release(rows, &s);
        assert_int_equal(ok, nth == 0 || nth > points);
        if (!ok)
            assert_int_equal(e.kind, ERR_MEMORY);
        if (nth > points)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets), cmocka_unit_test(test_assign), cmocka_unit_test(test_lists),
        cmocka_unit_test(test_find),    cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
