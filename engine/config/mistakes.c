/* Mistakes in a job file; see mistakes.h.
 *
 * A source line is shown through a window of WINDOW columns around the caret, with what a terminal
 * could take for a command (control characters, broken UTF-8) as '?' and tabs as single spaces, so
 * that a caret stands below the character of its column. */
#include "mistakes.h"

#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 110 }; /* columns of a source line: fits a terminal of 120 */

void mistakes_release(struct mistakes *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->list.count; i++)
        free(m->list.items[i].text);
    free(m->list.items);
    free(m->hidden.items);
    free(m->file);
    free(m->source);
    *m = (struct mistakes){0};
}

static bool known(const struct mistakes *m, struct mark at, const char *text)
{
    for (size_t i = 0; i < m->list.count; i++) {
        const struct mistake *old = &m->list.items[i];

        if (old->at.line == at.line && old->at.col == at.col && strcmp(old->text, text) == 0)
            return true;
    }
    return false;
}

void mistake_add(struct mistakes *m, struct mark at, const char *fmt, ...)
{
    struct mistake mistake = {.at = at};
    va_list args;

    va_start(args, fmt);
    if (vasprintf(&mistake.text, fmt, args) < 0)
        mistake.text = NULL;
    va_end(args);
    if (mistake.text && known(m, at, mistake.text)) {
        free(mistake.text);
        return;
    }
    if (!mistake.text || m->list.count == MISTAKES_MAX || !VEC_PUSH(&m->list, mistake, NULL)) {
        m->more++;
        free(mistake.text);
    }
}

void mistakes_hide(struct mistakes *m, struct mark at)
{
    if (VEC_PUSH(&m->hidden, at.line, NULL))
        return;
    free(m->source); /* no memory to remember the line: then none is shown */
    m->source = NULL;
}

static bool hidden(const struct mistakes *m, unsigned line)
{
    for (size_t i = 0; i < m->hidden.count; i++)
        if (m->hidden.items[i] == line)
            return true;
    return false;
}

static int by_place(const void *a, const void *b)
{
    const struct mistake *x = a, *y = b;

    if (x->at.line != y->at.line)
        return x->at.line < y->at.line ? -1 : 1;
    if (x->at.col != y->at.col)
        return x->at.col < y->at.col ? -1 : 1;
    return strcmp(x->text, y->text);
}

/* Bytes of the character at `p`, at most `left`; 1 for what is no UTF-8. */
static size_t character(const char *p, size_t left)
{
    unsigned char c = (unsigned char)*p;
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1, i = 1;

    while (i < n && i < left && ((unsigned char)p[i] & 0xc0) == 0x80)
        i++;
    return c >= 0x80 && i < n ? 1 : i;
}

static void add_character(struct buf *out, const char *p, size_t n)
{
    unsigned char c = (unsigned char)*p;

    /* C1 controls are 0xc2 0x80 to 0xc2 0x9f. */
    if (c == '\t')
        buf_char(out, ' ');
    else if (c < 0x20 || c == 0x7f || (n == 1 && c >= 0x80) ||
             (n == 2 && c == 0xc2 && (unsigned char)p[1] < 0xa0))
        buf_char(out, '?');
    else
        buf_add(out, p, n);
}

/* The line's text, or NULL; without its line break. */
static const char *find_line(const char *source, unsigned line, size_t *ret_len)
{
    const char *p = source;

    for (unsigned n = 1; n < line; n++) {
        p = strchr(p, '\n');
        if (!p)
            return NULL;
        p++;
    }
    *ret_len = strcspn(p, "\r\n");
    return p;
}

static void add_source(struct buf *out, const char *line, size_t len, unsigned col)
{
    unsigned first = col > WINDOW * 2 / 3 ? col - WINDOW * 2 / 3 : 1, at = 1;
    AUTO(buf_release) struct buf caret = {0};
    size_t n;

    buf_text(out, first > 1 ? "  ..." : "  ");
    buf_text(&caret, first > 1 ? "     " : "  ");
    for (size_t i = 0; i < len && at < first + WINDOW; i += n, at++) {
        n = character(line + i, len - i);
        if (at < first)
            continue;
        add_character(out, line + i, n);
        if (at < col)
            buf_char(&caret, ' ');
    }
    for (; at < col && at < first + WINDOW; at++)
        buf_char(&caret, ' ');
    buf_format(out, "\n%s^\n", caret.data ? caret.data : "");
}

void mistakes_text(struct mistakes *m, struct buf *out)
{
    if (m->list.count)
        qsort(m->list.items, m->list.count, sizeof(*m->list.items), by_place);
    for (size_t i = 0; i < m->list.count; i++) {
        const struct mistake *mistake = &m->list.items[i];
        const char *line = NULL;
        size_t len = 0;

        buf_text(out, m->file ? m->file : "job");
        if (mistake->at.line)
            buf_format(out, ":%u:%u", mistake->at.line, mistake->at.col);
        buf_format(out, ": %s\n", mistake->text);
        if (m->source && mistake->at.line && !hidden(m, mistake->at.line))
            line = find_line(m->source, mistake->at.line, &len);
        if (line)
            add_source(out, line, len, mistake->at.col);
    }
    if (m->more)
        buf_format(out, "%s: and %u more\n", m->file ? m->file : "job", m->more);
}
