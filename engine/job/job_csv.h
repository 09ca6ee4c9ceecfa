/* CSV files (RFC 4180): fields separated by commas, quoted where they hold commas, quotes or line
 * breaks; the first row names the columns. */
#ifndef JOB_JOB_CSV_H
#define JOB_JOB_CSV_H

#include "opt.h"

struct csv_row {
    struct opt_pairs fields; /* column -> value, in the order of the columns */
    unsigned line;
};

struct csv {
    struct csv_row *items;
    size_t count, room;
};

/* ERR_USAGE with the line of what is wrong: a row with more or fewer fields than columns, a column
 * without a name or named twice, an open quote, more than `max` rows, text that is no UTF-8. */
bool csv_parse(const char *name, const char *text, size_t len, size_t max, struct csv *ret,
               struct err *e);
void csv_release(struct csv *csv);

#endif
