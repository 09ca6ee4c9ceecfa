/* Builds small VHDs byte by byte, for the VHD tests.
 *
 *     0 footer copy | 512 header | 1536 BAT | 2048 blocks: bitmap 512, data 4096 | footer
 *
 * Sector s of block b is filled with the byte b * 16 + s + 1. */
#ifndef TESTS_VHD_BUILD_H
#define TESTS_VHD_BUILD_H

#include "bytes.h"
#include "formats.h"
#include "io.h"
#include "test.h"
#include "vhd/vhd.h"

#include <string.h>

enum {
    BUILT_BLOCK = 4096,
    BUILT_BLOCKS = 5,
    BUILT_SIZE = 4 * BUILT_BLOCK + 4 * 512, /* the last block is half used */
    BUILT_HEADER = 512,
    BUILT_BAT = 1536,
    BUILT_FIRST = 2048,
    BUILT_STRIDE = 512 + BUILT_BLOCK,
    BUILT_MAX = BUILT_FIRST + BUILT_BLOCKS * BUILT_STRIDE + 512,
};

struct built {
    uint8_t bytes[BUILT_MAX];
    size_t len;
};

static inline struct vhd_footer built_footer(uint32_t type, uint64_t size)
{
    struct vhd_footer f = {
        .features = VHD_FEATURES_RESERVED,
        .version = VHD_VERSION,
        .data_offset = type == VHD_FIXED ? VHD_NO_OFFSET : BUILT_HEADER,
        .creator = {'w', 'i', 'n', ' '},
        .current_size = size,
        .original_size = size,
        .type = type,
        .uuid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, (uint8_t)type},
    };

    vhd_geometry(size, &f);
    return f;
}

static inline struct vhd_header built_header(void)
{
    return (struct vhd_header){
        .table_offset = BUILT_BAT,
        .version = VHD_VERSION,
        .table_entries = BUILT_BLOCKS,
        .block_size = BUILT_BLOCK,
        .parent_uuid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, VHD_FIXED},
    };
}

/* `bitmaps`: one byte a block (a block has 8 sectors); NULL: blocks 0, 2 and 4 whole, others
 * absent. */
static inline void build_dynamic(struct built *b, uint32_t type, const uint8_t *bitmaps)
{
    static const uint8_t whole[BUILT_BLOCKS] = {0xff, 0, 0xff, 0, 0xff};
    struct vhd_footer f = built_footer(type, BUILT_SIZE);
    struct vhd_header h = built_header();
    size_t at = BUILT_FIRST;

    memset(b, 0, sizeof(*b));
    if (!bitmaps)
        bitmaps = whole;
    vhd_footer_pack(&f, b->bytes);
    vhd_header_pack(&h, b->bytes + BUILT_HEADER);
    memset(b->bytes + BUILT_BAT, 0xff, 512);
    for (size_t i = 0; i < BUILT_BLOCKS; i++) {
        if (!bitmaps[i])
            continue;
        put_be32(b->bytes + BUILT_BAT + 4 * i, (uint32_t)(at / 512));
        b->bytes[at] = bitmaps[i];
        for (size_t s = 0; s < 8; s++)
            memset(b->bytes + at + 512 + 512 * s, (int)(16 * i + s + 1), 512);
        at += BUILT_STRIDE;
    }
    vhd_footer_pack(&f, b->bytes + at);
    b->len = at + 512;
}

static inline void build_fixed(struct built *b, uint64_t size)
{
    struct vhd_footer f = built_footer(VHD_FIXED, size);

    memset(b, 0, sizeof(*b));
    memset(b->bytes, 0x77, size);
    vhd_footer_pack(&f, b->bytes + size);
    b->len = size + 512;
}

/* After a change of fields: makes the checksums right again. */
static inline void built_resum(struct built *b)
{
    struct vhd_footer f;
    struct vhd_header h;

    if (vhd_footer_unpack(b->bytes, &f))
        vhd_footer_pack(&f, b->bytes);
    if (vhd_footer_unpack(b->bytes + b->len - 512, &f))
        vhd_footer_pack(&f, b->bytes + b->len - 512);
    if (vhd_header_unpack(b->bytes + BUILT_HEADER, &h))
        vhd_header_pack(&h, b->bytes + BUILT_HEADER);
}

static inline struct io *built_io(const struct built *b)
{
    struct err e = ERR_INIT;
    struct io *io = io_memory("built.vhd", b->len, &e);

    assert_ok(io && io_write(io, 0, b->bytes, b->len, &e), &e);
    return io;
}

static inline struct image *built_open(const struct built *b, struct err *e)
{
    struct image_options options = {.format = "vhd", .lock = IMAGE_LOCK_NONE, .layer_only = true};

    return image_open_io(built_io(b), "built.vhd", NULL, &options, e);
}

#endif
