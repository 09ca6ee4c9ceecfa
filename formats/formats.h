/* The container formats, one driver each. */
#ifndef FORMATS_FORMATS_H
#define FORMATS_FORMATS_H

#include "driver.h"

extern const struct driver driver_qcow2;
extern const struct driver driver_vmdk;
extern const struct driver driver_vhd;
extern const struct driver driver_vdi;
extern const struct driver driver_raw;

/* In the order they are probed; NULL at the end. */
extern const struct driver *const formats_table[];

#endif
