/* Option rows; see opt.h. */
#include "opt.h"

#include "buf.h"
#include "bytes.h"
#include "text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIELD(target, row, type) ((type *)((char *)(target) + (row)->at))
#define FIELD_CONST(target, row, type) ((const type *)((const char *)(target) + (row)->at))

enum { KEYS_MAX = 64 }; /* keys considered for a suggestion: more than any table of ours has */

const struct opt_row *opt_find(const struct opt_row *rows, const char *key)
{
    for (; rows && rows->type != OPT_END; rows++)
        if (strcmp(rows->key, key) == 0)
            return rows;
    return NULL;
}

const char *opt_nearest(const struct opt_row *rows, const char *key)
{
    const char *keys[KEYS_MAX];
    size_t n = 0;
    int i;

    for (; rows && rows->type != OPT_END && n < KEYS_MAX; rows++)
        keys[n++] = rows->key;
    i = text_nearest(key, keys, n);
    return i < 0 ? NULL : keys[i];
}

static bool set_bool(bool *field, const char *text, struct err *e)
{
    static const char *const yes[] = {"yes", "true", "on"}, *const no[] = {"no", "false", "off"};

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *field = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return err_set(e, ERR_USAGE, "'%s' is neither yes nor no", text);
}

static bool parse_percent(const char *text, uint64_t *ret, struct err *e)
{
    char *end;
    double v = strtod(text, &end);

    if (!isdigit((unsigned char)*text) || text + strspn(text, "0123456789.") != end ||
        (*end && strcmp(end, "%") != 0) || v > 1000000)
        return err_set(e, ERR_USAGE, "'%s' is not a percentage: write 10%%", text);
    *ret = (uint64_t)(v * 100 + 0.5);
    return true;
}

static bool parse_count(const char *text, uint64_t *ret, struct err *e)
{
    char *end;
    unsigned long long v;

    if (!isdigit((unsigned char)*text))
        return err_set(e, ERR_USAGE, "'%s' is not a number", text);
    v = strtoull(text, &end, 10);
    if (*end || strlen(text) > 19)
        return err_set(e, ERR_USAGE, "'%s' is not a number", text);
    *ret = v;
    return true;
}

static const char *number_text(const struct opt_row *row, uint64_t v, char buf[SIZE_TEXT_MAX])
{
    if (row->type == OPT_SIZE)
        return size_text(v, buf);
    if (row->type == OPT_DURATION)
        return duration_text(v, buf);
    snprintf(buf, SIZE_TEXT_MAX, "%" PRIu64 "%s", row->type == OPT_PERCENT ? v / 100 : v,
             row->type == OPT_PERCENT ? "%" : "");
    return buf;
}

static bool parse_number(const struct opt_row *row, const char *text, uint64_t *ret, struct err *e)
{
    char low[SIZE_TEXT_MAX], high[SIZE_TEXT_MAX];
    uint64_t v = 0;
    bool ok = row->type == OPT_SIZE       ? size_parse(text, &v, e)
              : row->type == OPT_DURATION ? duration_parse(text, &v, e)
              : row->type == OPT_PERCENT  ? parse_percent(text, &v, e)
                                          : parse_count(text, &v, e);

    if (!ok)
        return false;
    if (v < row->min || (row->max && v > row->max)) {
        if (!row->max)
            return err_set(e, ERR_USAGE, "'%s' is too small: at least %s", text,
                           number_text(row, row->min, low));
        return err_set(e, ERR_USAGE, "'%s' is out of range: %s to %s", text,
                       number_text(row, row->min, low), number_text(row, row->max, high));
    }
    if ((row->flags & OPT_POW2) && v && !is_pow2(v))
        return err_set(e, ERR_USAGE, "'%s' is not a power of two", text);
    *ret = v;
    return true;
}

static bool set_word(const struct opt_row *row, int *field, const char *text, struct err *e)
{
    AUTO(buf_release) struct buf all = {0};

    for (size_t i = 0; row->words[i]; i++) {
        if (strcmp(row->words[i], text) == 0) {
            *field = (int)i;
            return true;
        }
    }
    for (size_t i = 0; row->words[i]; i++)
        buf_format(&all, "%s%s", i ? ", " : "", row->words[i]);
    return err_set(e, ERR_USAGE, "'%s' is not one of: %s", text, all.data ? all.data : "");
}

static bool set_text(const struct opt_row *row, char **field, const char *text, struct err *e)
{
    char *copy;

    if (row->check && !row->check(text, e))
        return false;
    copy = mem_text(text, e);
    if (!copy)
        return false;
    free(*field);
    *field = copy;
    return true;
}

bool opt_set(const struct opt_row *row, void *target, const char *text, struct err *e)
{
    uint64_t v;

    switch (row->type) {
    case OPT_BOOL:
        return set_bool(FIELD(target, row, bool), text, e);
    case OPT_COUNT:
    case OPT_SIZE:
    case OPT_DURATION:
        if (!parse_number(row, text, &v, e))
            return false;
        *FIELD(target, row, uint64_t) = v;
        return true;
    case OPT_PERCENT:
        if (!parse_number(row, text, &v, e))
            return false;
        *FIELD(target, row, uint32_t) = (uint32_t)v;
        return true;
    case OPT_TEXT:
        return set_text(row, FIELD(target, row, char *), text, e);
    case OPT_WORD:
        return set_word(row, FIELD(target, row, int), text, e);
    case OPT_TEXTS:
        return opt_texts_add(FIELD(target, row, struct opt_texts), text, e);
    case OPT_END:
    case OPT_PAIRS:
    case OPT_NODE:
    case OPT_MAP:
        break;
    }
    return err_set(e, ERR_USAGE, "'%s' takes more than a single value", row->key);
}

bool opt_presets(const struct opt_row *rows, void *target, struct err *e)
{
    for (; rows && rows->type != OPT_END; rows++) {
        if (rows->type == OPT_MAP) {
            if (!opt_presets(rows->sub, (char *)target + rows->at, e))
                return false;
        } else if (rows->preset && !opt_set(rows, target, rows->preset, e)) {
            return false;
        }
    }
    return true;
}

bool opt_assign(const struct opt_row *rows, void *target, const char *assignment, struct err *e)
{
    const char *eq = strchr(assignment, '=');
    const struct opt_row *row;
    char *key;
    bool ok = false;

    if (!eq)
        return err_set(e, ERR_USAGE, "'%s' is not of the form key=value", assignment);
    key = mem_textn(assignment, (size_t)(eq - assignment), e);
    if (!key)
        return false;
    row = opt_find(rows, key);
    if (row) {
        ok = opt_set(row, target, eq + 1, e) || err_while(e, "setting '%s'", key);
    } else {
        const char *near = opt_nearest(rows, key);

        err_set(e, ERR_USAGE, "there is no option '%s'%s%s%s", key, near ? "; did you mean '" : "",
                near ? near : "", near ? "'?" : "");
    }
    free(key);
    return ok;
}

void opt_release(const struct opt_row *rows, void *target)
{
    for (; rows && rows->type != OPT_END; rows++) {
        if (rows->type == OPT_TEXT) {
            free(*FIELD(target, rows, char *));
            *FIELD(target, rows, char *) = NULL;
        } else if (rows->type == OPT_TEXTS) {
            opt_texts_release(FIELD(target, rows, struct opt_texts));
        } else if (rows->type == OPT_PAIRS) {
            opt_pairs_release(FIELD(target, rows, struct opt_pairs));
        } else if (rows->type == OPT_MAP) {
            opt_release(rows->sub, (char *)target + rows->at);
        }
    }
}

char *opt_value(const struct opt_row *row, const void *target, struct err *e)
{
    switch (row->type) {
    case OPT_BOOL:
        return mem_text(*FIELD_CONST(target, row, bool) ? "yes" : "no", e);
    case OPT_COUNT:
    case OPT_SIZE:
        return mem_format(e, "%" PRIu64, *FIELD_CONST(target, row, uint64_t));
    case OPT_DURATION:
        return mem_format(e, "%" PRIu64 "s", *FIELD_CONST(target, row, uint64_t));
    case OPT_PERCENT:
        return mem_format(e, "%.9g%%", *FIELD_CONST(target, row, uint32_t) / 100.0);
    case OPT_TEXT:
        return *FIELD_CONST(target, row, char *) ? mem_text(*FIELD_CONST(target, row, char *), e)
                                                 : NULL;
    case OPT_WORD:
        return mem_text(row->words[*FIELD_CONST(target, row, int)], e);
    default:
        return NULL;
    }
}

bool opt_texts_add(struct opt_texts *list, const char *text, struct err *e)
{
    char *copy = mem_text(text, e);

    if (copy && VEC_PUSH(list, copy, e))
        return true;
    free(copy);
    return false;
}

void opt_texts_release(struct opt_texts *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct opt_texts){0};
}

bool opt_pairs_add(struct opt_pairs *list, const char *key, const char *value, struct err *e)
{
    struct opt_pair pair = {mem_text(key, e), mem_text(value, e)};

    if (pair.key && pair.value && VEC_PUSH(list, pair, e))
        return true;
    free(pair.key);
    free(pair.value);
    return false;
}

const char *opt_pairs_get(const struct opt_pairs *list, const char *key)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].key, key) == 0)
            return list->items[i].value;
    return NULL;
}

void opt_pairs_release(struct opt_pairs *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].key);
        free(list->items[i].value);
    }
    free(list->items);
    *list = (struct opt_pairs){0};
}
