/* The JSON Schema (draft 2020-12) of option rows; see rows.h.
 *
 * Every scalar also takes a string, because "${variable}" is one; a pattern then says what the text
 * must look like. Patterns bind strings only, minimum and maximum numbers only, so both can stand
 * side by side. */
#include "bytes.h"
#include "rows.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLE ".*\\$\\{.+"

void rows_quote(struct buf *out, const char *text)
{
    buf_char(out, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            buf_format(out, "\\%c", *p);
        else if ((unsigned char)*p < 0x20)
            buf_format(out, "\\u%04x", (unsigned)*p);
        else
            buf_char(out, *p);
    }
    buf_char(out, '"');
}

static void new_line(struct buf *out, unsigned indent)
{
    buf_format(out, "\n%*s", (int)indent * 2, "");
}

static void add_pattern(struct buf *out, const char *pattern)
{
    buf_text(out, ", \"pattern\": ");
    rows_quote(out, pattern);
}

/* Bounds of a number, in the unit a plain number in the file has. */
static void add_bounds(const struct opt_row *row, struct buf *out)
{
    uint64_t unit = row->type == OPT_PERCENT ? 100 : 1;

    buf_format(out, ", \"minimum\": %" PRIu64, row->min / unit);
    if (row->max)
        buf_format(out, ", \"maximum\": %" PRIu64, row->max / unit);
}

static bool has_word(const struct opt_row *row, const char *word)
{
    for (size_t i = 0; row->words[i]; i++)
        if (strcmp(row->words[i], word) == 0)
            return true;
    return false;
}

static void add_words(const struct opt_row *row, struct buf *out)
{
    buf_text(out, "\"anyOf\": [{\"enum\": [");
    for (size_t i = 0; row->words[i]; i++) {
        buf_text(out, i ? ", " : "");
        rows_quote(out, row->words[i]);
    }
    if (has_word(row, "yes"))
        buf_text(out, ", true");
    if (has_word(row, "no"))
        buf_text(out, ", false");
    buf_text(out, "]}, {\"type\": \"string\"");
    add_pattern(out, "^" VARIABLE "$");
    buf_text(out, "}]");
}

/* "type" and what goes with it of a scalar row. */
static void add_scalar(const struct opt_row *row, struct buf *out)
{
    switch (row->type) {
    case OPT_BOOL:
        buf_text(out, "\"type\": [\"boolean\", \"string\"]");
        add_pattern(out, "^([Yy]es|[Nn]o|[Tt]rue|[Ff]alse|[Oo]n|[Oo]ff|" VARIABLE ")$");
        break;
    case OPT_COUNT:
        buf_text(out, "\"type\": [\"integer\", \"string\"]");
        add_bounds(row, out);
        add_pattern(out, "^([0-9]+|" VARIABLE ")$");
        break;
    case OPT_SIZE:
        buf_text(out, "\"type\": [\"integer\", \"string\"]");
        add_bounds(row, out);
        add_pattern(out, "^([0-9]+(\\.[0-9]+)? *([Bb]|bytes|[KMGTPEkmgtpe]([Ii]?[Bb])?)?|" VARIABLE
                         ")$");
        break;
    case OPT_PERCENT:
        buf_text(out, "\"type\": [\"number\", \"string\"]");
        add_bounds(row, out);
        add_pattern(out, "^([0-9]+(\\.[0-9]+)?%?|" VARIABLE ")$");
        break;
    case OPT_DURATION:
        buf_text(out, "\"type\": [\"integer\", \"string\"]");
        add_bounds(row, out);
        add_pattern(out, "^(([0-9]+[smhd])*[0-9]+[smhd]?|" VARIABLE ")$");
        break;
    case OPT_WORD:
        add_words(row, out);
        break;
    default:
        buf_text(out, "\"type\": [\"string\", \"number\", \"boolean\"]");
        break;
    }
}

static bool plain_number(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

static void add_default(const struct opt_row *row, struct buf *out, unsigned indent)
{
    if (!row->preset)
        return;
    buf_text(out, "\"default\": ");
    if (row->type == OPT_BOOL)
        buf_text(out, strcmp(row->preset, "yes") == 0 || strcmp(row->preset, "true") == 0 ||
                              strcmp(row->preset, "on") == 0
                          ? "true"
                          : "false");
    else if (row->type != OPT_TEXT && row->type != OPT_WORD && plain_number(row->preset))
        buf_text(out, row->preset);
    else
        rows_quote(out, row->preset);
    buf_char(out, ',');
    new_line(out, indent);
}

/* The keywords of a group of rows, without the braces around. */
static void add_rows(const struct opt_row *rows, struct buf *out, unsigned indent);

static void add_node(const struct opt_row *row, struct buf *out, unsigned indent)
{
    if (row->schema) {
        buf_text(out, "\"$ref\": ");
        rows_quote(out, row->schema);
    } else if (!row->sub) {
        buf_text(out, row->flags & OPT_LIST    ? "\"type\": \"array\""
                      : row->flags & OPT_NAMED ? "\"type\": \"object\""
                                               : "\"type\": [\"object\", \"array\", \"string\", "
                                                 "\"number\", \"boolean\"]");
    } else if (row->flags & (OPT_LIST | OPT_NAMED)) {
        buf_text(out, row->flags & OPT_LIST ? "\"type\": \"array\", \"items\": "
                                            : "\"type\": \"object\", \"additionalProperties\": ");
        rows_schema(row->sub, out, indent);
    } else {
        add_rows(row->sub, out, indent);
    }
}

static void add_property(const struct opt_row *row, struct buf *out, unsigned indent)
{
    struct opt_row item = *row;

    rows_quote(out, row->key);
    buf_text(out, ": {");
    new_line(out, indent + 1);
    buf_text(out, "\"description\": ");
    rows_quote(out, row->help ? row->help : "");
    buf_char(out, ',');
    new_line(out, indent + 1);
    add_default(row, out, indent + 1);
    item.type = OPT_TEXT;
    switch (row->type) {
    case OPT_TEXTS:
        buf_text(out, "\"anyOf\": [{\"type\": \"array\", \"items\": {");
        add_scalar(&item, out);
        buf_text(out, "}}, {");
        add_scalar(&item, out);
        buf_text(out, "}]");
        break;
    case OPT_PAIRS:
        buf_text(out, "\"type\": \"object\", \"additionalProperties\": {");
        add_scalar(&item, out);
        buf_char(out, '}');
        break;
    case OPT_NODE:
        add_node(row, out, indent + 1);
        break;
    case OPT_MAP:
        add_rows(row->sub, out, indent + 1);
        break;
    default:
        add_scalar(row, out);
        break;
    }
    new_line(out, indent);
    buf_char(out, '}');
}

static void add_required(const struct opt_row *rows, struct buf *out, unsigned indent)
{
    bool any = false;

    for (; rows && rows->type != OPT_END; rows++) {
        if (!(rows->flags & OPT_REQUIRED))
            continue;
        buf_text(out, any ? ", " : "\"required\": [");
        rows_quote(out, rows->key);
        any = true;
    }
    if (any) {
        buf_text(out, "],");
        new_line(out, indent);
    }
}

static void add_rows(const struct opt_row *rows, struct buf *out, unsigned indent)
{
    bool any = false;

    buf_text(out, "\"type\": \"object\",");
    new_line(out, indent);
    buf_text(out, "\"additionalProperties\": false,");
    new_line(out, indent);
    add_required(rows, out, indent);
    buf_text(out, "\"properties\": {");
    for (; rows && rows->type != OPT_END; rows++) {
        buf_text(out, any ? "," : "");
        new_line(out, indent + 1);
        add_property(rows, out, indent + 1);
        any = true;
    }
    if (any)
        new_line(out, indent);
    buf_char(out, '}');
}

void rows_schema(const struct opt_row *rows, struct buf *out, unsigned indent)
{
    buf_char(out, '{');
    new_line(out, indent + 1);
    add_rows(rows, out, indent + 1);
    new_line(out, indent);
    buf_char(out, '}');
}
