/* A growable array, by macros: VEC(int) v = {0}; VEC_PUSH(&v, 7, e).
 * `items`, `count` and `room` are public; release with free(v.items). */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include "mem.h"

#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t count, room;                                                                        \
    }

/* Makes room for `more` further items; true on success. */
#define VEC_RESERVE(v, more, e)                                                                    \
    vec_reserve_((void **)&(v)->items, (v)->count, &(v)->room, (more), sizeof(*(v)->items), (e))

/* Appends a value; true on success. */
#define VEC_PUSH(v, value, e)                                                                      \
    (VEC_RESERVE(v, 1, e) ? ((v)->items[(v)->count++] = (value), true) : false)

static inline bool vec_reserve_(void **items, size_t count, size_t *room, size_t more, size_t size,
                                struct err *e)
{
    size_t want = count + more, grown = *room ? *room * 2 : 8;
    void *p;

    if (want <= *room)
        return true;
    if (grown < want)
        grown = want;
    p = mem_grow(*items, grown, size, e);
    if (!p)
        return false;
    *items = p;
    *room = grown;
    return true;
}

#endif
