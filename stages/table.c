/* Every stage. Adding one is a file and a line here. */
#include "stages.h"

const struct stage *const stages_table[] = {
    &stage_preflight, &stage_consolidate, &stage_convert, &stage_verify, &stage_command, NULL,
};
