/* A 304 and the stored response that it is about (RFC 9111 4.3.4). */
#ifndef ZQ_CACHE_VALIDATE_H
#define ZQ_CACHE_VALIDATE_H

#include "cache/part.h"
#include "zq/cache.h"

struct zq_entry;

/* Has it a validator to ask by? */
bool zq_can_be_validated(const struct zq_entry *stored);

/* Does the 304 confirm that response, and no other: are its validators, where it has some, the
 * same? */
bool zq_validates(const struct zq_cache_response *not_modified, const struct zq_entry *stored);

/* Does a 200 to HEAD say nothing else of the stored response than that does itself (RFC 9111
 * 4.3.5)? */
bool zq_head_confirms(const struct zq_cache_response *head, const struct zq_entry *stored);

/* Fields out of their lines, which they borrow. 0 or ZQ_ENOMEM. Release: free(out->v). */
int zq_fields_of_lines(struct zq_fields *out, struct zq_slice lines);

/* The stored response with the fields of a newer one in place of its own (RFC 9111 3.2): what a new
 * entry is made of. `response` borrows from the rest. */
struct zq_merged {
    struct zq_cache_response response;
    struct zq_fields fields;
    struct zq_buf block, hidden;
};
/* `whole`: they are parts, and make up that; NULL: the newer has no content. 0 or ZQ_ENOMEM.
 * Release: zq_merged_fini, also after an error. */
int zq_merged_init(struct zq_merged *m, const struct zq_cache_response *newer,
                   const struct zq_entry *stored, const struct zq_part *whole);
void zq_merged_fini(struct zq_merged *m);

#endif
