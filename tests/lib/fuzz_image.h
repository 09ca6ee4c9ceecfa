/* What the fuzz targets of the image formats share. */
#ifndef TESTS_FUZZ_IMAGE_H
#define TESTS_FUZZ_IMAGE_H

#include "driver.h"

/* Opens the bytes as one layer of that format, maps the disk from end to end as far as a bounded
 * number of steps goes, asks for the parent and checks the structure. */
void fuzz_image(const struct driver *driver, const uint8_t *bytes, size_t len);

#endif
