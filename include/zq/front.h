/* room: front
 *
 * The front process: clients, HTTP, the cache, dispatch to workers. Started by super with the
 * control channel on ZQ_CONTROL_FD.
 */
#ifndef ZQ_FRONT_H
#define ZQ_FRONT_H

#include "zq/config.h"

/* What of the options only the front can judge, for whoever is to start it: 0, or ZQ_EINVAL with
 * `error`, or ZQ_ENOMEM. */
int zq_front_check(const struct zq_config *config, struct zq_config_error *error);

/* Runs until super asks to drain, and returns the exit status. Leaves the process at once when
 * super's end of the control channel closes. */
int zq_front_main(void);

#endif
