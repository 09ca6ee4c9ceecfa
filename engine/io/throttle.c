/* A rate limit shared by threads: a token bucket kept as the time at which the bucket will be empty
 * (the generic cell rate algorithm). Each request moves that time on by its own duration and waits
 * for its turn; what was not used in the last tenth of a second may be caught up with. */
#include "io.h"

#include "bytes.h"
#include "clock.h"
#include "mem.h"

#include <pthread.h>
#include <time.h>

#define SECOND UINT64_C(1000000000)
#define BURST (SECOND / 10) /* ns of the rate that may pass at once: smooth, yet few wake-ups */
#define NAP (SECOND / 20)   /* how often a waiter looks whether it is to stop */

struct throttle {
    pthread_mutex_t lock;
    uint64_t rate; /* bytes per second; 0: no limit */
    uint64_t next; /* clock_mono time up to which the rate is spent */
};

struct throttle *throttle_new(uint64_t bytes_per_second, struct err *e)
{
    struct throttle *t = mem_new(struct throttle, e);

    if (!t)
        return NULL;
    pthread_mutex_init(&t->lock, NULL);
    t->rate = bytes_per_second;
    t->next = clock_mono();
    return t;
}

void throttle_free(struct throttle *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

bool throttle_wait(struct throttle *t, uint64_t len, const atomic_int *stop)
{
    uint64_t now, turn;

    if (!t || !t->rate)
        return !stop || !atomic_load(stop);
    pthread_mutex_lock(&t->lock);
    now = clock_mono();
    turn = MAX(t->next, now > BURST ? now - BURST : 0);
    t->next = turn + (uint64_t)((unsigned __int128)len * SECOND / t->rate);
    pthread_mutex_unlock(&t->lock);
    for (; turn > now; now = clock_mono()) {
        uint64_t ns = MIN(turn - now, NAP);
        struct timespec nap = {.tv_nsec = (long)ns};

        if (stop && atomic_load(stop))
            return false;
        nanosleep(&nap, NULL);
    }
    return !stop || !atomic_load(stop);
}
