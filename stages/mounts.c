/* Mounted devices; see mounts.h. Source: proc(5), /proc/pid/mountinfo: the third field is
 * major:minor, the fifth the mount point. */
#include "mounts.h"

#include "cleanup.h"
#include "mem.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* The device's folder in sysfs; a partition's lies inside its disk's. */
static char *sys_folder(unsigned dev_major, unsigned dev_minor)
{
    char name[64];

    snprintf(name, sizeof(name), "/sys/dev/block/%u:%u", dev_major, dev_minor);
    return realpath(name, NULL);
}

static bool part_of(const char *disk, unsigned dev_major, unsigned dev_minor)
{
    AUTO(free) char *other = sys_folder(dev_major, dev_minor);
    size_t len = strlen(disk);

    return other && !strncmp(other, disk, len) && (!other[len] || other[len] == '/');
}

bool mounts_find(const char *path, char **ret_where, struct err *e)
{
    AUTO(free) char *disk = NULL;
    AUTO(free) char *line = NULL;
    char where[PATH_MAX];
    unsigned dev_major, dev_minor;
    size_t room = 0;
    struct stat st;
    FILE *f;

    *ret_where = NULL;
    if (stat(path, &st) != 0 || !S_ISBLK(st.st_mode))
        return true;
    disk = sys_folder(major(st.st_rdev), minor(st.st_rdev));
    f = disk ? fopen("/proc/self/mountinfo", "re") : NULL;
    if (!f)
        return true;
    while (!*ret_where && getline(&line, &room, f) > 0)
        if (sscanf(line, "%*d %*d %u:%u %*s %4095s", &dev_major, &dev_minor, where) == 3 &&
            part_of(disk, dev_major, dev_minor))
            *ret_where = mem_text(where, e);
    fclose(f);
    return !e || e->kind == ERR_NONE;
}
