/* VMX files: VMware's description of a machine, lines of `key = "value"`.
 *
 * Reading is lenient, as VMware's own is: keys in any case, values with or without quotes, unknown
 * lines left alone, the last of equal keys wins. Values are given as UTF-8 whatever `.encoding`
 * says, with the |XX escapes undone. */
#ifndef JOB_VMX_H
#define JOB_VMX_H

#include "source.h"

struct vmx {
    struct vmx_entry {
        char *key, *value;
        size_t line;
    } * items; /* sorted by key, then line */
    size_t count, room;
};

enum { VMX_MAX = 1 << 20 }; /* VMware's own files have some kilobytes */

/* True when text looks like the start of a VMX file. */
bool vmx_probe(const char *text, size_t len);
/* ERR_FORMAT when it is no VMX at all: binary, or without a single entry. */
bool vmx_parse(const char *name, const char *text, size_t len, struct vmx *ret, struct err *e);
void vmx_release(struct vmx *vmx);
/* NULL when the key is not there. */
const char *vmx_get(const struct vmx *vmx, const char *key);

/* Disks by controller kind (scsi, sata, nvme, ide), bus, unit, named inside `path`; hardware; notes
 * on what is left out. Appends to `ret`. */
bool vmx_source(const struct vmx *vmx, const char *path, struct source *ret, struct err *e);

#endif
