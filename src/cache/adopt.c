#include "cache/adopt.h"

#include "cache/alloc.h"
#include "cache/entry.h"
#include "cache/key.h"
#include "cache/store.h"

/* A POST is no fetch of its key while it runs, so that no purge and no invalidation can take it off
 * the index: they are counted instead. Who invalidates counts first, and then clears the key; who
 * adopts links first, and then looks at the counts. A key has two, and each of them is other keys'
 * too: where only one is higher than before, the key was not invalidated. */

/* With these the answer to a GET would not be stored either. */
#define UNSTORABLE                                                                                 \
    (ZQ_REQUEST_NO_STORE | ZQ_REQUEST_SELECTIVE | ZQ_REQUEST_OVERRIDE | ZQ_REQUEST_ORIGINAL)

/* A key, and what belongs to it. */
struct place {
    struct zq_slice key; /* p is NULL: out of memory */
    size_t size;         /* of its memory */
    uint64_t hash;
    atomic_uint *invalidations[2];
};

static void find_counts(struct zq_cache *cache, uint64_t hash, atomic_uint *counts[2])
{
    counts[0] = &cache->invalidations[0][hash % ZQ_STORE_INVALIDATIONS];
    counts[1] = &cache->invalidations[1][(hash >> 48) % ZQ_STORE_INVALIDATIONS];
}

static void place_init(struct place *place, struct zq_cache *cache, struct zq_slice scheme,
                       struct zq_slice host, struct zq_slice target)
{
    *place = (struct place){.size = zq_key_bound(scheme, host, target)};
    char *key = zq_cache_alloc(place->size);
    if (key == NULL)
        return;
    place->key = zq_slice(key, zq_key_write(key, scheme, host, target));
    place->hash = zq_hash(place->key.p, place->key.n);
    find_counts(cache, place->hash, place->invalidations);
}

static void place_fini(struct place *place)
{
    zq_cache_dealloc(NULL, (char *)(uintptr_t)place->key.p, place->size);
}

void zq_adoption_count_invalidation(struct zq_cache *cache, uint64_t hash)
{
    atomic_uint *counts[2];

    find_counts(cache, hash, counts);
    for (int i = 0; i < 2; i++)
        atomic_fetch_add(counts[i], 1);
}

bool zq_adoption_is_possible(const struct zq_cache *cache, const struct zq_cache_request *request,
                             unsigned traits)
{
    return request->is_post && !request->untrusted_forwarded && !(traits & UNSTORABLE) &&
           !atomic_load_explicit(&cache->off, memory_order_relaxed) &&
           !zq_policy_is_ambiguous(request->fields);
}

void zq_writer_offer_adoption(struct zq_writer *writer, struct zq_cache *cache,
                              const struct zq_cache_request *request, unsigned traits,
                              int64_t now_ms)
{
    struct zq_entry *entry = writer->entry;
    struct place place;

    place_init(&place, cache, request->scheme, request->host, request->target);
    if (place.key.p == NULL)
        return;
    writer->adoptable = !zq_bypass_matches(&cache->bypass, place.key);
    writer->purges = atomic_load(&cache->purges.number);
    for (int i = 0; i < 2; i++)
        writer->invalidations[i] = atomic_load(place.invalidations[i]);
    entry->traits = (uint16_t)(traits | ZQ_REQUEST_POST);
    entry->freshness.response_ms = now_ms;
    place_fini(&place);
}

/* Makes the entry, which is nobody's but the writer's, a fetch of the key; `*made` is used if the
 * key has no slot. */
static void link_fill(struct zq_entry *entry, struct zq_cache *cache, const struct place *place,
                      struct zq_slot **made)
{
    struct zq_shard *shard = zq_store_shard(cache, place->hash);

    zq_lock_take(&shard->lock);
    struct zq_slot *slot = zq_slot_find(shard, place->key, place->hash);
    if (slot == NULL) {
        slot = *made;
        *made = NULL;
        zq_slot_insert(shard, slot);
    }
    entry->shard = shard;
    zq_purge_begin(entry);
    zq_store_add_fill(slot, entry);
    zq_lock_give(&shard->lock);
}

/* By another than the writer itself. */
static bool was_invalidated(const struct zq_writer *writer, const struct place *place)
{
    for (int i = 0; i < 2; i++)
        if (atomic_load(place->invalidations[i]) == writer->invalidations[i] + 1)
            return false;
    return true;
}

static void adopt(struct zq_writer *writer, struct zq_cache *cache, const struct place *place)
{
    struct zq_entry *entry = writer->entry;
    struct zq_slot *made = zq_slot_new(cache, place->key, place->hash);

    if (made == NULL)
        return;
    link_fill(entry, cache, place, &made);
    if (entry->born != writer->purges || was_invalidated(writer, place))
        zq_store_drop_fill(entry, ZQ_POLICY_STORABLE, 0);
    zq_store_free(cache, made, zq_slot_bytes(place->key.n));
}

void zq_writer_adopt(struct zq_writer *writer, struct zq_cache *cache, struct zq_slice scheme,
                     struct zq_slice host, struct zq_slice target)
{
    struct place place;

    ZQ_ASSERT(writer->adoptable && writer->entry->state == ZQ_ENTRY_WAITING);
    place_init(&place, cache, scheme, host, target);
    if (place.key.p == NULL) {
        zq_cache_invalidate(cache, scheme, host, target);
        return;
    }
    zq_adoption_count_invalidation(cache, place.hash);
    zq_purge_key(cache, place.key);
    adopt(writer, cache, &place);
    place_fini(&place);
}
