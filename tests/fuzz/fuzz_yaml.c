/* Job files: bytes to nodes, nodes to structs by rows of every type, mistakes to text. */
#include "rows.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct inner {
    char *text;
    uint64_t count;
};

struct target {
    bool flag;
    int word;
    uint32_t gain;
    uint64_t count, size, wait;
    char *text;
    struct opt_texts texts;
    struct opt_pairs pairs;
    const struct node *any, *list, *named;
    struct inner inner;
};

static const char *const words[] = {"none", "yes", "no", NULL};

static const struct opt_row inner_rows[] = {
    {.key = "text", .type = OPT_TEXT, .at = OPT_AT(struct inner, text, char *)},
    {.key = "count",
     .type = OPT_COUNT,
     .flags = OPT_REQUIRED,
     .at = OPT_AT(struct inner, count, uint64_t),
     .help = "how many"},
    {0},
};

#define ROW(name, t, ftype) .key = #name, .type = t, .at = OPT_AT(struct target, name, ftype)

static const struct opt_row rows[] = {
    {ROW(flag, OPT_BOOL, bool), .preset = "yes"},
    {ROW(word, OPT_WORD, int), .words = words, .preset = "none"},
    {ROW(gain, OPT_PERCENT, uint32_t)},
    {ROW(count, OPT_COUNT, uint64_t), .min = 1, .preset = "3"},
    {ROW(size, OPT_SIZE, uint64_t), .flags = OPT_POW2},
    {ROW(wait, OPT_DURATION, uint64_t)},
    {ROW(text, OPT_TEXT, char *)},
    {ROW(texts, OPT_TEXTS, struct opt_texts)},
    {ROW(pairs, OPT_PAIRS, struct opt_pairs)},
    {ROW(any, OPT_NODE, const struct node *)},
    {ROW(list, OPT_NODE, const struct node *), .flags = OPT_LIST, .sub = inner_rows},
    {ROW(named, OPT_NODE, const struct node *), .flags = OPT_NAMED, .sub = inner_rows},
    {.key = "inner",
     .type = OPT_MAP,
     .at = offsetof(struct target, inner),
     .sub = inner_rows,
     .help = "a map"},
    {0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mistakes m = {0};
    struct node_list kept = {0};
    struct decode d = {.mistakes = &m, .kept = &kept};
    struct target target = {0};
    struct err e = ERR_INIT;
    struct buf out = {0};
    struct node *n = node_parse("fuzz", (const char *)data, size, &m, &e);

    if (n && rows_decode(rows, n, &target, &d) && !rows_amend(rows, n, &target, &d))
        abort(); /* what was taken once is taken again */
    if (!n && e.kind == ERR_NONE && !m.list.count)
        abort(); /* a refusal has a reason */
    mistakes_text(&m, &out);
    opt_release(rows, &target);
    node_list_release(&kept);
    node_free(n);
    buf_release(&out);
    mistakes_release(&m);
    return 0;
}
