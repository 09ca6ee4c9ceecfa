/* The window of a policy; see run_window.h. */
#include "run_window.h"

#include <stdio.h>
#include <time.h>

static bool minutes(int hour, int minute, int *ret)
{
    *ret = hour * 60 + minute;
    return hour >= 0 && hour < 24 && minute >= 0 && minute < 60;
}

bool window_open(const char *window, int64_t now, bool *ret_inside, struct err *e)
{
    int fh, fm, th, tm_min, from, to, at, used = 0;
    time_t t = (time_t)now;
    struct tm tm = {0};

    *ret_inside = true;
    if (!window)
        return true;
    if (sscanf(window, "%2d:%2d-%2d:%2d%n", &fh, &fm, &th, &tm_min, &used) != 4 || window[used] ||
        !minutes(fh, fm, &from) || !minutes(th, tm_min, &to))
        return err_set(e, ERR_USAGE, "the window '%s' is not of the form 22:00-05:00", window);
    localtime_r(&t, &tm);
    at = tm.tm_hour * 60 + tm.tm_min;
    *ret_inside = from <= to ? at >= from && at < to : at >= from || at < to;
    return true;
}
