/* label: quick
 *
 * Fuzzes everything qcow2 reads: header, extensions, lists, L1 and L2 tables, refcounts. The input
 * is the image file; every answer of map must keep the driver's contract. */
#include "bytes.h"
#include "driver.h"
#include "formats.h"

#include <stdint.h>
#include <stdlib.h>

enum {
    MAPS_MAX = 4096,       /* a forged L1 table may describe exabytes in scraps */
    INPUT_MAX = 256 << 10, /* all tables fit; larger inputs only repeat them */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct driver *const only[] = {&driver_qcow2, NULL};

static void ignore(void *user, enum check_level level, const char *text)
{
    (void)user;
    (void)level;
    (void)text;
}

static void map_all(struct image *img)
{
    struct err e = ERR_INIT;
    struct extent x;
    uint64_t at = 0;

    for (int i = 0; i < MAPS_MAX && at < img->size; i++) {
        uint64_t want = i % 3 ? img->size - at : MIN(img->size - at, (uint64_t)700);

        err_clear(&e);
        if (image_map_layer(img, at, want, &x, &e)) {
            at += x.len;
            continue;
        }
        if (e.kind == ERR_BUG)
            abort();
        at = round_up(at + 1, img->facts.cluster_size); /* past the damage */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_options options = {.format = "qcow2", .lock = IMAGE_LOCK_NONE};
    struct err e = ERR_INIT;
    struct parent_ref ref = {0};
    struct image *img;
    struct io *io;

    if (!size || size > INPUT_MAX)
        return 0;
    drivers_register(only);
    io = io_memory("fuzz", 0, &e);
    if (!io || !io_write(io, 0, data, size, &e))
        abort();
    options.snapshot = data[size - 1] == '1' ? "1" : NULL;
    img = image_open_io(io, "fuzz", NULL, &options, &e);
    if (!img)
        return 0;
    if (!driver_qcow2.parent(img, &ref, &e))
        abort();
    parent_ref_release(&ref);
    map_all(img);
    if (img->facts.snapshot_count < 4) /* each walks the tables once more */
        driver_qcow2.check(img, ignore, NULL, &e);
    image_free(img);
    return 0;
}
