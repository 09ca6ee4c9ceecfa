/* Machines side by side: one child process each, so that a crash of one is its own, each with its
 * own state, `policy.parallel` at a time. */
#ifndef JOB_RUN_CHILDREN_H
#define JOB_RUN_CHILDREN_H

#include "buf.h"
#include "machine_run.h"

/* Fills one result per machine. False only without memory. */
bool run_side_by_side(const struct job *job, struct reporter *reporter,
                      struct machine_result *results, struct err *e);

/* What travels from a child through its pipe, as bytes; unpack answers false for a message that is
 * not whole or not well-formed. Texts are owned by the result. */
bool event_pack(const struct event *ev, struct buf *out);
bool event_unpack(const void *data, size_t len, struct event *ret);
void event_release(struct event *ev);
bool result_pack(const struct machine_result *r, struct buf *out);
bool result_unpack(const void *data, size_t len, struct machine_result *ret);

#endif
