/* Inside the VHD driver: the on-disk structures and what its files share.
 *
 *     fixed      | the disk's bytes                                   | footer |
 *     dynamic    | footer copy | header | BAT | (bitmap | block)*      | footer |
 *     differencing: dynamic with names of the parent; a bitmap says which sectors are here
 *
 * All integers are big-endian. Source: Microsoft, "Virtual Hard Disk Image Format Specification"
 * version 1.0 (2006), called "spec" below; where readers in use differ from it, the place says so.
 *
 *   vhd.c         the driver: probe, open, map
 *   vhd_layout.c  pack and unpack, geometry, the size rule
 *   vhd_parent.c  names of the parent
 *   vhd_check.c   structure check
 *   vhd_write.c   create, place, seal */
#ifndef FORMATS_VHD_VHD_H
#define FORMATS_VHD_VHD_H

#include "driver.h"
#include "pages.h"

enum {
    VHD_SECTOR = 512,
    VHD_FOOTER_SIZE = 512,
    VHD_HEADER_SIZE = 1024,
    VHD_LOCATORS = 8,
    VHD_NAME_UNITS = 256, /* UTF-16 units of the parent's name in the header */
};

enum {
    VHD_BLOCKS_MAX = 8 << 20, /* the largest disk, 2040 GiB, in blocks of 256 KiB; writers in use
                                 make blocks of 2 MiB and 512 KiB */
};

enum vhd_type { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

#define VHD_NO_OFFSET UINT64_MAX /* data offset of a fixed disk; header: no further structure */
#define VHD_NOT_ALLOCATED 0xffffffffu /* BAT: no block */

#define VHD_FEATURES_RESERVED 2u /* spec "Hard Disk Footer Format", Features: always set */
#define VHD_VERSION 0x00010000u  /* of footer and header: 1.0 */

/* spec "Hard Disk Footer Format" */
struct vhd_footer {
    uint32_t features;        /* at 8 */
    uint32_t version;         /* 12 */
    uint64_t data_offset;     /* 16: of the header; VHD_NO_OFFSET for fixed */
    uint32_t timestamp;       /* 24: seconds since 2000-01-01 UTC */
    uint8_t creator[4];       /* 28: creator application */
    uint32_t creator_version; /* 32 */
    uint8_t creator_os[4];    /* 36 */
    uint64_t original_size;   /* 40 */
    uint64_t current_size;    /* 48 */
    uint16_t cylinders;       /* 56 */
    uint8_t heads, sectors;   /* 58, 59 */
    uint32_t type;            /* 60 */
    uint8_t uuid[16];         /* 68 */
    bool saved_state;         /* 84 */
    bool sum_ok;              /* unpack: the checksum at 64 is right */
};

/* spec "Parent Locator Entry". `space` is in sectors by the spec and in bytes as Windows writes it,
 * so it is not used. */
struct vhd_locator {
    char code[4];
    uint32_t length; /* bytes of the name */
    uint64_t offset; /* in the file */
};

/* spec "Dynamic Disk Header Format" */
struct vhd_header {
    uint64_t table_offset;                     /* 16 */
    uint32_t version;                          /* 24 */
    uint32_t table_entries;                    /* 28 */
    uint32_t block_size;                       /* 32: bytes */
    uint8_t parent_uuid[16];                   /* 40 */
    uint8_t parent_name[2 * VHD_NAME_UNITS];   /* 64: UTF-16BE as stored */
    struct vhd_locator locators[VHD_LOCATORS]; /* 576 */
    bool sum_ok;
};

/* False when the cookie is not there; nothing else is judged. */
bool vhd_footer_unpack(const uint8_t raw[VHD_FOOTER_SIZE], struct vhd_footer *ret);
void vhd_footer_pack(const struct vhd_footer *f, uint8_t raw[VHD_FOOTER_SIZE]);
bool vhd_header_unpack(const uint8_t raw[VHD_HEADER_SIZE], struct vhd_header *ret);
void vhd_header_pack(const struct vhd_header *h, uint8_t raw[VHD_HEADER_SIZE]);

/* Cylinders, heads and sectors for a size: spec appendix "CHS Calculation". */
void vhd_geometry(uint64_t size, struct vhd_footer *f);
/* The virtual size that a footer means: see the comment at its definition. */
uint64_t vhd_size(const struct vhd_footer *f);
/* Bytes of a block's sector bitmap, padded to sectors (spec "Data Blocks"). */
uint32_t vhd_bitmap_size(uint32_t block_size);

enum { VHD_UUID_TEXT = 37 };
void vhd_uuid_text(const uint8_t uuid[16], char text[VHD_UUID_TEXT]);

/* A name as Windows records it as one that the gate can look for: `.\a\b.vhd` becomes `./a/b.vhd`,
 * an absolute name (drive, UNC) its last part. Empty when there is none. Works in place. */
const char *vhd_host_name(char *name);

struct vhd {
    struct vhd_footer footer;
    uint64_t footer_pos;
    uint32_t footer_len;      /* 512, or 511 in very old images */
    bool front_used;          /* the footer at the end is missing or bad: the copy was used */
    struct vhd_header header; /* not for fixed */
    uint64_t blocks;
    uint32_t bitmap_size;
    struct pages pages; /* of the BAT and the bitmaps */
};

/* The BAT entry of a block. */
bool vhd_bat(struct image *img, uint64_t block, uint32_t *ret, struct err *e);

bool vhd_parent(struct image *img, struct parent_ref *ret, struct err *e);
bool vhd_check(struct image *img, check_fn *report, void *user, struct err *e);

struct vhd_options {
    int subformat; /* enum vhd_subformat */
    uint64_t block_size;
};
extern const struct opt_row vhd_rows[];

bool vhd_create(struct target *t, const void *options, struct err *e);
bool vhd_place(struct target *t, const struct place *p, struct placed *ret, struct err *e);
bool vhd_seal(struct target *t, struct err *e);
void vhd_discard(struct target *t);

#endif
