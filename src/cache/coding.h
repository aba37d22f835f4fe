/* Content codings (RFC 9110 8.4): which response may be coded, which coding a request wants, and
 * the head of a coded response. Pure functions. */
#ifndef ZQ_CACHE_CODING_H
#define ZQ_CACHE_CODING_H

#include "zq/base.h"
#include "zq/cache.h"
#include "zq/field.h"

/* The line that all representations of a response get which may be coded. */
#define ZQ_CODING_VARY "Vary: Accept-Encoding\r\n"

/* Is a representation with these fields worth a coding? It has none yet, is of a type that shrinks,
 * and does not forbid it (no-transform, RFC 9111 5.2.2.6). */
bool zq_coding_suits(const struct zq_fields *response);
/* The same of a whole one: may it be sent in a coding? */
bool zq_coding_permitted(const struct zq_fields *response);
/* Does Vary name Accept-Encoding already? */
bool zq_coding_is_varied(const struct zq_fields *response);

/* What Accept-Encoding says (RFC 9110 12.5.3): qualities in thousandths. */
struct zq_accepted {
    unsigned codings[ZQ_CODING_COUNT]; /* 0: not acceptable */
    unsigned identity;                 /* what a coding has to reach; 0: it is not acceptable */
};
struct zq_accepted zq_coding_accepted(const struct zq_fields *request);

/* The codings of `rules` that are better than none to that request, the best first; where it makes
 * no difference to the client, in the order of the rules. How many. */
size_t zq_coding_rank(const struct zq_accepted *accepted, const struct zq_coding_rules *rules,
                      enum zq_coding out[ZQ_CODING_COUNT]);

/* The head block of a response in that coding, made of its block without one: Content-Encoding is
 * added, what was said of the bytes goes (digests, Accept-Ranges), and the entity tag becomes a
 * weak one (RFC 9110 8.8.3.3). Where there is none, one is made of Last-Modified, as that date now
 * stands for several representations, and is too weak for If-Range (8.8.1, 13.1.5). Writes at most
 * zq_coding_block_bound bytes; how many. */
size_t zq_coding_block_bound(struct zq_slice block);
size_t zq_coding_block(char *to, struct zq_slice block, enum zq_coding coding);

#endif
