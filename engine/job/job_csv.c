/* CSV files; see job_csv.h. */
#include "job_csv.h"

#include "buf.h"
#include "text.h"

#include <string.h>

enum { COLUMNS_MAX = 256 }; /* as many as a job may have variables */

struct reader {
    const char *name, *p;
    unsigned line;
};

void csv_release(struct csv *csv)
{
    for (size_t i = 0; i < csv->count; i++)
        opt_pairs_release(&csv->items[i].fields);
    free(csv->items);
    *csv = (struct csv){0};
}

/* A field up to its comma or line end, which stays. */
static char *read_field(struct reader *r, struct err *e)
{
    AUTO(buf_release) struct buf field = {0};
    unsigned first = r->line;

    while (*r->p == ' ')
        r->p++;
    if (*r->p != '"') {
        size_t n = strcspn(r->p, ",\r\n"), len = n;

        while (len && r->p[len - 1] == ' ')
            len--;
        buf_add(&field, r->p, len);
        r->p += n;
        return buf_take(&field, e);
    }
    for (r->p++; *r->p && (*r->p != '"' || r->p[1] == '"'); r->p++) {
        if (*r->p == '"')
            r->p++;
        if (*r->p == '\n')
            r->line++;
        buf_char(&field, *r->p);
    }
    if (!*r->p) {
        err_set(e, ERR_USAGE, "'%s' line %u: a quote is opened and never closed", r->name, first);
        return NULL;
    }
    for (r->p++; *r->p == ' '; r->p++)
        ;
    if (*r->p && !strchr(",\r\n", *r->p)) {
        err_set(e, ERR_USAGE, "'%s' line %u: text follows a closing quote", r->name, r->line);
        return NULL;
    }
    return buf_take(&field, e);
}

/* The fields of one row, its line end included. */
static bool read_row(struct reader *r, struct opt_texts *ret, struct err *e)
{
    for (;;) {
        char *field = read_field(r, e);
        bool ok;

        if (!field)
            return false;
        ok = ret->count < COLUMNS_MAX ? opt_texts_add(ret, field, e)
                                      : err_set(e, ERR_USAGE, "'%s' line %u: more than %d fields",
                                                r->name, r->line, COLUMNS_MAX);
        free(field);
        if (!ok)
            return false;
        if (*r->p != ',')
            break;
        r->p++;
    }
    if (*r->p == '\r')
        r->p++;
    if (*r->p == '\n') {
        r->p++;
        r->line++;
    }
    return true;
}

static bool check_columns(const struct reader *r, const struct opt_texts *columns, struct err *e)
{
    for (size_t i = 0; i < columns->count; i++) {
        if (!*columns->items[i])
            return err_set(e, ERR_USAGE, "'%s': column %zu has no name", r->name, i + 1);
        for (size_t j = 0; j < i; j++)
            if (strcmp(columns->items[i], columns->items[j]) == 0)
                return err_set(e, ERR_USAGE, "'%s': two columns are named '%s'", r->name,
                               columns->items[i]);
    }
    return true;
}

static bool add_row(struct csv *csv, const struct reader *r, const struct opt_texts *columns,
                    const struct opt_texts *fields, unsigned line, struct err *e)
{
    struct csv_row row = {.line = line};

    if (fields->count != columns->count)
        return err_set(e, ERR_USAGE, "'%s' line %u: %zu fields, but there are %zu columns", r->name,
                       line, fields->count, columns->count);
    if (!VEC_PUSH(csv, row, e))
        return false;

    for (size_t i = 0; i < fields->count; i++)
        if (!opt_pairs_add(&csv->items[csv->count - 1].fields, columns->items[i], fields->items[i],
                           e))
            return false;
    return true;
}

static bool read_all(struct reader *r, size_t max, struct opt_texts *columns, struct csv *csv,
                     struct err *e)
{
    if (!read_row(r, columns, e) || !check_columns(r, columns, e))
        return false;
    while (*r->p) {
        struct opt_texts fields = {0};
        unsigned line = r->line;
        bool ok = read_row(r, &fields, e), blank = fields.count == 1 && !*fields.items[0];

        if (ok && csv->count == max)
            ok = err_set(e, ERR_USAGE, "'%s' has more than %zu rows", r->name, max);
        if (ok && !blank)
            ok = add_row(csv, r, columns, &fields, line, e);
        opt_texts_release(&fields);
        if (!ok)
            return false;
    }
    return true;
}

bool csv_parse(const char *name, const char *text, size_t len, size_t max, struct csv *ret,
               struct err *e)
{
    struct reader r = {.name = name, .p = text, .line = 1};
    struct opt_texts columns = {0};
    struct csv csv = {0};
    size_t bad;
    bool ok;

    if (!utf8_valid(text, len, &bad))
        return err_set(e, ERR_USAGE, "'%s' is not UTF-8 text", name);
    if (text_starts(r.p, "\xef\xbb\xbf"))
        r.p += 3;
    ok = !*r.p || read_all(&r, max, &columns, &csv, e);
    opt_texts_release(&columns);
    if (!ok) {
        csv_release(&csv);
        return false;
    }
    *ret = csv;
    return true;
}
