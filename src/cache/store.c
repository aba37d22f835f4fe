#include "cache/store.h"

#include "cache/entry.h"
#include "cache/vary.h"

/* ---- slots ---- */

struct zq_slot *zq_slot_new(struct zq_cache *cache, struct zq_slice key, uint64_t hash)
{
    struct zq_slot *slot = zq_store_alloc(cache, zq_slot_bytes(key.n));

    if (slot == NULL)
        return NULL;
    *slot = (struct zq_slot){.hash = (uint32_t)hash, .key_n = (uint32_t)key.n};
    memcpy(slot->key, key.p, key.n);
    zq_list_init(&slot->variants);
    zq_list_init(&slot->fills);
    zq_list_init(&slot->marked);
    return slot;
}

static struct zq_slot **bucket_of(const struct zq_shard *shard, uint64_t hash)
{
    return &shard->buckets[hash & (shard->n_buckets - 1)];
}

struct zq_slot *zq_slot_find(struct zq_shard *shard, struct zq_slice key, uint64_t hash)
{
    struct zq_slot *slot = *bucket_of(shard, hash);

    ZQ_LOCK_HELD(&shard->lock);
    while (slot != NULL &&
           !(slot->hash == (uint32_t)hash && zq_slice_eq(zq_slice(slot->key, slot->key_n), key)))
        slot = slot->next;
    return slot;
}

void zq_slot_insert(struct zq_shard *shard, struct zq_slot *slot)
{
    struct zq_slot **bucket = bucket_of(shard, slot->hash);

    ZQ_LOCK_HELD(&shard->lock);
    slot->next = *bucket;
    *bucket = slot;
}

bool zq_slot_tidy(struct zq_cache *cache, struct zq_shard *shard, struct zq_slot *slot)
{
    struct zq_slot **at = bucket_of(shard, slot->hash);

    ZQ_LOCK_HELD(&shard->lock);
    if (slot->mark_until_s != 0 || !zq_list_empty(&slot->variants) || !zq_list_empty(&slot->fills))
        return true;
    while (*at != slot)
        at = &(*at)->next;
    *at = slot->next;
    zq_store_free(cache, slot, zq_slot_bytes(slot->key_n));
    return false;
}

/* ---- marks ---- */

void zq_slot_unmark(struct zq_shard *shard, struct zq_slot *slot)
{
    ZQ_LOCK_HELD(&shard->lock);
    if (slot->mark_until_s == 0)
        return;
    slot->mark_until_s = 0;
    zq_list_remove(&slot->marked);
    shard->mark_bytes -= zq_heap_class(zq_slot_bytes(slot->key_n));
    shard->marked[slot->mark]--;
}

void zq_slot_mark(struct zq_cache *cache, struct zq_shard *shard, struct zq_slot *slot,
                  enum zq_policy_verdict why, int64_t now_ms)
{
    shard->demotions += slot->mark_until_s == 0;
    zq_slot_unmark(shard, slot);
    slot->mark_until_s = (uint32_t)((now_ms + ZQ_STORE_MARK_MS) / 1000);
    slot->mark = (uint16_t)why;
    zq_list_append(&shard->marks, &slot->marked);
    shard->mark_bytes += zq_heap_class(zq_slot_bytes(slot->key_n));
    shard->marked[why]++;
    while (!zq_list_empty(&shard->marks)) {
        struct zq_slot *oldest = ZQ_CONTAINER(shard->marks.next, struct zq_slot, marked);
        if (zq_slot_marked_until_ms(oldest) > now_ms && shard->mark_bytes <= cache->mark_bytes_max)
            break;
        zq_slot_unmark(shard, oldest);
        zq_slot_tidy(cache, shard, oldest);
    }
}

/* ---- entries in slots ---- */

void zq_slot_drop(struct zq_entry *entry, bool is_variant, struct zq_node *dropped)
{
    ZQ_LOCK_HELD(&entry->shard->lock);
    if (is_variant) {
        zq_queue_remove(entry->cache, entry);
        entry->shard->promoted -= --entry->slot->n_variants == 0;
        entry->shard->variants--;
    }
    entry->slot = NULL;
    zq_list_remove(&entry->link);
    zq_list_append(dropped, &entry->link);
}

void zq_store_unref_all(struct zq_node *dropped)
{
    ZQ_LOCK_NONE_HELD();
    while (!zq_list_empty(dropped)) {
        struct zq_entry *entry = ZQ_CONTAINER(dropped->next, struct zq_entry, link);
        zq_list_remove(&entry->link);
        zq_entry_unref(entry);
    }
}

void zq_slot_clear(struct zq_cache *cache, struct zq_shard *shard, struct zq_slot *slot,
                   struct zq_node *dropped)
{
    ZQ_LOCK_HELD(&shard->lock);
    while (!zq_list_empty(&slot->variants))
        zq_slot_drop(ZQ_CONTAINER(slot->variants.next, struct zq_entry, link), true, dropped);
    while (!zq_list_empty(&slot->fills))
        zq_slot_drop(ZQ_CONTAINER(slot->fills.next, struct zq_entry, link), false, dropped);
    zq_slot_tidy(cache, shard, slot);
}

void zq_store_add_fill(struct zq_slot *slot, struct zq_entry *entry)
{
    ZQ_LOCK_HELD(&entry->shard->lock);
    entry->slot = slot;
    zq_entry_ref(entry);
    zq_list_append(zq_entry_is_alone(entry) ? &slot->fills : slot->fills.next, &entry->link);
}

bool zq_slot_is_fetched(const struct zq_slot *slot)
{
    return !zq_list_empty(&slot->fills) &&
           !zq_entry_is_alone(ZQ_CONTAINER(slot->fills.next, struct zq_entry, link));
}

bool zq_store_confirm_fill(struct zq_entry *entry, struct zq_tags *tags)
{
    struct zq_shard *shard = entry->shard;

    zq_lock_take(&shard->lock);
    bool indexed = entry->slot != NULL && !zq_purge_of_head(entry, tags) &&
                   (entry->base == NULL || !zq_purge_of_head(entry, entry->base->tags));
    if (indexed) {
        entry->tags = tags;
        shard->promotions += entry->slot->n_variants == 0 || entry->slot->mark_until_s != 0;
        zq_slot_unmark(shard, entry->slot);
        if (!zq_entry_is_alone(entry)) {
            zq_list_remove(&entry->link);
            zq_list_append(entry->slot->fills.next, &entry->link);
        }
    }
    zq_lock_give(&shard->lock);
    return indexed;
}

/* True if there was something to drop; the caller then gives the slot's reference. */
static bool unlink_fill(struct zq_entry *entry, enum zq_policy_verdict why, int64_t now_ms)
{
    struct zq_slot *slot = entry->slot;

    if (slot == NULL)
        return false;
    entry->slot = NULL;
    zq_list_remove(&entry->link);
    if (why != ZQ_POLICY_STORABLE)
        zq_slot_mark(entry->cache, entry->shard, slot, why, now_ms);
    else
        zq_slot_tidy(entry->cache, entry->shard, slot);
    return true;
}

void zq_store_drop_fill(struct zq_entry *entry, enum zq_policy_verdict why, int64_t now_ms)
{
    zq_lock_take(&entry->shard->lock);
    bool dropped = unlink_fill(entry, why, now_ms);
    zq_lock_give(&entry->shard->lock);
    if (dropped)
        zq_entry_unref(entry);
}

/* A response that will be stored is worth its end without readers. */
static bool is_idle(struct zq_entry *entry)
{
    zq_lock_take(&entry->lock);
    bool idle = zq_list_empty(&entry->readers) && !(entry->retained && entry->slot != NULL);
    zq_lock_give(&entry->lock);
    return idle;
}

bool zq_store_drop_idle_fill(struct zq_entry *entry)
{
    bool dropped = false;

    zq_lock_take(&entry->shard->lock);
    bool idle = is_idle(entry);
    if (idle)
        dropped = unlink_fill(entry, ZQ_POLICY_STORABLE, 0);
    zq_lock_give(&entry->shard->lock);
    if (dropped)
        zq_entry_unref(entry);
    return idle;
}

static void drop_variant(struct zq_entry *entry, uint64_t *count)
{
    struct zq_shard *shard = entry->shard;
    struct zq_node dropped;

    zq_list_init(&dropped);
    zq_lock_take(&shard->lock);
    struct zq_slot *slot = entry->slot;
    if (slot != NULL) {
        zq_slot_drop(entry, true, &dropped);
        ++*count;
        zq_slot_tidy(entry->cache, shard, slot);
    }
    zq_lock_give(&shard->lock);
    zq_store_unref_all(&dropped);
}

void zq_store_drop_variant(struct zq_entry *entry)
{
    drop_variant(entry, &entry->shard->evicted);
}

void zq_store_invalidate_variant(struct zq_entry *entry)
{
    drop_variant(entry, &entry->shard->purged);
}

/* ---- completion ---- */

/* Does a new variant stand in for an older one? The same requests select both when their blocks
 * are the same, and all requests select one that does not vary. */
static bool replaces(const struct zq_entry *entry, const struct zq_entry *older)
{
    return entry->vary_n == 0 || zq_vary_same(zq_entry_vary(entry), zq_entry_vary(older));
}

/* A slow fetch does not replace the answer of a quicker one that began after it, nor a part the
 * whole. */
static bool is_outdated(const struct zq_slot *slot, const struct zq_entry *entry)
{
    for (struct zq_node *n = slot->variants.next; n != &slot->variants; n = n->next) {
        struct zq_entry *other = ZQ_CONTAINER(n, struct zq_entry, link);
        if (replaces(entry, other) &&
            (other->freshness.response_ms > entry->freshness.response_ms ||
             (zq_entry_is_part(entry) && !zq_entry_is_part(other))))
            return true;
    }
    return false;
}

static void drop_replaced(struct zq_slot *slot, const struct zq_entry *entry,
                          struct zq_node *dropped)
{
    struct zq_node *next;

    for (struct zq_node *n = slot->variants.next; n != &slot->variants; n = next) {
        struct zq_entry *older = ZQ_CONTAINER(n, struct zq_entry, link);
        next = n->next;
        if (replaces(entry, older))
            zq_slot_drop(older, true, dropped);
    }
}

/* RFC 9111 4: the most recent is the one of the latest Date, and of several the last that came. */
static struct zq_node *first_as_old(struct zq_slot *slot, const struct zq_entry *entry)
{
    struct zq_node *n = slot->variants.next;

    while (n != &slot->variants &&
           ZQ_CONTAINER(n, struct zq_entry, link)->freshness.date_s > entry->freshness.date_s)
        n = n->next;
    return n;
}

static void add_variant(struct zq_slot *slot, struct zq_entry *entry, struct zq_node *dropped)
{
    drop_replaced(slot, entry, dropped);
    if (slot->n_variants >= ZQ_STORE_VARIANTS_MAX)
        zq_slot_drop(ZQ_CONTAINER(slot->variants.prev, struct zq_entry, link), true, dropped);
    zq_list_remove(&entry->link);
    zq_list_append(first_as_old(slot, entry), &entry->link);
    zq_queue_add(entry->cache, entry);
    if (slot->n_variants++ == 0)
        entry->shard->promoted++;
    entry->shard->variants++;
    entry->shard->stored++;
}

struct zq_entry *zq_store_find_part(const struct zq_entry *fill)
{
    struct zq_entry *found = NULL;

    zq_lock_take(&fill->shard->lock);
    struct zq_slot *slot = fill->slot;
    struct zq_node *n = slot != NULL ? slot->variants.next : NULL;
    for (; slot != NULL && n != &slot->variants && found == NULL; n = n->next) {
        struct zq_entry *other = ZQ_CONTAINER(n, struct zq_entry, link);
        if (zq_entry_is_part(other) && replaces(fill, other) &&
            zq_purge_effect(other) != ZQ_PURGE_HARD)
            found = other; /* where it was purged softly, a strong validator confirms it */
    }
    if (found != NULL)
        zq_entry_ref(found);
    zq_lock_give(&fill->shard->lock);
    return found;
}

/* Takes the place of a fill in its slot, with a reference. */
static void stand_in(struct zq_entry *entry, struct zq_entry *fill, struct zq_node *dropped)
{
    struct zq_slot *slot = fill->slot;

    zq_slot_drop(fill, false, dropped);
    entry->slot = slot;
    zq_entry_ref(entry);
    zq_list_append(slot->fills.next, &entry->link);
}

void zq_store_complete(struct zq_entry *entry, struct zq_entry *instead)
{
    struct zq_shard *shard = entry->shard;
    struct zq_node dropped;

    zq_list_init(&dropped);
    zq_lock_take(&shard->lock);
    /* Within the shard's lock, so that who hears of the end finds a hit when he asks again. */
    zq_entry_freeze(entry);
    struct zq_slot *slot = entry->slot;
    if (slot != NULL && instead != NULL && zq_purge_effect(entry) == ZQ_PURGE_NONE) {
        stand_in(instead, entry, &dropped);
        entry = instead;
    }
    if (slot != NULL && zq_purge_effect(entry) == ZQ_PURGE_NONE && !is_outdated(slot, entry)) {
        add_variant(slot, entry, &dropped);
    } else if (slot != NULL) {
        zq_slot_drop(entry, false, &dropped);
        zq_slot_tidy(entry->cache, shard, slot);
    }
    zq_lock_give(&shard->lock);
    zq_store_unref_all(&dropped);
}
