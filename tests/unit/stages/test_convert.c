/* Mistakes in the options of convert: found while the job is loaded, all of them, with their
 * places. label: quick */
#include "test.h"

#include "buf.h"
#include "bytes.h"
#include "formats.h"
#include "job.h"
#include "stages.h"

#include <stdio.h>
#include <string.h>

static const struct row {
    const char *name, *stages, *want[3];
} rows[] = {
    {"an unknown format",
     "[{convert: {format: qcow3, to: x}}]",
     {"4:29: 'format': there is no format 'qcow3'; did you mean 'qcow2'?"}},
    {"as the shorthand",
     "[{convert: vmkd}]",
     {"4:20: 'format': there is no format 'vmkd'; did you mean 'vmdk'?"}},
    {"an alias", "[{convert: {format: vpc, to: x}}]", {NULL}},
    {"all of one disk",
     "[{convert: {to: x, disks: {scsi0:0: {fromat: raw}, scsi0:1: {format: rwa, skip: maybe}}}}]",
     {"there is no key 'fromat' here; did you mean 'format'?", "no format 'rwa'", "'skip': "}},
    {"no map", "[{convert: {to: x, disks: [a]}}]", {"4:35: 'disks' takes a map"}},
};

static void test_row(void **state)
{
    const struct row *row = *state;
    struct mistakes m = {0};
    struct err e = ERR_INIT;
    struct buf said = {0};
    struct job *job;
    char path[700];
    FILE *f;

    snprintf(path, sizeof(path), "%s/job.yaml", test_dir());
    f = fopen(path, "w");
    fprintf(f, "strata: 1\nname: t\nmachines: [{name: m, source: a.vmx}]\nstages: %s\n",
            row->stages);
    fclose(f);
    job = job_load(path, NULL, &m, &e);
    mistakes_text(&m, &said);
    if ((job == NULL) != (row->want[0] != NULL))
        fail_msg("%s", said.data ? said.data : "loaded");
    for (size_t i = 0; i < ARRAY_LEN(row->want) && row->want[i]; i++)
        if (!strstr(said.data, row->want[i]))
            fail_msg("no '%s' in:\n%s", row->want[i], said.data);
    job_free(job);
    mistakes_release(&m);
    buf_release(&said);
}

static int setup(void **unused)
{
    (void)unused;
    drivers_register(formats_table);
    stages_register(stages_table);
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
    struct CMUnitTest tests[ARRAY_LEN(rows)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){rows[i].name, test_row, NULL, NULL, (void *)&rows[i]};
    return cmocka_run_group_tests(tests, setup, teardown);
}
