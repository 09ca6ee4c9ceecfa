/* What the plan finds about sources and targets: one row is one situation, made with real tools,
 * and the finding and verdict it must give.
 * label: quick */
#include "test.h"

#include "bytes.h"
#include "formats.h"
#include "job.h"
#include "plan.h"
#include "stages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct situation {
    const char *name;
    const char *make;   /* shell commands, in an empty folder */
    const char *source; /* of the machine */
    const char *stages;
    const char *id; /* the finding; NULL: none but infos */
    enum severity severity;
    enum err_kind verdict;
} situations[] = {
    {"nothing to say", "qemu-img create -q -f qcow2 a 64M", "a", "[preflight]", NULL, 0, ERR_NONE},
    {"a deep chain",
     "qemu-img create -q -f qcow2 1 64M; for i in 1 2 3; do qemu-img create -q -f qcow2 -b $i -F "
     "qcow2 $((i+1)); done",
     "4", "[preflight]", "chain.depth", SEVERITY_WARNING, ERR_NONE},
    {"too deep a chain",
     "qemu-img create -q -f qcow2 1 64M; qemu-img create -q -f qcow2 -b 1 -F qcow2 2", "2",
     "[{consolidate: {max_depth: 1}}]", NULL, 0, ERR_REFUSED},
    {"a missing parent",
     "qemu-img create -q -f qcow2 1 64M; qemu-img create -q -f qcow2 -b 1 -F qcow2 2; rm 1", "2",
     "[preflight]", "chain.damaged", SEVERITY_CRITICAL, ERR_FORMAT},
    {"a missing parent is never accepted",
     "qemu-img create -q -f qcow2 1 64M; qemu-img create -q -f qcow2 -b 1 -F qcow2 2; rm 1", "2",
     "[{preflight: {accept: {chain.damaged: never}}}]", "chain.damaged", SEVERITY_CRITICAL,
     ERR_FORMAT},
    {"a parent elsewhere", "qemu-img create -q -f qcow2 -b /etc/hostname -F raw 2 1M", "2",
     "[preflight]", "chain.not-allowed", SEVERITY_CRITICAL, ERR_GATE},
    {"unknown contents", "head -c 1M /dev/urandom >a", "a", "[preflight]", "format.guessed",
     SEVERITY_WARNING, ERR_NONE},
    {"warnings refused when asked", "head -c 1M /dev/urandom >a", "a",
     "[{preflight: {fail_on: warning}}]", "format.guessed", SEVERITY_WARNING, ERR_REFUSED},
    {"unless accepted", "head -c 1M /dev/urandom >a", "a",
     "[{preflight: {fail_on: warning, accept: {format.guessed: it is raw}}}]", "format.guessed",
     SEVERITY_WARNING, ERR_NONE},
    {"snapshots are dropped", "qemu-img create -q -f qcow2 a 64M; qemu-img snapshot -c one a", "a",
     "[preflight]", "convert.drops", SEVERITY_WARNING, ERR_NONE},
    {"snapshots take space", "qemu-img create -q -f qcow2 a 64M; qemu-img snapshot -c one a", "a",
     "[{preflight: {for: compact}}]", "compact.snapshots", SEVERITY_WARNING, ERR_NONE},
    {"a partition past the end",
     "truncate -s 64M a; printf 'label: dos\\n2048,\\n' | sfdisk -q a; truncate -s 32M a", "a",
     "[preflight]", "table.past-end", SEVERITY_CRITICAL, ERR_REFUSED},
    {"accepted with a reason",
     "truncate -s 64M a; printf 'label: dos\\n2048,\\n' | sfdisk -q a; truncate -s 32M a", "a",
     "[{preflight: {accept: {table.past-end: known}}}]", "table.past-end", SEVERITY_CRITICAL,
     ERR_NONE},
    {"a GPT that lost its backup",
     "truncate -s 64M a; printf 'label: gpt\\n2048,40960\\n' | sfdisk -q a; truncate -s 96M a", "a",
     "[preflight]", "table.gpt-backup", SEVERITY_WARNING, ERR_NONE},
    {"a GPT without its protective MBR",
     "truncate -s 64M a; printf 'label: gpt\\n2048,40960\\n' | sfdisk -q a; dd if=/dev/zero of=a "
     "bs=512 count=1 conv=notrunc status=none",
     "a", "[preflight]", "table.gpt-mbr", SEVERITY_WARNING, ERR_NONE},
    {"an encrypted volume",
     "truncate -s 4M a; printf 'LUKS\\272\\276\\0\\002' | dd of=a conv=notrunc status=none", "a",
     "[preflight]", "volume.encrypted", SEVERITY_INFO, ERR_NONE},
    {"BitLocker",
     "truncate -s 64M a; printf 'label: dos\\n2048,\\n' | sfdisk -q a; printf "
     "'\\353X\\220-FVE-FS-' "
     "| dd of=a bs=512 seek=2048 conv=notrunc status=none",
     "a", "[preflight]", "volume.encrypted", SEVERITY_INFO, ERR_NONE},
    {"VMware's lock",
     "qemu-img create -q -f vmdk a.vmdk 64M; mkdir a.vmdk.lck; touch a.vmdk.lck/M1.lck", "a.vmdk",
     "[preflight]", "vmware.lock", SEVERITY_CRITICAL, ERR_BUSY},
    {"an empty lock folder is none", "qemu-img create -q -f vmdk a.vmdk 64M; mkdir a.vmdk.lck",
     "a.vmdk", "[preflight]", NULL, 0, ERR_NONE},
    {"a suspended machine",
     "qemu-img create -q -f vmdk a.vmdk 64M; printf 'scsi0:0.present = \"TRUE\"\\nscsi0:0.fileName "
     "= \"a.vmdk\"\\nscsi0.present = \"TRUE\"\\n' >a.vmx; touch a.vmss",
     "a.vmx", "[preflight]", "vmware.suspended", SEVERITY_CRITICAL, ERR_REFUSED},
    {"an odd size for Azure", "truncate -s 1000000 a", "a", "[{preflight: {for: azure}}]",
     "azure.alignment", SEVERITY_WARNING, ERR_NONE},
    {"too large for Azure", "qemu-img create -q -f qcow2 a 5T", "a", "[{preflight: {for: azure}}]",
     "azure.size", SEVERITY_CRITICAL, ERR_REFUSED},
    {"too large for VHD", "qemu-img create -q -f qcow2 a 5T", "a",
     "[{convert: {format: vhd, to: b}}]", "target.cannot-hold", SEVERITY_CRITICAL, ERR_UNSUPPORTED},
    {"a target that exists", "qemu-img create -q -f qcow2 a 64M; touch b", "a",
     "[{convert: {format: raw, to: b}}]", "target.exists", SEVERITY_CRITICAL, ERR_REFUSED},
    {"a target that may be replaced", "qemu-img create -q -f qcow2 a 64M; touch b", "a",
     "[{convert: {format: raw, to: b, exists: overwrite}}]", NULL, 0, ERR_NONE},
    {"a target inside the chain",
     "qemu-img create -q -f qcow2 1 64M; qemu-img create -q -f qcow2 -b 1 -F qcow2 2", "2",
     "[{convert: {format: raw, to: 1, exists: overwrite}}]", "target.is-source", SEVERITY_CRITICAL,
     ERR_REFUSED},
    {"a folder that is missing", "qemu-img create -q -f qcow2 a 64M", "a",
     "[{convert: {format: raw, to: no/b}}]", "target.unusable", SEVERITY_CRITICAL, ERR_IO},
    {"no room", "qemu-img create -q -f qcow2 a 1T; qemu-io -c 'write 0 64k' a >/dev/null", "a",
     "[{convert: {format: qcow2, preallocation: full, to: b}}]", "space.free", SEVERITY_CRITICAL,
     ERR_SPACE},
    {"an option the format has not", "qemu-img create -q -f qcow2 a 64M", "a",
     "[{convert: {format: raw, compression: zstd, to: b}}]", NULL, 0, ERR_USAGE},
    {"an unknown disk", "qemu-img create -q -f qcow2 a 64M", "a",
     "[{convert: {format: raw, disk: 'scsi9:9', to: b}}]", NULL, 0, ERR_USAGE},
    {"a state that is not there", "qemu-img create -q -f qcow2 a 64M", "a",
     "[{consolidate: {at: never}}]", NULL, 0, ERR_USAGE},
};

static void run_shell(const char *commands)
{
    char *line = NULL;

    assert_true(
        asprintf(&line, "cd '%s' && rm -rf -- * && { %s; } 2>/dev/null", test_dir(), commands) > 0);
    assert_int_equal(system(line), 0);
    free(line);
}

static struct job *load(const struct situation *s)
{
    struct mistakes mistakes = {0};
    struct job_overrides overrides = {0};
    struct err e = ERR_INIT;
    struct buf text = {0};
    struct job *job;
    char path[700];
    FILE *f;

    snprintf(path, sizeof(path), "%s/job.yaml", test_dir());
    f = fopen(path, "w");
    fprintf(f, "strata: 1\nname: t\nmachines: [{name: m, source: %s}]\nstages: %s\n", s->source,
            s->stages);
    fclose(f);
    job = job_load(path, &overrides, &mistakes, &e);
    mistakes_text(&mistakes, &text);
    if (!job)
        fail_msg("%s: %s", e.text, text.data ? text.data : "");
    buf_release(&text);
    mistakes_release(&mistakes);
    return job;
}

static void test_situation(void **state)
{
    const struct situation *s = *state;
    struct machine_plan plan = {0};
    const struct finding *found = NULL;
    struct err e = ERR_INIT;
    struct job *job;

    run_shell(s->make);
    job = load(s);
    plan_machine(job, &job->machines[0], NULL, &plan, &e);
    for (size_t i = 0; i < plan.findings.count; i++) {
        const struct finding *f = &plan.findings.items[i];

        if (s->id ? !strcmp(f->id, s->id) : f->severity > SEVERITY_INFO)
            found = f;
    }
    if (s->id && !found)
        fail_msg("no '%s' among %zu findings; %s", s->id, plan.findings.count, plan.verdict.text);
    if (!s->id && found)
        fail_msg("found '%s': %s", found->id, found->text);
    if (found)
        assert_int_equal(found->severity, s->severity);
    if (plan.verdict.kind != s->verdict)
        fail_msg("the verdict is %s (%s) instead of %s", err_kind_name(plan.verdict.kind),
                 plan.verdict.text, err_kind_name(s->verdict));
    machine_plan_release(&plan);
    job_free(job);
}

/* A name that claims a format is told of; raw's own suffix claims nothing. */
static void test_claimed_format(void **unused)
{
    static const struct {
        struct situation s;
        bool claims;
    } cases[] = {
        {{.make = "head -c 1M /dev/urandom >a.vmdk", .source = "a.vmdk"}, true},
        {{.make = "head -c 1M /dev/urandom >a.VHD", .source = "a.VHD"}, true},
        {{.make = "head -c 1M /dev/urandom >a.img", .source = "a.img"}, false},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct situation s = cases[i].s;
        struct machine_plan plan = {0};
        struct err e = ERR_INIT;
        struct job *job;

        s.stages = "[preflight]";
        run_shell(s.make);
        job = load(&s);
        assert_ok(plan_machine(job, &job->machines[0], NULL, &plan, &e), &e);
        assert_int_equal(plan.findings.count, 1);
        assert_string_equal(plan.findings.items[0].id, "format.guessed");
        assert_int_equal(!!strstr(plan.findings.items[0].text, "ends in '."), cases[i].claims);
        machine_plan_release(&plan);
        job_free(job);
    }
}

/* Each finding tells of its own issue alone. */
static void test_two_issues(void **unused)
{
    static const struct situation both = {
        .make = "truncate -s 64M a; printf 'label: gpt\\n2049,40960\\n' | sfdisk -q a; "
                "truncate -s 96M a; dd if=/dev/zero of=a bs=512 count=1 conv=notrunc status=none",
        .source = "a",
        .stages = "[preflight]"};
    struct machine_plan plan = {0};
    struct err e = ERR_INIT;
    struct job *job;
    size_t seen = 0;

    (void)unused;
    run_shell(both.make);
    job = load(&both);
    assert_ok(plan_machine(job, &job->machines[0], NULL, &plan, &e), &e);
    for (size_t i = 0; i < plan.findings.count; i++) {
        const struct finding *f = &plan.findings.items[i];

        seen += !strncmp(f->id, "table.", 6);
        assert_int_equal(!strcmp(f->id, "table.gpt-backup"), !!strstr(f->text, "backup GPT"));
        assert_int_equal(!strcmp(f->id, "table.unaligned"), !!strstr(f->text, "multiple of 4096"));
        assert_int_equal(!strcmp(f->id, "table.gpt-mbr"), !!strstr(f->text, "protective MBR"));
    }
    assert_int_equal(seen, 3);
    machine_plan_release(&plan);
    job_free(job);
}

/* Everything a user reads about a stage comes from its row. */
static void test_table(void **unused)
{
    (void)unused;
    for (const struct stage *const *s = stages_table; *s; s++) {
        assert_non_null((*s)->help);
        assert_ptr_equal(stage_find((*s)->name), *s);
        if ((*s)->shorthand)
            assert_non_null(opt_find((*s)->options, (*s)->shorthand));
        for (const struct opt_row *row = (*s)->options; row->type != OPT_END; row++)
            assert_non_null(row->help);
    }
}

static int setup(void **unused)
{
    (void)unused;
    drivers_register(formats_table);
    stages_register(stages_table);
    if (system("command -v qemu-img >/dev/null && command -v qemu-io >/dev/null && command -v "
               "sfdisk >/dev/null") != 0) {
        puts("skipped: qemu-img, qemu-io and sfdisk are needed");
        exit(77);
    }
    test_dir();
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    test_rmdir();
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(situations) + 3];

    for (size_t i = 0; i < ARRAY_LEN(situations); i++)
        tests[i] = (struct CMUnitTest){situations[i].name, test_situation, NULL, NULL,
                                       (void *)&situations[i]};
    tests[ARRAY_LEN(situations)] = (struct CMUnitTest)cmocka_unit_test(test_table);
    tests[ARRAY_LEN(situations) + 1] = (struct CMUnitTest)cmocka_unit_test(test_two_issues);
    tests[ARRAY_LEN(situations) + 2] = (struct CMUnitTest)cmocka_unit_test(test_claimed_format);
    return cmocka_run_group_tests(tests, setup, teardown);
}
