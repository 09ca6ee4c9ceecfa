/* Inside the state: the connection and the small query language its files share. SQLite is seen by
 * engine/job/state*.c alone.
 *
 * Arguments are described by letters: i int64_t; t const char * (NULL: NULL); b const void * and
 * size_t; d const struct digest_value *. */
#ifndef JOB_STATE_DB_H
#define JOB_STATE_DB_H

#include "state.h"

#include <pthread.h>
#include <sqlite3.h>

enum { STATE_EVENTS_QUEUED = 32 };

struct state {
    sqlite3 *db;
    pthread_mutex_t lock; /* recursive: held for a whole transaction */
    char *path, *reserve;
    int lock_fd; /* -1: opened for reading */
    int64_t epoch;
    struct queued_event { /* written with the next transaction */
        int64_t run;
        struct state_event ev;
    } queue[STATE_EVENTS_QUEUED];
    size_t queued;
};

/* state_log.c. Within a transaction: writes the queued events; they are forgotten once it is
 * committed. */
bool events_write(struct state *s, struct err *e);
void events_forget(struct state *s);

/* Statements are fault points and answer ERR_SPACE for a full disk. */
bool db_run(struct state *s, struct err *e, const char *sql, const char *types, ...);
/* Calls back for each row until it answers false. A false with an error set fails the query. */
typedef bool db_row_fn(void *user, sqlite3_stmt *row, struct err *e);
bool db_rows(struct state *s, struct err *e, db_row_fn *each, void *user, const char *sql,
             const char *types, ...);

/* Runs `work` as one transaction that owns the state: ERR_BUSY when the epoch is another's. A disk
 * that is full gives the reserve up once and is tried again. */
typedef bool db_work_fn(struct state *s, void *user, struct err *e);
bool db_transaction(struct state *s, db_work_fn *work, void *user, struct err *e);

/* Columns: an owned text (NULL for NULL; false with ERR_MEMORY), a digest (false when absent). */
bool db_text(sqlite3_stmt *row, int column, char **ret, struct err *e);
bool db_digest(sqlite3_stmt *row, int column, struct digest_value *ret);

#endif
