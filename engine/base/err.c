/* Error objects; see err.h. */
#include "err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int status;
    bool retry;
    int gravity;
} kinds[] = {
#define ERR_ROW(name, status, retry, gravity) {#name, status, retry, gravity},
    ERR_KINDS(ERR_ROW)
#undef ERR_ROW
};

static void append(struct err *e, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

static void append(struct err *e, const char *fmt, va_list args)
{
    size_t used = strlen(e->text);

    vsnprintf(e->text + used, sizeof(e->text) - used, fmt, args);
}

static void append_text(struct err *e, const char *text)
{
    size_t used = strlen(e->text);

    snprintf(e->text + used, sizeof(e->text) - used, "%s", text);
}

bool err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
    va_list args;

    if (!e || e->kind != ERR_NONE)
        return false;
    e->kind = kind;
    e->text[0] = '\0';
    va_start(args, fmt);
    append(e, fmt, args);
    va_end(args);
    return false;
}

bool err_errno(struct err *e, enum err_kind kind, int errnum, const char *fmt, ...)
{
    va_list args;

    if (!e || e->kind != ERR_NONE)
        return false;
    if (errnum == ENOSPC || errnum == EDQUOT)
        kind = ERR_SPACE;
    else if (errnum == ENOMEM)
        kind = ERR_MEMORY;
    e->kind = kind;
    e->text[0] = '\0';
    va_start(args, fmt);
    append(e, fmt, args);
    va_end(args);
    append_text(e, ": ");
    append_text(e, strerrordesc_np(errnum) ? strerrordesc_np(errnum) : "unknown error");
    return false;
}

bool err_while(struct err *e, const char *fmt, ...)
{
    va_list args;

    if (!e || e->kind == ERR_NONE)
        return false;
    append_text(e, " (while ");
    va_start(args, fmt);
    append(e, fmt, args);
    va_end(args);
    append_text(e, ")");
    return false;
}

void err_clear(struct err *e)
{
    e->kind = ERR_NONE;
    e->text[0] = '\0';
}

const char *err_kind_name(enum err_kind kind)
{
    return kinds[kind].name;
}

int err_exit_status(enum err_kind kind)
{
    return kinds[kind].status;
}

bool err_worth_retrying(enum err_kind kind)
{
    return kinds[kind].retry;
}

enum err_kind err_graver(enum err_kind a, enum err_kind b)
{
    return kinds[b].gravity > kinds[a].gravity ? b : a;
}
