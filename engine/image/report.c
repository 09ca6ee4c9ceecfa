/* Findings of a check; see report.h. */
#include "report.h"

#include "bytes.h"

#include <inttypes.h>
#include <stdio.h>

void report_say(struct report *r, enum check_level level, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list args;

    if (r->counts[level]++ >= REPORT_MAX)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    r->fn(r->user, level, text);
}

void report_end(struct report *r)
{
    for (size_t level = 0; level < ARRAY_LEN(r->counts); level++) {
        uint64_t more = r->counts[level] - MIN(r->counts[level], (uint64_t)REPORT_MAX);

        r->counts[level] = 0;
        if (more)
            report_say(r, (enum check_level)level, "and %" PRIu64 " more of this kind", more);
    }
}
