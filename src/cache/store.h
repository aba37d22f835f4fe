/* The store: a hash table in shards, each with its lock. Under each key there is a slot with the
 * complete responses (variants), the fetches in flight (fills), and a mark while the last answer
 * was not storable. Memory is one heap for all shards (heap.h), and eviction one queue.
 *
 * What an index entry owns: a slot holds one reference to each of its variants and fills. A slot
 * without variants, fills and mark is freed.
 */
#ifndef ZQ_CACHE_STORE_H
#define ZQ_CACHE_STORE_H

#include "cache/bypass.h"
#include "cache/heap.h"
#include "cache/lock.h"
#include "cache/policy.h"
#include "cache/purge.h"
#include "zq/cache.h"

#include <stdatomic.h>

#define ZQ_STORE_SHARDS 32       /* a power of two */
#define ZQ_STORE_VARIANTS_MAX 16 /* of one key; the oldest goes */
#define ZQ_STORE_MARK_MS 120000  /* how long a key is remembered as not storable */
#define ZQ_STORE_OBJECT_SHARE 8  /* unless said otherwise, a response may take this part */
#define ZQ_STORE_MARKS_SHARE 16  /* all marks together may take this part */

#define ZQ_STORE_INVALIDATIONS 4096

struct zq_slot {
    struct zq_slot *next;    /* in its bucket */
    uint32_t hash;           /* its lower half */
    uint32_t checked;        /* the lower half of the number up to which purges were asked about */
    struct zq_node variants; /* newest first, by their Date */
    struct zq_node fills;    /* newest first; one goes to the front when its head is storable; those
                                that are for their reader alone are behind all others */
    struct zq_node marked;   /* in shard->marks */
    uint32_t mark_until_s;   /* rounded up; 0: no mark */
    uint16_t n_variants;
    uint16_t mark; /* while there is one, why: enum zq_policy_verdict */
    uint32_t key_n;
    char key[];
};

static inline int64_t zq_slot_marked_until_ms(const struct zq_slot *slot)
{
    return (int64_t)slot->mark_until_s * 1000;
}

struct zq_shard {
    _Alignas(64) struct zq_lock lock;
    struct zq_slot **buckets;
    size_t n_buckets;     /* a power of two, for good: nothing is ever rehashed */
    struct zq_node marks; /* oldest first, so also in the order in which they expire */
    size_t mark_bytes;    /* that the heap has for them */
    uint64_t variants, hits, joined, misses, stored, evicted, purged;
    uint64_t promoted; /* slots with variants */
    uint64_t promotions, demotions;
    uint64_t marked[ZQ_POLICY_COUNT]; /* slots with such a mark */
};

/* SIEVE's queue (evict.c). Hits do not come here. */
struct zq_queue {
    _Alignas(64) struct zq_lock lock;
    struct zq_node variants; /* of all shards, oldest first */
    struct zq_node *hand;    /* where to look next; the list's head for its start */
};

struct zq_coder;
struct zq_cache {
    unsigned magic;
    uint64_t size, object_max;
    struct zq_cache_rules rules;
    size_t mark_bytes_max; /* of one shard */
    struct zq_shard shards[ZQ_STORE_SHARDS];
    struct zq_queue queue;
    struct zq_purges purges;
    struct zq_bypass bypass;
    /* Begun so far, by the key's hash: see adopt.c. */
    atomic_uint invalidations[2][ZQ_STORE_INVALIDATIONS];
    struct zq_coder *coder; /* NULL: nothing is compressed */
    atomic_uint_least64_t compressed, compressed_bytes;
    atomic_bool off;
    _Alignas(64) struct zq_heap heap;
    atomic_uint next_marks; /* the shard that gives up a mark next */
};
#define ZQ_CACHE_MAGIC 0x5a514341u

static inline struct zq_shard *zq_store_shard(struct zq_cache *cache, uint64_t hash)
{
    return &cache->shards[(hash >> 32) % ZQ_STORE_SHARDS];
}

/* ---- memory (evict.c) ---- */

/* `bytes` in the heap, evicting what it takes; NULL when that is not enough (what readers hold
 * cannot be evicted) or too much. No lock may be held. Release: zq_store_free. */
void *zq_store_alloc(struct zq_cache *cache, size_t bytes);
/* The same for what may be in several pieces: a good part of it, and `*bytes` says how much. */
void *zq_store_alloc_some(struct zq_cache *cache, size_t *bytes);
/* The same without evicting; any lock may be held. */
void *zq_store_try_alloc(struct zq_cache *cache, size_t bytes);
/* Also for what lies outside (zq_cache_alloc); `cache` NULL: it does. Any lock may be held. */
void zq_store_free(struct zq_cache *cache, void *p, size_t bytes);

/* Variants come and go with their shard locked; both lock the queue. */
void zq_queue_add(struct zq_cache *cache, struct zq_entry *entry);
void zq_queue_remove(struct zq_cache *cache, struct zq_entry *entry);

/* ---- slots; all with the shard locked ---- */

static inline size_t zq_slot_bytes(size_t key_n)
{
    size_t bytes = offsetof(struct zq_slot, key) + key_n;

    return bytes > sizeof(struct zq_slot) ? bytes : sizeof(struct zq_slot);
}
/* Not locked; NULL when there is no room. Release, unless it is inserted: zq_store_free. */
struct zq_slot *zq_slot_new(struct zq_cache *cache, struct zq_slice key, uint64_t hash);
struct zq_slot *zq_slot_find(struct zq_shard *shard, struct zq_slice key, uint64_t hash);
/* Puts a new slot in its bucket. */
void zq_slot_insert(struct zq_shard *shard, struct zq_slot *slot);
/* Frees the slot if it says nothing any more; false then. */
bool zq_slot_tidy(struct zq_cache *cache, struct zq_shard *shard, struct zq_slot *slot);
/* Remembers that the last answer was not storable, and why; and forgets marks that expired or are
 * too many. The slot may be gone afterwards. */
void zq_slot_mark(struct zq_cache *cache, struct zq_shard *shard, struct zq_slot *slot,
                  enum zq_policy_verdict why, int64_t now_ms);
void zq_slot_unmark(struct zq_shard *shard, struct zq_slot *slot);

/* ---- entries in slots ---- */

/* Moves an entry out of its slot to `dropped`, with the slot's reference. Shard locked. */
void zq_slot_drop(struct zq_entry *entry, bool is_variant, struct zq_node *dropped);
/* Takes all variants and fills of a slot off the index, which then may be gone, and moves them to
 * `dropped` with their references. Shard locked. */
void zq_slot_clear(struct zq_cache *cache, struct zq_shard *shard, struct zq_slot *slot,
                   struct zq_node *dropped);
/* Gives the references of what was dropped. No lock may be held. */
void zq_store_unref_all(struct zq_node *dropped);

/* Is something fetched that others may wait for? Shard locked. */
bool zq_slot_is_fetched(const struct zq_slot *slot);
/* Links a fill; the slot takes a reference. Shard locked. */
void zq_store_add_fill(struct zq_slot *slot, struct zq_entry *entry);
/* A fill's head proved storable: it has these tags (taken over) and may be joined from now on, and
 * the key's mark goes. False, and the tags stay the caller's, when it is not in the index any more,
 * or was purged since it began, by these tags or by those of the stored response that it is made of
 * or replaces. Locks the shard. */
bool zq_store_confirm_fill(struct zq_entry *entry, struct zq_tags *tags);
/* Takes a fill off the index, if it is still there, and remembers why, if that is not STORABLE.
 * Locks the shard. */
void zq_store_drop_fill(struct zq_entry *entry, enum zq_policy_verdict why, int64_t now_ms);
/* Takes a fill that has no reader, and will not be stored, off the index, so that none can join it.
 * True if it is off and idle. Locks the shard and the entry. */
bool zq_store_drop_idle_fill(struct zq_entry *entry);
/* Takes a variant off the index, if it is still there: for want of room, or as it is not right any
 * more. Locks the shard. */
void zq_store_drop_variant(struct zq_entry *entry);
void zq_store_invalidate_variant(struct zq_entry *entry);
/* A fill is complete: freezes it, and makes it a variant in place of those that the same requests
 * select, unless it was taken off the index; or not it but `instead`, where that is not NULL. A
 * part takes no whole response's place. Locks the shard and the entry. */
void zq_store_complete(struct zq_entry *entry, struct zq_entry *instead);
/* The newest part that is stored for the same requests as a fill; with a reference, or NULL. Locks
 * the shard. */
struct zq_entry *zq_store_find_part(const struct zq_entry *fill);

#endif
