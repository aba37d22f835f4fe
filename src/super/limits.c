/* room: super */
#include "limits.h"

#include "zq/log.h"

#define SPARE 128 /* what the front opens besides connections, generously */

void zq_limits_raise(struct zq_limits *out, long long limit_connections)
{
    struct rlimit own;

    getrlimit(RLIMIT_NOFILE, &own);
    out->worker = out->front = own;
    out->front.rlim_cur = out->front.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &out->front) < 0)
        out->front = own;
    if (limit_connections > 0 && out->front.rlim_cur != RLIM_INFINITY &&
        (unsigned long long)limit_connections + SPARE > out->front.rlim_cur)
        zq_log(ZQ_LOG_WARNING,
               "--limit-connections %lld is more than the descriptor limit allows: %llu "
               "(ulimit -Hn, LimitNOFILE=)",
               limit_connections, (unsigned long long)out->front.rlim_cur);
}
