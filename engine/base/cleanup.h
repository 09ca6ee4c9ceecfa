/* Scope cleanup: the variable is released when its scope ends.
 *
 * For a type T, `T_free(struct T *)` releases a heap object and `T_release(struct T *)` an embedded
 * one; both take NULL. AUTO_TYPE declares the shim that AUTO needs for a heap type, once, in the
 * header of that type. */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define AUTO(release) __attribute__((cleanup(release##_at)))

/* Declares NAME_at for variables of the pointer type `type`, released by NAME(variable). */
#define AUTO_TYPE(type, name)                                                                      \
    static inline void name##_at(type *slot)                                                       \
    {                                                                                              \
        if (*slot)                                                                                 \
            name(*slot);                                                                           \
    }

/* Hands a pointer over: the value of the expression is the pointer, the slot becomes NULL. */
#define TAKE(slot)                                                                                 \
    ({                                                                                             \
        __typeof__(slot) taken_ = (slot);                                                          \
        (slot) = NULL;                                                                             \
        taken_;                                                                                    \
    })

static inline void free_at(void *slot)
{
    free(*(void **)slot);
}

static inline void fd_close_at(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Hands a file descriptor over: the slot becomes -1. */
#define TAKE_FD(slot)                                                                              \
    ({                                                                                             \
        int taken_ = (slot);                                                                       \
        (slot) = -1;                                                                               \
        taken_;                                                                                    \
    })

#endif
