/* Shared by the job commands; see jobs.h. */
#include "jobs.h"

#include "doc.h"
#include "print.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static void print_mistakes(const struct mistakes *m, const struct err *e)
{
    json_t *doc = doc_error(e), *list = json_array();

    for (size_t i = 0; i < m->list.count; i++) {
        json_t *one = json_object();

        doc_set(one, "file", doc_text(m->file));
        doc_set(one, "line", json_integer(m->list.items[i].at.line));
        doc_set(one, "column", json_integer(m->list.items[i].at.col));
        doc_set(one, "text", doc_text(m->list.items[i].text));
        doc_add(list, one);
    }
    doc_set(doc, "mistakes", list);
    doc_print(doc, NULL);
}

struct job *jobs_load(const struct cli *cli, struct err *e)
{
    const struct job_overrides overrides = {.vars = cli->vars,
                                            .machines = cli->machines,
                                            .tags = cli->tags,
                                            .allow = cli->allow,
                                            .state_dir = cli->fresh ? NULL : cli->state_dir};
    struct mistakes mistakes = {0};
    struct job *job = job_load(cli->args.items[0], &overrides, &mistakes, e);

    if (!job && mistakes.list.count) {
        AUTO(buf_release) struct buf text = {0};

        mistakes_text(&mistakes, &text);
        if (text.data)
            tell_text(text.data);
        if (cli->json)
            print_mistakes(&mistakes, e);
    }
    mistakes_release(&mistakes);
    return job;
}

bool jobs_run_options(const struct cli *cli, struct run_options *ret, struct err *e)
{
    if (!cli->state_dir)
        return err_set(e, ERR_USAGE,
                       "there is no home directory to record the run in: give --state DIR");
    *ret = (struct run_options){
        .state_dir = cli->state_dir,
        .fresh = cli->fresh,
        .only_failed = cli->only_failed,
        .stop = cli->stop,
    };
    return true;
}

/* As one word of a shell command. */
static void shell_word(struct buf *to, const char *word)
{
    bool plain = *word;

    for (const char *p = word; *p; p++)
        plain = plain && (isalnum((unsigned char)*p) || strchr("_-./=:,+@%", *p));
    if (plain) {
        buf_text(to, word);
        return;
    }
    buf_char(to, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_text(to, "'\\''");
        else
            buf_char(to, *word);
    }
    buf_char(to, '\'');
}

static void option_words(struct buf *to, const char *name, const struct opt_texts *values)
{
    for (size_t i = 0; i < values->count; i++) {
        buf_format(to, " --%s ", name);
        shell_word(to, values->items[i]);
    }
}

void jobs_command(const struct cli *cli, const char *command, struct buf *to)
{
    buf_format(to, "strata %s", command);
    if (cli->state) {
        buf_text(to, " --state ");
        shell_word(to, cli->state);
    }
    option_words(to, "allow", &cli->allow);
    option_words(to, "var", &cli->vars);
    option_words(to, "machine", &cli->machines);
    option_words(to, "tag", &cli->tags);
    buf_char(to, ' ');
    shell_word(to, cli->args.items[0]);
}

const char *count_text(size_t n, const char *one, char buf[64])
{
    snprintf(buf, 64, "%zu %s%s", n, one, n == 1 ? "" : "s");
    return buf;
}
