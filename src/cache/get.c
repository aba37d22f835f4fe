/* The door's decision: hit, join, lead or pass. */
#include "cache/adopt.h"
#include "cache/alloc.h"
#include "cache/block.h"
#include "cache/coded.h"
#include "cache/condition.h"
#include "cache/entry.h"
#include "cache/key.h"
#include "cache/lookup.h"
#include "cache/part.h"

/* Keys up to this are built on the stack. */
#define KEY_ON_STACK 4096

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

/* ---- leading and passing ---- */

/* What would be served from the store may also be served on its way there: HEAD, Range and
 * conditions are applied to whole responses. */
static bool may_join(const struct zq_lookup *l)
{
    return l->may_join && !l->request->untrusted_forwarded &&
           !(l->traits & (ZQ_REQUEST_ORIGINAL | ZQ_REQUEST_NO_STORE));
}

static bool may_store(const struct zq_lookup *l)
{
    return !l->request->untrusted_forwarded &&
           !(l->traits & (ZQ_REQUEST_ORIGINAL | ZQ_REQUEST_NO_STORE)) &&
           !zq_policy_is_ambiguous(l->request->fields);
}

/* A miss of others goes by itself: what it gets is not for all. Where a response was stored before,
 * or the view is declared for it, the whole is asked for instead of a part. */
static bool may_lead(const struct zq_lookup *l)
{
    return l->request->is_get && may_store(l) &&
           (l->known || l->request->decorated || !(l->traits & ZQ_REQUEST_SELECTIVE));
}

/* What goes by itself, but may change what is stored: a part, which becomes one of the stored, and
 * HEAD, whose answer may freshen a stale response (RFC 9111 4.3.5), or be that one where it is an
 * error (RFC 5861 4). */
static bool may_store_alone(const struct zq_lookup *l)
{
    if (!may_store(l))
        return false;
    return l->request->is_get ? (l->traits & ZQ_REQUEST_RANGE) != 0 : l->stale != NULL;
}

static void writer_reset(struct zq_writer *writer)
{
    writer->whole = writer->adoptable = writer->anonymous = false;
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
static void fill_fini(struct zq_lookup *l, struct fill *f)
{
    if (f->entry != NULL)
        zq_entry_unref(f->entry);
    if (f->slot != NULL)
        zq_store_free(l->cache, f->slot, zq_slot_bytes(l->key.n));
}

/* False: no room. */
static bool fill_init(struct zq_lookup *l, struct fill *f)
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
static void offer_part(struct zq_lookup *l, struct zq_entry *entry, struct zq_writer *writer)
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
static void offer(struct zq_lookup *l, struct zq_entry *entry, struct zq_writer *writer)
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
static unsigned traits_of(const struct zq_lookup *l)
{
    if (l->request->is_head && !l->refresh)
        return l->traits | ZQ_REQUEST_HEAD;
    if (l->refresh && l->anonymous)
        return l->traits & ~(unsigned)(ZQ_REQUEST_RANGE | ZQ_REQUEST_CREDENTIALS);
    return may_lead(l) || l->refresh ? l->traits & ~(unsigned)ZQ_REQUEST_RANGE : l->traits;
}

/* Hands the entry and, where there was none, the slot over to the index. Shard locked. */
static void fill_link(struct zq_lookup *l, struct fill *f, struct zq_slot *slot,
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
    writer->anonymous = l->refresh && l->anonymous;
    if (l->refresh)
        zq_entry_open_unread(entry, writer);
    else
        zq_entry_open(entry, l->reader, writer);
    zq_store_add_fill(slot, entry);
}

/* Looks again, as the store may have changed while the fill was made. PASS when there is no room.
 */
static int lead(struct zq_lookup *l, struct zq_writer *writer)
{
    struct fill f;
    struct zq_slot *slot;

    if (!fill_init(l, &f)) {
        fill_fini(l, &f);
        return pass(l->cache, l->reader, writer);
    }
    zq_lock_take(&l->shard->lock);
    int verdict = zq_look_up(l, &slot);
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
 * there is no room, or somebody else does by now. One that was made for nobody in particular is
 * asked for so again: what answers this client's credentials could often not be stored. */
static void refresh(struct zq_lookup *l, struct zq_writer *writer)
{
    const struct zq_entry *hit = l->reader->entry;
    struct fill f;

    l->anonymous = !(hit->traits & ZQ_REQUEST_CREDENTIALS);
    if (fill_init(l, &f) && zq_entry_keep_request(f.entry, l->request->fields, l->anonymous)) {
        zq_lock_take(&l->shard->lock);
        struct zq_slot *slot = zq_slot_find(l->shard, l->key, l->hash);
        l->refresh = false;
        l->stale = slot != NULL ? zq_look_up_variant(l, slot) : NULL;
        l->refresh = l->refresh && l->stale == hit;
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

static int decide(struct zq_lookup *l, struct zq_writer *writer)
{
    struct zq_slot *slot;

    l->hash = zq_hash(l->key.p, l->key.n);
    l->shard = zq_store_shard(l->cache, l->hash);
    l->may_join = may_join(l);
    zq_list_init(&l->dropped);
    zq_lock_take(&l->shard->lock);
    int verdict = zq_look_up(l, &slot);
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
    struct zq_lookup l = {
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
    zq_adoption_count_invalidation(cache, zq_hash(whole.p, whole.n));
    zq_purge_key(cache, whole);
    if (key != small)
        zq_cache_dealloc(NULL, key, bound);
}
