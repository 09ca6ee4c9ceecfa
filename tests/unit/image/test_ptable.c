/* Partition tables: hand-made ones, damaged in each way, and those of sfdisk and sgdisk.
 * label: quick */
#include "ptable_build.h"

#include "test.h"

#include "driver.h"
#include "formats.h"
#include "io.h"

#include <stdio.h>
#include <stdlib.h>

enum { DISK = 8 << 20 };

static const struct driver *const drivers[] = {&driver_raw, NULL};
static uint8_t disk[DISK + (1 << 20)];

/* Reads the table of the first `size` bytes of `disk`. */
static struct ptable read_table(uint64_t size, uint32_t sector_size)
{
    struct image_options options = {.format = "raw", .lock = IMAGE_LOCK_NONE};
    struct err e = ERR_INIT;
    struct io *io = io_memory("disk", size, &e);
    struct ptable t;
    struct image *img;

    assert_ok(io && io_write(io, 0, disk, size, &e), &e);
    img = image_open_io(io, "disk", NULL, &options, &e);
    assert_ok(img, &e);
    img->sector_size = sector_size;
    assert_ok(ptable_read(img, &t, &e), &e);
    image_free(img);
    return t;
}

static void clear(void)
{
    memset(disk, 0, sizeof(disk));
}

/* Partitions as number:start+sectors in sectors of the table. */
static void assert_table(struct ptable *t, enum ptable_kind kind, unsigned issues, const char *list)
{
    char text[2000] = "";
    size_t len = 0;

    for (size_t i = 0; i < t->count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u:%llu+%llu", i ? " " : "",
                                t->items[i].number,
                                (unsigned long long)(t->items[i].start / t->sector_size),
                                (unsigned long long)(t->items[i].len / t->sector_size));
    if (t->kind != kind || t->issues != issues || strcmp(text, list) != 0)
        fail_msg("kind %d, issues %u (%s), partitions %s", t->kind, t->issues, t->issue_text, text);
    assert_int_equal(t->issue_text[0] != 0, issues != 0);
    ptable_release(t);
}

static void test_none(void **state)
{
    struct ptable t;

    (void)state;
    clear();
    t = read_table(DISK, 512);
    assert_int_equal(ptable_end(&t, true), 0);
    assert_table(&t, PTABLE_NONE, 0, "");
    t = read_table(512, 512);
    assert_table(&t, PTABLE_NONE, 0, "");
    mbr_put(disk, 0, 0x13, 0x83, 8, 8); /* status of no table: text of a boot sector */
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_NONE, 0, "");

    clear(); /* a FAT volume on the whole disk */
    memcpy(disk, "\xeb\x3c\x90MSDOS5.0\0\2\4", 14);
    disk[21] = 0xf8;
    mbr_put(disk, 0, 0, 0, 0, 0);
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_NONE, 0, "");
    mbr_put(disk, 0, 0x80, 0x0c, 64, 64); /* an MBR that kept such a block */
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, 0, "1:64+64");
}

static void test_mbr(void **state)
{
    struct ptable t;

    (void)state;
    clear();
    mbr_put(disk, 0, 0x80, 0x83, 2048, 2048);
    mbr_put(disk, 1, 0, 0x07, 4096, 8192);
    t = read_table(DISK, 512);
    assert_true(t.items[0].active);
    assert_false(t.items[1].active);
    assert_int_equal(t.items[1].type, 7);
    assert_int_equal(ptable_end(&t, false), 12288 * 512);
    assert_int_equal(ptable_end(&t, true), 12288 * 512);
    assert_table(&t, PTABLE_MBR, 0, "1:2048+2048 2:4096+8192");

    mbr_put(disk, 1, 0, 0x07, 4095, 8192);
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, PTABLE_OVERLAP | PTABLE_UNALIGNED, "1:2048+2048 2:4095+8192");
    mbr_put(disk, 1, 0, 0x07, 8192, 8193);
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, PTABLE_PAST_END, "1:2048+2048 2:8192+8193");
    mbr_put(disk, 1, 0, 0x07, 0xffffffff, 0xffffffff);
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, PTABLE_PAST_END | PTABLE_UNALIGNED,
                 "1:2048+2048 2:4294967295+4294967295");

    clear();
    mbr_put(disk, 2, 0, 0x83, 256, 1000);
    t = read_table(DISK, 4096);
    assert_int_equal(t.sector_size, 4096);
    assert_table(&t, PTABLE_MBR, 0, "3:256+1000");
    mbr_put(disk, 2, 0, 0x83, 2048, 8192);
    t = read_table(DISK, 4096);
    assert_int_equal(t.sector_size, 512);
    assert_table(&t, PTABLE_MBR, PTABLE_SECTOR_SIZE, "3:2048+8192");

    clear();
    mbr_put(disk, 0, 0, 0, 0, 0);
    t = read_table(DISK, 512);
    assert_int_equal(ptable_end(&t, false), 512);
    assert_table(&t, PTABLE_MBR, 0, "");
}

/* An extended partition at 4096 with 8192 sectors and two logical ones. */
static void build_logical(void)
{
    clear();
    mbr_put(disk, 0, 0, 0x83, 2048, 2048);
    mbr_put(disk, 1, 0, 0x0f, 4096, 8192);
    mbr_put(disk + 4096 * 512, 0, 0, 0x83, 8, 1000);
    mbr_put(disk + 4096 * 512, 1, 0, 0x05, 2048, 4096);
    mbr_put(disk + 6144 * 512, 0, 0, 0x82, 16, 2000);
}

static void test_logical(void **state)
{
    static const char both[] = "1:2048+2048 2:4096+8192 5:4104+1000 6:6160+2000";
    struct ptable t;

    (void)state;
    build_logical();
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, 0, both);

    mbr_put(disk + 6144 * 512, 1, 0, 0x05, 0, 4096); /* back to the first */
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, PTABLE_EBR_BROKEN, both);
    mbr_put(disk + 6144 * 512, 1, 0, 0x05, 2048, 4096); /* to itself */
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, PTABLE_EBR_BROKEN, both);
    mbr_put(disk + 6144 * 512, 1, 0, 0x05, 8192, 4096); /* out of the extended one */
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, PTABLE_EBR_BROKEN, both);
    mbr_put(disk + 6144 * 512, 1, 0, 0x05, 8000, 4096); /* where no table is */
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, PTABLE_EBR_BROKEN, both);

    build_logical();
    mbr_put(disk + 6144 * 512, 0, 0, 0x82, 16, 9000);
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, PTABLE_EBR_BROKEN,
                 "1:2048+2048 2:4096+8192 5:4104+1000 6:6160+9000");
    build_logical();
    mbr_put(disk + 6144 * 512, 2, 0, 0x82, 9000, 9000); /* rubbish in the third entry */
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, 0, both);
    build_logical();
    mbr_put(disk, 1, 0, 0x0f, 4096, 0xfffff000); /* logical ones keep being found */
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, PTABLE_PAST_END,
                 "1:2048+2048 2:4096+4294963200 5:4104+1000 6:6160+2000");
    mbr_put(disk + 6144 * 512, 1, 0, 0x05, 0x7fffffff, 4096);
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, PTABLE_PAST_END | PTABLE_EBR_BROKEN,
                 "1:2048+2048 2:4096+4294963200 5:4104+1000 6:6160+2000");
}

static void test_many_logical(void **state)
{
    struct ptable t;

    (void)state;
    clear();
    mbr_put(disk, 0, 0, 0x05, 64, 16000);
    for (uint32_t i = 0; i < 1000; i++) {
        mbr_put(disk + (64 + 8 * i) * 512, 0, 0, 0x83, 1, 1);
        mbr_put(disk + (64 + 8 * i) * 512, 1, 0, 0x05, 8 * (i + 1), 8);
    }
    t = read_table(DISK, 512);
    assert_int_equal(t.count, PTABLE_PARTITIONS_MAX);
    assert_true(t.issues & PTABLE_TOO_MANY);
    assert_true(t.issues & PTABLE_EBR_BROKEN);
    assert_int_equal(t.end, 16064 * 512);
    ptable_release(&t);
}

static const struct gpt_layout usual = {512, 128, 128, DISK / 512};
static const struct gpt_layout native = {4096, 128, 128, DISK / 4096};
static const char two[] = "1:2048+2048 3:4096+4096";

static void build_gpt(const struct gpt_layout *l)
{
    clear();
    gpt_put(disk, l, 0, 2048 * 512 / l->sector_size, 4096 * 512 / l->sector_size - 1, "EFI");
    gpt_put(disk, l, 2, 4096 * 512 / l->sector_size, 8192 * 512 / l->sector_size - 1, "root");
    gpt_finish(disk, l);
}

static void test_gpt(void **state)
{
    const struct gpt_layout wide = {512, 64, 256, DISK / 512};
    struct ptable t;

    (void)state;
    build_gpt(&usual);
    t = read_table(DISK, 512);
    assert_string_equal(t.items[0].name, "EFI");
    assert_string_equal(t.items[1].name, "root");
    assert_int_equal(t.items[1].type_guid[0], 0x13);
    assert_int_equal(t.items[0].guid[15], 0x11);
    assert_int_equal(t.items[0].type, 0);
    assert_false(t.hybrid);
    assert_int_equal(t.backup_len, 33 * 512);
    assert_int_equal(t.backup_end, DISK);
    assert_int_equal(ptable_end(&t, false), 8192 * 512);
    assert_int_equal(ptable_end(&t, true), (8192 + 33) * 512);
    assert_table(&t, PTABLE_GPT, 0, two);

    build_gpt(&wide);
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_GPT, 0, two);

    build_gpt(&native);
    t = read_table(DISK, 4096);
    assert_int_equal(t.backup_len, 5 * 4096);
    assert_table(&t, PTABLE_GPT, 0, "1:256+256 3:512+512");
    t = read_table(DISK, 512);
    assert_int_equal(t.sector_size, 4096);
    assert_table(&t, PTABLE_GPT, PTABLE_SECTOR_SIZE, "1:256+256 3:512+512");
    build_gpt(&usual);
    t = read_table(DISK, 4096);
    assert_int_equal(t.sector_size, 512);
    assert_table(&t, PTABLE_GPT, PTABLE_SECTOR_SIZE, two);
}

static void test_gpt_entries(void **state)
{
    struct ptable t;
    uint8_t *entry;

    (void)state;
    build_gpt(&usual);
    gpt_put(disk, &usual, 5, 5000, 20000, "past");
    gpt_put(disk, &usual, 6, 9000, 8999, "backwards");
    gpt_put(disk, &usual, 7, UINT64_MAX - 1, UINT64_MAX, "nowhere");
    gpt_finish(disk, &usual);
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_GPT, PTABLE_PAST_END | PTABLE_OVERLAP | PTABLE_BAD_ENTRY,
                 "1:2048+2048 3:4096+4096 6:5000+15001");

    build_gpt(&usual);
    gpt_put(disk, &usual, 0, 0, UINT64_MAX, "all");
    gpt_finish(disk, &usual);
    t = read_table(DISK, 512);
    assert_int_equal(t.items[0].start + t.items[0].len, INT64_MAX);
    assert_int_equal(t.issues, PTABLE_PAST_END | PTABLE_OVERLAP);
    ptable_release(&t);

    build_gpt(&usual); /* on the table at the end; a name that is not UTF-16, as long as can be */
    gpt_put(disk, &usual, 2, 4096, DISK / 512 - 33, "");
    entry = gpt_entry(disk, &usual, 2);
    for (size_t i = 0; i < 36; i++)
        put_le16(entry + 56 + 2 * i, 0xd800);
    gpt_finish(disk, &usual);
    t = read_table(DISK, 512);
    assert_int_equal(strlen(t.items[1].name), 108);
    assert_table(&t, PTABLE_GPT, PTABLE_OVERLAP, "1:2048+2048 3:4096+12256");
}

static void test_gpt_damage(void **state)
{
    enum { LAST = DISK / 512 - 1 };
    struct ptable t;

    (void)state;
    build_gpt(&usual); /* the backup's header, then its table */
    disk[LAST * 512 + 60]++;
    t = read_table(DISK, 512);
    assert_int_equal(t.backup_end, 0);
    assert_table(&t, PTABLE_GPT, PTABLE_GPT_BACKUP, two);
    build_gpt(&usual);
    disk[(LAST - 32) * 512 + 56]++;
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_GPT, PTABLE_GPT_BACKUP, two);

    build_gpt(&usual); /* the primary's header, then its table */
    disk[512 + 60]++;
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_GPT, PTABLE_GPT_PRIMARY, two);
    build_gpt(&usual);
    disk[1024 + 56]++;
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_GPT, PTABLE_GPT_PRIMARY, two);

    build_gpt(&usual); /* both */
    disk[512 + 60]++;
    disk[LAST * 512 + 60]++;
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_GPT, PTABLE_GPT_PRIMARY | PTABLE_GPT_BACKUP, "");

    build_gpt(&usual); /* a backup that says something else */
    gpt_put(disk, &usual, 3, 9000, 9999, "new");
    gpt_header_put(disk, &usual, 1, LAST, 2);
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_GPT, PTABLE_GPT_BACKUP, "1:2048+2048 3:4096+4096 4:9000+1000");

    build_gpt(&usual); /* the disk grew, then the primary was lost: the MBR knows the old end */
    t = read_table(DISK + MIB, 512);
    assert_int_equal(t.backup_end, DISK);
    assert_table(&t, PTABLE_GPT, PTABLE_GPT_BACKUP, two);
    disk[512 + 60]++;
    t = read_table(DISK + MIB, 512);
    assert_table(&t, PTABLE_GPT, PTABLE_GPT_PRIMARY, two);

    build_gpt(&usual); /* the disk was cut */
    t = read_table(DISK - MIB, 512);
    assert_table(&t, PTABLE_GPT, PTABLE_GPT_BACKUP, two);

    build_gpt(&usual); /* the MBR is lost; then something else is there */
    memset(disk, 0, 512);
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_GPT, PTABLE_GPT_MBR, two);
    mbr_put(disk, 0, 0, 0, 0, 0);
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_GPT, PTABLE_GPT_MBR, two);
    memset(disk + 512, 0, 512); /* no MBR: a backup alone is left over from another use */
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, 0, "");
    build_gpt(&usual);
    mbr_put(disk, 0, 0, 0x83, 2048, 2048);
    t = read_table(DISK, 512);
    assert_table(&t, PTABLE_MBR, 0, "1:2048+2048");
}

static void test_hybrid(void **state)
{
    struct ptable t;

    (void)state;
    build_gpt(&usual);
    mbr_put(disk, 1, 0x80, 0x83, 2048, 2048);
    t = read_table(DISK, 512);
    assert_true(t.hybrid);
    assert_table(&t, PTABLE_GPT, 0, two);
    disk[512]++;
    disk[DISK - 512]++; /* no copy of the GPT is left: what the MBR has is better than nothing */
    t = read_table(DISK, 512);
    assert_true(t.hybrid);
    assert_table(&t, PTABLE_GPT, PTABLE_GPT_PRIMARY | PTABLE_GPT_BACKUP, "2:2048+2048");
}

/* Header fields wrong with a right checksum: the copy does not count, and nothing large is read. */
static void test_gpt_hostile(void **state)
{
    static const struct {
        unsigned field, bits;
        uint64_t value;
    } rows[] = {
        {72, 64, UINT64_MAX}, {72, 64, UINT64_MAX / 512},
        {72, 64, DISK / 512}, {80, 32, 0},
        {80, 32, 0xffffffff}, {80, 32, 32769},
        {84, 32, 0},          {84, 32, 64},
        {84, 32, 129},        {84, 32, 0x80000000},
        {24, 64, 2},          {24, 64, UINT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ptable t;

        build_gpt(&usual);
        if (rows[i].bits == 32)
            put_le32(disk + 512 + rows[i].field, (uint32_t)rows[i].value);
        else
            put_le64(disk + 512 + rows[i].field, rows[i].value);
        put_le32(disk + 512 + 16, 0);
        put_le32(disk + 512 + 16, crc32_sum(0, disk + 512, 92));
        t = read_table(DISK, 512);
        assert_table(&t, PTABLE_GPT, PTABLE_GPT_PRIMARY, two);
    }
    build_gpt(&usual);
    put_le32(disk + 512 + 12, 513); /* header size */
    struct ptable t = read_table(DISK, 512);
    assert_table(&t, PTABLE_GPT, PTABLE_GPT_PRIMARY, two);
}

static void test_many_entries(void **state)
{
    const struct gpt_layout l = {512, 1024, 128, DISK / 512};
    struct ptable t;

    (void)state;
    clear();
    for (unsigned i = 0; i < 1000; i++)
        gpt_put(disk, &l, i, 2048 + 8 * i, 2048 + 8 * i + 7, "p");
    gpt_finish(disk, &l);
    t = read_table(DISK, 512);
    assert_int_equal(t.count, PTABLE_PARTITIONS_MAX);
    assert_int_equal(t.issues, PTABLE_TOO_MANY);
    assert_int_equal(t.end, (2048 + 8000) * 512);
    ptable_release(&t);
}

/* Tables of the real peers, read from a file of 64 MiB. */
static void test_peers(void **state)
{
    static const struct {
        const char *command; /* on the file d */
        enum ptable_kind kind;
        unsigned issues;
        const char *list;
    } rows[] = {
        {"printf 'label: dos\\n2048,20480,83,*\\n,30000,82\\n,,E\\n,8192\\n,4096\\n' | sfdisk -q d",
         PTABLE_MBR, 0, "1:2048+20480 2:22528+30000 3:53248+77824 5:55296+8192 6:65536+4096"},
        {"printf 'label: gpt\\nsize=10M, type=U\\nname=data, type=L\\n' | sfdisk -q d", PTABLE_GPT,
         0, "1:2048+20480 2:22528+106496"},
        {"sgdisk -n 1:2048:+8M -n 5:0:+8M -h 1 d >/dev/null", PTABLE_GPT, 0,
         "1:2048+16384 5:18432+16384"},
        {"sgdisk -n 1:2048:+8M d >/dev/null && truncate -s 65M d", PTABLE_GPT, PTABLE_GPT_BACKUP,
         "1:2048+16384"},
        {"sgdisk -n 1:2048:+8M d >/dev/null && "
         "dd if=/dev/zero of=d bs=512 seek=1 count=33 conv=notrunc status=none",
         PTABLE_GPT, PTABLE_GPT_PRIMARY, "1:2048+16384"},
    };
    bool any = false;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct image_options options = {.format = "raw", .lock = IMAGE_LOCK_NONE};
        const char *tool = strstr(rows[i].command, "sgdisk") ? "sgdisk" : "sfdisk";
        char command[2048], path[600];
        struct err e = ERR_INIT;
        struct image *img;
        struct ptable t;

        snprintf(command, sizeof(command), "PATH=$PATH:/sbin:/usr/sbin; command -v %s >/dev/null",
                 tool);
        if (system(command) != 0) {
            print_message("%s is not installed\n", tool);
            continue;
        }
        any = true;
        snprintf(command, sizeof(command),
                 "PATH=$PATH:/sbin:/usr/sbin; cd '%s' && rm -f d && truncate -s 64M d && { %s; } "
                 ">log 2>&1 || { cat log; false; }",
                 test_dir(), rows[i].command);
        assert_int_equal(system(command), 0);
        snprintf(path, sizeof(path), "%s/d", test_dir());
        assert_ok((img = image_open(path, &options, &e)), &e);
        assert_ok(ptable_read(img, &t, &e), &e);
        assert_int_equal(t.hybrid, strstr(rows[i].command, "-h 1") != NULL);
        assert_table(&t, rows[i].kind, rows[i].issues, rows[i].list);
        image_free(img);
    }
    test_rmdir();
    if (!any)
        skip();
}

static void test_crc(void **state)
{
    (void)state;
    assert_int_equal(crc32_sum(0, "123456789", 9), 0xcbf43926); /* the usual check value */
    assert_int_equal(crc32_sum(crc32_sum(0, "1234", 4), "56789", 5), 0xcbf43926);
    assert_int_equal(crc32_sum(0, "", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),        cmocka_unit_test(test_mbr),
        cmocka_unit_test(test_logical),     cmocka_unit_test(test_many_logical),
        cmocka_unit_test(test_gpt),         cmocka_unit_test(test_gpt_entries),
        cmocka_unit_test(test_gpt_damage),  cmocka_unit_test(test_hybrid),
        cmocka_unit_test(test_gpt_hostile), cmocka_unit_test(test_many_entries),
        cmocka_unit_test(test_peers),       cmocka_unit_test(test_crc),
    };

    drivers_register(drivers);
    return cmocka_run_group_tests_name("ptable", tests, NULL, NULL);
}
