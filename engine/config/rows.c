/* YAML maps into structs by option rows; see rows.h.
 *
 * One function sets one field from one node. Maps that no struct of ours takes (OPT_NODE with rows
 * of its own) are checked by setting each of their keys into a scratch field that is thrown away,
 * so that a typo in them is found with all the others. */
#include "rows.h"

#include "bytes.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define FIELD(target, row, type) ((type *)((char *)(target) + (row)->at))

enum { WORDS_MAX = 64 }; /* words looked through for a suggestion: more than any row has */

static bool set_field(const struct opt_row *row, const char *key, const struct node *value,
                      void *target, const struct decode *d);

static bool mistaken(const struct decode *d, struct mark at, const char *key, const struct err *e)
{
    mistake_add(d->mistakes, at, "'%s': %s", key, e->text);
    return false;
}

/* The scalar's text, expanded; NULL when a mistake was noted. */
static char *scalar_text(const struct node *n, const char *key, const struct decode *d)
{
    struct err e = ERR_INIT;
    char *text = NULL;

    if (n->kind != NODE_SCALAR)
        mistake_add(d->mistakes, n->at, "'%s' takes a single value, not %s", key,
                    node_kind_text(n));
    else if (node_null(n))
        mistake_add(d->mistakes, n->at, "'%s' has no value: give it one or leave it out", key);
    else
        text = d->expand ? d->expand(d->user, n->text, &e) : mem_text(n->text, &e);
    if (!text && e.kind != ERR_NONE)
        mistaken(d, n->at, key, &e);
    return text;
}

/* A word as YAML's booleans may spell it, and the nearest one for the message. */
static bool set_word(const struct opt_row *row, const char *key, const struct node *value,
                     const char *text, void *target, const struct decode *d)
{
    struct err e = ERR_INIT;
    size_t count = 0;
    int near;

    if (opt_set(row, target, text, &e))
        return true;
    if (strcmp(text, "true") == 0 && opt_set(row, target, "yes", NULL))
        return true;
    if (strcmp(text, "false") == 0 && opt_set(row, target, "no", NULL))
        return true;
    while (row->words[count] && count < WORDS_MAX)
        count++;
    near = text_nearest(text, row->words, count);
    mistake_add(d->mistakes, value->at, "'%s': %s%s%s%s", key, e.text,
                near >= 0 ? "; did you mean '" : "", near >= 0 ? row->words[near] : "",
                near >= 0 ? "'?" : "");
    return false;
}

static bool set_scalar(const struct opt_row *row, const char *key, const struct node *value,
                       void *target, const struct decode *d)
{
    AUTO(free) char *text = scalar_text(value, key, d);
    struct err e = ERR_INIT;

    if (!text)
        return false;
    if (row->type == OPT_WORD)
        return set_word(row, key, value, text, target, d);
    return opt_set(row, target, text, &e) || mistaken(d, value->at, key, &e);
}

static bool add_text(const struct opt_row *row, const char *key, const struct node *item,
                     struct opt_texts *list, const struct decode *d)
{
    AUTO(free) char *text = scalar_text(item, key, d);
    struct err e = ERR_INIT;

    if (!text)
        return false;
    if ((row->check && !row->check(text, &e)) || !opt_texts_add(list, text, &e))
        return mistaken(d, item->at, key, &e);
    return true;
}

static bool set_texts(const struct opt_row *row, const char *key, const struct node *value,
                      struct opt_texts *field, const struct decode *d)
{
    struct opt_texts list = {0};
    bool ok = true;

    if (value->kind == NODE_MAP) {
        mistake_add(d->mistakes, value->at, "'%s' takes a list, not a map", key);
        return false;
    }
    if (value->kind == NODE_SCALAR)
        ok = add_text(row, key, value, &list, d);
    for (size_t i = 0; value->kind == NODE_LIST && i < value->count; i++)
        ok = add_text(row, key, value->items[i], &list, d) && ok;
    opt_texts_release(field);
    *field = list;
    return ok;
}

static bool put_pair(struct opt_pairs *pairs, const char *key, const char *value, struct err *e)
{
    for (size_t i = 0; i < pairs->count; i++) {
        char *copy;

        if (strcmp(pairs->items[i].key, key) != 0)
            continue;
        copy = mem_text(value, e);
        if (!copy)
            return false;
        free(pairs->items[i].value);
        pairs->items[i].value = copy;
        return true;
    }
    return opt_pairs_add(pairs, key, value, e);
}

static bool set_pairs(const char *key, const struct node *value, struct opt_pairs *field,
                      const struct decode *d)
{
    bool ok = true;

    if (value->kind != NODE_MAP) {
        mistake_add(d->mistakes, value->at, "'%s' takes a map of texts, not %s", key,
                    node_kind_text(value));
        return false;
    }
    for (size_t i = 0; i < value->count; i++) {
        AUTO(free) char *text = scalar_text(value->items[i], value->keys[i], d);
        struct err e = ERR_INIT;

        if (!text)
            ok = false;
        else if (!put_pair(field, value->keys[i], text, &e))
            ok = mistaken(d, value->key_at[i], key, &e);
    }
    return ok;
}

/* Every key of the map set into a field that is thrown away. */
static bool check_map(const struct opt_row *rows, const char *key, const struct node *map,
                      const struct decode *d);

static bool check_key(const struct opt_row *row, const char *key, const struct node *value,
                      const struct decode *d)
{
    union {
        uint64_t number;
        void *pointer;
        struct opt_texts texts;
        struct opt_pairs pairs;
    } scratch = {0};
    struct opt_row rows[2] = {*row, {.type = OPT_END}};
    struct decode plain = *d;
    bool ok;

    plain.kept = NULL;
    plain.over = NULL;
    if (row->type == OPT_MAP)
        return check_map(row->sub, key, value, &plain);
    rows[0].at = 0;
    ok = set_field(&rows[0], key, value, &scratch, &plain);
    opt_release(rows, &scratch);
    return ok;
}

static bool required(const struct opt_row *rows, const struct node *map, const struct decode *d)
{
    bool ok = true;

    for (; rows && rows->type != OPT_END; rows++) {
        if (!(rows->flags & OPT_REQUIRED) || node_get(map, rows->key) ||
            node_get(d->over, rows->key))
            continue;
        mistake_add(d->mistakes, map->at, "'%s' is missing: %s", rows->key, rows->help);
        ok = false;
    }
    return ok;
}

static bool unknown(const struct opt_row *rows, const struct node *map, size_t i,
                    const struct decode *d)
{
    const char *key = map->keys[i], *near = opt_nearest(rows, key);

    mistake_add(d->mistakes, map->key_at[i], "there is no key '%s' here%s%s%s", key,
                near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return false;
}

static bool is_map(const char *key, const struct node *value, const struct decode *d)
{
    if (value->kind == NODE_MAP)
        return true;
    mistake_add(d->mistakes, value->at, "'%s' takes a map of keys and values, not %s", key,
                node_null(value) ? "nothing" : node_kind_text(value));
    return false;
}

static bool check_map(const struct opt_row *rows, const char *key, const struct node *map,
                      const struct decode *d)
{
    bool ok;

    if (!is_map(key, map, d))
        return false;
    ok = required(rows, map, d);
    for (size_t i = 0; i < map->count; i++) {
        const struct opt_row *row = opt_find(rows, map->keys[i]);

        ok =
            (row ? check_key(row, map->keys[i], map->items[i], d) : unknown(rows, map, i, d)) && ok;
    }
    return ok;
}

static bool check_node(const struct opt_row *row, const char *key, const struct node *value,
                       const struct decode *d)
{
    bool ok = true;

    if (node_null(value)) {
        mistake_add(d->mistakes, value->at, "'%s' has no value: give it one or leave it out", key);
        return false;
    }
    if ((row->flags & OPT_LIST) && value->kind != NODE_LIST) {
        mistake_add(d->mistakes, value->at, "'%s' takes a list, not %s", key,
                    node_kind_text(value));
        return false;
    }
    if ((row->flags & OPT_NAMED) && !is_map(key, value, d))
        return false;
    if (!row->sub)
        return true;
    if (!(row->flags & (OPT_LIST | OPT_NAMED)))
        return check_map(row->sub, key, value, d);
    for (size_t i = 0; i < value->count; i++)
        ok = check_map(row->sub, value->keys ? value->keys[i] : key, value->items[i], d) && ok;
    return ok;
}

/* A deep copy with the scalars expanded; mistakes were noted when it is NULL. */
static struct node *copy_node(const struct node *n, const char *key, const struct decode *d)
{
    struct err e = ERR_INIT;
    AUTO(node_free) struct node *copy = mem_new(struct node, &e);

    if (!copy)
        goto memory;
    copy->kind = n->kind;
    copy->at = n->at;
    copy->quoted = n->quoted;
    if (n->kind == NODE_SCALAR) {
        copy->text = node_null(n) ? mem_text("", &e) : scalar_text(n, key, d);
        return copy->text ? TAKE(copy) : NULL;
    }
    copy->items = mem_array(n->count, sizeof(*copy->items), &e);
    if (!copy->items)
        goto memory;
    if (n->kind == NODE_MAP) {
        copy->keys = mem_array(n->count, sizeof(*copy->keys), &e);
        copy->key_at = mem_array(n->count, sizeof(*copy->key_at), &e);
        if (!copy->keys || !copy->key_at)
            goto memory;
    }
    for (; copy->count < n->count; copy->count++) {
        size_t i = copy->count;

        if (copy->keys && !(copy->keys[i] = mem_text(n->keys[i], &e)))
            goto memory;
        if (copy->keys)
            copy->key_at[i] = n->key_at[i];
        copy->items[i] = copy_node(n->items[i], copy->keys ? n->keys[i] : key, d);
        if (!copy->items[i]) {
            if (copy->keys)
                free(TAKE(copy->keys[i]));
            return NULL;
        }
    }
    return TAKE(copy);
memory:
    mistaken(d, n->at, key, &e);
    return NULL;
}

static bool set_node(const struct opt_row *row, const char *key, const struct node *value,
                     const struct node **field, const struct decode *d)
{
    AUTO(node_free) struct node *copy = NULL;
    struct err e = ERR_INIT;

    if (!check_node(row, key, value, d))
        return false;
    if (!d->kept) {
        *field = value;
        return true;
    }
    copy = copy_node(value, key, d);
    if (!copy)
        return false;
    if (!VEC_PUSH(d->kept, copy, &e))
        return mistaken(d, value->at, key, &e);
    *field = TAKE(copy);
    return true;
}

static bool set_field(const struct opt_row *row, const char *key, const struct node *value,
                      void *target, const struct decode *d)
{
    switch (row->type) {
    case OPT_TEXTS:
        return set_texts(row, key, value, FIELD(target, row, struct opt_texts), d);
    case OPT_PAIRS:
        return set_pairs(key, value, FIELD(target, row, struct opt_pairs), d);
    case OPT_NODE:
        return set_node(row, key, value, FIELD(target, row, const struct node *), d);
    case OPT_MAP:
        return is_map(key, value, d) && rows_amend(row->sub, value, FIELD(target, row, char), d) &&
               required(row->sub, value, d);
    default:
        return set_scalar(row, key, value, target, d);
    }
}

bool rows_amend(const struct opt_row *rows, const struct node *map, void *target,
                const struct decode *d)
{
    bool ok = true;

    if (!map)
        return true;
    if (map->kind != NODE_MAP) {
        mistake_add(d->mistakes, map->at, "keys and values are wanted here, not %s",
                    node_kind_text(map));
        return false;
    }
    for (size_t i = 0; i < map->count; i++) {
        const struct opt_row *row = opt_find(rows, map->keys[i]);

        ok = (row ? set_field(row, map->keys[i], map->items[i], target, d)
                  : unknown(rows, map, i, d)) &&
             ok;
    }
    return ok;
}

bool rows_decode(const struct opt_row *rows, const struct node *map, void *target,
                 const struct decode *d)
{
    struct err e = ERR_INIT;
    bool ok;

    if (!opt_presets(rows, target, &e)) {
        mistake_add(d->mistakes, map ? map->at : (struct mark){0, 0}, "%s", e.text);
        return false;
    }
    ok = rows_amend(rows, map, target, d);
    if (map && map->kind == NODE_MAP)
        ok = required(rows, map, d) && ok;
    return ok;
}
