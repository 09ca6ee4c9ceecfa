/* The structure check: every table and entry of the sparse extents.
 *
 * A bitmap of the file finds grains that are used twice, and what is used by none. Its size is
 * bounded; where it would be larger, those two questions stay open and the check says so. */
#include "vmdk.h"

#include "bytes.h"
#include "mem.h"
#include "report.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>

enum { USED_MAX = 64 << 20 }; /* bytes of bitmap: 32 TiB of file in grains of 64 KiB */

struct survey {
    struct vmdk *v;
    struct vmdk_extent *x;
    struct report report;
    uint8_t *used; /* one bit for each `unit` bytes of the file; NULL: too large */
    uint64_t unit;
    uint64_t grains; /* in use, each place once */
};

/* True when a grain already begins there (compressed ones: in that sector). */
static bool mark_used(struct survey *s, uint64_t pos)
{
    uint64_t bit = pos / s->unit;
    uint8_t mask = (uint8_t)(1 << bit % 8);
    bool was;

    if (!s->used)
        return false;
    was = s->used[bit / 8] & mask;
    s->used[bit / 8] |= mask;
    return was;
}

static void check_coded(struct survey *s, uint64_t number, uint64_t pos)
{
    const struct vmdk_extent *x = s->x;
    uint8_t b[VMDK_MARKER_HEAD];
    struct vmdk_marker m;
    struct err e = ERR_INIT;

    if (x->sparse.codec == &codec_grain_bare)
        return;
    if (!io_read_padded(x->io, pos, b, sizeof(b), &e)) {
        report_say(&s->report, CHECK_DAMAGE, "%s", e.text);
        return;
    }
    vmdk_marker_unpack(b, &m);
    if (m.value != number * (x->sparse.grain / VMDK_SECTOR))
        report_say(&s->report, CHECK_DAMAGE,
                   "'%s': the marker at offset %" PRIu64 " belongs to sector %" PRIu64
                   ", not to grain %" PRIu64,
                   x->path, pos, m.value, number);
    if (!m.size || !range_inside(pos, VMDK_MARKER + (uint64_t)m.size, x->io->size))
        report_say(&s->report, CHECK_DAMAGE,
                   "'%s': the grain at offset %" PRIu64 " claims %" PRIu32 " bytes", x->path, pos,
                   m.size);
}

static void check_grain(struct survey *s, uint64_t number, uint64_t entry)
{
    const struct vmdk_extent *x = s->x;
    const struct sparse *sp = &x->sparse;
    uint64_t need = sp->codec ? 1 : MIN(sp->grain, sp->capacity - number * sp->grain);
    struct grain g;

    if (!sp->ops->grain(sp, entry, &g)) {
        report_say(&s->report, CHECK_DAMAGE,
                   "'%s': grain %" PRIu64 " has the unknown entry 0x%" PRIx64, x->path, number,
                   entry);
        return;
    }
    if (g.kind != GRAIN_DATA)
        return;
    if (g.pos < VMDK_SECTOR || !range_inside(g.pos, need, x->io->size)) {
        report_say(&s->report, CHECK_DAMAGE,
                   "'%s': grain %" PRIu64 " lies at offset %" PRIu64
                   ", outside the file of %" PRIu64 " bytes",
                   x->path, number, g.pos, x->io->size);
        return;
    }
    if (mark_used(s, g.pos))
        report_say(&s->report, CHECK_DAMAGE,
                   "'%s': grain %" PRIu64 " shares offset %" PRIu64 " with another grain", x->path,
                   number, g.pos);
    else
        s->grains++;
    if (sp->codec)
        check_coded(s, number, g.pos);
}

/* The table by the redundant directory must say the same. */
static void check_redundant(struct survey *s, uint64_t index, const uint8_t *table, size_t len)
{
    struct err e = ERR_INIT;
    const uint8_t *other = NULL;
    uint64_t pos;

    if (!s->x->sparse.rgd)
        return;
    if (sparse_table(s->v, s->x, true, index, &pos, &e) && pos)
        other = tables_get(&s->v->tables, s->x->sparse.tables, pos, len, &e);
    if (e.kind)
        report_say(&s->report, CHECK_DAMAGE, "%s (redundant)", e.text);
    else if (!other || memcmp(table, other, len) != 0)
        report_say(&s->report, CHECK_DAMAGE,
                   "'%s': grain table %" PRIu64 " and its redundant copy differ", s->x->path,
                   index);
}

static void check_table(struct survey *s, uint64_t index)
{
    const struct sparse *sp = &s->x->sparse;
    size_t len = (size_t)sp->ops->entry * sp->ops->entries;
    uint64_t first = index * sp->ops->entries, pos;
    uint64_t count = MIN(div_up(sp->capacity, sp->grain) - first, (uint64_t)sp->ops->entries);
    const uint8_t *table;
    struct err e = ERR_INIT;

    if (!sparse_table(s->v, s->x, false, index, &pos, &e)) {
        report_say(&s->report, CHECK_DAMAGE, "%s", e.text);
        return;
    }
    if (!pos)
        return;
    table = tables_get(&s->v->tables, sp->tables, pos, len, &e);
    if (!table) {
        report_say(&s->report, CHECK_DAMAGE, "%s", e.text);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        uint64_t entry = sparse_entry(sp, table, i);

        if (entry)
            check_grain(s, first + i, entry);
    }
    check_redundant(s, index, table, len);
}

/* Space behind the tables that no grain uses; only where all grains have one size. */
static void check_leaks(struct survey *s, uint64_t before)
{
    const struct sparse *sp = &s->x->sparse;
    uint64_t room = s->x->io->size > before ? (s->x->io->size - before) / sp->grain : 0;

    if (!s->used || sp->codec || room <= s->grains)
        return;
    report_say(&s->report, CHECK_LEAK,
               "'%s': %" PRIu64 " grains (%s) are in the file but not in use", s->x->path,
               room - s->grains, SIZE_TEXT((room - s->grains) * sp->grain));
}

/* Where grains begin: behind the last table. */
static uint64_t tables_end(struct survey *s)
{
    const struct sparse *sp = &s->x->sparse;
    uint64_t end = MAX(sp->gd + sp->gd_count * sp->ops->entry, sp->desc_at + sp->desc_len), pos;
    struct err ignored = ERR_INIT;

    if (sp->grains_at)
        return sp->grains_at;
    for (uint64_t i = 0; i < sp->gd_count; i++) {
        if (!sparse_table(s->v, s->x, false, i, &pos, &ignored))
            return UINT64_MAX; /* damage was reported, leaks cannot be told */
        if (pos)
            end = MAX(end, pos + (uint64_t)sp->ops->entry * sp->ops->entries);
    }
    return round_up(end, sp->grain);
}

static bool check_extent(struct survey *s, struct err *e)
{
    const struct vmdk_extent *x = s->x;
    uint64_t bytes;

    s->unit = x->sparse.codec ? VMDK_SECTOR : x->sparse.grain;
    s->grains = 0;
    bytes = x->io->size / s->unit / 8 + 1;
    if (bytes <= USED_MAX) {
        s->used = mem_alloc((size_t)bytes, e);
        if (!s->used)
            return false;
    } else {
        report_say(&s->report, CHECK_INFO,
                   "'%s' is too large to look for grains that are used twice", x->path);
    }
    for (uint64_t i = 0; i < x->sparse.gd_count; i++)
        check_table(s, i);
    if (!x->sparse.codec)
        check_leaks(s, tables_end(s));
    if (x->sparse.unclean)
        report_say(&s->report, CHECK_INFO, "'%s' was not closed cleanly", x->path);
    free(TAKE(s->used));
    return true;
}

bool vmdk_check(struct image *img, check_fn *report, void *user, struct err *e)
{
    struct vmdk *v = img->state;
    struct survey s = {.v = v, .report = {.fn = report, .user = user}};

    for (size_t i = 0; i < v->extents.count; i++) {
        s.x = &v->extents.items[i];
        if (s.x->form == FORM_SPARSE && !check_extent(&s, e))
            return false;
    }
    report_end(&s.report);
    return true;
}
