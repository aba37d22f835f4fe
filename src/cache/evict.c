/* Memory: one budget for all shards, and what gives way when it is used up.
 *
 * Eviction is SIEVE (Zhang et al., NSDI 2024): one queue of all variants, along which a hand walks
 * from the oldest to the newest and evicts the first that was not hit since it last came by. A hit
 * touches no more than the entry's bit. Entries that readers hold are passed over, for evicting
 * them would free nothing. A walk is bounded, so that the queue is never locked for long; past the
 * bound the last one that it could have taken goes.
 */
#include "cache/entry.h"
#include "cache/store.h"

#define WALK_MAX 128
/* Walks and looks for marks without success after which there is no room: every shard is asked. */
#define BARREN_MAX ZQ_STORE_SHARDS

bool zq_store_try_reserve(struct zq_cache *cache, uint64_t bytes)
{
    uint_least64_t used = atomic_load_explicit(&cache->used, memory_order_relaxed);

    do {
        if (bytes > cache->size - used)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&cache->used, &used, used + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void zq_store_release(struct zq_cache *cache, uint64_t bytes)
{
    uint64_t before = atomic_fetch_sub_explicit(&cache->used, bytes, memory_order_relaxed);

    ZQ_ASSERT(before >= bytes);
}

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

bool zq_store_reserve(struct zq_cache *cache, uint64_t bytes)
{
    unsigned barren = 0;

    ZQ_LOCK_NONE_HELD();
    if (bytes > cache->size)
        return false;
    while (!zq_store_try_reserve(cache, bytes)) {
        if (evict_variant(cache) || evict_mark(cache))
            barren = 0;
        else if (++barren == BARREN_MAX)
            return false;
    }
    return true;
}
