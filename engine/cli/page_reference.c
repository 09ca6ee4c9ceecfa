/* The reference page, in Markdown: stages and formats with their options, commands, exit statuses.
 */
#include "help.h"

#include "driver.h"
#include "stage.h"
#include "text.h"

#include <string.h>

/* Text in a cell of a table. */
static void cell(struct buf *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_char(to, '\\');
        buf_char(to, *text == '\n' ? ' ' : *text);
    }
}

static void rows_table(struct buf *to, const struct opt_row *rows, const char *prefix)
{
    for (const struct opt_row *row = rows; row && row->type != OPT_END; row++) {
        AUTO(buf_release) struct buf values = {0}, deeper = {0};
        const char *preset = row_preset(row);

        row_values(row, &values);
        buf_format(to, "| `%s%s`%s | ", prefix, row->key,
                   row->flags & OPT_REQUIRED ? " (required)" : "");
        cell(to, values.data ? values.data : "");
        buf_format(to, " | %s%s%s | ", preset ? "`" : "", preset ? preset : "", preset ? "`" : "");
        cell(to, row->help ? row->help : "");
        buf_text(to, " |\n");
        buf_format(&deeper, "%s%s%s", prefix, row->key,
                   row->type == OPT_NODE ? row->flags & OPT_LIST ? "[]." : ".*." : ".");
        if (row->sub)
            rows_table(to, row->sub, deeper.data ? deeper.data : "");
    }
}

static void option_table(struct buf *to, const struct opt_row *rows)
{
    if (!rows || rows->type == OPT_END) {
        buf_text(to, "No options.\n");
        return;
    }
    buf_text(to, "| option | value | default | meaning |\n|---|---|---|---|\n");
    rows_table(to, rows, "");
}

static void stage_sections(struct buf *to)
{
    for (const struct stage *const *s = stages_all(); *s; s++) {
        buf_format(to, "\n### %s\n\n%s.", (*s)->name, (*s)->help);
        if ((*s)->layers)
            buf_format(to, " Layers: %s.", layers_text((*s)->layers, (char[LAYERS_TEXT_MAX]){0}));
        buf_text(to, "\n\n");
        if ((*s)->shorthand)
            buf_format(to, "`%s: VALUE` is short for `%s: {%s: VALUE}`.\n\n", (*s)->name,
                       (*s)->name, (*s)->shorthand);
        option_table(to, (*s)->options);
    }
}

static void format_sections(struct buf *to)
{
    for (const struct driver *const *d = drivers_all(); *d; d++) {
        const struct format_limits *l = &(*d)->limits;

        buf_format(to, "\n### %s\n\n%s.", (*d)->name, (*d)->help);
        if ((*d)->aliases) {
            buf_text(to, " Also known as");
            for (const char *const *a = (*d)->aliases; *a; a++)
                buf_format(to, "%s `%s`", a == (*d)->aliases ? "" : ",", *a);
            buf_char(to, '.');
        }
        buf_format(to, " Sizes up to %s, in multiples of %s.%s%s%s%s\n\n", SIZE_TEXT(l->size_max),
                   SIZE_TEXT(l->size_multiple), l->parents ? " Can name a parent." : "",
                   l->snapshots ? " Can hold internal snapshots." : "",
                   l->sectors_4k ? " Can record 4 KiB sectors." : "",
                   (*d)->create ? "" : " Read only.");
        option_table(to, (*d)->options);
    }
}

static void command_sections(struct buf *to)
{
    for (const struct command *c = commands; c->name; c++) {
        buf_format(to, "\n### strata %s%s%s\n\n%s\n", c->name, *c->arguments ? " " : "",
                   c->arguments, c->text);
        if (*c->options)
            buf_text(to, "\n| option | meaning |\n|---|---|\n");
        for (const struct option *o = options; o->row.type != OPT_END; o++) {
            if (!option_listed(c->options, o->row.key))
                continue;
            buf_text(to, "| `");
            option_spelling(o, to);
            buf_text(to, "` | ");
            cell(to, o->row.help);
            buf_text(to, " |\n");
        }
        buf_text(to, "\n```sh\n");
        for (const char *const *x = c->examples; *x; x += 2)
            buf_format(to, "%s   # %s\n", x[0], x[1]);
        buf_text(to, "```\n");
    }
}

void page_reference(struct buf *to)
{
    buf_text(to,
             "# Reference\n\nMade by `strata help --reference` from the tables that the program "
             "itself uses.\n\n## Stages\n");
    stage_sections(to);
    buf_text(to, "\n## Formats\n\nThe options are given as `-o key=value`, and in a job as "
                 "options of `convert`.\n");
    format_sections(to);
    buf_text(to, "\n## Commands\n\nEvery command also takes these:\n\n"
                 "| option | meaning |\n|---|---|\n");
    for (const struct option *o = options; o->row.type != OPT_END; o++) {
        if (!option_listed(options_common, o->row.key))
            continue;
        buf_text(to, "| `");
        option_spelling(o, to);
        buf_text(to, "` | ");
        cell(to, o->row.help);
        buf_text(to, " |\n");
    }
    command_sections(to);
    buf_text(to, "\n## Exit status\n\n| status | meaning |\n|---|---|\n");
    for (size_t i = 0; help_exits[i][0]; i++)
        buf_format(to, "| %s | %s |\n", help_exits[i][0], help_exits[i][1]);
}
