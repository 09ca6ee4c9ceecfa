/* `strata help`: the overview, one command, and the pages made from the tables. */
#include "help.h"
#include "print.h"

bool cmd_help(struct cli *cli, struct err *e)
{
    AUTO(buf_release) struct buf text = {0};

    if (cli->args.count) {
        const struct command *about = command_named(cli->args.items[0], e);

        if (!about)
            return false;
        help_command(about, &text);
    } else if (cli->man) {
        page_man(&text);
    } else if (cli->bash) {
        page_bash(&text);
    } else if (cli->reference) {
        page_reference(&text);
    } else {
        help_overview(&text);
    }
    if (!buf_ok(&text, e))
        return false;
    out_raw(text.data, text.len);
    return true;
}
