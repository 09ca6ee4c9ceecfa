/* Errors: a fixed-size object on the caller's stack, passed last. Raising one cannot fail.
 *
 * Functions return bool (or a pointer) and fill the error on failure:
 *     return err_set(e, ERR_FORMAT, "the grain table at %" PRIu64 " is past the end", pos);
 * Callers add where they were; the first cause stays in front:
 *     return err_while(e, "reading '%s'", name);
 * The text is lower case without a full stop, subjects in single quotes, numbers with units. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

/* name, exit status, worth retrying, gravity (the fleet exits with the gravest of its machines) */
#define ERR_KINDS(X)                                                                               \
    X(NONE, 0, false, 0)                                                                           \
    X(DIFFERS, 1, false, 11)     /* contents differ, or a check found damage */                    \
    X(USAGE, 2, false, 13)       /* command line or job file */                                    \
    X(FORMAT, 3, false, 10)      /* the image is damaged */                                        \
    X(UNSUPPORTED, 3, false, 10) /* the image is of a kind strata cannot handle */                 \
    X(IO, 4, false, 8)           /* input or output failed */                                      \
    X(MEMORY, 4, false, 8)       /* out of memory */                                               \
    X(SPACE, 5, false, 5)        /* not enough space */                                            \
    X(REFUSED, 6, false, 3)      /* preflight or a safety rule */                                  \
    X(BUSY, 7, false, 2)         /* the image or the state is in use */                            \
    X(NETWORK, 8, true, 4)       /* network or remote server */                                    \
    X(GATE, 9, false, 9)         /* a path inside an image is not allowed */                       \
    X(GUEST, 10, false, 6)       /* the guest could not be worked on */                            \
    X(CHANGED, 11, false, 7)     /* a source changed since the interruption */                     \
    X(BUG, 70, false, 12)        /* a bug in strata */                                             \
    X(INTERRUPTED, 130, false, 14)                                                                 \
    X(TERMINATED, 143, false, 15)

enum err_kind {
#define ERR_ENUM(name, status, retry, gravity) ERR_##name,
    ERR_KINDS(ERR_ENUM)
#undef ERR_ENUM
        ERR_KIND_COUNT
};

enum { ERR_TEXT_MAX = 1024 }; /* two long paths and a sentence; longer texts are cut */

struct err {
    enum err_kind kind;
    char text[ERR_TEXT_MAX];
};

#define ERR_INIT ((struct err){.kind = ERR_NONE})

/* Sets kind and text; always returns false. An error already set is kept (the first cause wins).
 * `e` may be NULL: then nothing is recorded. */
bool err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* err_set with the text of `errnum` appended after ": ". ENOSPC and EDQUOT become ERR_SPACE, ENOMEM
 * ERR_MEMORY, all else `kind`. */
bool err_errno(struct err *e, enum err_kind kind, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Appends " (while ...)" to an error already set; always returns false. */
bool err_while(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Forgets the error, so that `e` can be used again. */
void err_clear(struct err *e);

const char *err_kind_name(enum err_kind kind);
int err_exit_status(enum err_kind kind);
bool err_worth_retrying(enum err_kind kind);

/* The kind whose exit status a group of results ends with. */
enum err_kind err_graver(enum err_kind a, enum err_kind b);

#endif
