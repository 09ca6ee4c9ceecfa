/* label: quick
 * Error objects, fault points, messages and clocks. */
#include "err.h"

#include "bytes.h"
#include "clock.h"
#include "fault.h"
#include "log.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void test_first_wins(void **state)
{
    struct err e = ERR_INIT;

    (void)state;
    assert_false(err_while(&e, "doing nothing"));
    assert_int_equal(e.kind, ERR_NONE);
    assert_string_equal(e.text, "");
    assert_false(err_set(&e, ERR_FORMAT, "entry %d is bad", 7));
    assert_false(err_set(&e, ERR_IO, "later"));
    assert_false(err_errno(&e, ERR_IO, EIO, "later still"));
    assert_false(err_while(&e, "reading '%s'", "x"));
    assert_false(err_while(&e, "opening"));
    assert_int_equal(e.kind, ERR_FORMAT);
    assert_string_equal(e.text, "entry 7 is bad (while reading 'x') (while opening)");
    err_clear(&e);
    assert_int_equal(e.kind, ERR_NONE);
    assert_false(err_set(NULL, ERR_IO, "nobody listens"));
    assert_false(err_errno(NULL, ERR_IO, EIO, "nobody listens"));
    assert_false(err_while(NULL, "nobody listens"));
}

static void test_errno(void **state)
{
    static const struct {
        int number;
        enum err_kind kind;
        const char *text;
    } rows[] = {
        {EIO, ERR_IO, "writing: Input/output error"},
        {ENOSPC, ERR_SPACE, "writing: No space left on device"},
        {EDQUOT, ERR_SPACE, "writing: Disk quota exceeded"},
        {ENOMEM, ERR_MEMORY, "writing: Cannot allocate memory"},
        {99999, ERR_IO, "writing: unknown error"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = ERR_INIT;

        err_errno(&e, ERR_IO, rows[i].number, "writing");
        assert_int_equal(e.kind, rows[i].kind);
        assert_string_equal(e.text, rows[i].text);
    }
}

/* Long texts are cut, never overrun. */
static void test_long(void **state)
{
    struct err e = ERR_INIT;
    char text[3 * ERR_TEXT_MAX];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    err_errno(&e, ERR_IO, EIO, "%s", text);
    err_while(&e, "%s", text);
    assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
}

/* What users and scripts rely on: the exit statuses, and which result a fleet ends with. */
static void test_kinds(void **state)
{
    static const enum err_kind order[] = {ERR_NONE,  ERR_BUSY,   ERR_REFUSED, ERR_NETWORK,
                                          ERR_SPACE, ERR_GUEST,  ERR_CHANGED, ERR_IO,
                                          ERR_GATE,  ERR_FORMAT, ERR_DIFFERS, ERR_BUG};

    (void)state;
    for (size_t i = 0; i + 1 < ARRAY_LEN(order); i++) {
        assert_int_equal(err_graver(order[i], order[i + 1]), order[i + 1]);
        assert_int_equal(err_graver(order[i + 1], order[i]), order[i + 1]);
    }
    assert_int_equal(err_exit_status(ERR_NONE), 0);
    assert_int_equal(err_exit_status(ERR_GATE), 9);
    assert_int_equal(err_exit_status(ERR_CHANGED), 11);
    assert_int_equal(err_exit_status(ERR_BUG), 70);
    assert_int_equal(err_exit_status(ERR_INTERRUPTED), 130);
    assert_string_equal(err_kind_name(ERR_SPACE), "SPACE");
    assert_true(err_worth_retrying(ERR_NETWORK));
    assert_false(err_worth_retrying(ERR_IO));
}

static void test_faults(void **state)
{
    (void)state;
    assert_false(fault_point("x"));
    fault_count();
    assert_false(fault_point("x") || fault_point("y"));
    assert_int_equal(fault_disarm(), 2);
    fault_arm(2);
    assert_false(fault_point("x"));
    assert_true(fault_point("x"));
    assert_false(fault_point("x"));
    assert_int_equal(fault_disarm(), 3);
    assert_false(fault_point("x"));
}

static char said[100];
static enum log_level said_level;

static void hear(void *user, enum log_level level, const char *text)
{
    *(int *)user += 1;
    said_level = level;
    snprintf(said, sizeof(said), "%s", text);
}

static void test_log(void **state)
{
    int count = 0;

    (void)state;
    log_warn("nobody hears %d", 1);
    log_to(hear, &count);
    log_detail("file %d", 2);
    assert_string_equal(said, "file 2");
    assert_int_equal(said_level, LOG_DETAIL);
    log_to(NULL, NULL);
    log_warn("nobody again");
    assert_int_equal(count, 1);
}

static void test_clock(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1795420800, "2026-11-23T08:00:00Z"},
        {-1, "1969-12-31T23:59:59Z"},
        {INT64_MAX, "9223372036854775807 s"},
    };
    char buf[CLOCK_TEXT_MAX];
    uint64_t before = clock_mono();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(clock_text(rows[i].seconds, buf), rows[i].text);
    assert_true(clock_now() > 1600000000);
    clock_fix(12345);
    assert_int_equal(clock_now(), 12345);
    assert_int_equal(clock_stamp(77), 77);
    clock_fix_stamp(88);
    assert_int_equal(clock_stamp(77), 88);
    assert_true(clock_mono() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_wins), cmocka_unit_test(test_errno),
        cmocka_unit_test(test_long),       cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_faults),     cmocka_unit_test(test_log),
        cmocka_unit_test(test_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
