/* Fault points; see fault.h. */
#include "fault.h"

#include <stddef.h>

atomic_bool fault_active;
static atomic_long passed;
static atomic_long failing; /* the point that fails; 0: none */

bool fault_step(const char *name)
{
    (void)name;
    return atomic_fetch_add(&passed, 1) + 1 == atomic_load(&failing);
}

void fault_count(void)
{
    fault_arm(0);
}

void fault_arm(long nth)
{
    atomic_store(&passed, 0);
    atomic_store(&failing, nth);
    atomic_store(&fault_active, true);
}

long fault_disarm(void)
{
    atomic_store(&fault_active, false);
    return atomic_load(&passed);
}
