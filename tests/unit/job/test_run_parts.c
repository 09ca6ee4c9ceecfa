/* The small parts of a run: windows, messages between processes, identities, findings.
 * label: quick */
#include "test.h"

#include "buf.h"
#include "bytes.h"
#include "identity.h"
#include "machine_run.h"
#include "run_children.h"
#include "run_window.h"
#include "stage.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

/* Seconds since 1970 of a local time on some day. */
static int64_t at(int hour, int minute)
{
    struct tm tm = {.tm_year = 126, .tm_mon = 10, .tm_mday = 23, .tm_isdst = -1};

    tm.tm_hour = hour;
    tm.tm_min = minute;
    return (int64_t)mktime(&tm);
}

static void test_window(void **unused)
{
    static const struct {
        const char *window;
        int hour, minute;
        bool inside;
    } cases[] = {
        {NULL, 12, 0, true},           {"22:00-05:00", 23, 0, true},  {"22:00-05:00", 4, 59, true},
        {"22:00-05:00", 5, 0, false},  {"22:00-05:00", 12, 0, false}, {"08:30-17:00", 8, 30, true},
        {"08:30-17:00", 8, 29, false}, {"08:30-17:00", 17, 0, false},
    };
    static const char *const wrong[] = {"", "22-05", "25:00-05:00", "22:00-05:61", "22:00-05:00 x"};
    struct err e = ERR_INIT;
    bool inside;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_ok(window_open(cases[i].window, at(cases[i].hour, cases[i].minute), &inside, &e),
                  &e);
        assert_int_equal(inside, cases[i].inside);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_false(window_open(wrong[i], at(1, 0), &inside, &e));
        assert_int_equal(e.kind, ERR_USAGE);
        err_clear(&e);
    }
}

static void test_messages(void **unused)
{
    struct event ev = {.kind = EVENT_PROGRESS,
                       .time = 1700000000,
                       .job = "j",
                       .machine = "m",
                       .stage = "",
                       .done = 5,
                       .total = UINT64_MAX,
                       .unit = "bytes",
                       .text = "t"};
    struct machine_result r = {.machine = (char *)"m", .kind = ERR_SPACE, .text = (char *)"full"};
    struct event ev_back;
    struct machine_result r_back;
    struct buf out = {0};

    (void)unused;
    assert_true(event_pack(&ev, &out));
    assert_true(event_unpack(out.data, out.len, &ev_back));
    assert_int_equal(ev_back.kind, EVENT_PROGRESS);
    assert_true(ev_back.total == UINT64_MAX);
    assert_string_equal(ev_back.stage, "");
    assert_null(ev_back.disk);
    event_release(&ev_back);
    for (size_t cut = 0; cut < out.len; cut++)
        assert_false(event_unpack(out.data, cut, &ev_back));
    buf_clear(&out);
    assert_true(result_pack(&r, &out));
    assert_true(result_unpack(out.data, out.len, &r_back));
    assert_int_equal(r_back.kind, ERR_SPACE);
    assert_int_equal(r_back.status, 5);
    assert_string_equal(r_back.text, "full");
    machine_result_release(&r_back);
    for (size_t cut = 0; cut < out.len; cut++)
        assert_false(result_unpack(out.data, cut, &r_back));
    buf_release(&out);
}

struct fake_options {
    char *to;
    uint64_t workers;
};
static const struct opt_row fake_rows[] = {
    {.key = "to", .type = OPT_TEXT, .at = OPT_AT(struct fake_options, to, char *)},
    {.key = "workers",
     .type = OPT_COUNT,
     .flags = OPT_POLICY,
     .at = OPT_AT(struct fake_options, workers, uint64_t)},
    {0},
};
static const struct stage altering = {.name = "alter",
                                      .flags = STAGE_ALTERS,
                                      .options = fake_rows,
                                      .options_size = sizeof(fake_rows)};
static const struct stage looking = {.name = "look", .options = fake_rows};

static struct digest_value *identities(struct fake_options options[3], const char *path,
                                       int64_t ctime, const char *date)
{
    struct job_stage stages[] = {{.stage = &looking, .options = &options[0]},
                                 {.stage = &altering, .options = &options[1]},
                                 {.stage = &looking, .options = &options[2]}};
    struct machine machine = {.name = (char *)"m", .stages = stages, .stage_count = 3};
    struct source_disk disk = {.id = (char *)"disk0", .path = (char *)path};
    struct source source = {.disks = &disk, .disk_count = 1};
    struct source_fact fact = {.path = (char *)path, .ctime_ns = ctime};
    struct source_facts facts = {.items = &fact, .count = 1};
    struct err e = ERR_INIT;
    struct digest_value *list = identity_stages(&machine, &source, &facts, date, &e);

    assert_ok(list, &e);
    return list;
}

/* What a change of one thing does to the identities of the three stages: looking, altering,
 * looking. */
static void test_identities(void **unused)
{
    static const struct {
        const char *what, *changes; /* a letter per stage: = same, x other */
        struct fake_options options[3];
        const char *path;
        int64_t ctime;
        const char *date;
    } cases[] = {
        {"nothing", "===", {{(char *)"a", 1}, {(char *)"b", 1}, {(char *)"c", 1}}, "/d", 1, "2026"},
        {"policy", "===", {{(char *)"a", 2}, {(char *)"b", 3}, {(char *)"c", 4}}, "/d", 1, "2026"},
        {"a date nobody uses",
         "===",
         {{(char *)"a", 1}, {(char *)"b", 1}, {(char *)"c", 1}},
         "/d",
         1,
         "2027"},
        {"an early look",
         "x==",
         {{(char *)"z", 1}, {(char *)"b", 1}, {(char *)"c", 1}},
         "/d",
         1,
         "2026"},
        {"what alters",
         "=xx",
         {{(char *)"a", 1}, {(char *)"z", 1}, {(char *)"c", 1}},
         "/d",
         1,
         "2026"},
        {"a late look",
         "==x",
         {{(char *)"a", 1}, {(char *)"b", 1}, {(char *)"z", 1}},
         "/d",
         1,
         "2026"},
        {"the source",
         "xxx",
         {{(char *)"a", 1}, {(char *)"b", 1}, {(char *)"c", 1}},
         "/e",
         1,
         "2026"},
        {"its change time",
         "xxx",
         {{(char *)"a", 1}, {(char *)"b", 1}, {(char *)"c", 1}},
         "/d",
         2,
         "2026"},
    };
    struct fake_options base[3];
    struct digest_value *was, *is;

    (void)unused;
    memcpy(base, cases[0].options, sizeof(base));
    was = identities(base, "/d", 1, "2026");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fake_options options[3];

        memcpy(options, cases[i].options, sizeof(options));
        is = identities(options, cases[i].path, cases[i].ctime, cases[i].date);
        for (size_t n = 0; n < 3; n++) {
            bool same = !memcmp(&was[n], &is[n], sizeof(*is));

            if (same != (cases[i].changes[n] == '='))
                fail_msg("%s: stage %zu is %s", cases[i].what, n, same ? "the same" : "another");
        }
        free(is);
    }
    free(was);
    base[1].to = (char *)"${date}";
    was = identities(base, "/d", 1, "2026");
    is = identities(base, "/d", 1, "2027");
    assert_memory_equal(&was[0], &is[0], sizeof(*is));
    assert_memory_not_equal(&was[1], &is[1], sizeof(*is));
    free(was);
    free(is);
}

static void test_facts(void **unused)
{
    struct source_facts facts = {0};
    struct err e = ERR_INIT;
    char path[700];
    struct timeval past[2] = {{1600000000, 0}, {1600000000, 0}};
    FILE *f;

    (void)unused;
    snprintf(path, sizeof(path), "%s/source", test_dir());
    f = fopen(path, "w");
    fputs("12345", f);
    fclose(f);
    utimes(path, past);
    assert_ok(facts_add_path(&facts, path, &e), &e);
    assert_ok(facts_add_path(&facts, path, &e), &e);
    assert_int_equal(facts.count, 1);
    assert_int_equal(facts_mtime(&facts), 1600000000);
    assert_ok(facts_hold(&facts, &e), &e);
    f = fopen(path, "a");
    fputs("6", f);
    fclose(f);
    assert_false(facts_hold(&facts, &e));
    assert_int_equal(e.kind, ERR_CHANGED);
    assert_non_null(strstr(e.text, "5 bytes and has 6"));
    err_clear(&e);
    f = fopen(path, "r+");
    assert_int_equal(truncate(path, 5), 0);
    fclose(f);
    assert_false(facts_hold(&facts, &e));
    assert_non_null(strstr(e.text, "modification time"));
    err_clear(&e);
    utimes(path, past);
    assert_false(facts_hold(&facts, &e));
    assert_non_null(strstr(e.text, "change time"));
    err_clear(&e);
    remove(path);
    assert_false(facts_hold(&facts, &e));
    assert_int_equal(e.kind, ERR_CHANGED);
    source_facts_release(&facts);
    test_rmdir();
}

static void test_content(void **unused)
{
    struct digest_value a, b;
    struct err e = ERR_INIT;

    (void)unused;
    assert_true(identity_content("j", "m", "d", "raw", "x", 1, 2, &a, &e));
    assert_true(identity_content("j", "m", "d", "raw", "x", 1, 2, &b, &e));
    assert_memory_equal(&a, &b, sizeof(a));
    assert_true(identity_content("j", "m", "d", "raw", "x", 1, 3, &b, &e));
    assert_memory_not_equal(&a, &b, sizeof(a));
    assert_true(identity_content("jm", "", "d", "raw", "x", 1, 2, &b, &e));
    assert_memory_not_equal(&a, &b, sizeof(a));
}

/* Only what is no matter of the chain, of damage or of the target can be accepted. */
static void test_accept(void **unused)
{
    static const struct {
        const char *id;
        bool accepted;
    } cases[] = {
        {"table.past-end", true}, {"space.free", true},
        {"vmware.lock", true},    {"chain.damaged", false},
        {"image.corrupt", false}, {"disk.in-use", false},
        {"target.exists", false}, {"table.overlap", false /* not named */},
    };
    struct machine_plan plan = {0};
    struct opt_pairs accept = {0};
    struct machine_run m = {.plan = &plan, .accept = &accept};
    struct err e = ERR_INIT;

    (void)unused;
    for (size_t i = 0; i + 1 < ARRAY_LEN(cases); i++)
        assert_ok(opt_pairs_add(&accept, cases[i].id, "a reason", &e), &e);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_ok(plan_finding(&m, cases[i].id, LAYER_FILE, SEVERITY_CRITICAL, ERR_REFUSED, "d",
                               NULL, &e, "text %d", 1),
                  &e);
        assert_string_equal(plan.findings.items[i].text, "text 1");
        assert_int_equal(plan.findings.items[i].accepted != NULL, cases[i].accepted);
    }
    machine_plan_release(&plan);
    opt_pairs_release(&accept);
}

static void test_layers(void **unused)
{
    char buf[32];

    (void)unused;
    assert_string_equal(stage_layers_text(0, buf), "");
    assert_string_equal(stage_layers_text(LAYER_CONTAINER | LAYER_TABLE, buf), "L2 L4");
    assert_string_equal(stage_layers_text(127, buf), "L1 L2 L3 L4 L5 L6 L7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window),     cmocka_unit_test(test_messages),
        cmocka_unit_test(test_identities), cmocka_unit_test(test_facts),
        cmocka_unit_test(test_content),    cmocka_unit_test(test_accept),
        cmocka_unit_test(test_layers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
