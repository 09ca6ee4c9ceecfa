/* Variables of a job; see job.h and job_load.h.
 *
 * A text is expanded in two steps. The first, while the file is decoded, puts in ${name},
 * ${machine},
 * ${job} and ${env:NAME}; what depends on a disk or the run stays, and so does "$${", the written
 * form of "${". The second, job_expand, finishes the texts of stages for one disk. Values of
 * environment variables are escaped, so that nothing in them is expanded.
 *
 * Each variable is expanded once, when it is first named, and remembers its value; while that goes
 * on it is BUSY, which is how a circle is noticed. */
#include "job_load.h"

#include "bytes.h"
#include "text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { VAR_DEPTH_MAX = 16 }; /* variables made of variables: bounds the recursion */

static const char *const own_names[] = {"machine", "job", "disk", "disk_id", "date"};

static bool expand_into(struct scope *s, struct buf *out, const char *text, unsigned depth,
                        struct err *e);

void scope_release(struct scope *s)
{
    for (size_t i = 0; i < s->vars.count; i++)
        free(s->vars.items[i].value);
    free(s->vars.items);
    *s = (struct scope){0};
}

bool var_name_valid(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-')
            return false;
    return true;
}

static bool own_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(own_names); i++)
        if (strcmp(own_names[i], name) == 0)
            return true;
    return false;
}

static struct var *find_var(struct scope *s, const char *name)
{
    for (size_t i = 0; i < s->vars.count; i++)
        if (strcmp(s->vars.items[i].name, name) == 0)
            return &s->vars.items[i];
    return NULL;
}

bool scope_add(struct scope *s, const char *name, const char *raw, struct mark at, bool *used,
               struct err *e)
{
    struct var var = {.name = name, .raw = raw, .at = at, .used = used}, *old = find_var(s, name);

    if (!var_name_valid(name)) {
        mistake_add(s->mistakes, at,
                    "'%s' cannot be a variable: a name has letters, digits, _ and -", name);
        return true;
    }
    if (own_name(name)) {
        mistake_add(s->mistakes, at, "'%s' is a variable of strata's own: choose another name",
                    name);
        return true;
    }
    if (old) {
        *old = var;
        return true;
    }
    if (s->vars.count == JOB_VARS_MAX) {
        mistake_add(s->mistakes, at, "more than %d variables", JOB_VARS_MAX);
        return true;
    }
    return VEC_PUSH(&s->vars, var, e);
}

bool scope_add_map(struct scope *s, const struct node *vars, struct err *e)
{
    if (vars && vars->kind != NODE_MAP && !node_null(vars))
        mistake_add(s->mistakes, vars->at, "'vars' takes a map of names and texts, not %s",
                    node_kind_text(vars));
    for (size_t i = 0; vars && vars->kind == NODE_MAP && i < vars->count; i++) {
        const struct node *value = vars->items[i];

        if (value->kind != NODE_SCALAR)
            mistake_add(s->mistakes, value->at, "'%s': a variable is a text, not %s", vars->keys[i],
                        node_kind_text(value));
        else if (!scope_add(s, vars->keys[i], value->text, value->at, NULL, e))
            return false;
    }
    return true;
}

static bool unknown_name(struct scope *s, const char *name, struct err *e)
{
    const char *names[JOB_VARS_MAX + ARRAY_LEN(own_names)];
    size_t n = 0;
    int near;

    for (size_t i = 0; i < s->vars.count; i++)
        names[n++] = s->vars.items[i].name;
    for (size_t i = 0; i < ARRAY_LEN(own_names); i++)
        names[n++] = own_names[i];
    near = text_nearest(name, names, n);
    return err_set(e, ERR_USAGE, "there is no variable '%s'%s%s%s", name,
                   near >= 0 ? "; did you mean '" : "", near >= 0 ? names[near] : "",
                   near >= 0 ? "'?" : "");
}

/* Appends a value that must not be expanded again. */
static void add_escaped(struct buf *out, const char *value)
{
    for (const char *p = value; *p; p++) {
        if (p[0] == '$' && p[1] == '{')
            buf_char(out, '$');
        buf_char(out, *p);
    }
}

/* The first expansion of a variable; what is wrong with it is a mistake where it is written. */
static void settle(struct scope *s, struct var *var, unsigned depth)
{
    AUTO(buf_release) struct buf value = {0};
    struct err e = ERR_INIT;

    var->state = VAR_BUSY;
    if (depth >= VAR_DEPTH_MAX)
        err_set(&e, ERR_USAGE, "variables are made of variables more than %d deep", VAR_DEPTH_MAX);
    else if (expand_into(s, &value, var->raw, depth + 1, &e))
        var->value = buf_take(&value, &e);
    var->state = var->value ? VAR_DONE : VAR_BAD;
    if (e.kind != ERR_NONE)
        mistake_add(s->mistakes, var->at, "the variable '%s': %s", var->name, e.text);
}

static bool add_var(struct scope *s, struct buf *out, struct var *var, unsigned depth,
                    struct err *e)
{
    if (var->used)
        *var->used = true;
    if (var->state == VAR_BUSY)
        return err_set(e, ERR_USAGE,
                       "'${%s}' goes in a circle: a variable cannot be made of itself", var->name);
    if (var->state == VAR_NEW)
        settle(s, var, depth);
    if (var->state == VAR_BAD)
        return false;
    buf_text(out, var->value);
    return true;
}

static bool add_secret(const struct scope *s, struct buf *out, const char *name, struct err *e)
{
    const char *near = NULL;
    int best;

    if (secret_known(s->job, name)) {
        buf_format(out, "${secret:%s}", name);
        return true;
    }
    for (size_t i = 0; i < s->job->secret_count && !near; i++) {
        best = text_nearest(name, (const char *const[]){s->job->secrets[i].name}, 1);
        near = best == 0 ? s->job->secrets[i].name : NULL;
    }
    return err_set(e, ERR_USAGE, "there is no secret '%s'%s%s%s", name,
                   near ? "; did you mean '" : ": name it under 'secrets'", near ? near : "",
                   near ? "'?" : "");
}

/* What stays for later, in whichever texts may have it. */
static bool deferred(const struct scope *s, const char *name)
{
    if (s->use == TEXT_COMMAND &&
        (strcmp(name, "machine") == 0 || strcmp(name, "upload_size") == 0))
        return true;
    return strcmp(name, "disk") == 0 || strcmp(name, "disk_id") == 0 || strcmp(name, "date") == 0;
}

static bool add_name(struct scope *s, struct buf *out, const char *name, unsigned depth,
                     struct err *e)
{
    struct var *var;

    if (text_starts(name, "secret:"))
        return add_secret(s, out, name + 7, e);
    if (text_starts(name, "env:")) {
        const char *value = env_value(s, name + 4, e);

        if (!value)
            return e->kind == ERR_NONE &&
                   err_set(e, ERR_USAGE, "the environment has no variable '%s'", name + 4);
        add_escaped(out, value);
        return true;
    }
    if (deferred(s, name)) {
        buf_format(out, "${%s}", name);
        return true;
    }
    if (strcmp(name, "job") == 0 && s->job->name) {
        buf_text(out, s->job->name);
        return true;
    }
    if (strcmp(name, "machine") == 0 && s->machine) {
        buf_text(out, s->machine);
        return true;
    }
    if (own_name(name))
        return err_set(e, ERR_USAGE, "'${%s}' has no value here", name);
    var = find_var(s, name);
    return var ? add_var(s, out, var, depth, e) : unknown_name(s, name, e);
}

/* The name in "${name}" at `p`, or NULL with an error. */
static char *name_at(const char *p, struct err *e)
{
    const char *end = strchr(p, '}');

    if (!end) {
        err_set(e, ERR_USAGE, "'${' has no '}': write '$${' for a plain '${'");
        return NULL;
    }
    return mem_textn(p + 2, (size_t)(end - p - 2), e);
}

static bool expand_into(struct scope *s, struct buf *out, const char *text, unsigned depth,
                        struct err *e)
{
    for (const char *p = text; *p; p++) {
        AUTO(free) char *name = NULL;

        if (out->len > JOB_TEXT_MAX)
            return err_set(e, ERR_USAGE, "the text grows beyond %s", SIZE_TEXT(JOB_TEXT_MAX));
        if (text_starts(p, "$${")) {
            buf_text(out, "$${");
            p += 2;
        } else if (text_starts(p, "${")) {
            name = name_at(p, e);
            if (!name || !add_name(s, out, name, depth, e))
                return false;
            p += strlen(name) + 2;
        } else {
            buf_char(out, *p);
        }
    }
    return buf_ok(out, e);
}

/* Calls for what is left: one ${name}. False: an error. */
typedef bool name_fn(void *user, struct buf *out, const char *name, struct err *e);

/* A pass over the names left in a text. "$${" becomes "${" unless `keep`. */
static char *finish(const char *text, bool keep, name_fn *fn, void *user, struct err *e)
{
    AUTO(buf_release) struct buf out = {0};

    for (const char *p = text; *p; p++) {
        AUTO(free) char *name = NULL;

        if (text_starts(p, "$${")) {
            buf_text(&out, keep ? "$${" : "${");
            p += 2;
        } else if (text_starts(p, "${")) {
            name = name_at(p, e);
            if (!name || !fn(user, &out, name, e))
                return NULL;
            p += strlen(name) + 2;
        } else {
            buf_char(&out, *p);
        }
    }
    return buf_take(&out, e);
}

/* True when a secret is to be put in later: then what is written "$${" must stay so. */
static bool names_secret(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (text_starts(p, "$${"))
            p += 2;
        else if (text_starts(p, "${secret:"))
            return true;
    }
    return false;
}

static bool keep_secret(void *user, struct buf *out, const char *name, struct err *e)
{
    (void)user;
    if (!text_starts(name, "secret:"))
        return err_set(e, ERR_USAGE, "'${%s}' has no value here", name);
    buf_format(out, "${%s}", name);
    return true;
}

char *scope_expand(void *user, const char *text, struct err *e)
{
    struct scope *s = user;
    AUTO(buf_release) struct buf out = {0};

    if (!expand_into(s, &out, text, 0, e))
        return NULL;
    if (s->use == TEXT_FINAL)
        return finish(out.data ? out.data : "", names_secret(out.data ? out.data : ""), keep_secret,
                      NULL, e);
    return buf_take(&out, e);
}

bool scope_values(struct scope *s, struct opt_pairs *ret, struct err *e)
{
    for (size_t i = 0; i < s->vars.count; i++) {
        struct var *var = &s->vars.items[i];

        if (var->state == VAR_NEW)
            settle(s, var, 0);
        if (var->state == VAR_DONE && !opt_pairs_add(ret, var->name, var->value, e))
            return false;
    }
    return true;
}

struct disk_names {
    const struct expand_disk *disk;
    const char *date;
};

static bool put_disk(void *user, struct buf *out, const char *name, struct err *e)
{
    const struct disk_names *names = user;
    bool disk = names->disk && names->disk->index >= 0;

    if (strcmp(name, "disk") == 0 && disk)
        buf_format(out, "%d", names->disk->index);
    else if (strcmp(name, "disk_id") == 0 && disk && names->disk->id)
        add_escaped(out, names->disk->id);
    else if (strcmp(name, "date") == 0 && names->date)
        buf_text(out, names->date);
    else
        return keep_secret(NULL, out, name, e);
    return true;
}

char *job_expand(const char *text, const struct expand_disk *disk, const char *date, struct err *e)
{
    struct disk_names names = {disk, date};

    return finish(text, names_secret(text), put_disk, &names, e);
}

struct secret_names {
    const struct job *job;
    const struct opt_pairs *values;
};

static bool put_secret(void *user, struct buf *out, const char *name, struct err *e)
{
    const struct secret_names *names = user;
    char *value;

    if (!text_starts(name, "secret:"))
        return err_set(e, ERR_USAGE, "'${%s}' has no value here", name);
    value = job_secret_for(names->job, name + 7, names->values, e);
    if (!value)
        return false;
    buf_text(out, value);
    explicit_bzero(value, strlen(value));
    free(value);
    return true;
}

char *job_reveal(const struct job *job, const char *text, const struct opt_pairs *values,
                 struct err *e)
{
    struct secret_names names = {job, values};

    return names_secret(text) ? finish(text, false, put_secret, &names, e) : mem_text(text, e);
}

static bool put_value(void *user, struct buf *out, const char *name, struct err *e)
{
    const struct opt_pairs *values = user;
    const char *value = values ? opt_pairs_get(values, name) : NULL;

    if (!value)
        return err_set(e, ERR_USAGE, "'${%s}' has no value here", name);
    buf_text(out, value);
    return true;
}

char *vars_fill(const char *text, const struct opt_pairs *values, struct err *e)
{
    return finish(text, false, put_value, (void *)values, e);
}
