/* label: quick
 *
 * VMDK files: the bytes are opened as a disk of one file, mapped from end to end as far as a
 * bounded number of steps goes, read here and there, and checked. */
#include "bytes.h"
#include "driver.h"
#include "formats.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    STEPS = 2000,        /* maps of one disk */
    READS = 8,           /* reads: each may inflate a unit of 2 MiB */
    CHECK_MAX = 1 << 30, /* disks larger than this are not checked: the check sees every entry */
};

static void ignore(void *user, enum check_level level, const char *text)
{
    (void)user;
    (void)level;
    (void)text;
}

static void walk(struct image *img)
{
    uint64_t at = 0;
    unsigned reads = 0;

    for (unsigned i = 0; i < STEPS && at < img->size; i++) {
        struct err e = ERR_INIT;
        struct extent x;
        uint8_t buf[4096];

        if (!image_map(img, at, img->size - at, &x, &e)) {
            if (e.kind == ERR_BUG)
                abort();
            at += 4096;
            continue;
        }
        if (x.kind == EXTENT_DATA && reads < READS) {
            image_read(img, at, buf, MIN(x.len, (uint64_t)sizeof(buf)), &e);
            reads++;
        }
        at += x.len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct driver *const only[] = {&driver_vmdk, NULL};
    struct image_options o = {.format = "vmdk", .lock = IMAGE_LOCK_NONE, .layer_only = true};
    struct err e = ERR_INIT;
    struct io *io = io_memory("fuzz", 0, &e);
    struct image *img;
    struct parent_ref ref = {0};

    drivers_register(only);
    if (!io || !io_write(io, 0, data, size, &e)) {
        io_free(io);
        return 0;
    }
    img = image_open_io(io, "fuzz", NULL, &o, &e);
    if (!img)
        return 0;
    walk(img);
    driver_vmdk.parent(img, &ref, &e);
    parent_ref_release(&ref);
    err_clear(&e);
    if (img->size <= CHECK_MAX)
        driver_vmdk.check(img, ignore, NULL, &e);
    image_free(img);
    return 0;
}
