/* The stages, one source file each. */
#ifndef STAGES_STAGES_H
#define STAGES_STAGES_H

#include "stage.h"

extern const struct stage stage_preflight;
extern const struct stage stage_consolidate;
extern const struct stage stage_convert;
extern const struct stage stage_verify;
extern const struct stage stage_command;

/* NULL at the end. */
extern const struct stage *const stages_table[];

#endif
