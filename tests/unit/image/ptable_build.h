/* Builds partition tables by hand, for tests and seeds of the partition table reader. */
#ifndef TESTS_PTABLE_BUILD_H
#define TESTS_PTABLE_BUILD_H

#include "bytes.h"
#include "digest.h"
#include "ptable_scan.h"

#include <string.h>

/* Entry `index` of the MBR or EBR at `sector`. */
static inline void mbr_put(uint8_t *sector, unsigned index, uint8_t status, uint8_t type,
                           uint32_t start, uint32_t count)
{
    uint8_t *entry = sector + 446 + 16 * index;

    entry[0] = status;
    entry[4] = type;
    put_le32(entry + 8, start);
    put_le32(entry + 12, count);
    sector[510] = 0x55;
    sector[511] = 0xaa;
}

struct gpt_layout {
    uint32_t sector_size, count, entry_size;
    uint64_t sectors; /* of the disk */
};

static inline uint64_t gpt_table_sectors(const struct gpt_layout *l)
{
    return div_up((uint64_t)l->count * l->entry_size, l->sector_size);
}

/* Entry `index` of the primary's table. */
static inline uint8_t *gpt_entry(uint8_t *disk, const struct gpt_layout *l, unsigned index)
{
    return disk + 2 * l->sector_size + index * l->entry_size;
}

static inline void gpt_put(uint8_t *disk, const struct gpt_layout *l, unsigned index,
                           uint64_t first, uint64_t last, const char *name)
{
    uint8_t *entry = gpt_entry(disk, l, index);

    memset(entry, 0x11 + (int)index, 32);
    put_le64(entry + 32, first);
    put_le64(entry + 40, last);
    for (size_t i = 0; name[i]; i++)
        put_le16(entry + 56 + 2 * i, (uint8_t)name[i]);
}

static inline void gpt_header_put(uint8_t *disk, const struct gpt_layout *l, uint64_t lba,
                                  uint64_t alternate, uint64_t table)
{
    uint8_t *h = disk + lba * l->sector_size;
    uint64_t used = 2 + gpt_table_sectors(l);

    memset(h, 0, l->sector_size);
    memcpy(h, "EFI PART\0\0\1\0", 12);
    put_le32(h + 12, 92);
    put_le64(h + 24, lba);
    put_le64(h + 32, alternate);
    put_le64(h + 40, used);
    put_le64(h + 48, l->sectors - used);
    memset(h + 56, 0x33, 16);
    put_le64(h + 72, table);
    put_le32(h + 80, l->count);
    put_le32(h + 84, l->entry_size);
    put_le32(h + 88, crc32_sum(0, disk + table * l->sector_size, (size_t)l->count * l->entry_size));
    put_le32(h + 16, crc32_sum(0, h, 92));
}

/* Copies the primary's table to the end, and writes both headers and the protective MBR. */
static inline void gpt_finish(uint8_t *disk, const struct gpt_layout *l)
{
    uint64_t backup = l->sectors - 1 - gpt_table_sectors(l);

    memcpy(disk + backup * l->sector_size, disk + 2 * l->sector_size,
           (size_t)l->count * l->entry_size);
    gpt_header_put(disk, l, 1, l->sectors - 1, 2);
    gpt_header_put(disk, l, l->sectors - 1, 1, backup);
    mbr_put(disk, 0, 0, MBR_PROTECTIVE, 1, (uint32_t)l->sectors - 1);
}

#endif
