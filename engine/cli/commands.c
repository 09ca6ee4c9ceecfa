/* The table of commands; see commands.h. */
#include "commands.h"

#include "text.h"

#include <string.h>

enum { COMMANDS_MAX = 64 };

const char *const command_groups[GROUP_COUNT] = {
    [GROUP_JOBS] = "Jobs",
    [GROUP_IMAGES] = "Looking at images",
    [GROUP_WRITING] = "Writing images",
    [GROUP_ABOUT] = "About strata",
};

#define EXAMPLES(...)                                                                              \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

const struct command commands[] = {
    {.name = "plan",
     .arguments = "JOB",
     .group = GROUP_JOBS,
     .summary = "show what a run would do, and check everything that needs no write",
     .text = "Reads the job file and the sources and prints, for each machine, its disks with "
             "their chains, one row per stage with the bytes it reads and writes, the space needed "
             "on each file system against what is free, what the checks found, what the "
             "conversion cannot carry over, and a verdict. Nothing is changed.\n\n"
             "The exit status is the one a run would end with at once: 0 when it can begin.",
     .options = "var machine tag fresh",
     .examples = EXAMPLES("strata plan job.yaml", "what would happen",
                          "strata plan --machine 'web*' job.yaml", "to some of the machines",
                          "strata plan --json job.yaml", "the same for programs"),
     .args_min = 1,
     .args_max = 1,
     .stops = true,
     .run = cmd_plan},
    {.name = "run",
     .arguments = "JOB",
     .group = GROUP_JOBS,
     .summary = "do it; after an interruption the same command goes on",
     .text = "Runs the stages of every machine. Outputs are written beside their final names and "
             "renamed once they are complete and verified, so nothing half-written is ever found "
             "under a final name.\n\n"
             "A run that was interrupted, whatever by, goes on from the last checkpoint when the "
             "same command is given again. A run whose sources and outputs have not changed is "
             "not done again. The table at the end says what became of each machine.",
     .options = "var machine tag fresh only-failed events",
     .examples = EXAMPLES("strata run job.yaml", "run, or go on", "strata run --fresh job.yaml",
                          "from the start, whatever was done before",
                          "strata run --events run.jsonl job.yaml", "and record what happens"),
     .args_min = 1,
     .args_max = 1,
     .stops = true,
     .run = cmd_run},
    {.name = "abandon",
     .arguments = "JOB",
     .group = GROUP_JOBS,
     .summary = "remove what an unfinished run left, and forget it",
     .text = "Removes part files and overlays of unfinished runs and their place in the state, "
             "and lists what it removed. Published outputs and sources stay.",
     .options = "var machine tag",
     .examples = EXAMPLES("strata abandon job.yaml", "give an interrupted run up"),
     .args_min = 1,
     .args_max = 1,
     .run = cmd_abandon},
    {.name = "status",
     .arguments = "[JOB]",
     .group = GROUP_JOBS,
     .summary = "the last run of each machine",
     .text = "Lists every machine that the state directory knows, with its last run and how it "
             "ended. JOB is a job's name or its file; without it, all jobs are listed.",
     .options = "",
     .examples = EXAMPLES("strata status", "everything that was run", "strata status nightly",
                          "the job of that name"),
     .args_max = 1,
     .run = cmd_status},
    {.name = "history",
     .arguments = "JOB",
     .group = GROUP_JOBS,
     .summary = "all recorded runs of a job",
     .text = "Lists every run of each machine of the job that the state directory records. JOB is "
             "the job's name or its file.",
     .options = "machine",
     .examples = EXAMPLES("strata history nightly", "the runs of that job"),
     .args_min = 1,
     .args_max = 1,
     .run = cmd_history},
    {.name = "log",
     .arguments = "JOB",
     .group = GROUP_JOBS,
     .summary = "what happened in the last run of a job",
     .text = "Prints the events recorded in the last run of each machine. JOB is the job's name "
             "or its file.",
     .options = "machine",
     .examples = EXAMPLES("strata log --machine web01 job.yaml", "of one machine"),
     .args_min = 1,
     .args_max = 1,
     .run = cmd_log},
    {.name = "info",
     .arguments = "IMAGE",
     .group = GROUP_IMAGES,
     .summary = "format, sizes, chain and snapshots of an image",
     .text = "Prints what the image's metadata says. When a layer below cannot be read, that is "
             "said and the rest is printed all the same; --chain makes it an error, --layer "
             "leaves the layers below alone.",
     .options = "format snapshot layer chain layout",
     .examples = EXAMPLES("strata info disk.vmdk", "what it is",
                          "strata info --chain web01-000002.vmdk", "and everything below it",
                          "strata info --layout disk.qcow2", "with the partition table"),
     .args_min = 1,
     .args_max = 1,
     .run = cmd_info},
    {.name = "map",
     .arguments = "IMAGE",
     .group = GROUP_IMAGES,
     .summary = "where the bytes of the guest lie",
     .text = "Lists the guest's bytes in order: what holds data, in which file and where, and what "
             "reads zero without being stored. With --layer, what the layer leaves to the ones "
             "below is shown as absent.",
     .options = "format snapshot layer",
     .examples = EXAMPLES("strata map disk.qcow2", "through the whole chain",
                          "strata --json map disk.qcow2", "for programs"),
     .args_min = 1,
     .args_max = 1,
     .run = cmd_map},
    {.name = "digest",
     .arguments = "IMAGE...",
     .group = GROUP_IMAGES,
     .summary = "a digest of the guest's bytes, whatever the container",
     .text = "Prints the tree digest of each image: two images with the same contents and size "
             "have the same digest in every format. It is the SHA-256 of the SHA-256s of each MiB "
             "of the guest's bytes, followed by the size as 8 little-endian bytes.\n\n"
             "With --flat it is the plain SHA-256 of the guest's bytes, as sha256sum prints it "
             "for the raw disk.",
     .options = "format snapshot layer flat workers rate direct",
     .examples = EXAMPLES("strata digest a.vmdk b.qcow2", "two containers, one content?",
                          "strata digest --flat disk.vmdk", "to compare with sha256sum disk.raw"),
     .args_min = 1,
     .args_max = ~0u,
     .stops = true,
     .run = cmd_digest},
    {.name = "compare",
     .arguments = "A B",
     .group = GROUP_IMAGES,
     .summary = "whether two images hold the same",
     .text = "Compares the guest's bytes of two images, of any two formats, and prints the first "
             "byte that differs. A longer image is the same when the rest is zero, unless "
             "--strict is given. The exit status is 0 for the same and 1 for different.",
     .options = "format format-b layer strict workers rate direct",
     .examples = EXAMPLES("strata compare source.vmdk target.qcow2", "after a conversion",
                          "strata compare -f raw -F raw a.img b.img", "with the formats given"),
     .args_min = 2,
     .args_max = 2,
     .stops = true,
     .run = cmd_compare},
    {.name = "measure",
     .arguments = "SRC",
     .group = GROUP_IMAGES,
     .summary = "how large an image would become",
     .text = "Prints the bytes that a conversion would write. The source is read for runs of "
             "zeroes, so the number is exact for what is not compressed; for compressed targets, "
             "and with --fast, it is an upper bound.",
     .options = "format snapshot layer output-format option fast workers rate direct",
     .examples = EXAMPLES("strata measure -O qcow2 disk.vmdk", "the exact size",
                          "strata measure --fast -O vmdk -o subformat=streamOptimized disk.raw",
                          "an upper bound, at once"),
     .args_min = 1,
     .args_max = 1,
     .stops = true,
     .run = cmd_measure},
    {.name = "check",
     .arguments = "IMAGE",
     .group = GROUP_IMAGES,
     .summary = "whether the structure of an image is sound",
     .text = "Walks the metadata of the image and of the layers below it, and lists leaks and "
             "damage. The exit status is 1 when there is any.",
     .options = "format layer",
     .examples = EXAMPLES("strata check disk.qcow2", "and its backing files"),
     .args_min = 1,
     .args_max = 1,
     .run = cmd_check},
    {.name = "convert",
     .arguments = "SRC DST",
     .group = GROUP_WRITING,
     .summary = "write an image in another format",
     .text = "Writes the contents of SRC, with every layer below it, to the new image DST. The "
             "new image appears under its name when it is complete and on the disk; a file of "
             "that name is replaced then. A block device is written in place, and needs "
             "--overwrite.\n\n"
             "Runs of zeroes are not stored, and blocks are shared instead of copied where the "
             "file system can. The same command gives the same bytes. A conversion that is "
             "interrupted leaves nothing; 'strata run' is the one that resumes.",
     .options = "format snapshot layer output-format option no-sync workers rate direct digest "
                "overwrite",
     .examples =
         EXAMPLES("strata convert -O qcow2 disk.vmdk disk.qcow2", "to qcow2",
                  "strata convert -O qcow2 -o compression=zstd disk.vmdk disk.qcow2", "compressed",
                  "strata convert -O vmdk -o subformat=streamOptimized d.raw d.vmdk", "for an OVA"),
     .args_min = 2,
     .args_max = 2,
     .stops = true,
     .run = cmd_convert},
    {.name = "stages",
     .arguments = "[NAME]",
     .group = GROUP_ABOUT,
     .summary = "the stages a job can have, and their options",
     .text = "Lists the stages; with a name, the options of that stage.",
     .options = "",
     .examples = EXAMPLES("strata stages convert", "the options of 'convert'"),
     .args_max = 1,
     .argument = ARGUMENT_STAGE,
     .run = cmd_stages},
    {.name = "formats",
     .arguments = "[NAME]",
     .group = GROUP_ABOUT,
     .summary = "the container formats, and the options of new images",
     .text = "Lists the formats with what each can hold; with a name, the options of its new "
             "images (-o).",
     .options = "",
     .examples = EXAMPLES("strata formats qcow2", "the options of a new qcow2"),
     .args_max = 1,
     .argument = ARGUMENT_FORMAT,
     .run = cmd_formats},
    {.name = "schema",
     .arguments = "",
     .group = GROUP_ABOUT,
     .summary = "the JSON Schema of job files",
     .text = "Prints the JSON Schema of job files, for editors and validators.",
     .options = "",
     .examples = EXAMPLES("strata schema >job.schema.json", "for an editor"),
     .run = cmd_schema},
    {.name = "help",
     .arguments = "[COMMAND]",
     .group = GROUP_ABOUT,
     .summary = "help, and the pages made from the same tables",
     .text = "Prints the overview, or the help of one command. The manual page, the completion "
             "for bash and the reference page come from the same tables.",
     .options = "man bash reference",
     .examples = EXAMPLES("strata help convert", "the help of one command",
                          "source <(strata help --bash)", "completion in this shell"),
     .args_max = 1,
     .argument = ARGUMENT_COMMAND,
     .run = cmd_help},
    {.name = NULL},
};

const struct command *command_find(const char *name)
{
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

const struct command *command_named(const char *name, struct err *e)
{
    const struct command *found = command_find(name);
    const char *names[COMMANDS_MAX];
    size_t n = 0;
    int near;

    if (found)
        return found;
    for (const struct command *c = commands; c->name && n < COMMANDS_MAX; c++)
        names[n++] = c->name;
    near = text_nearest(name, names, n);
    if (near >= 0)
        err_set(e, ERR_USAGE, "there is no command '%s'; did you mean '%s'?", name, names[near]);
    else
        err_set(e, ERR_USAGE, "there is no command '%s': 'strata help' lists them", name);
    return NULL;
}
