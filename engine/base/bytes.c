/* Zero detection; see bytes.h. */
#include "bytes.h"

bool bytes_zero(const void *p, size_t len)
{
    const unsigned char *b = p;
    size_t head = MIN(len, (size_t)16);

    /* Most data is told apart by its first bytes; after them, a range equal to itself shifted by 16
     * is all zero, and memcmp is the fastest loop the C library has. */
    for (size_t i = 0; i < head; i++)
        if (b[i])
            return false;
    return len <= 16 || memcmp(b, b + 16, len - 16) == 0;
}
