/* Outputs, their files and their checkpoints in the state; see state.h. */
#include "state_db.h"

#include <string.h>
#include <sys/stat.h>

void state_output_release(struct state_output *o)
{
    for (size_t i = 0; i < o->files.count; i++) {
        free(o->files.items[i].part);
        free(o->files.items[i].final);
    }
    free(o->files.items);
    free(o->disk);
    free(o->format);
    *o = (struct state_output){0};
}

void state_outputs_release(struct state_outputs *o)
{
    for (size_t i = 0; i < o->count; i++)
        state_output_release(&o->items[i]);
    free(o->items);
    *o = (struct state_outputs){0};
}

struct add_output {
    int64_t run;
    struct state_output *o;
    int64_t id;
};

static bool put_files(struct state *s, const struct state_output *o, int64_t id, struct err *e)
{
    for (size_t i = 0; i < o->files.count; i++) {
        const struct state_file *f = &o->files.items[i];

        if (!db_run(s, e, "INSERT OR REPLACE INTO files VALUES(?,?,?,?,?,?,?)", "iittiii", id,
                    (int64_t)i, f->part, f->final, (int64_t)f->ino, (int64_t)f->size, f->mtime_ns))
            return false;
    }
    return true;
}

static bool add_output(struct state *s, void *user, struct err *e)
{
    struct add_output *a = user;
    const struct state_output *o = a->o;

    if (!db_run(s, e,
                "INSERT INTO outputs(run, stage, disk, format, status, recipe, replaces, size)"
                " VALUES(?,?,?,?,?,?,?,?)",
                "idttidii", a->run, &o->stage, o->disk, o->format, (int64_t)o->status, &o->recipe,
                (int64_t)o->replaces, (int64_t)o->size))
        return false;
    a->id = sqlite3_last_insert_rowid(s->db);
    return put_files(s, o, a->id, e);
}

bool state_add_output(struct state *s, int64_t run, struct state_output *o, struct err *e)
{
    struct add_output a = {run, o, 0};

    if (!db_transaction(s, add_output, &a, e))
        return false;
    o->id = a.id;
    return true;
}

static bool note_published(struct state *s, const struct state_output *o, struct err *e)
{
    for (size_t i = 0; i < o->files.count; i++) {
        const struct state_file *f = &o->files.items[i];

        if (!db_run(s, e, "INSERT OR REPLACE INTO published VALUES(?,?,?,?)", "tiii", f->final,
                    (int64_t)f->ino, (int64_t)f->size, f->mtime_ns))
            return false;
    }
    return true;
}

static bool put_output(struct state *s, void *user, struct err *e)
{
    const struct state_output *o = user;

    return db_run(s, e, "UPDATE outputs SET status = ? WHERE id = ?", "ii", (int64_t)o->status,
                  o->id) &&
           (!o->tree_valid ||
            db_run(s, e, "UPDATE outputs SET tree = ? WHERE id = ?", "di", &o->tree, o->id)) &&
           put_files(s, o, o->id, e) && (o->status != OUTPUT_PUBLISHED || note_published(s, o, e));
}

bool state_put_output(struct state *s, const struct state_output *o, struct err *e)
{
    return db_transaction(s, put_output, (void *)o, e);
}

static bool take_file(void *user, sqlite3_stmt *row, struct err *e)
{
    struct state_output *o = user;
    struct state_file f = {
        .ino = (uint64_t)sqlite3_column_int64(row, 2),
        .size = (uint64_t)sqlite3_column_int64(row, 3),
        .mtime_ns = sqlite3_column_int64(row, 4),
    };

    if (db_text(row, 0, &f.part, e) && db_text(row, 1, &f.final, e) && f.part && f.final &&
        VEC_PUSH(&o->files, f, e))
        return true;
    free(f.part);
    free(f.final);
    return err_set(e, ERR_IO, "the state has an output without file names");
}

static bool take_output(void *user, sqlite3_stmt *row, struct err *e)
{
    struct state_outputs *list = user;
    struct state_output o = {
        .id = sqlite3_column_int64(row, 0),
        .status = (enum output_status)sqlite3_column_int(row, 4),
        .replaces = sqlite3_column_int(row, 7),
        .size = (uint64_t)sqlite3_column_int64(row, 8),
        .done = (uint64_t)sqlite3_column_int64(row, 9),
    };

    db_digest(row, 1, &o.stage);
    db_digest(row, 5, &o.recipe);
    o.tree_valid = db_digest(row, 6, &o.tree);
    if (db_text(row, 2, &o.disk, e) && db_text(row, 3, &o.format, e) && o.disk && o.format &&
        VEC_PUSH(list, o, e))
        return true;
    state_output_release(&o);
    return err_set(e, ERR_IO, "the state has an output without a disk");
}

static bool list_outputs(struct state *s, int64_t run, struct state_outputs *list, struct err *e)
{
    if (!db_rows(s, e, take_output, list,
                 "SELECT id, stage, disk, format, status, recipe, tree, replaces, size,"
                 " (SELECT max(done) FROM checkpoints WHERE output = outputs.id)"
                 " FROM outputs WHERE run = ? ORDER BY id",
                 "i", run))
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (!db_rows(s, e, take_file, &list->items[i],
                     "SELECT part, final, ino, size, mtime_ns FROM files WHERE output = ?"
                     " ORDER BY number",
                     "i", list->items[i].id))
            return false;
    return true;
}

bool state_list_outputs(struct state *s, int64_t run, struct state_outputs *ret, struct err *e)
{
    struct state_outputs list = {0};

    if (!list_outputs(s, run, &list, e)) {
        state_outputs_release(&list);
        return false;
    }
    *ret = list;
    return true;
}

static bool drop_output(struct state *s, void *user, struct err *e)
{
    int64_t id = *(int64_t *)user;

    return db_run(s, e, "DELETE FROM checkpoints WHERE output = ?", "i", id) &&
           db_run(s, e, "DELETE FROM files WHERE output = ?", "i", id) &&
           db_run(s, e, "DELETE FROM outputs WHERE id = ?", "i", id);
}

bool state_drop_output(struct state *s, int64_t id, struct err *e)
{
    return db_transaction(s, drop_output, &id, e);
}

struct own {
    struct stat is;
    bool found;
};

static bool match_own(void *user, sqlite3_stmt *row, struct err *e)
{
    struct own *own = user;
    int64_t mtime_ns = (int64_t)own->is.st_mtim.tv_sec * 1000000000 + own->is.st_mtim.tv_nsec;

    (void)e;
    own->found = sqlite3_column_int64(row, 0) == (int64_t)own->is.st_ino &&
                 sqlite3_column_int64(row, 1) == (int64_t)own->is.st_size &&
                 sqlite3_column_int64(row, 2) == mtime_ns;
    return !own->found;
}

/* Published ones, and those that a crash caught between the rename and its record. */
bool state_is_own_output(struct state *s, const char *final, bool *ret_own, struct err *e)
{
    struct own own = {0};

    if (stat(final, &own.is) == 0 &&
        !db_rows(s, e, match_own, &own,
                 "SELECT ino, size, mtime_ns FROM published WHERE final = ? UNION ALL"
                 " SELECT ino, files.size, mtime_ns FROM files JOIN outputs ON id = output"
                 " WHERE final = ? AND status = ?",
                 "tti", final, final, (int64_t)OUTPUT_PUBLISHING))
        return false;
    *ret_own = own.found;
    return true;
}

struct checkpoint {
    int64_t output;
    uint64_t done;
    const void *placements, *digests;
    size_t placements_len, digests_len;
};

static bool put_checkpoint(struct state *s, void *user, struct err *e)
{
    const struct checkpoint *c = user;

    return db_run(s, e,
                  "INSERT INTO checkpoints VALUES(?, (SELECT coalesce(max(number), 0) + 1 FROM"
                  " checkpoints WHERE output = ?), ?, ?, ?)",
                  "iiibb", c->output, c->output, (int64_t)c->done, c->placements, c->placements_len,
                  c->digests, c->digests_len);
}

bool state_checkpoint(struct state *s, int64_t output, uint64_t done, const void *placements,
                      size_t placements_len, const void *digests, size_t digests_len, struct err *e)
{
    struct checkpoint c = {output, done, placements, digests, placements_len, digests_len};

    return db_transaction(s, put_checkpoint, &c, e);
}

struct blob {
    int64_t number;
    void *placements, *digests;
    size_t placements_len, digests_len;
};

static void blob_release(struct blob *b)
{
    free(b->placements);
    free(b->digests);
}

static bool copy_column(sqlite3_stmt *row, int column, void **ret, size_t *ret_len, struct err *e)
{
    const void *data = sqlite3_column_blob(row, column);

    *ret_len = (size_t)sqlite3_column_bytes(row, column);
    *ret = mem_alloc(*ret_len, e);
    if (*ret && *ret_len)
        memcpy(*ret, data, *ret_len);
    return *ret;
}

static bool take_blob(void *user, sqlite3_stmt *row, struct err *e)
{
    struct blob *b = user;

    b->number = sqlite3_column_int64(row, 0);
    if (copy_column(row, 1, &b->placements, &b->placements_len, e))
        copy_column(row, 2, &b->digests, &b->digests_len, e);
    return false;
}

/* The first checkpoint from number `from` on; b->number stays 0 at the end. One row at a time: the
 * callback may take long, and a reader's lock would keep others out. */
static bool next_blob(struct state *s, int64_t output, int64_t from, struct blob *b, struct err *e)
{
    return db_rows(s, e, take_blob, b,
                   "SELECT number, placements, digests FROM checkpoints WHERE output = ? AND"
                   " number >= ? ORDER BY number LIMIT 1",
                   "ii", output, from);
}

bool state_replay(struct state *s, int64_t output, state_checkpoint_fn *each, void *user,
                  struct err *e)
{
    int64_t from = 1;

    for (;;) {
        struct blob b = {0};
        bool ok = next_blob(s, output, from, &b, e), end = !b.number;

        if (ok && !end)
            ok = each(user, b.placements, b.placements_len, b.digests, b.digests_len, e);
        from = b.number + 1;
        blob_release(&b);
        if (!ok || end)
            return ok || (e && e->kind == ERR_NONE);
    }
}

bool state_next_digests(struct state *s, int64_t output, int64_t *seq, void **ret_data,
                        size_t *ret_len, struct err *e)
{
    struct blob b = {0};

    if (!next_blob(s, output, *seq, &b, e)) {
        blob_release(&b);
        return false;
    }
    *seq = b.number + 1;
    *ret_data = TAKE(b.digests);
    *ret_len = b.digests_len;
    blob_release(&b);
    return true;
}
