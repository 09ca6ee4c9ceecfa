/* Events and results as bytes, for the pipes between a run and its children; see run_children.h.
 * Numbers are varints; a text is its length plus one (0: NULL) and its bytes. */
#include "run_children.h"

#include "buf.h"

#include <string.h>

static void put_text(struct buf *out, const char *text)
{
    size_t len = text ? strlen(text) : 0;

    buf_varint(out, text ? len + 1 : 0);
    buf_add(out, text, len);
}

struct message {
    const uint8_t *data;
    size_t len, pos;
    bool bad;
};

static uint64_t get_number(struct message *m)
{
    uint64_t v = 0;

    if (m->bad || !varint_get(m->data, m->len, &m->pos, &v))
        m->bad = true;
    return v;
}

static char *get_text(struct message *m)
{
    uint64_t len = get_number(m);
    char *text;

    if (m->bad || !len)
        return NULL;
    if (len - 1 > m->len - m->pos) {
        m->bad = true;
        return NULL;
    }
    text = mem_textn((const char *)m->data + m->pos, (size_t)len - 1, NULL);
    m->bad = !text;
    m->pos += (size_t)len - 1;
    return text;
}

bool event_pack(const struct event *ev, struct buf *out)
{
    buf_varint(out, (uint64_t)ev->kind);
    buf_varint(out, (uint64_t)ev->time);
    buf_varint(out, ev->done);
    buf_varint(out, ev->total);
    buf_varint(out, ev->rate);
    buf_varint(out, ev->eta);
    buf_varint(out, ev->resumed);
    put_text(out, ev->job);
    put_text(out, ev->machine);
    put_text(out, ev->disk);
    put_text(out, ev->stage);
    put_text(out, ev->unit);
    put_text(out, ev->text);
    return !out->failed;
}

void event_release(struct event *ev)
{
    free((char *)ev->job);
    free((char *)ev->machine);
    free((char *)ev->disk);
    free((char *)ev->stage);
    free((char *)ev->unit);
    free((char *)ev->text);
    *ev = (struct event){0};
}

bool event_unpack(const void *data, size_t len, struct event *ret)
{
    struct message m = {data, len, 0, false};
    struct event ev = {0};
    uint64_t kind = get_number(&m);

    ev.kind = (enum event_kind)kind;
    ev.time = (int64_t)get_number(&m);
    ev.done = get_number(&m);
    ev.total = get_number(&m);
    ev.rate = get_number(&m);
    ev.eta = get_number(&m);
    ev.resumed = get_number(&m);
    ev.job = get_text(&m);
    ev.machine = get_text(&m);
    ev.disk = get_text(&m);
    ev.stage = get_text(&m);
    ev.unit = get_text(&m);
    ev.text = get_text(&m);
    if (m.bad || kind > EVENT_FAILED || m.pos != len) {
        event_release(&ev);
        return false;
    }
    *ret = ev;
    return true;
}

bool result_pack(const struct machine_result *r, struct buf *out)
{
    buf_varint(out, (uint64_t)r->kind);
    buf_varint(out, r->before);
    buf_varint(out, r->after);
    buf_varint(out, r->read);
    buf_varint(out, r->written);
    buf_varint(out, r->seconds);
    buf_varint(out, r->resumed);
    buf_varint(out, r->unchanged);
    put_text(out, r->machine);
    put_text(out, r->stage);
    put_text(out, r->text);
    put_text(out, r->advice);
    return !out->failed;
}

bool result_unpack(const void *data, size_t len, struct machine_result *ret)
{
    struct message m = {data, len, 0, false};
    struct machine_result r = {0};
    uint64_t kind = get_number(&m);

    r.before = get_number(&m);
    r.after = get_number(&m);
    r.read = get_number(&m);
    r.written = get_number(&m);
    r.seconds = get_number(&m);
    r.resumed = get_number(&m);
    r.unchanged = get_number(&m) != 0;
    r.machine = get_text(&m);
    r.stage = get_text(&m);
    r.text = get_text(&m);
    r.advice = get_text(&m);
    if (m.bad || kind >= ERR_KIND_COUNT || m.pos != len) {
        machine_result_release(&r);
        return false;
    }
    r.kind = (enum err_kind)kind;
    r.status = err_exit_status(r.kind);
    *ret = r;
    return true;
}
