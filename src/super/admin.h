/* room: super
 *
 * The sockets of the admin listener: opened by super, so that a new front gets them again; served
 * by the front, and found by `zq purge` and `zq cache`.
 */
#ifndef ZQ_SUPER_ADMIN_H
#define ZQ_SUPER_ADMIN_H

#include "listen.h"

/* Adds the admin listeners behind those for clients, and reads the token, which is then gone from
 * the environment. 0, or ZQ_EIO or ZQ_EINVAL with `error`, everything closed. A default socket that
 * cannot be had is no failure, only a warning. */
int zq_admin_open(const struct zq_config *config, struct zq_listeners *listeners,
                  struct zq_config_error *error);

/* The directory of the default sockets, made if `make`: in $XDG_RUNTIME_DIR, else /run/zq for root,
 * else one of the user's own under /tmp. NULL, or why there is none that can be trusted. */
#define ZQ_ADMIN_DIRECTORY_MAX 80
const char *zq_admin_directory(bool make, char out[ZQ_ADMIN_DIRECTORY_MAX]);

/* A default socket's name begins and ends so. */
#define ZQ_ADMIN_PREFIX "zq-"
#define ZQ_ADMIN_SUFFIX ".sock"

#endif
