/* Inside the VDI driver: the on-disk structures and what its files share.
 *
 *     | preheader and header | block map | (extra | block)* ... |
 *
 * The map has one number for each block of the disk: which of the stored blocks holds it. All
 * integers are little-endian. Sources: VirtualBox, src/VBox/Storage/VDICore.h (VDIPREHEADER,
 * VDIHEADER1, VDIHEADER1PLUS, VDIIMAGETYPE), called "VDICore" below; qemu, block/vdi.c.
 *
 *   vdi.c         the driver: probe, open, map
 *   vdi_layout.c  pack and unpack
 *   vdi_check.c   structure check
 *   vdi_write.c   create, place, seal */
#ifndef FORMATS_VDI_VDI_H
#define FORMATS_VDI_VDI_H

#include "driver.h"
#include "pages.h"

enum {
    VDI_SECTOR = 512,
    VDI_HEADER_SIZE = 512,       /* preheader, header and padding, as it is read and written */
    VDI_BLOCKS_MAX = 0x1fffff80, /* what VirtualBox and qemu map: a table of 2 GiB */
};

#define VDI_FREE 0xffffffffu /* map: not stored, zeroes */
#define VDI_ZERO 0xfffffffeu /* map: zeroes by a discard */

/* VDICore, VDIIMAGETYPE */
enum vdi_type { VDI_DYNAMIC = 1, VDI_FIXED = 2, VDI_UNDO = 3, VDI_DIFFERENCING = 4 };

#define VDI_SIGNATURE 0xbeda107fu
#define VDI_VERSION 0x00010001u /* 1.1 */

/* VDICore, VDIHEADER1PLUS; positions in the file */
struct vdi_header {
    uint32_t version;           /* 68 */
    uint32_t header_size;       /* 72: from there on */
    uint32_t type;              /* 76: enum vdi_type */
    uint32_t map_pos;           /* 340: of the block map */
    uint32_t data_pos;          /* 344: of stored block 0 */
    uint32_t sector_size;       /* 360 */
    uint64_t size;              /* 368: of the disk in bytes */
    uint32_t block_size;        /* 376 */
    uint32_t block_extra;       /* 380: bytes before the data of each block */
    uint32_t blocks;            /* 384: of the disk, entries of the map */
    uint32_t allocated;         /* 388: stored blocks */
    uint8_t uuid[16];           /* 392 */
    uint8_t modification[16];   /* 408: changes when the image does */
    uint8_t parent[16];         /* 424: uuid of the parent */
    uint8_t parent_changed[16]; /* 440: its modification */
};

/* False when the signature is not there; nothing else is judged. */
bool vdi_header_unpack(const uint8_t raw[VDI_HEADER_SIZE], struct vdi_header *ret);
void vdi_header_pack(const struct vdi_header *h, uint8_t raw[VDI_HEADER_SIZE]);

/* UUIDs are stored with the first three fields little-endian. */
enum { VDI_UUID_TEXT = 37 };
void vdi_uuid_text(const uint8_t uuid[16], char text[VDI_UUID_TEXT]);
bool vdi_uuid_null(const uint8_t uuid[16]);

struct vdi {
    struct vdi_header header;
    struct pages pages; /* of the block map */
};

/* Entries of the map from a block on, as many as lie together. */
bool vdi_entries(struct image *img, uint64_t block, const uint8_t **ret_entries,
                 uint64_t *ret_count, struct err *e);
/* Where a stored block's data begins. */
uint64_t vdi_block_pos(const struct vdi_header *h, uint32_t number);

bool vdi_check(struct image *img, check_fn *report, void *user, struct err *e);

struct vdi_options {
    int subformat; /* enum vdi_subformat */
};
extern const struct opt_row vdi_rows[];

bool vdi_create(struct target *t, const void *options, struct err *e);
bool vdi_place(struct target *t, const struct place *p, struct placed *ret, struct err *e);
bool vdi_seal(struct target *t, struct err *e);
void vdi_discard(struct target *t);

#endif
