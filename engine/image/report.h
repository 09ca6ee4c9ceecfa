/* What a structure check finds, told in sentences: the first of each level in full, the rest
 * counted, so that a ruined table does not fill the terminal. */
#ifndef IMAGE_REPORT_H
#define IMAGE_REPORT_H

#include "driver.h"

enum { REPORT_MAX = 100 }; /* of one level; nobody reads more */

struct report {
    check_fn *fn;
    void *user;
    uint64_t counts[CHECK_DAMAGE + 1];
};

void report_say(struct report *r, enum check_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Tells how many there were besides. */
void report_end(struct report *r);

#endif
