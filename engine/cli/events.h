/* Events as JSON lines, for --events. */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include "run.h"

#include <stdio.h>

struct event_stream {
    FILE *to;    /* NULL: nowhere */
    bool failed; /* a line could not be written: warned of once, then no more are written */
};

/* `path` NULL: none; "-": standard output. */
bool event_stream_open(struct event_stream *events, const char *path, struct err *e);
void event_stream_close(struct event_stream *events);
/* One line, flushed: a reader sees it at once. */
void event_stream_write(struct event_stream *events, const struct event *ev);

/* "started", "progress"... */
const char *event_name(int kind);

#endif
