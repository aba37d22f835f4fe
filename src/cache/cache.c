/* The cache as a whole: its life, and what is set once. */
#include "cache/coder.h"
#include "cache/entry.h"
#include "cache/store.h"

#include <stdlib.h>

/* Bytes of the cache for each bucket: with entries of a few hundred bytes chains stay short. */
#define BYTES_PER_BUCKET 1024
#define BUCKETS_MIN 16

static size_t buckets_per_shard(uint64_t size)
{
    size_t n = BUCKETS_MIN;

    while (2 * n <= size / BYTES_PER_BUCKET / ZQ_STORE_SHARDS)
        n *= 2;
    return n;
}

static bool shard_init(struct zq_shard *shard, size_t n_buckets)
{
    zq_lock_init(&shard->lock, ZQ_LOCK_SHARD);
    zq_list_init(&shard->marks);
    shard->n_buckets = n_buckets;
    shard->buckets = calloc(n_buckets, sizeof(*shard->buckets));
    return shard->buckets != NULL;
}

struct zq_cache *zq_cache_new(uint64_t size_bytes)
{
    struct zq_cache *cache = aligned_alloc(_Alignof(struct zq_cache), sizeof(*cache));
    size_t n_buckets = buckets_per_shard(size_bytes);
    uint64_t tables = ZQ_STORE_SHARDS * n_buckets * sizeof(struct zq_slot *);
    bool ok = true;

    if (cache == NULL)
        return NULL;
    memset(cache, 0, sizeof(*cache));
    cache->magic = ZQ_CACHE_MAGIC;
    cache->size = size_bytes;
    cache->object_max = size_bytes / ZQ_STORE_OBJECT_SHARE;
    cache->mark_bytes_max = (size_t)(size_bytes / ZQ_STORE_MARKS_SHARE / ZQ_STORE_SHARDS);
    zq_bypass_init(&cache->bypass);
    zq_lock_init(&cache->queue.lock, ZQ_LOCK_QUEUE);
    zq_list_init(&cache->queue.variants);
    cache->queue.hand = &cache->queue.variants;
    for (size_t i = 0; i < ZQ_STORE_SHARDS; i++)
        ok &= shard_init(&cache->shards[i], n_buckets);
    ok &= zq_purges_init(&cache->purges, size_bytes);
    tables += cache->purges.tags.n_buckets * sizeof(struct zq_tag *);
    ok &= zq_heap_init(&cache->heap, size_bytes > tables ? size_bytes - tables : 0);
    if (ok)
        return cache;
    zq_cache_free(cache);
    return NULL;
}

/* Drops all that a shard knows. */
static void shard_clear(struct zq_cache *cache, struct zq_shard *shard)
{
    struct zq_node dropped;

    zq_list_init(&dropped);
    zq_lock_take(&shard->lock);
    for (size_t i = 0; i < shard->n_buckets; i++)
        while (shard->buckets[i] != NULL) {
            zq_slot_unmark(shard, shard->buckets[i]);
            zq_slot_clear(cache, shard, shard->buckets[i], &dropped);
        }
    zq_lock_give(&shard->lock);
    zq_store_unref_all(&dropped);
}

void zq_cache_free(struct zq_cache *cache)
{
    if (cache == NULL)
        return;
    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    zq_coder_free(cache->coder);
    for (size_t i = 0; i < ZQ_STORE_SHARDS; i++) {
        if (cache->shards[i].buckets != NULL)
            shard_clear(cache, &cache->shards[i]);
        zq_lock_fini(&cache->shards[i].lock);
        free(cache->shards[i].buckets);
    }
    zq_bypass_fini(&cache->bypass);
    zq_lock_fini(&cache->queue.lock);
    zq_purges_fini(cache);
    zq_heap_fini(&cache->heap);
    cache->magic = 0;
    free(cache);
}

void zq_cache_set_rules(struct zq_cache *cache, const struct zq_cache_rules *rules)
{
    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    cache->rules = *rules;
}

void zq_cache_set_object_max(struct zq_cache *cache, uint64_t bytes)
{
    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    cache->object_max = bytes;
}

/* Where AddressSanitizer runs, no response lies there (alloc.c). */
struct zq_slice zq_cache_memory(const struct zq_cache *cache)
{
    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    return zq_slice(cache->heap.base, (size_t)cache->heap.n_pages * ZQ_HEAP_PAGE);
}

uint64_t zq_cache_used(const struct zq_cache *cache)
{
    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    return zq_heap_live(&cache->heap);
}
