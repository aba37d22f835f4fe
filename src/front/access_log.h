/* The access log: one line a request on standard output. Lines go to a bounded buffer that a
 * thread of its own writes out, so that no I/O thread ever waits for a slow reader; lines that do
 * not fit are dropped, counted, and the count is logged. Thread-safe. */
#ifndef ZQ_FRONT_ACCESS_LOG_H
#define ZQ_FRONT_ACCESS_LOG_H

#include "zq/http.h"

struct access_log;

struct access_log *access_log_new(int fd); /* NULL when out of memory; colour if fd is a terminal */
void access_log_free(struct access_log *log); /* writes out what is buffered, for at most 1 s */

/* `rung`: what served it (`hit`, `collapsed`, `app`, `reject`). `line` is the thread's scratch. */
void access_log_line(struct access_log *log, struct zq_buf *line,
                     const struct zq_exchange *exchange, const char *rung, time_t now);

#endif
