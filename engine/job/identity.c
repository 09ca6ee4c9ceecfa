/* Identities; see identity.h.
 *
 * The texts hashed are lines "word value"; every value is preceded by its length, so that no two
 * lists of values give the same text. */
#include "identity.h"

#include "node.h"
#include "stage.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum { NODE_DEPTH_MAX = 16 }; /* the nesting that a job file may have */

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fill_fact(struct source_fact *f, const struct stat *st, uint64_t size)
{
    f->size = size;
    f->inode = S_ISBLK(st->st_mode) ? (uint64_t)st->st_rdev : (uint64_t)st->st_ino;
    /* a device node's times say nothing about its contents */
    f->mtime_ns = S_ISBLK(st->st_mode) ? 0 : nanoseconds(st->st_mtim);
    f->ctime_ns = S_ISBLK(st->st_mode) ? 0 : nanoseconds(st->st_ctim);
}

static bool known(const struct source_facts *f, const char *path)
{
    for (size_t i = 0; i < f->count; i++)
        if (!strcmp(f->items[i].path, path))
            return true;
    return false;
}

static bool add_file(void *user, const char *path, struct io *io, unsigned layer, struct err *e)
{
    struct source_fact fact = {.path = (char *)path};
    struct stat st;

    (void)layer;
    if (known(user, path))
        return true;
    if (io && io->fd >= 0 ? fstat(io->fd, &st) != 0 : stat(path, &st) != 0)
        return err_errno(e, ERR_IO, errno, "cannot look at '%s'", path);
    fill_fact(&fact, &st, S_ISBLK(st.st_mode) && io ? io->size : (uint64_t)st.st_size);
    return source_facts_add(user, &fact, e);
}

bool facts_add_image(struct source_facts *f, struct image *img, struct err *e)
{
    return image_files(img, add_file, f, e);
}

bool facts_add_path(struct source_facts *f, const char *path, struct err *e)
{
    return add_file(f, path, NULL, 0, e);
}

static bool fact_holds(const struct source_fact *was, struct err *e)
{
    struct source_fact is = {0};
    struct stat st;

    if (stat(was->path, &st) != 0)
        return err_errno(e, ERR_CHANGED, errno, "the source '%s' changed since the run began",
                         was->path);
    fill_fact(&is, &st, S_ISBLK(st.st_mode) ? was->size : (uint64_t)st.st_size);
    if (is.size != was->size)
        return err_set(e, ERR_CHANGED,
                       "the source '%s' changed since the run began: it had %" PRIu64
                       " bytes and has %" PRIu64 " now",
                       was->path, was->size, is.size);
    if (is.inode != was->inode)
        return err_set(e, ERR_CHANGED,
                       "the source '%s' changed since the run began: it was replaced by another "
                       "file",
                       was->path);
    if (is.mtime_ns != was->mtime_ns)
        return err_set(e, ERR_CHANGED,
                       "the source '%s' changed since the run began: it was written (modification "
                       "time)",
                       was->path);
    if (is.ctime_ns != was->ctime_ns)
        return err_set(e, ERR_CHANGED,
                       "the source '%s' changed since the run began: it was written or its "
                       "attributes were changed (change time)",
                       was->path);
    return true;
}

bool facts_hold(const struct source_facts *f, struct err *e)
{
    for (size_t i = 0; i < f->count; i++)
        if (!fact_holds(&f->items[i], e))
            return false;
    return true;
}

int64_t facts_mtime(const struct source_facts *f)
{
    int64_t newest = 0;

    for (size_t i = 0; i < f->count; i++)
        if (f->items[i].mtime_ns > newest)
            newest = f->items[i].mtime_ns;
    return newest / 1000000000;
}

static void put_text(struct buf *out, const char *word, const char *text)
{
    if (text)
        buf_format(out, "%s %zu:%s\n", word, strlen(text), text);
}

static void put_node(struct buf *out, const struct node *n, unsigned depth)
{
    if (!n || depth > NODE_DEPTH_MAX)
        return;
    if (n->kind == NODE_SCALAR) {
        put_text(out, "scalar", n->text);
        return;
    }
    buf_format(out, "%s %zu\n", n->kind == NODE_LIST ? "list" : "map", n->count);
    for (size_t i = 0; i < n->count; i++) {
        if (n->kind == NODE_MAP)
            put_text(out, "key", n->keys[i]);
        put_node(out, n->items[i], depth + 1);
    }
}

static bool put_option(struct buf *out, const struct opt_row *row, const void *options,
                       struct err *e)
{
    const void *field = (const char *)options + row->at;
    AUTO(free) char *value = NULL;

    switch (row->type) {
    case OPT_TEXTS:
        for (size_t i = 0; i < ((const struct opt_texts *)field)->count; i++)
            put_text(out, row->key, ((const struct opt_texts *)field)->items[i]);
        return true;
    case OPT_PAIRS:
        for (size_t i = 0; i < ((const struct opt_pairs *)field)->count; i++) {
            put_text(out, row->key, ((const struct opt_pairs *)field)->items[i].key);
            put_text(out, "=", ((const struct opt_pairs *)field)->items[i].value);
        }
        return true;
    case OPT_NODE:
        put_text(out, "node", row->key);
        put_node(out, *(const struct node *const *)field, 0);
        return true;
    case OPT_MAP:
        put_text(out, "map", row->key);
        return identity_options(out, row->sub, field, e);
    default:
        value = opt_value(row, options, e);
        put_text(out, row->key, value);
        return value || !e || e->kind == ERR_NONE;
    }
}

bool identity_options(struct buf *out, const struct opt_row *rows, const void *options,
                      struct err *e)
{
    for (const struct opt_row *row = rows; row && row->type != OPT_END; row++)
        if (!(row->flags & (OPT_POLICY | OPT_SECRET)) && !put_option(out, row, options, e))
            return false;
    return buf_ok(out, e);
}

static void put_sources(struct buf *out, const struct source *source,
                        const struct source_facts *facts)
{
    buf_text(out, "strata stage 1\n");
    for (size_t i = 0; i < source->disk_count; i++) {
        put_text(out, "disk", source->disks[i].id);
        put_text(out, "path", source->disks[i].path);
        put_text(out, "format", source->disks[i].format);
    }
    for (size_t i = 0; i < facts->count; i++) {
        const struct source_fact *f = &facts->items[i];

        put_text(out, "file", f->path);
        buf_format(out, "%" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 "\n", f->size, f->inode,
                   f->mtime_ns, f->ctime_ns);
    }
}

/* Which of the stages of its name a stage is: two equal ones are two pieces of work. */
static unsigned ordinal(const struct machine *machine, size_t index)
{
    unsigned n = 0;

    for (size_t i = 0; i < index; i++)
        n += machine->stages[i].stage == machine->stages[index].stage;
    return n;
}

struct digest_value *identity_stages(const struct machine *machine, const struct source *source,
                                     const struct source_facts *facts, const char *date,
                                     struct err *e)
{
    AUTO(buf_release) struct buf chain = {0};
    AUTO(free)
    struct digest_value *list =
        mem_array(machine->stage_count ? machine->stage_count : 1, sizeof(*list), e);

    if (!list)
        return NULL;
    put_sources(&chain, source, facts);
    for (size_t i = 0; i < machine->stage_count; i++) {
        const struct job_stage *stage = &machine->stages[i];
        AUTO(buf_release) struct buf own = {0};

        put_text(&own, "stage", stage->stage->name);
        buf_format(&own, "%u\n", ordinal(machine, i));
        if (!identity_options(&own, stage->stage->options, stage->options, e))
            return NULL;
        if (strstr(own.data, "${date}"))
            put_text(&own, "date", date);
        if (stage->stage->flags & STAGE_ALTERS) {
            buf_add(&chain, own.data, own.len);
            if (!buf_ok(&chain, e))
                return NULL;
            digest_sha256(chain.data, chain.len, &list[i]);
            continue;
        }
        size_t base = chain.len;
        buf_add(&chain, own.data, own.len);
        if (!buf_ok(&chain, e))
            return NULL;
        digest_sha256(chain.data, chain.len, &list[i]);
        chain.len = base;
    }
    return TAKE(list);
}

bool identity_content(const char *job, const char *machine, const char *disk, const char *format,
                      const char *options, uint64_t size, int64_t mtime, struct digest_value *ret,
                      struct err *e)
{
    AUTO(buf_release) struct buf text = {0};

    buf_text(&text, "strata content 1\n");
    put_text(&text, "job", job);
    put_text(&text, "machine", machine);
    put_text(&text, "disk", disk);
    put_text(&text, "format", format);
    put_text(&text, "options", options);
    buf_format(&text, "%" PRIu64 " %" PRId64 "\n", size, mtime);
    if (!buf_ok(&text, e))
        return false;
    digest_sha256(text.data, text.len, ret);
    return true;
}
