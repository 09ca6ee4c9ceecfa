/* Inside the partition table reader: what its files share.
 *
 *   ptable.c      the front door: which table it is, findings, overlaps
 *   ptable_mbr.c  MBR and the chain of logical partitions
 *   ptable_gpt.c  GPT, both copies */
#ifndef IMAGE_PTABLE_SCAN_H
#define IMAGE_PTABLE_SCAN_H

#include "ptable.h"

enum { PTABLE_SECTOR_MAX = 4096, MBR_SIZE = 512, MBR_PROTECTIVE = 0xee };

struct ptable_scan {
    struct image *img;
    struct ptable *t;
    unsigned next_logical; /* number of the next logical partition */
};

/* Records a finding; the first text of each kind is kept. */
void ptable_found(struct ptable_scan *s, enum ptable_issue issue, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Lists a partition after checking it against the disk. */
bool ptable_add(struct ptable_scan *s, const struct partition *p, struct err *e);
/* A partition of `count` sectors of `sector_size` bytes from sector `start`, cut at 2^63. */
struct partition ptable_range(uint64_t start, uint64_t count, uint32_t sector_size);

/* One of the four entries of an MBR or EBR; sectors as recorded. */
struct mbr_entry {
    uint8_t status, type;
    uint32_t start, count;
};

struct mbr {
    struct mbr_entry entries[4];
    bool filesystem; /* looks like the boot sector of a FAT, NTFS or exFAT volume */
};

/* False without the signature 55 AA. */
bool mbr_unpack(const uint8_t raw[MBR_SIZE], struct mbr *ret);
/* The entries are those of a partition table: status bytes 00 or 80 only. */
bool mbr_plausible(const struct mbr *m);
bool mbr_used(const struct mbr_entry *entry);
/* Lists primary and logical partitions, protective entries aside. */
bool mbr_list(struct ptable_scan *s, const struct mbr *m, struct err *e);

struct gpt_header {
    uint64_t lba, alternate;
    uint64_t table; /* LBA of the entries */
    uint32_t count, entry_size, table_crc;
};

/* False when the signature, the size or the checksum is not right. */
bool gpt_header_unpack(const uint8_t *raw, size_t len, struct gpt_header *ret);
void gpt_entry_unpack(const uint8_t raw[128], uint32_t sector_size, struct partition *ret,
                      bool *ret_bad);

/* Looks for a GPT: `m` is the MBR or NULL. *ret_found stays false when there is none. */
bool gpt_list(struct ptable_scan *s, const struct mbr *m, bool *ret_found, struct err *e);

#endif
