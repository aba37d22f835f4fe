/* One entry made of two that hold parts of the same bytes (RFC 9111 3.4). */
#ifndef ZQ_CACHE_COMBINE_H
#define ZQ_CACHE_COMBINE_H

#include "cache/part.h"

/* An entry with the content of both, `whole`'s part of the representation: a 200 where that is all
 * of it. Its fields are the stored part's, with those of the newer in their place; all else is the
 * newer's. Frozen, counted, with one reference; NULL where there is no room. No lock held; `newer`
 * is complete, but may still be in the index. */
struct zq_entry *zq_combine(struct zq_entry *stored, struct zq_entry *newer,
                            const struct zq_part *whole);

#endif
