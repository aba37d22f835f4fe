/* The answer to a POST that stands for a GET (RFC 9110 9.3.3): zq_writer_adopt. */
#ifndef ZQ_CACHE_ADOPT_H
#define ZQ_CACHE_ADOPT_H

#include "zq/cache.h"

/* May the answer be stored at all? */
bool zq_adoption_is_possible(const struct zq_cache *cache, const struct zq_cache_request *request,
                             unsigned traits);
/* Such a request is passed on: remembers what zq_writer_adopt has to know of it. */
void zq_writer_offer_adoption(struct zq_writer *writer, struct zq_cache *cache,
                              const struct zq_cache_request *request, unsigned traits,
                              int64_t now_ms);
/* For whoever invalidates the key of that hash, before it is cleared. */
void zq_adoption_count_invalidation(struct zq_cache *cache, uint64_t hash);

#endif
