/* The manual page, from the tables of commands and options. */
#include "help.h"

#include "bytes.h"
#include "table.h"

#include <string.h>

/* Of the texts, not of the build: the page is the same however often it is made. */
#define PAGE_DATE "2026-11-23"

/* Text for roff: a minus sign that can be copied, and no line that looks like a request. */
static void roff(struct buf *to, const char *text)
{
    bool line_start = true;

    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            buf_text(to, "\\&");
        if (*text == '\\')
            buf_text(to, "\\e");
        else if (*text == '-')
            buf_text(to, "\\-");
        else
            buf_char(to, *text);
        line_start = *text == '\n';
    }
}

enum { SOURCE_WIDTH = 72 }; /* of the lines of the page's source */

static void roff_lines(struct buf *to, const char *text)
{
    AUTO(buf_release) struct buf lines = {0};

    wrap_text(&lines, text, 0, 0, SOURCE_WIDTH);
    roff(to, lines.data ? lines.data : "");
}

static void roff_paragraphs(struct buf *to, const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t len = end ? (size_t)(end - text) : strlen(text);
        AUTO(free) char *one = mem_textn(text, len, NULL);

        roff_lines(to, one ? one : "");
        buf_char(to, '\n');
        text += len;
        if (end) {
            buf_text(to, ".PP\n");
            text += 2;
        }
    }
}

static void roff_options(struct buf *to, const char *listed)
{
    for (const struct option *o = options; o->row.type != OPT_END; o++) {
        AUTO(buf_release) struct buf name = {0};

        if (!option_listed(listed, o->row.key))
            continue;
        option_spelling(o, &name);
        buf_text(to, ".TP\n.B ");
        roff(to, name.data ? name.data : "");
        buf_char(to, '\n');
        roff_lines(to, o->row.help);
        buf_text(to, ".\n");
    }
}

static void roff_command(struct buf *to, const struct command *c)
{
    buf_format(to, ".SS %s\n.B strata %s\n.RI [ option ...]", c->name, c->name);
    if (*c->arguments) {
        buf_text(to, "\n.I ");
        roff(to, c->arguments);
    }
    buf_text(to, "\n.PP\n");
    roff_paragraphs(to, c->text);
    roff_options(to, c->options);
    buf_text(to, ".PP\n");
    for (const char *const *x = c->examples; *x; x += 2) {
        buf_text(to, x == c->examples ? "Example" : ".PP\nOr");
        buf_text(to, " (");
        roff(to, x[1]);
        buf_text(to, "):\n.PP\n.nf\n    ");
        roff(to, x[0]);
        buf_text(to, "\n.fi\n");
    }
}

const char *const help_exits[][2] = {
    {"0", "done; nothing differs; nothing found; postponed by its window"},
    {"1", "'compare' differs, a verification failed, 'check' found damage"},
    {"2", "usage, or a mistake in the job file"},
    {"3", "the image is damaged, or of a kind that strata cannot handle"},
    {"4", "input or output failed"},
    {"5", "not enough space"},
    {"6", "preflight or a safety rule refused"},
    {"7", "the image or the state is in use"},
    {"8", "network or remote server"},
    {"9", "a path inside an image is not allowed"},
    {"10", "the guest could not be worked on"},
    {"11", "a source changed since the interruption"},
    {"70", "a bug in strata"},
    {"130, 143", "interrupted; run again to go on"},
    {NULL, NULL},
};

static const char *const environment[][2] = {
    {"XDG_STATE_HOME", "where runs are recorded, in the folder strata below it, unless --state is "
                       "given; else /var/lib/strata as root, else ~/.local/state/strata"},
    {"SOURCE_DATE_EPOCH", "the time stamp of new images, in seconds since 1970; else the source's "
                          "modification time"},
    {"STRATA_NOW", "the present, in seconds since 1970, for tests"},
};

void page_man(struct buf *to)
{
    buf_text(to, ".\\\" Made by 'strata help --man'.\n"
                 ".TH STRATA 1 " PAGE_DATE " \"strata " STRATA_VERSION "\" \"User commands\"\n"
                 ".SH NAME\nstrata \\- move virtual machine disks between platforms\n"
                 ".SH SYNOPSIS\n.B strata\n.I command\n.RI [ option ...]\n.RI [ argument ...]\n"
                 ".SH DESCRIPTION\n"
                 "A job file says which machines become what.\n"
                 ".B strata plan\nshows what will happen,\n.B strata run\ndoes it, and after any "
                 "interruption the same command goes on.\n"
                 "Other commands look at single images and convert them.\n"
                 ".PP\nResults go to standard output, messages to standard error.\n"
                 "Sources are never written.\n"
                 ".SH OPTIONS\nOptions may stand before or after the command.\n"
                 "Every command takes these.\n");
    roff_options(to, options_common);
    buf_text(to, ".SH COMMANDS\n");
    for (const struct command *c = commands; c->name; c++)
        roff_command(to, c);
    buf_text(to, ".SH EXIT STATUS\n");
    for (size_t i = 0; help_exits[i][0]; i++) {
        buf_format(to, ".TP\n.B %s\n", help_exits[i][0]);
        roff(to, help_exits[i][1]);
        buf_char(to, '\n');
    }
    buf_text(to, ".SH ENVIRONMENT\n");
    for (size_t i = 0; i < ARRAY_LEN(environment); i++) {
        buf_format(to, ".TP\n.B %s\n", environment[i][0]);
        roff_lines(to, environment[i][1]);
        buf_text(to, "\n");
    }
    buf_text(to, ".SH SEE ALSO\n.BR qemu\\-img (1)\n");
}
