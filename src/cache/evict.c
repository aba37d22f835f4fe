/* Memory: one budget for all shards, and what gives way when it is used up.
 *
 * Eviction is SIEVE (Zhang et al., NSDI 2024), a queue a shard: a hand walks from the oldest
 * variant to the newest and evicts the first that was not hit since it last came by. Entries that
 * readers hold are passed over, for evicting them would free nothing. A walk is bounded, so that
 * no lock is held for long; past the bound the last one it could have taken goes.
 */
#include "cache/entry.h"
#include "cache/store.h"

#define WALK_MAX 256

static bool try_add(struct zq_cache *cache, uint64_t bytes)
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

void zq_sieve_add(struct zq_shard *shard, struct zq_entry *entry)
{
    ZQ_LOCK_HELD(&shard->lock);
    entry->visited = false;
    zq_list_append(&shard->sieve, &entry->sieve);
}

void zq_sieve_remove(struct zq_shard *shard, struct zq_entry *entry)
{
    ZQ_LOCK_HELD(&shard->lock);
    if (shard->hand == &entry->sieve)
        shard->hand = entry->sieve.next;
    zq_list_remove(&entry->sieve);
}

/* Only the index's own reference: look-ups, which add others, hold the shard's lock as we do. */
static bool is_held(const struct zq_entry *entry)
{
    return atomic_load_explicit(&entry->refs, memory_order_relaxed) > 1;
}

static struct zq_entry *choose_victim(struct zq_shard *shard)
{
    struct zq_entry *second_best = NULL;
    struct zq_node *at = shard->hand;

    for (int steps = 0; steps < WALK_MAX && !zq_list_empty(&shard->sieve); steps++) {
        if (at == &shard->sieve)
            at = at->next;
        struct zq_entry *entry = ZQ_CONTAINER(at, struct zq_entry, sieve);
        at = at->next;
        shard->hand = at;
        if (is_held(entry))
            continue;
        if (!entry->visited)
            return entry;
        entry->visited = false;
        second_best = entry;
    }
    return second_best;
}

static void evict_variant(struct zq_cache *cache, struct zq_shard *shard, struct zq_entry *entry)
{
    struct zq_slot *slot = entry->slot;

    zq_sieve_remove(shard, entry);
    zq_list_remove(&entry->link);
    entry->slot = NULL;
    slot->n_variants--;
    zq_slot_tidy(cache, shard, slot);
}

/* A mark goes only where there is nothing else; fresh content is worth less than an old mark. */
static bool evict_mark(struct zq_cache *cache, struct zq_shard *shard)
{
    if (zq_list_empty(&shard->marks))
        return false;
    struct zq_slot *slot = ZQ_CONTAINER(shard->marks.next, struct zq_slot, mark);
    zq_slot_unmark(shard, slot);
    zq_slot_tidy(cache, shard, slot);
    return true;
}

/* Makes one shard give something up. */
static bool evict_one(struct zq_cache *cache)
{
    unsigned turn = atomic_fetch_add_explicit(&cache->evict_next, 1, memory_order_relaxed);
    struct zq_shard *shard = &cache->shards[turn % ZQ_STORE_SHARDS];
    bool marked = false;

    zq_lock_take(&shard->lock);
    struct zq_entry *victim = choose_victim(shard);
    if (victim != NULL)
        evict_variant(cache, shard, victim);
    else
        marked = evict_mark(cache, shard);
    zq_lock_give(&shard->lock);
    if (victim != NULL)
        zq_entry_unref(victim);
    return victim != NULL || marked;
}

bool zq_store_reserve(struct zq_cache *cache, uint64_t bytes)
{
    unsigned barren = 0;

    ZQ_LOCK_NONE_HELD();
    if (bytes > cache->size)
        return false;
    while (!try_add(cache, bytes)) {
        if (evict_one(cache))
            barren = 0;
        else if (++barren == 2 * ZQ_STORE_SHARDS)
            return false;
    }
    return true;
}
