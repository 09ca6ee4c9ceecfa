/* The commands that say what exists: stages, formats, schema. All from the tables. */
#include "commands.h"
#include "doc.h"
#include "driver.h"
#include "help.h"
#include "job.h"
#include "print.h"
#include "stage.h"
#include "table.h"
#include "text.h"

#include <string.h>
#include <unistd.h>

/* Width of the terminal, or none: text that goes elsewhere is not broken into lines. */
static unsigned width(void)
{
    return terminal_width(STDOUT_FILENO);
}

static bool print_table(struct table *t, struct buf *text, struct err *e)
{
    if (!table_print(t, text, width(), e) || !buf_ok(text, e))
        return false;
    out_raw(text->data ? text->data : "", text->len);
    return true;
}

static json_t *rows_doc(const struct opt_row *rows)
{
    json_t *list = json_array();

    for (const struct opt_row *row = rows; row && row->type != OPT_END; row++) {
        AUTO(buf_release) struct buf values = {0};
        json_t *one = json_object();

        row_values(row, &values);
        doc_set(one, "name", doc_text(row->key));
        doc_set(one, "value", doc_text(values.data));
        doc_set(one, "default", doc_text(row_preset(row)));
        doc_set(one, "required", json_boolean(row->flags & OPT_REQUIRED));
        doc_set(one, "help", doc_text(row->help));
        if (row->sub)
            doc_set(one, "options", rows_doc(row->sub));
        doc_add(list, one);
    }
    return list;
}

static void add_rows(struct table *t, const struct opt_row *rows, const char *prefix)
{
    for (const struct opt_row *row = rows; row && row->type != OPT_END; row++) {
        AUTO(buf_release) struct buf values = {0}, deeper = {0};

        row_values(row, &values);
        table_cell(t, "%s%s", prefix, row->key);
        table_text(t, values.data);
        table_text(t, row->flags & OPT_REQUIRED ? "(required)" : row_preset(row));
        table_text(t, row->help);
        buf_format(&deeper, "%s%s.", prefix, row->key);
        if (row->sub)
            add_rows(t, row->sub, deeper.data ? deeper.data : "");
    }
}

static bool print_rows(const struct opt_row *rows, struct buf *text, struct err *e)
{
    static const char *const heads[] = {"option", "value", "default", "meaning", NULL};
    AUTO(table_release) struct table t = {0};

    table_init(&t, heads);
    t.indent = 2;
    add_rows(&t, rows, "");
    if (!t.cells.count)
        buf_text(text, "  no options\n");
    return print_table(&t, text, e);
}

/* ---- stages ---- */

static json_t *stage_doc(const struct stage *s)
{
    json_t *one = json_object();

    doc_set(one, "name", doc_text(s->name));
    doc_set(one, "layers", doc_text(layers_text(s->layers, (char[LAYERS_TEXT_MAX]){0})));
    doc_set(one, "help", doc_text(s->help));
    doc_set(one, "shorthand", doc_text(s->shorthand));
    doc_set(one, "options", rows_doc(s->options));
    return one;
}

static const struct stage *stage_named(const char *name, struct err *e)
{
    const struct stage *found = stage_find(name);
    const char *names[64]; /* more stages than there are */
    size_t n = 0;
    int near;

    if (found)
        return found;
    for (const struct stage *const *s = stages_all(); *s && n < 64; s++)
        names[n++] = (*s)->name;
    near = text_nearest(name, names, n);
    err_set(e, ERR_USAGE, "there is no stage '%s'%s%s%s; 'strata stages' lists them", name,
            near < 0 ? "" : "; did you mean '", near < 0 ? "" : names[near], near < 0 ? "" : "'?");
    return NULL;
}

bool cmd_stages(struct cli *cli, struct err *e)
{
    static const char *const heads[] = {"stage", "layers", "what it does", NULL};
    AUTO(buf_release) struct buf text = {0};
    AUTO(json_decref) json_t *list = json_array();
    AUTO(table_release) struct table t = {0};
    const struct stage *one = NULL;

    table_init(&t, heads);
    if (cli->args.count && !(one = stage_named(cli->args.items[0], e)))
        return false;
    if (one && cli->json)
        return doc_print(stage_doc(one), e);
    if (one) {
        buf_format(&text, "%s (%s): %s\n", one->name,
                   layers_text(one->layers, (char[LAYERS_TEXT_MAX]){0}), one->help);
        return print_rows(one->options, &text, e);
    }
    for (const struct stage *const *s = stages_all(); *s; s++) {
        if (cli->json)
            doc_add(list, stage_doc(*s));
        table_text(&t, (*s)->name);
        table_text(&t, layers_text((*s)->layers, (char[LAYERS_TEXT_MAX]){0}));
        table_text(&t, (*s)->help);
    }
    return cli->json ? doc_print(TAKE(list), e) : print_table(&t, &text, e);
}

/* ---- formats ---- */

static json_t *format_doc(const struct driver *d)
{
    json_t *one = json_object(), *aliases = json_array();

    for (const char *const *a = d->aliases; a && *a; a++)
        doc_add(aliases, doc_text(*a));
    doc_set(one, "name", doc_text(d->name));
    doc_set(one, "aliases", aliases);
    doc_set(one, "help", doc_text(d->help));
    doc_set(one, "read", json_boolean(d->open));
    doc_set(one, "write", json_boolean(d->create));
    doc_set(one, "check", json_boolean(d->check));
    doc_set(one, "parents", json_boolean(d->limits.parents));
    doc_set(one, "snapshots", json_boolean(d->limits.snapshots));
    doc_set(one, "sectors_4k", json_boolean(d->limits.sectors_4k));
    doc_set(one, "size_max", doc_count(d->limits.size_max));
    doc_set(one, "size_multiple", doc_count(d->limits.size_multiple));
    doc_set(one, "options", rows_doc(d->options));
    return one;
}

bool cmd_formats(struct cli *cli, struct err *e)
{
    static const char *const heads[] = {"format",     "can",  ">largest", ">multiple",
                                        "also known", "what", NULL};
    AUTO(buf_release) struct buf text = {0};
    AUTO(json_decref) json_t *list = json_array();
    AUTO(table_release) struct table t = {0};
    const struct driver *one = NULL;

    table_init(&t, heads);
    if (cli->args.count && !(one = driver_named(cli->args.items[0], e)))
        return false;
    if (one && cli->json)
        return doc_print(format_doc(one), e);
    if (one) {
        buf_format(&text, "%s: %s\n", one->name, one->help);
        return print_rows(one->options, &text, e);
    }
    for (const struct driver *const *d = drivers_all(); *d; d++) {
        if (cli->json)
            doc_add(list, format_doc(*d));
        table_text(&t, (*d)->name);
        table_cell(&t, "%s%s%s", (*d)->create ? "read, write" : "read",
                   (*d)->check ? ", check" : "", (*d)->limits.parents ? ", chain" : "");
        table_text(&t, SIZE_TEXT((*d)->limits.size_max));
        table_text(&t, SIZE_TEXT((*d)->limits.size_multiple));
        table_text(&t, (*d)->aliases ? (*d)->aliases[0] : "");
        table_text(&t, (*d)->help);
    }
    return cli->json ? doc_print(TAKE(list), e) : print_table(&t, &text, e);
}

/* ---- schema ---- */

bool cmd_schema(struct cli *cli, struct err *e)
{
    AUTO(free) char *schema = job_schema(e);

    (void)cli;
    if (!schema)
        return false;
    out_raw(schema, strlen(schema));
    return true;
}
