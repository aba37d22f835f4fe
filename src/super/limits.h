/* room: super
 *
 * The descriptor limit: the front gets all that this user may have, workers what they would have
 * had without us (programs that they start may walk over every possible descriptor).
 */
#ifndef ZQ_SUPER_LIMITS_H
#define ZQ_SUPER_LIMITS_H

#include <sys/resource.h>

struct zq_limits {
    struct rlimit front, worker;
};

/* Raises our own as well, and says in the log when --limit-connections cannot be reached. */
void zq_limits_raise(struct zq_limits *out, long long limit_connections);

#endif
