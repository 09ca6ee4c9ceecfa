/* Clocks; see clock.h. */
#include "clock.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

static bool fixed;
static int64_t fixed_at;

int64_t clock_now(void)
{
    return fixed ? fixed_at : (int64_t)time(NULL);
}

void clock_fix(int64_t seconds)
{
    fixed = true;
    fixed_at = seconds;
}

static bool stamp_fixed;
static int64_t stamp;

int64_t clock_stamp(int64_t source_mtime)
{
    return stamp_fixed ? stamp : source_mtime;
}

void clock_fix_stamp(int64_t seconds)
{
    stamp_fixed = true;
    stamp = seconds;
}

uint64_t clock_mono(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

const char *clock_text(int64_t seconds, char buf[CLOCK_TEXT_MAX])
{
    time_t t = (time_t)seconds;
    struct tm tm;

    /* a file's time stamp may lie beyond the years that a calendar here can say */
    if (!gmtime_r(&t, &tm) || !strftime(buf, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(buf, CLOCK_TEXT_MAX, "%" PRId64 " s", seconds);
    return buf;
}
