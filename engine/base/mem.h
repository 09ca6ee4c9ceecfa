/* Memory: allocations that report instead of aborting, with overflow-checked sizes and a fault
 * point. All results are released with free(). */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "err.h"

#include <stddef.h>

/* Zeroed; NULL with ERR_MEMORY on failure. `size` 0 gives a valid pointer. */
void *mem_alloc(size_t size, struct err *e) __attribute__((malloc, warn_unused_result));
/* Zeroed array; fails when count * size overflows. */
void *mem_array(size_t count, size_t size, struct err *e)
    __attribute__((malloc, warn_unused_result));
/* Aligned to 4096, not zeroed: I/O buffers. */
void *mem_pages(size_t size, struct err *e) __attribute__((malloc, warn_unused_result));
/* On failure the old block stays valid; new bytes are not zeroed. */
void *mem_grow(void *old, size_t count, size_t size, struct err *e)
    __attribute__((warn_unused_result));
char *mem_text(const char *text, struct err *e) __attribute__((malloc, warn_unused_result));
char *mem_textn(const char *text, size_t len, struct err *e)
    __attribute__((malloc, warn_unused_result));
char *mem_format(struct err *e, const char *fmt, ...)
    __attribute__((malloc, warn_unused_result, format(printf, 2, 3)));

#define mem_new(type, e) ((type *)mem_alloc(sizeof(type), (e)))

#endif
