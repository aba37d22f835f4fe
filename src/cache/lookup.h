/* A request on its way through the index: what is found for it, and what that is good for. */
#ifndef ZQ_CACHE_LOOKUP_H
#define ZQ_CACHE_LOOKUP_H

#include "cache/policy.h"
#include "cache/store.h"
#include "zq/cache.h"

struct zq_lookup {
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
    bool anonymous;         /* so it is fetched without the request's credentials */
    struct zq_entry *stale; /* found: what is no hit, but may be validated; the slot's */
    struct zq_entry *part;  /* found: a part that the request selects, and that is no hit */
    struct zq_node dropped;
    enum zq_cache_forward forward;
};

/* HIT, JOIN, or PASS for a miss; with the first two the reader is attached. `*slot`: the key's, or
 * NULL. Shard locked. */
enum zq_cache_verdict zq_look_up(struct zq_lookup *l, struct zq_slot **slot);
/* The newest variant that the request selects and that may answer it; or NULL, and `forward` says
 * why it is none or of no use. Shard locked. */
struct zq_entry *zq_look_up_variant(struct zq_lookup *l, struct zq_slot *slot);

#endif
