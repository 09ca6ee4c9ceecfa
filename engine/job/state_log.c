/* Events in the state, and the list of machines that have one; see state.h. */
#include "state_db.h"

#include "buf.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

static void event_free(struct state_event *ev)
{
    free(ev->disk);
    free(ev->stage);
    free(ev->text);
}

bool events_write(struct state *s, struct err *e)
{
    for (size_t i = 0; i < s->queued; i++) {
        const struct state_event *ev = &s->queue[i].ev;

        if (!db_run(s, e,
                    "INSERT INTO events(run, time, kind, disk, stage, done, total, text)"
                    " VALUES(?,?,?,?,?,?,?,?)",
                    "iiittiit", s->queue[i].run, ev->time, (int64_t)ev->kind, ev->disk, ev->stage,
                    (int64_t)ev->done, (int64_t)ev->total, ev->text))
            return false;
    }
    return true;
}

void events_forget(struct state *s)
{
    for (size_t i = 0; i < s->queued; i++)
        event_free(&s->queue[i].ev);
    s->queued = 0;
}

static bool nothing_more(struct state *s, void *user, struct err *e)
{
    (void)s;
    (void)user;
    (void)e;
    return true;
}

bool state_flush_events(struct state *s, struct err *e)
{
    bool ok;

    pthread_mutex_lock(&s->lock);
    ok = !s->queued || db_transaction(s, nothing_more, NULL, e);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

static char *copy_text(const char *text)
{
    return text ? mem_text(text, NULL) : NULL;
}

bool state_add_event(struct state *s, int64_t run, const struct state_event *ev, struct err *e)
{
    bool ok;

    pthread_mutex_lock(&s->lock);
    ok = s->queued < STATE_EVENTS_QUEUED || state_flush_events(s, e);
    if (ok) {
        struct queued_event *q = &s->queue[s->queued++];

        *q = (struct queued_event){run, *ev};
        q->ev.disk = copy_text(ev->disk);
        q->ev.stage = copy_text(ev->stage);
        q->ev.text = copy_text(ev->text);
    }
    pthread_mutex_unlock(&s->lock);
    return ok;
}

struct each_event {
    bool (*each)(void *user, const struct state_event *ev);
    void *user;
};

static bool give_event(void *user, sqlite3_stmt *row, struct err *e)
{
    struct each_event *ctx = user;
    struct state_event ev = {
        .time = sqlite3_column_int64(row, 0),
        .kind = sqlite3_column_int(row, 1),
        .done = (uint64_t)sqlite3_column_int64(row, 4),
        .total = (uint64_t)sqlite3_column_int64(row, 5),
    };
    bool more = db_text(row, 2, &ev.disk, e) && db_text(row, 3, &ev.stage, e) &&
                db_text(row, 6, &ev.text, e) && ctx->each(ctx->user, &ev);

    free(ev.disk);
    free(ev.stage);
    free(ev.text);
    return more;
}

bool state_events(struct state *s, int64_t run,
                  bool (*each)(void *user, const struct state_event *), void *user, struct err *e)
{
    struct each_event ctx = {each, user};

    return db_rows(s, e, give_event, &ctx,
                   "SELECT time, kind, disk, stage, done, total, text FROM events WHERE run = ?"
                   " ORDER BY id",
                   "i", run);
}

static int unhex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The name that was written with %XX. */
static char *plain_name(const char *name, size_t len, struct err *e)
{
    AUTO(buf_release) struct buf out = {0};

    for (size_t i = 0; i < len; i++) {
        if (name[i] == '%' && i + 2 < len && unhex(name[i + 1]) >= 0 && unhex(name[i + 2]) >= 0) {
            buf_char(&out, (char)(unhex(name[i + 1]) * 16 + unhex(name[i + 2])));
            i += 2;
        } else {
            buf_char(&out, name[i]);
        }
    }
    return buf_take(&out, e);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool state_machines(const char *dir, const char *job, struct opt_texts *ret, struct err *e)
{
    AUTO(free) char *db = state_name(dir, job, "x", e);
    struct dirent *entry;
    DIR *d;
    bool ok = true;

    if (!db)
        return false;
    *strrchr(db, '/') = '\0';
    d = opendir(db);
    if (!d)
        return errno == ENOENT || err_errno(e, ERR_IO, errno, "cannot read the folder '%s'", db);
    while (ok && (entry = readdir(d))) {
        AUTO(free) char *name = NULL;

        if (!text_ends(entry->d_name, ".db"))
            continue;
        name = plain_name(entry->d_name, strlen(entry->d_name) - strlen(".db"), e);
        ok = name && opt_texts_add(ret, name, e);
    }
    closedir(d);
    if (ok && ret->count)
        qsort(ret->items, ret->count, sizeof(*ret->items), by_text);
    return ok;
}
