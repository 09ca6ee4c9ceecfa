/* Outputs of a run; see publish.h. The files themselves are engine/image/output.h's matter: here is
 * what of them is recorded, and in which order. */
#include "publish.h"

#include "file.h"
#include "identity.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void run_output_free(struct run_output *o)
{
    if (!o)
        return;
    for (size_t i = 0; o->held && i < o->row.files.count; i++)
        io_free(o->held[i]);
    free(o->held);
    output_free(o->files);
    target_free(o->target);
    state_output_release(&o->row);
    free(o);
}

static bool same_digest(const struct digest_value *a, const struct digest_value *b)
{
    return !memcmp(a->bytes, b->bytes, DIGEST_SIZE);
}

static bool remove_part(const struct state_file *f, struct opt_texts *removed, struct err *e)
{
    struct stat st;

    if (!strcmp(f->part, f->final) || lstat(f->part, &st) != 0)
        return true;
    if (f->ino && st.st_ino != f->ino)
        return true; /* not what we made */
    if (unlink(f->part) != 0 && errno != ENOENT)
        return err_errno(e, ERR_IO, errno, "cannot remove '%s'", f->part);
    return !removed || opt_texts_add(removed, f->part, e);
}

/* The parts go first: a crash in between leaves a row whose parts are known to be missing. */
static bool drop(struct state *s, const struct state_output *o, struct opt_texts *removed,
                 struct err *e)
{
    for (size_t i = 0; o->status != OUTPUT_PUBLISHED && i < o->files.count; i++)
        if (!remove_part(&o->files.items[i], removed, e))
            return false;
    return state_drop_output(s, o->id, e);
}

bool run_outputs_undo(struct state *s, int64_t run, struct opt_texts *removed, struct err *e)
{
    struct state_outputs list = {0};
    bool ok = state_list_outputs(s, run, &list, e);

    for (size_t i = 0; ok && i < list.count; i++)
        if (list.items[i].status != OUTPUT_PUBLISHED)
            ok = drop(s, &list.items[i], removed, e);
    state_outputs_release(&list);
    return ok;
}

static bool wanted(const struct machine_run *m, const struct state_output *o)
{
    for (size_t i = 0; i < m->machine->stage_count; i++)
        if (same_digest(&o->stage, &m->identities[i]))
            return true;
    return false;
}

static bool take_over(struct machine_run *m, struct state_output *row, struct err *e)
{
    struct run_output *o = mem_new(struct run_output, e);

    if (!o || !VEC_PUSH(&m->outputs, o, e)) {
        free(o);
        return false;
    }
    o->row = *row;
    *row = (struct state_output){0};
    return true;
}

bool run_outputs_load(struct machine_run *m, struct err *e)
{
    struct state_outputs list = {0};
    bool ok = state_list_outputs(m->state, m->run, &list, e);

    for (size_t i = 0; ok && i < list.count; i++)
        ok = !wanted(m, &list.items[i]) || take_over(m, &list.items[i], e);
    state_outputs_release(&list);
    return ok;
}

bool run_outputs_prune(struct machine_run *m, struct err *e)
{
    struct state_outputs list = {0};
    bool ok = state_list_outputs(m->state, m->run, &list, e);

    for (size_t i = 0; ok && i < list.count; i++)
        ok = wanted(m, &list.items[i]) || drop(m->state, &list.items[i], NULL, e);
    state_outputs_release(&list);
    return ok;
}

void run_tag(const struct machine_run *m, char tag[RUN_TAG_MAX])
{
    struct digest_value d;
    char hex[DIGEST_HEX_MAX];
    char *text = mem_format(NULL, "%s/%s", m->job->name, m->machine->name);

    digest_sha256(text ? text : "", text ? strlen(text) : 0, &d);
    hex_encode(d.bytes, 4, hex);
    snprintf(tag, RUN_TAG_MAX, "run-%.8s", hex);
    free(text);
}

static bool of_stage(const struct machine_run *m, const struct run_output *o)
{
    return same_digest(&o->row.stage, &m->identities[m->stage]);
}

struct run_output *run_output_find(struct machine_run *m, const char *disk)
{
    for (size_t i = 0; i < m->outputs.count; i++) {
        struct run_output *o = m->outputs.items[i];

        if (of_stage(m, o) && !strcmp(o->row.disk, disk))
            return o;
    }
    return NULL;
}

static bool forget(struct machine_run *m, struct run_output *o, struct err *e)
{
    size_t i = 0;

    if (!drop(m->state, &o->row, NULL, e))
        return false;
    while (m->outputs.items[i] != o)
        i++;
    memmove(&m->outputs.items[i], &m->outputs.items[i + 1],
            (m->outputs.count - i - 1) * sizeof(*m->outputs.items));
    m->outputs.count--;
    run_output_free(o);
    return true;
}

bool run_outputs_drop(struct machine_run *m, struct err *e)
{
    for (size_t i = m->outputs.count; i-- > 0;)
        if (of_stage(m, m->outputs.items[i]) && !forget(m, m->outputs.items[i], e))
            return false;
    return true;
}

static bool parts_there(const struct state_output *o)
{
    struct stat st;

    for (size_t i = 0; i < o->files.count; i++) {
        const struct state_file *f = &o->files.items[i];

        if ((lstat(f->part, &st) != 0 && lstat(f->final, &st) != 0) || st.st_ino != f->ino)
            return false;
    }
    return true;
}

bool run_outputs_complete(struct machine_run *m)
{
    bool any = false;

    for (size_t i = 0; i < m->outputs.count; i++) {
        const struct run_output *o = m->outputs.items[i];

        if (!of_stage(m, o))
            continue;
        any = true;
        if (o->row.status < OUTPUT_SEALED ||
            (o->row.status == OUTPUT_PUBLISHED ? !run_output_intact(&o->row)
                                               : !parts_there(&o->row)))
            return false;
    }
    return any;
}

/* True when the parts are what the state says, so that the output can be continued. Without a
 * checkpoint there is nothing to continue: a new file is better than one with unknown contents. */
static bool can_continue(const struct run_output *o, const struct output *files,
                         const struct output_request *rq)
{
    struct stat st;

    if (o->row.status != OUTPUT_WRITING || !o->row.done ||
        !same_digest(&o->row.recipe, &rq->recipe) || o->row.files.count != files->count)
        return false;
    for (size_t i = 0; i < files->count; i++) {
        const struct state_file *f = &o->row.files.items[i];

        if (strcmp(f->part, files->files[i].part) != 0 || lstat(f->part, &st) != 0 ||
            st.st_ino != f->ino)
            return false;
    }
    return true;
}

static bool fill_row(struct machine_run *m, struct state_output *row, const struct target *t,
                     const struct output *files, const struct output_request *rq, struct err *e)
{
    row->stage = m->identities[m->stage];
    row->disk = mem_text(rq->disk, e);
    row->format = mem_text(rq->format, e);
    row->recipe = rq->recipe;
    row->size = t->size;
    row->replaces = rq->replace;
    if (!row->disk || !row->format)
        return false;
    for (size_t i = 0; i < files->count; i++) {
        struct state_file f = {.part = mem_text(files->files[i].part, e),
                               .final = mem_text(files->files[i].final, e)};

        if (!f.part || !f.final || !VEC_PUSH(&row->files, f, e)) {
            free(f.part);
            free(f.final);
            return false;
        }
    }
    return true;
}

static unsigned create_flags(const struct machine_run *m, const struct output_request *rq)
{
    return (rq->replace ? OUTPUT_OVERWRITE : 0) | (m->job->policy.direct ? OUTPUT_DIRECT : 0);
}

/* The intent is durable before the first file is made. */
static bool begin_new(struct machine_run *m, struct run_output *o, const struct output_request *rq,
                      struct err *e)
{
    if (!fill_row(m, &o->row, o->target, o->files, rq, e) ||
        !output_check(o->files, rq->replace ? OUTPUT_OVERWRITE : 0, e) ||
        !state_add_output(m->state, m->run, &o->row, e) ||
        !output_create(o->files, create_flags(m, rq), e))
        return false;
    for (size_t i = 0; i < o->files->count; i++)
        o->row.files.items[i].ino = o->files->files[i].ino;
    if (!output_device_begin(o->files, false, e))
        return false;
    o->row.status = OUTPUT_WRITING;
    return state_put_output(m->state, &o->row, e);
}

bool run_output_begin(struct machine_run *m, struct target *target, const struct output_request *rq,
                      struct run_output **ret, struct err *e)
{
    struct run_output *o = run_output_find(m, rq->disk);
    struct output *files;
    char tag[RUN_TAG_MAX];

    run_tag(m, tag);
    files = output_new(target, rq->dir, tag, e);
    if (!files) {
        target_free(target);
        return false;
    }
    if (o && can_continue(o, files, rq)) {
        o->target = target;
        o->files = files;
        *ret = o;
        return output_create(files, OUTPUT_RESUME | create_flags(m, rq), e) &&
               output_device_begin(files, true, e);
    }
    if ((o && !forget(m, o, e)) || !(o = mem_new(struct run_output, e)) ||
        !VEC_PUSH(&m->outputs, o, e)) {
        output_free(files);
        target_free(target);
        if (o && (!m->outputs.count || m->outputs.items[m->outputs.count - 1] != o))
            free(o);
        return false;
    }
    o->target = target;
    o->files = files;
    *ret = o;
    return begin_new(m, o, rq, e);
}

static bool note_file(struct state_file *f, const char *path, struct err *e)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return err_errno(e, ERR_IO, errno, "cannot look at '%s'", path);
    f->size = (uint64_t)st.st_size;
    f->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return true;
}

bool run_output_seal(struct machine_run *m, struct run_output *o, const struct digest_value *tree,
                     struct err *e)
{
    if (!output_device_end(o->files, e))
        return false;
    for (size_t i = 0; i < o->row.files.count; i++)
        if (!note_file(&o->row.files.items[i], o->row.files.items[i].part, e))
            return false;
    if (tree)
        o->row.tree = *tree;
    o->row.tree_valid = tree != NULL;
    o->row.status = OUTPUT_SEALED;
    return state_put_output(m->state, &o->row, e);
}

const char *run_output_path(const struct run_output *o, size_t file)
{
    const struct state_file *f = &o->row.files.items[file];
    struct stat st;

    return lstat(f->part, &st) == 0 && st.st_ino == f->ino ? f->part : f->final;
}

bool run_output_hold(struct run_output *o, struct err *e)
{
    if (o->target || o->held || o->row.status == OUTPUT_PUBLISHED)
        return true;
    o->held = mem_array(o->row.files.count, sizeof(*o->held), e);
    for (size_t i = 0; o->held && i < o->row.files.count; i++) {
        o->held[i] = file_open(run_output_path(o, i), FILE_WRITE, e);
        if (!o->held[i] || !file_lock(o->held[i], FILE_LOCK_WRITE, e))
            return false;
    }
    return o->held;
}

/* A name that appeared while we were writing is not ours to replace. */
static bool may_rename(struct machine_run *m, const struct state_output *o,
                       const struct state_file *f, struct err *e)
{
    bool own = false;
    struct stat st;

    if (o->replaces || lstat(f->final, &st) != 0 || st.st_ino == f->ino)
        return true;
    if (!state_is_own_output(m->state, f->final, &own, e))
        return false;
    return own || err_set(e, ERR_REFUSED,
                          "'%s' appeared while its contents were being written: move it away and "
                          "run the same command again",
                          f->final);
}

static bool rename_files(struct machine_run *m, const struct state_output *o, struct err *e)
{
    for (size_t i = o->files.count; i-- > 0;) {
        const struct state_file *f = &o->files.items[i];

        if (!strcmp(f->part, f->final))
            continue;
        if (!may_rename(m, o, f, e) || !output_rename(f->part, f->final, (ino_t)f->ino, e))
            return false;
    }
    return file_sync_dir(o->files.items[0].final, e);
}

bool run_publish(struct machine_run *m, struct err *e)
{
    bool any = false;

    for (size_t i = 0; i < m->outputs.count; i++) {
        struct state_output *o = &m->outputs.items[i]->row;

        any = any || o->status == OUTPUT_SEALED || o->status == OUTPUT_PUBLISHING;
    }
    if (!any)
        return true;
    if (!facts_hold(&m->facts, e))
        return err_while(e, "nothing was published");
    for (size_t i = 0; i < m->outputs.count; i++) {
        struct state_output *o = &m->outputs.items[i]->row;

        if (o->status != OUTPUT_SEALED)
            continue;
        o->status = OUTPUT_PUBLISHING;
        if (!state_put_output(m->state, o, e))
            return false;
    }
    for (size_t i = 0; i < m->outputs.count; i++) {
        struct state_output *o = &m->outputs.items[i]->row;

        if (o->status != OUTPUT_PUBLISHING)
            continue;
        if (!rename_files(m, o, e))
            return false;
        o->status = OUTPUT_PUBLISHED;
        if (!state_put_output(m->state, o, e))
            return false;
        run_event(m, EVENT_CHECKPOINT, o->disk, "published '%s'", o->files.items[0].final);
    }
    return true;
}

bool run_output_intact(const struct state_output *o)
{
    struct stat st;

    for (size_t i = 0; i < o->files.count; i++) {
        const struct state_file *f = &o->files.items[i];

        if (stat(f->final, &st) != 0)
            return false;
        if (S_ISBLK(st.st_mode))
            continue;
        if (st.st_ino != f->ino || (uint64_t)st.st_size != f->size ||
            (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec != f->mtime_ns)
            return false;
    }
    return true;
}
