/* The table of codecs, and the state that a thread keeps for them. */
#include "codec.h"

#include "bytes.h"
#include "codec_state.h"
#include "mem.h"

#include <string.h>

static const struct codec *const codecs[] = {&codec_deflate, &codec_zlib, &codec_zstd};

const struct codec *codec_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++)
        if (strcmp(codecs[i]->name, name) == 0)
            return codecs[i];
    return NULL;
}

struct codec_state *codec_state_new(struct err *e)
{
    struct codec_state *s = mem_new(struct codec_state, e);

    if (!s)
        return NULL;
    s->deflate = deflate_state_new(e);
    s->zstd = s->deflate ? zstd_state_new(e) : NULL;
    if (!s->zstd) {
        codec_state_free(s);
        return NULL;
    }
    return s;
}

void codec_state_free(struct codec_state *s)
{
    if (!s)
        return;
    deflate_state_free(s->deflate);
    zstd_state_free(s->zstd);
    free(s);
}
