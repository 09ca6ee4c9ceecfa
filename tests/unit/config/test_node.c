/* YAML to nodes: what is taken, and what is refused with its place.
 * label: quick */
#include "test.h"

#include "bytes.h"
#include "node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A tree on one line: maps in {}, lists in [], texts quoted when they were. */
static void dump(const struct node *n, struct buf *out)
{
    if (n->kind == NODE_SCALAR) {
        buf_format(out, n->quoted ? "'%s'" : "%s", node_null(n) ? "~" : n->text);
        return;
    }
    buf_char(out, n->kind == NODE_MAP ? '{' : '[');
    for (size_t i = 0; i < n->count; i++) {
        buf_text(out, i ? ", " : "");
        if (n->keys)
            buf_format(out, "%s: ", n->keys[i]);
        dump(n->items[i], out);
    }
    buf_char(out, n->kind == NODE_MAP ? '}' : ']');
}

static void test_trees(void **state)
{
    static const struct {
        const char *text, *tree;
    } cases[] = {
        {"a: 1\nb: [x, 'y', \"\"]\n", "{a: 1, b: [x, 'y', '']}"},
        {"a:\nb: ~\nc: null\nd: 'null'\n", "{a: ~, b: ~, c: ~, d: 'null'}"},
        {"- a\n- b: {c: d}\n-\n", "[a, {b: {c: d}}, ~]"},
        {"a: |\n  one\n  two\n", "{a: 'one\ntwo\n'}"},
        {"a: \"tab\there\" # and\there\nb: |\n  x\ty\n", "{a: 'tab\there', b: 'x\ty\n'}"},
        {"\xef\xbb\xbf"
         "a: \xc3\xbc\r\nb: 'x\ty'\r\n",
         "{a: \xc3\xbc, b: 'x\ty'}"},
        {"---\na: 1\n...\n", "{a: 1}"},
        {"", "~"},
        {"# only a comment\n", "~"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mistakes m = {0};
        struct err e = ERR_INIT;
        struct buf out = {0};
        struct node *n = node_parse("t", cases[i].text, strlen(cases[i].text), &m, &e);

        assert_ok(n, &e);
        assert_int_equal(m.list.count, 0);
        dump(n, &out);
        assert_string_equal(out.data, cases[i].tree);
        buf_release(&out);
        node_free(n);
        mistakes_release(&m);
    }
}

static void test_marks(void **state)
{
    static const char text[] = "\xc3\xbc: {b: c}\nlist:\n  - x\n  - yy\n";
    struct mistakes m = {0};
    struct err e = ERR_INIT;
    struct node *n = node_parse("t", text, strlen(text), &m, &e);
    const struct node *list = node_get(n, "list");

    (void)state;
    assert_ok(n, &e);
    assert_int_equal(n->items[0]->key_at[0].line, 1);
    assert_int_equal(n->items[0]->key_at[0].col, 5); /* columns are characters, not bytes */
    assert_int_equal(list->items[1]->at.line, 4);
    assert_int_equal(list->items[1]->at.col, 5);
    assert_null(node_get(n, "none"));
    assert_null(node_get(list, "x"));
    assert_null(node_get(NULL, "x"));
    node_free(n);
    mistakes_release(&m);
}

struct refusal {
    const char *name, *text, *want; /* `want`: what mistakes_text must contain */
};

static const struct refusal refusals[] = {
    {"alias", "a: &x 1\nb: *x\n", "t:2:4: aliases (*name) are not taken: write the value out\n"},
    {"anchor", "a: &x 1\nb: *x\n", "t:1:4: anchors (&name) are not taken"},
    {"tag", "a: !!str 1\n", "t:1:4: tags (!name) are not taken"},
    {"tag on a map", "a: !x {b: c}\n", "t:1:4: tags (!name) are not taken"},
    {"tab as indentation", "a:\n\t- b\n", "t:2:1: tabs are not taken: use spaces\n   - b\n  ^\n"},
    {"tab after a colon", "a:\tb\n", "t:1:3: tabs are not taken"},
    {"tab within a plain text", "a: b\tc\n", "t:1:5: tabs are not taken"},
    {"tab after quotes", "a: 'x\ty'\t# z\tz\n", "t:1:9: tabs are not taken"},
    {"key twice", "a: 1\nb: 2\na: 3\n", "t:3:1: the key 'a' is given twice: see line 1\n"},
    {"key twice, deep", "a: [{b: 1, c: 2, b: 3}]\n", "t:1:18: the key 'b' is given twice"},
    {"two documents", "a: 1\n---\nb: 2\n", "t:2:1: a second document starts here"},
    {"a key that is a list", "? [a, b]\n: c\n", "t:1:3: a key must be a single value, not a list"},
    {"open bracket", "a: [1, 2\nb: 3\n", "t:2:2: this is not YAML: "},
    {"colon in a plain text", "a: b: c\n",
     "t:1:5: this is not YAML: mapping values are not allowed in this context"},
    {"variable in flow", "a: {b: ${c}/d}\n", "inside { } or [ ] a text with ${...} needs quotes"},
    {"unknown alias is no YAML error", "a: *x\nb: &y 2\n", "t:2:4: anchors"},
    {"latin-1", "a: 1\nb: \xfc\n", "t:2:4: the file is not UTF-8: byte 0xfc\n  b: ?\n     ^\n"},
    {"escape", "a: \x1b[31m\n", "t:1:4: a control character (0x1b) is not taken\n  a: ?[31m\n"},
    {"NUL in a text", "a: \"x\\0y\"\n", "t:1:4: a text must not contain a NUL character"},
    {"directive", "%YAML 9.9\n---\na: 1\n", "t:1:1: this is not YAML: found incompatible YAML"},
    {"nesting", "a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n", "t:1:19: nested more than 16 deep"},
};

static void test_refusals(void **state)
{
    const struct refusal *c = *state;
    struct mistakes m = {0};
    struct err e = ERR_INIT;
    struct buf out = {0};
    struct node *n = node_parse("t", c->text, strlen(c->text), &m, &e);

    assert_int_equal(e.kind, ERR_NONE);
    assert_true(m.list.count > 0);
    mistakes_text(&m, &out);
    if (!strstr(out.data, c->want))
        fail_msg("'%s' is not in:\n%s", c->want, out.data);
    buf_release(&out);
    node_free(n);
    mistakes_release(&m);
}

static void test_binary(void **state)
{
    struct mistakes m = {0};
    struct err e = ERR_INIT;
    struct buf out = {0};

    (void)state;
    assert_null(node_parse("t", "a: 1\n\0b", 7, &m, &e));
    mistakes_text(&m, &out);
    assert_string_equal(out.data, "t:2:1: the file is binary: it has a NUL byte here\n  \n  ^\n");
    buf_release(&out);
    mistakes_release(&m);
}

/* All mistakes of a document come in one pass, in the order of their places. */
static void test_all_at_once(void **state)
{
    static const char text[] = "a: &x 1\nb: *x\na: !t 2\nc:\td\n";
    static const char *const order[] = {"t:1:4", "t:2:4", "t:3:1", "t:3:4", "t:4:3"};
    struct mistakes m = {0};
    struct err e = ERR_INIT;
    struct buf out = {0};
    struct node *n = node_parse("t", text, strlen(text), &m, &e);
    const char *p;

    (void)state;
    assert_int_equal(m.list.count, ARRAY_LEN(order));
    mistakes_text(&m, &out);
    p = out.data;
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        p = strstr(p, order[i]);
        assert_non_null(p);
    }
    buf_release(&out);
    node_free(n);
    mistakes_release(&m);
}

/* What is large must be refused without the time or memory that it asks for. */
static void test_bounds(void **state)
{
    static const struct {
        const char *part, *want;
        size_t count;
    } cases[] = {
        {"a: 1\n", "the key 'a' is given twice", 90000},
        {"- a\n", "more than 200000 values", 260000},
        {"[", "nested more than 16 deep", 500000},
        {"{a: ", "nested more than 16 deep", 250000},
        {"a: b\n", "larger than 1 MiB", 300000},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mistakes m = {0};
        struct err e = ERR_INIT;
        struct buf text = {0}, out = {0};
        struct node *n;

        for (size_t j = 0; j < cases[i].count; j++)
            buf_text(&text, cases[i].part);
        n = node_parse("t", text.data, text.len, &m, &e);
        assert_int_equal(e.kind, ERR_NONE);
        assert_true(m.list.count <= MISTAKES_MAX);
        mistakes_text(&m, &out);
        if (!strstr(out.data, cases[i].want))
            fail_msg("'%s' is not in: %.300s", cases[i].want, out.data);
        buf_release(&out);
        buf_release(&text);
        node_free(n);
        mistakes_release(&m);
    }
}

static void put_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fprintf(f, "a: 1\n#"), 6);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(truncate(path, (off_t)size), 0);
}

static void test_files(void **state)
{
    static const struct {
        const char *name;
        enum err_kind kind;
        const char *want;
    } cases[] = {
        {"missing", ERR_IO, "No such file"},
        {"dir", ERR_USAGE, "is a directory"},
        {"fifo", ERR_USAGE, "is a FIFO"},
        {"big", ERR_USAGE, "has 10 MiB: at most 1 MiB are taken"},
    };
    char path[1024];

    (void)state;
    snprintf(path, sizeof(path), "%s/dir", test_dir());
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/fifo", test_dir());
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof(path), "%s/big", test_dir());
    put_file(path, 10 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mistakes m = {0};
        struct err e = ERR_INIT;

        snprintf(path, sizeof(path), "%s/%s", test_dir(), cases[i].name);
        assert_null(node_load(path, &m, &e));
        assert_int_equal(e.kind, cases[i].kind);
        assert_non_null(strstr(e.text, cases[i].want));
        mistakes_release(&m);
    }
    test_rmdir();
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(refusals) + 6] = {
        cmocka_unit_test(test_trees),  cmocka_unit_test(test_marks),
        cmocka_unit_test(test_binary), cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_files),
    };

    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        tests[6 + i] = (struct CMUnitTest){.name = refusals[i].name,
                                           .test_func = test_refusals,
                                           .initial_state = (void *)&refusals[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
