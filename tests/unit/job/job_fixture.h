/* A small table of stages and a job file written for one test. Include once, after test.h. */
#ifndef TESTS_JOB_FIXTURE_H
#define TESTS_JOB_FIXTURE_H

#include "bytes.h"
#include "formats.h"
#include "job.h"
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct fake_convert {
    char *format, *to, *disk;
    int compression;
    uint64_t level, cluster_size;
    const struct node *options;
    struct opt_pairs extra;
};

struct fake_ova {
    char *to;
};

struct fake_resize {
    char *filesystem;
    uint64_t size;
};

struct fake_command {
    struct opt_texts run;
};

static const char *const fake_compressions[] = {"none", "zlib", "zstd", NULL};

static const struct opt_row fake_convert_rows[] = {
    {.key = "format",
     .type = OPT_TEXT,
     .at = OPT_AT(struct fake_convert, format, char *),
     .help = "format of the output"},
    {.key = "to",
     .type = OPT_TEXT,
     .flags = OPT_PATH,
     .at = OPT_AT(struct fake_convert, to, char *),
     .help = "the output"},
    {.key = "disk",
     .type = OPT_TEXT,
     .at = OPT_AT(struct fake_convert, disk, char *),
     .help = "one disk alone"},
    {.key = "compression",
     .type = OPT_WORD,
     .words = fake_compressions,
     .preset = "none",
     .at = OPT_AT(struct fake_convert, compression, int),
     .help = "compression"},
    {.key = "level",
     .type = OPT_COUNT,
     .max = 22,
     .at = OPT_AT(struct fake_convert, level, uint64_t),
     .help = "level of the compression"},
    {.key = "cluster_size",
     .type = OPT_SIZE,
     .flags = OPT_POW2,
     .min = 512,
     .max = 2 << 20,
     .preset = "64K",
     .at = OPT_AT(struct fake_convert, cluster_size, uint64_t),
     .help = "allocation unit"},
    {.key = "options",
     .type = OPT_NODE,
     .at = OPT_AT(struct fake_convert, options, const struct node *),
     .help = "options of the format"},
    {.key = "extra",
     .type = OPT_PAIRS,
     .at = OPT_AT(struct fake_convert, extra, struct opt_pairs),
     .help = "more"},
    {0},
};

static const struct opt_row fake_ova_rows[] = {
    {.key = "to",
     .type = OPT_TEXT,
     .flags = OPT_PATH | OPT_REQUIRED,
     .at = OPT_AT(struct fake_ova, to, char *),
     .help = "the package"},
    {0},
};

static const struct opt_row fake_resize_rows[] = {
    {.key = "filesystem",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .at = OPT_AT(struct fake_resize, filesystem, char *),
     .help = "mount point or device"},
    {.key = "size",
     .type = OPT_SIZE,
     .flags = OPT_REQUIRED,
     .at = OPT_AT(struct fake_resize, size, uint64_t),
     .help = "its new size"},
    {0},
};

static const struct opt_row fake_command_rows[] = {
    {.key = "run",
     .type = OPT_TEXTS,
     .flags = OPT_REQUIRED,
     .at = OPT_AT(struct fake_command, run, struct opt_texts),
     .help = "program and arguments"},
    {0},
};

static const struct stage fake_preflight = {
    .name = "preflight", .help = "looks", .layers = LAYER_FILE | LAYER_GUEST};
static const struct stage fake_consolidate = {
    .name = "consolidate", .help = "chains", .layers = LAYER_CONTAINER, .flags = STAGE_ALTERS};
static const struct stage fake_resize_stage = {.name = "resize",
                                               .help = "grows and shrinks",
                                               .layers =
                                                   LAYER_CONTAINER | LAYER_TABLE | LAYER_FILESYSTEM,
                                               .flags = STAGE_ALTERS,
                                               .options = fake_resize_rows,
                                               .options_size = sizeof(struct fake_resize)};
static const struct stage fake_convert_stage = {.name = "convert",
                                                .help = "writes",
                                                .layers = LAYER_CONTAINER,
                                                .flags = STAGE_ALTERS | STAGE_OUTPUT,
                                                .options = fake_convert_rows,
                                                .options_size = sizeof(struct fake_convert),
                                                .shorthand = "format"};
static const struct stage fake_ova_stage = {.name = "ova",
                                            .help = "packs",
                                            .layers = LAYER_CONTAINER,
                                            .flags = STAGE_OUTPUT,
                                            .options = fake_ova_rows,
                                            .options_size = sizeof(struct fake_ova)};
static const struct stage fake_verify = {
    .name = "verify", .help = "compares", .layers = LAYER_CONTAINER, .flags = STAGE_VERIFIES};
static const struct stage fake_command_stage = {.name = "command",
                                                .help = "runs a program",
                                                .options = fake_command_rows,
                                                .options_size = sizeof(struct fake_command),
                                                .shorthand = "run"};

static const struct stage *const fake_stages[] = {
    &fake_preflight, &fake_consolidate, &fake_resize_stage,  &fake_convert_stage,
    &fake_ova_stage, &fake_verify,      &fake_command_stage, NULL,
};

/* A file below the test's folder. */
static inline void put(const char *name, const char *text)
{
    char path[1024], *slash;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
    for (slash = strchr(path + strlen(test_dir()) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

struct loaded {
    struct job *job;
    struct mistakes m;
    struct err e;
    struct buf said; /* the mistakes as shown */
};

/* Writes the job to "j.yaml" and loads it. */
static inline void load(struct loaded *l, const char *text, const struct job_overrides *overrides)
{
    char path[1024];

    *l = (struct loaded){0};
    drivers_register(formats_table);
    stages_register(fake_stages);
    put("j.yaml", text);
    snprintf(path, sizeof(path), "%s/j.yaml", test_dir());
    l->job = job_load(path, overrides, &l->m, &l->e);
    mistakes_text(&l->m, &l->said);
    buf_text(&l->said, "");
}

static inline void unload(struct loaded *l)
{
    job_free(l->job);
    mistakes_release(&l->m);
    buf_release(&l->said);
}

/* Fails with what was said when the job did not load. */
#define assert_loaded(l)                                                                           \
    do {                                                                                           \
        if (!(l)->job)                                                                             \
            fail_msg("%s\n%s", (l)->e.text, (l)->said.data);                                       \
    } while (0)

/* A path below the test's folder; valid until the next call. */
static inline const char *below(const char *name)
{
    static char path[1024];

    snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
    return path;
}

#endif
