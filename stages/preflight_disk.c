/* Preflight: what is on the virtual disk. Partition tables must be sane and inside the disk, since
 * a table that reaches past the end is the mark of a disk that was cut; encrypted volumes are
 * told. */
#include "preflight.h"

#include "bytes.h"
#include "ptable.h"
#include "text.h"

#include <string.h>

static const struct {
    enum ptable_issue issue;
    const char *id;
    enum severity severity;
    const char *advice;
} issues[] = {
    {PTABLE_PAST_END, "table.past-end", SEVERITY_CRITICAL,
     "the disk was cut or its container is older than its table: find the whole disk"},
    {PTABLE_OVERLAP, "table.overlap", SEVERITY_WARNING, NULL},
    {PTABLE_GPT_PRIMARY, "table.gpt-primary", SEVERITY_WARNING,
     "repair it in the guest: 'sgdisk -e' writes both again"},
    {PTABLE_GPT_BACKUP, "table.gpt-backup", SEVERITY_WARNING,
     "usual after a disk was grown: 'sgdisk -e' moves it to the end"},
    {PTABLE_GPT_MBR, "table.gpt-mbr", SEVERITY_WARNING,
     "some programs take the disk for an empty one: in the guest, 'gdisk' writes it again"},
    {PTABLE_BAD_ENTRY, "table.bad-entry", SEVERITY_WARNING,
     "it is left out: look at the table in the guest"},
    {PTABLE_TOO_MANY, "table.too-many", SEVERITY_INFO, NULL},
    {PTABLE_EBR_BROKEN, "table.logical", SEVERITY_WARNING, NULL},
    {PTABLE_SECTOR_SIZE, "table.sector-size", SEVERITY_WARNING,
     "the target keeps the disk's sector size: the guest will see the table as now"},
    {PTABLE_UNALIGNED, "table.unaligned", SEVERITY_INFO, NULL},
};

static bool check_table(struct machine_run *m, const struct machine_disk *d,
                        const struct ptable *table, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(issues); i++)
        if ((table->issues & issues[i].issue) &&
            !plan_finding(m, issues[i].id, LAYER_TABLE, issues[i].severity, ERR_REFUSED, d->id,
                          issues[i].advice, e, "the partition table of disk %s: %s", d->id,
                          ptable_issue_text(table, issues[i].issue)))
            return false;
    return true;
}

/* LUKS: "LUKS\xba\xbe" at byte 0 (LUKS On-Disk Format Specification 1.2.3, section 2.1; the same in
 * LUKS2). BitLocker: the boot sector's OEM name "-FVE-FS-" at byte 3. */
static bool check_encrypted(struct machine_run *m, const struct machine_disk *d, uint64_t at,
                            const char *what, struct err *e)
{
    uint8_t head[512];
    const char *kind = NULL;

    if (!range_inside(at, sizeof(head), d->image->size))
        return true;
    if (!image_read(d->image, at, head, sizeof(head), e))
        return false;
    if (!memcmp(head, "LUKS\xba\xbe", 6))
        kind = "LUKS";
    else if (!memcmp(head + 3, "-FVE-FS-", 8))
        kind = "BitLocker";
    return !kind ||
           plan_finding(m, "volume.encrypted", LAYER_VOLUME, SEVERITY_INFO, ERR_NONE, d->id, NULL,
                        e, "%s of disk %s is encrypted with %s: it is copied as it is", what, d->id,
                        kind);
}

static bool check_volumes(struct machine_run *m, const struct machine_disk *d,
                          const struct ptable *table, struct err *e)
{
    if (table->kind == PTABLE_NONE)
        return check_encrypted(m, d, 0, "the whole", e);
    for (size_t i = 0; i < table->count; i++) {
        AUTO(free) char *what = mem_format(e, "partition %u", table->items[i].number);

        if (!what || !check_encrypted(m, d, table->items[i].start, what, e))
            return false;
    }
    return true;
}

bool preflight_disk(struct machine_run *m, const struct machine_disk *d, struct err *e)
{
    struct ptable table = {0};
    bool ok = ptable_read(d->image, &table, e) && check_table(m, d, &table, e) &&
              check_volumes(m, d, &table, e);

    ptable_release(&table);
    return ok;
}
