/* The JSON Schema of job files (draft 2020-12); see job.h. The rows give every map its keys; this
 * file adds the shapes that rows cannot say: a stage is a name or a name with options, disks are a
 * list or a map. Editors complete and explain from it, so every key has its help text. */
#include "job_load.h"

#include "bytes.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 64 }; /* options of a stage: three times the most there are */

static bool has_required(const struct stage *stage)
{
    for (const struct opt_row *row = stage->options; row && row->type != OPT_END; row++)
        if (row->flags & OPT_REQUIRED)
            return true;
    return false;
}

/* The options of a stage; `set` may give the required ones too, so they are asked for in the list
 * of stages only. */
static void add_options(struct buf *out, const struct stage *stage)
{
    struct opt_row rows[ROWS_MAX + 1] = {{0}};
    const struct opt_row *row = stage->options;

    for (size_t i = 0; row && row[i].type != OPT_END && i < ROWS_MAX; i++) {
        rows[i] = row[i];
        rows[i].flags &= ~(unsigned)OPT_REQUIRED;
    }
    buf_format(out, ",\n    \"options-%s\": ", stage->name);
    rows_schema(rows, out, 2);
}

static void add_required(struct buf *out, const struct stage *stage)
{
    const char *comma = "";

    buf_text(out, ", \"required\": [");
    for (const struct opt_row *row = stage->options; row->type != OPT_END; row++) {
        if (!(row->flags & OPT_REQUIRED))
            continue;
        buf_format(out, "%s\"%s\"", comma, row->key);
        comma = ", ";
    }
    buf_char(out, ']');
}

/* {"$ref": options}, or what the shorthand takes, or nothing. */
static void add_value(struct buf *out, const struct stage *stage, bool required)
{
    const struct opt_row *row = opt_find(stage->options, stage->shorthand ? stage->shorthand : "");
    const char *other = !row                     ? "\"null\""
                        : row->type == OPT_TEXTS ? "\"string\", \"number\", \"boolean\", "
                                                   "\"array\", \"null\""
                                                 : "\"string\", \"number\", \"boolean\", "
                                                   "\"null\"";

    buf_text(out, "{\"description\": ");
    rows_quote(out, stage->help);
    buf_format(out, ", \"anyOf\": [{\"$ref\": \"#/$defs/options-%s\"", stage->name);
    if (required && has_required(stage))
        add_required(out, stage);
    buf_format(out, "}, {\"type\": [%s]}]}", other);
}

/* An object of stages; in the list of stages each is an object of one. */
static void add_stage_keys(struct buf *out, bool required)
{
    const char *comma = "";

    buf_text(out, "\"type\": \"object\", \"additionalProperties\": false,\n"
                  "      \"properties\": {");
    for (const struct stage *const *s = stages_all(); *s; s++) {
        buf_format(out, "%s\n        \"%s\": ", comma, (*s)->name);
        add_value(out, *s, required);
        comma = ",";
    }
    buf_text(out, "\n      }");
}

static void add_stage_names(struct buf *out)
{
    const char *comma = "";

    buf_text(out, "\n    \"stage-name\": {\n      \"oneOf\": [");
    for (const struct stage *const *s = stages_all(); *s; s++) {
        buf_format(out, "%s\n        {\"const\": \"%s\", \"description\": ", comma, (*s)->name);
        rows_quote(out, (*s)->help);
        buf_char(out, '}');
        comma = ",";
    }
    buf_text(out, "\n      ]\n    }");
}

static void add_stages(struct buf *out)
{
    buf_char(out, ',');
    add_stage_names(out);
    buf_text(out, ",\n    \"stage\": {\n      \"minProperties\": 1, \"maxProperties\": 1, ");
    add_stage_keys(out, true);
    buf_text(out, "\n    },\n    \"stages\": {\n      \"type\": \"array\", \"minItems\": 1,\n"
                  "      \"items\": {\"oneOf\": [{\"type\": \"string\", \"$ref\": "
                  "\"#/$defs/stage-name\"}, {\"$ref\": \"#/$defs/stage\"}]}\n    }"
                  ",\n    \"set\": {\n      ");
    add_stage_keys(out, false);
    buf_text(out, "\n    }");
    for (const struct stage *const *s = stages_all(); *s; s++)
        add_options(out, *s);
}

static void add_machines(struct buf *out)
{
    buf_text(out, ",\n    \"machines\": {\n      \"type\": \"array\", \"minItems\": 1,\n"
                  "      \"items\": {\n        \"allOf\": [{\"$ref\": \"#/$defs/machine\"}],\n"
                  "        \"oneOf\": [{\"required\": [\"name\"]}, {\"required\": [\"glob\"]}, "
                  "{\"required\": [\"csv\"]}]\n      }\n    },\n    \"machine\": ");
    rows_schema(job_machine_rows, out, 2);
    buf_text(out, ",\n    \"disk\": ");
    rows_schema(job_disk_rows, out, 2);
    buf_text(out,
             ",\n    \"disks\": {\n      \"anyOf\": [\n"
             "        {\"type\": \"array\", \"items\": {\"anyOf\": [{\"type\": \"string\"}, "
             "{\"$ref\": \"#/$defs/disk\", \"required\": [\"path\"]}]}},\n"
             "        {\"type\": \"object\", \"additionalProperties\": {\"anyOf\": [{\"type\": "
             "\"string\"}, {\"$ref\": \"#/$defs/disk\"}]}}\n      ]\n    }");
}

static void add_secrets(struct buf *out)
{
    buf_text(out, ",\n    \"secret\": ");
    rows_schema(job_secret_rows, out, 2);
    buf_text(out, ",\n    \"secrets\": {\n      \"type\": \"object\",\n"
                  "      \"propertyNames\": {\"pattern\": \"^[A-Za-z_][A-Za-z0-9_-]*$\"},\n"
                  "      \"additionalProperties\": {\"$ref\": \"#/$defs/secret\", "
                  "\"minProperties\": 1, \"maxProperties\": 1}\n    }");
}

char *job_schema(struct err *e)
{
    AUTO(buf_release) struct buf out = {0};

    buf_text(&out, "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
                   "  \"title\": \"strata job\",\n"
                   "  \"description\": \"A job of strata: machines and the stages they go "
                   "through\",\n"
                   "  \"$ref\": \"#/$defs/job\",\n  \"$defs\": {\n    \"job\": ");
    rows_schema(job_rows, &out, 2);
    buf_text(&out, ",\n    \"vars\": {\n      \"type\": \"object\",\n"
                   "      \"propertyNames\": {\"pattern\": \"^[A-Za-z_][A-Za-z0-9_-]*$\"},\n"
                   "      \"additionalProperties\": {\"type\": [\"string\", \"number\", "
                   "\"boolean\"]}\n    }");
    add_secrets(&out);
    add_machines(&out);
    add_stages(&out);
    buf_text(&out, "\n  }\n}\n");
    return buf_take(&out, e);
}
