/* The bounded cache of directory and table pieces: least recently used goes first. */
#include "vmdk.h"

#include "mem.h"

const uint8_t *tables_get(struct tables *t, struct io *io, uint64_t pos, size_t len, struct err *e)
{
    struct table_slot *oldest = &t->slots[0];

    t->clock++;
    for (unsigned i = 0; i < TABLES_MAX; i++) {
        struct table_slot *s = &t->slots[i];

        if (s->used && s->io == io && s->pos == pos && s->len == len) {
            s->used = t->clock;
            return s->data;
        }
        if (s->used < oldest->used)
            oldest = s;
    }
    oldest->used = 0;
    if (oldest->room < len) {
        uint8_t *data = mem_alloc(len, e);

        if (!data)
            return NULL;
        free(oldest->data);
        oldest->data = data;
        oldest->room = len;
    }
    if (!io_read(io, pos, oldest->data, len, e))
        return NULL;
    oldest->io = io;
    oldest->pos = pos;
    oldest->len = len;
    oldest->used = t->clock;
    return oldest->data;
}

void tables_release(struct tables *t)
{
    for (unsigned i = 0; i < TABLES_MAX; i++)
        free(t->slots[i].data);
    *t = (struct tables){0};
}
