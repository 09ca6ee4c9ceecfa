/* Text tables; see table.h. Widths are counted in characters (UTF-8), not bytes. */
#include "table.h"

#include "print.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { GAP = 2 };

void table_init(struct table *t, const char *const *heads)
{
    *t = (struct table){.heads = heads};
    while (heads[t->columns] && t->columns < TABLE_COLUMNS_MAX)
        t->columns++;
}

void table_release(struct table *t)
{
    for (size_t i = 0; i < t->cells.count; i++)
        free(t->cells.items[i].text);
    free(t->cells.items);
    t->cells.items = NULL;
    t->cells.count = t->cells.room = 0;
}

static void add(struct table *t, const char *text, bool note)
{
    AUTO(buf_release) struct buf safe = {0};
    struct table_cell cell = {.note = note};

    safe_text(&safe, text, false);
    cell.text = buf_take(&safe, NULL);
    if (!cell.text || !VEC_PUSH(&t->cells, cell, NULL)) {
        free(cell.text);
        t->failed = true;
    }
}

static void add_format(struct table *t, bool note, const char *fmt, va_list args)
{
    AUTO(free) char *text = NULL;

    if (vasprintf(&text, fmt, args) < 0) {
        text = NULL;
        t->failed = true;
        return;
    }
    add(t, text, note);
}

void table_text(struct table *t, const char *text)
{
    add(t, text ? text : "", false);
}

void table_cell(struct table *t, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add_format(t, false, fmt, args);
    va_end(args);
}

void table_note(struct table *t, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add_format(t, true, fmt, args);
    va_end(args);
}

static unsigned text_width(const char *text)
{
    unsigned n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void spaces(struct buf *to, unsigned n)
{
    while (n--)
        buf_char(to, ' ');
}

void wrap_text(struct buf *to, const char *text, unsigned at, unsigned indent, unsigned width)
{
    bool first = true;

    while (*text) {
        size_t len = strcspn(text, " ");
        AUTO(free) char *word = mem_textn(text, len, NULL);
        unsigned w = word ? text_width(word) : (unsigned)len;

        if (!first && width && at + 1 + w > width) {
            buf_char(to, '\n');
            spaces(to, indent);
            at = indent;
        } else if (!first) {
            buf_char(to, ' ');
            at++;
        }
        buf_add(to, text, len);
        at += w;
        first = false;
        text += len;
        text += strspn(text, " ");
    }
}

static const char *head_text(const char *head)
{
    return *head == '>' ? head + 1 : head;
}

static void measure(const struct table *t, unsigned widths[TABLE_COLUMNS_MAX])
{
    unsigned col = 0;

    memset(widths, 0, sizeof(unsigned) * TABLE_COLUMNS_MAX);
    for (size_t i = 0; i < t->cells.count; i++) {
        unsigned w;

        if (t->cells.items[i].note)
            continue;
        w = text_width(t->cells.items[i].text);
        if (w > widths[col])
            widths[col] = w;
        col = (col + 1) % t->columns;
    }
    for (col = 0; col < t->columns; col++) {
        unsigned w = text_width(head_text(t->heads[col]));

        if (widths[col] && !t->bare && w > widths[col])
            widths[col] = w;
    }
}

/* One line: `text(col)` of every column that is not empty. */
static void print_row(const struct table *t, const unsigned widths[TABLE_COLUMNS_MAX],
                      const char *const texts[TABLE_COLUMNS_MAX], struct buf *to, unsigned width)
{
    unsigned at = t->indent, pending = 0, last = 0;

    for (unsigned col = 0; col < t->columns; col++)
        if (widths[col])
            last = col;
    spaces(to, t->indent);
    for (unsigned col = 0; col <= last; col++) {
        unsigned w = text_width(texts[col]), fill = widths[col] > w ? widths[col] - w : 0;
        bool right = t->heads[col][0] == '>';

        if (!widths[col])
            continue;
        if (!*texts[col]) {
            pending += widths[col] + GAP;
            continue;
        }
        spaces(to, pending + (right ? fill : 0));
        at += pending + (right ? fill : 0);
        wrap_text(to, texts[col], at, at, col == last ? width : 0);
        at += w;
        pending = (right ? 0 : fill) + GAP;
    }
    buf_char(to, '\n');
}

bool table_print(struct table *t, struct buf *to, unsigned width, struct err *e)
{
    unsigned widths[TABLE_COLUMNS_MAX], col = 0;
    const char *texts[TABLE_COLUMNS_MAX];

    if (t->failed)
        return err_set(e, ERR_MEMORY, "out of memory while making a table");
    measure(t, widths);
    if (!t->bare && t->cells.count) {
        for (unsigned i = 0; i < t->columns; i++)
            texts[i] = head_text(t->heads[i]);
        print_row(t, widths, texts, to, 0);
    }
    for (size_t i = 0; i < t->cells.count; i++) {
        const struct table_cell *cell = &t->cells.items[i];

        if (cell->note) {
            spaces(to, t->indent + 4);
            wrap_text(to, cell->text, t->indent + 4, t->indent + 4, width);
            buf_char(to, '\n');
            continue;
        }
        texts[col++] = cell->text;
        if (col == t->columns) {
            print_row(t, widths, texts, to, width);
            col = 0;
        }
    }
    return true;
}
