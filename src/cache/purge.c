#include "cache/purge.h"

#include "cache/alloc.h"
#include "cache/entry.h"
#include "cache/key.h"
#include "cache/pattern.h"
#include "cache/store.h"

#include <stdlib.h>

#define BYTES_PER_TAG_BUCKET 4096 /* of the cache */
#define TAG_BUCKETS_MIN 16
#define TAGS_KEPT_SHARE 64 /* tags that nobody carries may take this part of the cache */

static uint64_t get(const atomic_uint_least64_t *number)
{
    return atomic_load_explicit(number, memory_order_acquire);
}

/* ---- life ---- */

bool zq_purges_init(struct zq_purges *purges, uint64_t cache_bytes)
{
    size_t n = TAG_BUCKETS_MIN;

    while (2 * n <= cache_bytes / BYTES_PER_TAG_BUCKET)
        n *= 2;
    zq_lock_init(&purges->lock, ZQ_LOCK_PURGES);
    zq_list_init(&purges->patterns);
    zq_list_init(&purges->running);
    zq_list_init(&purges->tags.kept);
    purges->tags.n_buckets = n;
    purges->tags.kept_bytes_max = (size_t)(cache_bytes / TAGS_KEPT_SHARE);
    purges->tags.buckets = calloc(n, sizeof(*purges->tags.buckets));
    return purges->tags.buckets != NULL;
}

static void forget_patterns(struct zq_purges *purges, uint64_t up_to)
{
    while (!zq_list_empty(&purges->patterns)) {
        struct zq_pattern *oldest = ZQ_CONTAINER(purges->patterns.next, struct zq_pattern, node);
        if (oldest->number > up_to)
            return;
        zq_list_remove(&oldest->node);
        zq_pattern_free(oldest);
        purges->n_patterns--;
    }
}

void zq_purges_fini(struct zq_cache *cache)
{
    struct zq_purges *purges = &cache->purges;

    forget_patterns(purges, UINT64_MAX);
    ZQ_ASSERT(zq_list_empty(&purges->running));
    zq_tags_fini(cache);
    zq_lock_fini(&purges->lock);
}

/* ---- fetches under way ---- */

void zq_purge_begin(struct zq_entry *entry)
{
    struct zq_purges *purges = &entry->cache->purges;

    ZQ_LOCK_HELD(&entry->shard->lock);
    zq_lock_take(&purges->lock);
    entry->born = get(&purges->number);
    zq_list_append(&purges->running, &entry->queued);
    zq_lock_give(&purges->lock);
}

void zq_purge_headed(struct zq_entry *entry)
{
    struct zq_purges *purges = &entry->cache->purges;

    zq_lock_take(&purges->lock);
    zq_list_remove(&entry->queued);
    zq_tags_forget(entry->cache);
    zq_lock_give(&purges->lock);
}

bool zq_purge_of_tags_since(const struct zq_entry *entry)
{
    return get(&entry->cache->purges.of_tags) > entry->born;
}

/* ---- what they mean for an entry ---- */

/* Since when something is stale that was born then. */
static int64_t since_ms(const struct zq_purged *purged, uint64_t born)
{
    return purged->first > born ? purged->first_ms : purged->soft_ms;
}

/* Of the soft ones since then, all of which make it stale, the first says since when. */
static void note(struct zq_purged *last, const struct zq_purged *more, uint64_t born)
{
    int64_t more_ms = since_ms(more, born);

    if (more->soft > born && (last->soft <= born || more_ms < last->soft_ms))
        last->soft_ms = more_ms;
    last->hard = more->hard > last->hard ? more->hard : last->hard;
    last->soft = more->soft > last->soft ? more->soft : last->soft;
}

static void note_tags(struct zq_purged *last, const struct zq_tags *tags, uint64_t born)
{
    for (size_t i = 0; i < zq_tags_count(tags); i++)
        note(last, &tags->v[i]->purged, born);
}

static void note_patterns(struct zq_purged *last, const struct zq_purges *purges,
                          const struct zq_entry *entry)
{
    struct zq_slice key = zq_slice(entry->slot->key, entry->slot->key_n);

    for (struct zq_node *n = purges->patterns.prev; n != &purges->patterns; n = n->prev) {
        struct zq_pattern *pattern = ZQ_CONTAINER(n, struct zq_pattern, node);
        if (pattern->number <= entry->born)
            return;
        if (zq_pattern_match(pattern, key))
            note(last, &pattern->purged, entry->born);
    }
}

static struct zq_purged last_purges(const struct zq_purges *purges, const struct zq_entry *entry,
                                    const struct zq_tags *tags)
{
    struct zq_purged last = {0};

    note(&last, &purges->all, entry->born);
    note_tags(&last, tags, entry->born);
    note_patterns(&last, purges, entry);
    return last;
}

static enum zq_purge_effect effect_of(struct zq_purged last, const struct zq_entry *entry)
{
    if (last.hard > entry->born)
        return ZQ_PURGE_HARD;
    return last.soft > entry->born ? ZQ_PURGE_SOFT : ZQ_PURGE_NONE;
}

static struct zq_purged purges_of(const struct zq_entry *entry)
{
    struct zq_purges *purges = &entry->cache->purges;

    ZQ_LOCK_HELD(&entry->shard->lock);
    if (get(&purges->effective) <= entry->born)
        return (struct zq_purged){0};
    zq_lock_take(&purges->lock);
    struct zq_purged last = last_purges(purges, entry, entry->tags);
    zq_lock_give(&purges->lock);
    return last;
}

enum zq_purge_effect zq_purge_effect(const struct zq_entry *entry)
{
    return effect_of(purges_of(entry), entry);
}

bool zq_purge_of_head(const struct zq_entry *entry, const struct zq_tags *tags)
{
    struct zq_purges *purges = &entry->cache->purges;

    ZQ_LOCK_HELD(&entry->shard->lock);
    zq_lock_take(&purges->lock);
    struct zq_purged last = last_purges(purges, entry, tags);
    note(&last, &(struct zq_purged){.hard = purges->forgotten}, entry->born);
    zq_lock_give(&purges->lock);
    return effect_of(last, entry) != ZQ_PURGE_NONE;
}

/* Stale since then, unless an earlier purge made it so. */
static void soften(struct zq_entry *entry, int64_t purged_ms)
{
    ZQ_LOCK_HELD(&entry->shard->lock);
    if (atomic_load_explicit(&entry->expired, memory_order_relaxed))
        return;
    entry->purged_ms = purged_ms;
    atomic_store_explicit(&entry->expired, true, memory_order_release);
}

static void purge_variants(struct zq_shard *shard, struct zq_slot *slot, struct zq_node *dropped)
{
    struct zq_node *next;

    for (struct zq_node *n = slot->variants.next; n != &slot->variants; n = next) {
        struct zq_entry *entry = ZQ_CONTAINER(n, struct zq_entry, link);
        struct zq_purged last = purges_of(entry);
        enum zq_purge_effect effect = effect_of(last, entry);
        next = n->next;
        if (effect == ZQ_PURGE_SOFT)
            soften(entry, last.soft_ms);
        if (effect != ZQ_PURGE_HARD)
            continue;
        zq_slot_drop(entry, true, dropped);
        shard->purged++;
    }
}

static void purge_fills(struct zq_slot *slot, struct zq_node *dropped)
{
    struct zq_node *next;

    for (struct zq_node *n = slot->fills.next; n != &slot->fills; n = next) {
        struct zq_entry *entry = ZQ_CONTAINER(n, struct zq_entry, link);
        next = n->next;
        if (zq_purge_effect(entry) != ZQ_PURGE_NONE)
            zq_slot_drop(entry, false, dropped);
    }
}

bool zq_slot_purge(struct zq_cache *cache, struct zq_shard *shard, struct zq_slot *slot,
                   struct zq_node *dropped)
{
    uint32_t effective = (uint32_t)get(&cache->purges.effective);

    ZQ_LOCK_HELD(&shard->lock);
    if (slot->checked == effective) /* the sweep comes by long before half a number repeats */
        return true;
    slot->checked = effective;
    purge_variants(shard, slot, dropped);
    purge_fills(slot, dropped);
    return zq_slot_tidy(cache, shard, slot);
}

/* ---- one key ---- */

static void soften_slot(struct zq_cache *cache, struct zq_shard *shard, struct zq_slot *slot,
                        int64_t now_ms, struct zq_node *dropped)
{
    for (struct zq_node *n = slot->variants.next; n != &slot->variants; n = n->next)
        soften(ZQ_CONTAINER(n, struct zq_entry, link), now_ms);
    while (!zq_list_empty(&slot->fills))
        zq_slot_drop(ZQ_CONTAINER(slot->fills.next, struct zq_entry, link), false, dropped);
    zq_slot_tidy(cache, shard, slot);
}

static void purge_key(struct zq_cache *cache, struct zq_slice key, bool soft, int64_t now_ms)
{
    uint64_t hash = zq_hash(key.p, key.n);
    struct zq_shard *shard = zq_store_shard(cache, hash);
    struct zq_node dropped;

    zq_list_init(&dropped);
    zq_lock_take(&shard->lock);
    struct zq_slot *slot = zq_slot_find(shard, key, hash);
    if (slot != NULL && !zq_slot_purge(cache, shard, slot, &dropped))
        slot = NULL;
    if (slot != NULL && soft) {
        soften_slot(cache, shard, slot, now_ms, &dropped);
    } else if (slot != NULL) {
        shard->purged += slot->n_variants;
        zq_slot_clear(cache, shard, slot, &dropped);
    }
    zq_lock_give(&shard->lock);
    zq_store_unref_all(&dropped);
}

void zq_purge_key(struct zq_cache *cache, struct zq_slice key)
{
    purge_key(cache, key, false, 0);
}

/* ---- the door ---- */

/* Purges locked. */
static uint64_t next_number(struct zq_purges *purges)
{
    return atomic_fetch_add_explicit(&purges->number, 1, memory_order_acq_rel) + 1;
}

/* From now on look-ups ask. Behind everything that they will find. */
static void take_effect(struct zq_purges *purges, uint64_t number)
{
    atomic_store_explicit(&purges->effective, number, memory_order_release);
}

/* Behind all that were recorded before. Of more than two soft ones that the sweep has not been
 * through with, those between the first and the last are forgotten. Purges locked. */
static void record(const struct zq_purges *purges, struct zq_purged *last, uint64_t number,
                   bool soft, int64_t now_ms)
{
    if (!soft) {
        last->hard = number;
        return;
    }
    if (last->first <= purges->swept) {
        bool pending = last->soft > purges->swept;
        last->first = pending ? last->soft : number;
        last->first_ms = pending ? last->soft_ms : now_ms;
    }
    last->soft = number;
    last->soft_ms = now_ms;
}

static uint64_t purge_all(struct zq_purges *purges, bool soft, int64_t now_ms)
{
    zq_lock_take(&purges->lock);
    uint64_t number = next_number(purges);
    record(purges, &purges->all, number, soft, now_ms);
    take_effect(purges, number);
    zq_lock_give(&purges->lock);
    return number;
}

void zq_purge_everything(struct zq_cache *cache)
{
    purge_all(&cache->purges, false, 0);
}

static uint64_t purge_tag(struct zq_cache *cache, const struct zq_purge *purge, int64_t now_ms)
{
    struct zq_purges *purges = &cache->purges;
    struct zq_tag *tag = zq_tag_get(cache, purge->text);

    if (tag == NULL)
        return purge_all(purges, purge->soft, now_ms);
    zq_lock_take(&purges->lock);
    uint64_t number = next_number(purges);
    record(purges, &tag->purged, number, purge->soft, now_ms);
    atomic_store_explicit(&purges->of_tags, number, memory_order_release);
    take_effect(purges, number);
    zq_lock_give(&purges->lock);
    zq_tag_unref(cache, tag);
    return number;
}

static int purge_pattern(struct zq_purges *purges, const struct zq_purge *purge, int64_t now_ms,
                         uint64_t *number)
{
    struct zq_pattern *pattern = zq_pattern_new(purge);

    if (pattern == NULL) {
        *number = purge_all(purges, purge->soft, now_ms);
        return 0;
    }
    zq_lock_take(&purges->lock);
    bool room = purges->n_patterns < ZQ_PATTERNS_MAX;
    if (room) {
        *number = pattern->number = next_number(purges);
        record(purges, &pattern->purged, *number, purge->soft, now_ms);
        zq_list_append(&purges->patterns, &pattern->node);
        purges->n_patterns++;
        take_effect(purges, *number);
    }
    zq_lock_give(&purges->lock);
    if (!room)
        zq_pattern_free(pattern);
    return room ? 0 : ZQ_ELIMIT;
}

/* One key of a scheme and host; the number is taken first, so that it is above all that it ends. */
static uint64_t purge_url(struct zq_cache *cache, const struct zq_purge *purge, int64_t now_ms)
{
    struct zq_purges *purges = &cache->purges;
    struct zq_pattern *pattern = zq_pattern_new(purge); /* whose text is the key */

    if (pattern == NULL)
        return purge_all(purges, purge->soft, now_ms);
    zq_lock_take(&purges->lock);
    uint64_t number = next_number(purges);
    zq_lock_give(&purges->lock);
    purge_key(cache, zq_slice(pattern->text, pattern->n), purge->soft, now_ms);
    zq_pattern_free(pattern);
    return number;
}

int zq_cache_purge(struct zq_cache *cache, const struct zq_purge *purge, int64_t now_ms,
                   uint64_t *number)
{
    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    if (zq_purge_fault(purge) != NULL)
        return ZQ_EINVAL;
    if (purge->kind == ZQ_PURGE_ALL)
        *number = purge_all(&cache->purges, purge->soft, now_ms);
    else if (purge->kind == ZQ_PURGE_TAG)
        *number = purge_tag(cache, purge, now_ms);
    else if (purge->kind == ZQ_PURGE_URL && purge->text.p[0] != '/')
        *number = purge_url(cache, purge, now_ms);
    else
        return purge_pattern(&cache->purges, purge, now_ms, number);
    return 0;
}

/* ---- the sweep ---- */

/* Enough for some 10 µs. */
#define SWEEP_BUCKETS 1024
#define SWEEP_SLOTS 16

static bool sweep_begin(struct zq_purges *purges)
{
    if (purges->sweeping)
        return true;
    purges->sweep_number = get(&purges->effective);
    if (purges->sweep_number == purges->swept)
        return false;
    purges->shard = purges->bucket = 0;
    purges->sweeping = true;
    return true;
}

static void sweep_end(struct zq_purges *purges)
{
    purges->sweeping = false;
    zq_lock_take(&purges->lock);
    purges->swept = purges->sweep_number;
    forget_patterns(purges, purges->swept);
    zq_lock_give(&purges->lock);
}

static void sweep_some(struct zq_cache *cache, struct zq_shard *shard, struct zq_node *dropped)
{
    size_t *bucket = &cache->purges.bucket, slots = 0;

    for (int i = 0; i < SWEEP_BUCKETS && slots < SWEEP_SLOTS && *bucket < shard->n_buckets; i++) {
        struct zq_slot *next;
        for (struct zq_slot *slot = shard->buckets[*bucket]; slot != NULL; slot = next) {
            next = slot->next;
            zq_slot_purge(cache, shard, slot, dropped);
            slots++;
        }
        ++*bucket;
    }
}

bool zq_cache_sweep(struct zq_cache *cache)
{
    struct zq_purges *purges = &cache->purges;
    struct zq_node dropped;

    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    if (!sweep_begin(purges))
        return false;
    struct zq_shard *shard = &cache->shards[purges->shard];
    zq_list_init(&dropped);
    zq_lock_take(&shard->lock);
    sweep_some(cache, shard, &dropped);
    zq_lock_give(&shard->lock);
    zq_store_unref_all(&dropped);
    if (purges->bucket == shard->n_buckets) {
        purges->bucket = 0;
        if (++purges->shard == ZQ_STORE_SHARDS)
            sweep_end(purges);
    }
    return purges->sweeping || get(&purges->effective) != purges->swept;
}
