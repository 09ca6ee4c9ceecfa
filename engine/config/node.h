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
    bool quoted;         /* SCALAR: written in quotes: never a number or boolean */
    struct node **items; /* LIST: items; MAP: values */
    char **keys;         /* MAP: keys, as many as items */
    struct mark *key_at;
    size_t count;
};

/* NULL when there were mistakes or (with `e`) the file cannot be read. */
struct node *node_load(const char *path, struct mistakes *m, struct err *e);
/* The same from memory; `name` for messages. */
struct node *node_parse(const char *name, const char *text, size_t len, struct mistakes *m,
                        struct err *e);
void node_free(struct node *n);
AUTO_TYPE(struct node *, node_free)
/* Value of a key of a MAP, or NULL. */
const struct node *node_get(const struct node *map, const char *key);

#endif
