/* Runs, their sources and their stages in the state; see state.h. */
#include "state_db.h"

#include "clock.h"

#include <string.h>

#define RUN_COLUMNS                                                                                \
    "id, started, finished, date, job_path, status, kind, stage, text, before_bytes,"              \
    " after_bytes, read_bytes, written_bytes, resumed_bytes, seconds"

void source_facts_release(struct source_facts *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->items[i].path);
    free(f->items);
    *f = (struct source_facts){0};
}

bool source_facts_add(struct source_facts *f, const struct source_fact *fact, struct err *e)
{
    struct source_fact copy = *fact;

    copy.path = mem_text(fact->path, e);
    if (copy.path && VEC_PUSH(f, copy, e))
        return true;
    free(copy.path);
    return false;
}

void state_run_release(struct state_run *r)
{
    free(r->date);
    free(r->job_path);
    free(r->stage);
    free(r->text);
    *r = (struct state_run){0};
}

static bool unpack_run(sqlite3_stmt *row, struct state_run *r, struct err *e)
{
    r->id = sqlite3_column_int64(row, 0);
    r->started = sqlite3_column_int64(row, 1);
    r->finished = sqlite3_column_int64(row, 2);
    r->status = (enum run_status)sqlite3_column_int(row, 5);
    r->kind = (enum err_kind)sqlite3_column_int(row, 6);
    if (r->kind < 0 || r->kind >= ERR_KIND_COUNT)
        r->kind = ERR_BUG;
    r->before = (uint64_t)sqlite3_column_int64(row, 9);
    r->after = (uint64_t)sqlite3_column_int64(row, 10);
    r->read = (uint64_t)sqlite3_column_int64(row, 11);
    r->written = (uint64_t)sqlite3_column_int64(row, 12);
    r->resumed = (uint64_t)sqlite3_column_int64(row, 13);
    r->seconds = (uint64_t)sqlite3_column_int64(row, 14);
    return db_text(row, 3, &r->date, e) && db_text(row, 4, &r->job_path, e) &&
           db_text(row, 7, &r->stage, e) && db_text(row, 8, &r->text, e);
}

static bool take_run(void *user, sqlite3_stmt *row, struct err *e)
{
    unpack_run(row, user, e);
    return false;
}

static bool find_run(struct state *s, struct state_run *ret, const char *sql, struct err *e)
{
    struct state_run r = {0};

    if (!db_rows(s, e, take_run, &r, sql, "")) {
        state_run_release(&r);
        return false;
    }
    *ret = r;
    return true;
}

bool state_base(struct state *s, struct state_run *ret, struct err *e)
{
    return find_run(s, ret,
                    "SELECT " RUN_COLUMNS " FROM runs WHERE status = 2 OR (status < 2 AND"
                    " id IN (SELECT run FROM outputs)) ORDER BY id DESC LIMIT 1",
                    e);
}

bool state_last(struct state *s, struct state_run *ret, struct err *e)
{
    return find_run(s, ret, "SELECT " RUN_COLUMNS " FROM runs ORDER BY id DESC LIMIT 1", e);
}

struct each_run {
    bool (*each)(void *user, const struct state_run *r);
    void *user;
};

static bool give_run(void *user, sqlite3_stmt *row, struct err *e)
{
    struct each_run *ctx = user;
    struct state_run r = {0};
    bool more = unpack_run(row, &r, e) && ctx->each(ctx->user, &r);

    state_run_release(&r);
    return more;
}

bool state_history(struct state *s, bool (*each)(void *user, const struct state_run *r), void *user,
                   struct err *e)
{
    struct each_run ctx = {each, user};

    return db_rows(s, e, give_run, &ctx, "SELECT " RUN_COLUMNS " FROM runs ORDER BY id", "");
}

/* A value stays what it was when the run first used it. */
static bool put_env(struct state *s, int64_t run, const struct opt_pairs *env, struct err *e)
{
    for (size_t i = 0; i < env->count; i++)
        if (!db_run(s, e, "INSERT OR IGNORE INTO environment VALUES(?,?,?)", "itt", run,
                    env->items[i].key, env->items[i].value))
            return false;
    return true;
}

static bool take_env(void *user, sqlite3_stmt *row, struct err *e)
{
    const char *name = (const char *)sqlite3_column_text(row, 0);
    const char *value = (const char *)sqlite3_column_text(row, 1);

    if (!name || !value)
        return err_set(e, ERR_MEMORY, "out of memory");
    return opt_pairs_add(user, name, value, e);
}

bool state_env(struct state *s, int64_t run, struct opt_pairs *ret, struct err *e)
{
    return db_rows(s, e, take_env, ret, "SELECT name, value FROM environment WHERE run = ?", "i",
                   run);
}

struct begin {
    const char *job_path, *date;
    const struct opt_pairs *env;
    int64_t base, run;
};

/* Outputs and their checkpoints change hands rather than being copied: an unfinished output is
 * continued by one run only. */
static bool begin_run(struct state *s, void *user, struct err *e)
{
    struct begin *b = user;

    if (!db_run(s, e, "INSERT INTO runs(started, date, job_path, status, kind) VALUES(?,?,?,0,0)",
                "itt", clock_now(), b->date, b->job_path))
        return false;
    b->run = sqlite3_last_insert_rowid(s->db);
    if (!put_env(s, b->run, b->env, e))
        return false;
    return !b->base ||
           (db_run(s, e,
                   "INSERT INTO sources SELECT ?, path, size, inode, mtime_ns, ctime_ns FROM"
                   " sources WHERE run = ?",
                   "ii", b->run, b->base) &&
            db_run(s, e,
                   "INSERT INTO stages SELECT ?, identity, name, done, 0 FROM stages"
                   " WHERE run = ?",
                   "ii", b->run, b->base) &&
            db_run(s, e, "UPDATE outputs SET run = ? WHERE run = ?", "ii", b->run, b->base));
}

bool state_begin_run(struct state *s, const char *job_path, const char *date,
                     const struct opt_pairs *env, int64_t base, int64_t *ret_run, struct err *e)
{
    struct begin b = {job_path, date, env, base, 0};

    if (!db_transaction(s, begin_run, &b, e))
        return false;
    *ret_run = b.run;
    return true;
}

static bool reopen_run(struct state *s, void *user, struct err *e)
{
    const struct begin *b = user;

    return db_run(s, e, "UPDATE runs SET status = 0, kind = 0, finished = NULL WHERE id = ?", "i",
                  b->run) &&
           put_env(s, b->run, b->env, e);
}

bool state_reopen_run(struct state *s, int64_t run, const struct opt_pairs *env, struct err *e)
{
    struct begin b = {.env = env, .run = run};

    return db_transaction(s, reopen_run, &b, e);
}

static bool end_run(struct state *s, void *user, struct err *e)
{
    const struct state_run *r = user;

    return db_run(s, e,
                  "UPDATE runs SET finished = ?, status = ?, kind = ?, stage = ?, text = ?,"
                  " before_bytes = ?, after_bytes = ?, read_bytes = ?, written_bytes = ?,"
                  " resumed_bytes = ?, seconds = ? WHERE id = ?",
                  "iiittiiiiiii", r->finished, (int64_t)r->status, (int64_t)r->kind, r->stage,
                  r->text, (int64_t)r->before, (int64_t)r->after, (int64_t)r->read,
                  (int64_t)r->written, (int64_t)r->resumed, (int64_t)r->seconds, r->id);
}

bool state_end_run(struct state *s, const struct state_run *r, struct err *e)
{
    return db_transaction(s, end_run, (void *)r, e);
}

struct put_sources {
    int64_t run;
    const struct source_facts *facts;
};

static bool put_sources(struct state *s, void *user, struct err *e)
{
    const struct put_sources *p = user;

    if (!db_run(s, e, "DELETE FROM sources WHERE run = ?", "i", p->run))
        return false;
    for (size_t i = 0; i < p->facts->count; i++) {
        const struct source_fact *f = &p->facts->items[i];

        if (!db_run(s, e, "INSERT INTO sources VALUES(?,?,?,?,?,?)", "itiiii", p->run, f->path,
                    (int64_t)f->size, (int64_t)f->inode, f->mtime_ns, f->ctime_ns))
            return false;
    }
    return true;
}

bool state_put_sources(struct state *s, int64_t run, const struct source_facts *f, struct err *e)
{
    struct put_sources p = {run, f};

    return db_transaction(s, put_sources, &p, e);
}

static bool take_source(void *user, sqlite3_stmt *row, struct err *e)
{
    struct source_fact f = {
        .path = (char *)sqlite3_column_text(row, 0),
        .size = (uint64_t)sqlite3_column_int64(row, 1),
        .inode = (uint64_t)sqlite3_column_int64(row, 2),
        .mtime_ns = sqlite3_column_int64(row, 3),
        .ctime_ns = sqlite3_column_int64(row, 4),
    };

    if (!f.path)
        return err_set(e, ERR_MEMORY, "out of memory");
    return source_facts_add(user, &f, e);
}

bool state_sources(struct state *s, int64_t run, struct source_facts *ret, struct err *e)
{
    struct source_facts f = {0};

    if (!db_rows(s, e, take_source, &f,
                 "SELECT path, size, inode, mtime_ns, ctime_ns FROM sources WHERE run = ?"
                 " ORDER BY rowid",
                 "i", run)) {
        source_facts_release(&f);
        return false;
    }
    *ret = f;
    return true;
}

struct stage_row {
    int64_t run;
    const char *name;
    const struct digest_value *identity;
    bool done;
    int64_t attempts;
};

static bool take_stage(void *user, sqlite3_stmt *row, struct err *e)
{
    struct stage_row *r = user;

    (void)e;
    r->done = sqlite3_column_int(row, 0);
    r->attempts = sqlite3_column_int64(row, 1);
    return false;
}

static bool find_stage(struct state *s, struct stage_row *r, struct err *e)
{
    return db_rows(s, e, take_stage, r,
                   "SELECT done, attempts FROM stages WHERE run = ? AND identity = ?", "id", r->run,
                   r->identity);
}

bool state_stage_done(struct state *s, int64_t run, const struct digest_value *identity,
                      bool *ret_done, struct err *e)
{
    struct stage_row r = {.run = run, .identity = identity};

    if (!find_stage(s, &r, e))
        return false;
    *ret_done = r.done;
    return true;
}

static bool put_stage(struct state *s, void *user, struct err *e)
{
    const struct stage_row *r = user;

    return db_run(s, e,
                  "INSERT INTO stages VALUES(?,?,?,?,0) ON CONFLICT(run, identity) DO UPDATE SET"
                  " done = excluded.done",
                  "idti", r->run, r->identity, r->name, (int64_t)r->done);
}

bool state_put_stage(struct state *s, int64_t run, const char *name,
                     const struct digest_value *identity, bool done, struct err *e)
{
    struct stage_row r = {.run = run, .name = name, .identity = identity, .done = done};

    return db_transaction(s, put_stage, &r, e);
}

static bool attempt(struct state *s, void *user, struct err *e)
{
    struct stage_row *r = user;

    return db_run(s, e,
                  "INSERT INTO stages VALUES(?,?,?,0,1) ON CONFLICT(run, identity) DO UPDATE"
                  " SET attempts = attempts + 1",
                  "idt", r->run, r->identity, r->name) &&
           find_stage(s, r, e);
}

bool state_attempt(struct state *s, int64_t run, const char *name,
                   const struct digest_value *identity, uint64_t *ret_attempt, struct err *e)
{
    struct stage_row r = {.run = run, .name = name, .identity = identity};

    if (!db_transaction(s, attempt, &r, e))
        return false;
    *ret_attempt = (uint64_t)r.attempts;
    return true;
}
