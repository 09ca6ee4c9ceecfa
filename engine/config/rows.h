/* Decoding YAML maps into structs by option rows, and the JSON Schema of the same rows. */
#ifndef CONFIG_ROWS_H
#define CONFIG_ROWS_H

#include "node.h"
#include "opt.h"

struct decode {
    struct mistakes *mistakes;
    /* Expands ${...} in scalars before they are parsed; NULL: texts are taken as they are. Returns
     * an owned text, or NULL with an error, which becomes a mistake at the scalar. */
    char *(*expand)(void *user, const char *text, struct err *e);
    void *user;
};

/* Fills `target` (presets first) from the map. Unknown keys, wrong types, bounds, missing required
 * keys become mistakes. `map` NULL: presets alone. False: there were mistakes (or no memory). */
bool rows_decode(const struct opt_row *rows, const struct node *map, void *target,
                 const struct decode *d);
/* As rows_decode, onto a struct that is already filled: only keys present are changed. */
bool rows_amend(const struct opt_row *rows, const struct node *map, void *target,
                const struct decode *d);

/* Appends the JSON Schema object of the rows (type, properties with description, default, enum,
 * bounds; additionalProperties false). Scalars also take strings, since ${variables} are strings.
 */
void rows_schema(const struct opt_row *rows, struct buf *out, unsigned indent);

#endif
