/* Streams (streamOptimized extents whose header does not know where the grain directory is): the
 * footer is looked for, and where there is none the stream is followed marker by marker.
 *
 *     header  descriptor  [marker+grain]...  {GT marker, GT}...  GD marker, GD
 *     footer marker, footer  EOS (a sector of zeroes)  [padding]
 *
 * "Virtual Disk Format 5.0", section "Stream-Optimized Compressed Sparse Extents". The footer is a
 * copy of the header with the true gdOffset; it is the last sector that is not all zero, also when
 * the file was padded. A stream without a footer is whole only when its own directory or its end of
 * stream is there: then an index is made of its markers. */
#include "vmdk.h"

#include "bytes.h"
#include "mem.h"

#include <inttypes.h>

enum {
    TAIL_MAX = 4 << 20, /* padding behind the footer that is skipped quickly; tar pads to 10 KiB,
                           storage to 1 MiB */
    TAIL_STEP = 64 << 10,
    INDEX_DIRECTORY_MAX = 16 << 20, /* bytes: 64 TiB in grains of 64 KiB need 8 MiB */
    INDEX_TABLES_MAX = 32768, /* tables of an index: 64 MiB of memory, 1 TiB of written guest */
};

/* The last sector that is not all zero, among the last TAIL_MAX bytes; 0 when there is none. */
static bool last_sector(struct io *io, uint64_t *ret_pos, struct err *e)
{
    uint64_t end = round_down(io->size, VMDK_SECTOR);
    uint64_t stop = end > TAIL_MAX ? end - TAIL_MAX : 0;
    AUTO(free) uint8_t *buf = mem_alloc(TAIL_STEP, e);

    *ret_pos = 0;
    while (buf && end > stop) {
        size_t len = (size_t)MIN(end - stop, (uint64_t)TAIL_STEP);

        if (!io_read(io, end - len, buf, len, e))
            return false;
        for (size_t at = len; at >= VMDK_SECTOR; at -= VMDK_SECTOR) {
            if (!bytes_zero(buf + at - VMDK_SECTOR, VMDK_SECTOR)) {
                *ret_pos = end - len + at - VMDK_SECTOR;
                return true;
            }
        }
        end -= len;
    }
    return buf != NULL;
}

/* The footer at `pos`, when it is one and agrees with the header. */
static bool read_footer(const struct vmdk_extent *x, const struct vmdk_header *h, uint64_t pos,
                        bool *ret_is, uint64_t *ret_gd, struct err *e)
{
    uint8_t b[VMDK_SECTOR];
    struct vmdk_header f;

    *ret_is = false;
    if (!range_inside(pos, VMDK_SECTOR, x->io->size))
        return true;
    if (!io_read(x->io, pos, b, sizeof(b), e))
        return false;
    if (!vmdk_header_unpack(b, &f) || f.gd == VMDK_GD_AT_END)
        return true;
    if (f.capacity != h->capacity || f.grain != h->grain || f.gtes != h->gtes ||
        f.compress != h->compress)
        return err_set(e, ERR_FORMAT,
                       "the footer at offset %" PRIu64 " of '%s' describes another disk than the "
                       "header",
                       pos, x->path);
    if (f.gd > pos / VMDK_SECTOR)
        return err_set(e, ERR_FORMAT,
                       "the footer at offset %" PRIu64 " of '%s' has its grain directory at sector "
                       "%" PRIu64 ", behind itself",
                       pos, x->path, f.gd);
    *ret_is = true;
    *ret_gd = f.gd * VMDK_SECTOR;
    return true;
}

/* What following the markers found. */
struct scan {
    uint64_t pos;       /* of the next marker */
    uint64_t gd;        /* position of a directory seen on the way; 0: none */
    uint64_t footer_gd; /* the one that a footer names; 0: no footer */
    bool ended;         /* the end of stream was the file's last sector */
};

static bool scan_metadata(const struct vmdk_extent *x, const struct vmdk_header *h,
                          const struct vmdk_marker *m, struct scan *s, struct err *e)
{
    uint64_t body = s->pos + VMDK_SECTOR;
    bool is = false;

    if (m->type > VMDK_MARKER_PROGRESS || m->value > (x->io->size - body) / VMDK_SECTOR)
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short or damaged: the marker at offset %" PRIu64
                       " is of type %" PRIu32 " and %" PRIu64 " sectors",
                       x->path, s->pos, m->type, m->value);
    if (m->type == VMDK_MARKER_GD)
        s->gd = body;
    if (m->type == VMDK_MARKER_FOOTER && (!read_footer(x, h, body, &is, &s->footer_gd, e) || !is))
        return err_set(e, ERR_FORMAT, "the footer at offset %" PRIu64 " of '%s' is damaged", body,
                       x->path);
    s->pos = body + m->value * VMDK_SECTOR;
    return true;
}

typedef bool grain_fn(void *user, const struct vmdk_marker *m, uint64_t pos, struct err *e);

static bool scan_grain(const struct vmdk_extent *x, const struct vmdk_marker *m, struct scan *s,
                       grain_fn *fn, void *user, struct err *e)
{
    uint64_t grain = x->sparse.grain / VMDK_SECTOR;

    if (m->value >= x->sparse.capacity / VMDK_SECTOR || m->value % grain ||
        !range_inside(s->pos, VMDK_MARKER + (uint64_t)m->size, x->io->size))
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short or damaged: the marker at offset %" PRIu64
                       " is of a grain of %" PRIu32 " bytes at sector %" PRIu64,
                       x->path, s->pos, m->size, m->value);
    if (fn && !fn(user, m, s->pos, e))
        return false;
    s->pos += round_up(VMDK_MARKER + (uint64_t)m->size, VMDK_SECTOR);
    return true;
}

/* From the first grain to the end of the stream; calls back for each grain. Every step goes
 * forward, so it ends. Where the grains begin was checked to lie inside the file. */
static bool scan_markers(const struct vmdk_extent *x, const struct vmdk_header *h, struct scan *s,
                         grain_fn *fn, void *user, struct err *e)
{
    uint64_t first = MAX(h->overhead, h->desc_at + h->desc_len);

    *s = (struct scan){.pos = MAX(first, 1) * VMDK_SECTOR};
    while (range_inside(s->pos, VMDK_SECTOR, x->io->size)) {
        uint8_t b[VMDK_MARKER_HEAD];
        struct vmdk_marker m;

        if (!io_read(x->io, s->pos, b, sizeof(b), e))
            return false;
        vmdk_marker_unpack(b, &m);
        if (m.size) {
            if (!scan_grain(x, &m, s, fn, user, e))
                return false;
        } else if (m.type == VMDK_MARKER_EOS) {
            s->ended = s->pos + VMDK_SECTOR >= round_down(x->io->size, VMDK_SECTOR);
            return true;
        } else if (!scan_metadata(x, h, &m, s, e)) {
            return false;
        }
    }
    return true;
}

/* The index of a stream without tables: a directory and tables in memory, as they would be on
 * disk. */
struct index {
    const struct vmdk_extent *x;
    struct io *io;
    uint64_t gd_bytes;
    uint64_t tables;
};

static bool index_grain(void *user, const struct vmdk_marker *m, uint64_t pos, struct err *e)
{
    struct index *ix = user;
    const struct sparse *s = &ix->x->sparse;
    uint64_t number = m->value / (s->grain / VMDK_SECTOR);
    uint64_t gde_at = VMDK_SECTOR + number / VMDK_GTES * 4;
    uint8_t b[4], table[VMDK_GTES * 4] = {0};
    uint64_t table_at;

    if (pos / VMDK_SECTOR > UINT32_MAX)
        return err_set(e, ERR_UNSUPPORTED, "'%s' is a stream of more than 2 TiB", ix->x->path);
    if (!io_read(ix->io, gde_at, b, sizeof(b), e))
        return false;
    table_at = (uint64_t)get_le32(b) * VMDK_SECTOR;
    if (!table_at) {
        if (++ix->tables > INDEX_TABLES_MAX)
            return err_set(e, ERR_UNSUPPORTED,
                           "'%s' is a stream without grain tables over more than 1 TiB",
                           ix->x->path);
        table_at = round_up(ix->io->size, VMDK_SECTOR);
        put_le32(b, (uint32_t)(table_at / VMDK_SECTOR));
        if (!io_write(ix->io, gde_at, b, sizeof(b), e) ||
            !io_write(ix->io, table_at, table, sizeof(table), e))
            return false;
    }
    put_le32(b, (uint32_t)(pos / VMDK_SECTOR));
    return io_write(ix->io, table_at + number % VMDK_GTES * 4, b, sizeof(b), e);
}

static bool make_index(struct vmdk_extent *x, const struct vmdk_header *h, uint64_t *ret_gd,
                       struct err *e)
{
    struct sparse *s = &x->sparse;
    struct index ix = {.x = x};
    struct scan scan;

    ix.gd_bytes = div_up(s->capacity, s->grain * VMDK_GTES) * 4;
    if (ix.gd_bytes > INDEX_DIRECTORY_MAX)
        return err_set(e, ERR_UNSUPPORTED,
                       "'%s' is a stream without grain tables, too large to make them: %" PRIu64
                       " bytes in grains of %" PRIu64,
                       x->path, s->capacity, s->grain);
    ix.io = io_memory(x->path, VMDK_SECTOR + ix.gd_bytes, e);
    if (!ix.io || !scan_markers(x, h, &scan, index_grain, &ix, e)) {
        io_free(ix.io);
        return false;
    }
    io_free(s->tables);
    s->tables = ix.io;
    *ret_gd = VMDK_SECTOR;
    return true;
}

bool stream_find_tables(struct vmdk_extent *x, const struct vmdk_header *h, uint64_t *ret_gd,
                        struct err *e)
{
    struct scan scan;
    uint64_t pos;
    bool is = false;

    x->sparse.rgd = 0;
    if (!last_sector(x->io, &pos, e) || (pos && !read_footer(x, h, pos, &is, ret_gd, e)))
        return false;
    if (is)
        return true;
    if (!(h->flags & VMDK_FLAG_MARKERS))
        return err_set(e, ERR_FORMAT,
                       "'%s' has neither a footer nor markers to find its grains by: it is cut "
                       "short",
                       x->path);
    if (!scan_markers(x, h, &scan, NULL, NULL, e))
        return false;
    if (scan.footer_gd || scan.gd) {
        *ret_gd = scan.footer_gd ? scan.footer_gd : scan.gd;
        return true;
    }
    if (!scan.ended)
        return err_set(e, ERR_FORMAT,
                       "'%s' is cut short: the stream stops at offset %" PRIu64
                       " without a grain directory, a footer or an end of stream; fetch it again",
                       x->path, scan.pos);
    return make_index(x, h, ret_gd, e);
}
