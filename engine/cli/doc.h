/* JSON documents on standard output: each command prints exactly one with --json. */
#ifndef CLI_DOC_H
#define CLI_DOC_H

#include "cleanup.h"
#include "err.h"
#include "opt.h"

#include <jansson.h>
#include <stdint.h>

AUTO_TYPE(json_t *, json_decref)

/* NULL becomes null; bytes that are not UTF-8 become U+FFFD. */
json_t *doc_text(const char *text);
/* JSON numbers are exact to 2^63 here. */
json_t *doc_count(uint64_t n);
/* null for 0, where 0 means "not known". */
json_t *doc_known(uint64_t n);
json_t *doc_texts(const struct opt_texts *list);
json_t *doc_pairs(const struct opt_pairs *list);
/* Takes over `value`. A failure is remembered and reported by doc_print. */
void doc_set(json_t *object, const char *key, json_t *value);
void doc_add(json_t *array, json_t *value);

/* Prints the document and takes it over. */
bool doc_print(json_t *doc, struct err *e);
/* True once a document was printed. */
bool doc_printed(void);
/* {"error": {kind, status, text}}: for a command that failed before it had a result. */
json_t *doc_error(const struct err *error);

#endif
