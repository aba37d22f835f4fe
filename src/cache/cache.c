/* The door's decision: hit, join, lead or pass. */
#include "cache/adopt.h"
#include "cache/alloc.h"
#include "cache/block.h"
#include "cache/coded.h"
#include "cache/coder.h"
#include "cache/condition.h"
#include "cache/entry.h"
#include "cache/key.h"
#include "cache/part.h"
#include "cache/policy.h"
#include "cache/store.h"
#include "cache/vary.h"

#include <stdlib.h>

/* Keys up to this are built on the stack. */
#define KEY_ON_STACK 4096
/* Fetches of one key that a request considers joining. */
#define FILLS_CONSIDERED 8
/* Bytes of the cache for each bucket: with entries of a few hundred bytes chains stay short. */
#define BYTES_PER_BUCKET 1024
#define BUCKETS_MIN 16

const char *zq_cache_forward_word(enum zq_cache_forward forward)
{
    static const char *const words[] = {
#define X(name, word) [ZQ_FORWARD_##name] = (word),
        ZQ_CACHE_FORWARDS(X)
#undef X
    };

    ZQ_ASSERT((size_t)forward < ZQ_ARRAY_SIZE(words));
    return words[forward];
}

/* ---- the cache as a whole ---- */

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

uint64_t zq_cache_used(const struct zq_cache *cache)
{
    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    return zq_heap_live(&cache->heap);
}

/* ---- looking up ---- */

struct lookup {
    struct zq_cache *cache;
    struct zq_shard *shard;
    const struct zq_cache_request *request;
    struct zq_reader *reader;
    struct zq_slice key;
    uint64_t hash;
    int64_t now_ms;
    unsigned traits;
    struct zq_cache_control asked; /* empty where the request's directives do not count */
    bool may_join;
    bool marked;            /* found: the key's last answer was not storable */
    bool known;             /* found: a whole response is stored under the key */
    bool refresh;           /* found: a hit that is stale, and nobody fetches another */
    struct zq_entry *stale; /* found: what is no hit, but may be validated; the slot's */
    struct zq_entry *part;  /* found: a part that the request selects, and that is no hit */
    struct zq_node dropped;
    enum zq_cache_forward forward;
};

/* What a request's Cache-Control demands beyond freshness (RFC 9111 5.2.1). */
static bool is_acceptable(const struct lookup *l, const struct zq_entry *entry)
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
static bool is_good_enough(struct lookup *l, const struct zq_entry *entry,
                           const struct zq_slot *slot)
{
    const struct zq_freshness *f = &entry->freshness;

    if (l->asked.no_cache || l->asked.max_age.given || l->asked.min_fresh.given)
        return false;
    if (l->asked.max_stale.given && !atomic_load(&entry->expired) &&
        zq_freshness_permits(f, l->now_ms, l->asked.max_stale.seconds * 1000))
        return true;
    if (!zq_freshness_permits(f, l->now_ms, (int64_t)f->while_revalidate_s * 1000))
        return false;
    /* Not again and again where the last answer could not be stored. */
    l->refresh = !zq_slot_is_fetched(slot) && slot->mark_until_ms <= l->now_ms;
    return true;
}

/* A part answers only a GET for no more than it has (RFC 9111 3.3), and only while it is fresh. */
static bool is_answered_by_part(struct lookup *l, struct zq_entry *part)
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

/* The newest variant that the request selects; `forward` says why it is none or of no use. */
static struct zq_entry *find_fresh(struct lookup *l, struct zq_slot *slot)
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
static bool join_filling(struct lookup *l, struct zq_entry *entry)
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
static bool join_waiting(struct lookup *l, struct zq_entry *entry, struct zq_slice hint)
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
static bool try_join(struct lookup *l, struct zq_entry *entry, bool waiting, struct zq_slice *hint)
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

static bool try_join_any(struct lookup *l, struct zq_slot *slot, bool waiting,
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

static bool has_credentials(const struct lookup *l)
{
    return (l->traits & ZQ_REQUEST_AUTHORIZATION) ||
           ((l->traits & ZQ_REQUEST_COOKIE) && !l->cache->rules.rfc_cookies);
}

/* Only what could lead may join. To wait for a head is to bet that it will be storable: the view is
 * declared so, the key was stored before, or nothing is known of it and the request has no
 * credentials. */
static bool join(struct lookup *l, struct zq_slot *slot)
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
    if (l->marked || !bets || l->asked.no_cache)
        return false;
    return try_join_any(l, slot, true, &hint);
}

/* HIT, JOIN, or PASS for a miss. Shard locked. */
static enum zq_cache_verdict look(struct lookup *l, struct zq_slot **slot)
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
    struct zq_entry *entry = find_fresh(l, *slot);
    if (entry != NULL) {
        zq_reader_attach_frozen(l->reader, entry);
        /* Read first: a line that is hot in several cores is written once, not by every hit. */
        if (!atomic_load_explicit(&entry->visited, memory_order_relaxed))
            atomic_store_explicit(&entry->visited, true, memory_order_relaxed);
        return ZQ_CACHE_HIT;
    }
    l->marked = (*slot)->mark_until_ms > l->now_ms;
    return join(l, *slot) ? ZQ_CACHE_JOIN : ZQ_CACHE_PASS;
}

/* ---- leading and passing ---- */

/* What would be served from the store may also be served on its way there: HEAD, Range and
 * conditions are applied to whole responses. */
static bool may_join(const struct lookup *l)
{
    return l->may_join && !l->request->untrusted_forwarded &&
           !(l->traits & (ZQ_REQUEST_ORIGINAL | ZQ_REQUEST_NO_STORE));
}

static bool may_store(const struct lookup *l)
{
    return !l->request->untrusted_forwarded &&
           !(l->traits & (ZQ_REQUEST_ORIGINAL | ZQ_REQUEST_NO_STORE)) &&
           !zq_policy_is_ambiguous(l->request->fields);
}

/* A miss of others goes by itself: what it gets is not for all. Where a response was stored before,
 * or the view is declared for it, the whole is asked for instead of a part. */
static bool may_lead(const struct lookup *l)
{
    return l->request->is_get && may_store(l) &&
           (l->known || l->request->decorated || !(l->traits & ZQ_REQUEST_SELECTIVE));
}

/* What goes by itself, but may change what is stored: a part, which becomes one of the stored, and
 * HEAD, whose answer may freshen a stale response (RFC 9111 4.3.5). */
static bool may_store_alone(const struct lookup *l)
{
    if (!may_store(l))
        return false;
    return l->request->is_get ? (l->traits & ZQ_REQUEST_RANGE) != 0
                              : l->stale != NULL && !(l->traits & ZQ_REQUEST_SELECTIVE);
}

static void writer_reset(struct zq_writer *writer)
{
    writer->whole = writer->adoptable = false;
    writer->etag = writer->last_modified = writer->if_range = (struct zq_slice){0};
    writer->rest = 0;
}

static int open_pass(struct zq_entry *entry, struct zq_reader *reader, struct zq_writer *writer)
{
    if (entry == NULL)
        return ZQ_ENOMEM;
    writer_reset(writer);
    zq_entry_open(entry, reader, writer);
    return ZQ_CACHE_PASS;
}

static int pass(struct zq_cache *cache, struct zq_reader *reader, struct zq_writer *writer)
{
    struct zq_entry *entry = zq_entry_new(NULL);

    if (entry != NULL)
        entry->cache = cache;
    return open_pass(entry, reader, writer);
}

/* What a new fill needs, made before the shard is locked. */
struct fill {
    struct zq_entry *entry;
    struct zq_slot *slot; /* used if the key has none */
};

/* Gives up what of a fill was not used. */
static void fill_fini(struct lookup *l, struct fill *f)
{
    if (f->entry != NULL)
        zq_entry_unref(f->entry);
    if (f->slot != NULL)
        zq_store_free(l->cache, f->slot, zq_slot_bytes(l->key.n));
}

/* False: no room. */
static bool fill_init(struct lookup *l, struct fill *f)
{
    f->entry = zq_entry_new(l->cache);
    f->slot = zq_slot_new(l->cache, l->key, l->hash);
    return f->entry != NULL && f->slot != NULL;
}

/* The stored response that the new one would replace; what the caller is to ask about it. */
static void offer_validators(struct zq_entry *stored, struct zq_entry *entry,
                             struct zq_writer *writer)
{
    entry->base = stored;
    zq_entry_ref(stored);
    zq_block_find(stored->block, ZQ_SLICE("etag"), &writer->etag);
    zq_block_find(stored->block, ZQ_SLICE("last-modified"), &writer->last_modified);
    writer->whole = writer->etag.p != NULL || writer->last_modified.p != NULL;
}

/* The stored part that the rest is to be added to. Without a strong validator the rest cannot be
 * told to be of the same bytes, but what comes instead may be the whole (RFC 9111 3.3). */
static void offer_part(struct lookup *l, struct zq_entry *entry, struct zq_writer *writer)
{
    struct zq_validators v = zq_validators_of(l->part->block);

    writer->if_range = zq_validators_strong(&v);
    if (writer->if_range.p != NULL || zq_entry_is_fresh(l->part, l->now_ms))
        writer->rest = zq_part_rest(l->part);
    if (writer->rest == 0)
        return;
    entry->base = l->part;
    zq_entry_ref(l->part);
    writer->whole = true;
}

/* What the caller is to ask for instead of what the request does. */
static void offer(struct lookup *l, struct zq_entry *entry, struct zq_writer *writer)
{
    if (zq_entry_is_alone(entry)) {
        entry->base = l->request->is_head ? l->stale : NULL;
        if (entry->base != NULL)
            zq_entry_ref(entry->base);
        return;
    }
    if (l->stale != NULL)
        offer_validators(l->stale, entry, writer);
    else if (l->part != NULL)
        offer_part(l, entry, writer);
    writer->whole |= (l->traits & ZQ_REQUEST_SELECTIVE) != 0;
}

/* Traits of an entry: those of the request, as it goes out. */
static unsigned traits_of(const struct lookup *l)
{
    if (l->request->is_head && !l->refresh)
        return l->traits | ZQ_REQUEST_HEAD;
    return may_lead(l) || l->refresh ? l->traits & ~(unsigned)ZQ_REQUEST_RANGE : l->traits;
}

/* Hands the entry and, where there was none, the slot over to the index. Shard locked. */
static void fill_link(struct lookup *l, struct fill *f, struct zq_slot *slot,
                      struct zq_writer *writer)
{
    struct zq_entry *entry = f->entry;

    if (slot == NULL) {
        slot = f->slot;
        f->slot = NULL;
        zq_slot_insert(l->shard, slot);
    }
    entry->shard = l->shard;
    entry->traits = (uint16_t)traits_of(l);
    entry->freshness.response_ms = l->now_ms;
    f->entry = NULL;
    zq_purge_begin(entry);
    writer_reset(writer);
    offer(l, entry, writer);
    if (l->refresh)
        zq_entry_open_unread(entry, writer);
    else
        zq_entry_open(entry, l->reader, writer);
    zq_store_add_fill(slot, entry);
}

/* Looks again, as the store may have changed while the fill was made. PASS when there is no room.
 */
static int lead(struct lookup *l, struct zq_writer *writer)
{
    struct fill f;
    struct zq_slot *slot;

    if (!fill_init(l, &f)) {
        fill_fini(l, &f);
        return pass(l->cache, l->reader, writer);
    }
    zq_lock_take(&l->shard->lock);
    int verdict = look(l, &slot);
    if (verdict == ZQ_CACHE_PASS) {
        /* A HEAD's own answer is chosen from what it freshens. */
        verdict = may_lead(l) || l->request->is_head ? ZQ_CACHE_LEAD : ZQ_CACHE_PASS;
        fill_link(l, &f, slot, writer);
    }
    zq_lock_give(&l->shard->lock);
    fill_fini(l, &f);
    zq_store_unref_all(&l->dropped);
    if (verdict == ZQ_CACHE_HIT)
        zq_coded_choose(l->reader);
    return verdict;
}

/* Fetches a successor for a stale response that was a hit, in the background; or does not, where
 * there is no room, or somebody else does by now. */
static void refresh(struct lookup *l, struct zq_writer *writer)
{
    struct fill f;

    if (fill_init(l, &f) && zq_entry_keep_request(f.entry, l->request->fields)) {
        zq_lock_take(&l->shard->lock);
        struct zq_slot *slot = zq_slot_find(l->shard, l->key, l->hash);
        l->refresh = false;
        l->stale = slot != NULL ? find_fresh(l, slot) : NULL;
        if (l->refresh)
            fill_link(l, &f, slot, writer);
        zq_lock_give(&l->shard->lock);
    }
    fill_fini(l, &f);
    l->forward = ZQ_FORWARD_NONE;
}

/* ---- the door ---- */

static enum zq_cache_forward bypass(const struct zq_cache *cache,
                                    const struct zq_cache_request *request, unsigned traits)
{
    if (!request->is_get && !request->is_head)
        return ZQ_FORWARD_METHOD;
    if (cache->size == 0 || request->has_body || (traits & ZQ_REQUEST_OVERRIDE) ||
        atomic_load_explicit(&cache->off, memory_order_relaxed))
        return ZQ_FORWARD_BYPASS;
    return ZQ_FORWARD_NONE;
}

static void count(struct zq_shard *shard, int verdict)
{
    if (verdict == ZQ_CACHE_HIT)
        shard->hits++;
    else if (verdict == ZQ_CACHE_JOIN)
        shard->joined++;
    else
        shard->misses++;
}

/* The answer to a POST may turn out to be one to store: its entry is in the store from the start.
 */
static int pass_method(struct zq_cache *cache, const struct zq_cache_request *request,
                       unsigned traits, int64_t now_ms, struct zq_reader *reader,
                       struct zq_writer *writer)
{
    bool adoptable = zq_adoption_is_possible(cache, request, traits);
    struct zq_entry *entry = adoptable ? zq_entry_new(cache) : NULL;

    if (entry == NULL)
        return pass(NULL, reader, writer);
    open_pass(entry, reader, writer);
    zq_writer_offer_adoption(writer, cache, request, traits, now_ms);
    return ZQ_CACHE_PASS;
}

static int decide(struct lookup *l, struct zq_writer *writer)
{
    struct zq_slot *slot;

    l->hash = zq_hash(l->key.p, l->key.n);
    l->shard = zq_store_shard(l->cache, l->hash);
    l->may_join = may_join(l);
    zq_list_init(&l->dropped);
    zq_lock_take(&l->shard->lock);
    int verdict = look(l, &slot);
    count(l->shard, verdict);
    zq_lock_give(&l->shard->lock);
    zq_store_unref_all(&l->dropped);
    if (verdict == ZQ_CACHE_HIT && l->refresh && may_store(l))
        refresh(l, writer);
    if (verdict == ZQ_CACHE_HIT)
        zq_coded_choose(l->reader);
    if (verdict != ZQ_CACHE_PASS)
        return verdict;
    if (l->asked.only_if_cached)
        return ZQ_CACHE_NEVER;
    return may_lead(l) || may_store_alone(l) ? lead(l, writer) : pass(l->cache, l->reader, writer);
}

int zq_cache_get(struct zq_cache *cache, const struct zq_cache_request *request, int64_t now_ms,
                 bool may_join, struct zq_reader *reader, struct zq_writer *writer,
                 enum zq_cache_forward *forward)
{
    unsigned traits = zq_policy_request(request->fields);
    char small[KEY_ON_STACK], *key = small;

    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    zq_reader_reset(reader, request->fields);
    reader->traits = traits;
    *forward = bypass(cache, request, traits);
    if (*forward == ZQ_FORWARD_METHOD)
        return pass_method(cache, request, traits, now_ms, reader, writer);
    if (*forward != ZQ_FORWARD_NONE)
        return pass(cache, reader, writer);
    size_t bound = zq_key_bound(request->scheme, request->host, request->target);
    if (bound > sizeof(small) && (key = zq_cache_alloc(bound)) == NULL)
        return ZQ_ENOMEM;
    struct lookup l = {
        .cache = cache,
        .request = request,
        .reader = reader,
        .key = zq_slice(key, zq_key_write(key, request->scheme, request->host, request->target)),
        .now_ms = now_ms,
        .traits = traits,
        .may_join = may_join,
    };
    if (cache->rules.directives)
        zq_policy_asked(request->fields, &l.asked);
    int verdict;
    if (zq_bypass_matches(&cache->bypass, l.key)) {
        l.forward = ZQ_FORWARD_BYPASS;
        verdict = pass(cache, reader, writer);
    } else {
        verdict = decide(&l, writer);
    }
    *forward = l.forward;
    if (key != small)
        zq_cache_dealloc(NULL, key, bound);
    return verdict;
}

void zq_cache_invalidate(struct zq_cache *cache, struct zq_slice scheme, struct zq_slice host,
                         struct zq_slice target)
{
    char small[KEY_ON_STACK], *key = small;
    size_t bound = zq_key_bound(scheme, host, target);

    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    if (bound > sizeof(small))
        key = zq_cache_alloc(bound);
    if (key == NULL) {
        /* What cannot be named now must not be served later: everything goes. */
        zq_purge_everything(cache);
        return;
    }
    struct zq_slice whole = zq_slice(key, zq_key_write(key, scheme, host, target));
    atomic_fetch_add(zq_store_invalidations(cache, zq_hash(whole.p, whole.n)), 1);
    zq_purge_key(cache, whole, false);
    if (key != small)
        zq_cache_dealloc(NULL, key, bound);
}
