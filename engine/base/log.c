/* Messages; see log.h. */
#include "log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static log_sink *sink_now;
static void *sink_user;

void log_to(log_sink *sink, void *user)
{
    pthread_mutex_lock(&lock);
    sink_now = sink;
    sink_user = user;
    pthread_mutex_unlock(&lock);
}

void log_say(enum log_level level, const char *fmt, ...)
{
    char text[2048];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    if (sink_now)
        sink_now(sink_user, level, text);
    pthread_mutex_unlock(&lock);
}
