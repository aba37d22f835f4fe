/* Tags: each name once, counted by the entries that carry it.
 *
 * A tag that nobody carries any more is kept while a fetch without a head is older than the tag's
 * last purge; all those together only up to a bound, beyond which such fetches are not stored.
 * The table has a fixed number of buckets: nothing is ever rehashed.
 */
#ifndef ZQ_CACHE_TAGS_H
#define ZQ_CACHE_TAGS_H

#include "zq/cache.h"

/* The numbers of the last purges of something, 0: none; of soft ones also of the first that the
 * sweep may not be done with. And when those came. */
struct zq_purged {
    uint64_t hard, soft, first;
    int64_t soft_ms, first_ms;
};

struct zq_tag {
    struct zq_tag *next; /* in its bucket */
    struct zq_node kept; /* among those that nobody carries */
    uint64_t hash;
    struct zq_purged purged;
    uint32_t refs, n;
    char name[];
};

/* What an entry carries; each name once. */
struct zq_tags {
    size_t n, size; /* `size`: room for so many */
    struct zq_tag *v[];
};

struct zq_tag_table {
    struct zq_tag **buckets;
    size_t n_buckets;
    uint64_t n;
    struct zq_node kept; /* the longest-kept first */
    size_t kept_bytes, kept_bytes_max;
};

/* The tags that a response names: NULL if none; a reference to each. 0, ZQ_ELIMIT for too many or
 * too long ones, ZQ_ENOMEM also when the cache has no room for them. No lock held. Release:
 * zq_tags_free, which no-op's on NULL. */
int zq_tags_of(struct zq_cache *cache, const struct zq_fields *response, struct zq_tags **out);
void zq_tags_free(struct zq_cache *cache, struct zq_tags *tags);

/* The tag of that name, made with a reference if it is not there; NULL when out of memory or room.
 * No lock held. Release: zq_tag_unref. */
struct zq_tag *zq_tag_get(struct zq_cache *cache, struct zq_slice name);
void zq_tag_unref(struct zq_cache *cache, struct zq_tag *tag); /* purges not locked */
/* Forgets kept tags that no fetch is old enough for: a few. Purges locked. */
void zq_tags_forget(struct zq_cache *cache);
void zq_tags_fini(struct zq_cache *cache); /* nobody carries any */

#endif
