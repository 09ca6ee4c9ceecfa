/* label: quick
 *
 * VMDK descriptor text. */
#include "vmdk/descriptor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct descriptor d;
    struct err e = ERR_INIT;

    descriptor_parse((const char *)data, size, &d, &e);
    descriptor_release(&d);
    return 0;
}
