/* Fetching; see fetch.h. A coded unit of which only a part is wanted stays in `unit`, so that the
 * next part of it (a unit cut up by an overlay, or by the border of two work items) is not decoded
 * again. */
#include "fetch.h"

#include "bytes.h"
#include "mem.h"

#include <inttypes.h>
#include <string.h>

static bool room(uint8_t **buf, size_t *have, size_t want, struct err *e)
{
    uint8_t *p;

    if (want <= *have)
        return true;
    p = mem_pages(want, e);
    if (!p)
        return false;
    free(*buf);
    *buf = p;
    *have = want;
    return true;
}

static bool decode(struct fetch *f, const struct extent *x, void *out, struct err *e)
{
    uint64_t unit_at = x->at - x->skip;

    if (!f->codecs && !(f->codecs = codec_state_new(e)))
        return false;
    if (!room(&f->stored, &f->stored_room, x->stored, e) ||
        !io_read(x->io, x->pos, f->stored, x->stored, e))
        return false;
    f->read += x->stored;
    if (!x->codec->decode(f->codecs, unit_at, f->stored, x->stored, out, x->unit_len, e))
        return err_while(e, "decoding the %s unit at %" PRIu64 " of '%s'", x->codec->name, x->pos,
                         x->io->name);
    return true;
}

bool fetch_extent(struct fetch *f, const struct extent *x, void *out, struct err *e)
{
    if (x->kind != EXTENT_DATA) {
        memset(out, 0, x->len);
        return true;
    }
    if (!x->codec) {
        f->read += x->len;
        return x->padded ? io_read_padded(x->io, x->pos, out, x->len, e)
                         : io_read(x->io, x->pos, out, x->len, e);
    }
    if (x->skip == 0 && x->len == x->unit_len)
        return decode(f, x, out, e);
    if (f->unit_io != x->io || f->unit_pos != x->pos || f->unit_room < x->unit_len) {
        f->unit_io = NULL;
        if (!room(&f->unit, &f->unit_room, x->unit_len, e) || !decode(f, x, f->unit, e))
            return false;
        f->unit_io = x->io;
        f->unit_pos = x->pos;
    }
    memcpy(out, f->unit + x->skip, x->len);
    return true;
}

void fetch_release(struct fetch *f)
{
    codec_state_free(f->codecs);
    free(f->stored);
    free(f->unit);
    *f = (struct fetch){0};
}
