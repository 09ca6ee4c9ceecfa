/* Opening the state: names, lock, schema, owner; see state.h.
 *
 *     <dir>/<job>/<machine>.db        the database, with SQLite's rollback journal while it writes
 *     <dir>/<job>/<machine>.lock      held by the one process that runs this machine; its text says
 *                                     which
 *     <dir>/<job>/<machine>.reserve   room given up when the disk is full, so that the last
 *                                     checkpoint still fits
 *
 * The rollback journal, not the write-ahead log: the folder may be shared between hosts.
 * synchronous=EXTRA also syncs the folder when the journal goes, so a commit survives power loss.
 */
#include "state_db.h"

#include "buf.h"
#include "fault.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

enum {
    STATE_VERSION = 1,
    STATE_APPLICATION = 0x73747261, /* "stra": SQLite's application_id */
    STATE_RESERVE = 256 << 10,    /* a checkpoint of 256 MiB with its journal takes about 30 KiB */
    STATE_CHECKED_MAX = 32 << 20, /* larger ones are not read in full at every start */
    STATE_BUSY_MS = 5000,         /* a reader (`status`) may hold the database for moments */
};

static const char schema[] =
    "CREATE TABLE owner(epoch INTEGER NOT NULL, pid INTEGER);"
    "INSERT INTO owner VALUES(0, 0);"
    "CREATE TABLE runs(id INTEGER PRIMARY KEY AUTOINCREMENT, started INTEGER, finished INTEGER,"
    " date TEXT, job_path TEXT, status INTEGER, kind INTEGER, stage TEXT, text TEXT,"
    " before_bytes INTEGER, after_bytes INTEGER, read_bytes INTEGER, written_bytes INTEGER,"
    " resumed_bytes INTEGER, seconds INTEGER);"
    "CREATE TABLE environment(run INTEGER, name TEXT, value TEXT, PRIMARY KEY(run, name));"
    "CREATE TABLE sources(run INTEGER, path TEXT, size INTEGER, inode INTEGER, mtime_ns INTEGER,"
    " ctime_ns INTEGER);"
    "CREATE INDEX sources_run ON sources(run);"
    "CREATE TABLE stages(run INTEGER, identity BLOB, name TEXT, done INTEGER, attempts INTEGER,"
    " PRIMARY KEY(run, identity));"
    "CREATE TABLE outputs(id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER, stage BLOB,"
    " disk TEXT, format TEXT, status INTEGER, recipe BLOB, tree BLOB, replaces INTEGER,"
    " size INTEGER);"
    "CREATE INDEX outputs_run ON outputs(run);"
    "CREATE TABLE files(output INTEGER, number INTEGER, part TEXT, final TEXT,"
    " ino INTEGER, size INTEGER, mtime_ns INTEGER, PRIMARY KEY(output, number));"
    "CREATE TABLE checkpoints(output INTEGER, number INTEGER, done INTEGER,"
    " placements BLOB, digests BLOB, PRIMARY KEY(output, number));"
    "CREATE TABLE published(final TEXT PRIMARY KEY, ino INTEGER, size INTEGER,"
    " mtime_ns INTEGER);"
    "CREATE TABLE events(id INTEGER PRIMARY KEY, run INTEGER, time INTEGER, kind INTEGER,"
    " disk TEXT, stage TEXT, done INTEGER, total INTEGER, text TEXT);"
    "CREATE INDEX events_run ON events(run);";

/* Job and machine names as file names: what is not plain is written %XX. */
static void safe_name(struct buf *out, const char *name)
{
    for (const char *c = name; *c; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || *c == '_' || *c == '-' || (*c == '.' && c != name);

        if (plain)
            buf_char(out, *c);
        else
            buf_format(out, "%%%02X", (unsigned char)*c);
    }
}

static char *beside(const char *dir, const char *job, const char *machine, const char *suffix,
                    struct err *e)
{
    AUTO(buf_release) struct buf path = {0};

    buf_format(&path, "%s/", dir);
    safe_name(&path, job);
    if (machine) {
        buf_char(&path, '/');
        safe_name(&path, machine);
        buf_text(&path, suffix);
    }
    return buf_take(&path, e);
}

char *state_name(const char *dir, const char *job, const char *machine, struct err *e)
{
    return beside(dir, job, machine, ".db", e);
}

const char *state_path(const struct state *s)
{
    return s->path;
}

static bool make_dirs(const char *path, struct err *e)
{
    AUTO(free) char *copy = mem_text(path, e);

    if (!copy)
        return false;
    for (char *c = copy + 1;; c++) {
        bool end = !*c;

        if (!end && *c != '/')
            continue;
        *c = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            return err_errno(e, ERR_IO, errno,
                             "cannot make the folder '%s' for the state (--state DIR chooses "
                             "another)",
                             copy);
        if (end)
            return true;
        *c = '/';
    }
}

/* The lock belongs to the open file description: it goes when the process does, whatever way. */
static bool take_lock(struct state *s, const char *path, const char *machine, struct err *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char holder[64] = "";
    ssize_t got;

    if (fault_point("state lock"))
        return err_set(e, ERR_IO, "cannot open '%s': input/output error", path);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (s->lock_fd < 0)
        return err_errno(e, ERR_IO, errno, "cannot open '%s'", path);
    if (fcntl(s->lock_fd, F_OFD_SETLK, &lock) != 0) {
        if (errno != EAGAIN && errno != EACCES)
            return err_errno(e, ERR_IO, errno, "cannot lock '%s'", path);
        got = pread(s->lock_fd, holder, sizeof(holder) - 1, 0);
        holder[got > 0 ? got : 0] = '\0';
        return err_set(e, ERR_BUSY, "the machine '%s' is being run by %s: wait for it or stop it",
                       machine, *holder ? holder : "another process");
    }
    snprintf(holder, sizeof(holder), "process %ld", (long)getpid());
    if (ftruncate(s->lock_fd, 0) != 0 || pwrite(s->lock_fd, holder, strlen(holder), 0) < 0)
        return err_errno(e, ERR_IO, errno, "cannot write '%s'", path);
    return true;
}

static bool take_number(void *user, sqlite3_stmt *row, struct err *e)
{
    (void)e;
    *(int64_t *)user = sqlite3_column_int64(row, 0);
    return false;
}

static bool take_answer(void *user, sqlite3_stmt *row, struct err *e)
{
    const char *text = (const char *)sqlite3_column_text(row, 0);

    (void)e;
    *(bool *)user = text && !strcmp(text, "ok");
    return false;
}

/* Whose database is it, of what version, and is it whole? *ret_empty: nobody's yet. */
static bool check_file(struct state *s, bool *ret_empty, struct err *e)
{
    int64_t application = 0, version = 0, tables = 0;
    bool whole = true;
    struct stat st;

    if (!db_rows(s, e, take_number, &application, "PRAGMA application_id", "") ||
        !db_rows(s, e, take_number, &version, "PRAGMA user_version", "") ||
        !db_rows(s, e, take_number, &tables, "SELECT count(*) FROM sqlite_master", ""))
        return false;
    *ret_empty = !application && !tables;
    if (*ret_empty)
        return true;
    if (application != STATE_APPLICATION)
        return err_set(e, ERR_IO, "'%s' is a database of another program: move it away", s->path);
    if (version > STATE_VERSION)
        return err_set(e, ERR_IO,
                       "the state '%s' was written by a newer strata (version %lld, this one knows "
                       "%d): use that one, or 'strata run --fresh' to start over",
                       s->path, (long long)version, STATE_VERSION);
    if (stat(s->path, &st) == 0 && st.st_size <= STATE_CHECKED_MAX &&
        !db_rows(s, e, take_answer, &whole, "PRAGMA quick_check(1)", ""))
        return false;
    if (!whole)
        return err_set(e, ERR_IO,
                       "the state '%s' is damaged: move the file away, or use 'strata run "
                       "--fresh', to start over; sources and published outputs are not touched",
                       s->path);
    return true;
}

static bool create_schema(struct state *s, struct err *e)
{
    char *text = NULL;
    char sql[sizeof(schema) + 200];
    bool ok;

    snprintf(sql, sizeof(sql), "BEGIN;PRAGMA application_id=%d;PRAGMA user_version=%d;%sCOMMIT;",
             STATE_APPLICATION, STATE_VERSION, schema);
    ok = sqlite3_exec(s->db, sql, NULL, NULL, &text) == SQLITE_OK;
    if (!ok)
        err_set(e, sqlite3_errcode(s->db) == SQLITE_FULL ? ERR_SPACE : ERR_IO,
                "cannot create the state '%s': %s", s->path, text ? text : "unknown error");
    sqlite3_free(text);
    return ok;
}

static bool connect_db(struct state *s, int flags, struct err *e)
{
    int code;

    if (fault_point("state open"))
        return err_set(e, ERR_IO, "cannot open the state '%s': input/output error", s->path);
    code = sqlite3_open_v2(s->path, &s->db, flags, NULL);
    if (code != SQLITE_OK)
        return err_set(e, code == SQLITE_NOMEM ? ERR_MEMORY : ERR_IO,
                       "cannot open the state '%s': %s", s->path, sqlite3_errstr(code));
    sqlite3_busy_timeout(s->db, STATE_BUSY_MS);
    return true;
}

/* Space that a full disk still has for us. Not having it is no error: the disk may be full now. */
static void make_reserve(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

    if (fd < 0)
        return;
    if (posix_fallocate(fd, 0, STATE_RESERVE) != 0)
        unlink(path);
    close(fd);
}

static struct state *state_new(const char *dir, const char *job, const char *machine, struct err *e)
{
    AUTO(state_close) struct state *s = mem_new(struct state, e);
    pthread_mutexattr_t attr;

    if (!s)
        return NULL;
    s->lock_fd = -1;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    s->path = state_name(dir, job, machine, e);
    s->reserve = beside(dir, job, machine, ".reserve", e);
    return s->path && s->reserve ? TAKE(s) : NULL;
}

struct state *state_open(const char *dir, const char *job, const char *machine, struct err *e)
{
    AUTO(free) char *folder = beside(dir, job, NULL, "", e);
    AUTO(free) char *lock = folder ? beside(dir, job, machine, ".lock", e) : NULL;
    AUTO(state_close) struct state *s = NULL;
    bool empty;

    if (!lock || !make_dirs(folder, e))
        return NULL;
    s = state_new(dir, job, machine, e);
    if (!s || !take_lock(s, lock, machine, e) ||
        !connect_db(s, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, e) ||
        !db_run(s, e, "PRAGMA synchronous=EXTRA", "") || !check_file(s, &empty, e) ||
        (empty && !create_schema(s, e)))
        return NULL;
    return db_rows(s, e, take_number, &s->epoch, "SELECT epoch FROM owner", "") ? TAKE(s) : NULL;
}

bool state_claim(struct state *s, struct err *e)
{
    make_reserve(s->reserve);
    return db_run(s, e, "UPDATE owner SET epoch = epoch + 1, pid = ?", "i", (int64_t)getpid()) &&
           db_rows(s, e, take_number, &s->epoch, "SELECT epoch FROM owner", "");
}

struct state *state_peek(const char *dir, const char *job, const char *machine, struct err *e)
{
    AUTO(state_close) struct state *s = state_new(dir, job, machine, e);
    AUTO(free) char *journal = s ? mem_format(e, "%s-journal", s->path) : NULL;
    bool empty = true, cut_off;

    if (!journal || access(s->path, F_OK) != 0)
        return NULL;
    /* a transaction that was cut off can only be read once it is rolled back */
    cut_off = access(journal, F_OK) == 0;
    if (!connect_db(s, cut_off ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, e) ||
        !check_file(s, &empty, e) || empty)
        return NULL;
    return TAKE(s);
}

bool state_move_away(const char *dir, const char *job, const char *machine, struct err *e)
{
    AUTO(free) char *path = state_name(dir, job, machine, e);
    AUTO(free) char *journal = path ? mem_format(e, "%s-journal", path) : NULL;
    AUTO(free) char *broken = journal ? mem_format(e, "%s.broken", path) : NULL;

    if (!broken)
        return false;
    if (rename(path, broken) != 0 && errno != ENOENT)
        return err_errno(e, ERR_IO, errno, "cannot move '%s' away", path);
    if (unlink(journal) != 0 && errno != ENOENT)
        return err_errno(e, ERR_IO, errno, "cannot remove '%s'", journal);
    return true;
}

void state_close(struct state *s)
{
    if (!s)
        return;
    if (s->lock_fd >= 0)
        state_flush_events(s, NULL);
    events_forget(s);
    sqlite3_close_v2(s->db);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s->reserve);
    free(s);
}
