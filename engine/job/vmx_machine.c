/* Disks and hardware out of a VMX file; see vmx.h. */
#include "vmx.h"

#include "bytes.h"
#include "text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    NICS_MAX = 16,        /* VMware allows ten */
    NUMBER_MAX = 255,     /* of a bus or unit: the largest in use is 63 */
    NAME_MAX_BYTES = 4096 /* of a disk's file name */
};

/* In the order of ${disk}. */
static const char *const controllers[] = {"scsi", "sata", "nvme", "ide"};

struct slot {
    unsigned kind, bus, unit;
};

static bool yes(const char *value)
{
    return strcasecmp(value, "TRUE") == 0 || strcasecmp(value, "yes") == 0 ||
           strcmp(value, "1") == 0;
}

static const char *get(const struct vmx *vmx, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static const char *get(const struct vmx *vmx, const char *fmt, ...)
{
    char key[128];
    va_list args;

    va_start(args, fmt);
    vsnprintf(key, sizeof(key), fmt, args);
    va_end(args);
    return vmx_get(vmx, key);
}

/* A number as VMware writes it: without leading zeros, so that each slot has one key. */
static bool number(const char **p, unsigned *ret)
{
    unsigned v = 0;

    if (!isdigit((unsigned char)**p) || (**p == '0' && isdigit((unsigned char)(*p)[1])))
        return false;
    for (; isdigit((unsigned char)**p); ++*p) {
        v = v * 10 + (unsigned)(**p - '0');
        if (v > NUMBER_MAX)
            return false;
    }
    *ret = v;
    return true;
}

/* "scsi0:1.fileName" */
static bool disk_slot(const char *key, struct slot *ret)
{
    for (unsigned i = 0; i < ARRAY_LEN(controllers); i++) {
        const char *p = key + strlen(controllers[i]);

        if (strncasecmp(key, controllers[i], strlen(controllers[i])) != 0)
            continue;
        ret->kind = i;
        return number(&p, &ret->bus) && *p++ == ':' && number(&p, &ret->unit) &&
               strcasecmp(p, ".fileName") == 0;
    }
    return false;
}

static int by_slot(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->bus != y->bus)
        return x->bus < y->bus ? -1 : 1;
    return x->unit < y->unit ? -1 : x->unit > y->unit;
}

static bool note(struct source *s, const char *id, const char *what, const char *name,
                 struct err *e)
{
    AUTO(free)
    char *text = mem_format(e, "%s: %s%s%s%s", id, what, name ? " ('" : "", name ? name : "",
                            name ? "')" : "");

    return text && opt_texts_add(&s->notes, text, e);
}

/* Why the device is no disk to move, or NULL. */
static const char *not_a_disk(const char *type, const char *name)
{
    if (type && (strcasestr(type, "cdrom") || strcasestr(type, "atapi")))
        return "a CD-ROM drive";
    if (type && (strncasecmp(type, "rawDisk", 7) == 0 || strcasestr(type, "passthr")))
        return "a physical device of the old host: it is not moved";
    if (!type && strlen(name) > 4 && strcasecmp(name + strlen(name) - 4, ".iso") == 0)
        return "a CD-ROM image";
    if (!*name || strcasecmp(name, "auto detect") == 0 ||
        strcasecmp(name, "emptyBackingString") == 0)
        return "a drive without a medium";
    return NULL;
}

static bool add_disk(const struct vmx *vmx, const struct slot *at, const char *path,
                     struct source *s, struct err *e)
{
    const char *kind = controllers[at->kind];
    const char *name = get(vmx, "%s%u:%u.fileName", kind, at->bus, at->unit);
    const char *present = get(vmx, "%s%u:%u.present", kind, at->bus, at->unit);
    const char *controller = get(vmx, "%s%u.present", kind, at->bus);
    const char *why = not_a_disk(get(vmx, "%s%u:%u.deviceType", kind, at->bus, at->unit), name);
    struct source_disk *disk;
    char id[32];

    snprintf(id, sizeof(id), "%s%u:%u", kind, at->bus, at->unit);
    if ((present && !yes(present)) || (controller && !yes(controller)))
        return true;
    if (why)
        return note(s, id, why, *name ? name : NULL, e);
    if (strlen(name) > NAME_MAX_BYTES)
        return err_set(e, ERR_FORMAT, "the file name of '%s' in '%s' is too long", id, path);
    disk = &s->disks[s->disk_count++];
    disk->id = mem_text(id, e);
    disk->path = mem_text(name, e);
    disk->from = mem_text(path, e);
    disk->named_inside = true;
    return disk->id && disk->path && disk->from;
}

static bool read_disks(const struct vmx *vmx, const char *path, struct source *s, struct err *e)
{
    AUTO(free) struct slot *slots = mem_array(vmx->count, sizeof(*slots), e);
    size_t count = 0;

    if (!slots)
        return false;
    for (size_t i = 0; i < vmx->count; i++)
        if (disk_slot(vmx->items[i].key, &slots[count]))
            count++;
    if (count)
        qsort(slots, count, sizeof(*slots), by_slot);
    s->disks = mem_array(count, sizeof(*s->disks), e);
    for (size_t i = 0; s->disks && i < count; i++) {
        if (i && by_slot(&slots[i - 1], &slots[i]) == 0)
            continue;
        if (!add_disk(vmx, &slots[i], path, s, e))
            return false;
    }
    return s->disks;
}

static bool copy(char **slot, const char *value, struct err *e)
{
    if (!value || !*value)
        return true;
    *slot = mem_text(value, e);
    return *slot;
}

/* "56 4d 1c ... 8a-0b ..." to "564d1c..-....-....-....-............". */
static bool read_uuid(const char *value, char **ret, struct err *e)
{
    char hex[33], text[37];
    size_t n = 0;

    for (const char *p = value; p && *p; p++) {
        if (isxdigit((unsigned char)*p) && n < 32)
            hex[n++] = (char)tolower((unsigned char)*p);
        else if (!strchr(" -", *p))
            return true;
    }
    if (n != 32)
        return true;
    snprintf(text, sizeof(text), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
    return copy(ret, text, e);
}

/* A whole number, or 0 for anything else. */
static uint64_t count_of(const char *value, uint64_t max)
{
    char *end;
    unsigned long long v;

    if (!value || !isdigit((unsigned char)*value))
        return 0;
    v = strtoull(value, &end, 10);
    return *end || v > max ? 0 : v;
}

static bool read_nics(const struct vmx *vmx, struct hardware *h, struct err *e)
{
    h->nics = mem_array(NICS_MAX, sizeof(*h->nics), e);
    if (!h->nics)
        return false;
    for (unsigned i = 0; i < NICS_MAX; i++) {
        const char *present = get(vmx, "ethernet%u.present", i);
        const char *model = get(vmx, "ethernet%u.virtualDev", i);
        const char *mac = get(vmx, "ethernet%u.address", i);
        const char *network = get(vmx, "ethernet%u.networkName", i);
        struct nic *nic = &h->nics[h->nic_count];

        if (!mac)
            mac = get(vmx, "ethernet%u.generatedAddress", i);
        if (!network)
            network = get(vmx, "ethernet%u.connectionType", i);
        if (present ? !yes(present) : !model && !mac)
            continue;
        h->nic_count++;
        if (!copy(&nic->model, model, e) || !copy(&nic->mac, mac, e) ||
            !copy(&nic->network, network, e))
            return false;
    }
    return true;
}

static bool read_hardware(const struct vmx *vmx, struct hardware *h, struct err *e)
{
    const char *firmware = vmx_get(vmx, "firmware"), *cpus = vmx_get(vmx, "numvcpus");

    /* memsize is in MiB; more than 64 TiB is no machine of theirs. */
    h->memory = count_of(vmx_get(vmx, "memsize"), UINT64_C(64) << 20) * MIB;
    h->cpus = cpus ? count_of(cpus, 4096) : 1;
    return copy(&h->name, vmx_get(vmx, "displayName"), e) &&
           copy(&h->guest_os, vmx_get(vmx, "guestOS"), e) &&
           copy(&h->firmware, firmware && strcasecmp(firmware, "efi") == 0 ? "uefi" : "bios", e) &&
           read_uuid(vmx_get(vmx, "uuid.bios"), &h->uuid, e) && read_nics(vmx, h, e);
}

bool vmx_source(const struct vmx *vmx, const char *path, struct source *ret, struct err *e)
{
    return read_disks(vmx, path, ret, e) && read_hardware(vmx, &ret->hardware, e);
}
