/* Partition tables: MBR with extended (EBR) chains, and GPT with both headers. Read only; through
 * any reader of guest bytes. Sources: UEFI Specification 2.10 section 5 (GPT, protective MBR); the
 * MBR layout as documented there in 5.2.1; the numbering of logical partitions is Linux's. */
#ifndef IMAGE_PTABLE_H
#define IMAGE_PTABLE_H

#include "image.h"

enum ptable_kind { PTABLE_NONE, PTABLE_MBR, PTABLE_GPT };

enum {
    PTABLE_PARTITIONS_MAX = 256
}; /* GPT tables in use have 128 entries; EBR chains end far earlier */

struct partition {
    unsigned number;       /* as Linux counts: 1-4 primary, 5.. logical; GPT entry + 1 */
    uint64_t start, len;   /* bytes; an end past 2^63 is cut to it (and is PTABLE_PAST_END) */
    uint8_t type;          /* MBR type; 0 for GPT. The extended partition is listed too */
    uint8_t type_guid[16]; /* GPT, as on disk */
    uint8_t guid[16];
    char name[112]; /* GPT, UTF-8; 36 UTF-16 units are at most 108 bytes */
    bool active;    /* MBR boot flag */
};

enum ptable_issue {
    PTABLE_PAST_END = 1,    /* a partition ends past the disk */
    PTABLE_OVERLAP = 2,     /* with another, or with the table itself */
    PTABLE_GPT_PRIMARY = 4, /* primary header or table bad; the backup was used, if there is one */
    PTABLE_GPT_BACKUP = 8,  /* backup bad, or not at the end of the disk */
    PTABLE_EBR_BROKEN =
        16, /* the chain of logical partitions is cyclic or leaves the extended one */
    PTABLE_SECTOR_SIZE = 32, /* written for another sector size than the disk's */
    PTABLE_UNALIGNED = 64,   /* a partition does not start at a multiple of 4096 bytes */
    PTABLE_GPT_MBR = 128,    /* a GPT without its protective MBR */
    PTABLE_TOO_MANY = 256,   /* more than PTABLE_PARTITIONS_MAX: the rest counts in `end` only */
    PTABLE_BAD_ENTRY = 512,  /* a GPT entry that ends before it starts, or starts past 2^63 */
};
enum {
    PTABLE_ISSUES = 10,
    PTABLE_TEXT_MAX = 128, /* the longest names three numbers */
};

struct ptable {
    enum ptable_kind kind;
    uint32_t sector_size; /* the one the table was written for */
    struct partition *items;
    size_t count;
    unsigned issues;                                  /* enum ptable_issue */
    char issue_texts[PTABLE_ISSUES][PTABLE_TEXT_MAX]; /* what and where, by the issue's bit */
    char issue_text[512]; /* all of them, as far as they fit; empty without issues */
    bool hybrid;          /* GPT with real MBR entries as well */
    uint64_t end;         /* first byte behind the last partition, unlisted ones included */
    uint64_t backup_len;  /* GPT: bytes of the backup table and header, at the end of the disk */
    uint64_t backup_end;  /* GPT: first byte behind the backup header as recorded; 0: none found */
};

/* An unpartitioned disk is kind NONE, not an error; errors are read errors only. A disk whose MBR
 * announces a GPT of which nothing is left is kind GPT with both GPT issues and no partitions. */
bool ptable_read(struct image *img, struct ptable *ret, struct err *e);
void ptable_release(struct ptable *p);
/* What was found of one issue; empty without it. */
const char *ptable_issue_text(const struct ptable *p, enum ptable_issue issue);
/* First byte behind the last partition (and behind the backup GPT's need, when `with_backup`); 0
 * without table. */
uint64_t ptable_end(const struct ptable *p, bool with_backup);

#endif
