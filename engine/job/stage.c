/* The registry of stages; see stage.h. */
#include "stage.h"

#include <stdio.h>
#include <string.h>

static const struct stage *const none[] = {NULL};
static const struct stage *const *registered = none;

void stages_register(const struct stage *const *table)
{
    registered = table;
}

const struct stage *const *stages_all(void)
{
    return registered;
}

const struct stage *stage_find(const char *name)
{
    for (const struct stage *const *s = registered; *s; s++)
        if (!strcmp((*s)->name, name))
            return *s;
    return NULL;
}

const char *stage_layers_text(unsigned layers, char buf[32])
{
    size_t used = 0;

    buf[0] = '\0';
    for (unsigned bit = 0; bit < 7; bit++)
        if (layers & (1u << bit))
            used += (size_t)snprintf(buf + used, 32 - used, "%sL%u", used ? " " : "", bit + 1);
    return buf;
}
