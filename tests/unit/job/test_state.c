/* The state database: what is stored comes back, one process at a time, and a database that is
 * damaged, newer or another program's is refused in words.
 * label: quick */
#include "test.h"

#include "buf.h"
#include "bytes.h"
#include "fault.h"
#include "state_db.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[600];

static int setup(void **unused)
{
    (void)unused;
    snprintf(dir, sizeof(dir), "%s/state", test_dir());
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    test_rmdir();
    return 0;
}

static struct state *open_state(void)
{
    struct err e = ERR_INIT;
    struct state *s = state_open(dir, "job", "m", &e);

    assert_ok(s, &e);
    assert_ok(state_claim(s, &e), &e);
    return s;
}

static char *db_path(void)
{
    return state_name(dir, "job", "m", NULL);
}

static int64_t begin(struct state *s, int64_t base)
{
    struct err e = ERR_INIT;
    struct opt_pair pairs[] = {{(char *)"WAVE", (char *)"three"}};
    const struct opt_pairs env = {pairs, 1, 1};
    int64_t run;

    assert_ok(state_begin_run(s, "/j.yaml", "2026-11-23", &env, base, &run, &e), &e);
    return run;
}

static void test_names(void **unused)
{
    static const struct {
        const char *job, *machine, *want;
    } cases[] = {
        {"a", "b", "d/a/b.db"},
        {"my job/x", "web 01", "d/my%20job%2Fx/web%2001.db"},
        {"..", ".hidden", "d/%2E./%2Ehidden.db"},
        {"50%", "\xc3\xa4", "d/50%25/%C3%A4.db"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *path = state_name("d", cases[i].job, cases[i].machine, NULL);

        assert_string_equal(path, cases[i].want);
        free(path);
    }
}

static void test_one_process(void **unused)
{
    struct state *s = open_state();
    struct err e = ERR_INIT;

    (void)unused;
    assert_null(state_open(dir, "job", "m", &e));
    assert_int_equal(e.kind, ERR_BUSY);
    assert_non_null(strstr(e.text, "process"));
    err_clear(&e);
    state_close(s);
    s = open_state();
    state_close(s);
}

/* A process that was thought dead finds that the state has another owner. */
static void test_epoch(void **unused)
{
    struct state *s = open_state();
    struct err e = ERR_INIT;
    int64_t run = begin(s, 0);

    (void)unused;
    assert_ok(state_owned(s, &e), &e);
    assert_ok(db_run(s, &e, "UPDATE owner SET epoch = epoch + 1", ""), &e);
    assert_false(state_owned(s, &e));
    assert_int_equal(e.kind, ERR_BUSY);
    err_clear(&e);
    assert_false(state_checkpoint(s, run, 1, "p", 1, "d", 1, &e));
    assert_int_equal(e.kind, ERR_BUSY);
    state_close(s);
}

static void test_runs(void **unused)
{
    struct state *s = open_state();
    struct err e = ERR_INIT;
    struct state_run r = {0};
    struct source_facts facts = {0}, back = {0};
    struct digest_value id = {{1, 2, 3}}, other = {{4}};
    struct source_fact fact = {(char *)"/a/disk", 5, 6, -7, 8};
    uint64_t attempt;
    int64_t run = begin(s, 0), next;
    bool done;

    (void)unused;
    assert_ok(source_facts_add(&facts, &fact, &e), &e);
    assert_ok(state_put_sources(s, run, &facts, &e), &e);
    assert_ok(state_put_stage(s, run, "convert", &id, true, &e), &e);
    assert_ok(state_attempt(s, run, "command", &other, &attempt, &e), &e);
    assert_int_equal(attempt, 1);
    assert_ok(state_attempt(s, run, "command", &other, &attempt, &e), &e);
    assert_int_equal(attempt, 2);
    r = (struct state_run){.id = run, .status = RUN_DONE, .text = (char *)"done", .after = 9};
    assert_ok(state_end_run(s, &r, &e), &e);
    next = begin(s, run);
    assert_int_not_equal(next, run);
    assert_ok(state_sources(s, next, &back, &e), &e);
    assert_int_equal(back.count, 1);
    assert_string_equal(back.items[0].path, "/a/disk");
    assert_int_equal(back.items[0].mtime_ns, -7);
    assert_ok(state_stage_done(s, next, &id, &done, &e), &e);
    assert_true(done);
    assert_ok(state_stage_done(s, next, &other, &done, &e), &e);
    assert_false(done);
    r = (struct state_run){0};
    assert_ok(state_base(s, &r, &e), &e);
    assert_int_equal(r.id, run); /* the new one has left nothing yet */
    assert_int_equal(r.after, 9);
    assert_string_equal(r.date, "2026-11-23");
    state_run_release(&r);
    assert_ok(state_last(s, &r, &e), &e);
    assert_int_equal(r.id, next);
    state_run_release(&r);
    source_facts_release(&facts);
    source_facts_release(&back);
    state_close(s);
}

static bool take_texts(void *user, const struct state_event *ev)
{
    buf_format(user, "%d:%s;", ev->kind, ev->text ? ev->text : "-");
    return true;
}

/* The environment of a run stays what it was at first, and only gains names. */
static void test_env(void **unused)
{
    struct opt_pair pairs[] = {{(char *)"WAVE", (char *)"four"}, {(char *)"POOL", (char *)"/srv"}};
    const struct opt_pairs later = {pairs, 2, 2};
    struct state *s = open_state();
    struct opt_pairs env = {0};
    struct err e = ERR_INIT;
    int64_t run = begin(s, 0);

    (void)unused;
    assert_ok(state_reopen_run(s, run, &later, &e), &e);
    assert_ok(state_env(s, run, &env, &e), &e);
    assert_int_equal(env.count, 2);
    assert_string_equal(opt_pairs_get(&env, "WAVE"), "three");
    assert_string_equal(opt_pairs_get(&env, "POOL"), "/srv");
    opt_pairs_release(&env);
    state_close(s);
}

/* Events wait for the next transaction, or for the end. */
static void test_events(void **unused)
{
    struct state *s = open_state();
    struct err e = ERR_INIT;
    struct buf all = {0};
    struct state_event ev = {.kind = 3, .text = (char *)"one", .stage = (char *)"verify"};
    int64_t run = begin(s, 0);

    (void)unused;
    for (int i = 0; i < 40; i++)
        assert_ok(state_add_event(s, run, &ev, &e), &e);
    ev.text = NULL;
    ev.kind = 1;
    assert_ok(state_add_event(s, run, &ev, &e), &e);
    state_close(s);
    s = state_peek(dir, "job", "m", &e);
    assert_ok(s, &e);
    assert_ok(state_events(s, run, take_texts, &all, &e), &e);
    assert_int_equal(all.len, 40 * strlen("3:one;") + strlen("1:-;"));
    assert_string_equal(all.data + all.len - 4, "1:-;");
    buf_release(&all);
    state_close(s);
}

static bool collect(void *user, const void *p, size_t plen, const void *d, size_t dlen,
                    struct err *e)
{
    struct buf *all = user;

    (void)e;
    buf_add(all, p, plen);
    buf_char(all, '|');
    buf_add(all, d, dlen);
    buf_char(all, ';');
    return true;
}

static void test_outputs(void **unused)
{
    struct state *s = open_state();
    struct err e = ERR_INIT;
    int64_t run = begin(s, 0), seq = 1;
    struct state_file file = {.part = (char *)"/o/.p", .final = (char *)"/o/f"};
    struct state_output o = {.disk = (char *)"scsi0:0", .format = (char *)"raw", .size = 77};
    struct state_outputs list = {0};
    struct buf all = {0};
    void *data;
    size_t len;

    (void)unused;
    assert_ok(VEC_PUSH(&o.files, file, &e), &e);
    assert_ok(state_add_output(s, run, &o, &e), &e);
    assert_ok(state_checkpoint(s, o.id, 10, "one", 3, "A", 1, &e), &e);
    assert_ok(state_checkpoint(s, o.id, 20, "two", 3, "", 0, &e), &e);
    o.status = OUTPUT_SEALED;
    o.tree_valid = true;
    o.tree.bytes[5] = 9;
    o.files.items[0].ino = 42;
    assert_ok(state_put_output(s, &o, &e), &e);
    assert_ok(state_list_outputs(s, run, &list, &e), &e);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].done, 20);
    assert_int_equal(list.items[0].size, 77);
    assert_int_equal(list.items[0].status, OUTPUT_SEALED);
    assert_true(list.items[0].tree_valid);
    assert_int_equal(list.items[0].tree.bytes[5], 9);
    assert_int_equal(list.items[0].files.items[0].ino, 42);
    state_outputs_release(&list);
    assert_ok(state_replay(s, o.id, collect, &all, &e), &e);
    assert_string_equal(all.data, "one|A;two|;");
    assert_ok(state_next_digests(s, o.id, &seq, &data, &len, &e), &e);
    assert_int_equal(len, 1);
    free(data);
    assert_ok(state_drop_output(s, o.id, &e), &e);
    assert_ok(state_list_outputs(s, run, &list, &e), &e);
    assert_int_equal(list.count, 0);
    buf_release(&all);
    free(o.files.items);
    state_close(s);
}

static void test_own_output(void **unused)
{
    struct state *s = open_state();
    struct err e = ERR_INIT;
    char path[700];
    struct state_output o = {.disk = (char *)"d", .format = (char *)"raw"};
    struct state_file file = {.part = (char *)"/p", .final = path};
    struct stat st;
    bool own;
    FILE *f;

    (void)unused;
    snprintf(path, sizeof(path), "%s/final", test_dir());
    f = fopen(path, "w");
    fputs("contents", f);
    fclose(f);
    stat(path, &st);
    file.ino = st.st_ino;
    file.size = (uint64_t)st.st_size;
    file.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    assert_ok(VEC_PUSH(&o.files, file, &e), &e);
    assert_ok(state_add_output(s, begin(s, 0), &o, &e), &e);
    assert_ok(state_is_own_output(s, path, &own, &e), &e);
    assert_false(own);
    o.status = OUTPUT_PUBLISHED;
    assert_ok(state_put_output(s, &o, &e), &e);
    assert_ok(state_is_own_output(s, path, &own, &e), &e);
    assert_true(own);
    f = fopen(path, "a");
    fputs("more", f);
    fclose(f);
    assert_ok(state_is_own_output(s, path, &own, &e), &e);
    assert_false(own);
    free(o.files.items);
    state_close(s);
}

static void test_peek(void **unused)
{
    struct err e = ERR_INIT;
    struct state *s;

    (void)unused;
    assert_null(state_peek(dir, "job", "nobody", &e));
    assert_int_equal(e.kind, ERR_NONE);
    state_close(open_state());
    s = state_peek(dir, "job", "m", &e);
    assert_ok(s, &e);
    state_close(s);
}

/* Overwrites bytes of the database. */
static void scribble(off_t at, const void *data, size_t len)
{
    char *path = db_path();
    int fd = open(path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, at), len);
    close(fd);
    free(path);
}

static void refused(enum err_kind kind, const char *word)
{
    struct err e = ERR_INIT;

    assert_null(state_open(dir, "job", "m", &e));
    assert_int_equal(e.kind, kind);
    if (!strstr(e.text, word))
        fail_msg("no '%s' in: %s", word, e.text);
    err_clear(&e);
    assert_ok(state_move_away(dir, "job", "m", &e), &e);
    state_close(open_state());
}

static void test_damaged(void **unused)
{
    char junk[4096];

    (void)unused;
    state_close(open_state());
    memset(junk, 0x5a, sizeof(junk));
    scribble(0, junk, sizeof(junk));
    refused(ERR_IO, "--fresh");
    scribble(4096, junk, sizeof(junk));
    refused(ERR_IO, "--fresh");
}

static void test_newer(void **unused)
{
    struct err e = ERR_INIT;
    struct state *s = open_state();

    (void)unused;
    assert_ok(db_run(s, &e, "PRAGMA user_version=99", ""), &e);
    state_close(s);
    refused(ERR_IO, "newer");
    s = open_state();
    assert_ok(db_run(s, &e, "PRAGMA application_id=7", ""), &e);
    state_close(s);
    refused(ERR_IO, "another program");
}

/* The limit on the file's size stands in for the full disk: the reserve is given up, then the state
 * refuses, and what was committed is still there. */
static void test_full(void **unused)
{
    struct state *s = open_state();
    struct err e = ERR_INIT;
    struct state_output o = {.disk = (char *)"d", .format = (char *)"raw"};
    char blob[65536] = {1};
    struct buf all = {0};
    int64_t run = begin(s, 0);
    bool ok = true;
    int count = 0;

    (void)unused;
    assert_ok(state_add_output(s, run, &o, &e), &e);
    assert_ok(db_run(s, &e, "PRAGMA max_page_count=120", ""), &e);
    assert_int_equal(access(s->reserve, F_OK), 0);
    while (ok && count < 100) {
        ok = state_checkpoint(s, o.id, 1, blob, sizeof(blob), "", 0, &e);
        count += ok;
    }
    assert_false(ok);
    assert_int_equal(e.kind, ERR_SPACE);
    assert_int_not_equal(access(s->reserve, F_OK), 0);
    state_close(s);
    err_clear(&e);
    s = open_state();
    assert_int_equal(access(s->reserve, F_OK), 0);
    assert_ok(state_replay(s, o.id, collect, &all, &e), &e);
    assert_int_equal(all.len, (size_t)count * (sizeof(blob) + 2));
    buf_release(&all);
    state_close(s);
}

/* Every statement of a checkpoint fails in turn; nothing of it is left. */
static void test_faults(void **unused)
{
    struct state *s = open_state();
    struct err e = ERR_INIT;
    struct state_output o = {.disk = (char *)"d", .format = (char *)"raw"};
    struct buf all = {0};
    long points;

    (void)unused;
    assert_ok(state_add_output(s, begin(s, 0), &o, &e), &e);
    fault_count();
    assert_ok(state_checkpoint(s, o.id, 1, "p", 1, "", 0, &e), &e);
    points = fault_disarm();
    assert_true(points > 2);
    for (long nth = 1; nth <= points; nth++) {
        fault_arm(nth);
        assert_false(state_checkpoint(s, o.id, 1, "x", 1, "", 0, &e));
        fault_disarm();
        assert_int_equal(e.kind, ERR_IO);
        err_clear(&e);
    }
    assert_ok(state_replay(s, o.id, collect, &all, &e), &e);
    assert_string_equal(all.data, "p|;");
    buf_release(&all);
    state_close(s);
}

/* A process that dies with the state open leaves it usable. */
static void test_crash(void **unused)
{
    pid_t pid = fork();
    int status;
    struct err e = ERR_INIT;
    struct state_run r = {0};
    struct state *s;

    (void)unused;
    if (pid == 0) {
        s = state_open(dir, "crash", "m", NULL);
        if (s)
            state_begin_run(s, "/j", "2026-01-01", &(struct opt_pairs){0}, 0, &(int64_t){0}, NULL);
        _exit(s ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    s = state_open(dir, "crash", "m", &e);
    assert_ok(s, &e);
    assert_ok(state_last(s, &r, &e), &e);
    assert_int_equal(r.id, 1);
    assert_int_equal(r.status, RUN_UNFINISHED);
    state_run_release(&r);
    state_close(s);
}

static void test_machines(void **unused)
{
    struct opt_texts list = {0};
    struct err e = ERR_INIT;

    (void)unused;
    state_close(state_open(dir, "fleet", "b", &e));
    state_close(state_open(dir, "fleet", "a b", &e));
    assert_ok(state_machines(dir, "fleet", &list, &e), &e);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[0], "a b");
    assert_string_equal(list.items[1], "b");
    opt_texts_release(&list);
    assert_ok(state_machines(dir, "no such", &list, &e), &e);
    assert_int_equal(list.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),   cmocka_unit_test(test_one_process),
        cmocka_unit_test(test_epoch),   cmocka_unit_test(test_runs),
        cmocka_unit_test(test_outputs), cmocka_unit_test(test_own_output),
        cmocka_unit_test(test_peek),    cmocka_unit_test(test_events),
        cmocka_unit_test(test_damaged), cmocka_unit_test(test_newer),
        cmocka_unit_test(test_full),    cmocka_unit_test(test_faults),
        cmocka_unit_test(test_crash),   cmocka_unit_test(test_machines),
        cmocka_unit_test(test_env),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
