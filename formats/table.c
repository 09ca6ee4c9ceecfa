/* Every container format. Adding one is a folder and a line here. */
#include "formats.h"

const struct driver *const formats_table[] = {
    &driver_qcow2, &driver_vmdk, &driver_vhd, &driver_vdi, &driver_raw, NULL,
};
