/* room: super
 *
 * What can be said about the options before anything is opened or started.
 */
#ifndef ZQ_SUPER_CHECK_H
#define ZQ_SUPER_CHECK_H

#include "options.h"

/* Checks what one option's syntax does not show, and completes the configuration: --venv from
 * $VIRTUAL_ENV and absolute, --worker-executable (which may not exist if it was not given),
 * --front-threads from the processors. 0, or ZQ_EINVAL with `error`. */
int zq_check_options(struct zq_options *options, struct zq_config_error *error);

/* Whether the worker's executable is there; if not, that is logged. */
bool zq_check_worker(const struct zq_config *config);

#endif
