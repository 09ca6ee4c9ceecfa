/* A store whose changes stay in memory until they are committed, all of them or none.
 *
 * Editing an image in place rewrites tables that refer to each other. Here the writes are gathered
 * in memory, where reads see them; a commit writes them to a redo store first, syncs that, and only
 * then changes the base. After a power cut the redo is either complete, and is done again, or it is
 * not, and the base was not touched.
 *
 *     redo: header | records: position, length, CRC-32s of the old sectors, the new sectors |
 * digest
 *
 * Data that nothing refers to yet needs no staging: it goes through to the base, and is synced
 * before the commit. Staging is by sector of 512 bytes: no sector may hold both. */
#ifndef IO_STAGED_H
#define IO_STAGED_H

#include "io.h"

/* Takes a reference to `base`, which must be writable. */
struct io *staged_new(struct io *base, struct err *e);

/* Writes to the base itself. Not into what is staged, and not after a shrink that is not committed.
 */
bool staged_through(struct io *io, uint64_t pos, const void *buf, size_t len, struct err *e);

/* Bytes held in memory: a caller commits before they become too many. */
uint64_t staged_bytes(const struct io *io);

/* Makes everything staged durable in the base: redo written and synced, base written (what lies
 * past its old end first) and synced, redo emptied and synced. `redo` is empty and its name
 * durable. Everything written to the base itself is synced before. On failure before the redo was
 * complete the base is as it was; after that the redo has to be replayed. */
bool staged_commit(struct io *io, struct io *redo, struct err *e);

/* Drops what is staged. */
void staged_forget(struct io *io);

/* What an interrupted commit left: a complete redo is carried out, *ret_done says so; an incomplete
 * one is dropped. ERR_CHANGED when a sector of the base is neither the old one nor the new one:
 * somebody else changed the image since. The redo is empty afterwards. */
bool staged_replay(struct io *base, struct io *redo, bool *ret_done, struct err *e);

#endif
