/* Vary (RFC 9110 12.5.5, RFC 9111 4.1): what of a request selects among the responses of one key.
 *
 * A stored response keeps the selecting fields of the request it answered as a run of records
 * (name, value), in one block of bytes without pointers. Values are normalised where RFC 9111 4.1
 * permits it: lines of one name are joined, whitespace around the members of a list goes, and of
 * what a client would rather have (preference.h) the order. Cookie and Authorization are no lists
 * and stay as they came. Zq-Vary, which is the front's and seen by nobody else, names more such
 * fields: those of a route's key rule. Pure functions.
 */
#ifndef ZQ_CACHE_VARY_H
#define ZQ_CACHE_VARY_H

#include "zq/base.h"
#include "zq/field.h"

#define ZQ_VARY_NAMES_MAX 16 /* a response that selects on more is not stored */

/* Does the response say that it was selected by that field? */
bool zq_vary_has(const struct zq_fields *response, struct zq_slice name);

/* False when no other request can be known to match: `*` in any position, a member that is no
 * field name, or too many of them. */
bool zq_vary_selects(const struct zq_fields *response);

/* Appends the block for a response to a request; nothing when there is no Vary. 0 or ZQ_ENOMEM. */
int zq_vary_build(struct zq_buf *out, const struct zq_fields *response,
                  const struct zq_fields *request);

/* Is the request selected by a block? The empty block selects all. A response in the one language
 * that a request prefers to all others is what it asks for, whatever else it names (RFC 9110
 * 12.5.4). */
bool zq_vary_match(struct zq_slice block, const struct zq_fields *request);

/* Are two blocks of the same request, as far as they can tell? */
bool zq_vary_same(struct zq_slice a, struct zq_slice b);

/* Would two requests be the same to a block, whatever values it holds? */
bool zq_vary_alike(struct zq_slice block, const struct zq_fields *a, const struct zq_fields *b);

#endif
