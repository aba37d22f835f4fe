/* What a response says of its way through the ladder: the value of Cache-Status (RFC 9211). The
 * `detail` is the rung that answered; `hit` and `fwd` are left out where neither is true. */
#ifndef ZQ_FRONT_CACHE_STATUS_H
#define ZQ_FRONT_CACHE_STATUS_H

#include "zq/cache.h"

/* Answers that the front makes by itself. */
#define CACHE_STATUS_REJECTED "zq; detail=reject"
#define CACHE_STATUS_NEVER "zq; detail=only-if-cached"
#define CACHE_STATUS_STATIC "zq; hit; detail=static"

#define CACHE_STATUS_SIZE 128

/* Of a request that the cache decided on. `info`: of its response; NULL: there came none. `maker`:
 * who makes what is not replayed. The value, in `out`. */
struct zq_slice cache_status(enum zq_cache_verdict verdict, enum zq_cache_forward forward,
                             const struct zq_entry_info *info, const char *maker,
                             char out[CACHE_STATUS_SIZE]);

/* The same value with the request's key behind it (RFC 9211 2.7): as the URL that it stands for, in
 * quotes, and so that it is one that a field may hold. From `arena`; the value alone when out of
 * memory. */
struct zq_slice cache_status_keyed(struct zq_slice value, struct zq_slice key,
                                   struct zq_arena *arena);

#endif
