/* Help texts, made from the tables of commands and options. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "buf.h"
#include "commands.h"
#include "options.h"

/* What `strata` alone prints. */
void help_overview(struct buf *to);
/* What `strata COMMAND --help` prints. */
void help_command(const struct command *command, struct buf *to);

/* "-f, --format FMT" */
void option_spelling(const struct option *o, struct buf *to);

/* The value of an option row as people write it: "a size", "zlib, zstd". */
void row_values(const struct opt_row *row, struct buf *to);
/* The preset of a row as text, or NULL. */
const char *row_preset(const struct opt_row *row);

enum { LAYERS_TEXT_MAX = 32 };
/* Layers of a stage: "L2", "L2 L4-L6". Returns `buf`. */
const char *layers_text(unsigned layers, char buf[LAYERS_TEXT_MAX]);

/* Exit statuses: number, meaning; NULL at the end. */
extern const char *const help_exits[][2];

/* The pages under docs/. */
void page_man(struct buf *to);
void page_bash(struct buf *to);
void page_reference(struct buf *to);

#endif
