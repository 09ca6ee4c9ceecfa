/* Messages from below the edge. Libraries never print: they hand a message to the sink that the
 * command line installed. Without a sink messages are dropped. Thread-safe. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_WARNING, LOG_NOTE, LOG_DETAIL /* shown with -v */ };

typedef void log_sink(void *user, enum log_level level, const char *text);

void log_to(log_sink *sink, void *user);
void log_say(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_warn(...) log_say(LOG_WARNING, __VA_ARGS__)
#define log_note(...) log_say(LOG_NOTE, __VA_ARGS__)
#define log_detail(...) log_say(LOG_DETAIL, __VA_ARGS__)

#endif
