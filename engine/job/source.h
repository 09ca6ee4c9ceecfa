/* Sources: the disks and the hardware of a machine, from a VMX file, an image or a list. (OVF and
 * OVA follow the same interface.) */
#ifndef JOB_SOURCE_H
#define JOB_SOURCE_H

#include "image.h"
#include "job.h"

struct source_disk {
    char *id;          /* "scsi0:0", "ide0:1", "sata0:0", "nvme0:0"; "disk0" for listed ones */
    char *path;        /* resolved; named_inside: as `from` has it */
    char *format;      /* NULL: probe */
    bool named_inside; /* the path was read from a file of the source: goes through the gate */
    char *from;        /* named_inside: the file that named it */
};

struct source {
    struct source_disk *disks; /* by controller kind, bus, unit; skipped ones left out */
    size_t disk_count;
    struct hardware hardware; /* of the source, overlaid with the job's */
    struct opt_texts files; /* files that describe the machine (the .vmx), for identity and locks */
    struct opt_texts notes; /* what was left out and why ("cdrom ide1:0") */
};

/* ERR_IO for a missing file, ERR_FORMAT for one that is no VMX, ERR_USAGE when an override names a
 * disk that the source does not have (with the ids it has), or a machine ends without disks. */
bool source_read(const struct job *job, const struct machine *machine, struct source *ret,
                 struct err *e);
void source_release(struct source *s);

#endif
