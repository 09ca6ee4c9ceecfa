/* Help texts; see help.h. */
#include "help.h"

#include "err.h"
#include "table.h"

#include <stdio.h>
#include <string.h>

enum {
    HELP_WIDTH = 79,
    HELP_COLUMN = 26, /* where the description of an option begins */
};

static void spaces(struct buf *to, size_t n)
{
    while (n--)
        buf_char(to, ' ');
}

static void paragraphs(struct buf *to, const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t len = end ? (size_t)(end - text) : strlen(text);
        AUTO(free) char *one = mem_textn(text, len, NULL);

        wrap_text(to, one ? one : "", 0, 0, HELP_WIDTH);
        buf_char(to, '\n');
        text += len;
        if (end) {
            buf_char(to, '\n');
            text += 2;
        }
    }
}

void option_spelling(const struct option *o, struct buf *to)
{
    if (o->letter)
        buf_format(to, "-%c, ", o->letter);
    buf_format(to, "--%s", o->row.key);
    if (o->value)
        buf_format(to, " %s", o->value);
}

/* "  NAME      text", the text wrapped in its own column. */
static void entry(struct buf *to, const char *name, const char *text)
{
    size_t len = strlen(name);

    buf_format(to, "  %s", name);
    if (len + 4 > HELP_COLUMN) {
        buf_char(to, '\n');
        spaces(to, HELP_COLUMN);
    } else {
        spaces(to, HELP_COLUMN - 2 - len);
    }
    wrap_text(to, text, HELP_COLUMN, HELP_COLUMN, HELP_WIDTH);
    buf_char(to, '\n');
}

static void option_entries(struct buf *to, const char *listed)
{
    for (const struct option *o = options; o->row.type != OPT_END; o++) {
        AUTO(buf_release) struct buf name = {0};

        if (!option_listed(listed, o->row.key))
            continue;
        if (!o->letter)
            buf_text(&name, "    ");
        option_spelling(o, &name);
        entry(to, name.data ? name.data : "", o->row.help);
    }
}

void help_overview(struct buf *to)
{
    buf_text(to, "strata moves virtual machine disks between platforms.\n\n"
                 "Usage: strata COMMAND [OPTION]... [ARGUMENT]...\n");
    for (unsigned group = 0; group < GROUP_COUNT; group++) {
        buf_format(to, "\n%s\n", command_groups[group]);
        for (const struct command *c = commands; c->name; c++) {
            AUTO(buf_release) struct buf name = {0};

            if (c->group != group)
                continue;
            buf_format(&name, "%s%s%s", c->name, *c->arguments ? " " : "", c->arguments);
            entry(to, name.data ? name.data : "", c->summary);
        }
    }
    buf_text(to, "\nOptions of every command\n");
    option_entries(to, options_common);
    buf_text(to, "\n'strata COMMAND --help' explains one command.\n");
}

void help_command(const struct command *command, struct buf *to)
{
    buf_format(to, "Usage: strata %s [OPTION]...%s%s\n\n", command->name,
               *command->arguments ? " " : "", command->arguments);
    paragraphs(to, command->text);
    if (*command->options) {
        buf_text(to, "\nOptions\n");
        option_entries(to, command->options);
    }
    buf_text(to, "\nOptions of every command\n");
    option_entries(to, options_common);
    buf_text(to, "\nExamples\n");
    for (const char *const *x = command->examples; *x; x += 2)
        buf_format(to, "  # %s\n  %s\n", x[1], x[0]);
}

void row_values(const struct opt_row *row, struct buf *to)
{
    static const char *const names[] = {
        [OPT_BOOL] = "yes or no",       [OPT_COUNT] = "a number",      [OPT_SIZE] = "a size",
        [OPT_PERCENT] = "a percentage", [OPT_DURATION] = "a duration", [OPT_TEXT] = "text",
        [OPT_TEXTS] = "a list",         [OPT_PAIRS] = "a map",         [OPT_MAP] = "a map",
    };

    if (row->type == OPT_WORD) {
        for (size_t i = 0; row->words[i]; i++)
            buf_format(to, "%s%s", i ? ", " : "", row->words[i]);
        return;
    }
    if (row->type == OPT_NODE)
        buf_text(to, row->flags & OPT_LIST ? "a list" : "a map");
    else if (row->flags & OPT_PATH)
        buf_text(to, row->type == OPT_TEXTS ? "paths" : "a path");
    else
        buf_text(to, names[row->type]);
    if (row->flags & OPT_POW2)
        buf_text(to, ", a power of two");
}

const char *layers_text(unsigned layers, char buf[LAYERS_TEXT_MAX])
{
    size_t len = 0;

    buf[0] = '\0';
    for (unsigned first = 0, last; first < 7; first = last + 1) {
        last = first;
        if (!(layers & 1u << first))
            continue;
        while (last < 6 && layers & 1u << (last + 1))
            last++;
        if (last - first == 1) /* two are listed, more are a range */
            last = first;
        len +=
            (size_t)snprintf(buf + len, LAYERS_TEXT_MAX - len, "%sL%u", len ? " " : "", first + 1);
        if (last > first)
            len += (size_t)snprintf(buf + len, LAYERS_TEXT_MAX - len, "-L%u", last + 1);
    }
    return buf;
}

const char *row_preset(const struct opt_row *row)
{
    return row->preset && *row->preset ? row->preset : NULL;
}
