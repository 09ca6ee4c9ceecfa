/* streamOptimized: compressed grains one after the other, for OVF and for pipes.
 *
 *     header (gdOffset -1)  descriptor  zeroes up to sector 128
 *     { [marker, grain] ...  GT marker, GT }...  GD marker, GD  footer marker, footer  EOS
 *
 * A table follows the grains it names. Nothing is patched later: the header is complete from the
 * start, the footer knows where the directory is. Stretches without data have neither grains nor
 * table. */
#include "write.h"

#include "bytes.h"
#include "mem.h"

#include <inttypes.h>
#include <string.h>

static void fill_header(const struct target *t, uint64_t gd, uint8_t b[VMDK_SECTOR])
{
    struct vmdk_header h = {
        .version = 3,
        .flags = VMDK_FLAG_NEWLINES | VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS,
        .capacity = t->size / VMDK_SECTOR,
        .grain = WRITE_GRAIN / VMDK_SECTOR,
        .desc_at = 1,
        .desc_len = WRITE_DESC_SECTORS,
        .gtes = VMDK_GTES,
        .gd = gd,
        .overhead = WRITE_ALIGN,
        .compress = 1,
    };

    vmdk_header_pack(&h, b);
}

static bool queue_front(struct target *t, struct writer *w, struct err *e)
{
    struct buf b = {0};
    uint8_t header[VMDK_SECTOR];
    bool ok;

    fill_header(t, VMDK_GD_AT_END, header);
    buf_add(&b, header, sizeof(header));
    ok = writer_descriptor(t, w, &b, "SPARSE", 0, e);
    if (ok && b.len > (1 + WRITE_DESC_SECTORS) * VMDK_SECTOR)
        ok =
            err_set(e, ERR_UNSUPPORTED, "the descriptor of '%s' does not fit into 10 KiB", t->name);
    if (ok) {
        buf_zero(&b, WRITE_ALIGN * VMDK_SECTOR - b.len);
        ok = buf_ok(&b, e) && target_queue(t, 0, 0, b.data, b.len, false, e);
    }
    buf_release(&b);
    w->next = WRITE_ALIGN * VMDK_SECTOR;
    return ok;
}

static bool begin(struct target *t, struct writer *w, struct err *e)
{
    if (w->desc.parent_hint)
        return err_set(e, ERR_UNSUPPORTED,
                       "a streamOptimized VMDK holds a whole disk and cannot have a parent; use "
                       "monolithicSparse");
    w->gd_count = div_up(t->size, WRITE_TABLE_SPAN);
    w->gd = mem_array(w->gd_count, 4, e); /* 8 MiB for 64 TiB */
    if (!w->gd)
        return false;
    w->coder = codec_grain;
    w->coder.library = codec_zlib.library;
    t->coder = &w->coder;
    t->coded_unit = WRITE_GRAIN;
    t->coded_only = true;
    t->sequential = true;
    t->found_at_end = true;
    return queue_front(t, w, e);
}

/* Appends `len` bytes of metadata behind a marker of their own. */
static bool append_marked(struct target *t, struct writer *w, uint32_t type, const void *data,
                          size_t len, bool barrier, struct err *e)
{
    struct buf b = {0};
    uint8_t head[VMDK_MARKER_HEAD];
    struct vmdk_marker m = {.value = len / VMDK_SECTOR, .type = type};
    bool ok;

    vmdk_marker_pack(&m, head);
    buf_add(&b, head, sizeof(head));
    buf_zero(&b, VMDK_SECTOR - sizeof(head));
    buf_add(&b, data, len);
    ok = buf_ok(&b, e) && target_queue(t, 0, w->next, b.data, b.len, barrier, e);
    if (ok)
        w->next += b.len;
    buf_release(&b);
    return ok;
}

static bool check_room(const struct target *t, const struct writer *w, uint64_t more, struct err *e)
{
    return (w->next + more) / VMDK_SECTOR < UINT32_MAX ||
           err_set(e, ERR_UNSUPPORTED,
                   "'%s' would grow beyond 2 TiB, where streamOptimized ends; use subformat "
                   "monolithicFlat or twoGbMaxExtentSparse",
                   t->name);
}

static bool flush_table(struct target *t, struct writer *w, struct err *e)
{
    if (!w->table.used)
        return true;
    w->table.used = false;
    put_le32(w->gd + w->table.index * 4, (uint32_t)(w->next / VMDK_SECTOR + 1));
    return check_room(t, w, VMDK_SECTOR + WRITE_TABLE, e) &&
           append_marked(t, w, VMDK_MARKER_GT, w->table.bytes, WRITE_TABLE, false, e);
}

static bool place_coded(struct target *t, struct writer *w, const struct place *p,
                        struct placed *ret, struct err *e)
{
    uint64_t grain = p->at / WRITE_GRAIN;

    if (!check_room(t, w, p->stored, e))
        return false;
    if (!w->table.used) {
        memset(w->table.bytes, 0, sizeof(w->table.bytes));
        w->table.index = grain / VMDK_GTES;
        w->table.used = true;
    }
    put_le32(w->table.bytes + grain % VMDK_GTES * 4, (uint32_t)(w->next / VMDK_SECTOR));
    ret->stored = true;
    ret->pos = w->next;
    w->next += round_up(p->stored, VMDK_SECTOR);
    return true;
}

static bool place(struct target *t, struct writer *w, const struct place *p, struct placed *ret,
                  struct err *e)
{
    if (p->kind == PLACE_PLAIN)
        return err_set(e, ERR_BUG, "streamOptimized was given uncompressed data");
    if (p->kind == PLACE_CODED && !place_coded(t, w, p, ret, e))
        return false;
    if (w->table.used && p->at + p->len >= (w->table.index + 1) * WRITE_TABLE_SPAN)
        return flush_table(t, w, e);
    return true;
}

static bool append_directory(struct target *t, struct writer *w, struct err *e)
{
    size_t len = w->gd_count * 4, room = round_up(len, VMDK_SECTOR);
    uint8_t *padded = mem_grow(w->gd, room, 1, e);

    if (!padded)
        return false;
    w->gd = padded;
    memset(padded + len, 0, room - len);
    return check_room(t, w, room, e) && append_marked(t, w, VMDK_MARKER_GD, padded, room, false, e);
}

static bool seal(struct target *t, struct writer *w, struct err *e)
{
    struct vmdk_marker m = {.value = 1, .type = VMDK_MARKER_FOOTER};
    uint8_t end[3 * VMDK_SECTOR] = {0}; /* footer marker, footer, end of stream */
    uint64_t gd;

    if (!flush_table(t, w, e))
        return false;
    gd = w->next / VMDK_SECTOR + 1;
    if (!append_directory(t, w, e))
        return false;
    vmdk_marker_pack(&m, end);
    fill_header(t, gd, end + VMDK_SECTOR);
    return target_queue(t, 0, w->next, end, sizeof(end), true, e);
}

const struct writer_ops write_stream = {
    .create_type = "streamOptimized",
    .begin = begin,
    .place = place,
    .seal = seal,
};
