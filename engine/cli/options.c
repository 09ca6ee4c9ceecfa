/* The options of the command line; see options.h. */
#include "options.h"

#include "buf.h"
#include "bytes.h"
#include "commands.h"
#include "text.h"

#include <string.h>

enum {
    OPTIONS_MAX = 64,
    WORKERS_MAX = 1024 /* threads: more than any machine of today has CPUs */
};

static const char *const progress_words[] = {"auto", "bar", "plain", "none", NULL};

#define ROW(name, kind, field, ftype, text)                                                        \
    .row = {.key = name, .type = kind, .at = OPT_AT(struct cli, field, ftype), .help = text}
#define SWITCH(name, field, text) ROW(name, OPT_BOOL, field, bool, text)
#define TEXT(name, field, text) ROW(name, OPT_TEXT, field, char *, text)
#define TEXTS(name, field, text) ROW(name, OPT_TEXTS, field, struct opt_texts, text)

const struct option options[] = {
    {TEXTS("var", vars, "set the job's variable K to V, over what the file says"), .value = "K=V"},
    {TEXTS("machine", machines, "only machines whose name matches; may be given several times"),
     .value = "GLOB"},
    {TEXTS("tag", tags, "only machines with this tag; may be given several times"), .value = "TAG"},
    {SWITCH("fresh", fresh, "forget an unfinished run, and do finished work again")},
    {SWITCH("only-failed", only_failed, "only machines whose last run failed")},
    {TEXT("events", events, "write one JSON object per line as things happen; '-' is stdout"),
     .value = "FILE"},
    {TEXT("format", format, "the format of the image, instead of looking at its contents"),
     .letter = 'f', .value = "FMT"},
    {TEXT("format-b", format_b, "the format of the second image"), .letter = 'F', .value = "FMT"},
    {TEXT("snapshot", snapshot, "the state in this internal snapshot, by name or id"),
     .value = "NAME"},
    {SWITCH("layer", layer, "this one file, without the layers below it")},
    {SWITCH("chain", chain, "every layer of the chain; fails when one cannot be read")},
    {SWITCH("layout", layout, "the partitions too")},
    {SWITCH("flat", flat, "the plain SHA-256 of the guest's bytes instead of the tree digest")},
    {SWITCH("strict", strict, "a longer tail of zeroes is a difference")},
    {TEXT("output-format", new_format, "the format of the new image"), .letter = 'O',
     .value = "FMT"},
    {TEXTS("option", new_options,
           "an option of the new image; 'strata formats FMT' lists them; may be given several "
           "times"),
     .letter = 'o', .value = "K=V"},
    {SWITCH("fast", fast, "look at the map alone: an upper bound, at once")},
    {SWITCH("no-sync", no_sync, "do not wait until the data is on the disk")},
    {SWITCH("overwrite", overwrite, "write onto a block device, and lose what is on it")},
    {SWITCH("digest", digest, "compute the tree digest on the way, and print it")},
    {.row = {.key = "workers",
             .type = OPT_COUNT,
             .max = WORKERS_MAX,
             .at = OPT_AT(struct cli, workers, uint64_t),
             .help = "threads; as many as there are CPUs when not given"},
     .letter = 'W',
     .value = "N"},
    {.row = {.key = "rate",
             .type = OPT_SIZE,
             .at = OPT_AT(struct cli, rate, uint64_t),
             .help = "read at most this many bytes of data a second, like 100M"},
     .letter = 'r',
     .value = "SIZE"},
    {SWITCH("direct", direct, "read and write past the page cache, where the file system can")},
    {SWITCH("man", man, "print the manual page")},
    {SWITCH("bash", bash, "print the completion for bash")},
    {SWITCH("reference", reference, "print the reference of stages, formats and commands")},
    /* of every command */
    {TEXTS("allow", allow, "paths found inside images may point into this folder too"),
     .value = "DIR"},
    {TEXT("state", state, "where runs are recorded, instead of the default"), .value = "DIR"},
    {SWITCH("json", json, "print one JSON document instead of text")},
    {.row =
         {.key = "progress",
          .type = OPT_WORD,
          .words = progress_words,
          .at = OPT_AT(struct cli, progress, int),
          .help =
              "auto, bar, plain or none; auto is a bar on a terminal and else a line now and then"},
     .value = "HOW"},
    {SWITCH("quiet", quiet, "no notes and no progress; errors and warnings stay"), .letter = 'q'},
    {SWITCH("verbose", verbose, "say more"), .letter = 'v'},
    {SWITCH("help", help, "print help and exit"), .letter = 'h'},
    {SWITCH("version", version, "print the version and exit"), .letter = 'V'},
    {.row = {.type = OPT_END}},
};

const char *const options_common = "allow state json progress quiet verbose help version";

bool option_listed(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = list; (p = strstr(p, name)); p += len)
        if ((p == list || p[-1] == ' ') && (p[len] == ' ' || !p[len]))
            return true;
    return false;
}

static const struct option *find_long(const char *name, size_t len)
{
    for (const struct option *o = options; o->row.type != OPT_END; o++)
        if (strncmp(o->row.key, name, len) == 0 && !o->row.key[len])
            return o;
    return NULL;
}

static const struct option *find_letter(char letter)
{
    for (const struct option *o = options; o->row.type != OPT_END; o++)
        if (o->letter == letter)
            return o;
    return NULL;
}

static bool takes(const struct command *command, const struct option *o)
{
    return option_listed(options_common, o->row.key) ||
           (command && option_listed(command->options, o->row.key));
}

static bool unknown(const char *name, const struct command *command, struct err *e)
{
    const char *names[OPTIONS_MAX];
    size_t n = 0;
    int near;

    for (const struct option *o = options; o->row.type != OPT_END && n < OPTIONS_MAX; o++)
        if (!command || takes(command, o))
            names[n++] = o->row.key;
    near = text_nearest(name, names, n);
    if (near >= 0)
        return err_set(e, ERR_USAGE, "there is no option '--%s'; did you mean '--%s'?", name,
                       names[near]);
    return err_set(e, ERR_USAGE, "there is no option '--%s': 'strata%s%s --help' lists them", name,
                   command ? " " : "", command ? command->name : "");
}

static bool assign(struct cli *cli, const struct option *o, const char *value, struct err *e)
{
    struct err why = ERR_INIT;

    if (o->row.type == OPT_TEXTS)
        return opt_texts_add((struct opt_texts *)((char *)cli + o->row.at), value, e);
    if (opt_set(&o->row, cli, value, &why))
        return true;
    return err_set(e, why.kind, "--%s: %s", o->row.key, why.text);
}

/* Walks the arguments; `seen` collects what was given, to be checked against the command. */
struct parse {
    struct cli *cli;
    char **argv;
    int argc, at;
    const struct option *seen[OPTIONS_MAX];
    size_t seen_count;
};

static bool take_option(struct parse *p, const struct option *o, const char *value, struct err *e)
{
    bool known = false;

    for (size_t i = 0; i < p->seen_count; i++)
        known = known || p->seen[i] == o;
    if (!known && p->seen_count < OPTIONS_MAX)
        p->seen[p->seen_count++] = o;
    if (!o->value)
        return value ? err_set(e, ERR_USAGE, "'--%s' takes no value", o->row.key)
                     : assign(p->cli, o, "yes", e);
    if (!value && p->at < p->argc)
        value = p->argv[p->at++];
    if (!value)
        return err_set(e, ERR_USAGE, "'--%s' needs a value: --%s %s", o->row.key, o->row.key,
                       o->value);
    return assign(p->cli, o, value, e);
}

static bool parse_long(struct parse *p, const char *text, struct err *e)
{
    size_t len = strcspn(text, "=");
    const struct option *o = find_long(text, len);
    AUTO(free) char *name = NULL;

    if (o)
        return take_option(p, o, text[len] ? text + len + 1 : NULL, e);
    name = mem_textn(text, len, e);
    return name && unknown(name, p->cli->command, e);
}

static bool parse_letters(struct parse *p, const char *text, struct err *e)
{
    for (; *text; text++) {
        const struct option *o = find_letter(*text);

        if (!o)
            return err_set(e, ERR_USAGE, "there is no option '-%c': 'strata --help' lists them",
                           *text);
        if (o->value)
            return take_option(p, o, text[1] ? text + 1 : NULL, e);
        if (!take_option(p, o, NULL, e))
            return false;
    }
    return true;
}

static bool parse_word(struct parse *p, const char *word, struct err *e)
{
    if (p->cli->command)
        return opt_texts_add(&p->cli->args, word, e);
    p->cli->command = command_named(word, e);
    return p->cli->command != NULL;
}

static bool check_taken(const struct parse *p, struct err *e)
{
    for (size_t i = 0; i < p->seen_count; i++)
        if (p->cli->command && !takes(p->cli->command, p->seen[i]))
            return err_set(e, ERR_USAGE,
                           "'%s' takes no option '--%s': 'strata %s --help' lists "
                           "those it takes",
                           p->cli->command->name, p->seen[i]->row.key, p->cli->command->name);
    return true;
}

bool options_parse(struct cli *cli, int argc, char **argv, struct err *e)
{
    struct parse p = {.cli = cli, .argv = argv, .argc = argc, .at = 1};
    bool words_only = false;

    while (p.at < argc) {
        const char *arg = argv[p.at++];
        bool ok;

        if (!words_only && strcmp(arg, "--") == 0) {
            words_only = true;
            continue;
        }
        if (words_only || arg[0] != '-' || !arg[1])
            ok = parse_word(&p, arg, e);
        else if (arg[1] == '-')
            ok = parse_long(&p, arg + 2, e);
        else
            ok = parse_letters(&p, arg + 1, e);
        if (!ok)
            return false;
    }
    return check_taken(&p, e);
}

void options_release(struct cli *cli)
{
    for (const struct option *o = options; o->row.type != OPT_END; o++) {
        const struct opt_row one[] = {o->row, {.type = OPT_END}};

        opt_release(one, cli);
    }
    opt_texts_release(&cli->args);
}
