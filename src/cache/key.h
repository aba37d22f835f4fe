/* The key of a request, without a buffer that grows: hits build it on the stack. */
#ifndef ZQ_CACHE_KEY_H
#define ZQ_CACHE_KEY_H

#include "zq/cache.h"

/* The most bytes that zq_key_write writes. */
static inline size_t zq_key_bound(struct zq_slice scheme, struct zq_slice host,
                                  struct zq_slice target)
{
    return scheme.n + host.n + target.n + 2;
}

/* Writes the key to `to` and returns its length. */
size_t zq_key_write(char *to, struct zq_slice scheme, struct zq_slice host, struct zq_slice target);

#endif
