/* The VHD parser: opens the input as it is and with its checksums made right (a fuzzer would not
 * find them), maps the whole disk, asks for the parent and checks the structure.
 * label: quick */
#include "driver.h"
#include "formats.h"
#include "fuzz_image.h"
#include "mem.h"
#include "vhd/vhd.h"

#include "bytes.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void resum_footer(uint8_t *raw)
{
    struct vhd_footer f;

    if (vhd_footer_unpack(raw, &f))
        vhd_footer_pack(&f, raw);
}

static void resum(uint8_t *bytes, size_t len)
{
    struct vhd_footer f;
    struct vhd_header h;
    uint8_t *tail = bytes + len - VHD_FOOTER_SIZE;

    if (len < VHD_FOOTER_SIZE)
        return;
    resum_footer(bytes);
    resum_footer(tail);
    if (!vhd_footer_unpack(tail, &f) && !vhd_footer_unpack(bytes, &f))
        return;
    if (range_inside(f.data_offset, VHD_HEADER_SIZE, len) &&
        vhd_header_unpack(bytes + f.data_offset, &h))
        vhd_header_pack(&h, bytes + f.data_offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct driver *const drivers[] = {&driver_vhd, NULL};
    struct err e = ERR_INIT;
    AUTO(free) uint8_t *bytes = mem_alloc(size, &e);

    drivers_register(drivers);
    if (!bytes || !size)
        return 0;
    memcpy(bytes, data, size);
    fuzz_image(&driver_vhd, bytes, size);
    resum(bytes, size);
    fuzz_image(&driver_vhd, bytes, size);
    return 0;
}
