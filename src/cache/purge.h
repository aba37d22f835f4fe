/* Purges: their numbers, what is remembered of each, and for how long.
 *
 *   URL, absolute   done at once: one key, its variants and fetches
 *   ALL             a number in `all`
 *   TAG             a number in the tag (tags.h), which is made if nobody carries it and fetches
 *                   run that may bring it
 *   the others      a pattern in a list, until the sweep has been at every entry
 *
 * An entry is purged by what has a number above the one that it was born with. Look-ups compare the
 * number of the last purge with the one that the slot was checked for, which is all that they do
 * until the next purge. Fetches that wait for their head are in a list, oldest first: a tag's
 * number is kept for as long as one of them is older.
 */
#ifndef ZQ_CACHE_PURGE_H
#define ZQ_CACHE_PURGE_H

#include "cache/lock.h"
#include "cache/tags.h"
#include "zq/cache.h"

#include <stdatomic.h>

#define ZQ_PATTERNS_MAX 256 /* that wait for the sweep */

struct zq_shard;
struct zq_slot;

struct zq_purges {
    atomic_uint_least64_t number;     /* of the last purge */
    atomic_uint_least64_t effective;  /* of the last that look-ups have to ask about */
    atomic_uint_least64_t of_tags;    /* of the last by tag */
    _Alignas(64) struct zq_lock lock; /* of all that follows, up to the sweep's; and see tags.h */
    struct zq_purged all;
    uint64_t forgotten; /* fetches from before it cannot know whether their tags were purged */
    struct zq_node patterns;
    size_t n_patterns;
    struct zq_node running; /* entries without a head, oldest first */
    struct zq_tag_table tags;
    /* The sweep's own. */
    bool sweeping;
    uint64_t sweep_number, swept;
    size_t shard, bucket;
};

bool zq_purges_init(struct zq_purges *purges, uint64_t cache_bytes); /* false: out of memory */
void zq_purges_fini(struct zq_cache *cache); /* all entries are gone; fine after a failed init */

enum zq_purge_effect { ZQ_PURGE_NONE, ZQ_PURGE_SOFT, ZQ_PURGE_HARD };
/* What the purges since it was born mean for an entry in a slot. Shard locked. */
enum zq_purge_effect zq_purge_effect(const struct zq_entry *entry);
/* The same for a fill that gets these tags, which it brought with its head. Shard locked. */
bool zq_purge_of_head(const struct zq_entry *entry, const struct zq_tags *tags);
/* Was any tag purged since it was born? */
bool zq_purge_of_tags_since(const struct zq_entry *entry);

/* Brings a slot up to date: what is purged goes to `dropped`. False when the slot is gone. Shard
 * locked. */
bool zq_slot_purge(struct zq_cache *cache, struct zq_shard *shard, struct zq_slot *slot,
                   struct zq_node *dropped);

/* A fetch begins; the shard is locked, as for linking it. */
void zq_purge_begin(struct zq_entry *entry);
/* Its head is there, with tags that are known by now, or will never be. No-op when told before. */
void zq_purge_headed(struct zq_entry *entry);

/* One key, at once, as a hard purge. No lock held. */
void zq_purge_key(struct zq_cache *cache, struct zq_slice key);
void zq_purge_everything(struct zq_cache *cache);

#endif
