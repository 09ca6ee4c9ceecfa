/* Preflight: who else uses the files. qemu's locks are taken when the images are opened; here is
 * what other programs leave: mounts, VMware's lock folders and suspend files. */
#include "preflight.h"

#include "mounts.h"
#include "text.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

static bool check_mounted(struct machine_run *m, const struct machine_disk *d, struct err *e)
{
    AUTO(free) char *where = NULL;

    if (!mounts_find(d->image->path, &where, e))
        return false;
    return !where || plan_finding(m, "device.mounted", LAYER_FILE, SEVERITY_CRITICAL, ERR_BUSY,
                                  d->id, "unmount it, or read a snapshot of the device", e,
                                  "'%s' is mounted at '%s'", d->image->path, where);
}

/* VMware locks a file with a folder beside it, NAME.lck, that holds at least one file. */
static bool locked_by_folder(const char *path)
{
    AUTO(free) char *folder = mem_format(NULL, "%s.lck", path);
    struct dirent *entry;
    bool found = false;
    DIR *dir = folder ? opendir(folder) : NULL;

    while (dir && !found && (entry = readdir(dir)))
        found = entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return found;
}

static bool check_vmware_lock(struct machine_run *m, const char *path, const char *disk,
                              struct err *e)
{
    return !locked_by_folder(path) ||
           plan_finding(m, "vmware.lock", LAYER_FILE, SEVERITY_CRITICAL, ERR_BUSY, disk,
                        "power the machine off; after a crash of the host remove the folder", e,
                        "VMware has a lock on '%s' ('%s.lck')", path, path);
}

/* NAME.vmss, and NAME.vmem that belongs to it or to a running machine. */
static bool check_suspended(struct machine_run *m, const char *vmx, struct err *e)
{
    static const char *const suffixes[] = {".vmss", ".vmem"};
    const char *dot = strrchr(vmx, '.');

    for (size_t i = 0; i < 2; i++) {
        AUTO(free)
        char *path =
            mem_format(e, "%.*s%s", (int)(dot ? dot - vmx : (long)strlen(vmx)), vmx, suffixes[i]);
        struct stat st;

        if (!path)
            return false;
        if (stat(path, &st) == 0)
            return plan_finding(m, "vmware.suspended", LAYER_FILE, SEVERITY_CRITICAL, ERR_REFUSED,
                                NULL, "resume the machine and shut it down", e,
                                "the machine is suspended: '%s' holds memory that is not on its "
                                "disks",
                                path);
    }
    return true;
}

bool preflight_host(struct machine_run *m, const struct machine_disk *d, struct err *e)
{
    if (d->index == 0 && m->machine->source && text_ends(m->machine->source, ".vmx") &&
        (!check_suspended(m, m->machine->source, e) ||
         !check_vmware_lock(m, m->machine->source, NULL, e)))
        return false;
    for (const struct image *img = d->image; img; img = img->parent)
        if (!check_vmware_lock(m, img->path, d->id, e))
            return false;
    return check_mounted(m, d, e);
}
