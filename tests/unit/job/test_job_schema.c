/* The generated schema: valid itself, and of one mind with the loader, by an independent validator.
 * label: quick */
#include "test.h"

#include "job_fixture.h"

#include <sys/wait.h>

#define HEAD "strata: 1\nname: n\n"
#define MACHINE "machines: [{name: a, source: a.vmx}]\n"

/* Each is loaded too: schema and loader must agree. */
static const struct {
    const char *text;
    bool valid;
} jobs[] = {
    {HEAD MACHINE "stages: [preflight]\n", true},
    {HEAD MACHINE "stages: [{convert: {level: 3, cluster_size: 64K, compression: zstd}}]\n", true},
    {HEAD MACHINE "stages: [{convert: {level: '3', cluster_size: 65536}}]\n", true},
    {HEAD "vars: {l: 3, c: none}\n" MACHINE
          "stages: [{convert: {level: '${l}', compression: '${c}'}}]\n",
     true},
    {HEAD MACHINE "stages: [{convert: raw}, {convert: {options: {a: [1, {b: c}]}}}, verify]\n",
     true},
    {HEAD MACHINE "stages: [{command: [echo, 1]}, {command: ls}, {preflight: }]\n", true},
    {HEAD MACHINE "policy: {parallel: 2, disk: 40M, on_error: stop, window: \"22:00-05:00\"}\n"
                  "stages: [preflight]\n",
     true},
    {HEAD "secrets: {s: {env: E}, t: {command: [a, b]}}\nnetworks: {'a b': {none: yes}}\n"
          "remotes: {v: {match: x, password: '${secret:s}'}}\n"
          "allow: /x\npath_map: {/a: /b}\nworkdir: w\n" MACHINE "stages: [preflight]\n",
     true},
    {HEAD "machines:\n  - {name: a, source: a, disks: {scsi0:1: {skip: yes}, scsi0:2: x.img}, "
          "tags: t, hardware: {firmware: uefi, memory: 8G, nics: [{mac: m}]}}\n"
          "  - {name: b, disks: [x, {path: y, format: raw}], set: {convert: {level: 1}}, "
          "skip: preflight}\n"
          "stages: [preflight, {convert: {disk: '0', to: '${machine}'}}]\n",
     true},
    {HEAD MACHINE "stages: [verfy]\n", false},
    {HEAD MACHINE "stages: [{convert: {compresion: zstd}}]\n", false},
    {HEAD MACHINE "stages: [{convert: {level: many}}]\n", false},
    {HEAD MACHINE "stages: [{convert: {level: 23}}]\n", false},
    {HEAD MACHINE "stages: [{convert: {compression: lzma}}]\n", false},
    {HEAD MACHINE "stages: [{convert: {cluster_size: 64Q}}]\n", false},
    {HEAD MACHINE "stages: [{resize: {size: 1G}}]\n", false},
    {HEAD MACHINE "stages: [{preflight: fast}]\n", false},
    {HEAD MACHINE "stages: []\n", false},
    {HEAD MACHINE "stages: [preflight]\nmachine: x\n", false},
    {HEAD MACHINE "policy: {parallel: 0}\nstages: [preflight]\n", false},
    {HEAD "machines: [{name: a, source: b, disks: [{format: raw}]}]\nstages: [preflight]\n", false},
    {HEAD "machines: [{source: b}]\nstages: [preflight]\n", false},
    {HEAD "machines: [{name: a, glob: b}]\nstages: [preflight]\n", false},
    {HEAD "secrets: {s: literal}\n" MACHINE "stages: [preflight]\n", false},
    {HEAD "secrets: {s: {env: a, file: b}}\n" MACHINE "stages: [preflight]\n", false},
    {"strata: 2\nname: n\n" MACHINE "stages: [preflight]\n", false},
    {"name: n\n" MACHINE "stages: [preflight]\n", false},
};

static const char validator[] = "import sys, json\n"
                                "try:\n"
                                "    import yaml\n"
                                "    from jsonschema import Draft202012Validator as V\n"
                                "except ImportError:\n"
                                "    sys.exit(77)\n"
                                "s = json.load(open(sys.argv[1]))\n"
                                "V.check_schema(s)\n"
                                "def bare(n, p):\n"
                                "    if isinstance(n, dict):\n"
                                "        for k, v in n.get('properties', {}).items():\n"
                                "            if not v.get('description'): yield p + '/' + k\n"
                                "        for k, v in n.items():\n"
                                "            yield from bare(v, p + '/' + k)\n"
                                "    elif isinstance(n, list):\n"
                                "        for v in n: yield from bare(v, p)\n"
                                "b = list(bare(s, ''))\n"
                                "if b: sys.exit('no help text: ' + ', '.join(b))\n"
                                "for f in sys.argv[2:]:\n"
                                "    print(0 if V(s).is_valid(yaml.safe_load(open(f))) else 1)\n";

/* Runs the validator over all jobs at once: a Python start is slow. */
static void test_agreement(void **state)
{
    struct err e = ERR_INIT;
    struct buf command = {0};
    char *schema;
    FILE *out;
    int status;

    (void)state;
    stages_register(fake_stages);
    schema = job_schema(&e);
    assert_ok(schema, &e);
    put("schema.json", schema);
    put("validate.py", validator);
    free(schema);
    buf_format(&command, "cd '%s' && /usr/bin/python3 validate.py schema.json", test_dir());
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        char name[32];

        snprintf(name, sizeof(name), "job%02zu.yaml", i);
        put(name, jobs[i].text);
        buf_format(&command, " %s", name);
    }
    out = popen(command.data, "r");
    assert_non_null(out);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        int invalid = -1;
        struct loaded l;

        if (fscanf(out, "%d", &invalid) != 1)
            break;
        if (invalid == jobs[i].valid)
            fail_msg("the schema finds this %s:\n%s", invalid ? "invalid" : "valid", jobs[i].text);
        load(&l, jobs[i].text, NULL);
        if (!l.job != !jobs[i].valid)
            fail_msg("the loader does not agree on:\n%s\n%s", jobs[i].text, l.said.data);
        unload(&l);
    }
    status = pclose(out);
    buf_release(&command);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("skipped: no python3-jsonschema or python3-yaml\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* Without any stage the schema is still one. */
static void test_no_stages(void **state)
{
    static const struct stage *const none[] = {NULL};
    struct err e = ERR_INIT;
    char *schema;

    (void)state;
    stages_register(none);
    schema = job_schema(&e);
    assert_ok(schema, &e);
    assert_non_null(
        strstr(schema, "\"$schema\": \"https://json-schema.org/draft/2020-12/schema\""));
    free(schema);
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
        cmocka_unit_test(test_agreement),
        cmocka_unit_test(test_no_stages),
    };

    return cmocka_run_group_tests(tests, NULL, clean);
}
