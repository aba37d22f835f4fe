/* room: base
 *
 * Time. Durations and deadlines run on the monotonic clock, in milliseconds; dates are seconds
 * since 1970 UTC. Thread-safe.
 *
 * In builds with ZQ_DEBUG a test can put all clocks forward: by the milliseconds, an int64_t, at
 * the start of the file that ZQ_TEST_CLOCK names.
 */
#ifndef ZQ_CLOCK_H
#define ZQ_CLOCK_H

#include "zq/base.h"

#include <time.h>

int64_t zq_now_ms(void);    /* CLOCK_MONOTONIC */
int64_t zq_now_us(void);    /* CLOCK_MONOTONIC */
time_t zq_wall_clock(void); /* seconds since the epoch */

/* IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 5.6.7): always 29 bytes, no NUL. */
#define ZQ_DATE_SIZE 29
void zq_date_format(time_t t, char out[ZQ_DATE_SIZE]);
/* Reads IMF-fixdate and the two obsolete forms, in any case; 0 or ZQ_EINVAL. No locale. */
int zq_date_parse(struct zq_slice s, time_t *out);

#endif
