/* The VDI parser.
 * label: quick */
#include "formats.h"
#include "fuzz_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct driver *const drivers[] = {&driver_vdi, NULL};

    drivers_register(drivers);
    if (size)
        fuzz_image(&driver_vdi, data, size);
    return 0;
}
