/* policy.window: "22:00-05:00", local time; it may reach past midnight. */
#ifndef JOB_RUN_WINDOW_H
#define JOB_RUN_WINDOW_H

#include "err.h"

#include <stdint.h>

/* NULL: always inside. ERR_USAGE for anything else than HH:MM-HH:MM. */
bool window_open(const char *window, int64_t now, bool *ret_inside, struct err *e);

#endif
