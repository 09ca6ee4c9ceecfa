/* Queries over SQLite; see state_db.h.
 *
 * A transaction that meets a full disk gives up the reserve file beside the database and is tried
 * once more: SQLite rolls a failed transaction back by itself or is told to, so the database is
 * never left half written. */
#include "state_db.h"

#include "fault.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

static bool fail(struct state *s, int code, struct err *e)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return err_set(e, ERR_SPACE,
                       "the disk of the state '%s' is full: make room there and run the same "
                       "command again",
                       s->path);
    case SQLITE_NOMEM:
        return err_set(e, ERR_MEMORY, "out of memory for the state '%s'", s->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, ERR_BUSY, "the state '%s' is in use by another process", s->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(e, ERR_IO,
                       "the state '%s' is damaged (%s): move the file away, or use 'strata run "
                       "--fresh', to start over; sources and published outputs are not touched",
                       s->path, sqlite3_errmsg(s->db));
    default:
        return err_set(e, ERR_IO, "the state '%s' cannot be used: %s", s->path,
                       sqlite3_errmsg(s->db));
    }
}

static bool bind(struct state *s, sqlite3_stmt *st, const char *types, va_list args)
{
    int code = SQLITE_OK, at = 0;

    (void)s;
    for (const char *t = types; *t && code == SQLITE_OK; t++) {
        at++;
        if (*t == 'i') {
            code = sqlite3_bind_int64(st, at, va_arg(args, int64_t));
        } else if (*t == 't') {
            code = sqlite3_bind_text(st, at, va_arg(args, const char *), -1, SQLITE_STATIC);
        } else if (*t == 'd') {
            code = sqlite3_bind_blob(st, at, va_arg(args, const struct digest_value *), DIGEST_SIZE,
                                     SQLITE_STATIC);
        } else {
            const void *data = va_arg(args, const void *);
            size_t len = va_arg(args, size_t);

            code = sqlite3_bind_blob64(st, at, len ? data : "", len, SQLITE_STATIC);
        }
    }
    return code == SQLITE_OK;
}

static bool query(struct state *s, struct err *e, db_row_fn *each, void *user, const char *sql,
                  const char *types, va_list args)
{
    sqlite3_stmt *st = NULL;
    bool ok = true, more = true;
    int code;

    if (fault_point("state"))
        return err_set(e, ERR_IO, "the state '%s' cannot be used: input/output error", s->path);
    code = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);
    if (code != SQLITE_OK)
        return fail(s, code, e);
    if (!bind(s, st, types, args)) {
        sqlite3_finalize(st);
        return err_set(e, ERR_MEMORY, "out of memory for the state '%s'", s->path);
    }
    while (more && (code = sqlite3_step(st)) == SQLITE_ROW)
        if (each)
            more = each(user, st, e);
    if (more && code != SQLITE_DONE)
        ok = fail(s, code, e);
    else if (!more)
        ok = !e || e->kind == ERR_NONE;
    sqlite3_finalize(st);
    return ok;
}

bool db_run(struct state *s, struct err *e, const char *sql, const char *types, ...)
{
    va_list args;
    bool ok;

    pthread_mutex_lock(&s->lock);
    va_start(args, types);
    ok = query(s, e, NULL, NULL, sql, types, args);
    va_end(args);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

bool db_rows(struct state *s, struct err *e, db_row_fn *each, void *user, const char *sql,
             const char *types, ...)
{
    va_list args;
    bool ok;

    pthread_mutex_lock(&s->lock);
    va_start(args, types);
    ok = query(s, e, each, user, sql, types, args);
    va_end(args);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

static bool take_epoch(void *user, sqlite3_stmt *row, struct err *e)
{
    (void)e;
    *(int64_t *)user = sqlite3_column_int64(row, 0);
    return false;
}

bool state_owned(struct state *s, struct err *e)
{
    int64_t epoch = 0;

    if (!db_rows(s, e, take_epoch, &epoch, "SELECT epoch FROM owner", ""))
        return false;
    if (epoch != s->epoch)
        return err_set(e, ERR_BUSY,
                       "another process took over the state '%s': this one stops without "
                       "publishing",
                       s->path);
    return true;
}

static bool once(struct state *s, db_work_fn *work, void *user, struct err *e)
{
    if (db_run(s, e, "BEGIN IMMEDIATE", "") && state_owned(s, e) && events_write(s, e) &&
        work(s, user, e) && db_run(s, e, "COMMIT", "")) {
        events_forget(s);
        return true;
    }
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

bool db_transaction(struct state *s, db_work_fn *work, void *user, struct err *e)
{
    struct err first = ERR_INIT;
    bool ok;

    pthread_mutex_lock(&s->lock);
    ok = once(s, work, user, &first);
    if (!ok && first.kind == ERR_SPACE && unlink(s->reserve) == 0)
        ok = once(s, work, user, e);
    else if (!ok)
        err_set(e, first.kind, "%s", first.text);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

bool db_text(sqlite3_stmt *row, int column, char **ret, struct err *e)
{
    const char *text = (const char *)sqlite3_column_text(row, column);

    *ret = text ? mem_text(text, e) : NULL;
    return !text || *ret;
}

bool db_digest(sqlite3_stmt *row, int column, struct digest_value *ret)
{
    const void *blob = sqlite3_column_blob(row, column);

    if (!blob || sqlite3_column_bytes(row, column) != DIGEST_SIZE)
        return false;
    memcpy(ret->bytes, blob, DIGEST_SIZE);
    return true;
}
