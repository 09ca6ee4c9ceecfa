/* JSON documents; see doc.h. */
#include "doc.h"

#include "buf.h"
#include "print.h"
#include "text.h"

#include <string.h>

static bool failed;  /* some part could not be allocated */
static bool printed; /* one document only */

json_t *doc_text(const char *text)
{
    AUTO(buf_release) struct buf clean = {0};
    size_t left, bad;

    if (!text)
        return json_null();
    for (left = strlen(text); !utf8_valid(text, left, &bad);) {
        buf_add(&clean, text, bad);
        buf_text(&clean, "\xef\xbf\xbd"); /* U+FFFD */
        text += bad + 1;
        left -= bad + 1;
    }
    buf_add(&clean, text, left);
    return clean.failed ? NULL : json_stringn(clean.data ? clean.data : "", clean.len);
}

json_t *doc_count(uint64_t n)
{
    return json_integer((json_int_t)(n > INT64_MAX ? INT64_MAX : n));
}

json_t *doc_known(uint64_t n)
{
    return n ? doc_count(n) : json_null();
}

json_t *doc_texts(const struct opt_texts *list)
{
    json_t *array = json_array();

    for (size_t i = 0; i < list->count; i++)
        doc_add(array, doc_text(list->items[i]));
    return array;
}

json_t *doc_pairs(const struct opt_pairs *list)
{
    json_t *object = json_object();

    for (size_t i = 0; i < list->count; i++)
        doc_set(object, list->items[i].key, doc_text(list->items[i].value));
    return object;
}

void doc_set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new_nocheck(object, key, value) != 0)
        failed = true;
}

void doc_add(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        failed = true;
}

bool doc_print(json_t *doc, struct err *e)
{
    AUTO(json_decref) json_t *owned = doc;
    AUTO(free)
    char *text = owned && !failed ? json_dumps(owned, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;

    if (!text)
        return err_set(e, ERR_MEMORY, "out of memory while making the JSON document");
    printed = true;
    out_raw(text, strlen(text));
    out_raw("\n", 1);
    return true;
}

bool doc_printed(void)
{
    return printed;
}

json_t *doc_error(const struct err *error)
{
    json_t *doc = json_object(), *body = json_object();

    doc_set(body, "kind", doc_text(err_kind_name(error->kind)));
    doc_set(body, "status", json_integer(err_exit_status(error->kind)));
    doc_set(body, "text", doc_text(error->text));
    doc_set(doc, "error", body);
    return doc;
}
