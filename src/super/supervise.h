/* room: super
 *
 * Super's life from the first worker to the last.
 */
#ifndef ZQ_SUPER_SUPERVISE_H
#define ZQ_SUPER_SUPERVISE_H

#include "limits.h"
#include "listen.h"

/* Starts workers and front, keeps them running, reloads, stops. Returns the exit status: 0 after a
 * graceful stop; 1 when the start failed, when a child failed to stop by itself or when requests
 * were cut at the deadline; 128 + the signal's number after a second one. Closes the listeners when
 * it begins to stop. */
int zq_supervise(const struct zq_config *config, struct zq_listeners *listeners,
                 const struct zq_limits *limits);

#endif
