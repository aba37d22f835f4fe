/* The compressed forms of a stored response, which hang off its entry, so that whatever takes the
 * response out takes them along.
 *
 * The content in a coding belongs to the entry whose content it is, and is shared by those that
 * show it since a 304; the head in a coding belongs to each entry. Both are in the store's heap,
 * immutable once they are there, and freed with their entry. The content is made by the coder's
 * thread (coder.h), the head by the first hit that needs it.
 */
#ifndef ZQ_CACHE_CODED_H
#define ZQ_CACHE_CODED_H

#include "zq/cache.h"

#include <stdatomic.h>
#include <time.h>

struct zq_entry;

struct zq_coded_body {
    size_t n;
    struct zq_segment *first;
};

struct zq_coded_head {
    uint32_t n, room; /* `room`: bytes of `data` */
    char data[];
};

/* Of an entry that may be sent in a coding; zeroed at first. */
struct zq_coded {
    atomic_uint asked; /* by bit: content that is there, is being made, or is not worth it */
    _Atomic(struct zq_coded_body *) bodies[ZQ_CODING_COUNT];
    _Atomic(struct zq_coded_head *) heads[ZQ_CODING_COUNT];
};

/* A head that came, to GET or HEAD: is its representation one that may be sent in a coding, be it
 * to another request, whose response is stored? Then Accept-Encoding selects it (RFC 9110 12.5.5).
 */
bool zq_coded_concerns(const struct zq_cache *cache, const struct zq_cache_response *response,
                       int64_t now_ms, time_t now);
/* The block with the Vary that says so, in `buf`. 0 or ZQ_ENOMEM. */
int zq_coded_add_vary(struct zq_cache_response *response, struct zq_buf *buf);

/* Frees all forms. */
void zq_coded_fini(struct zq_cache *cache, struct zq_coded *coded);

/* Keeps a copy of content in a coding. False: no room. The coder's; no lock held. */
bool zq_coded_publish(struct zq_cache *cache, struct zq_coded *coded, enum zq_coding coding,
                      struct zq_slice content);

/* How many bytes the content has in that coding; 0: it is not there. */
uint64_t zq_coded_bytes(const struct zq_entry *entry, enum zq_coding coding);

/* A hit was attached: chooses in which coding it goes out, and has what is missing made. Requests
 * for a range get one of the content without a coding; no-transform gets none either. No lock held.
 */
void zq_coded_choose(struct zq_reader *reader);

#endif
