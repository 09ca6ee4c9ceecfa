/* Mistakes in job files: each class once, with its place and words.
 * label: quick */
#include "test.h"

#include "job_fixture.h"

#define HEAD "strata: 1\nname: n\n"
#define MACHINE "machines: [{name: a, source: a.vmx}]\n"
#define STAGES "stages: [preflight]\n"

struct row {
    const char *name, *text;
    const char *want;  /* with its place: "5:3: words" */
    const char *never; /* must not be shown */
};

static const struct row rows[] = {
    /* the document */
    {"empty", "", "j.yaml: is empty: a job needs strata: 1, name, machines and stages", NULL},
    {"comments alone", "# x\n\n", "j.yaml: is empty", NULL},
    {"a list", "- a\n", "1:1: a job is a map of keys, the first being 'strata: 1'; this is a list",
     NULL},
    {"a text", "hello\n", "1:1: a job is a map", NULL},
    {"not UTF-8", "strata: 1\nname: \xff\n", "2:7: the file is not UTF-8", NULL},
    {"newer", "strata: 2\nnew: x\n",
     "1:9: the job is written in version 2 of the job language; this strata knows version 1",
     "no key 'new'"},
    {"no version", "name: n\n" MACHINE STAGES, "1:1: 'strata' is missing", NULL},
    {"odd version", "strata: one\nname: n\n" MACHINE STAGES, "1:9: 'strata': 'one' is not a number",
     NULL},
    {"no name", "strata: 1\n" MACHINE STAGES, "1:1: 'name' is missing", NULL},
    {"bad name", "strata: 1\nname: a/b\n" MACHINE STAGES, "2:7: 'name': 'a/b' cannot be a name",
     NULL},
    {"dots for a name", "strata: 1\nname: ..\n" MACHINE STAGES, "2:7: 'name': '..' cannot", NULL},
    {"unknown key", HEAD "machnies: []\n" MACHINE STAGES,
     "3:1: there is no key 'machnies' here; did you mean 'machines'?", NULL},
    {"key twice", HEAD MACHINE STAGES "name: m\n", "5:1: the key 'name' is given twice", NULL},
    {"duplicate and unknown stage", HEAD MACHINE "stages: [verfy]\nname: m\n",
     "4:10: there is no stage 'verfy'; did you mean 'verify'?", NULL},
    {"no machines", HEAD STAGES, "1:1: the job has no machines", NULL},
    {"empty machines", HEAD "machines: []\n" STAGES, "3:11: the job has no machines", NULL},
    {"no machines and a bad stage", HEAD "stages: [convrt]\n",
     "3:10: there is no stage 'convrt'; did you mean 'convert'?", NULL},
    {"no stages", HEAD MACHINE, "1:1: 'stages' is missing", NULL},
    {"empty stages", HEAD MACHINE "stages: []\n", "4:9: 'stages' takes a list of 1 to 64 stages",
     NULL},
    {"stages as a map", HEAD MACHINE "stages: {preflight: {}}\n",
     "4:9: 'stages' takes a list, not a map", NULL},
    /* policy */
    {"policy key", HEAD "policy: {paralel: 2}\n" MACHINE STAGES,
     "3:10: there is no key 'paralel' here; did you mean 'parallel'?", NULL},
    {"policy bound", HEAD "policy: {parallel: 0}\n" MACHINE STAGES,
     "3:20: 'parallel': '0' is out of range: 1 to 256", NULL},
    {"policy word", HEAD "policy: {on_error: halt}\n" MACHINE STAGES,
     "3:20: 'on_error': 'halt' is not one of: continue, stop", NULL},
    {"policy window", HEAD "policy: {window: \"22:00-25:00\"}\n" MACHINE STAGES,
     "3:18: 'window': '22:00-25:00' is not a window", NULL},
    {"policy in_use_check", HEAD "policy: {in_use_check: [libvrit]}\n" MACHINE STAGES,
     "3:25: 'in_use_check': 'libvrit' is no place to ask", NULL},
    /* variables */
    {"unknown variable",
     HEAD "vars: {pool: /p}\n" MACHINE "stages: [{convert: {to: '${pol}/x'}}]\n",
     "5:25: 'to': there is no variable 'pol'; did you mean 'pool'?", NULL},
    {"open variable", HEAD MACHINE "stages: [{convert: {to: '${pool/x'}}]\n",
     "4:25: 'to': '${' has no '}'", NULL},
    {"circle", HEAD "vars:\n  a: '${b}'\n  b: '${a}'\n" MACHINE STAGES,
     "5:6: the variable 'b': '${a}' goes in a circle", NULL},
    {"circle of one", HEAD "vars: {a: 'x${a}'}\n" MACHINE STAGES, "'${a}' goes in a circle", NULL},
    {"variable in a variable", HEAD "vars: {a: '${zz}'}\n" MACHINE STAGES,
     "3:11: the variable 'a': there is no variable 'zz'", NULL},
    {"growth",
     HEAD "vars: {a: '0123456789012345678901234567890123456789012345678901234567890123', "
          "b: '${a}${a}${a}${a}${a}${a}${a}${a}', c: '${b}${b}${b}${b}${b}${b}${b}${b}', "
          "d: '${c}${c}${c}${c}${c}${c}${c}${c}', e: '${d}${d}${d}${d}${d}${d}'}\n" MACHINE STAGES,
     "the variable 'e': the text grows beyond 64 KiB", NULL},
    {"variable of our own", HEAD "vars: {machine: x}\n" MACHINE STAGES,
     "3:17: 'machine' is a variable of strata's own", NULL},
    {"variable name", HEAD "vars: {'a b': x}\n" MACHINE STAGES, "3:15: 'a b' cannot be a variable",
     NULL},
    {"variable that is a list", HEAD "vars: {a: [b]}\n" MACHINE STAGES,
     "3:11: 'a': a variable is a text, not a list", NULL},
    {"vars that are a list", HEAD "vars: [a]\n" MACHINE STAGES,
     "3:7: 'vars' takes a map of names and texts, not a list", NULL},
    {"disk outside stages", HEAD "workdir: '/w/${disk}'\n" MACHINE STAGES,
     "3:10: 'workdir': '${disk}' has no value here", NULL},
    {"machine outside machines", HEAD "workdir: '/w/${machine}'\n" MACHINE STAGES,
     "3:10: 'workdir': '${machine}' has no value here", NULL},
    {"environment", HEAD "workdir: '${env:NO_SUCH_THING}'\n" MACHINE STAGES,
     "3:10: 'workdir': the environment has no variable 'NO_SUCH_THING'", NULL},
    /* secrets */
    {"secret written out", HEAD "secrets: {sas: hunter2hunter2}\n" MACHINE STAGES,
     "3:16: a secret is never written into a job file: say where it is", "hunter2"},
    {"secret in two places", HEAD "secrets: {sas: {env: A, file: b}}\n" MACHINE STAGES,
     "3:16: a secret is in one place", NULL},
    {"secret nowhere", HEAD "secrets: {sas: {}}\n" MACHINE STAGES, "3:16: a secret is in one place",
     NULL},
    {"secret key", HEAD "secrets: {sas: {evn: A}}\n" MACHINE STAGES,
     "3:17: there is no key 'evn' here; did you mean 'env'?", NULL},
    {"secret name", HEAD "secrets: {'a:b': {env: A}}\n" MACHINE STAGES,
     "3:11: 'a:b' cannot be a secret's name", NULL},
    {"unknown secret",
     HEAD "secrets: {sas: {env: A}}\n" MACHINE
          "stages: [{convert: {to: 'h://x?${secret:sass}'}}]\n",
     "5:25: 'to': there is no secret 'sass'; did you mean 'sas'?", NULL},
    {"no secrets at all", HEAD MACHINE "stages: [{convert: {to: 'h://x?${secret:sas}'}}]\n",
     "4:25: 'to': there is no secret 'sas': name it under 'secrets'", NULL},
    {"signature in a URL",
     HEAD MACHINE "stages: [{convert: {to: 'h://x?sig=abcdefghijklmnopqr'}}]\n",
     "4:25: this looks like a secret written out", "abcdefghij"},
    {"password in a URL", HEAD "machines: [{name: a, source: 'http://u:hunter2@h/x'}]\n" STAGES,
     "3:30: this looks like a secret written out", "hunter2"},
    {"password of a remote",
     HEAD "remotes: {v: {match: 'h://', password: hunter2}}\n" MACHINE STAGES,
     "3:40: a password is never written into a job file", "hunter2"},
    {"remote without a match", HEAD "remotes: {v: {user: u}}\n" MACHINE STAGES,
     "3:14: 'match' is missing", NULL},
    /* networks */
    {"network of two kinds", HEAD "networks: {lan: {bridge: b, none: yes}}\n" MACHINE STAGES,
     "3:17: 'lan' needs one of bridge, network and none", NULL},
    /* machines */
    {"machine that is a text", HEAD "machines: [web01]\n" STAGES, "3:12: a machine is a map", NULL},
    {"machine without a name", HEAD "machines: [{source: a.vmx}]\n" STAGES,
     "3:12: a machine needs a 'name' (or 'glob' or 'csv' for many)", NULL},
    {"machine with two names", HEAD "machines: [{name: a, glob: '*'}]\n" STAGES,
     "3:12: a machine has one of 'name', 'glob' and 'csv'", NULL},
    {"machine name", HEAD "machines: [{name: 'web 01', source: a.vmx}]\n" STAGES,
     "3:19: 'web 01' cannot be a name: only A-Z a-z 0-9 . _ - may be in it", NULL},
    {"machine twice", HEAD "machines:\n  - {name: a, source: a}\n  - {name: a, source: b}\n" STAGES,
     "5:12: there are two machines 'a': see line 4", NULL},
    {"machine key", HEAD "machines: [{name: a, sorce: a.vmx}]\n" STAGES,
     "3:22: there is no key 'sorce' here; did you mean 'source'?", NULL},
    {"no source", HEAD "machines: [{name: a}]\n" STAGES,
     "3:19: machine 'a' has neither a 'source' nor 'disks'", NULL},
    {"disks by id without a source",
     HEAD "machines: [{name: a, disks: {scsi0:0: {skip: yes}}}]\n" STAGES,
     "3:29: without a source, 'disks' is a list of images", NULL},
    {"disk list with a source", HEAD "machines: [{name: a, source: a.vmx, disks: [b]}]\n" STAGES,
     "3:44: with a source, 'disks' is a map", NULL},
    {"unknown format", HEAD "machines: [{name: a, disks: [{path: x, format: qcow}]}]\n" STAGES,
     "3:48: 'format': there is no format 'qcow'; did you mean 'qcow2'?", NULL},
    {"disk without a path", HEAD "machines: [{name: a, disks: [{format: raw}]}]\n" STAGES,
     "3:30: a disk of the list needs a 'path'", NULL},
    {"disk key", HEAD "machines: [{name: a, disks: [{pth: x}]}]\n" STAGES,
     "3:31: there is no key 'pth' here; did you mean 'path'?", NULL},
    {"hardware", HEAD "machines: [{name: a, source: b, hardware: {cpus: 0}}]\n" STAGES,
     "3:50: 'cpus': '0' is out of range: 1 to 4096", NULL},
    {"firmware", HEAD "machines: [{name: a, source: b, hardware: {firmware: efi}}]\n" STAGES,
     "3:54: 'firmware': 'efi' is not one of: auto, bios, uefi; did you mean 'uefi'?", NULL},
    {"glob without a match", HEAD "machines: [{glob: 'none/*.vmx'}]\n" STAGES,
     "3:19: 'none/*.vmx' matches no file", NULL},
    {"images without a match", HEAD "images: ['none/*.raw']\n" STAGES,
     "3:10: 'none/*.raw' matches no file", NULL},
    {"missing CSV", HEAD "machines: [{csv: none.csv}]\n" STAGES, "3:18: cannot read ", NULL},
    {"unknown tag list", HEAD "machines: [{name: a, source: b, tags: {x: y}}]\n" STAGES,
     "3:39: 'tags' takes a list, not a map", NULL},
    /* stages */
    {"unknown stage", HEAD MACHINE "stages:\n  - preflight\n  - consolidat\n",
     "6:5: there is no stage 'consolidat'; did you mean 'consolidate'?", NULL},
    {"unknown stage with options", HEAD MACHINE "stages:\n  - convrt: {to: x}\n",
     "5:5: there is no stage 'convrt'; did you mean 'convert'?", NULL},
    {"options beside the name", HEAD MACHINE "stages:\n  - convert:\n    to: x\n",
     "6:5: this stands beside 'convert', not inside it", NULL},
    {"two stages in one", HEAD MACHINE "stages:\n  - {convert: {to: x}, verify: {}}\n",
     "5:5: a stage is a name, or a name with options", NULL},
    {"empty entry", HEAD MACHINE "stages:\n  -\n", "a stage is a name, or a name with options",
     NULL},
    {"list for a stage", HEAD MACHINE "stages: [[verify]]\n", "4:10: a stage is a name", NULL},
    {"option key", HEAD MACHINE "stages: [{convert: {compresion: zstd, to: x}}]\n",
     "4:21: there is no key 'compresion' here; did you mean 'compression'?", NULL},
    {"option value", HEAD MACHINE "stages: [{convert: {level: many, to: x}}]\n",
     "4:28: 'level': 'many' is not a number", NULL},
    {"options for none", HEAD MACHINE "stages: [{preflight: {guest: no}}]\n",
     "4:23: there is no key 'guest' here", NULL},
    {"scalar for options", HEAD MACHINE "stages: [{preflight: fast}]\n",
     "4:22: 'preflight' takes options as a map, like {key: value}, not a single value", NULL},
    {"required option", HEAD MACHINE "stages: [ova]\n", "4:10: 'ova' needs 'to': the package",
     NULL},
    {"required option of a map", HEAD MACHINE "stages: [{resize: {size: 1G}}]\n",
     "4:19: 'filesystem' is missing: mount point or device", NULL},
    {"verify before anything is written", HEAD MACHINE "stages: [verify, {convert: {to: x}}]\n",
     "4:10: 'verify' checks what was written, and nothing is written before it: put it after "
     "'convert'",
     NULL},
    {"verify alone", HEAD MACHINE "stages: [preflight, verify]\n",
     "4:21: 'verify' checks what was written, and no stage writes anything", NULL},
    {"resize after ova",
     HEAD MACHINE "stages: [{ova: {to: x}}, {resize: {filesystem: /, size: 1G}}]\n",
     "4:27: 'resize' would change the disk after 'ova' has written it: put it before", NULL},
    {"skip of an unknown stage", HEAD "machines: [{name: a, source: b, skip: [prefligt]}]\n" STAGES,
     "3:40: there is no stage 'prefligt'; did you mean 'preflight'?", NULL},
    {"skip of an unused stage", HEAD "machines: [{name: a, source: b, skip: verify}]\n" STAGES,
     "3:39: 'verify' is not in the common list: there is nothing to skip", NULL},
    {"set of an unknown stage", HEAD "machines: [{name: a, source: b, set: {convrt: {}}}]\n" STAGES,
     "3:39: there is no stage 'convrt'", NULL},
    {"set of an unused stage",
     HEAD "machines: [{name: a, source: b, set: {convert: {to: x}}}]\n" STAGES,
     "3:39: 'convert' is not in the common list: there is nothing to set", NULL},
    {"set of a skipped stage",
     HEAD "machines: [{name: a, source: b, skip: convert, set: {convert: {to: x}}}]\n"
          "stages: [preflight, {convert: {to: y}}]\n",
     "3:54: 'convert' is skipped by this machine", NULL},
    {"set with a wrong key",
     HEAD
     "machines: [{name: a, source: b, set: {convert: {t: x}}}]\nstages: [{convert: {to: y}}]\n",
     "3:49: there is no key 't' here; did you mean 'to'?", NULL},
    {"skip beside own stages",
     HEAD "machines: [{name: a, source: b, skip: preflight, stages: [preflight]}]\n" STAGES,
     "3:39: 'skip' is about the common list, which this machine's 'stages' replaces", NULL},
    {"all stages skipped", HEAD "machines: [{name: a, source: b, skip: preflight}]\n" STAGES,
     "3:19: machine 'a' skips every stage", NULL},
    /* targets */
    {"one target of two machines",
     HEAD "machines:\n  - {name: a, source: a}\n  - {name: b, source: b}\n"
          "stages:\n  - convert: {to: out/x.img}\n",
     "7:5: the target '", NULL},
    {"one target, two spellings",
     HEAD "machines:\n  - {name: a, source: a, vars: {t: out//x}}\n"
          "  - {name: b, source: b, vars: {t: ./out/./x}}\n"
          "stages:\n  - convert: {to: '${t}'}\n",
     "is that of 2 machines, 'a' and 'b': use ${machine} in it", NULL},
    {"one target of two stages", HEAD MACHINE "stages: [{convert: {to: x}}, {ova: {to: x}}]\n",
     "4:31: '", NULL},
    {"one target of two disks",
     HEAD "machines: [{name: a, disks: [x, y]}]\nstages: [{convert: {to: '${machine}.img'}}]\n",
     "4:11: the 2 disks of 'a' would all be written to '", NULL},
};

static void test_row(void **state)
{
    const struct row *r = *state;
    struct loaded l;

    load(&l, r->text, NULL);
    assert_null(l.job);
    assert_int_equal(l.e.kind, ERR_USAGE);
    if (!strstr(l.said.data, r->want))
        fail_msg("'%s' is not in:\n%s", r->want, l.said.data);
    if (r->never && strstr(l.said.data, r->never))
        fail_msg("'%s' is in:\n%s", r->never, l.said.data);
    unload(&l);
}

/* The whole report: mistakes of every part of the file, in order, once each although the stages
 * are decoded for two machines. */
static void test_together(void **state)
{
    static const char text[] =
        "strata: 1\n"
        "nam: x\n"
        "policy: {disk: fast}\n"
        "machines:\n"
        "  - {name: a, source: a.vmx, skip: [boot]}\n"
        "  - {name: b}\n"
        "stages:\n"
        "  - convert: {format: qcow2, compresion: zstd, to: o, level: many}\n"
        "  - verfy\n";
    static const char *const places[] = {"j.yaml:1:1: 'name' is missing",
                                         "j.yaml:2:1: there is no key 'nam'",
                                         "j.yaml:3:16: 'disk': 'fast' is not a size",
                                         "j.yaml:5:37: there is no stage 'boot'",
                                         "j.yaml:6:12: machine 'b' has neither",
                                         "j.yaml:8:5: the target",
                                         "j.yaml:8:30: there is no key 'compresion'",
                                         "j.yaml:8:62: 'level': 'many'",
                                         "j.yaml:9:5: there is no stage 'verfy'"};
    struct loaded l;
    const char *p;

    (void)state;
    load(&l, text, NULL);
    assert_null(l.job);
    p = l.said.data;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        const char *found = strstr(p, places[i]);

        if (!found)
            fail_msg("'%s' is not (in its order) in:\n%s", places[i], l.said.data);
        p = found;
    }
    assert_int_equal(l.m.list.count, ARRAY_LEN(places));
    assert_non_null(strstr(l.e.text, "has 9 mistakes"));
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
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1] = {cmocka_unit_test(test_together)};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[1 + i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = test_row, .initial_state = (void *)&rows[i]};
    return cmocka_run_group_tests(tests, NULL, clean);
}
