/* VMX files; see vmx.h. VMware publishes no specification of them: what is read here is what its
 * products write. */
#include "vmx.h"

#include "bytes.h"
#include "text.h"

#include <ctype.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ENTRIES_MAX = 20000 }; /* lines kept: a machine with every device has under a thousand */

void vmx_release(struct vmx *vmx)
{
    for (size_t i = 0; i < vmx->count; i++) {
        free(vmx->items[i].key);
        free(vmx->items[i].value);
    }
    free(vmx->items);
    *vmx = (struct vmx){0};
}

static int hex_digit(char c)
{
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                        : -1;
}

/* The value's text: "|22" stands for the byte 0x22. */
static char *unescape(const char *p, size_t len, struct err *e)
{
    char *value = mem_alloc(len + 1, e), *out = value;

    for (size_t i = 0; value && i < len; i++) {
        int high = p[i] == '|' && i + 2 < len ? hex_digit(p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(p[i + 2]) : -1;

        if (low >= 0 && high * 16 + low != 0) {
            *out++ = (char)(high * 16 + low);
            i += 2;
        } else {
            *out++ = p[i];
        }
    }
    return value;
}

/* The bytes of a value between its quotes, or up to a comment. */
static const char *find_value(const char *p, const char *end, size_t *ret_len)
{
    const char *stop;

    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    if (p < end && *p == '"') {
        p++;
        stop = memchr(p, '"', (size_t)(end - p));
        *ret_len = (size_t)((stop ? stop : end) - p);
        return p;
    }
    stop = memchr(p, '#', (size_t)(end - p));
    if (!stop)
        stop = end;
    while (stop > p && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    *ret_len = (size_t)(stop - p);
    return p;
}

/* One line; lines that are no entry are left alone. */
static bool read_line(struct vmx *vmx, const char *p, const char *end, size_t line, struct err *e)
{
    struct vmx_entry entry = {.line = line};
    const char *eq, *stop;
    size_t len;

    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    eq = p < end && *p != '#' ? memchr(p, '=', (size_t)(end - p)) : NULL;
    for (stop = eq; stop && stop > p && (stop[-1] == ' ' || stop[-1] == '\t');)
        stop--;
    if (!stop || stop == p)
        return true;
    if (vmx->count == ENTRIES_MAX)
        return err_set(e, ERR_FORMAT, "more than %d entries: no VMX file has as many", ENTRIES_MAX);
    entry.key = mem_textn(p, (size_t)(stop - p), e);
    p = find_value(eq + 1, end, &len);
    entry.value = entry.key ? unescape(p, len, e) : NULL;
    if (entry.value && VEC_PUSH(vmx, entry, e))
        return true;
    free(entry.key);
    free(entry.value);
    return false;
}

static int by_key(const void *a, const void *b)
{
    const struct vmx_entry *x = a, *y = b;
    int order = strcasecmp(x->key, y->key);

    return order ? order : x->line < y->line ? -1 : x->line > y->line;
}

const char *vmx_get(const struct vmx *vmx, const char *key)
{
    size_t low = 0, high = vmx->count;

    /* The last of equal keys stands before the first greater one. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcasecmp(vmx->items[middle].key, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low && strcasecmp(vmx->items[low - 1].key, key) == 0 ? vmx->items[low - 1].value : NULL;
}

/* A value in UTF-8, from the file's encoding; what that encoding cannot mean is taken as Latin-1,
 * which can mean anything. */
static char *to_utf8(const char *value, const char *encoding, struct err *e)
{
    const char *const tries[] = {encoding, "ISO-8859-1"};
    size_t room = strlen(value) * 4 + 1, bad;
    char *text = mem_alloc(room, e);

    for (size_t i = 0; text && i < ARRAY_LEN(tries); i++) {
        char *in = (char *)value, *out = text;
        size_t in_left = strlen(value), out_left = room - 1;
        iconv_t cd = iconv_open("UTF-8", tries[i]);
        bool ok;

        if (cd == (iconv_t)-1)
            continue;
        ok = iconv(cd, &in, &in_left, &out, &out_left) != (size_t)-1 && !in_left;
        iconv_close(cd);
        *out = '\0';
        if (ok && utf8_valid(text, strlen(text), &bad))
            return text;
    }
    free(text);
    return e->kind == ERR_NONE ? mem_text("", e) : NULL;
}

static bool decode_values(struct vmx *vmx, struct err *e)
{
    const char *encoding = vmx_get(vmx, ".encoding");

    for (size_t i = 0; i < vmx->count; i++) {
        char **value = &vmx->items[i].value, *text;
        size_t bad;
        bool ascii = true;

        for (const char *p = *value; *p; p++)
            ascii = ascii && isascii((unsigned char)*p);
        if (ascii || ((!encoding || strcasecmp(encoding, "UTF-8") == 0) &&
                      utf8_valid(*value, strlen(*value), &bad)))
            continue;
        /* The encoding's own value is read to the end: it is replaced only when not ASCII. */
        text = to_utf8(*value, encoding ? encoding : "windows-1252", e);
        if (!text)
            return false;
        if (*value == encoding)
            encoding = NULL;
        free(*value);
        *value = text;
    }
    return true;
}

bool vmx_probe(const char *text, size_t len)
{
    static const char *const keys[] = {".encoding", "config.version", "virtualHW.version"};

    if (memchr(text, '\0', len))
        return false;
    for (const char *p = text, *end; p < text + len; p = end + 1) {
        end = memchr(p, '\n', (size_t)(text + len - p));
        if (!end)
            end = text + len;
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
            size_t n = strlen(keys[i]);

            if ((size_t)(end - p) > n && strncasecmp(p, keys[i], n) == 0 &&
                strspn(p + n, " \t") < (size_t)(end - p) - n && p[n + strspn(p + n, " \t")] == '=')
                return true;
        }
    }
    return false;
}

bool vmx_parse(const char *name, const char *text, size_t len, struct vmx *ret, struct err *e)
{
    struct vmx vmx = {0};
    bool ok = !memchr(text, '\0', len);
    size_t line = 1;

    if (!ok)
        return err_set(e, ERR_FORMAT, "'%s' is no VMX file: it is binary", name);
    for (const char *p = text, *end; ok && p < text + len; p = end + 1, line++) {
        const char *stop;

        end = memchr(p, '\n', (size_t)(text + len - p));
        if (!end)
            end = text + len;
        stop = end > p && end[-1] == '\r' ? end - 1 : end;
        ok = read_line(&vmx, p, stop, line, e);
    }
    if (ok && !vmx.count)
        ok = err_set(e, ERR_FORMAT,
                     "'%s' is no VMX file: it has no line of the form key = "
                     "\"value\"",
                     name);
    if (ok) {
        qsort(vmx.items, vmx.count, sizeof(*vmx.items), by_key);
        ok = decode_values(&vmx, e);
    }
    if (ok)
        *ret = vmx;
    else
        vmx_release(&vmx);
    return ok || err_while(e, "reading '%s'", name);
}
