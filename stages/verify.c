/* verify: reads the outputs back from the disk and compares their digests with what was written,
 * chunk by chunk.
 *
 * The page cache is dropped first, so that the disk is checked and not the memory. Where blocks
 * were shared instead of copied no digest was made on the way, and the output is compared with its
 * source. */
#include "stages.h"

#include "buf.h"
#include "bytes.h"
#include "driver.h"
#include "file.h"
#include "publish.h"
#include "rates.h"
#include "text.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

struct verify_options {
    char *against;
};

static bool good_against(const char *text, struct err *e)
{
    if (!strcmp(text, "read") ||
        (strlen(text) == 2 * DIGEST_SIZE && strspn(text, "0123456789abcdefABCDEF") == strlen(text)))
        return true;
    return err_set(e, ERR_USAGE, "neither 'read' nor a digest of 64 hexadecimal digits");
}

static const struct opt_row rows[] = {
    {.key = "against",
     .type = OPT_TEXT,
     .at = OPT_AT(struct verify_options, against, char *),
     .preset = "read",
     .check = good_against,
     .help = "what the output must equal: 'read', what was read from the source, or a tree digest "
             "as 'strata digest' prints it"},
    {0},
};

static bool check(struct machine_run *m, unsigned index, struct err *e)
{
    for (unsigned i = 0; i < index; i++)
        if (m->machine->stages[i].stage->flags & STAGE_OUTPUT)
            return true;
    return err_set(e, ERR_USAGE,
                   "'verify' comes before anything was written: put it behind 'convert'");
}

static bool plan(struct machine_run *m, unsigned index, struct plan_stage *row, struct err *e)
{
    for (unsigned i = 0; i < index && i < m->plan->stages.count; i++) {
        row->reads += m->plan->stages.items[i].writes;
        row->estimate = row->estimate || m->plan->stages.items[i].estimate;
    }
    row->seconds =
        rates_seconds(rates_guess(m, &(struct pass){.reads = row->reads, .data = row->reads}));
    row->what = mem_text("reads the outputs back and compares their digests", e);
    return row->what;
}

/* The digests that were recorded while the output was written, one chunk after the other. The
 * blobs are those of engine/image/copy_check.c: 0, count: chunks of zeroes; 1, digest: one chunk.
 */
struct recorded {
    struct machine_run *m;
    const struct run_output *out;
    int64_t seq;
    uint8_t *blob;
    size_t len, pos;
    uint64_t zeroes; /* chunks of zeroes still to come */
    uint64_t size;
};

static bool damaged(struct err *e)
{
    return err_set(e, ERR_IO, "the recorded digests are damaged: '--fresh' starts over");
}

static bool next_blob(struct recorded *r, struct err *e)
{
    void *data = NULL;

    free(r->blob);
    r->blob = NULL;
    r->pos = r->len = 0;
    if (!state_next_digests(r->m->state, r->out->row.id, &r->seq, &data, &r->len, e))
        return false;
    r->blob = data;
    return data || damaged(e);
}

static bool next_digest(struct recorded *r, uint64_t at, struct digest_value *ret, struct err *e)
{
    while (!r->zeroes) {
        while (r->pos >= r->len)
            if (!next_blob(r, e))
                return false;
        if (r->blob[r->pos++] == 1) {
            if (r->len - r->pos < DIGEST_SIZE)
                return damaged(e);
            memcpy(ret->bytes, r->blob + r->pos, DIGEST_SIZE);
            r->pos += DIGEST_SIZE;
            return true;
        }
        if (!varint_get(r->blob, r->len, &r->pos, &r->zeroes))
            return damaged(e);
    }
    r->zeroes--;
    digest_zero_chunk(MIN(r->size - at, (uint64_t)DIGEST_CHUNK), ret);
    return true;
}

static bool compare_chunk(void *user, uint64_t at, const struct digest_value *value, struct err *e)
{
    struct recorded *r = user;
    struct digest_value was;

    if (!next_digest(r, at, &was, e))
        return false;
    return !memcmp(was.bytes, value->bytes, DIGEST_SIZE) ||
           err_set(e, ERR_DIFFERS,
                   "disk %s differs from what was written: the first difference is in the MiB at "
                   "guest offset %" PRIu64 " of '%s'",
                   r->out->row.disk, at, r->out->row.files.items[0].final);
}

/* The output as it is now on the disk. Its descriptor has the final names of its other files. */
static struct image *open_output(const struct machine_run *m, const struct run_output *out,
                                 struct err *e)
{
    struct gate_rules rules = {.direct = m->job->policy.direct};
    struct image_options options = {
        .format = out->row.format, .rules = &rules, .lock = IMAGE_LOCK_NONE};
    struct image *img = NULL;
    bool ok = true;

    for (size_t i = 0; ok && i < out->row.files.count; i++) {
        const char *path = run_output_path(out, i), *final = out->row.files.items[i].final;
        AUTO(io_free) struct io *io = file_open(path, 0, e);

        ok = io && opt_pairs_add(&rules.path_map, strrchr(final, '/') + 1, path, e);
        if (ok)
            file_drop_cache(io, 0, 0);
    }
    if (ok)
        img = image_open(run_output_path(out, 0), &options, e);
    opt_pairs_release(&rules.path_map);
    return img;
}

static bool compare_with_source(struct machine_run *m, const struct run_output *out,
                                struct image *img, struct err *e)
{
    struct copy copy = {.other = img};
    struct err why = ERR_INIT;

    for (size_t i = 0; i < m->source.disk_count; i++)
        if (!strcmp(m->disks[i].id, out->row.disk))
            copy.source = m->disks[i].image;
    if (!copy.source)
        return err_set(e, ERR_BUG, "the output has a disk '%s' that the machine has not",
                       out->row.disk);
    if (run_copy(m, out->row.disk, NULL, &copy, &why))
        return true;
    if (why.kind == ERR_DIFFERS)
        return err_set(e, ERR_DIFFERS,
                       "disk %s differs from its source: the first difference is at guest offset "
                       "%" PRIu64 " of '%s'",
                       out->row.disk, copy.differs_at, out->row.files.items[0].final);
    *e = why;
    return false;
}

static bool compare_tree(const struct run_output *out, const struct digest_value *is,
                         const char *want, struct err *e)
{
    char hex[DIGEST_HEX_MAX];

    hex_encode(is->bytes, DIGEST_SIZE, hex);
    return !strcasecmp(hex, want) ||
           err_set(e, ERR_DIFFERS, "disk %s has the digest %s, not %s as the job says",
                   out->row.disk, hex, want);
}

static bool verify_output(struct machine_run *m, struct run_output *out, const char *against,
                          struct err *e)
{
    AUTO(image_free) struct image *img = NULL;
    struct recorded r = {.m = m, .out = out, .seq = 1, .size = out->row.size};
    struct copy copy = {.digest = true};
    bool ok;

    if (!run_output_hold(out, e))
        return false;
    img = open_output(m, out, e);
    if (!img)
        return false;
    if (img->size < out->row.size || (img->size > out->row.size && !img->io->device))
        return err_set(e, ERR_DIFFERS, "disk %s has %s, not the %s that were written",
                       out->row.disk, SIZE_TEXT(img->size), SIZE_TEXT(out->row.size));
    copy.source = img;
    copy.size = out->row.size; /* a device may be larger */
    if (out->row.tree_valid) {
        copy.chunk = compare_chunk;
        copy.user = &r;
    } else if (!compare_with_source(m, out, img, e)) {
        return false;
    } else if (!against) {
        return true;
    }
    ok = run_copy(m, out->row.disk, NULL, &copy, e);
    free(r.blob);
    if (!ok)
        return false;
    if (out->row.tree_valid && memcmp(copy.tree.bytes, out->row.tree.bytes, DIGEST_SIZE) != 0)
        return err_set(e, ERR_DIFFERS, "disk %s has another digest than what was written",
                       out->row.disk);
    return !against || compare_tree(out, &copy.tree, against, e);
}

/* The outputs of the stages between the verify before this one and this one. */
static bool is_mine(const struct machine_run *m, unsigned index, const struct run_output *out)
{
    for (unsigned i = index; i-- > 0;) {
        if (!memcmp(&m->identities[i], &out->row.stage, sizeof(out->row.stage)))
            return true;
        if (m->machine->stages[i].stage->flags & STAGE_VERIFIES)
            return false;
    }
    return false;
}

static bool run(struct machine_run *m, unsigned index, struct err *e)
{
    const struct verify_options *o = stage_options(m, index);
    const char *against = strcmp(o->against, "read") != 0 ? o->against : NULL;

    for (size_t i = 0; i < m->outputs.count; i++)
        if (is_mine(m, index, m->outputs.items[i]) &&
            !verify_output(m, m->outputs.items[i], against, e))
            return false;
    return true;
}

const struct stage stage_verify = {
    .name = "verify",
    .help = "reads the outputs back from the disk and compares their digests",
    .layers = LAYER_CONTAINER,
    .flags = STAGE_VERIFIES,
    .options = rows,
    .options_size = sizeof(struct verify_options),
    .shorthand = "against",
    .check = check,
    .plan = plan,
    .run = run,
};
