/* qcow2: qemu's format, versions 2 and 3. The slots and what the format can hold. */
#include "formats.h"
#include "qcow2.h"

static const char *const suffixes[] = {"qcow2", "qcow", NULL};

/* The magic number decides: a damaged qcow2 image is an error, never raw data. */
static int qcow2_probe(const struct probe *p)
{
    return p->head_len >= 4 && get_be32(p->head) == QCOW2_MAGIC ? 100 : 0;
}

const struct driver driver_qcow2 = {
    .name = "qcow2",
    .help = "qemu's format: sparse, chains, compression, snapshots",
    .suffixes = suffixes,
    .layout_version = 1,
    .limits =
        {
            .size_max = UINT64_C(1) << 61, /* 4 Mi L1 entries over clusters of 2 MiB */
            .size_multiple = 512,
            .zero_mark = true,
            .parents = true,
            .snapshots = true,
        },
    .probe = qcow2_probe,
    .open = qcow2_open,
    .close = qcow2_close,
    .map = qcow2_map,
    .parent = qcow2_parent,
    .check = qcow2_check,
    .options = qcow2_rows,
    .options_size = sizeof(struct qcow2_options),
    .create = qcow2_create,
    .place = qcow2_place,
    .seal = qcow2_seal,
    .discard = qcow2_discard,
};
