/* YAML to nodes; see node.h. The only user of libyaml.
 *
 * libyaml's events are read one by one and built into a tree. What a job must not have (aliases,
 * anchors, tags, tabs, duplicate keys, more documents) is noted and read over, so that one pass
 * reports all of it; only broken YAML, nesting and sheer size end the reading. libyaml counts lines
 * and columns from 0 and in characters; marks count from 1. */
#include "node.h"

#include "bytes.h"
#include "slurp.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

enum {
    FILE_MAX = 1 << 20, /* a job of ten thousand machines is smaller */
    DEPTH_MAX = 16,     /* twice what the job language needs; bounds the recursion below */
    NODES_MAX = 200000, /* bounds the memory a file of FILE_MAX bytes can ask for (about 30 MiB) */
};

struct span { /* characters [from, to) */
    size_t from, to;
};

struct reader {
    yaml_parser_t parser;
    struct mistakes *m;
    struct err *e;
    const char *text;
    VEC(struct span) quoted; /* scalars in quotes and blocks: tabs are theirs */
    size_t nodes;
};

void node_free(struct node *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->count; i++) {
        node_free(n->items[i]);
        if (n->keys)
            free(n->keys[i]);
    }
    free(n->items);
    free(n->keys);
    free(n->key_at);
    free(n->text);
    free(n);
}

void node_list_release(struct node_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        node_free(list->items[i]);
    free(list->items);
    *list = (struct node_list){0};
}

const struct node *node_get(const struct node *map, const char *key)
{
    for (size_t i = 0; map && map->kind == NODE_MAP && i < map->count; i++)
        if (strcmp(map->keys[i], key) == 0)
            return map->items[i];
    return NULL;
}

bool node_null(const struct node *n)
{
    return n->kind == NODE_SCALAR && !n->quoted && !*n->text;
}

const char *node_kind_text(const struct node *n)
{
    return n->kind == NODE_LIST ? "a list" : n->kind == NODE_MAP ? "a map" : "a single value";
}

static struct mark mark_of(yaml_mark_t at)
{
    return (struct mark){(unsigned)at.line + 1, (unsigned)at.column + 1};
}

/* The place of a byte of the text. */
static struct mark place_of(const char *text, size_t offset)
{
    struct mark at = {1, 1};

    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n')
            at = (struct mark){at.line + 1, 1};
        else if (((unsigned char)text[i] & 0xc0) != 0x80)
            at.col++;
    }
    return at;
}

/* What libyaml could not read. A text with ${...} inside { } or [ ] is the usual reason. */
static void note_problem(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    struct mark at = mark_of(p->problem_mark);
    const char *line = r->text, *hint = "";

    if (p->error == YAML_MEMORY_ERROR) {
        err_set(r->e, ERR_MEMORY, "out of memory");
        return;
    }
    if (p->error == YAML_READER_ERROR)
        at = place_of(r->text, MIN(p->problem_offset, strlen(r->text)));
    for (unsigned n = 1; n < at.line && strchr(line, '\n'); n++)
        line = strchr(line, '\n') + 1;
    for (const char *c = line; *c && *c != '\n'; c++)
        if (c[0] == '$' && c[1] == '{')
            hint = "; inside { } or [ ] a text with ${...} needs quotes";
    mistake_add(r->m, at, "this is not YAML: %s%s%s%s", p->problem ? p->problem : "unreadable",
                p->context ? " " : "", p->context ? p->context : "", hint);
}

static bool next(struct reader *r, yaml_event_t *ret)
{
    if (yaml_parser_parse(&r->parser, ret))
        return true;
    note_problem(r);
    return false;
}

static struct node *new_node(struct reader *r, enum node_kind kind, yaml_mark_t at)
{
    struct node *n;

    if (++r->nodes > NODES_MAX) {
        mistake_add(r->m, mark_of(at), "the file has more than %d values", NODES_MAX);
        return NULL;
    }
    n = mem_new(struct node, r->e);
    if (n) {
        n->kind = kind;
        n->at = mark_of(at);
    }
    return n;
}

static void refuse(struct reader *r, yaml_mark_t at, const char *what)
{
    mistake_add(r->m, mark_of(at), "%s are not taken: write the value out", what);
}

static bool null_word(const char *text)
{
    return strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
}

static struct node *build_scalar(struct reader *r, const yaml_event_t *ev)
{
    const char *text = (const char *)ev->data.scalar.value;
    size_t len = ev->data.scalar.length;
    AUTO(node_free) struct node *n = new_node(r, NODE_SCALAR, ev->start_mark);

    if (!n)
        return NULL;
    n->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (n->quoted) {
        struct span span = {ev->start_mark.index, ev->end_mark.index};

        if (!VEC_PUSH(&r->quoted, span, r->e))
            return NULL;
    }
    if (memchr(text, '\0', len)) {
        mistake_add(r->m, n->at, "a text must not contain a NUL character");
        len = 0;
    }
    if (!n->quoted && null_word(text))
        len = 0;
    n->text = mem_textn(text, len, r->e);
    return n->text ? TAKE(n) : NULL;
}

static struct node *build(struct reader *r, yaml_event_t *ev, unsigned depth);

/* Makes room for one more item. */
static bool grow(struct node *n, struct err *e)
{
    size_t room = n->count < 4 ? 4 : n->count * 2;
    void *p;

    if (n->count && (n->count < 4 || !is_pow2(n->count)))
        return true;
    p = mem_grow(n->items, room, sizeof(*n->items), e);
    if (!p)
        return false;
    n->items = p;
    if (n->kind != NODE_MAP)
        return true;
    p = mem_grow(n->keys, room, sizeof(*n->keys), e);
    if (!p)
        return false;
    n->keys = p;
    p = mem_grow(n->key_at, room, sizeof(*n->key_at), e);
    if (!p)
        return false;
    n->key_at = p;
    return true;
}

static bool build_items(struct reader *r, struct node *list, unsigned depth)
{
    for (;;) {
        yaml_event_t ev;
        struct node *item;

        if (!next(r, &ev))
            return false;
        if (ev.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&ev);
            return true;
        }
        item = build(r, &ev, depth);
        if (!item)
            return false;
        if (!grow(list, r->e)) {
            node_free(item);
            return false;
        }
        list->items[list->count++] = item;
    }
}

struct key_place {
    const char *key;
    size_t at;
};

static int by_key(const void *a, const void *b)
{
    const struct key_place *x = a, *y = b;
    int order = strcmp(x->key, y->key);

    return order ? order : x->at < y->at ? -1 : 1;
}

/* Sorted, so that a map of a hundred thousand keys is no denial of service. */
static bool check_duplicates(struct reader *r, const struct node *map)
{
    AUTO(free) struct key_place *keys = mem_array(map->count, sizeof(*keys), r->e);
    size_t first = 0;

    if (!keys)
        return false;
    for (size_t i = 0; i < map->count; i++)
        keys[i] = (struct key_place){map->keys[i], i};
    if (map->count)
        qsort(keys, map->count, sizeof(*keys), by_key);
    for (size_t i = 1; i < map->count; i++) {
        if (strcmp(keys[i].key, keys[first].key) != 0)
            first = i;
        else
            mistake_add(r->m, map->key_at[keys[i].at], "the key '%s' is given twice: see line %u",
                        keys[i].key, map->key_at[keys[first].at].line);
    }
    return true;
}

static bool build_pairs(struct reader *r, struct node *map, unsigned depth)
{
    for (;;) {
        AUTO(node_free) struct node *key = NULL, *value = NULL;
        yaml_event_t ev;

        if (!next(r, &ev))
            return false;
        if (ev.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&ev);
            return check_duplicates(r, map);
        }
        key = build(r, &ev, depth);
        if (!key || !next(r, &ev))
            return false;
        value = build(r, &ev, depth);
        if (!value || !grow(map, r->e))
            return false;
        if (key->kind != NODE_SCALAR) {
            mistake_add(r->m, key->at, "a key must be a single value, not %s", node_kind_text(key));
            continue;
        }
        map->keys[map->count] = TAKE(key->text);
        map->key_at[map->count] = key->at;
        map->items[map->count++] = TAKE(value);
    }
}

static struct node *build_group(struct reader *r, const yaml_event_t *ev, unsigned depth)
{
    bool map = ev->type == YAML_MAPPING_START_EVENT;
    AUTO(node_free) struct node *n = NULL;

    if (depth >= DEPTH_MAX) {
        mistake_add(r->m, mark_of(ev->start_mark), "nested more than %d deep", DEPTH_MAX);
        return NULL;
    }
    n = new_node(r, map ? NODE_MAP : NODE_LIST, ev->start_mark);
    if (!n || !(map ? build_pairs(r, n, depth + 1) : build_items(r, n, depth + 1)))
        return NULL;
    return TAKE(n);
}

/* An alias stands as an empty text, so that the rest can be looked at. */
static struct node *build_alias(struct reader *r, const yaml_event_t *ev)
{
    struct node *n = new_node(r, NODE_SCALAR, ev->start_mark);

    refuse(r, ev->start_mark, "aliases (*name)");
    if (!n)
        return NULL;
    n->quoted = true;
    n->text = mem_text("", r->e);
    if (n->text)
        return n;
    node_free(n);
    return NULL;
}

static void check_properties(struct reader *r, const yaml_event_t *ev)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;

    if (ev->type == YAML_SCALAR_EVENT) {
        anchor = ev->data.scalar.anchor;
        tag = ev->data.scalar.tag;
    } else if (ev->type == YAML_SEQUENCE_START_EVENT) {
        anchor = ev->data.sequence_start.anchor;
        tag = ev->data.sequence_start.tag;
    } else if (ev->type == YAML_MAPPING_START_EVENT) {
        anchor = ev->data.mapping_start.anchor;
        tag = ev->data.mapping_start.tag;
    }
    if (anchor)
        refuse(r, ev->start_mark, "anchors (&name)");
    if (tag)
        refuse(r, ev->start_mark, "tags (!name)");
}

/* The value that starts with the event, which is released. NULL: nothing more can be read. */
static struct node *build(struct reader *r, yaml_event_t *ev, unsigned depth)
{
    struct node *n;

    check_properties(r, ev);
    n = ev->type == YAML_SCALAR_EVENT  ? build_scalar(r, ev)
        : ev->type == YAML_ALIAS_EVENT ? build_alias(r, ev)
                                       : build_group(r, ev, depth);
    yaml_event_delete(ev);
    return n;
}

/* Reads up to the end of the stream. False: broken; a null *ret_root: empty. */
static bool read_stream(struct reader *r, struct node **ret_root)
{
    for (;;) {
        yaml_event_t ev;
        bool more;

        if (!next(r, &ev))
            return false;
        if (ev.type == YAML_DOCUMENT_START_EVENT && *ret_root) {
            mistake_add(r->m, mark_of(ev.start_mark),
                        "a second document starts here: a file holds one");
            yaml_event_delete(&ev);
            return true;
        }
        if (ev.type != YAML_STREAM_START_EVENT && ev.type != YAML_DOCUMENT_START_EVENT &&
            ev.type != YAML_DOCUMENT_END_EVENT && ev.type != YAML_STREAM_END_EVENT) {
            *ret_root = build(r, &ev, 0);
            if (!*ret_root)
                return false;
            continue;
        }
        more = ev.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&ev);
        if (!more)
            return true;
    }
}

/* Tabs outside quotes, blocks and comments, up to the line where reading ended. True: some. */
static bool check_tabs(struct reader *r, unsigned last_line)
{
    const char *p = r->text;
    struct mark at = {1, 1};
    size_t index = 0, span = 0;
    bool comment = false, found = false;
    char before = '\n';

    if (text_starts(p, "\xef\xbb\xbf"))
        p += 3;
    for (; *p && at.line <= last_line; before = *p++) {
        bool quoted;

        if (((unsigned char)*p & 0xc0) == 0x80)
            continue;
        while (span < r->quoted.count && r->quoted.items[span].to <= index)
            span++;
        quoted = span < r->quoted.count && r->quoted.items[span].from <= index;
        if (!quoted && *p == '#' && strchr(" \t\r\n", before))
            comment = true;
        if (!quoted && !comment && *p == '\t') {
            mistake_add(r->m, at, "tabs are not taken: use spaces");
            found = true;
        }
        index++;
        at.col++;
        if (*p == '\n') {
            at = (struct mark){at.line + 1, 1};
            comment = false;
        }
    }
    return found;
}

/* What libyaml would not name well: binary files and broken encodings. */
static bool check_bytes(const char *text, size_t len, struct mistakes *m)
{
    size_t bad;

    if (!utf8_valid(text, len, &bad)) {
        struct mark at = place_of(text, bad);

        if (text[bad] == '\0')
            mistake_add(m, at, "the file is binary: it has a NUL byte here");
        else
            mistake_add(m, at, "the file is not UTF-8: byte 0x%02x", (unsigned char)text[bad]);
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if ((c < 0x20 && !strchr("\t\n\r", c)) || c == 0x7f) {
            mistake_add(m, place_of(text, i), "a control character (0x%02x) is not taken", c);
            return false;
        }
    }
    return true;
}

static struct node *empty_node(struct err *e)
{
    AUTO(node_free) struct node *n = mem_new(struct node, e);

    if (!n)
        return NULL;
    n->at = (struct mark){0, 0};
    n->text = mem_text("", e);
    return n->text ? TAKE(n) : NULL;
}

static struct node *parse(struct reader *r, size_t len)
{
    AUTO(node_free) struct node *root = NULL;
    size_t mistakes = r->m->list.count;
    bool whole;

    if (!yaml_parser_initialize(&r->parser)) {
        err_set(r->e, ERR_MEMORY, "out of memory");
        return NULL;
    }
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)r->text, len);
    whole = read_stream(r, &root);
    if (whole) {
        check_tabs(r, UINT32_MAX);
    } else if (r->parser.error != YAML_NO_ERROR && r->m->list.count > mistakes) {
        /* A tab is often the reason: then it is the better message. */
        struct mistake last = r->m->list.items[r->m->list.count - 1];

        r->m->list.count--;
        if (!check_tabs(r, last.at.line) && VEC_PUSH(&r->m->list, last, NULL))
            last.text = NULL;
        free(last.text);
    }
    yaml_parser_delete(&r->parser);
    free(r->quoted.items);
    if (!whole)
        return NULL;
    return root ? TAKE(root) : empty_node(r->e);
}

struct node *node_parse(const char *name, const char *text, size_t len, struct mistakes *m,
                        struct err *e)
{
    struct reader r = {.m = m, .e = e};

    free(m->file);
    free(m->source);
    m->source = NULL;
    m->file = mem_text(name, e);
    if (!m->file)
        return NULL;
    if (len > FILE_MAX) {
        mistake_add(m, (struct mark){0, 0}, "is larger than %s: no job is", SIZE_TEXT(FILE_MAX));
        return NULL;
    }
    m->source = mem_textn(text, len, e);
    if (!m->source || !check_bytes(m->source, len, m))
        return NULL;
    r.text = m->source;
    return parse(&r, len);
}

struct node *node_load(const char *path, struct mistakes *m, struct err *e)
{
    AUTO(free) char *text = NULL;
    size_t len;

    text = slurp(path, FILE_MAX, &len, e);
    return text ? node_parse(path, text, len, m, e) : NULL;
}
