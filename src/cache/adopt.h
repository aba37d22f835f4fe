/* The answer to a POST that stands for a GET (RFC 9110 9.3.3): zq_writer_adopt. */
#ifndef ZQ_CACHE_ADOPT_H
#define ZQ_CACHE_ADOPT_H

#include "zq/cache.h"

/* A POST is passed on: remembers what zq_writer_adopt has to know of it, if its answer may be
 * stored at all. */
void zq_writer_offer_adoption(struct zq_writer *writer, struct zq_cache *cache,
                              const struct zq_cache_request *request, unsigned traits,
                              int64_t now_ms);

#endif
