/* label: quick
 * Decoders fed with anything. The first byte chooses the codec, the next two the unit's length; the
 * rest is the stored data. What decodes must decode the same again, and survive a round trip. */
#include "codec.h"

#include "bytes.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct codec *const codecs[] = {&codec_deflate, &codec_zlib, &codec_zstd};

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* Encodes the unit and decodes it again. */
static void round_trip(struct codec_state *s, const struct codec *c, const uint8_t *unit,
                       size_t len)
{
    size_t room = c->bound(len), n;
    uint8_t *packed = malloc(room), *out = malloc(len + 1);

    require(packed && out);
    n = c->encode(s, 0, unit, len, packed, room, c->level_preset);
    require(n > 0 && n <= room);
    require(c->decode(s, 0, packed, n, out, len, NULL) && memcmp(out, unit, len) == 0);
    free(packed);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = ERR_INIT;
    struct codec_state *s = codec_state_new(&e);
    const struct codec *c;
    uint8_t *in, *out;
    size_t len;

    require(s);
    if (size >= 3) {
        c = codecs[data[0] % ARRAY_LEN(codecs)];
        len = get_le16(data + 1);
        in = malloc(size - 3 + 1); /* exact sizes: a sanitizer sees a byte too far */
        out = malloc(len + 1);
        require(in && out);
        memcpy(in, data + 3, size - 3);
        if (!c->decode(s, 0, in, size - 3, out, len, &e))
            require(e.kind == ERR_FORMAT);
        else
            round_trip(s, c, out, len);
        free(in);
        free(out);
    }
    codec_state_free(s);
    return 0;
}
