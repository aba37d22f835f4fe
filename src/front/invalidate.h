/* What a success of an unsafe method makes invalid (RFC 9111 4.4). */
#ifndef ZQ_FRONT_INVALIDATE_H
#define ZQ_FRONT_INVALIDATE_H

#include "zq/cache.h"

struct routes_view;

/* The request's target, and of the response's Location and Content-Location what has the same
 * origin; other origins never: their responses are not this one's to drop. Each also as the key
 * rules of `view` (NULL: there are none) make it. The answer to a POST that stands for the target
 * takes its place: it is `instead`'s (NULL: none), whose head is still to come. */
void invalidate_targets(struct zq_cache *cache, const struct routes_view *view,
                        struct zq_slice scheme, struct zq_slice host, struct zq_slice target,
                        const struct zq_fields *response, struct zq_writer *instead,
                        struct zq_arena *scratch);

/* The target that a reference names on the request's own origin (RFC 3986 5.2), from `scratch`; n
 * is 0: none. */
struct zq_slice invalidate_resolve(struct zq_slice reference, struct zq_slice scheme,
                                   struct zq_slice host, struct zq_slice target,
                                   struct zq_arena *scratch);

#endif
