/* Mistakes in a job file: collected, not thrown, so that all of them are reported at once.
 *
 *     job.yaml:8:5: there is no stage 'consolidat'; did you mean 'consolidate'?
 *       - consolidat
 *         ^ */
#ifndef CONFIG_MISTAKES_H
#define CONFIG_MISTAKES_H

#include "buf.h"
#include "vec.h"

struct mark {
    unsigned line, col; /* from 1; line 0: no place (the file as a whole) */
};

struct mistake {
    struct mark at;
    char *text;
};

enum { MISTAKES_MAX = 100 }; /* a file that is not a job at all must not scroll for pages */

struct mistakes {
    char *file;               /* as the user named it */
    char *source;             /* its text, NUL-terminated; NULL: not readable */
    VEC(struct mistake) list; /* sorted by mistakes_text; one text at one place is kept once */
    VEC(unsigned) hidden;     /* lines never shown: they may hold a secret */
    unsigned more;            /* beyond MISTAKES_MAX */
};

void mistakes_release(struct mistakes *m);
void mistake_add(struct mistakes *m, struct mark at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* From now on the line is not shown with its mistakes. */
void mistakes_hide(struct mistakes *m, struct mark at);
/* All of them as shown above, in order of place. */
void mistakes_text(struct mistakes *m, struct buf *out);

#endif
