/* Guesses whether a unit is compressed or encrypted already, at a small part of the cost of trying.
 */
#ifndef CODEC_PACKED_H
#define CODEC_PACKED_H

#include <stdbool.h>
#include <stddef.h>

/* True when compressing the unit would gain next to nothing. Depends on the bytes alone. Units too
 * small to judge are never packed. */
bool looks_packed(const void *unit, size_t len);

#endif
