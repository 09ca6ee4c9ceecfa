/* Mistakes as they are shown: order, source lines, carets.
 * label: quick */
#include "test.h"

#include "bytes.h"
#include "mistakes.h"

#include <stdlib.h>
#include <string.h>

static char *shown(struct mistakes *m)
{
    struct err e = ERR_INIT;
    struct buf out = {0};

    mistakes_text(m, &out);
    return buf_take(&out, &e);
}

static void test_shapes(void **state)
{
    static const struct {
        const char *source;
        struct mark at;
        const char *want;
    } cases[] = {
        {"one\ntwo\n", {2, 3}, "f:2:3: x\n  two\n    ^\n"},
        {"one", {1, 4}, "f:1:4: x\n  one\n     ^\n"},   /* behind the end of the line */
        {"one", {1, 6}, "f:1:6: x\n  one\n       ^\n"}, /* further behind it */
        {"one\n", {0, 0}, "f: x\n"},                    /* the file as a whole */
        {"one\n", {9, 1}, "f:9:1: x\n"},                /* no such line */
        {"\ta: b\n", {1, 5}, "f:1:5: x\n   a: b\n      ^\n"},
        {"\xc3\xbc\xc3\xbc: x\n", {1, 3}, "f:1:3: x\n  \xc3\xbc\xc3\xbc: x\n    ^\n"},
        {"a\x1b[2J\xffz\n", {1, 2}, "f:1:2: x\n  a?[2J?z\n   ^\n"},
        {"a\xc2\x9bz\r\nb", {1, 1}, "f:1:1: x\n  a?z\n  ^\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mistakes m = {.file = strdup("f"), .source = strdup(cases[i].source)};
        char *text;

        mistake_add(&m, cases[i].at, "%s", "x");
        text = shown(&m);
        assert_string_equal(text, cases[i].want);
        free(text);
        mistakes_release(&m);
    }
}

/* A long line is shown around the caret. */
static void test_long_line(void **state)
{
    struct mistakes m = {.file = strdup("f")};
    char *text, *line, *caret;

    (void)state;
    m.source = malloc(5001);
    memset(m.source, 'a', 5000);
    m.source[5000] = '\0';
    m.source[2999] = 'X';
    mistake_add(&m, (struct mark){1, 3000}, "x");
    text = shown(&m);
    line = strchr(text, '\n') + 1;
    caret = strchr(line, '\n') + 1;
    assert_true(caret - line < 130);
    assert_int_equal(line[strcspn(caret, "^")], 'X');
    free(text);
    mistakes_release(&m);
}

static void test_order_and_repeats(void **state)
{
    struct mistakes m = {.file = strdup("f"), .source = strdup("one\ntwo\n")};
    char *text;

    (void)state;
    mistake_add(&m, (struct mark){2, 1}, "second");
    mistake_add(&m, (struct mark){1, 2}, "first");
    mistake_add(&m, (struct mark){2, 1}, "second");
    text = shown(&m);
    assert_string_equal(text, "f:1:2: first\n  one\n   ^\nf:2:1: second\n  two\n  ^\n");
    free(text);
    mistakes_release(&m);
}

static void test_hidden(void **state)
{
    struct mistakes m = {.file = strdup("f"), .source = strdup("key: value\n")};
    char *text;

    (void)state;
    mistakes_hide(&m, (struct mark){1, 6});
    mistake_add(&m, (struct mark){1, 1}, "x");
    text = shown(&m);
    assert_string_equal(text, "f:1:1: x\n");
    free(text);
    mistakes_release(&m);
}

static void test_many(void **state)
{
    struct mistakes m = {.file = strdup("f")};
    char *text;

    (void)state;
    for (unsigned i = 0; i < MISTAKES_MAX + 7; i++)
        mistake_add(&m, (struct mark){i + 1, 1}, "x");
    assert_int_equal(m.list.count, MISTAKES_MAX);
    text = shown(&m);
    assert_non_null(strstr(text, "f: and 7 more\n"));
    free(text);
    mistakes_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_order_and_repeats),
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
