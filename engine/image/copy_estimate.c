/* What a copy would read, told from the map alone. */
#include "copy.h"

bool copy_estimate(struct image *source, struct copy_estimate *ret, struct err *e)
{
    struct copy_estimate sum = {0};

    for (uint64_t at = 0; at < source->size;) {
        struct extent x;

        if (!image_map(source, at, source->size - at, &x, e))
            return false;
        if (x.kind == EXTENT_DATA) {
            sum.data += x.len;
            sum.stored += !x.codec ? x.len : x.skip == 0 ? x.stored : 0;
        }
        at += x.len;
    }
    *ret = sum;
    return true;
}
