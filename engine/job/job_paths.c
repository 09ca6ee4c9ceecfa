/* Paths of a job file are relative to its folder; see job_load.h. */
#include "job_load.h"

#include "text.h"

#include <ctype.h>
#include <string.h>

#define FIELD(target, row, type) ((type *)((char *)(target) + (row)->at))

bool path_is_url(const char *text)
{
    const char *p = text;

    if (!isalpha((unsigned char)*p))
        return false;
    while (isalnum((unsigned char)*p) || (*p && strchr("+.-", *p)))
        p++;
    return text_starts(p, "://");
}

char *path_resolve(const char *dir, const char *path, struct err *e)
{
    AUTO(buf_release) struct buf out = {0};
    const char *p = path;

    if (!*path || path_is_url(path) || text_starts(path, "${secret:"))
        return mem_text(path, e);
    if (*path != '/')
        buf_format(&out, "%s/", strcmp(dir, "/") == 0 ? "" : dir);
    /* "./" and doubled slashes go, so that two spellings of one target compare equal. ".." stays:
     * only the kernel knows what it means behind a symbolic link. */
    while (*p) {
        if ((p == path || p[-1] == '/') && (text_starts(p, "./") || (*p == '/' && p > path)))
            p += *p == '/' ? 1 : 2;
        else
            buf_char(&out, *p++);
    }
    return buf_take(&out, e);
}

static bool resolve(char **slot, const char *dir, struct err *e)
{
    char *path;

    if (!*slot)
        return true;
    path = path_resolve(dir, *slot, e);
    if (!path)
        return false;
    free(*slot);
    *slot = path;
    return true;
}

bool paths_resolve(const struct opt_row *rows, void *target, const char *dir, struct err *e)
{
    for (; rows && rows->type != OPT_END; rows++) {
        bool ok = true;

        if (rows->type == OPT_MAP) {
            ok = paths_resolve(rows->sub, FIELD(target, rows, char), dir, e);
        } else if ((rows->flags & OPT_PATH) && rows->type == OPT_TEXT) {
            ok = resolve(FIELD(target, rows, char *), dir, e);
        } else if ((rows->flags & OPT_PATH) && rows->type == OPT_TEXTS) {
            struct opt_texts *list = FIELD(target, rows, struct opt_texts);

            for (size_t i = 0; i < list->count && ok; i++)
                ok = resolve(&list->items[i], dir, e);
        }
        if (!ok)
            return false;
    }
    return true;
}
