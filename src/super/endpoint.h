/* room: super
 *
 * Where to listen, as it was asked for.
 */
#ifndef ZQ_SUPER_ENDPOINT_H
#define ZQ_SUPER_ENDPOINT_H

#include "options.h"

enum endpoint_kind { ENDPOINT_TCP, ENDPOINT_UNIX, ENDPOINT_FD };

struct endpoint {
    enum endpoint_kind kind;
    const char *option; /* that asked for it, for messages */
    char host[108];     /* a name or an address without brackets; empty: every address */
    char path[108];     /* a Unix domain socket's */
    int port, fd;
};

/* Every place to listen at, at most `max`; their number, or ZQ_EINVAL with `error`. --host and
 * --port count when they were given, or when nothing else was. */
int endpoint_list(const struct zq_options *options, struct endpoint *out, size_t max,
                  struct zq_config_error *error);

#endif
