/* Fault points for the torture tests: every operation that can fail (allocation, system call) asks
 * here first. Disarmed, a fault point costs one relaxed load of a flag. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>

extern atomic_bool fault_active;

bool fault_step(const char *name);

/* True when this point must fail now. `name` names the operation ("mem", "pwrite"). */
static inline bool fault_point(const char *name)
{
    return atomic_load_explicit(&fault_active, memory_order_relaxed) && fault_step(name);
}

/* Counts fault points from now on and fails none; fault_disarm returns the count. */
void fault_count(void);
/* The nth point from now (1 is the next) fails, once. */
void fault_arm(long nth);
/* Stops; returns how many points were passed since fault_count or fault_arm. */
long fault_disarm(void);

#endif
