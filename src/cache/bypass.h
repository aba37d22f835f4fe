/* What never meets the cache, by path: a short list of globs, which operators change while requests
 * come. Nothing is looked at while it is empty. */
#ifndef ZQ_CACHE_BYPASS_H
#define ZQ_CACHE_BYPASS_H

#include "cache/pattern.h"

#include <pthread.h>
#include <stdatomic.h>

struct zq_bypass {
    atomic_uint n;
    pthread_rwlock_t lock; /* of `v`; taken with no other lock held, and none is taken behind it */
    struct zq_pattern *v[ZQ_BYPASS_MAX];
};

void zq_bypass_init(struct zq_bypass *bypass);
void zq_bypass_fini(struct zq_bypass *bypass);
bool zq_bypass_matches(struct zq_bypass *bypass, struct zq_slice key);

#endif
