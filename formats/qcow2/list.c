/* Snapshot table and bitmap directory: lists of records of varying length, walked once, front to
 * back ("Snapshots" and "Bitmaps" of the specification). */
#include "qcow2.h"

#include "mem.h"
#include "opt.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    SNAPSHOT_EXTRA_MAX = 64 << 10, /* 24 bytes are in use */
};

/* A name may hold anything; it is listed up to the first NUL. */
static char *name_read(struct io *io, uint64_t pos, uint32_t len, struct err *e)
{
    char *name = mem_alloc((size_t)len + 1, e);

    if (name && io_read(io, pos, name, len, e))
        return name;
    free(name);
    return NULL;
}

static bool snapshot_check(const struct qcow2 *q, const struct qcow2_snapshot *s, struct err *e)
{
    if (s->extra > SNAPSHOT_EXTRA_MAX)
        return err_set(e, ERR_FORMAT, "it has %" PRIu32 " bytes of extra data", s->extra);
    if (s->l1_entries > QCOW2_L1_BYTES_MAX / 8)
        return err_set(e, ERR_FORMAT, "its L1 table has %" PRIu32 " entries, more than %d",
                       s->l1_entries, QCOW2_L1_BYTES_MAX / 8);
    if (s->l1_pos % q->geo.cluster_size || s->l1_pos > INT64_MAX - QCOW2_L1_BYTES_MAX)
        return err_set(e, ERR_FORMAT, "its L1 table's offset %#" PRIx64 " is not valid", s->l1_pos);
    if (s->size > INT64_MAX)
        return err_set(e, ERR_FORMAT, "its virtual size of %" PRIu64 " bytes is not valid",
                       s->size);
    return true;
}

static bool snapshot_read(struct image *img, size_t index, uint64_t *pos, struct err *e)
{
    struct qcow2 *q = img->state;
    struct image_snapshot *out = &img->facts.snapshots[index];
    uint8_t fixed[QCOW2_SNAPSHOT_FIXED], extra[QCOW2_SNAPSHOT_EXTRA] = {0};
    struct qcow2_snapshot s;
    uint32_t known;

    if (!io_read(img->io, *pos, fixed, sizeof(fixed), e))
        return false;
    qcow2_snapshot_unpack(fixed, &s);
    known = MIN(s.extra, (uint32_t)sizeof(extra));
    if (!io_read(img->io, *pos + sizeof(fixed), extra, known, e))
        return false;
    qcow2_snapshot_extra_unpack(extra, known, &s);
    if (!snapshot_check(q, &s, e))
        return false;
    *pos += sizeof(fixed) + s.extra;
    out->id = name_read(img->io, *pos, s.id_len, e);
    out->name = out->id ? name_read(img->io, *pos + s.id_len, s.name_len, e) : NULL;
    if (!out->name)
        return false;
    *pos = round_up(*pos + s.id_len + s.name_len, 8);
    if (*pos - q->header.snapshots_pos > QCOW2_SNAPSHOT_TABLE_MAX)
        return err_set(e, ERR_FORMAT, "the table is larger than %d MiB",
                       QCOW2_SNAPSHOT_TABLE_MAX >> 20);
    out->size = s.size ? s.size : q->header.size;
    out->created = s.seconds;
    out->vm_state = s.vm_state;
    q->snapshot_l1[index] = (struct qcow2_range){s.l1_pos, (uint64_t)s.l1_entries * 8};
    return true;
}

/* Names and ids are two name spaces: an id is what qemu looks for first. */
static bool snapshot_choose(struct image *img, struct err *e)
{
    struct qcow2 *q = img->state;
    const struct image_facts *f = &img->facts;
    size_t found = f->snapshot_count;

    for (size_t i = f->snapshot_count; i-- > 0;)
        if (strcmp(f->snapshots[i].name, img->snapshot) == 0)
            found = i;
    for (size_t i = f->snapshot_count; i-- > 0;)
        if (strcmp(f->snapshots[i].id, img->snapshot) == 0)
            found = i;
    if (found == f->snapshot_count)
        return err_set(e, ERR_USAGE, "there is no internal snapshot '%s'; 'strata info' lists them",
                       img->snapshot);
    q->l1_pos = q->snapshot_l1[found].pos;
    q->l1_entries = (uint32_t)(q->snapshot_l1[found].len / 8);
    img->size = f->snapshots[found].size;
    return true;
}

bool qcow2_snapshots_read(struct image *img, struct err *e)
{
    struct qcow2 *q = img->state;
    size_t count = q->header.snapshots;
    uint64_t pos = q->header.snapshots_pos;
    char text[64];

    if (count) {
        img->facts.snapshots = mem_array(count, sizeof(*img->facts.snapshots), e);
        q->snapshot_l1 = mem_array(count, sizeof(*q->snapshot_l1), e);
        if (!img->facts.snapshots || !q->snapshot_l1)
            return false;
    }
    for (size_t i = 0; i < count; i++) {
        img->facts.snapshot_count = i + 1; /* a half read one is released too */
        if (!snapshot_read(img, i, &pos, e))
            return err_while(e, "reading record %zu of the snapshot table at %" PRIu64, i,
                             q->header.snapshots_pos);
    }
    q->snapshot_table =
        (struct qcow2_range){q->header.snapshots_pos, pos - q->header.snapshots_pos};
    if (count) {
        snprintf(text, sizeof(text), "%zu internal snapshot%s", count, count == 1 ? "" : "s");
        if (!opt_texts_add(&img->facts.dropped, text, e))
            return false;
    }
    return !img->snapshot || snapshot_choose(img, e);
}

bool qcow2_bitmaps_each(struct image *img, qcow2_bitmap_fn *fn, void *user, struct err *e)
{
    struct qcow2 *q = img->state;
    uint64_t pos = q->bitmap_dir.pos, end;
    uint8_t fixed[QCOW2_BITMAP_FIXED];
    struct qcow2_bitmap b;

    if (q->bitmap_count > QCOW2_BITMAPS_MAX || q->bitmap_dir.len > QCOW2_BITMAP_DIR_MAX ||
        !range_inside(pos, q->bitmap_dir.len, img->io->size))
        return err_set(e, ERR_FORMAT, "the bitmap directory at %" PRIu64 " is not valid", pos);
    end = pos + q->bitmap_dir.len;
    for (uint32_t i = 0; i < q->bitmap_count; i++) {
        AUTO(free) char *name = NULL;

        if (end - pos < sizeof(fixed))
            return err_set(e, ERR_FORMAT, "the bitmap directory ends in entry %" PRIu32, i);
        if (!io_read(img->io, pos, fixed, sizeof(fixed), e))
            return false;
        qcow2_bitmap_unpack(fixed, &b);
        pos += sizeof(fixed);
        if (round_up((uint64_t)b.extra + b.name_len, 8) > end - pos)
            return err_set(e, ERR_FORMAT, "the bitmap directory ends in entry %" PRIu32, i);
        name = name_read(img->io, pos + b.extra, b.name_len, e);
        if (!name || !fn(user, &b, name, e))
            return false;
        pos += round_up((uint64_t)b.extra + b.name_len, 8);
    }
    return true;
}
