/* Memory: one heap for all shards, and what gives way when it is full.
 *
 * Eviction is SIEVE (Zhang et al., NSDI 2024): one queue of all variants, along which a hand walks
 * from the oldest to the newest and evicts the first that was not hit since it last came by. A hit
 * touches no more than the entry's bit. Entries that readers hold are passed over, for evicting
 * them would free nothing. A walk is bounded, so that the queue is never locked for long; past the
 * bound the last one that it could have taken goes.
 */
#include "cache/alloc.h"
#include "cache/entry.h"
#include "cache/store.h"

#define WALK_MAX 128
/* Walks and looks for marks without success after which there is no room: every shard is asked. */
#define BARREN_MAX ZQ_STORE_SHARDS

/* Memory that is free lies here and there: what finds no piece that is large enough after so many
 * were evicted for it has none. */
#define EVICTED_MAX 512

/* ---- SIEVE ---- */

void zq_queue_add(struct zq_cache *cache, struct zq_entry *entry)
{
    ZQ_LOCK_HELD(&entry->shard->lock);
    zq_lock_take(&cache->queue.lock);
    zq_list_append(&cache->queue.variants, &entry->queued);
    zq_lock_give(&cache->queue.lock);
}

void zq_queue_remove(struct zq_cache *cache, struct zq_entry *entry)
{
    ZQ_LOCK_HELD(&entry->shard->lock);
    zq_lock_take(&cache->queue.lock);
    if (cache->queue.hand == &entry->queued)
        cache->queue.hand = entry->queued.next;
    zq_list_remove(&entry->queued);
    zq_lock_give(&cache->queue.lock);
}

/* By more than the index. A hit may come in the next moment; then it is evicted in use, which costs
 * nothing but the memory that it holds for so long. */
static bool is_held(const struct zq_entry *entry)
{
    return atomic_load_explicit(&entry->refs, memory_order_relaxed) > 1;
}

static struct zq_entry *walk(struct zq_queue *queue)
{
    struct zq_entry *second_best = NULL;

    ZQ_LOCK_HELD(&queue->lock);
    for (int steps = 0; steps < WALK_MAX && !zq_list_empty(&queue->variants); steps++) {
        if (queue->hand == &queue->variants)
            queue->hand = queue->hand->next;
        struct zq_entry *entry = ZQ_CONTAINER(queue->hand, struct zq_entry, queued);
        queue->hand = queue->hand->next;
        if (is_held(entry))
            continue;
        if (!atomic_exchange_explicit(&entry->visited, false, memory_order_relaxed))
            return entry;
        second_best = entry;
    }
    return second_best;
}

/* The next victim, with a reference: what is in the queue is alive. */
static struct zq_entry *choose_victim(struct zq_cache *cache)
{
    zq_lock_take(&cache->queue.lock);
    struct zq_entry *entry = walk(&cache->queue);
    if (entry != NULL)
        zq_entry_ref(entry);
    zq_lock_give(&cache->queue.lock);
    return entry;
}

static bool evict_variant(struct zq_cache *cache)
{
    struct zq_entry *entry = choose_victim(cache);

    if (entry == NULL)
        return false;
    zq_store_drop_variant(entry);
    zq_entry_unref(entry);
    return true;
}

/* A mark goes only where there is nothing else: it is small, and spares requests a wait. */
static bool evict_mark(struct zq_cache *cache)
{
    unsigned turn = atomic_fetch_add_explicit(&cache->next_marks, 1, memory_order_relaxed);
    struct zq_shard *shard = &cache->shards[turn % ZQ_STORE_SHARDS];

    zq_lock_take(&shard->lock);
    bool any = !zq_list_empty(&shard->marks);
    if (any) {
        struct zq_slot *slot = ZQ_CONTAINER(shard->marks.next, struct zq_slot, marked);
        zq_slot_unmark(shard, slot);
        zq_slot_tidy(cache, shard, slot);
    }
    zq_lock_give(&shard->lock);
    return any;
}

/* False when there is nothing. */
static bool evict(struct zq_cache *cache)
{
    for (unsigned barren = 0; barren < BARREN_MAX; barren++)
        if (evict_variant(cache) || evict_mark(cache))
            return true;
    return false;
}

/* ---- the door ---- */

void *zq_store_try_alloc(struct zq_cache *cache, size_t bytes)
{
    return zq_cache_alloc_fails() ? NULL : zq_cache_alloc_in(&cache->heap, bytes);
}

void *zq_store_alloc(struct zq_cache *cache, size_t bytes)
{
    void *p = NULL;

    ZQ_LOCK_NONE_HELD();
    if (zq_cache_alloc_fails() || bytes > ZQ_HEAP_MAX)
        return NULL;
    for (unsigned evicted = 0; evicted < EVICTED_MAX; evicted++) {
        p = zq_cache_alloc_in(&cache->heap, bytes);
        if (p != NULL || !evict(cache))
            break;
    }
    return p;
}

void *zq_store_alloc_some(struct zq_cache *cache, size_t *bytes)
{
    void *p = NULL;

    ZQ_LOCK_NONE_HELD();
    if (zq_cache_alloc_fails())
        return NULL;
    for (unsigned evicted = 0; p == NULL && evicted < EVICTED_MAX; evicted++) {
        p = zq_cache_alloc_in(&cache->heap, *bytes);
        if (p == NULL && zq_heap_room(&cache->heap) >= *bytes)
            p = zq_cache_alloc_some(&cache->heap, bytes);
        if (p == NULL && !evict(cache))
            return zq_cache_alloc_some(&cache->heap, bytes);
    }
    return p;
}

void zq_store_free(struct zq_cache *cache, void *p, size_t bytes)
{
    zq_cache_dealloc(cache != NULL ? &cache->heap : NULL, p, bytes);
}
