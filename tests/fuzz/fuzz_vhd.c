/* The VHD parser: opens the input as it is and with its checksums made right (a fuzzer would not
 * find them), maps the whole disk, asks for the parent and checks the structure.
 * label: quick */
#include "driver.h"
#include "formats.h"
#include "mem.h"
#include "vhd/vhd.h"

#include "bytes.h"

#include <string.h>

enum { MAPS_MAX = 5000 }; /* a differencing disk can alternate at every sector */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *user, enum check_level level, const char *text)
{
    (void)user;
    (void)level;
    (void)text;
}

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

static void read_all(struct image *img)
{
    struct err e = ERR_INIT;
    struct parent_ref ref = {0};
    struct extent x;
    uint64_t at = 0;

    for (size_t i = 0; i < MAPS_MAX && at < img->size; i++) {
        if (!image_map_layer(img, at, img->size - at, &x, &e))
            break;
        at += x.len;
    }
    err_clear(&e);
    img->driver->parent(img, &ref, &e);
    parent_ref_release(&ref);
    err_clear(&e);
    img->driver->check(img, ignore, NULL, &e);
}

static void open_bytes(const uint8_t *bytes, size_t len)
{
    struct image_options options = {.format = "vhd", .layer_only = true, .lock = IMAGE_LOCK_NONE};
    struct probe p = {.path = "fuzz",
                      .head = bytes,
                      .head_len = len,
                      .tail = bytes + len - MIN(len, 4096u),
                      .tail_len = MIN(len, 4096u),
                      .size = len};
    struct err e = ERR_INIT;
    struct io *io = io_memory("fuzz", len, &e);
    struct image *img;

    driver_vhd.probe(&p);
    if (!io || !io_write(io, 0, bytes, len, &e)) {
        io_free(io);
        return;
    }
    img = image_open_io(io, "fuzz", NULL, &options, &e);
    if (img)
        read_all(img);
    image_free(img);
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
    open_bytes(bytes, size);
    resum(bytes, size);
    open_bytes(bytes, size);
    return 0;
}
