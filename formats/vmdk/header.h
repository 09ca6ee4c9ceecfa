/* On-disk structures of VMDK files and their pure pack/unpack pairs. All numbers are little-endian,
 * positions count 512-byte sectors. Sources are named in header.c. */
#ifndef VMDK_HEADER_H
#define VMDK_HEADER_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    VMDK_SECTOR = 512,
    VMDK_GTES = 512,       /* entries of a grain table of a hosted sparse extent, always */
    VMDK_COWD_GTES = 4096, /* ... of a COWD extent, always */
    VMDK_MARKER = 12,      /* bytes in front of a compressed grain: LBA and length */
};

/* Disks end here: vSphere stops at 62 TiB, seSparse at 64. */
#define VMDK_SIZE_MAX (UINT64_C(64) << 40)

#define VMDK_GD_AT_END UINT64_MAX /* gd: the footer has it */

enum vmdk_flag {
    VMDK_FLAG_NEWLINES = 1 << 0,  /* the newline test bytes are valid */
    VMDK_FLAG_REDUNDANT = 1 << 1, /* rgd is used */
    VMDK_FLAG_ZEROED = 1 << 2,    /* entry 1 is a grain of zeroes */
    VMDK_FLAG_COMPRESSED = 1 << 16,
    VMDK_FLAG_MARKERS = 1 << 17,
    VMDK_FLAGS_INCOMPATIBLE = (int)0xffff0000, /* a reader must know these */
};

/* The header of a hosted sparse extent, and the footer of a stream. */
struct vmdk_header {
    uint32_t version, flags;
    uint64_t capacity, grain;
    uint64_t desc_at, desc_len;
    uint32_t gtes;
    uint64_t rgd, gd, overhead;
    bool unclean;
    uint8_t newlines[4];
    uint16_t compress; /* 0 none, 1 deflate */
};

bool vmdk_header_magic(const void *bytes, size_t len);
/* Unpacks without judging; false when the magic is missing. */
bool vmdk_header_unpack(const uint8_t bytes[VMDK_SECTOR], struct vmdk_header *ret);
void vmdk_header_pack(const struct vmdk_header *h, uint8_t bytes[VMDK_SECTOR]);
/* ERR_FORMAT or ERR_UNSUPPORTED when the fields cannot be of a disk that we read. */
bool vmdk_header_check(const struct vmdk_header *h, const char *path, struct err *e);

/* A marker of a stream. size 0: metadata of `value` sectors follows, else a grain of `size` bytes
 * that belongs at sector `value`. */
enum vmdk_marker_type {
    VMDK_MARKER_EOS = 0,
    VMDK_MARKER_GT = 1,
    VMDK_MARKER_GD = 2,
    VMDK_MARKER_FOOTER = 3,
    VMDK_MARKER_PROGRESS = 4,
};

enum { VMDK_MARKER_HEAD = 16 }; /* value, size and type */

struct vmdk_marker {
    uint64_t value;
    uint32_t size, type;
};

void vmdk_marker_unpack(const uint8_t bytes[VMDK_MARKER_HEAD], struct vmdk_marker *ret);
void vmdk_marker_pack(const struct vmdk_marker *m, uint8_t bytes[VMDK_MARKER_HEAD]);

/* ESX copy-on-write disk (vmfsSparse). */
struct vmdk_cowd {
    uint32_t version, flags, sectors, grain, gd, gd_count, free_sector;
};

bool vmdk_cowd_magic(const void *bytes, size_t len);
bool vmdk_cowd_unpack(const uint8_t bytes[VMDK_SECTOR], struct vmdk_cowd *ret);
void vmdk_cowd_pack(const struct vmdk_cowd *h, uint8_t bytes[VMDK_SECTOR]);

/* ESXi space-efficient sparse disk (seSparse): the constant header, and what matters of the
 * volatile one. */
struct vmdk_sesparse {
    uint64_t version, capacity, grain, table, flags;
    uint64_t reserved; /* the four reserved words or-ed */
    uint64_t volatile_at;
    uint64_t gd, gd_len, tables, tables_len, grains, grains_len;
};

bool vmdk_sesparse_magic(const void *bytes, size_t len);
bool vmdk_sesparse_unpack(const uint8_t bytes[VMDK_SECTOR], struct vmdk_sesparse *ret);
void vmdk_sesparse_pack(const struct vmdk_sesparse *h, uint8_t bytes[VMDK_SECTOR]);
/* False when the magic is missing; *ret_replay: a journal waits to be replayed. */
bool vmdk_sesparse_volatile(const uint8_t bytes[VMDK_SECTOR], bool *ret_replay);

#endif
