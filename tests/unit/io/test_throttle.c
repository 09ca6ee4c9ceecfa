/* label: quick
 * Rate limits: the rate is kept by several threads together, and waiting stops when asked. */
#include "io.h"

#include "clock.h"
#include "test.h"

#include <pthread.h>
#include <time.h>

static struct err e;
static atomic_int stop;

static void *spend(void *arg)
{
    for (int i = 0; i < 25; i++)
        throttle_wait(arg, 10000, NULL);
    return NULL;
}

static double seconds_since(uint64_t start)
{
    return (double)(clock_mono() - start) / 1e9;
}

static void test_rate(void **state)
{
    struct throttle *t = throttle_new(1000000, &e);
    uint64_t start = clock_mono();
    pthread_t threads[2];
    double took;

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, spend, t), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    took = seconds_since(start);
    /* 500,000 bytes at 1 MB/s, less the burst; a loaded machine only makes it longer */
    assert_true(took > 0.35);
    throttle_free(t);
}

static void *ask_to_stop(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    atomic_store(&stop, 1);
    return arg;
}

static void test_stop(void **state)
{
    struct throttle *t = throttle_new(10, &e);
    uint64_t start = clock_mono();
    pthread_t thread;

    (void)state;
    assert_true(throttle_wait(t, 1000, &stop)); /* the first goes through, its debt stays */
    assert_int_equal(pthread_create(&thread, NULL, ask_to_stop, NULL), 0);
    assert_false(throttle_wait(t, 1000, &stop));
    assert_true(seconds_since(start) < 30);
    pthread_join(thread, NULL);
    throttle_free(t);
}

static void test_none(void **state)
{
    struct throttle *t = throttle_new(0, &e);
    uint64_t start = clock_mono();

    (void)state;
    atomic_store(&stop, 0);
    assert_true(throttle_wait(t, UINT64_MAX, &stop));
    assert_true(throttle_wait(NULL, UINT64_MAX, NULL));
    assert_true(seconds_since(start) < 5);
    throttle_free(t);
    throttle_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
