/* Sources of machines: VMX files, images, lists, overrides.
 * label: quick */
#include "test.h"

#include "job_fixture.h"
#include "source.h"

#define VMX                                                                                        \
    "config.version = \"8\"\ndisplayName = \"web\"\nmemsize = \"1024\"\n"                          \
    "scsi0:0.fileName = \"a.vmdk\"\nscsi0:1.fileName = \"b.vmdk\"\nide1:0.fileName = \"x.iso\"\n"  \
    "ethernet0.virtualDev = \"e1000\"\n"

struct row {
    const char *name, *machine; /* the machine's keys, behind its name */
    enum err_kind kind;
    const char *want; /* "id=path:format " of each disk, '!' in front of a name from inside; or a
                         part of the error. '@' stands for the folder. */
};

static const struct row rows[] = {
    {"vmx", "source: m.vmx", ERR_NONE, "scsi0:0=!a.vmdk scsi0:1=!b.vmdk "},
    {"vmx by its contents", "source: plain", ERR_NONE, "scsi0:0=!a.vmdk scsi0:1=!b.vmdk "},
    {"skip", "source: m.vmx, disks: {scsi0:0: {skip: yes}}", ERR_NONE, "scsi0:1=!b.vmdk "},
    {"other bytes", "source: m.vmx, disks: {scsi0:1: {path: c.img, format: raw}}", ERR_NONE,
     "scsi0:0=!a.vmdk scsi0:1=@/c.img:raw "},
    {"another format", "source: m.vmx, disks: {scsi0:1: {format: raw}}", ERR_NONE,
     "scsi0:0=!a.vmdk scsi0:1=!b.vmdk:raw "},
    {"a URL", "source: m.vmx, disks: {SCSI0:1: 'nbd://h/x'}", ERR_NONE,
     "scsi0:0=!a.vmdk scsi0:1=nbd://h/x "},
    {"unknown id", "source: m.vmx, disks: {scsi0:2: {skip: yes}}", ERR_USAGE,
     "the source of machine 'm' has no disk 'scsi0:2'; it has: scsi0:0, scsi0:1"},
    {"all skipped", "source: m.vmx, disks: {scsi0:0: {skip: yes}, scsi0:1: {skip: yes}}", ERR_USAGE,
     "machine 'm' has no disks: left out are ide1:0: a CD-ROM image ('x.iso')"},
    {"image", "source: disk.img", ERR_NONE, "disk0=@/disk.img "},
    {"override of an image", "source: disk.img, disks: {disk0: {format: raw}}", ERR_NONE,
     "disk0=@/disk.img:raw "},
    {"remote image", "source: 'https://h/x.vmdk'", ERR_NONE, "disk0=https://h/x.vmdk "},
    {"list", "disks: [a.img, {path: /b.img, format: raw}]", ERR_NONE,
     "disk0=@/a.img disk1=/b.img:raw "},
    {"list with a skip", "disks: [{path: a.img, skip: yes}, b.img]", ERR_NONE, "disk1=@/b.img "},
    {"missing", "source: none.vmx", ERR_IO, "No such file"},
    {"folder", "source: dir", ERR_USAGE, "is a directory"},
    {"FIFO", "source: fifo", ERR_USAGE, "is a FIFO"},
    {"no VMX", "source: bad.vmx", ERR_FORMAT, "is no VMX file"},
    {"huge VMX", "source: huge.vmx", ERR_FORMAT, "at most 1 MiB are taken"},
    {"OVF", "source: m.ovf", ERR_UNSUPPORTED, "list its disks under 'disks'"},
};

static int prepare(void **state)
{
    (void)state;
    put("m.vmx", VMX);
    put("plain", VMX);
    put("m.ovf", "<Envelope/>");
    put("bad.vmx", "hello\n");
    put("huge.vmx", VMX);
    put("disk.img", "data");
    put("dir/x", "");
    return truncate(below("huge.vmx"), 2 << 20) || mkfifo(below("fifo"), 0600);
}

static void load_machine(struct loaded *l, const char *keys)
{
    struct buf text = {0};

    buf_format(&text, "strata: 1\nname: n\nmachines: [{name: m, %s}]\nstages: [preflight]\n", keys);
    load(l, text.data, NULL);
    buf_release(&text);
    assert_loaded(l);
}

static void test_row(void **state)
{
    const struct row *r = *state;
    struct source s = {0};
    struct err e = ERR_INIT;
    struct buf out = {0};
    struct loaded l;

    load_machine(&l, r->machine);
    if (!source_read(l.job, &l.job->machines[0], &s, &e)) {
        assert_int_equal(e.kind, r->kind);
        if (!strstr(e.text, r->want))
            fail_msg("'%s' is not in '%s'", r->want, e.text);
        assert_int_equal(s.disk_count, 0);
    } else {
        for (size_t i = 0; i < s.disk_count; i++) {
            const char *path = s.disks[i].path;
            bool local = strncmp(path, test_dir(), strlen(test_dir())) == 0;

            buf_format(&out, "%s=%s%s%s%s%s ", s.disks[i].id, s.disks[i].named_inside ? "!" : "",
                       local ? "@" : "", local ? path + strlen(test_dir()) : path,
                       s.disks[i].format ? ":" : "", s.disks[i].format ? s.disks[i].format : "");
            assert_int_equal(s.disks[i].named_inside, s.disks[i].from != NULL);
        }
        assert_int_equal(r->kind, ERR_NONE);
        assert_string_equal(out.data, r->want);
    }
    buf_release(&out);
    source_release(&s);
    unload(&l);
}

/* The job's hardware lies over the source's; the VMX is among the files. */
static void test_hardware(void **state)
{
    struct source s = {0};
    struct err e = ERR_INIT;
    struct loaded l;

    (void)state;
    load_machine(&l, "source: m.vmx, hardware: {memory: 8G, firmware: uefi, nics: [{mac: x}, {}]}");
    assert_ok(source_read(l.job, &l.job->machines[0], &s, &e), &e);
    assert_string_equal(s.hardware.name, "web");
    assert_int_equal(s.hardware.memory, 8 * GIB);
    assert_string_equal(s.hardware.firmware, "uefi");
    assert_int_equal(s.hardware.nic_count, 2);
    assert_string_equal(s.hardware.nics[0].mac, "x");
    assert_null(s.hardware.nics[0].model);
    assert_int_equal(s.files.count, 1);
    assert_string_equal(s.files.items[0], below("m.vmx"));
    assert_int_equal(s.notes.count, 1);
    source_release(&s);
    unload(&l);
}

static int clean(void **state)
{
    (void)state;
    test_rmdir();
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1] = {cmocka_unit_test(test_hardware)};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[1 + i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = test_row, .initial_state = (void *)&rows[i]};
    return cmocka_run_group_tests(tests, prepare, clean);
}
