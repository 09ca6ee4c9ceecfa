/* Printing. Results go to standard output, messages to standard error. Names and texts come out of
 * images and job files, so control characters, and bytes that are not UTF-8, are shown as \xNN:
 * nothing that was read can steer the terminal. All functions may be called from any thread. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include "buf.h"
#include "err.h"

/* Result text; newlines of `fmt` and of its arguments are kept. */
void out(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Text that is already fit to be shown: JSON, help. */
void out_raw(const char *text, size_t len);
/* One line on standard error, "strata: " in front, newline added. */
void tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Lines on standard error as they are. */
void tell_text(const char *text);

/* The line at the bottom of the terminal that the bar lives in: replaced by each call, erased by
 * NULL and by every message. */
void status_line(const char *text);

/* Appends `text` with control characters made visible; newlines stay when `lines`. */
void safe_text(struct buf *to, const char *text, bool lines);

/* ERR_IO when standard output did not take everything, as with a closed pipe. */
bool out_finish(struct err *e);

/* Columns of the terminal on that descriptor; 0 when it is none. */
unsigned terminal_width(int fd);

#endif
