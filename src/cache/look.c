/* Looking into the cache from outside: statistics, listing, and the switch. */
#include "cache/coded.h"
#include "cache/entry.h"
#include "cache/pattern.h"
#include "cache/store.h"

void zq_cache_switch(struct zq_cache *cache, bool on)
{
    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    atomic_store_explicit(&cache->off, !on, memory_order_relaxed);
}

static void add_shard(struct zq_shard *shard, struct zq_cache_stat *out,
                      uint64_t keys[ZQ_POLICY_COUNT])
{
    zq_lock_take(&shard->lock);
    out->responses += shard->variants;
    out->hits += shard->hits;
    out->joined += shard->joined;
    out->misses += shard->misses;
    out->stored += shard->stored;
    out->evicted += shard->evicted;
    out->purged += shard->purged;
    out->promoted += shard->promoted;
    out->promotions += shard->promotions;
    out->demotions += shard->demotions;
    for (size_t i = 0; i < ZQ_POLICY_COUNT; i++)
        keys[i] += shard->marked[i];
    zq_lock_give(&shard->lock);
}

static void put_reasons(const uint64_t keys[ZQ_POLICY_COUNT], struct zq_cache_stat *out)
{
    size_t n = 0;

    _Static_assert(ZQ_POLICY_COUNT <= ZQ_CACHE_REASONS_MAX, "there is a place for each");
    for (size_t i = 0; i < ZQ_POLICY_COUNT; i++) {
        out->demoted += keys[i];
        if (keys[i] > 0)
            out->reasons[n++] =
                (struct zq_cache_reason){zq_policy_word((enum zq_policy_verdict)i), keys[i]};
    }
}

void zq_cache_stat(struct zq_cache *cache, struct zq_cache_stat *out)
{
    struct zq_purges *purges = &cache->purges;
    uint64_t keys[ZQ_POLICY_COUNT] = {0};

    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    *out = (struct zq_cache_stat){
        .on = cache->size > 0 && !atomic_load_explicit(&cache->off, memory_order_relaxed),
        .size = cache->size,
        .used = zq_cache_used(cache),
        .bypass = atomic_load_explicit(&cache->bypass.n, memory_order_relaxed),
        .compressed = atomic_load_explicit(&cache->compressed, memory_order_acquire),
        .compressed_bytes = atomic_load_explicit(&cache->compressed_bytes, memory_order_relaxed),
        .purges = atomic_load_explicit(&purges->number, memory_order_relaxed),
    };
    zq_lock_take(&purges->lock);
    out->tags = purges->tags.n;
    out->sweeping = atomic_load_explicit(&purges->effective, memory_order_relaxed) - purges->swept;
    zq_lock_give(&purges->lock);
    for (size_t i = 0; i < ZQ_STORE_SHARDS; i++)
        add_shard(&cache->shards[i], out, keys);
    put_reasons(keys, out);
}

/* ---- listing ---- */

#define LIST_BUCKETS 1024
#define LIST_SLOTS 64

static void each_variant(const struct zq_slot *slot, int64_t now_ms, zq_cache_each *each,
                         void *argument)
{
    struct zq_url url = zq_url_of_key(zq_slice(slot->key, slot->key_n));

    for (struct zq_node *n = slot->variants.next; n != &slot->variants; n = n->next) {
        struct zq_entry *entry = ZQ_CONTAINER(n, struct zq_entry, link);
        struct zq_cache_item item = {
            .scheme = url.scheme,
            .host = url.host,
            .target = url.target,
            .status = entry->status,
            .bytes = entry->length,
            .age_s = zq_freshness_age_ms(&entry->freshness, now_ms) / 1000,
            .remaining_s = zq_entry_remaining_s(entry, now_ms),
            .purged_softly = atomic_load_explicit(&entry->expired, memory_order_relaxed),
            .tags = entry->tags,
        };
        for (int i = 0; i < ZQ_CODING_COUNT; i++)
            item.coded_bytes[i] = zq_coded_bytes(entry, (enum zq_coding)i);
        each(&item, argument);
    }
}

/* A cursor is the number of a bucket, over all shards. */
bool zq_cache_list(struct zq_cache *cache, uint64_t *cursor, int64_t now_ms, zq_cache_each *each,
                   void *argument)
{
    size_t n_buckets = cache->shards[0].n_buckets, slots = 0;
    struct zq_node dropped;

    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    if (*cursor / n_buckets >= ZQ_STORE_SHARDS)
        return false;
    struct zq_shard *shard = &cache->shards[*cursor / n_buckets];
    zq_list_init(&dropped);
    zq_lock_take(&shard->lock);
    for (int i = 0; i < LIST_BUCKETS && slots < LIST_SLOTS; i++) {
        struct zq_slot *slot = shard->buckets[*cursor % n_buckets], *next;
        for (; slot != NULL; slot = next, slots++) {
            next = slot->next;
            if (zq_slot_purge(cache, shard, slot, &dropped))
                each_variant(slot, now_ms, each, argument);
        }
        if (++*cursor % n_buckets == 0)
            break;
    }
    zq_lock_give(&shard->lock);
    zq_store_unref_all(&dropped);
    return *cursor / n_buckets < ZQ_STORE_SHARDS;
}

const char *zq_cache_class_word(enum zq_cache_class class)
{
    static const char *const words[] = {
#define X(name, word) [ZQ_CACHE_##name] = (word),
        ZQ_CACHE_CLASSES(X)
#undef X
    };

    ZQ_ASSERT((size_t) class < ZQ_ARRAY_SIZE(words));
    return words[class];
}

static struct zq_cache_key_state state_of(const struct zq_slot *slot, int64_t now_ms)
{
    if (zq_slot_marked_until_ms(slot) > now_ms)
        return (struct zq_cache_key_state){
            .class = ZQ_CACHE_DEMOTED,
            .reason = zq_policy_word((enum zq_policy_verdict)slot->mark),
            .left_s = (zq_slot_marked_until_ms(slot) - now_ms + 999) / 1000,
        };
    return (struct zq_cache_key_state){
        .class = slot->n_variants > 0 ? ZQ_CACHE_PROMOTED : ZQ_CACHE_APP,
    };
}

static void show_key(struct zq_cache *cache, struct zq_slice key, int64_t now_ms,
                     zq_cache_each *each, void *argument, struct zq_cache_key_state *state)
{
    uint64_t hash = zq_hash(key.p, key.n);
    struct zq_shard *shard = zq_store_shard(cache, hash);
    struct zq_node dropped;

    zq_list_init(&dropped);
    zq_lock_take(&shard->lock);
    struct zq_slot *slot = zq_slot_find(shard, key, hash);
    *state = (struct zq_cache_key_state){.class = ZQ_CACHE_APP};
    if (slot != NULL && zq_slot_purge(cache, shard, slot, &dropped)) {
        each_variant(slot, now_ms, each, argument);
        *state = state_of(slot, now_ms);
    }
    zq_lock_give(&shard->lock);
    zq_store_unref_all(&dropped);
}

int zq_cache_show(struct zq_cache *cache, struct zq_slice url, int64_t now_ms, zq_cache_each *each,
                  void *argument, struct zq_cache_key_state *state)
{
    const struct zq_purge purge = {.kind = ZQ_PURGE_URL, .text = url};

    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    if (zq_purge_fault(&purge) != NULL || url.p[0] == '/')
        return ZQ_EINVAL;
    struct zq_pattern *pattern = zq_pattern_new(&purge); /* whose text is the key */
    if (pattern == NULL)
        return ZQ_ENOMEM;
    show_key(cache, zq_slice(pattern->text, pattern->n), now_ms, each, argument, state);
    zq_pattern_free(pattern);
    return 0;
}
