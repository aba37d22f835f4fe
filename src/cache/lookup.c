#include "cache/lookup.h"

#include "cache/entry.h"
#include "cache/part.h"
#include "cache/vary.h"

/* Fetches of one key that a request considers joining. */
#define FILLS_CONSIDERED 8

/* What a request's Cache-Control demands beyond freshness (RFC 9111 5.2.1). */
static bool is_acceptable(const struct zq_lookup *l, const struct zq_entry *entry)
{
    int64_t age_ms = zq_freshness_age_ms(&entry->freshness, l->now_ms);
    const struct zq_cache_control *asked = &l->asked;

    if (asked->no_cache || (asked->max_age.given && age_ms > asked->max_age.seconds * 1000))
        return false;
    return !asked->min_fresh.given ||
           entry->freshness.lifetime_ms - age_ms >= asked->min_fresh.seconds * 1000;
}

/* Stale, but the client or the response itself takes it so (RFC 9111 4.2.4): max-stale
 * (5.2.1.2), stale-while-revalidate (RFC 5861 3). */
static bool is_good_enough(struct zq_lookup *l, const struct zq_entry *entry,
                           const struct zq_slot *slot)
{
    const struct zq_freshness f = zq_entry_freshness(entry);

    if (l->asked.min_fresh.given || !is_acceptable(l, entry))
        return false;
    if (l->asked.max_stale.given && !atomic_load(&entry->expired) &&
        zq_freshness_permits(&f, l->now_ms, l->asked.max_stale.seconds * 1000))
        return true;
    /* max-age without max-stale takes nothing stale (RFC 9111 5.2.1.1). */
    if (l->asked.max_age.given ||
        !zq_freshness_permits(&f, l->now_ms, (int64_t)f.while_revalidate_s * 1000))
        return false;
    /* Not again and again where the last answer could not be stored. */
    l->refresh = !zq_slot_is_fetched(slot) && zq_slot_marked_until_ms(slot) <= l->now_ms;
    return true;
}

/* A part answers only a GET for no more than it has (RFC 9111 3.3), and only while it is fresh. */
static bool is_answered_by_part(struct zq_lookup *l, struct zq_entry *part)
{
    if (l->request->is_get && (l->traits & ZQ_REQUEST_RANGE) &&
        zq_entry_is_fresh(part, l->now_ms) && is_acceptable(l, part) &&
        zq_part_answers(part, l->request->fields))
        return true;
    l->forward = ZQ_FORWARD_PARTIAL;
    if (l->part == NULL)
        l->part = part; /* the newest (RFC 9111 4) */
    return false;
}

struct zq_entry *zq_look_up_variant(struct zq_lookup *l, struct zq_slot *slot)
{
    l->forward = slot->n_variants > 0 ? ZQ_FORWARD_VARY_MISS : ZQ_FORWARD_URI_MISS;
    for (struct zq_node *n = slot->variants.next; n != &slot->variants; n = n->next) {
        struct zq_entry *entry = ZQ_CONTAINER(n, struct zq_entry, link);
        bool part = zq_entry_is_part(entry);
        l->known |= !part;
        if (!zq_vary_match(zq_entry_vary(entry), l->request->fields) ||
            (part && !is_answered_by_part(l, entry)))
            continue;
        bool fresh = zq_entry_is_fresh(entry, l->now_ms);
        if (fresh ? is_acceptable(l, entry) : is_good_enough(l, entry, slot)) {
            l->forward = ZQ_FORWARD_NONE;
            return entry;
        }
        l->forward = fresh ? ZQ_FORWARD_REQUEST : ZQ_FORWARD_STALE;
        l->stale = entry;
        return NULL;
    }
    return NULL;
}

/* Whose head is there is joined when it answers this request. */
static bool join_filling(struct zq_lookup *l, struct zq_entry *entry)
{
    if (!zq_freshness_is_fresh(&entry->freshness, l->now_ms) || !is_acceptable(l, entry) ||
        !zq_vary_match(zq_entry_vary(entry), l->request->fields))
        return false;
    zq_reader_attach(l->reader, entry);
    return true;
}

/* Who waits for the head is joined when `hint`, the Vary of another response of this key, would
 * not tell the two requests apart; but not when it may turn out to have a tag that was purged since
 * it began. */
static bool join_waiting(struct zq_lookup *l, struct zq_entry *entry, struct zq_slice hint)
{
    const struct zq_fields *leader = zq_entry_request(entry);

    if (leader == NULL || !zq_vary_alike(hint, leader, l->request->fields) ||
        zq_purge_of_tags_since(entry))
        return false;
    zq_reader_attach(l->reader, entry);
    return true;
}

/* `waiting` chooses which kind of fill is looked at. A fill in the index that has its head will be
 * stored. */
static bool try_join(struct zq_lookup *l, struct zq_entry *entry, bool waiting,
                     struct zq_slice *hint)
{
    bool joined = false;

    zq_lock_take(&entry->lock);
    if (entry->state == ZQ_ENTRY_FILLING) {
        if (!waiting)
            joined = join_filling(l, entry);
        *hint = zq_entry_vary(entry);
    } else if (waiting) {
        joined = join_waiting(l, entry, *hint);
    }
    zq_lock_give(&entry->lock);
    return joined;
}

static bool try_join_any(struct zq_lookup *l, struct zq_slot *slot, bool waiting,
                         struct zq_slice *hint)
{
    struct zq_node *n = slot->fills.next;

    for (int i = 0; i < FILLS_CONSIDERED && n != &slot->fills; i++, n = n->next) {
        struct zq_entry *entry = ZQ_CONTAINER(n, struct zq_entry, link);
        if (zq_entry_is_alone(entry))
            return false;
        if (try_join(l, entry, waiting, hint))
            return true;
    }
    return false;
}

/* What has to be validated for every request is waited for in vain. */
static bool never_fresh(const struct zq_slot *slot)
{
    const struct zq_entry *newest = ZQ_CONTAINER(slot->variants.next, struct zq_entry, link);

    return newest->freshness.lifetime_ms <= newest->freshness.initial_age_ms;
}

static bool has_credentials(const struct zq_lookup *l)
{
    return (l->traits & ZQ_REQUEST_AUTHORIZATION) ||
           ((l->traits & ZQ_REQUEST_COOKIE) && !l->cache->rules.rfc_cookies);
}

/* Only what could lead may join. To wait for a head is to bet that it will be storable: the view is
 * declared so, the key was stored before, or nothing is known of it and the request has no
 * credentials. only-if-cached makes no bets (RFC 9111 5.2.1.7). */
static bool join(struct zq_lookup *l, struct zq_slot *slot)
{
    struct zq_slice hint = {0};

    if (!l->may_join || !zq_slot_is_fetched(slot))
        return false;
    if (slot->n_variants > 0 && never_fresh(slot))
        return try_join_any(l, slot, false, &hint);
    if (slot->n_variants > 0)
        hint = zq_entry_vary(ZQ_CONTAINER(slot->variants.next, struct zq_entry, link));
    if (try_join_any(l, slot, false, &hint))
        return true;
    bool bets = slot->n_variants > 0 || l->request->decorated || !has_credentials(l);
    if (l->marked || !bets || l->asked.no_cache || l->asked.only_if_cached)
        return false;
    return try_join_any(l, slot, true, &hint);
}

enum zq_cache_verdict zq_look_up(struct zq_lookup *l, struct zq_slot **slot)
{
    l->forward = ZQ_FORWARD_URI_MISS;
    l->marked = false;
    l->known = l->refresh = false;
    l->stale = l->part = NULL;
    *slot = zq_slot_find(l->shard, l->key, l->hash);
    if (*slot != NULL && !zq_slot_purge(l->cache, l->shard, *slot, &l->dropped))
        *slot = NULL;
    if (*slot == NULL)
        return ZQ_CACHE_PASS;
    struct zq_entry *entry = zq_look_up_variant(l, *slot);
    if (entry != NULL) {
        zq_reader_attach_frozen(l->reader, entry);
        /* Read first: a line that is hot in several cores is written once, not by every hit. */
        if (!atomic_load_explicit(&entry->visited, memory_order_relaxed))
            atomic_store_explicit(&entry->visited, true, memory_order_relaxed);
        return ZQ_CACHE_HIT;
    }
    l->marked = zq_slot_marked_until_ms(*slot) > l->now_ms;
    return join(l, *slot) ? ZQ_CACHE_JOIN : ZQ_CACHE_PASS;
}
