/* Helpers of the C tests; see test.h. */
#include "test.h"

#include "copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char dir[512];

const char *test_dir(void)
{
    const char *tmp = getenv("TMPDIR");

    if (!dir[0]) {
        snprintf(dir, sizeof(dir), "%s/strata-test.XXXXXX", tmp ? tmp : "/tmp");
        if (!mkdtemp(dir))
            abort();
    }
    return dir;
}

void test_rmdir(void)
{
    char command[600];

    if (!dir[0])
        return;
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    if (system(command) != 0)
        fprintf(stderr, "could not remove %s\n", dir);
    dir[0] = '\0';
}

uint64_t test_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void test_same(struct image *a, struct image *b)
{
    struct copy c = {.source = a, .other = b};
    struct err e = ERR_INIT;

    assert_int_equal(a->size, b->size);
    assert_ok(copy_run(&c, &e), &e);
}
