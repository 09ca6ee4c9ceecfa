/* How far a long command is: a bar on a terminal, a line now and then elsewhere, on standard
 * error. Calls come from one thread at a time. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "buf.h"
#include "cli.h"

#include <stdint.h>

struct progress {
    enum progress_mode mode;        /* BAR, PLAIN or NONE */
    uint64_t began;                 /* nanoseconds */
    uint64_t told;                  /* when the last plain line was printed */
    uint64_t sampled, sampled_done; /* for the rate */
    double rate;                    /* bytes per second, smoothed; 0: not known yet */
};

void progress_init(struct progress *p, const struct cli *cli);
/* `label`: "web01 convert". rate and eta 0: worked out here from the calls. */
void progress_show(struct progress *p, const char *label, uint64_t done, uint64_t total,
                   uint64_t resumed, uint64_t rate, uint64_t eta);
/* A line in plain mode, for what has no bytes to count. */
void progress_say(struct progress *p, const char *text);
void progress_end(struct progress *p);

/* "[#####.....]  45%  1.2 GiB of 3 GiB  210 MiB/s  12s left" after the label, cut to `width`. */
void progress_text(struct buf *to, const char *label, uint64_t done, uint64_t total, uint64_t rate,
                   uint64_t eta, bool bar, unsigned width);

#endif
