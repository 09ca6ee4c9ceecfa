/* A YAML document as a tree with positions. Only what a job needs is taken: one document; no
 * aliases, anchors, tags, tabs, duplicate keys; nesting up to 16; UTF-8; at most 1 MiB. The rest is
 * a mistake. */
#ifndef CONFIG_NODE_H
#define CONFIG_NODE_H

#include "mistakes.h"

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    struct mark at;
    char *text;          /* SCALAR; "" for null */
    bool quoted;         /* SCALAR: written in quotes or as a block; "" is then no null */
    struct node **items; /* LIST: items; MAP: values */
    char **keys;         /* MAP: keys, as many as items */
    struct mark *key_at;
    size_t count;
};

/* The document, as far as it could be read: the caller looks at the mistakes before it relies on
 * it. An empty document is a null scalar. NULL when the YAML itself is broken (a mistake says
 * where) or, with `e`, when the file cannot be read. Fills m->file and m->source. */
struct node *node_load(const char *path, struct mistakes *m, struct err *e);
/* The same from memory; `name` for messages. */
struct node *node_parse(const char *name, const char *text, size_t len, struct mistakes *m,
                        struct err *e);
void node_free(struct node *n);
AUTO_TYPE(struct node *, node_free)
/* True for `key:` without a value, `~` and `null`. */
bool node_null(const struct node *n);
/* "a list", "a map", "a single value": for messages. */
const char *node_kind_text(const struct node *n);

/* Nodes kept until the list is released. */
struct node_list {
    struct node **items;
    size_t count, room;
};
void node_list_release(struct node_list *list);

/* Value of a key of a MAP, or NULL (also when `map` is NULL or no map). */
const struct node *node_get(const struct node *map, const char *key);

#endif
