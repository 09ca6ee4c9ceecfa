/* Events as JSON lines, for --events. */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include "run.h"

#include <stdio.h>

struct events {
    FILE *to;    /* NULL: nowhere */
    bool failed; /* a line could not be written: warned of once, then no more are written */
};

/* `path` NULL: none; "-": standard output. */
bool events_open(struct events *events, const char *path, struct err *e);
void events_close(struct events *events);
/* One line, flushed: a reader sees it at once. */
void events_write(struct events *events, const struct event *ev);

/* "started", "progress"... */
const char *event_name(int kind);

#endif
