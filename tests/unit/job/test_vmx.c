/* VMX files: the lines, the disks, the hardware.
 * label: quick */
#include "test.h"

#include "bytes.h"
#include "vmx.h"

#include <stdlib.h>
#include <string.h>

static void test_lines(void **state)
{
    static const struct {
        const char *text, *key, *want;
    } cases[] = {
        {"memsize = \"1024\"\n", "memsize", "1024"},
        {"memsize=\"1024\"\r\n", "memsize", "1024"},
        {"  memsize\t=  1024  # MiB\n", "memsize", "1024"},
        {"MemSize = \"1024\"", "memsize", "1024"},
        {"a = \"1\"\nA = \"2\"\n", "a", "2"}, /* the last wins */
        {"a = \"x|22y|7Cz\"\n", "a", "x\"y|z"},
        {"a = \"x|2\"\n", "a", "x|2"},     /* cut short: taken as it is */
        {"a = \"x|00y\"\n", "a", "x|00y"}, /* no text can have a NUL */
        {"a = \"x|zz\"\n", "a", "x|zz"},
        {"a = \"x # y\" # z\n", "a", "x # y"},
        {"a = \"open\n", "a", "open"},
        {"a = \"\"\n", "a", ""},
        {"a =\n", "a", ""},
        {"#!/usr/bin/vmware\n# a = \"1\"\nb = \"2\"\n", "a", NULL},
        {"no entry\n= \"x\"\na = \"1\"\n", "a", "1"},
        {".encoding = \"windows-1252\"\na = \"\xfc\x80\"\n", "a", "\xc3\xbc\xe2\x82\xac"},
        {".encoding = \"GBK\"\na = \"\xd6\xd0\"\n", "a", "\xe4\xb8\xad"},
        {".encoding = \"UTF-8\"\na = \"\xc3\xbc\"\n", "a", "\xc3\xbc"},
        {".encoding = \"UTF-8\"\na = \"\xfc\"\n", "a", "\xc3\xbc"},   /* a lie: as Latin-1 */
        {".encoding = \"martian\"\na = \"\xfc\"\n", "a", "\xc3\xbc"}, /* nobody knows it */
        {"a = \"\xfc\"\n", "a", "\xc3\xbc"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct vmx vmx = {0};
        struct err e = ERR_INIT;
        const char *value;

        assert_ok(vmx_parse("t", cases[i].text, strlen(cases[i].text), &vmx, &e), &e);
        value = vmx_get(&vmx, cases[i].key);
        if (cases[i].want)
            assert_string_equal(value, cases[i].want);
        else
            assert_null(value);
        vmx_release(&vmx);
    }
}

static void test_no_vmx(void **state)
{
    static const char *const texts[] = {"", "hello\n", "# a = b\n", "= x\n"};
    struct buf many = {0};
    struct vmx vmx = {0};
    struct err e = ERR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        e = ERR_INIT;
        assert_false(vmx_parse("t", texts[i], strlen(texts[i]), &vmx, &e));
        assert_int_equal(e.kind, ERR_FORMAT);
    }
    e = ERR_INIT;
    assert_false(vmx_parse("t", "a = \"\0\"\n", 8, &vmx, &e));
    assert_non_null(strstr(e.text, "binary"));
    for (size_t i = 0; i < 30000; i++)
        buf_text(&many, "a = 1\n");
    e = ERR_INIT;
    assert_false(vmx_parse("t", many.data, many.len, &vmx, &e));
    assert_non_null(strstr(e.text, "more than 20000 entries"));
    buf_release(&many);
}

static void test_probe(void **state)
{
    static const struct {
        const char *text;
        bool vmx;
    } cases[] = {
        {".encoding = \"UTF-8\"\n", true},
        {"# x\nconfig.version=\"8\"\n", true},
        {"virtualhw.VERSION = \"13\"", true},
        {"# Disk DescriptorFile\nddb.virtualHWVersion = \"4\"\n", false},
        {"virtualHW.versions = \"13\"\n", false},
        {"config.version", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(vmx_probe(cases[i].text, strlen(cases[i].text)), cases[i].vmx);
    assert_false(vmx_probe(".encoding = \"\0\"", 14));
}

/* "id=path ..." and "; note" of what a VMX text describes. */
static void test_disks(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"scsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.vmdk\"\n",
         "scsi0:0=a.vmdk "},
        {"scsi0:0.fileName = \"a.vmdk\"\n", "scsi0:0=a.vmdk "},
        {"scsi0:0.fileName = \"a.vmdk\"\nscsi0:0.present = \"FALSE\"\n", ""},
        {"scsi0.present = \"FALSE\"\nscsi0:0.fileName = \"a.vmdk\"\n", ""},
        {"ide0:1.fileName = \"i\"\nnvme0:0.fileName = \"n\"\nsata0:0.fileName = \"s\"\n"
         "scsi1:0.fileName = \"c\"\nscsi0:10.fileName = \"b\"\nscsi0:2.fileName = \"a\"\n",
         "scsi0:2=a scsi0:10=b scsi1:0=c sata0:0=s nvme0:0=n ide0:1=i "},
        {"SCSI0:0.FILENAME = \"a\"\nscsi0:0.filename = \"b\"\n", "scsi0:0=b "},
        {"ide1:0.deviceType = \"cdrom-image\"\nide1:0.fileName = \"x.iso\"\n",
         "; ide1:0: a CD-ROM drive ('x.iso')"},
        {"ide1:0.deviceType = \"atapi-cdrom\"\nide1:0.fileName = \"auto detect\"\n",
         "; ide1:0: a CD-ROM drive ('auto detect')"},
        {"ide1:0.fileName = \"x.ISO\"\n", "; ide1:0: a CD-ROM image ('x.ISO')"},
        {"scsi0:1.deviceType = \"rawDisk\"\nscsi0:1.fileName = \"d.vmdk\"\n",
         "; scsi0:1: a physical device of the old host: it is not moved ('d.vmdk')"},
        {"scsi0:1.deviceType = \"scsi-passthru\"\nscsi0:1.fileName = \"/dev/sg1\"\n",
         "; scsi0:1: a physical device of the old host: it is not moved ('/dev/sg1')"},
        {"scsi0:1.fileName = \"\"\n", "; scsi0:1: a drive without a medium"},
        {"scsi0:1.deviceType = \"scsi-hardDisk\"\nscsi0:1.fileName = \"a\"\n", "scsi0:1=a "},
        {"scsi0:0.fileName = \"../x y/a.vmdk\"\n", "scsi0:0=../x y/a.vmdk "},
        {"scsi999:0.fileName = \"a\"\nscsi0:x.fileName = \"b\"\nscsi0:0.redo = \"\"\n"
         "scsi0:00.fileName = \"z\"\nscsi0:0x.fileName = \"c\"\nfloppy0.fileName = "
         "\"f\"\nscsi99999999999:0.fileName = "
         "\"g\"\n",
         ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct vmx vmx = {0};
        struct source s = {0};
        struct err e = ERR_INIT;
        struct buf out = {0};

        assert_ok(vmx_parse("t", cases[i].text, strlen(cases[i].text), &vmx, &e), &e);
        assert_ok(vmx_source(&vmx, "/d/t.vmx", &s, &e), &e);
        buf_text(&out, "");
        for (size_t j = 0; j < s.disk_count; j++) {
            buf_format(&out, "%s=%s ", s.disks[j].id, s.disks[j].path);
            assert_true(s.disks[j].named_inside);
            assert_string_equal(s.disks[j].from, "/d/t.vmx");
        }
        for (size_t j = 0; j < s.notes.count; j++)
            buf_format(&out, "; %s", s.notes.items[j]);
        assert_string_equal(out.data, cases[i].want);
        buf_release(&out);
        source_release(&s);
        vmx_release(&vmx);
    }
}

static void describe(const char *text, struct source *s)
{
    struct vmx vmx = {0};
    struct err e = ERR_INIT;

    assert_ok(vmx_parse("t", text, strlen(text), &vmx, &e), &e);
    assert_ok(vmx_source(&vmx, "/d/t.vmx", s, &e), &e);
    vmx_release(&vmx);
}

static void test_hardware(void **state)
{
    struct source s = {0};

    (void)state;
    describe("displayName = \"web 01\"\nguestOS = \"debian11-64\"\nmemsize = \"4096\"\n"
             "numvcpus = \"2\"\nfirmware = \"efi\"\n"
             "uuid.bios = \"56 4d 1C 00 11 22 33 44-55 66 77 88 99 aa bb cc\"\n"
             "ethernet0.present = \"TRUE\"\nethernet0.virtualDev = \"vmxnet3\"\n"
             "ethernet0.address = \"00:50:56:01:02:03\"\nethernet0.generatedAddress = \"x\"\n"
             "ethernet0.networkName = \"VM Network\"\n"
             "ethernet1.present = \"FALSE\"\nethernet1.virtualDev = \"e1000\"\n"
             "ethernet2.present = \"TRUE\"\nethernet2.generatedAddress = \"00:0c:29:00:00:01\"\n"
             "ethernet2.connectionType = \"bridged\"\n",
             &s);
    assert_string_equal(s.hardware.name, "web 01");
    assert_string_equal(s.hardware.guest_os, "debian11-64");
    assert_int_equal(s.hardware.memory, 4 * GIB);
    assert_int_equal(s.hardware.cpus, 2);
    assert_string_equal(s.hardware.firmware, "uefi");
    assert_string_equal(s.hardware.uuid, "564d1c00-1122-3344-5566-778899aabbcc");
    assert_int_equal(s.hardware.nic_count, 2);
    assert_string_equal(s.hardware.nics[0].model, "vmxnet3");
    assert_string_equal(s.hardware.nics[0].mac, "00:50:56:01:02:03");
    assert_string_equal(s.hardware.nics[0].network, "VM Network");
    assert_null(s.hardware.nics[1].model);
    assert_string_equal(s.hardware.nics[1].mac, "00:0c:29:00:00:01");
    assert_string_equal(s.hardware.nics[1].network, "bridged");
    source_release(&s);
}

/* What is missing or nonsense stays unknown. */
static void test_odd_hardware(void **state)
{
    static const char *const memories[] = {"-5", "many", "99999999999999999999", "12x", ""};
    struct source s = {0};

    (void)state;
    describe("a = \"b\"\n", &s);
    assert_null(s.hardware.name);
    assert_string_equal(s.hardware.firmware, "bios");
    assert_int_equal(s.hardware.cpus, 1);
    assert_int_equal(s.hardware.memory, 0);
    assert_int_equal(s.hardware.nic_count, 0);
    source_release(&s);
    for (size_t i = 0; i < ARRAY_LEN(memories); i++) {
        struct buf text = {0};

        buf_format(&text, "memsize = \"%s\"\nuuid.bios = \"56 4d%s\"\n", memories[i], memories[i]);
        describe(text.data, &s);
        assert_int_equal(s.hardware.memory, 0);
        assert_null(s.hardware.uuid);
        source_release(&s);
        buf_release(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),    cmocka_unit_test(test_no_vmx),
        cmocka_unit_test(test_probe),    cmocka_unit_test(test_disks),
        cmocka_unit_test(test_hardware), cmocka_unit_test(test_odd_hardware),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
