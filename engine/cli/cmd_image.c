/* The commands that read images: map, check, digest, compare, measure. */
#include "bytes.h"
#include "codec.h"
#include "commands.h"
#include "doc.h"
#include "images.h"
#include "log.h"
#include "print.h"
#include "text.h"

#include <inttypes.h>
#include <string.h>

/* ---- map ---- */

static const char *const extent_names[] = {
    [EXTENT_DATA] = "data", [EXTENT_ZERO] = "zero", [EXTENT_ABSENT] = "absent"};

/* True when `b` goes on where `a` ends, so that one line can show both. */
static bool continues(const struct extent *a, const struct extent *b)
{
    if (a->kind != b->kind || a->at + a->len != b->at)
        return false;
    return a->kind != EXTENT_DATA ||
           (!a->codec && !b->codec && a->io == b->io && a->pos + a->len == b->pos);
}

static bool extent_json(const struct extent *x, bool first, struct err *e)
{
    AUTO(json_decref) json_t *one = json_object();
    AUTO(free) char *text = NULL;
    bool data = x->kind == EXTENT_DATA;

    doc_set(one, "start", doc_count(x->at));
    doc_set(one, "length", doc_count(x->len));
    doc_set(one, "kind", doc_text(extent_names[x->kind]));
    if (data) {
        doc_set(one, "file", doc_text(x->io->name));
        doc_set(one, "position", doc_count(x->pos));
        doc_set(one, "codec", doc_text(x->codec ? x->codec->name : NULL));
    }
    text = json_dumps(one, JSON_ENSURE_ASCII);
    if (!text)
        return err_set(e, ERR_MEMORY, "out of memory while making the JSON document");
    out_raw(first ? "[\n  " : ",\n  ", 4);
    out_raw(text, strlen(text));
    return true;
}

static bool extent_text(const struct extent *x, bool first)
{
    if (first)
        out("%16s %16s  %-6s %16s  %s\n", "start", "length", "kind", "position", "file");
    if (x->kind != EXTENT_DATA)
        out("%16" PRIu64 " %16" PRIu64 "  %s\n", x->at, x->len, extent_names[x->kind]);
    else
        out("%16" PRIu64 " %16" PRIu64 "  %-6s %16" PRIu64 "  %s\n", x->at, x->len,
            x->codec ? x->codec->name : extent_names[x->kind], x->pos, x->io->name);
    return true;
}

bool cmd_map(struct cli *cli, struct err *e)
{
    AUTO(image_free)
    struct image *img = images_open(cli, cli->args.items[0], cli->format, IMAGE_LOCK_WARN, e);
    struct extent run = {0}, x;
    bool first = true;

    if (!img)
        return false;
    for (uint64_t at = 0; at < img->size; at += x.len) {
        if (!(cli->layer ? image_map_layer : image_map)(img, at, img->size - at, &x, e))
            return false;
        if (run.len && continues(&run, &x)) {
            run.len += x.len;
            continue;
        }
        if (run.len && !(cli->json ? extent_json(&run, first, e) : extent_text(&run, first)))
            return false;
        first = first && !run.len;
        run = x;
    }
    if (run.len && !(cli->json ? extent_json(&run, first, e) : extent_text(&run, first)))
        return false;
    if (cli->json)
        out_raw(run.len ? "\n]\n" : "[]\n", 3);
    return true;
}

/* ---- check ---- */

struct check {
    const struct cli *cli;
    json_t *findings;
    const char *path;
    unsigned leaks, damage;
};

static void check_finding(void *user, enum check_level level, const char *text)
{
    static const char *const names[] = {
        [CHECK_INFO] = "info", [CHECK_LEAK] = "leak", [CHECK_DAMAGE] = "damage"};
    struct check *c = user;

    c->leaks += level == CHECK_LEAK;
    c->damage += level == CHECK_DAMAGE;
    if (c->cli->json) {
        json_t *one = json_object();

        doc_set(one, "image", doc_text(c->path));
        doc_set(one, "level", doc_text(names[level]));
        doc_set(one, "text", doc_text(text));
        doc_add(c->findings, one);
    } else {
        out("%s: %s: %s\n", c->path, names[level], text);
    }
}

bool cmd_check(struct cli *cli, struct err *e)
{
    AUTO(image_free)
    struct image *img = images_open(cli, cli->args.items[0], cli->format, IMAGE_LOCK_READ, e);
    AUTO(json_decref) json_t *doc = NULL;
    struct check c = {.cli = cli, .findings = json_array()};

    doc = json_object();
    doc_set(doc, "findings", c.findings);
    for (struct image *layer = img; layer; layer = layer->parent) {
        unsigned before = c.leaks + c.damage;

        c.path = layer->path;
        if (!layer->driver->check) {
            if (!cli->json)
                out("%s: %s keeps no structure that could be damaged\n", layer->path,
                    layer->driver->name);
        } else if (!layer->driver->check(layer, check_finding, &c, e)) {
            return err_while(e, "checking '%s'", layer->path);
        } else if (!cli->json && c.leaks + c.damage == before) {
            out("%s: sound\n", layer->path);
        }
    }
    if (!img)
        return false;
    doc_set(doc, "leaks", json_integer(c.leaks));
    doc_set(doc, "damage", json_integer(c.damage));
    if (cli->json && !doc_print(TAKE(doc), e))
        return false;
    if (c.damage)
        return err_set(e, ERR_DIFFERS,
                       "'%s' is damaged in %u places: keep a copy before anything "
                       "is done to it",
                       img->path, c.damage);
    return !c.leaks || err_set(e, ERR_DIFFERS, "'%s' has %u leaks: space that is lost, no data",
                               img->path, c.leaks);
}

/* ---- digest ---- */

static bool digest_bytes(void *user, uint64_t at, const void *buf, uint64_t len, struct err *e)
{
    static const uint8_t zeroes[64 << 10];
    struct digest *flat = user;

    (void)at;
    (void)e;
    if (buf) {
        digest_add(flat, buf, len);
        return true;
    }
    for (uint64_t n; len; len -= n) {
        n = MIN(len, sizeof(zeroes));
        digest_add(flat, zeroes, n);
    }
    return true;
}

static bool digest_one(const struct cli *cli, const char *path, char hex[DIGEST_HEX_MAX],
                       struct err *e)
{
    AUTO(image_free) struct image *img = images_open(cli, path, cli->format, IMAGE_LOCK_READ, e);
    AUTO(digest_free) struct digest *flat = NULL;
    struct copy c = {.source = img, .digest = !cli->flat};
    uint8_t bytes[64];

    if (!img || (cli->flat && !(flat = digest_new("sha256", e))))
        return false;
    if (flat) {
        c.consume = digest_bytes;
        c.user = flat;
    }
    if (!images_copy(cli, path, &c, e))
        return err_while(e, "reading '%s'", path);
    if (flat)
        digest_finish(flat, bytes);
    hex_encode(flat ? bytes : c.tree.bytes, DIGEST_SIZE, hex);
    return true;
}

bool cmd_digest(struct cli *cli, struct err *e)
{
    AUTO(json_decref) json_t *list = json_array();
    char hex[DIGEST_HEX_MAX];

    for (size_t i = 0; i < cli->args.count; i++) {
        const char *path = cli->args.items[i];
        json_t *one;

        if (!digest_one(cli, path, hex, e))
            return false;
        if (!cli->json) {
            out("%s  %s\n", hex, path);
            continue;
        }
        one = json_object();
        doc_set(one, "image", doc_text(path));
        doc_set(one, "kind", doc_text(cli->flat ? "flat" : "tree"));
        doc_set(one, "digest", doc_text(hex));
        doc_add(list, one);
    }
    return !cli->json || doc_print(TAKE(list), e);
}

/* ---- compare ---- */

bool cmd_compare(struct cli *cli, struct err *e)
{
    const char *const *names = (const char *const *)cli->args.items;
    AUTO(image_free) struct image *a = images_open(cli, names[0], cli->format, IMAGE_LOCK_READ, e);
    AUTO(image_free)
    struct image *b = a ? images_open(cli, names[1], cli->format_b, IMAGE_LOCK_READ, e) : NULL;
    struct copy c = {.source = a, .other = b};
    struct err why = ERR_INIT;
    uint64_t offset;
    bool same;

    if (!b)
        return false;
    same = images_copy(cli, names[0], &c, &why);
    if (!same && why.kind != ERR_DIFFERS) {
        *e = why;
        return false;
    }
    offset = same ? UINT64_MAX : c.differs_at;
    if (cli->strict && a->size != b->size) {
        same = false;
        offset = MIN(offset, MIN(a->size, b->size));
    }
    if (cli->json) {
        json_t *doc = json_object();

        doc_set(doc, "same", json_boolean(same));
        doc_set(doc, "offset", same ? json_null() : doc_count(offset));
        if (!doc_print(doc, e))
            return false;
    } else if (same) {
        out("the same\n");
    } else {
        out("different at byte %" PRIu64 "\n", offset);
    }
    return same || err_set(e, ERR_DIFFERS, "'%s' and '%s' differ at byte %" PRIu64, names[0],
                           names[1], offset);
}

/* ---- measure ---- */

bool cmd_measure(struct cli *cli, struct err *e)
{
    AUTO(image_free)
    struct image *img = images_open(cli, cli->args.items[0], cli->format, IMAGE_LOCK_READ, e);
    const char *slash = strrchr(cli->args.items[0], '/');
    AUTO(target_free) struct target *t = NULL;
    struct copy c = {.source = img, .measure = cli->fast ? MEASURE_MAP : MEASURE_DATA};
    uint64_t required;
    bool exact;

    if (!img)
        return false;
    t = images_target(cli, img, slash ? slash + 1 : cli->args.items[0], e);
    c.target = t;
    if (!t || !images_copy(cli, cli->args.items[0], &c, e))
        return false;
    required = target_measured(t);
    exact = !cli->fast && !t->coder;
    if (cli->json) {
        json_t *doc = json_object();

        doc_set(doc, "required", doc_count(required));
        doc_set(doc, "exact", json_boolean(exact));
        doc_set(doc, "format", doc_text(t->driver->name));
        doc_set(doc, "virtual_size", doc_count(t->size));
        doc_set(doc, "files", doc_count(t->files.count));
        return doc_print(doc, e);
    }
    out("%" PRIu64 " bytes (%s)%s\n", required, SIZE_TEXT(required), exact ? "" : " at most");
    return true;
}
