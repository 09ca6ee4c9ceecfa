/* preflight: every check that needs no write. Findings are made while planning, which comes before
 * every run; the plan's verdict refuses what is critical and not accepted. */
#include "preflight.h"

#include "bytes.h"
#include "stages.h"
#include "text.h"

#include <string.h>

enum preflight_for { FOR_KVM, FOR_AZURE, FOR_COMPACT };
enum preflight_guest { GUEST_AUTO, GUEST_YES, GUEST_NO };
static const char *const for_words[] = {"kvm", "azure", "compact", NULL};
static const char *const guest_words[] = {"auto", "yes", "no", NULL};
static const char *const severity_words[] = {"info", "warning", "critical", NULL};

struct preflight_options {
    int target, guest, fail_on;
    struct opt_pairs accept;
};

static const struct opt_row rows[] = {
    {.key = "for",
     .type = OPT_WORD,
     .at = OPT_AT(struct preflight_options, target, int),
     .words = for_words,
     .preset = "kvm",
     .help = "what the result is for: adds that platform's checks"},
    {.key = "fail_on",
     .type = OPT_WORD,
     .at = OPT_AT(struct preflight_options, fail_on, int),
     .words = severity_words,
     .preset = "critical",
     .help = "refuse the machine from this severity on"},
    {.key = "accept",
     .type = OPT_PAIRS,
     .at = OPT_AT(struct preflight_options, accept, struct opt_pairs),
     .help = "findings to go on with, by id, each with the reason, which is recorded; never of a "
             "chain or of damage"},
    {.key = "guest",
     .type = OPT_WORD,
     .at = OPT_AT(struct preflight_options, guest, int),
     .words = guest_words,
     .preset = "auto",
     .help = "look into the guest's filesystems; auto: when a later stage needs it"},
    {0},
};

static bool check(struct machine_run *m, unsigned index, struct err *e)
{
    const struct preflight_options *o = stage_options(m, index);

    m->accept = &o->accept;
    m->fail_on = (enum severity)o->fail_on;
    return o->guest != GUEST_YES ||
           err_set(e, ERR_UNSUPPORTED,
                   "'guest: yes' needs a strata that was built with libguestfs: use 'guest: no'");
}

static bool check_azure(struct machine_run *m, const struct machine_disk *d, struct err *e)
{
    /* Azure: at most 4095 GiB for a generation 1 operating system disk, whole MiB for all */
    if (d->image->size > 4095 * GIB &&
        !plan_finding(m, "azure.size", LAYER_DEVICE, SEVERITY_CRITICAL, ERR_REFUSED, d->id,
                      "shrink the disk first", e, "disk %s has %s, Azure takes 4095 GiB", d->id,
                      SIZE_TEXT(d->image->size)))
        return false;
    return d->image->size % MIB == 0 ||
           plan_finding(m, "azure.alignment", LAYER_DEVICE, SEVERITY_WARNING, ERR_NONE, d->id,
                        "the size must be rounded up to a whole MiB", e,
                        "disk %s has a size of %llu bytes, no whole number of MiB", d->id,
                        (unsigned long long)d->image->size);
}

static bool check_networks(struct machine_run *m, struct err *e)
{
    const struct hardware *h = &m->source.hardware;

    for (size_t i = 0; i < h->nic_count; i++) {
        bool mapped = !h->nics[i].network;

        for (size_t n = 0; !mapped && n < m->job->network_count; n++)
            mapped = !strcmp(m->job->networks[n].name, h->nics[i].network);
        if (!mapped && !plan_finding(m, "network.unmapped", LAYER_DEVICE, SEVERITY_INFO, ERR_NONE,
                                     NULL, "add it to 'networks:' in the job file", e,
                                     "the network '%s' has no mapping", h->nics[i].network))
            return false;
    }
    return true;
}

static bool check_compact(struct machine_run *m, const struct machine_disk *d, struct err *e)
{
    return !d->image->facts.snapshot_count ||
           plan_finding(m, "compact.snapshots", LAYER_CONTAINER, SEVERITY_WARNING, ERR_NONE, d->id,
                        "delete those that are not needed", e,
                        "disk %s has %zu internal snapshots, which hold the space they use", d->id,
                        d->image->facts.snapshot_count);
}

static bool plan(struct machine_run *m, unsigned index, struct plan_stage *row, struct err *e)
{
    const struct preflight_options *o = stage_options(m, index);

    for (size_t i = 0; i < m->source.disk_count; i++) {
        const struct machine_disk *d = &m->disks[i];

        if (!preflight_image(m, d, e) || !preflight_host(m, d, e) ||
            (!preflight_encrypted(d->image) && !preflight_disk(m, d, e)) ||
            (o->target == FOR_AZURE && !check_azure(m, d, e)) ||
            (o->target == FOR_COMPACT && !check_compact(m, d, e)))
            return false;
    }
    if (o->target == FOR_KVM && !check_networks(m, e))
        return false;
    row->what = mem_text("checks chain, image, locks, partitions and space", e);
    return row->what;
}

const struct stage stage_preflight = {
    .name = "preflight",
    .help = "checks everything that can be checked without writing",
    .layers = LAYER_FILE | LAYER_CONTAINER | LAYER_DEVICE | LAYER_TABLE | LAYER_VOLUME |
              LAYER_FILESYSTEM | LAYER_GUEST,
    .flags = STAGE_EVERY,
    .options = rows,
    .options_size = sizeof(struct preflight_options),
    .shorthand = "for",
    .check = check,
    .plan = plan,
};
