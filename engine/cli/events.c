/* Events as JSON lines; see events.h. */
#include "events.h"

#include "clock.h"
#include "doc.h"
#include "print.h"

#include <errno.h>
#include <string.h>

bool event_stream_open(struct event_stream *events, const char *path, struct err *e)
{
    *events = (struct event_stream){0};
    if (!path)
        return true;
    events->to = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    return events->to || err_errno(e, ERR_IO, errno, "cannot write events to '%s'", path);
}

void event_stream_close(struct event_stream *events)
{
    if (events->to && events->to != stdout)
        fclose(events->to);
    events->to = NULL;
}

const char *event_name(int kind)
{
    static const char *const names[] = {
        [EVENT_STARTED] = "started",       [EVENT_PROGRESS] = "progress",
        [EVENT_CHECKPOINT] = "checkpoint", [EVENT_WARNING] = "warning",
        [EVENT_FINISHED] = "finished",     [EVENT_FAILED] = "failed",
    };

    return kind >= 0 && kind <= EVENT_FAILED ? names[kind] : "unknown";
}

void event_stream_write(struct event_stream *events, const struct event *ev)
{
    AUTO(json_decref) json_t *line = NULL;
    AUTO(free) char *text = NULL;

    if (!events->to || events->failed)
        return;
    line = json_object();
    doc_set(line, "time", doc_text(clock_text(ev->time, (char[CLOCK_TEXT_MAX]){0})));
    doc_set(line, "job", doc_text(ev->job));
    doc_set(line, "machine", doc_text(ev->machine));
    doc_set(line, "disk", doc_text(ev->disk));
    doc_set(line, "stage", doc_text(ev->stage));
    doc_set(line, "event", doc_text(event_name(ev->kind)));
    doc_set(line, "done", doc_count(ev->done));
    doc_set(line, "total", doc_known(ev->total));
    doc_set(line, "unit", doc_text(ev->unit));
    doc_set(line, "rate", doc_known(ev->rate));
    doc_set(line, "eta", doc_known(ev->eta));
    doc_set(line, "resumed", doc_count(ev->resumed));
    if (ev->text)
        doc_set(line, "text", doc_text(ev->text));
    text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (text && fprintf(events->to, "%s\n", text) > 0 && fflush(events->to) == 0)
        return;
    events->failed = true;
    tell("warning: events are no longer written: %s", strerror(errno));
}
