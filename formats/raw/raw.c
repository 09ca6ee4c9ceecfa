/* Raw images: the file is the disk. Guest offset and file offset are the same number, so there is
 * nothing to translate; what is left is what a plain file can tell:
 *
 *   - holes of a sparse file are zeroes that nobody needs to read (SEEK_DATA through io_extent);
 *   - a size that is no multiple of 512 reads zero padded to the next sector, as qemu does;
 *   - LUKS on the whole disk is recognised (LUKS on-disk format 1.2.3 section 2.3.1 and LUKS2 1.1.4
 *     section 2.1: magic at 0, version at 6, big-endian). It is named, and copied as it is.
 *
 * A guest owns every byte of a raw disk, the first and the last included, so it can put the header
 * of any format there. Nothing in this driver looks for one. */
#include "bytes.h"
#include "driver.h"
#include "formats.h"

enum { SECTOR = 512, UNIT = 4096 /* pages of the host's file systems: holes are made of them */ };

static int raw_probe(const struct probe *p)
{
    (void)p;
    return 1; /* anything is a raw image, when it is nothing else */
}

static bool find_luks(struct image *img, struct err *e)
{
    static const uint8_t magic[6] = {'L', 'U', 'K', 'S', 0xba, 0xbe};
    uint8_t head[8];
    unsigned version;

    if (!io_read_padded(img->io, 0, head, sizeof(head), e))
        return false;
    version = get_be16(head + 6);
    if (memcmp(head, magic, sizeof(magic)) != 0 || version < 1 || version > 2)
        return true;
    img->facts.encryption = mem_text("LUKS", e);
    return img->facts.encryption != NULL;
}

static bool raw_open(struct image *img, struct err *e)
{
    if (!img->io->size)
        return err_set(e, ERR_FORMAT, "the file is empty: it holds no disk");
    img->size = round_up(img->io->size, SECTOR);
    img->sector_size = SECTOR;
    return find_luks(img, e);
}

static bool raw_map(struct image *img, uint64_t at, uint64_t want, struct extent *ret,
                    struct err *e)
{
    uint64_t whole = round_down(img->io->size, SECTOR);
    enum io_extent_kind kind;

    if (at >= whole) { /* the sector that the file ends in */
        ret->len = want;
        ret->kind = EXTENT_DATA;
        ret->padded = true;
    } else {
        if (!io_extent(img->io, at, MIN(want, whole - at), &kind, &ret->len, e))
            return false;
        ret->kind = kind == IO_HOLE ? EXTENT_ZERO : EXTENT_DATA;
    }
    ret->io = img->io;
    ret->pos = at;
    return true;
}

enum preallocation { PREALLOCATION_OFF, PREALLOCATION_FALLOC, PREALLOCATION_FULL };

struct raw_options {
    int preallocation;
};

static const char *const preallocation_words[] = {"off", "falloc", "full", NULL};

static const struct opt_row raw_rows[] = {
    {.key = "preallocation",
     .type = OPT_WORD,
     .at = OPT_AT(struct raw_options, preallocation, int),
     .words = preallocation_words,
     .preset = "off",
     .help = "reserve the disk space at once: off leaves holes where the disk is zero, falloc and "
             "full reserve all of it"},
    {0},
};

static bool raw_create(struct target *t, const void *options, struct err *e)
{
    const struct raw_options *o = options;
    unsigned index;

    t->unit = UNIT;
    t->sequential = true;
    t->reserve = o->preallocation != PREALLOCATION_OFF;
    if (!target_add_file(t, NULL, &index, e))
        return false;
    target_extend(t, index, t->size);
    return true;
}

static bool raw_place(struct target *t, const struct place *p, struct placed *ret, struct err *e)
{
    (void)t;
    (void)e;
    *ret = (struct placed){.len = p->len, .stored = true, .pos = p->at};
    return true;
}

static bool raw_seal(struct target *t, struct err *e)
{
    (void)e;
    target_extend(t, 0, t->size);
    return true;
}

static const char *const raw_suffixes[] = {"raw", "img", NULL};

const struct driver driver_raw = {
    .name = "raw",
    .help = "the disk's bytes and nothing else",
    .suffixes = raw_suffixes,
    .layout_version = 1,
    .limits =
        {
            .size_max = INT64_MAX - INT64_MAX % SECTOR, /* the largest offset of a file */
            .size_multiple = SECTOR,
            .sectors_4k = true, /* it records no sector size, so it holds disks of any */
        },
    .probe = raw_probe,
    .open = raw_open,
    .map = raw_map,
    .options = raw_rows,
    .options_size = sizeof(struct raw_options),
    .create = raw_create,
    .place = raw_place,
    .seal = raw_seal,
};
