/* The partition table reader: the input is a disk, read with both sector sizes, as it is and with
 * the GPT's checksums made right (a fuzzer would not find them).
 * label: quick */
#include "ptable_scan.h"

#include "bytes.h"
#include "digest.h"
#include "driver.h"
#include "formats.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Makes the checksums of the header at `lba` and of its table right, where they lie in the disk. */
static void resum(uint8_t *disk, size_t size, uint32_t sector_size, uint64_t lba)
{
    uint64_t table, len;
    uint32_t header_size;
    uint8_t *h;

    if (lba >= size / sector_size)
        return;
    h = disk + lba * sector_size;
    if (memcmp(h, "EFI PART", 8) != 0)
        return;
    table = get_le64(h + 72);
    len = (uint64_t)get_le32(h + 80) * get_le32(h + 84);
    if (table < size / sector_size && range_inside(table * sector_size, len, size))
        put_le32(h + 88, crc32_sum(0, disk + table * sector_size, len));
    header_size = get_le32(h + 12);
    if (header_size > sector_size)
        return;
    put_le32(h + 16, 0);
    put_le32(h + 16, crc32_sum(0, h, header_size));
}

static void read_disk(const uint8_t *disk, size_t size, uint32_t sector_size)
{
    struct image_options options = {.format = "raw", .lock = IMAGE_LOCK_NONE};
    struct err e = ERR_INIT;
    struct io *io = io_memory("fuzz", size, &e);
    struct image *img;
    struct ptable t;

    if (!io || !io_write(io, 0, disk, size, &e)) {
        io_free(io);
        return;
    }
    img = image_open_io(io, "fuzz", NULL, &options, &e);
    if (!img)
        return;
    img->sector_size = sector_size;
    if (ptable_read(img, &t, &e)) {
        if (t.count > PTABLE_PARTITIONS_MAX || ptable_end(&t, false) > ptable_end(&t, true))
            abort();
        ptable_release(&t);
    }
    image_free(img);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct driver *const drivers[] = {&driver_raw, NULL};
    struct err e = ERR_INIT;
    AUTO(free) uint8_t *disk = mem_alloc(size, &e);

    drivers_register(drivers);
    if (!disk || !size)
        return 0;
    for (uint32_t sector_size = 512; sector_size <= 4096; sector_size *= 8) {
        memcpy(disk, data, size);
        read_disk(disk, size, sector_size);
        resum(disk, size, sector_size, 1);
        resum(disk, size, sector_size, size / sector_size - 1);
        read_disk(disk, size, sector_size);
    }
    return 0;
}
