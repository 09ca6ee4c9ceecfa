/* `strata info`: what the metadata of an image says. */
#include "bytes.h"
#include "clock.h"
#include "commands.h"
#include "doc.h"
#include "images.h"
#include "log.h"
#include "print.h"
#include "ptable.h"
#include "table.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct info {
    struct image *image;
    struct parent_ref parent;
    struct ptable layout;
    struct err chain; /* why the layers below could not be read */
};

static void info_release(struct info *i)
{
    image_free(i->image);
    parent_ref_release(&i->parent);
    ptable_release(&i->layout);
}

static void info_release_at(struct info *i)
{
    info_release(i);
}

/* The chain when it can be read, else the layer alone: an image whose parent is missing can still
 * be looked at. */
static bool open_for_info(const struct cli *cli, struct info *i, struct err *e)
{
    const char *path = cli->args.items[0];

    i->image = images_open(cli, path, cli->format, IMAGE_LOCK_WARN, &i->chain);
    if (!i->image && !cli->chain && !cli->layer)
        i->image = images_open_layer(cli, path, cli->format, IMAGE_LOCK_NONE, true, e);
    if (i->image)
        return true;
    err_clear(e);
    return err_set(e, i->chain.kind, "%s", i->chain.text);
}

static json_t *chain_doc(const struct image *img)
{
    json_t *chain = json_array();

    for (; img; img = img->parent) {
        json_t *layer = json_object();

        doc_set(layer, "path", doc_text(img->path));
        doc_set(layer, "format", doc_text(img->driver->name));
        doc_set(layer, "subformat", doc_text(img->facts.subformat));
        doc_set(layer, "virtual_size", doc_count(img->size));
        doc_set(layer, "allocated", doc_count(image_allocated((struct image *)img)));
        doc_set(layer, "identity", doc_text(img->facts.identity));
        doc_add(chain, layer);
    }
    return chain;
}

static json_t *snapshots_doc(const struct image_facts *facts)
{
    json_t *list = json_array();

    for (size_t n = 0; n < facts->snapshot_count; n++) {
        const struct image_snapshot *s = &facts->snapshots[n];
        json_t *one = json_object();

        doc_set(one, "id", doc_text(s->id));
        doc_set(one, "name", doc_text(s->name));
        doc_set(one, "virtual_size", doc_count(s->size));
        doc_set(one, "created", doc_text(clock_text(s->created, (char[CLOCK_TEXT_MAX]){0})));
        doc_set(one, "vm_state", doc_count(s->vm_state));
        doc_add(list, one);
    }
    return list;
}

static const char *const table_names[] = {
    [PTABLE_NONE] = "none", [PTABLE_MBR] = "mbr", [PTABLE_GPT] = "gpt"};

enum { GUID_TEXT_MAX = 37 };

/* As people write a GUID: on disk the first three fields are little-endian (UEFI 2.10 appendix
 * A). */
static const char *guid_text(const uint8_t g[16], char buf[GUID_TEXT_MAX])
{
    snprintf(buf, GUID_TEXT_MAX, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", get_le32(g),
             get_le16(g + 4), get_le16(g + 6), g[8], g[9], g[10], g[11], g[12], g[13], g[14],
             g[15]);
    return buf;
}

static const char *type_text(const struct ptable *p, const struct partition *part,
                             char buf[GUID_TEXT_MAX])
{
    if (p->kind == PTABLE_GPT)
        return guid_text(part->type_guid, buf);
    snprintf(buf, GUID_TEXT_MAX, "0x%02x", part->type);
    return buf;
}

static json_t *layout_doc(const struct ptable *p)
{
    json_t *doc = json_object(), *list = json_array();
    char type[GUID_TEXT_MAX];

    for (size_t n = 0; n < p->count; n++) {
        const struct partition *part = &p->items[n];
        json_t *one = json_object();

        doc_set(one, "number", json_integer(part->number));
        doc_set(one, "start", doc_count(part->start));
        doc_set(one, "size", doc_count(part->len));
        doc_set(one, "type", doc_text(type_text(p, part, type)));
        doc_set(one, "name", doc_text(part->name));
        doc_set(one, "active", json_boolean(part->active));
        doc_add(list, one);
    }
    doc_set(doc, "table", doc_text(table_names[p->kind]));
    doc_set(doc, "sector_size", doc_count(p->sector_size));
    doc_set(doc, "issues", p->issues ? doc_text(p->issue_text) : json_null());
    doc_set(doc, "partitions", list);
    return doc;
}

static bool info_doc(const struct cli *cli, const struct info *i, struct err *e)
{
    const struct image *img = i->image;
    const struct image_facts *f = &img->facts;
    json_t *doc = json_object(), *parent = json_null();

    if (i->parent.name) {
        parent = json_object();
        doc_set(parent, "name", doc_text(i->parent.name));
        doc_set(parent, "format", doc_text(i->parent.format));
        doc_set(parent, "identity", doc_text(i->parent.identity));
        doc_set(parent, "path", doc_text(img->parent ? img->parent->path : NULL));
    }
    doc_set(doc, "path", doc_text(img->path));
    doc_set(doc, "format", doc_text(img->driver->name));
    doc_set(doc, "subformat", doc_text(f->subformat));
    doc_set(doc, "virtual_size", doc_count(img->size));
    doc_set(doc, "file_size", doc_count(img->io->size));
    doc_set(doc, "allocated", doc_count(image_allocated(i->image)));
    doc_set(doc, "cluster_size", doc_known(f->cluster_size));
    doc_set(doc, "sector_size", doc_count(img->sector_size));
    doc_set(doc, "compression", doc_text(f->compression));
    doc_set(doc, "encrypted", json_boolean(f->encryption));
    doc_set(doc, "encryption", doc_text(f->encryption));
    doc_set(doc, "identity", doc_text(f->identity));
    doc_set(doc, "dirty", json_boolean(f->dirty));
    doc_set(doc, "corrupt", json_boolean(f->corrupt));
    doc_set(doc, "parent", parent);
    doc_set(doc, "chain", chain_doc(img));
    doc_set(doc, "chain_error", doc_text(i->chain.kind ? i->chain.text : NULL));
    doc_set(doc, "snapshots", snapshots_doc(f));
    doc_set(doc, "not_carried_over", doc_texts(&f->dropped));
    doc_set(doc, "facts", doc_pairs(&f->extra));
    if (cli->layout)
        doc_set(doc, "layout", layout_doc(&i->layout));
    return doc_print(doc, e);
}

static void fact(struct table *t, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    table_text(t, name);
    table_text(t, value);
}

static void fact_size(struct table *t, const char *name, uint64_t size)
{
    table_text(t, name);
    if (size < KIB)
        table_cell(t, "%" PRIu64 " bytes", size);
    else
        table_cell(t, "%s (%" PRIu64 " bytes)", SIZE_TEXT(size), size);
}

static void facts_text(const struct info *i, struct table *t)
{
    const struct image *img = i->image;
    const struct image_facts *f = &img->facts;

    fact(t, "image", img->path);
    fact(t, "format", img->driver->name);
    fact(t, "subformat", f->subformat);
    fact_size(t, "virtual size", img->size);
    fact_size(t, "file size", img->io->size);
    fact_size(t, "on disk", image_allocated(i->image));
    if (f->cluster_size)
        fact_size(t, "cluster size", f->cluster_size);
    fact_size(t, "sector size", img->sector_size);
    fact(t, "compression", f->compression);
    fact(t, "encryption", f->encryption);
    fact(t, "identity", f->identity);
    if (f->dirty)
        fact(t, "state", "not closed cleanly");
    if (f->corrupt)
        fact(t, "state", "marked as damaged");
    for (size_t n = 0; n < f->extra.count; n++)
        fact(t, f->extra.items[n].key, f->extra.items[n].value);
    fact(t, "parent", i->parent.name);
    fact(t, "parent format", i->parent.format);
    for (const struct image *layer = img->parent; layer; layer = layer->parent) {
        table_text(t, layer == img->parent ? "chain" : "");
        table_cell(t, "%s (%s, %s on disk)", layer->path, layer->driver->name,
                   SIZE_TEXT(image_allocated((struct image *)layer)));
    }
    for (size_t n = 0; n < f->dropped.count; n++)
        fact(t, "not carried over", f->dropped.items[n]);
}

static bool snapshots_text(const struct image_facts *f, struct buf *to, struct err *e)
{
    static const char *const heads[] = {"id", "name", "created", ">size", ">saved state", NULL};
    AUTO(table_release) struct table t = {0};

    table_init(&t, heads);
    t.indent = 2;
    for (size_t n = 0; n < f->snapshot_count; n++) {
        const struct image_snapshot *s = &f->snapshots[n];

        table_text(&t, s->id);
        table_text(&t, s->name);
        table_text(&t, clock_text(s->created, (char[CLOCK_TEXT_MAX]){0}));
        table_text(&t, SIZE_TEXT(s->size));
        table_text(&t, s->vm_state ? SIZE_TEXT(s->vm_state) : "");
    }
    if (f->snapshot_count)
        buf_text(to, "\nsnapshots\n");
    return table_print(&t, to, 0, e);
}

static bool layout_text(const struct ptable *p, struct buf *to, struct err *e)
{
    static const char *const heads[] = {">number", ">start", ">size", "type", "name", "", NULL};
    AUTO(table_release) struct table t = {0};
    char type[GUID_TEXT_MAX];

    table_init(&t, heads);
    t.indent = 2;
    for (size_t n = 0; n < p->count; n++) {
        const struct partition *part = &p->items[n];

        table_cell(&t, "%u", part->number);
        table_cell(&t, "%" PRIu64, part->start);
        table_text(&t, SIZE_TEXT(part->len));
        table_text(&t, type_text(p, part, type));
        table_text(&t, part->name);
        table_text(&t, part->active ? "active" : "");
    }
    buf_format(to, "\npartition table: %s\n", table_names[p->kind]);
    if (!table_print(&t, to, 0, e))
        return false;
    if (p->issues)
        log_warn("the partition table: %s", p->issue_text);
    return true;
}

static bool info_text(const struct cli *cli, const struct info *i, struct err *e)
{
    static const char *const heads[] = {"", "", NULL};
    AUTO(buf_release) struct buf text = {0};
    AUTO(table_release) struct table t = {0};

    table_init(&t, heads);
    t.bare = true;
    facts_text(i, &t);
    if (!table_print(&t, &text, 0, e) || !snapshots_text(&i->image->facts, &text, e) ||
        (cli->layout && !layout_text(&i->layout, &text, e)) || !buf_ok(&text, e))
        return false;
    out_raw(text.data, text.len);
    if (i->chain.kind)
        log_warn("the layers below cannot be read: %s", i->chain.text);
    return true;
}

bool cmd_info(struct cli *cli, struct err *e)
{
    AUTO(info_release) struct info i = {0};

    if (!open_for_info(cli, &i, e))
        return false;
    if (i.image->driver->parent && !i.image->driver->parent(i.image, &i.parent, e))
        return false;
    if (cli->layout && i.chain.kind)
        return err_set(e, i.chain.kind, "the partitions cannot be read: %s", i.chain.text);
    if (cli->layout && !ptable_read(i.image, &i.layout, e))
        return false;
    return cli->json ? info_doc(cli, &i, e) : info_text(cli, &i, e);
}
