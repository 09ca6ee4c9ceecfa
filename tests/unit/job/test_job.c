/* Jobs that load: what becomes of every key.
 * label: quick */
#include "test.h"

#include "job_fixture.h"
#include "node.h"

#include <unistd.h>

#define HEAD "strata: 1\nname: n\n"

static const struct fake_convert *convert(const struct machine *m, size_t i)
{
    assert_true(i < m->stage_count);
    assert_string_equal(m->stages[i].stage->name, "convert");
    return m->stages[i].options;
}

static void test_everything(void **state)
{
    static const char text[] =
        "strata: 1\n"
        "name: web-tier\n"
        "vars: {pool: /srv/images, size: 30G}\n"
        "secrets: {sas: {env: JOB_TEST_SAS}, key: {file: keys/k}}\n"
        "allow: [/vmfs/exports, more]\n"
        "path_map: {\"/vmfs/volumes/5f3a\": ds2}\n"
        "remotes: {vc: {match: \"https://vcenter/\", user: admin, password: \"${secret:key}\"}}\n"
        "networks: {\"VLAN 120\": {bridge: br120}, Backup: {none: yes}}\n"
        "workdir: scratch\n"
        "policy: {parallel: 2, workers: 4, network: 200M, disk: 400M, retries: 7,\n"
        "  on_error: stop, source_changed: restart, window: \"22:00-05:00\",\n"
        "  chain_search: [/srv/images, more], in_use_check: [libvirt]}\n"
        "machines:\n"
        "  - name: web01\n"
        "    source: exports/web01.vmx\n"
        "    disks: {scsi0:1: {path: \"nbd+unix:///?socket=/run/vddk\", format: raw}, "
        "scsi0:2: {skip: yes}}\n"
        "    tags: [wave3]\n"
        "    vars: {size: 50G}\n"
        "    skip: [resize]\n"
        "    set: {convert: {level: 9}}\n"
        "  - name: db01\n"
        "    disks: [db.vmdk, {path: /x/log.img, format: raw}]\n"
        "    hardware: {firmware: uefi, memory: 8G, cpus: 4, nics: [{mac: m, network: n}]}\n"
        "stages:\n"
        "  - preflight\n"
        "  - resize: {filesystem: /, size: \"${size}\"}\n"
        "  - convert: {format: qcow2, level: 3, to: \"${pool}/${machine}-${disk}.qcow2\"}\n"
        "  - verify\n";
    const struct machine *web, *db;
    struct loaded l;

    (void)state;
    load(&l, text, NULL);
    assert_loaded(&l);
    assert_string_equal(l.job->name, "web-tier");
    assert_string_equal(l.job->rules.allow.items[0], "/vmfs/exports");
    assert_string_equal(l.job->rules.allow.items[1], below("more"));
    assert_string_equal(opt_pairs_get(&l.job->rules.path_map, "/vmfs/volumes/5f3a"), below("ds2"));
    assert_string_equal(l.job->workdir, below("scratch"));
    assert_int_equal(l.job->policy.parallel, 2);
    assert_int_equal(l.job->policy.disk, 400 * MIB);
    assert_int_equal(l.job->policy.retries, 7);
    assert_int_equal(l.job->policy.on_error, ON_ERROR_STOP);
    assert_int_equal(l.job->policy.source_changed, SOURCE_CHANGED_RESTART);
    assert_string_equal(l.job->policy.window, "22:00-05:00");
    assert_string_equal(l.job->policy.chain_search.items[1], below("more"));
    assert_int_equal(l.job->secret_count, 2);
    assert_string_equal(l.job->secrets[1].file, below("keys/k"));
    assert_int_equal(l.job->network_count, 2);
    assert_string_equal(l.job->networks[0].name, "VLAN 120");
    assert_string_equal(l.job->networks[0].bridge, "br120");
    assert_null(l.job->networks[1].bridge);
    assert_non_null(node_get(l.job->remotes, "vc"));
    assert_int_equal(l.job->machine_count, 2);

    web = &l.job->machines[0];
    assert_string_equal(web->name, "web01");
    assert_string_equal(web->source, below("exports/web01.vmx"));
    assert_int_equal(web->disk_count, 2);
    assert_string_equal(web->disks[0].id, "scsi0:1");
    assert_string_equal(web->disks[0].path, "nbd+unix:///?socket=/run/vddk");
    assert_true(web->disks[1].skip);
    assert_string_equal(web->tags.items[0], "wave3");
    assert_string_equal(opt_pairs_get(&web->vars, "size"), "50G");
    assert_int_equal(web->stage_count, 3);
    assert_int_equal(convert(web, 1)->level, 9);
    assert_string_equal(convert(web, 1)->to, "/srv/images/web01-${disk}.qcow2");
    assert_int_equal(web->at.line, 14);
    assert_int_equal(web->stages[1].at.line, 27);
    assert_int_equal(web->stages[1].at.col, 5);

    db = &l.job->machines[1];
    assert_null(db->source);
    assert_string_equal(db->disks[0].path, below("db.vmdk"));
    assert_string_equal(db->disks[1].path, "/x/log.img");
    assert_string_equal(db->disks[1].format, "raw");
    assert_string_equal(db->hardware.firmware, "uefi");
    assert_int_equal(db->hardware.memory, 8 * GIB);
    assert_int_equal(db->hardware.nic_count, 1);
    assert_string_equal(db->hardware.nics[0].network, "n");
    assert_int_equal(db->stage_count, 4);
    assert_int_equal(((struct fake_resize *)db->stages[1].options)->size, 30 * GIB);
    assert_int_equal(convert(db, 2)->level, 3);
    unload(&l);
}

static void test_defaults(void **state)
{
    struct loaded l;

    (void)state;
    load(&l, HEAD "machines: [{name: a, source: a.vmx}]\nstages: [preflight]\n", NULL);
    assert_loaded(&l);
    assert_int_equal(l.job->policy.parallel, 1);
    assert_int_equal(l.job->policy.retries, 5);
    assert_int_equal(l.job->policy.disk, 0);
    assert_null(l.job->workdir);
    assert_null(l.job->machines[0].hardware.firmware);
    unload(&l);
}

/* A scalar for a stage is its shorthand; `set` may give what is required; `stages` replaces. */
static void test_stage_forms(void **state)
{
    struct loaded l;
    const struct fake_command *c;

    (void)state;
    load(&l,
         HEAD "machines:\n"
              "  - {name: a, source: a, set: {ova: {to: 'a.ova'}}}\n"
              "  - {name: b, source: b, stages: [{convert: raw}, {command: [echo, '$${HOME}']}]}\n"
              "stages: [ova]\n",
         NULL);
    assert_loaded(&l);
    assert_string_equal(((struct fake_ova *)l.job->machines[0].stages[0].options)->to,
                        below("a.ova"));
    assert_string_equal(convert(&l.job->machines[1], 0)->format, "raw");
    c = l.job->machines[1].stages[1].options;
    assert_int_equal(c->run.count, 2);
    assert_string_equal(c->run.items[1], "$${HOME}");
    unload(&l);
}

/* Nodes in options are expanded per machine and live as long as the job. */
static void test_nodes(void **state)
{
    struct loaded l;

    (void)state;
    load(&l,
         HEAD "machines: [{name: a, source: a}, {name: b, source: b}]\n"
              "stages: [{convert: {to: '${machine}', options: {x: '${machine}-${disk}'}}}]\n",
         NULL);
    assert_loaded(&l);
    assert_string_equal(node_get(convert(&l.job->machines[0], 0)->options, "x")->text, "a-${disk}");
    assert_string_equal(node_get(convert(&l.job->machines[1], 0)->options, "x")->text, "b-${disk}");
    unload(&l);
}

static void test_globs(void **state)
{
    struct loaded l;

    (void)state;
    put("w[3]/web.01.vmx", "");
    put("w[3]/db.vmx", "");
    put("w[3]/.hidden.vmx", "");
    put("w[3]/dir.vmx/x", "");
    load(&l,
         HEAD "vars: {where: 'w\\[3\\]'}\n"
              "machines:\n  - {glob: '${where}/*.vmx', tags: [wave3], vars: {t: x}}\n"
              "stages: [{convert: {to: '${machine}-${t}'}}]\n",
         NULL);
    assert_loaded(&l);
    assert_int_equal(l.job->machine_count, 2);
    assert_string_equal(l.job->machines[0].name, "db");
    assert_string_equal(l.job->machines[0].source, below("w[3]/db.vmx"));
    assert_string_equal(l.job->machines[0].tags.items[0], "wave3");
    assert_string_equal(l.job->machines[1].name, "web.01");
    assert_string_equal(convert(&l.job->machines[1], 0)->to, below("web.01-x"));
    unload(&l);
}

/* Files of one name in two folders would be one machine. */
static void test_same_names(void **state)
{
    struct loaded l;

    (void)state;
    put("twins/a/vm.vmx", "");
    put("twins/b/vm.vmx", "");
    load(&l, HEAD "machines: [{glob: 'twins/*/*.vmx'}]\nstages: [preflight]\n", NULL);
    assert_null(l.job);
    assert_non_null(strstr(l.said.data, "3:19: there are two machines 'vm': '"));
    assert_non_null(strstr(l.said.data, "twins/a/vm.vmx' and '"));
    unload(&l);
}

static void test_images(void **state)
{
    struct loaded l;

    (void)state;
    put("pool/vm1.qcow2", "");
    put("pool/vm2.qcow2", "");
    load(&l,
         HEAD
         "vars: {pool: pool}\nimages: ['${pool}/*.qcow2', 'pool/vm1.*']\nstages: [preflight]\n",
         NULL);
    assert_loaded(&l);
    assert_int_equal(l.job->machine_count, 2); /* matched twice, taken once */
    assert_string_equal(l.job->machines[1].name, "vm2");
    assert_null(l.job->machines[1].source);
    assert_string_equal(l.job->machines[1].disks[0].path, below("pool/vm2.qcow2"));
    unload(&l);
}

static void test_csv(void **state)
{
    struct loaded l;

    (void)state;
    put("wave.csv", "name,source,tags,size,note\r\n"
                    "web01,exports/web01.vmx,wave3 blue,50G,\"a, \"\"b\"\"\"\r\n"
                    "\r\n"
                    "web02,,,60G,${env:HOME}\n");
    load(&l,
         HEAD "machines: [{csv: wave.csv, source: 'in/${machine}.vmx', tags: [all]}]\n"
              "stages: [{convert: {to: '${machine}', level: 1, extra: {n: '${note}'}}}]\n",
         NULL);
    assert_loaded(&l);
    assert_int_equal(l.job->machine_count, 2);
    assert_string_equal(l.job->machines[0].source, below("exports/web01.vmx"));
    assert_int_equal(l.job->machines[0].tags.count, 3);
    assert_string_equal(opt_pairs_get(&convert(&l.job->machines[0], 0)->extra, "n"), "a, \"b\"");
    assert_string_equal(l.job->machines[1].source, below("in/web02.vmx"));
    assert_string_equal(opt_pairs_get(&l.job->machines[1].vars, "size"), "60G");
    unload(&l);
}

static void test_bad_csv(void **state)
{
    static const struct {
        const char *csv, *want;
    } cases[] = {
        {"", "has no rows"},
        {"name\n", "has no rows"},
        {"size\n5\n", "has no column 'name'"},
        {"name,size\nweb01\n", "line 2: 1 fields, but there are 2 columns"},
        {"name,name\nweb01,x\n", "two columns are named 'name'"},
        {"name,\nweb01,x\n", "column 2 has no name"},
        {"name\n\"web01\n", "line 2: a quote is opened and never closed"},
        {"name\n\"web01\"x\n", "line 2: text follows a closing quote"},
        {"name\nweb 01\n", "'web 01' cannot be a name"},
        {"name\nweb01\nweb01\n", "there are two machines 'web01'"},
        {"name,a b\nweb01,x\n", "'a b' cannot be a variable"},
        {"name\n\xff\n", "is not UTF-8"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct loaded l;

        put("bad.csv", cases[i].csv);
        load(&l, HEAD "machines: [{csv: bad.csv, source: x}]\nstages: [preflight]\n", NULL);
        assert_null(l.job);
        if (!strstr(l.said.data, cases[i].want))
            fail_msg("'%s' is not in:\n%s", cases[i].want, l.said.data);
        unload(&l);
    }
}

#define THREE                                                                                      \
    HEAD "machines:\n  - {name: web01, source: a, tags: [x]}\n"                                    \
         "  - {name: web02, source: b, tags: [x, y]}\n  - {name: db, source: c}\n"                 \
         "stages: [preflight]\n"

static void test_filters(void **state)
{
    static const struct {
        const char *machines[3], *tags[3];
        const char *chosen; /* names, or NULL: an error */
        const char *want;
    } cases[] = {
        {{NULL}, {NULL}, "web01 web02 db ", NULL},
        {{"web*"}, {NULL}, "web01 web02 ", NULL},
        {{"db", "web02"}, {NULL}, "web02 db ", NULL},
        {{NULL}, {"y"}, "web02 ", NULL},
        {{"web*"}, {"x"}, "web01 web02 ", NULL},
        {{"web*", "mail"},
         {NULL},
         NULL,
         "--machine 'mail' matches no machine; there are: web01, web02, db"},
        {{NULL}, {"z"}, NULL, "--tag 'z' matches no machine"},
        {{"db"}, {"x"}, NULL, "no machine matches both"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct job_overrides o = {0};
        struct buf names = {0};
        struct loaded l;

        for (size_t j = 0; cases[i].machines[j]; j++)
            assert_true(opt_texts_add(&o.machines, cases[i].machines[j], NULL));
        for (size_t j = 0; cases[i].tags[j]; j++)
            assert_true(opt_texts_add(&o.tags, cases[i].tags[j], NULL));
        load(&l, THREE, &o);
        if (cases[i].chosen) {
            assert_loaded(&l);
            for (size_t j = 0; j < l.job->machine_count; j++)
                buf_format(&names, "%s ", l.job->machines[j].name);
            assert_string_equal(names.data, cases[i].chosen);
        } else {
            assert_null(l.job);
            assert_int_equal(l.e.kind, ERR_USAGE);
            if (!strstr(l.e.text, cases[i].want))
                fail_msg("'%s' is not in '%s'", cases[i].want, l.e.text);
        }
        buf_release(&names);
        opt_texts_release(&o.machines);
        opt_texts_release(&o.tags);
        unload(&l);
    }
}

/* A job file reached through a link has its folder where it really lies. */
static void test_real_folder(void **state)
{
    struct mistakes m = {0};
    struct err e = ERR_INIT;
    struct job *job;
    char link[1100];

    (void)state;
    stages_register(fake_stages);
    put("real/j.yaml", HEAD "machines: [{name: a, source: x}]\nstages: [preflight]\n");
    snprintf(link, sizeof(link), "%s/link.yaml", test_dir());
    assert_int_equal(symlink("real/j.yaml", link), 0);
    job = job_load(link, NULL, &m, &e);
    assert_ok(job, &e);
    assert_string_equal(job->dir, below("real"));
    assert_string_equal(job->path, link);
    assert_string_equal(job->machines[0].source, below("real/x"));
    job_free(job);
    mistakes_release(&m);
}

static void test_unreadable(void **state)
{
    struct mistakes m = {0};
    struct err e = ERR_INIT;

    (void)state;
    assert_null(job_load(below("none.yaml"), NULL, &m, &e));
    assert_int_equal(e.kind, ERR_IO);
    err_clear(&e);
    assert_null(job_load(test_dir(), NULL, &m, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    assert_int_equal(m.list.count, 0);
    mistakes_release(&m);
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
        cmocka_unit_test(test_everything),  cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_stage_forms), cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_globs),       cmocka_unit_test(test_images),
        cmocka_unit_test(test_same_names),  cmocka_unit_test(test_csv),
        cmocka_unit_test(test_bad_csv),     cmocka_unit_test(test_filters),
        cmocka_unit_test(test_real_folder), cmocka_unit_test(test_unreadable),
    };

    return cmocka_run_group_tests(tests, NULL, clean);
}
