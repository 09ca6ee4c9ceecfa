/* Option rows: one table describes the fields of a configuration struct, and the parser, the job
 * language, the JSON Schema, help, completion and reference pages all follow from it.
 *
 *     static const struct opt_row rows[] = {
 *         { .key = "cluster_size", .type = OPT_SIZE, .flags = OPT_POW2,
 *           .at = OPT_AT(struct qcow2_options, cluster_size, uint64_t),
 *           .min = 512, .max = 2u << 20, .preset = "64K",
 *           .help = "allocation unit of the new image" },
 *         { 0 }                                            // ends the table
 *     };
 *
 * Defaults (`preset`) are written as a user would and go through the same parser. A struct filled
 * by opt_presets owns what its rows point to and is emptied by opt_release. */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include "err.h"
#include "vec.h"

#include <stddef.h>
#include <stdint.h>

enum opt_type {
    OPT_END, /* the row that closes a table */
    /* scalars: also on the command line (-o key=value) */
    OPT_BOOL,     /* bool; yes, no, true, false, on, off */
    OPT_COUNT,    /* uint64_t; a plain number */
    OPT_SIZE,     /* uint64_t bytes; 64K, 1.5T */
    OPT_PERCENT,  /* uint32_t hundredths of a percent; "10%" or "10" */
    OPT_DURATION, /* uint64_t seconds; 90s, 1h30m, 7d */
    OPT_TEXT,     /* char *, owned, NULL when not given */
    OPT_WORD,     /* int: the index into `words` */
    /* structured: only in job files; decoded by engine/config */
    OPT_TEXTS, /* struct opt_texts; a single scalar stands for a list of one */
    OPT_PAIRS, /* struct opt_pairs; a map of text to text */
    OPT_NODE,  /* const struct node *, borrowed from the document; any YAML value */
    OPT_MAP,   /* an embedded struct with rows of its own (`sub`) */
};

enum opt_flag {
    OPT_POW2 = 1,     /* a power of two */
    OPT_REQUIRED = 2, /* must be given */
    OPT_SECRET = 4,   /* may hold a secret: never printed */
    OPT_PATH = 8,     /* a path, relative to the job file's folder */
    OPT_POLICY = 16,  /* changes no output byte: left out of the stage's identity */
    OPT_LIST = 32,    /* OPT_NODE: a list of maps of `sub` */
    OPT_NAMED = 64,   /* OPT_NODE: a map of free keys to maps of `sub` */
};

struct opt_texts {
    char **items;
    size_t count, room;
};

struct opt_pair {
    char *key, *value;
};

struct opt_pairs {
    struct opt_pair *items;
    size_t count, room;
};

struct opt_row {
    const char *key;
    enum opt_type type;
    unsigned flags;
    size_t at;
    uint64_t min, max; /* of COUNT, SIZE, PERCENT and DURATION; max 0: no limit */
    const char *preset;
    const char *const *words;  /* OPT_WORD: choices, NULL at the end */
    const struct opt_row *sub; /* OPT_MAP: its rows; OPT_NODE: rows of the map (or, with OPT_LIST
                                  and OPT_NAMED, of each item), checked while decoding */
    const char *schema; /* OPT_NODE: the definition in the schema that says more than `sub` can */
    bool (*check)(const char *text, struct err *e); /* OPT_TEXT, OPT_TEXTS: a further check */
    const char *help;
};

/* The offset of a field, refused at compile time when the field is not of the given type. */
#define OPT_AT(structure, field, ftype)                                                            \
    (offsetof(structure, field) +                                                                  \
     0 * sizeof(                                                                                   \
             char[__builtin_types_compatible_p(__typeof__(((structure *)0)->field), ftype) ? 1     \
                                                                                           : -1]))

/* The row of that key, or NULL. */
const struct opt_row *opt_find(const struct opt_row *rows, const char *key);
/* The known key nearest to `key`, or NULL. */
const char *opt_nearest(const struct opt_row *rows, const char *key);

/* Parses a scalar row's value into the struct (an owned text is replaced). ERR_USAGE on a value of
 * the wrong type or outside its bounds; the message does not repeat the key. */
bool opt_set(const struct opt_row *row, void *target, const char *text, struct err *e);

/* Sets every field of a zeroed struct that has a preset to it, sub-maps included. */
bool opt_presets(const struct opt_row *rows, void *target, struct err *e);

/* Sets one field by "key=value" with key looked up in rows (command line). ERR_USAGE names the
 * nearest. */
bool opt_assign(const struct opt_row *rows, void *target, const char *assignment, struct err *e);

/* Frees what the fields own. */
void opt_release(const struct opt_row *rows, void *target);

/* The value as text in job-file spelling, for OPT_BOOL..OPT_WORD; NULL for an unset text. Release
 * with free(). */
char *opt_value(const struct opt_row *row, const void *target, struct err *e);

bool opt_texts_add(struct opt_texts *list, const char *text, struct err *e);
void opt_texts_release(struct opt_texts *list);
bool opt_pairs_add(struct opt_pairs *list, const char *key, const char *value, struct err *e);
const char *opt_pairs_get(const struct opt_pairs *list, const char *key);
void opt_pairs_release(struct opt_pairs *list);

#endif
