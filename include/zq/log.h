/* room: base
 *
 * The process log: one line a call on standard error, `INFO:     zq front: text` in colour on a
 * terminal. Thread-safe; may block on standard error, so nothing on a request's normal way logs
 * here (the access log is the front's, src/front/access_log.h).
 */
#ifndef ZQ_LOG_H
#define ZQ_LOG_H

#include "zq/base.h"

/* uvicorn's level names; `trace` is accepted and means debug. */
enum zq_log_level { ZQ_LOG_DEBUG, ZQ_LOG_INFO, ZQ_LOG_WARNING, ZQ_LOG_ERROR, ZQ_LOG_CRITICAL };

/* The level that --log-level names; `trace`, and what is no level, mean debug. */
enum zq_log_level zq_log_level_of(const char *word);

void zq_log_init(const char *role, enum zq_log_level least); /* role: borrowed for good */
bool zq_log_enabled(enum zq_log_level level);
void zq_log(enum zq_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends `s` with everything outside printable ASCII, and `"` and `\`, as \xHH. */
int zq_log_escape(struct zq_buf *out, struct zq_slice s);

#endif
