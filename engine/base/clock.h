/* Clocks, replaceable for golden tests: STRATA_NOW is read by the edge and set with clock_fix. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Seconds since 1970, UTC. */
int64_t clock_now(void);
/* From now on clock_now answers `seconds`. */
void clock_fix(int64_t seconds);
/* Nanoseconds of a clock that never goes back; unaffected by clock_fix. */
uint64_t clock_mono(void);

/* The time stamp that an output carries: its source's modification time, or the one that was fixed
 * for all outputs (SOURCE_DATE_EPOCH, read by the edge). Seconds since 1970. */
int64_t clock_stamp(int64_t source_mtime);
void clock_fix_stamp(int64_t seconds);

enum { CLOCK_TEXT_MAX = 32 };
/* "2026-11-23T08:00:00Z". Returns `buf`. */
const char *clock_text(int64_t seconds, char buf[CLOCK_TEXT_MAX]);

#endif
