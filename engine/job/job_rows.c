/* The keys of a job file, one table for each map; see job_load.h. Parser, schema, completion and
 * documentation follow from these rows. */
#include "job_load.h"

#include "bytes.h"
#include "driver.h"
#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const on_error_words[] = {"continue", "stop", NULL};
static const char *const source_changed_words[] = {"stop", "restart", NULL};
static const char *const firmware_words[] = {"auto", "bios", "uefi", NULL};

bool job_name_check(const char *text, struct err *e)
{
    size_t len = strlen(text);

    if (!len || len > JOB_NAME_MAX || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return err_set(e, ERR_USAGE, "'%.40s' cannot be a name: write 1 to %d of A-Z a-z 0-9 . _ -",
                       text, JOB_NAME_MAX);
    for (const char *p = text; *p; p++)
        if (!isascii((unsigned char)*p) || (!isalnum((unsigned char)*p) && !strchr("._-", *p)))
            return err_set(e, ERR_USAGE,
                           "'%.40s' cannot be a name: only A-Z a-z 0-9 . _ - may be "
                           "in it",
                           text);
    return true;
}

/* HH:MM at `p`. */
static bool clock_time(const char *p)
{
    return p[0] >= '0' && p[0] <= '2' && isdigit((unsigned char)p[1]) &&
           (p[0] < '2' || p[1] < '4') && p[2] == ':' && p[3] >= '0' && p[3] <= '5' &&
           isdigit((unsigned char)p[4]);
}

static bool window_check(const char *text, struct err *e)
{
    if (strlen(text) == 11 && clock_time(text) && text[5] == '-' && clock_time(text + 6))
        return true;
    return err_set(e, ERR_USAGE, "'%s' is not a window: write it as \"22:00-05:00\"", text);
}

static bool in_use_check(const char *text, struct err *e)
{
    if (strcmp(text, "libvirt") == 0)
        return true;
    return err_set(e, ERR_USAGE, "'%s' is no place to ask: only libvirt is", text);
}

#define AT(type, field, ftype) .at = OPT_AT(struct type, field, ftype)
#define NODE const struct node *

const struct opt_row job_policy_rows[] = {
    {.key = "parallel",
     .type = OPT_COUNT,
     AT(policy, parallel, uint64_t),
     .min = 1,
     .max = 256,
     .preset = "1",
     .help = "machines at once"},
    {.key = "workers",
     .type = OPT_COUNT,
     AT(policy, workers, uint64_t),
     .max = 256,
     .preset = "0",
     .help = "threads of each machine; 0: as many as there are processors"},
    {.key = "network",
     .type = OPT_SIZE,
     AT(policy, network, uint64_t),
     .help = "ceiling of network traffic in bytes per second; 0 or left out: none"},
    {.key = "disk",
     .type = OPT_SIZE,
     AT(policy, disk, uint64_t),
     .help = "ceiling of disk traffic in bytes per second; 0 or left out: none"},
    {.key = "direct",
     .type = OPT_BOOL,
     AT(policy, direct, bool),
     .preset = "no",
     .help = "read and write images past the page cache, where the filesystem can"},
    {.key = "retries",
     .type = OPT_COUNT,
     AT(policy, retries, uint64_t),
     .max = 100,
     .preset = "5",
     .help = "how often a remote request is tried again"},
    {.key = "on_error",
     .type = OPT_WORD,
     AT(policy, on_error, int),
     .words = on_error_words,
     .preset = "continue",
     .help = "what becomes of the remaining machines when one fails"},
    {.key = "source_changed",
     .type = OPT_WORD,
     AT(policy, source_changed, int),
     .words = source_changed_words,
     .preset = "stop",
     .help = "when a source changed since an interruption: stop, or start that machine again"},
    {.key = "window",
     .type = OPT_TEXT,
     AT(policy, window, char *),
     .check = window_check,
     .help = "time of day to work in, like \"22:00-05:00\"; outside it a run stops cleanly"},
    {.key = "chain_search",
     .type = OPT_TEXTS,
     .flags = OPT_PATH,
     AT(policy, chain_search, struct opt_texts),
     .help = "folders to search for images that use an image as their base"},
    {.key = "in_use_check",
     .type = OPT_TEXTS,
     AT(policy, in_use_check, struct opt_texts),
     .check = in_use_check,
     .help = "who else to ask whether an image is in use: libvirt"},
    {0},
};

const struct opt_row job_nic_rows[] = {
    {.key = "model", .type = OPT_TEXT, AT(nic, model, char *), .help = "model, like vmxnet3"},
    {.key = "mac", .type = OPT_TEXT, AT(nic, mac, char *), .help = "MAC address"},
    {.key = "network",
     .type = OPT_TEXT,
     AT(nic, network, char *),
     .help = "name of the network at the source, looked up in 'networks'"},
    {0},
};

static const struct opt_row hardware_rows[] = {
    {.key = "firmware",
     .type = OPT_WORD,
     AT(hardware_keys, firmware, int),
     .words = firmware_words,
     .preset = "auto",
     .help = "firmware; auto: what the source says"},
    {.key = "memory",
     .type = OPT_SIZE,
     AT(hardware_keys, memory, uint64_t),
     .min = MIB,
     .help = "memory"},
    {.key = "cpus",
     .type = OPT_COUNT,
     AT(hardware_keys, cpus, uint64_t),
     .min = 1,
     .max = 4096,
     .help = "number of virtual processors"},
    {.key = "name",
     .type = OPT_TEXT,
     AT(hardware_keys, name, char *),
     .help = "display name; default: the source's, else the machine's name"},
    {.key = "guest_os",
     .type = OPT_TEXT,
     AT(hardware_keys, guest_os, char *),
     .help = "guest system, as the source's platform calls it"},
    {.key = "uuid", .type = OPT_TEXT, AT(hardware_keys, uuid, char *), .help = "BIOS UUID"},
    {.key = "nics",
     .type = OPT_NODE,
     .flags = OPT_LIST,
     AT(hardware_keys, nics, NODE),
     .sub = job_nic_rows,
     .help = "network cards; they replace the source's"},
    {0},
};

const struct opt_row job_disk_rows[] = {
    {.key = "path",
     .type = OPT_TEXT,
     .flags = OPT_PATH,
     AT(job_disk, path, char *),
     .help = "image, device or URL"},
    {.key = "format",
     .type = OPT_TEXT,
     AT(job_disk, format, char *),
     .check = driver_known,
     .help = "format; default: found out from the contents"},
    {.key = "skip",
     .type = OPT_BOOL,
     AT(job_disk, skip, bool),
     .preset = "no",
     .help = "leave this disk out"},
    {0},
};

const struct opt_row job_machine_rows[] = {
    {.key = "name",
     .type = OPT_TEXT,
     AT(machine_keys, name, char *),
     .check = job_name_check,
     .help = "name of the machine: letters, digits, . _ -"},
    {.key = "glob",
     .type = OPT_TEXT,
     AT(machine_keys, glob, char *),
     .help = "instead of a name: every file that matches is a machine, named after the file"},
    {.key = "csv",
     .type = OPT_TEXT,
     .flags = OPT_PATH,
     AT(machine_keys, csv, char *),
     .help = "instead of a name: every row of this CSV file is a machine; columns 'name', 'source' "
             "and 'tags', all others are variables"},
    {.key = "source",
     .type = OPT_TEXT,
     .flags = OPT_PATH,
     AT(machine_keys, source, char *),
     .help = "where the machine comes from: .vmx, .ovf, .ova, an image or a URL"},
    {.key = "disks",
     .type = OPT_NODE,
     AT(machine_keys, disks, NODE),
     .schema = "#/$defs/disks",
     .help = "without a source: the list of its disks; with one: other bytes for some of its "
             "disks, by disk id"},
    {.key = "tags",
     .type = OPT_TEXTS,
     AT(machine_keys, tags, struct opt_texts),
     .help = "words for --tag"},
    {.key = "vars",
     .type = OPT_NODE,
     AT(machine_keys, vars, NODE),
     .schema = "#/$defs/vars",
     .help = "variables of this machine; they win over the job's"},
    {.key = "skip",
     .type = OPT_TEXTS,
     AT(machine_keys, skip, struct opt_texts),
     .help = "stages of the common list that this machine leaves out"},
    {.key = "set",
     .type = OPT_NODE,
     AT(machine_keys, set, NODE),
     .schema = "#/$defs/set",
     .help = "options of the common list that this machine changes, by stage"},
    {.key = "stages",
     .type = OPT_NODE,
     AT(machine_keys, stages, NODE),
     .schema = "#/$defs/stages",
     .help = "stages of this machine, in place of the common list"},
    {.key = "hardware",
     .type = OPT_MAP,
     .at = offsetof(struct machine_keys, hardware),
     .sub = hardware_rows,
     .help = "hardware that the source does not say, or says wrongly"},
    {0},
};

const struct opt_row job_secret_rows[] = {
    {.key = "env",
     .type = OPT_TEXT,
     AT(secret, env, char *),
     .help = "environment variable that holds it"},
    {.key = "file",
     .type = OPT_TEXT,
     .flags = OPT_PATH,
     AT(secret, file, char *),
     .help = "file that holds it"},
    {.key = "credential",
     .type = OPT_TEXT,
     AT(secret, credential, char *),
     .help = "name of a systemd credential"},
    {.key = "command",
     .type = OPT_TEXTS,
     AT(secret, command, struct opt_texts),
     .help = "program and arguments that print it; run in the job file's folder, without a shell"},
    {0},
};

const struct opt_row job_network_rows[] = {
    {.key = "bridge",
     .type = OPT_TEXT,
     AT(network_keys, bridge, char *),
     .help = "bridge on the new host"},
    {.key = "network",
     .type = OPT_TEXT,
     AT(network_keys, network, char *),
     .help = "libvirt network on the new host"},
    {.key = "none",
     .type = OPT_BOOL,
     AT(network_keys, none, bool),
     .preset = "no",
     .help = "connect to nothing"},
    {0},
};

const struct opt_row job_remote_rows[] = {
    {.key = "match",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     AT(remote_keys, match, char *),
     .help = "how the URLs begin that this is about"},
    {.key = "user", .type = OPT_TEXT, AT(remote_keys, user, char *), .help = "user name"},
    {.key = "password",
     .type = OPT_TEXT,
     .flags = OPT_SECRET,
     AT(remote_keys, password, char *),
     .help = "password, as ${secret:NAME}"},
    {.key = "ca",
     .type = OPT_TEXT,
     .flags = OPT_PATH,
     AT(remote_keys, ca, char *),
     .help = "file of certificates to trust"},
    {0},
};

const struct opt_row job_rows[] = {
    {.key = "strata",
     .type = OPT_COUNT,
     .flags = OPT_REQUIRED,
     AT(job_file, strata, uint64_t),
     .min = 1,
     .max = 1,
     .help = "version of the job language: 1"},
    {.key = "name",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     AT(job_file, name, char *),
     .check = job_name_check,
     .help = "name of the job: its state is kept under it"},
    {.key = "vars",
     .type = OPT_NODE,
     AT(job_file, vars, NODE),
     .schema = "#/$defs/vars",
     .help = "variables, used as ${name}; --var name=value wins over them"},
    {.key = "secrets",
     .type = OPT_NODE,
     .flags = OPT_NAMED,
     AT(job_file, secrets, NODE),
     .schema = "#/$defs/secrets",
     .help = "where secrets are, used as ${secret:name}; never stored, logged or shown"},
    {.key = "allow",
     .type = OPT_TEXTS,
     .flags = OPT_PATH,
     AT(job_file, allow, struct opt_texts),
     .help = "further folders that paths found inside images may point into"},
    {.key = "path_map",
     .type = OPT_PAIRS,
     AT(job_file, path_map, struct opt_pairs),
     .help = "beginnings of paths found inside images, rewritten before they are checked"},
    {.key = "remotes",
     .type = OPT_NODE,
     .flags = OPT_NAMED,
     AT(job_file, remotes, NODE),
     .sub = job_remote_rows,
     .help = "servers that want a user and password or have their own CA"},
    {.key = "networks",
     .type = OPT_NODE,
     .flags = OPT_NAMED,
     AT(job_file, networks, NODE),
     .sub = job_network_rows,
     .help = "what the networks of the source are on the new host"},
    {.key = "workdir",
     .type = OPT_TEXT,
     .flags = OPT_PATH,
     AT(job_file, workdir, char *),
     .help = "folder for overlays and temporary files; default: beside each target"},
    {.key = "policy",
     .type = OPT_MAP,
     .at = offsetof(struct job_file, policy),
     .sub = job_policy_rows,
     .help = "how to run: limits, retries, windows"},
    {.key = "machines",
     .type = OPT_NODE,
     .flags = OPT_LIST,
     AT(job_file, machines, NODE),
     .schema = "#/$defs/machines",
     .help = "the machines"},
    {.key = "images",
     .type = OPT_TEXTS,
     AT(job_file, images, struct opt_texts),
     .help = "for fleets of single images: every file that matches is a machine of one disk"},
    {.key = "stages",
     .type = OPT_NODE,
     .flags = OPT_LIST,
     AT(job_file, stages, NODE),
     .schema = "#/$defs/stages",
     .help = "what every machine goes through, in this order"},
    {0},
};
