/* Memory; see mem.h. */
#include "mem.h"

#include "fault.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *no_memory(struct err *e, size_t size)
{
    err_set(e, ERR_MEMORY, "out of memory: %zu bytes were not to be had", size);
    return NULL;
}

void *mem_alloc(size_t size, struct err *e)
{
    void *p = fault_point("mem") ? NULL : calloc(1, size ? size : 1);

    return p ? p : no_memory(e, size);
}

void *mem_array(size_t count, size_t size, struct err *e)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        return no_memory(e, SIZE_MAX);
    return mem_alloc(total, e);
}

void *mem_pages(size_t size, struct err *e)
{
    void *p = NULL;

    if (fault_point("mem") || posix_memalign(&p, 4096, size ? size : 1) != 0)
        return no_memory(e, size);
    return p;
}

void *mem_grow(void *old, size_t count, size_t size, struct err *e)
{
    size_t total;
    void *p;

    if (__builtin_mul_overflow(count, size, &total))
        return no_memory(e, SIZE_MAX);
    p = fault_point("mem") ? NULL : realloc(old, total ? total : 1);
    return p ? p : no_memory(e, total);
}

char *mem_textn(const char *text, size_t len, struct err *e)
{
    char *copy = mem_alloc(len + 1, e);

    if (copy)
        memcpy(copy, text, len);
    return copy;
}

char *mem_text(const char *text, struct err *e)
{
    return mem_textn(text, strlen(text), e);
}

char *mem_format(struct err *e, const char *fmt, ...)
{
    va_list args;
    char *text = NULL;
    int n;

    va_start(args, fmt);
    n = fault_point("mem") ? -1 : vasprintf(&text, fmt, args);
    va_end(args);
    return n < 0 ? no_memory(e, 0) : text;
}
