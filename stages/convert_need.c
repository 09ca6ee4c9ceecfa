/* How much room a target will take; see convert.h.
 *
 * The bound is placement by the source's map alone. The estimate scales it by what a sample of the
 * data shows: how much of it is not zero, and how well it compresses. */
#include "convert.h"

#include "bytes.h"
#include "codec.h"

#include <string.h>

enum {
    SAMPLES = 96,            /* spread evenly over the data; about a second on a slow disk */
    SAMPLE_PLAIN = 64 << 10, /* guest bytes of one, when the target has no coded unit */
};

struct sample {
    const struct target *target;
    struct codec_state *codec;
    uint8_t *data, *coded;
    uint64_t unit, seen, kept;
};

static bool sample_at(struct sample *s, struct image *img, uint64_t at, struct err *e)
{
    const struct codec *coder = s->target->coder;
    size_t len, n;

    at = round_down(at, s->unit);
    len = (size_t)MIN(s->unit, img->size - at);
    memset(s->data, 0, s->unit);
    if (!image_read(img, at, s->data, len, e))
        return false;
    s->seen += len;
    if (bytes_zero(s->data, len))
        return true;
    if (!coder) {
        s->kept += len;
        return true;
    }
    n = coder->encode(s->codec, at, s->data, s->unit, s->coded, s->unit, s->target->coder_level);
    s->kept += n ? MIN(n, len) : len;
    return true;
}

/* Visits the data evenly: every `step`-th byte of it. */
static bool sample_data(struct sample *s, struct image *img, uint64_t data, struct err *e)
{
    uint64_t step = MAX(data / SAMPLES, s->unit), before = 0, next = step / 2, at = 0;

    while (at < img->size) {
        struct extent x;

        if (!image_map(img, at, img->size - at, &x, e))
            return false;
        if (x.kind == EXTENT_DATA) {
            for (; next < before + x.len; next += step)
                if (!sample_at(s, img, at + (next - before), e))
                    return false;
            before += x.len;
        }
        at += x.len;
    }
    return true;
}

static bool sample_ratio(struct image *img, const struct target *t, uint64_t data, double *ret,
                         struct err *e)
{
    struct sample s = {.target = t};
    bool ok;

    s.unit = t->coder ? t->coded_unit : SAMPLE_PLAIN;
    s.codec = codec_state_new(e);
    s.data = s.codec ? mem_pages(s.unit, e) : NULL;
    s.coded = s.data ? mem_pages(s.unit, e) : NULL;
    ok = s.coded && sample_data(&s, img, data, e);
    codec_state_free(s.codec);
    free(s.data);
    free(s.coded);
    if (ok)
        *ret = s.seen ? (double)s.kept / (double)s.seen : 1.0;
    return ok;
}

/* Bytes already on disk in the parts of an interrupted run. */
static uint64_t parts_allocated(struct machine_run *m, const struct machine_disk *d)
{
    const struct run_output *o = m->identities ? run_output_find(m, d->id) : NULL;
    uint64_t sum = 0;
    struct stat st;

    for (size_t i = 0; o && i < o->row.files.count; i++)
        if (stat(o->row.files.items[i].part, &st) == 0)
            sum += (uint64_t)st.st_blocks * 512;
    return sum;
}

bool convert_need(struct machine_run *m, const struct machine_disk *d, struct convert_target *t,
                  uint64_t *ret_need, uint64_t *ret_bound, struct err *e)
{
    struct target *target = t->target;
    struct copy measuring = {
        .source = d->image, .target = target, .measure = MEASURE_MAP, .workers = 1};
    struct copy_estimate estimate;
    uint64_t bound, need, spent = parts_allocated(m, d);
    double ratio = 1.0;

    if (t->method == COPY_CLONE) {
        *ret_need = *ret_bound = 0;
        return true;
    }
    if (!copy_estimate(d->image, &estimate, e) ||
        (!target->preallocated && !sample_ratio(d->image, target, estimate.data, &ratio, e)) ||
        !copy_run(&measuring, e))
        return false;
    bound = target_measured(target);
    if (!target->preallocated && bound > estimate.data + estimate.data / 8 + MIB)
        bound = estimate.data + estimate.data / 8 + MIB; /* a fixed layout in a sparse file */
    need = (uint64_t)((double)bound * ratio);
    *ret_need = need > spent ? need - spent : 0;
    *ret_bound = bound > spent ? bound - spent : 0;
    return true;
}
