/* Aligned text tables: cells are added row by row; a column that stays empty is left out. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "buf.h"
#include "err.h"
#include "vec.h"

enum { TABLE_COLUMNS_MAX = 16 }; /* more would not be readable */

struct table {
    const char *const *heads; /* NULL at the end; a leading '>' aligns to the right */
    unsigned columns;
    unsigned indent; /* of every line */
    bool bare;       /* no head line */
    bool failed;
    VEC(struct table_cell {
        char *text;
        bool note; /* a line of its own under the row */
    })
    cells;
};

void table_init(struct table *t, const char *const *heads);
void table_release(struct table *t);
static inline void table_release_at(struct table *t)
{
    table_release(t);
}
/* The next cell of the current row; NULL or "" for an empty one. */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_text(struct table *t, const char *text);
/* A line below the row just completed, indented. */
void table_note(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends the table; the last column, and notes, are wrapped at `width` columns (0: never). */
bool table_print(struct table *t, struct buf *to, unsigned width, struct err *e);

/* Appends `text` wrapped at `width` columns, every line but the first indented. The first begins at
 * column `at`. */
void wrap_text(struct buf *to, const char *text, unsigned at, unsigned indent, unsigned width);

#endif
