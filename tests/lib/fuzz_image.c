/* Fuzzing an image format; see fuzz_image.h. */
#include "fuzz_image.h"

#include "bytes.h"

enum { MAPS_MAX = 5000 }; /* blocks may lie alone, sectors alternate with a parent's */

static void ignore(void *user, enum check_level level, const char *text)
{
    (void)user;
    (void)level;
    (void)text;
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
    if (img->driver->parent)
        img->driver->parent(img, &ref, &e);
    parent_ref_release(&ref);
    err_clear(&e);
    img->driver->check(img, ignore, NULL, &e);
}

void fuzz_image(const struct driver *driver, const uint8_t *bytes, size_t len)
{
    struct image_options options = {
        .format = driver->name, .layer_only = true, .lock = IMAGE_LOCK_NONE};
    struct probe p = {.path = "fuzz",
                      .head = bytes,
                      .head_len = len,
                      .tail = bytes + len - MIN(len, 4096u),
                      .tail_len = MIN(len, 4096u),
                      .size = len};
    struct err e = ERR_INIT;
    struct io *io = io_memory("fuzz", len, &e);
    struct image *img;

    driver->probe(&p);
    if (!io || !io_write(io, 0, bytes, len, &e)) {
        io_free(io);
        return;
    }
    img = image_open_io(io, "fuzz", NULL, &options, &e);
    if (img)
        read_all(img);
    image_free(img);
}
