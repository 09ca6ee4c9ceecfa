/* The table of a container whose blocks get their place as data come: one entry a block, written in
 * windows as the placement passes them, so that memory stays flat whatever the size of the disk.
 *
 *     entries_init -> entries_set, in ascending order ... -> entries_end */
#ifndef IMAGE_ENTRIES_H
#define IMAGE_ENTRIES_H

#include "target.h"

enum { ENTRIES_WINDOW = 4096 };

struct entries {
    uint64_t pos;   /* of the table in file 0 */
    uint64_t count; /* entries of the table */
    unsigned item;  /* bytes of an entry: 4 or 8 */
    uint64_t first; /* entry that the window begins with */
    uint8_t fill;   /* each byte of an entry that is never set */
    uint8_t window[ENTRIES_WINDOW];
};

void entries_init(struct entries *t, uint64_t pos, uint64_t count, unsigned item, uint8_t fill);
/* `entry`: the bytes as they are stored. Queues the windows before it. */
bool entries_set(struct target *target, struct entries *t, uint64_t index, const void *entry,
                 struct err *e);
/* Queues the rest of the table. */
bool entries_end(struct target *target, struct entries *t, struct err *e);

#endif
