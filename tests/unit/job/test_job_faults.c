/* Every fault point of loading a job, of its schema and of reading a source: each failure is
 * reported, leaves nothing behind, and never passes for success.
 * label: quick */
#include "test.h"

#include "fault.h"
#include "job_fixture.h"
#include "source.h"

static const char good[] =
    "strata: 1\nname: n\nvars: {pool: p, deep: '${pool}/x'}\n"
    "secrets: {s: {env: E}, t: {command: [a, '${machine}']}}\n"
    "allow: [x]\npath_map: {/a: b}\nnetworks: {lan: {bridge: b}}\nworkdir: w\n"
    "remotes: {v: {match: m, password: '${secret:s}'}}\n"
    "machines:\n"
    "  - {name: a, source: m.vmx, disks: {scsi0:0: {format: raw}}, tags: [t], vars: {v: 1},\n"
    "     skip: verify, set: {convert: {level: 2}}, hardware: {memory: 1G, nics: [{mac: m}]}}\n"
    "  - {name: b, disks: [c.img, {path: d.img}], stages: [{command: [x, y]}]}\n"
    "  - csv: wave.csv\n"
    "  - glob: '*.vmx'\n"
    "stages:\n"
    "  - convert: {to: '${deep}/${machine}-${disk}', options: {a: [b, '${pool}']}, extra: {k: v}}\n"
    "  - verify\n";

static const char bad[] =
    "strata: 1\nname: n\nvars: {a: '${b}', b: '${a}'}\nsecrets: {s: abc}\n"
    "machines: [{name: a, sorce: x}, {name: a, source: y}]\n"
    "stages: [verfy, {convert: {level: many, to: x, options: {a: '${zz}'}}}]\n";

/* Loads and lets go; true when the job loaded. */
static bool load_once(enum err_kind *ret_kind)
{
    struct mistakes m = {0};
    struct err e = ERR_INIT;
    struct buf out = {0};
    struct job *job = job_load(below("j.yaml"), NULL, &m, &e);
    bool ok = job;

    mistakes_text(&m, &out);
    assert_int_equal(ok, e.kind == ERR_NONE);
    assert_false(ok && m.list.count);
    assert_true(ok || *e.text);
    assert_true(!out.data || !strstr(out.data, "abc"));
    *ret_kind = e.kind;
    job_free(job);
    mistakes_release(&m);
    buf_release(&out);
    return ok;
}

static void each_fault(const char *text, bool loads)
{
    enum err_kind kind;
    long points;

    drivers_register(formats_table);
    stages_register(fake_stages);
    put("j.yaml", text);
    put("m.vmx",
        "config.version = \"8\"\nscsi0:0.fileName = \"a\"\nethernet0.virtualDev = \"x\"\n");
    put("wave.csv", "name,source,size\nw1,x,5\n");
    fault_count();
    assert_int_equal(load_once(&kind), loads);
    points = fault_disarm();
    assert_true(points > 100);
    for (long nth = 1; nth <= points; nth++) {
        bool ok;

        fault_arm(nth);
        ok = load_once(&kind);
        fault_disarm();
        if (ok)
            fail_msg("fault %ld of %ld passed for success", nth, points);
    }
}

static void test_good(void **state)
{
    (void)state;
    each_fault(good, true);
}

static void test_bad(void **state)
{
    (void)state;
    each_fault(bad, false);
}

static void test_schema(void **state)
{
    struct err e = ERR_INIT;
    char *schema;
    long points;

    (void)state;
    drivers_register(formats_table);
    stages_register(fake_stages);
    fault_count();
    schema = job_schema(&e);
    points = fault_disarm();
    assert_ok(schema, &e);
    free(schema);
    for (long nth = 1; nth <= points; nth++) {
        e = ERR_INIT;
        fault_arm(nth);
        schema = job_schema(&e);
        fault_disarm();
        assert_null(schema);
        assert_int_equal(e.kind, ERR_MEMORY);
    }
}

static void test_source(void **state)
{
    struct source s = {0};
    struct loaded l;
    long points;

    (void)state;
    load(&l, good, NULL);
    assert_loaded(&l);
    fault_count();
    assert_true(source_read(l.job, &l.job->machines[0], &s, &l.e));
    points = fault_disarm();
    source_release(&s);
    for (long nth = 1; nth <= points; nth++) {
        struct err e = ERR_INIT;

        fault_arm(nth);
        assert_false(source_read(l.job, &l.job->machines[0], &s, &e));
        fault_disarm();
        assert_int_not_equal(e.kind, ERR_NONE);
    }
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_source),
    };

    return cmocka_run_group_tests(tests, NULL, clean);
}
