/* room: super
 *
 * When to start again what has died.
 */
#ifndef ZQ_SUPER_BACKOFF_H
#define ZQ_SUPER_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_MS 500
#define BACKOFF_LAST_MS 30000
#define BACKOFF_WELL_MS 30000 /* who ran this long has recovered */

/* Zero-initialised: nothing has failed, nothing is due. */
struct backoff {
    unsigned failures;   /* in a row */
    int64_t retry_at_ms; /* 0: nothing is due */
};

/* It died after `ran_ms`. The first time it is started again at once, then after 0.5 s, doubling
 * to 30 s, a fifth more or less by chance. Returns the delay. */
int64_t backoff_fail(struct backoff *b, int64_t now_ms, int64_t ran_ms);

#endif
