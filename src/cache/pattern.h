/* What a purge by URL, prefix or glob names, made ready to be compared with keys. */
#ifndef ZQ_CACHE_PATTERN_H
#define ZQ_CACHE_PATTERN_H

#include "cache/tags.h"
#include "zq/cache.h"

struct zq_pattern {
    struct zq_node node; /* in the purges' list, newest last */
    uint64_t number;
    struct zq_purged purged; /* by it alone */
    enum zq_purge_kind kind;
    bool any_host; /* `text` is for the target alone */
    size_t n;
    char text[];
};

/* NULL when out of memory; of a purge without fault. Release: zq_pattern_free */
struct zq_pattern *zq_pattern_new(const struct zq_purge *purge);
void zq_pattern_free(struct zq_pattern *pattern);
bool zq_pattern_match(const struct zq_pattern *pattern, struct zq_slice key);

/* The parts of an absolute URL; the target is `/` where there is none. False if it is none. */
struct zq_url {
    struct zq_slice scheme, host, target;
};
bool zq_url_parse(struct zq_slice text, struct zq_url *out);
/* The parts of a key (see key.h). */
struct zq_url zq_url_of_key(struct zq_slice key);

#endif
