/* Completion for bash, from the tables of commands, options, formats and stages. */
#include "help.h"

#include "driver.h"
#include "stage.h"

#include <string.h>

static void option_words(struct buf *to, const char *listed)
{
    for (const struct option *o = options; o->row.type != OPT_END; o++) {
        if (!option_listed(listed, o->row.key))
            continue;
        if (o->letter)
            buf_format(to, " -%c", o->letter);
        buf_format(to, " --%s", o->row.key);
    }
}

static void format_words(struct buf *to)
{
    for (const struct driver *const *d = drivers_all(); *d; d++)
        buf_format(to, " %s", (*d)->name);
}

/* "-o" offers the keys of the format that "-O" names. */
static void new_image_cases(struct buf *to)
{
    for (const struct driver *const *d = drivers_all(); *d; d++) {
        if (!(*d)->options)
            continue;
        buf_format(to, "            %s", (*d)->name);
        for (const char *const *alias = (*d)->aliases; alias && *alias; alias++)
            buf_format(to, " | %s", *alias);
        buf_text(to, ") words=\"");
        for (const struct opt_row *row = (*d)->options; row->type != OPT_END; row++)
            buf_format(to, "%s%s=", row == (*d)->options ? "" : " ", row->key);
        buf_text(to, "\" ;;\n");
    }
}

/* What follows an option that takes a value. */
static void value_cases(struct buf *to)
{
    buf_text(to, "    case $prev in\n        -f | --format | -F | --format-b | -O | "
                 "--output-format)\n            words=\"");
    format_words(to);
    buf_text(to, "\" ;;\n        -o | --option)\n            case $format in\n");
    new_image_cases(to);
    buf_text(to, "            esac\n            compopt -o nospace ;;\n");
    for (const struct option *o = options; o->row.type != OPT_END; o++) {
        if (o->row.type != OPT_WORD)
            continue;
        buf_format(to, "        --%s) words=\"", o->row.key);
        for (size_t i = 0; o->row.words[i]; i++)
            buf_format(to, "%s%s", i ? " " : "", o->row.words[i]);
        buf_text(to, "\" ;;\n");
    }
    buf_text(to, "        --state | --allow) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n"
                 "        --events) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
                 "        --var | --machine | --tag | --snapshot | -W | --workers) return ;;\n"
                 "        *) words='' ;;\n    esac\n"
                 "    if [[ $words ]]; then\n"
                 "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                 "        return\n    fi\n");
}

static void argument_words(struct buf *to, enum argument_kind kind)
{
    if (kind == ARGUMENT_STAGE)
        for (const struct stage *const *s = stages_all(); *s; s++)
            buf_format(to, " %s", (*s)->name);
    if (kind == ARGUMENT_FORMAT)
        format_words(to);
    if (kind == ARGUMENT_COMMAND)
        for (const struct command *c = commands; c->name; c++)
            buf_format(to, " %s", c->name);
}

static void command_cases(struct buf *to)
{
    buf_text(to, "    case $command in\n        '') words=\"");
    argument_words(to, ARGUMENT_COMMAND);
    buf_text(to, "\" ;;\n");
    for (const struct command *c = commands; c->name; c++) {
        buf_format(to, "        %s)\n            options=\"$options", c->name);
        option_words(to, c->options);
        buf_text(to, "\"\n");
        if (c->argument != ARGUMENT_FILE) {
            buf_text(to, "            words=\"");
            argument_words(to, c->argument);
            buf_text(to, "\"\n");
        }
        buf_text(to, "            ;;\n");
    }
    buf_text(to, "    esac\n");
}

void page_bash(struct buf *to)
{
    buf_text(to, "# Completion of strata for bash, made by 'strata help --bash'.\n"
                 "# shellcheck shell=bash disable=SC2207\n"
                 "_strata() {\n"
                 "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
                 "    local command='' format='' words='' options='' i\n"
                 "    COMPREPLY=()\n"
                 "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                 "        case ${COMP_WORDS[i]} in\n"
                 "            -O | --output-format) format=${COMP_WORDS[i + 1]} ;;\n"
                 "        esac\n"
                 "        case ${COMP_WORDS[i]} in\n"
                 "            ");
    for (const struct command *c = commands; c->name; c++)
        buf_format(to, "%s%s", c == commands ? "" : " | ", c->name);
    buf_text(to, ") command=${command:-${COMP_WORDS[i]}} ;;\n"
                 "        esac\n"
                 "    done\n");
    value_cases(to);
    buf_text(to, "    options=\"");
    option_words(to, options_common);
    buf_text(to, "\"\n");
    command_cases(to);
    buf_text(to, "    if [[ $cur == -* ]]; then\n"
                 "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
                 "    elif [[ $words ]]; then\n"
                 "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                 "    else\n"
                 "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
                 "    fi\n"
                 "}\n"
                 "complete -o filenames -F _strata strata\n");
}
