/* Tables written as the placement passes them; see entries.h. */
#include "entries.h"

#include "bytes.h"

#include <string.h>

void entries_init(struct entries *t, uint64_t pos, uint64_t count, unsigned item, uint8_t fill)
{
    t->pos = pos;
    t->count = count;
    t->item = item;
    t->first = 0;
    t->fill = fill;
    memset(t->window, fill, sizeof(t->window));
}

static bool flush(struct target *target, struct entries *t, struct err *e)
{
    uint64_t n = MIN(t->count - t->first, (uint64_t)(ENTRIES_WINDOW / t->item));

    if (!target_queue(target, 0, t->pos + t->first * t->item, t->window, n * t->item, false, e))
        return false;
    t->first += n;
    memset(t->window, t->fill, sizeof(t->window));
    return true;
}

bool entries_set(struct target *target, struct entries *t, uint64_t index, const void *entry,
                 struct err *e)
{
    while (index >= t->first + ENTRIES_WINDOW / t->item)
        if (!flush(target, t, e))
            return false;
    memcpy(t->window + (index - t->first) * t->item, entry, t->item);
    return true;
}

bool entries_end(struct target *target, struct entries *t, struct err *e)
{
    while (t->first < t->count)
        if (!flush(target, t, e))
            return false;
    return true;
}
