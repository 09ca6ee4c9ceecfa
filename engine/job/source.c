/* Sources; see source.h. What the source says comes first, then the job's overrides of its disks,
 * then the job's hardware over the source's. */
#include "source.h"

#include "bytes.h"
#include "job_load.h"
#include "slurp.h"
#include "text.h"
#include "vmx.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEAD_SIZE = 64 << 10 }; /* looked at to tell a VMX file from an image */

static void disk_release(struct source_disk *disk)
{
    free(disk->id);
    free(disk->path);
    free(disk->format);
    free(disk->from);
}

void source_release(struct source *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->disk_count; i++)
        disk_release(&s->disks[i]);
    free(s->disks);
    hardware_release(&s->hardware);
    opt_texts_release(&s->files);
    opt_texts_release(&s->notes);
    *s = (struct source){0};
}

static bool has_suffix(const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);

    return n > m && strcasecmp(path + n - m, suffix) == 0;
}

static bool copy(char **slot, const char *value, struct err *e)
{
    if (!value)
        return true;
    free(*slot);
    *slot = mem_text(value, e);
    return *slot;
}

static bool read_vmx(const char *path, struct source *s, struct err *e)
{
    struct vmx vmx = {0};
    struct err own = ERR_INIT;
    size_t len;
    AUTO(free) char *text = slurp(path, VMX_MAX, &len, &own);
    bool ok;

    if (!text)
        return err_set(e, own.kind == ERR_USAGE ? ERR_FORMAT : own.kind, "%s", own.text);
    if (!vmx_parse(path, text, len, &vmx, e))
        return false;
    ok = vmx_source(&vmx, path, s, e) && opt_texts_add(&s->files, path, e);
    vmx_release(&vmx);
    return ok;
}

/* One disk that is the source itself. */
static bool read_image(const char *path, struct source *s, struct err *e)
{
    s->disks = mem_new(struct source_disk, e);
    if (!s->disks)
        return false;
    s->disk_count = 1;
    return copy(&s->disks[0].id, "disk0", e) && copy(&s->disks[0].path, path, e);
}

static bool read_named(const char *path, struct source *s, struct err *e)
{
    AUTO(free) char *head = NULL;
    size_t len;

    if (path_is_url(path))
        return read_image(path, s, e);
    head = mem_alloc(HEAD_SIZE, e);
    if (!head || !slurp_head(path, head, HEAD_SIZE, &len, e))
        return false;
    if (has_suffix(path, ".ovf") || has_suffix(path, ".ova"))
        return err_set(e, ERR_UNSUPPORTED,
                       "'%s' is an OVF machine, and reading those is not built in: unpack it and "
                       "list its disks under 'disks'",
                       path);
    if (has_suffix(path, ".vmx") || vmx_probe(head, len))
        return read_vmx(path, s, e);
    return read_image(path, s, e);
}

/* The job's own list of disks. */
static bool read_list(const struct machine *m, struct source *s, struct err *e)
{
    s->disks = mem_array(m->disk_count, sizeof(*s->disks), e);
    if (!s->disks)
        return false;
    for (size_t i = 0; i < m->disk_count; i++) {
        const struct job_disk *from = &m->disks[i];
        struct source_disk *disk;

        if (from->skip)
            continue;
        disk = &s->disks[s->disk_count++];
        disk->id = mem_format(e, "disk%zu", i);
        if (!disk->id || !copy(&disk->path, from->path, e) || !copy(&disk->format, from->format, e))
            return false;
    }
    return true;
}

static bool no_such_disk(const struct machine *m, const struct source *s, const char *id,
                         struct err *e)
{
    AUTO(buf_release) struct buf ids = {0};

    for (size_t i = 0; i < s->disk_count; i++)
        buf_format(&ids, "%s%s", i ? ", " : "", s->disks[i].id);
    return err_set(e, ERR_USAGE, "the source of machine '%s' has no disk '%s'; it has: %s", m->name,
                   id, ids.data ? ids.data : "none");
}

static bool replace_disk(const struct job_disk *by, struct source_disk *disk, struct err *e)
{
    if (by->path) {
        disk->named_inside = false;
        free(TAKE(disk->from));
    }
    return copy(&disk->path, by->path, e) && copy(&disk->format, by->format, e);
}

/* Overrides by id; all are looked up before the skipped ones are dropped. */
static bool override_disks(const struct machine *m, struct source *s, struct err *e)
{
    AUTO(free) bool *skip = mem_array(s->disk_count, sizeof(*skip), e);
    size_t left = 0;

    if (!skip)
        return false;
    for (size_t i = 0; i < m->disk_count; i++) {
        size_t at = 0;

        while (at < s->disk_count && strcasecmp(s->disks[at].id, m->disks[i].id) != 0)
            at++;
        if (at == s->disk_count)
            return no_such_disk(m, s, m->disks[i].id, e);
        skip[at] = m->disks[i].skip;
        if (!replace_disk(&m->disks[i], &s->disks[at], e))
            return false;
    }
    for (size_t i = 0; i < s->disk_count; i++) {
        if (skip[i])
            disk_release(&s->disks[i]);
        else
            s->disks[left++] = s->disks[i];
    }
    s->disk_count = left;
    return true;
}

static bool overlay_nics(const struct hardware *by, struct hardware *h, struct err *e)
{
    struct nic *nics;

    if (!by->nic_count)
        return true;
    nics = mem_array(by->nic_count, sizeof(*nics), e);
    if (!nics)
        return false;
    nics_release(h);
    h->nics = nics;
    for (; h->nic_count < by->nic_count; h->nic_count++) {
        const struct nic *from = &by->nics[h->nic_count];
        struct nic *nic = &nics[h->nic_count];

        if (!copy(&nic->model, from->model, e) || !copy(&nic->mac, from->mac, e) ||
            !copy(&nic->network, from->network, e)) {
            h->nic_count++;
            return false;
        }
    }
    return true;
}

static bool overlay_hardware(const struct hardware *by, struct hardware *h, struct err *e)
{
    if (by->memory)
        h->memory = by->memory;
    if (by->cpus)
        h->cpus = by->cpus;
    return copy(&h->name, by->name, e) && copy(&h->firmware, by->firmware, e) &&
           copy(&h->guest_os, by->guest_os, e) && copy(&h->uuid, by->uuid, e) &&
           overlay_nics(by, h, e);
}

static bool read_all(const struct machine *m, struct source *s, struct err *e)
{
    if (m->source ? !read_named(m->source, s, e) || !override_disks(m, s, e) : !read_list(m, s, e))
        return false;
    if (!s->disk_count)
        return err_set(e, ERR_USAGE, "machine '%s' has no disks%s%s", m->name,
                       s->notes.count ? ": left out are " : "",
                       s->notes.count ? s->notes.items[0] : "");
    return overlay_hardware(&m->hardware, &s->hardware, e);
}

bool source_read(const struct job *job, const struct machine *machine, struct source *ret,
                 struct err *e)
{
    struct source s = {0};

    (void)job;
    if (!read_all(machine, &s, e)) {
        source_release(&s);
        return false;
    }
    *ret = s;
    return true;
}
