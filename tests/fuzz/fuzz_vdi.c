/* The VDI parser: opens the input, maps the whole disk and checks the structure.
 * label: quick */
#include "driver.h"
#include "formats.h"

#include "bytes.h"

enum { MAPS_MAX = 5000 }; /* every block may lie alone */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *user, enum check_level level, const char *text)
{
    (void)user;
    (void)level;
    (void)text;
}

static void read_all(struct image *img)
{
    struct err e = ERR_INIT;
    struct extent x;
    uint64_t at = 0;

    for (size_t i = 0; i < MAPS_MAX && at < img->size; i++) {
        if (!image_map_layer(img, at, img->size - at, &x, &e))
            break;
        at += x.len;
    }
    err_clear(&e);
    img->driver->check(img, ignore, NULL, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct driver *const drivers[] = {&driver_vdi, NULL};
    struct image_options options = {.format = "vdi", .layer_only = true, .lock = IMAGE_LOCK_NONE};
    struct err e = ERR_INIT;
    struct io *io = io_memory("fuzz", size, &e);
    struct image *img;

    drivers_register(drivers);
    if (!io || !size || !io_write(io, 0, data, size, &e)) {
        io_free(io);
        return 0;
    }
    img = image_open_io(io, "fuzz", NULL, &options, &e);
    if (img)
        read_all(img);
    image_free(img);
    return 0;
}
