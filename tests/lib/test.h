/* What every C test includes: cmocka with its prerequisites, and a few helpers. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "err.h"

struct image;

/* Fails the test with the error's text when `ok` is false. */
#define assert_ok(ok, e)                                                                           \
    do {                                                                                           \
        if (!(ok))                                                                                 \
            fail_msg("%s: %s", err_kind_name((e)->kind), (e)->text);                               \
    } while (0)

/* A fresh directory under $TMPDIR, removed by test_rmdir; the path is static, one a process. */
const char *test_dir(void);
void test_rmdir(void);

/* Fails the test where the contents of two images of one size differ. */
void test_same(struct image *a, struct image *b);

/* Deterministic random numbers (xorshift), for data and choices. */
uint64_t test_random(uint64_t *state);

#endif
