/* The lying store, for tests: another store that fails, transfers partly, and loses at a power cut
 * what was not synced.
 *
 *     struct power *p = power_new(seed, &e);
 *     struct io *lying = faulty_new(file, p, &e);   // give this to the code under test
 *     power_cut_at(p, 17);                          // the 17th change never finishes
 *     ... the operation fails with ERR_IO ...
 *     io_free(lying); power_free(p);                // `file` is now what the disk holds
 *
 * A test loops: run once without a cut, take power_changes as N, then cut at 1..N in turn, each
 * time going on with fresh stores on the same bases. */
#ifndef IO_FAULTY_H
#define IO_FAULTY_H

#include "io.h"

/* The power supply of one or more lying stores, across files: everything is cut at once.
 *
 * Changes reach the base store at once, so reads see them, and are logged until their file is
 * synced. When the power goes, the logged changes are taken back; then, in the order they were
 * made, each is applied, dropped, or applied to some of its 512-byte sectors. The seed decides: 0
 * drops all, 1 applies all, others choose change by change. The same seed and changes give the same
 * disk. */
struct power;
struct power *power_new(uint64_t seed, struct err *e);
/* Stores of this supply may outlive it; they keep it. */
void power_free(struct power *p);
AUTO_TYPE(struct power *, power_free)
/* The nth change from power_new on (write, zero, resize or sync, of any of its stores) is the last:
 * it is among those that may be lost, fails with ERR_IO, and so does every call after it. */
void power_cut_at(struct power *p, uint64_t nth);
/* Cuts now. False when the base stores could not be set to what the disk holds. */
bool power_cut(struct power *p, struct err *e);
bool power_is_off(struct power *p);
/* Changes counted so far. */
uint64_t power_changes(struct power *p);

/* Takes a reference to `base` and to `power`, which may be NULL: then nothing is ever lost. Two
 * lying stores on two openings of one file are the same file to a sync. */
struct io *faulty_new(struct io *base, struct power *power, struct err *e);

enum faulty_op {
    FAULTY_READ,
    FAULTY_WRITE, /* write, zero, resize */
    FAULTY_SYNC,  /* what was not synced before is settled as at a power cut, as kernels do */
};

struct faulty_rule {
    enum faulty_op op;
    uint64_t pos, len; /* only operations that touch this range; len 0: any */
    uint64_t nth;      /* only the nth such operation from now, 1 the next; 0: each */
    bool lasting;      /* with nth: that one and all after it */
    int errnum;        /* as from the system: EIO, ENOSPC; 0: EIO */
    bool partial;      /* a failing write first writes the first half of its bytes */
};

/* Up to FAULTY_RULES rules a store. */
enum { FAULTY_RULES = 8 };
bool faulty_add(struct io *io, const struct faulty_rule *rule, struct err *e);
/* Forgets the rules. */
void faulty_heal(struct io *io);

#endif
