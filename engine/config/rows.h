/* Decoding YAML maps into structs by option rows, and the JSON Schema of the same rows. */
#ifndef CONFIG_ROWS_H
#define CONFIG_ROWS_H

#include "node.h"
#include "opt.h"

struct decode {
    struct mistakes *mistakes;
    /* Expands ${...} in scalars before they are parsed; NULL: texts are taken as they are. Returns
     * an owned text, or NULL with an error, which becomes a mistake at the scalar; NULL without an
     * error: the cause is already among the mistakes. */
    char *(*expand)(void *user, const char *text, struct err *e);
    void *user;
    /* Where the values of OPT_NODE rows go, copied with their scalars expanded; NULL: the fields
     * borrow from the document as it is. */
    struct node_list *kept;
    /* A map that will be amended over this one: a required key it has is not missing. */
    const struct node *over;
};

/* Fills `target` (presets first) from the map. Unknown keys, wrong types, bounds, missing required
 * keys become mistakes, also inside OPT_NODE values whose row has `sub`. `map` NULL: presets alone,
 * without a look at what is required. False: there were mistakes. The target must be zeroed before
 * and is released by opt_release in either case. */
bool rows_decode(const struct opt_row *rows, const struct node *map, void *target,
                 const struct decode *d);
/* As rows_decode, onto a struct that is already filled: only keys present are changed; lists are
 * replaced, of OPT_PAIRS and OPT_MAP the keys given. */
bool rows_amend(const struct opt_row *rows, const struct node *map, void *target,
                const struct decode *d);

/* Appends the JSON Schema object of the rows (type, properties with description, default, enum,
 * bounds; additionalProperties false). Scalars also take strings, since ${variables} are strings.
 */
void rows_schema(const struct opt_row *rows, struct buf *out, unsigned indent);
/* A text as a JSON string. */
void rows_quote(struct buf *out, const char *text);

#endif
