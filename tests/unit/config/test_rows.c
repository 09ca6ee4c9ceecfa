/* Maps into structs by rows: every type, amending, and the mistakes.
 * label: quick */
#include "test.h"

#include "bytes.h"
#include "rows.h"

#include <stdlib.h>
#include <string.h>

struct inner {
    char *text;
    uint64_t count;
};

struct outer {
    bool flag;
    uint64_t count, size, wait;
    uint32_t gain;
    char *text, *checked;
    int word;
    struct opt_texts texts;
    struct opt_pairs pairs;
    const struct node *any, *list, *named, *one;
    struct inner inner;
};

static bool lower_case(const char *text, struct err *e)
{
    for (const char *p = text; *p; p++)
        if (*p < 'a' || *p > 'z')
            return err_set(e, ERR_USAGE, "'%s' is not in lower case", text);
    return true;
}

static const char *const words[] = {"auto", "yes", "no", "zstd", NULL};

static const struct opt_row inner_rows[] = {
    {.key = "text", .type = OPT_TEXT, .at = OPT_AT(struct inner, text, char *), .help = "a text"},
    {.key = "count",
     .type = OPT_COUNT,
     .flags = OPT_REQUIRED,
     .at = OPT_AT(struct inner, count, uint64_t),
     .max = 9,
     .help = "how many"},
    {0},
};

#define AT(field, ftype) .at = OPT_AT(struct outer, field, ftype)

static const struct opt_row rows[] = {
    {.key = "flag", .type = OPT_BOOL, AT(flag, bool), .preset = "yes", .help = "a flag"},
    {.key = "count",
     .type = OPT_COUNT,
     AT(count, uint64_t),
     .min = 1,
     .max = 10,
     .preset = "3",
     .help = "a count"},
    {.key = "size",
     .type = OPT_SIZE,
     .flags = OPT_POW2,
     AT(size, uint64_t),
     .min = 512,
     .max = 2 << 20,
     .preset = "64K",
     .help = "a size"},
    {.key = "wait", .type = OPT_DURATION, AT(wait, uint64_t), .help = "a duration"},
    {.key = "gain", .type = OPT_PERCENT, AT(gain, uint32_t), .max = 10000, .help = "a percentage"},
    {.key = "text", .type = OPT_TEXT, AT(text, char *), .help = "a \"text\""},
    {.key = "checked",
     .type = OPT_TEXT,
     AT(checked, char *),
     .check = lower_case,
     .help = "a checked text"},
    {.key = "word",
     .type = OPT_WORD,
     AT(word, int),
     .words = words,
     .preset = "auto",
     .help = "a word"},
    {.key = "texts",
     .type = OPT_TEXTS,
     AT(texts, struct opt_texts),
     .check = lower_case,
     .help = "texts"},
    {.key = "pairs", .type = OPT_PAIRS, AT(pairs, struct opt_pairs), .help = "pairs"},
    {.key = "any", .type = OPT_NODE, AT(any, const struct node *), .help = "anything"},
    {.key = "list",
     .type = OPT_NODE,
     .flags = OPT_LIST,
     AT(list, const struct node *),
     .sub = inner_rows,
     .help = "a list of maps"},
    {.key = "named",
     .type = OPT_NODE,
     .flags = OPT_NAMED,
     AT(named, const struct node *),
     .sub = inner_rows,
     .help = "a map of maps"},
    {.key = "one",
     .type = OPT_NODE,
     AT(one, const struct node *),
     .sub = inner_rows,
     .help = "a map"},
    {.key = "inner",
     .type = OPT_MAP,
     .at = offsetof(struct outer, inner),
     .sub = inner_rows,
     .help = "an embedded map"},
    {0},
};

/* "${x}" becomes "12"; "${bad}" an error; "${known}" one that is already among the mistakes. */
static char *expand(void *user, const char *text, struct err *e)
{
    (void)user;
    if (strcmp(text, "${bad}") == 0)
        err_set(e, ERR_USAGE, "there is no variable 'bad'");
    else if (strcmp(text, "${known}") != 0)
        return mem_text(strcmp(text, "${x}") == 0 ? "12" : text, e);
    return NULL;
}

struct fixture {
    struct mistakes m;
    struct node_list kept;
    struct node *doc;
    struct outer o;
    struct decode d;
    bool ok;
};

static void decode(struct fixture *f, const char *text, bool keep)
{
    struct err e = ERR_INIT;

    *f = (struct fixture){0};
    f->doc = node_parse("t", text, strlen(text), &f->m, &e);
    assert_ok(f->doc, &e);
    f->d = (struct decode){.mistakes = &f->m, .expand = expand, .kept = keep ? &f->kept : NULL};
    f->ok = rows_decode(rows, f->doc, &f->o, &f->d);
}

static void done(struct fixture *f)
{
    opt_release(rows, &f->o);
    node_list_release(&f->kept);
    node_free(f->doc);
    mistakes_release(&f->m);
}

static void test_types(void **state)
{
    struct fixture f;

    (void)state;
    decode(&f,
           "flag: no\ncount: '7'\nsize: 1M\nwait: 1h30m\ngain: 12.5%\ntext: 5\nchecked: ok\n"
           "word: zstd\ntexts: [a, b]\npairs: {k: v, n: 1}\nany: [1, {a: b}]\n"
           "list: [{count: 1}]\nnamed: {x y: {count: 2}}\none: {count: 3, text: t}\n"
           "inner: {count: 4, text: u}\n",
           false);
    assert_true(f.ok);
    assert_int_equal(f.m.list.count, 0);
    assert_false(f.o.flag);
    assert_int_equal(f.o.count, 7);
    assert_int_equal(f.o.size, MIB);
    assert_int_equal(f.o.wait, 5400);
    assert_int_equal(f.o.gain, 1250);
    assert_string_equal(f.o.text, "5");
    assert_int_equal(f.o.word, 3);
    assert_int_equal(f.o.texts.count, 2);
    assert_string_equal(opt_pairs_get(&f.o.pairs, "n"), "1");
    assert_ptr_equal(f.o.any, node_get(f.doc, "any"));
    assert_int_equal(f.o.inner.count, 4);
    assert_string_equal(f.o.inner.text, "u");
    done(&f);
}

static void test_presets(void **state)
{
    struct fixture f;

    (void)state;
    decode(&f, "texts: one\nword: true\n", false); /* a scalar is a list of one; true is yes */
    assert_true(f.ok);
    assert_true(f.o.flag);
    assert_int_equal(f.o.count, 3);
    assert_int_equal(f.o.size, 64 * KIB);
    assert_int_equal(f.o.word, 1);
    assert_int_equal(f.o.texts.count, 1);
    done(&f);
}

static void test_amend(void **state)
{
    static const char text[] = "count: 9\ntexts: [c]\npairs: {b: 3, c: 4}\ninner: {count: 2}\n";
    struct mistakes m = {0};
    struct err e = ERR_INIT;
    struct node *over = node_parse("t", text, strlen(text), &m, &e);
    struct fixture f;

    (void)state;
    decode(&f,
           "count: 2\nsize: 4K\ntexts: [a, b]\npairs: {a: 1, b: 2}\ninner: {count: 1, text: x}\n",
           false);
    assert_true(f.ok);
    assert_true(rows_amend(rows, over, &f.o, &f.d));
    assert_int_equal(f.o.count, 9);
    assert_int_equal(f.o.size, 4096);
    assert_int_equal(f.o.texts.count, 1);
    assert_string_equal(opt_pairs_get(&f.o.pairs, "a"), "1");
    assert_string_equal(opt_pairs_get(&f.o.pairs, "b"), "3");
    assert_string_equal(opt_pairs_get(&f.o.pairs, "c"), "4");
    assert_int_equal(f.o.inner.count, 2);
    assert_string_equal(f.o.inner.text, "x");
    done(&f);
    node_free(over);
    mistakes_release(&m);
}

/* Required keys may come from the map that is amended over this one. */
static void test_over(void **state)
{
    static const char text[] = "count: 2\n";
    struct mistakes m = {0};
    struct err e = ERR_INIT;
    struct node *over = node_parse("t", text, strlen(text), &m, &e);
    struct node *doc = node_parse("t", "text: x", 7, &m, &e);
    struct inner inner = {0};
    struct decode d = {.mistakes = &m, .over = over};

    (void)state;
    assert_true(rows_decode(inner_rows, doc, &inner, &d));
    opt_release(inner_rows, &inner);
    d.over = NULL;
    assert_false(rows_decode(inner_rows, doc, &inner, &d));
    assert_string_equal(m.list.items[0].text, "'count' is missing: how many");
    opt_release(inner_rows, &inner);
    node_free(doc);
    node_free(over);
    mistakes_release(&m);
}

/* Copies of nodes have their texts expanded and do not hang on the document. */
static void test_kept(void **state)
{
    struct fixture f;

    (void)state;
    decode(&f, "any: {a: ['${x}', ~], b: {c: d}}\ncount: 1\n", true);
    assert_true(f.ok);
    node_free(TAKE(f.doc));
    assert_int_equal(f.kept.count, 1);
    assert_string_equal(node_get(f.o.any, "a")->items[0]->text, "12");
    assert_true(node_null(node_get(f.o.any, "a")->items[1]));
    assert_string_equal(node_get(node_get(f.o.any, "b"), "c")->text, "d");
    assert_int_equal(f.o.any->key_at[1].col, 23);
    done(&f);
}

struct bad {
    const char *name, *text;
    unsigned line, col;
    const char *want;
};

static const struct bad bads[] = {
    {"unknown key", "cuont: 1", 1, 1, "there is no key 'cuont' here; did you mean 'count'?"},
    {"unknown key far from all", "zzzzzz: 1", 1, 1, "there is no key 'zzzzzz' here"},
    {"no number", "count: many", 1, 8, "'count': 'many' is not a number"},
    {"out of range", "count: 11", 1, 8, "'count': '11' is out of range: 1 to 10"},
    {"no boolean", "flag: maybe", 1, 7, "'flag': 'maybe' is neither yes nor no"},
    {"no size", "size: 64Q", 1, 7, "'size': '64Q' is not a size"},
    {"no power of two", "size: 65000", 1, 7, "'65000' is not a power of two"},
    {"no duration", "wait: 5 minutes", 1, 7, "'wait': '5 minutes' is not a duration"},
    {"no percentage", "gain: x%", 1, 7, "'gain': 'x%' is not a percentage"},
    {"no such word", "word: ztsd", 1, 7,
     "'word': 'ztsd' is not one of: auto, yes, no, zstd; did you mean 'zstd'?"},
    {"list for a scalar", "text: [a]", 1, 7, "'text' takes a single value, not a list"},
    {"map for a scalar", "count: {a: b}", 1, 8, "'count' takes a single value, not a map"},
    {"nothing for a scalar", "text:\ncount: 1", 1, 6, "'text' has no value"},
    {"nothing for a list", "texts:\n", 1, 7, "'texts' has no value"},
    {"map for a list", "texts: {a: b}", 1, 8, "'texts' takes a list, not a map"},
    {"list in a list", "texts: [a, [b]]", 1, 12, "'texts' takes a single value, not a list"},
    {"check of an item", "texts: [a, B]", 1, 12, "'texts': 'B' is not in lower case"},
    {"check of a text", "checked: Ab", 1, 10, "'checked': 'Ab' is not in lower case"},
    {"list for pairs", "pairs: [a]", 1, 8, "'pairs' takes a map of texts, not a list"},
    {"map in pairs", "pairs: {a: {b: c}}", 1, 12, "'a' takes a single value, not a map"},
    {"scalar for a map", "inner: 5", 1, 8, "'inner' takes a map of keys and values"},
    {"nothing for a map", "inner:\n", 1, 7, "'inner' takes a map of keys and values, not nothing"},
    {"unknown key in a map", "inner: {count: 1, txet: a}", 1, 19, "did you mean 'text'?"},
    {"required in a map", "inner: {text: a}", 1, 8, "'count' is missing: how many"},
    {"map for a list of maps", "list: {count: 1}", 1, 7, "'list' takes a list, not a map"},
    {"text in a list of maps", "list: [a]", 1, 8, "'list' takes a map of keys and values"},
    {"unknown key in a list", "list: [{count: 1}, {count: 1, x: y}]", 1, 31, "no key 'x' here"},
    {"bounds in a list", "list: [{count: 99}]", 1, 16, "'99' is out of range: 0 to 9"},
    {"required in a list", "list: [{text: a}]", 1, 8, "'count' is missing"},
    {"list for named maps", "named: [a]", 1, 8, "'named' takes a map of keys and values"},
    {"unknown key in a named map", "named: {n: {count: 1, txt: a}}", 1, 23,
     "there is no key 'txt' here; did you mean 'text'?"},
    {"unknown key in a node", "one: {count: 1, zz: 1}", 1, 17, "there is no key 'zz' here"},
    {"nothing for a node", "any:\n", 1, 5, "'any' has no value"},
    {"variable", "text: ${bad}", 1, 7, "'text': there is no variable 'bad'"},
    {"variable in a node", "any: [a, '${bad}']", 1, 10, "'any': there is no variable 'bad'"},
    {"expanded value", "count: ${x}", 1, 8, "'count': '12' is out of range: 1 to 10"},
};

static void test_bad(void **state)
{
    const struct bad *c = *state;
    struct fixture f;

    decode(&f, c->text, true);
    assert_false(f.ok);
    assert_true(f.m.list.count > 0);
    if (!strstr(f.m.list.items[0].text, c->want))
        fail_msg("'%s' is not in '%s'", c->want, f.m.list.items[0].text);
    assert_int_equal(f.m.list.items[0].at.line, c->line);
    assert_int_equal(f.m.list.items[0].at.col, c->col);
    done(&f);
}

/* All of a map's mistakes are found, and an error that is known already adds none. */
static void test_all(void **state)
{
    struct fixture f;

    (void)state;
    decode(&f, "cuont: 1\nsize: big\nlist: [{count: x, y: z}]\nword: none\n", false);
    assert_false(f.ok);
    assert_int_equal(f.m.list.count, 5);
    done(&f);
    decode(&f, "text: ${known}\n", false);
    assert_false(f.ok);
    assert_int_equal(f.m.list.count, 0);
    done(&f);
    decode(&f, "[a]\n", false);
    assert_false(f.ok);
    assert_string_equal(f.m.list.items[0].text, "keys and values are wanted here, not a list");
    done(&f);
}

static void test_schema(void **state)
{
    static const char *const parts[] = {
        "\"additionalProperties\": false",
        "\"description\": \"a \\\"text\\\"\"",
        "\"default\": true,\n      \"type\": [\"boolean\", \"string\"], \"pattern\": ",
        "\"default\": 3,\n      \"type\": [\"integer\", \"string\"], \"minimum\": 1, "
        "\"maximum\": 10",
        "\"default\": \"64K\"",
        "{\"enum\": [\"auto\", \"yes\", \"no\", \"zstd\", true, false]}",
        "\"required\": [\"count\"]",
        "\"maximum\": 100, ", /* of a percentage: hundredths of a percent are ours alone */
    };
    struct buf out = {0};

    (void)state;
    rows_schema(rows, &out, 0);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!strstr(out.data, parts[i]))
            fail_msg("%s is not in %s", parts[i], out.data);
    buf_release(&out);
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(bads) + 7] = {
        cmocka_unit_test(test_types),  cmocka_unit_test(test_presets), cmocka_unit_test(test_amend),
        cmocka_unit_test(test_over),   cmocka_unit_test(test_kept),    cmocka_unit_test(test_all),
        cmocka_unit_test(test_schema),
    };

    for (size_t i = 0; i < ARRAY_LEN(bads); i++)
        tests[7 + i] = (struct CMUnitTest){
            .name = bads[i].name, .test_func = test_bad, .initial_state = (void *)&bads[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
