/* The helper thread that compresses stored responses: one of a cache. It runs behind all others
 * (nice), holds no lock while it compresses, and its queue is bounded by number and bytes. */
#ifndef ZQ_CACHE_CODER_H
#define ZQ_CACHE_CODER_H

#include "zq/cache.h"

struct zq_coder;

void zq_coder_free(
    struct zq_coder *coder); /* ends the thread, in the middle of its work; NULL is fine */
const struct zq_coding_rules *zq_coder_rules(const struct zq_coder *coder);

/* Has a frozen entry's content compressed, unless that was asked for before. Never blocks: when
 * the queue is full, or busy, a later hit may ask again. No lock held. */
void zq_coder_ask(struct zq_coder *coder, struct zq_entry *entry, enum zq_coding coding);

#endif
