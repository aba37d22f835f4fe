/* Conditional requests and ranges (RFC 9110 13, 14) against a stored response, as pure functions.
 * Unlike other lists these are not zq_list_next's: in an entity tag a backslash escapes nothing. */
#ifndef ZQ_CACHE_CONDITION_H
#define ZQ_CACHE_CONDITION_H

#include "zq/base.h"
#include "zq/field.h"

#include <time.h>

/* An entity tag (RFC 9110 8.8.3); one without quotes is taken for what it seems to mean. */
struct zq_etag {
    struct zq_slice opaque; /* without its quotes */
    bool weak, quoted;
};

/* Takes the next tag off a list; false at the end. */
bool zq_etag_next(struct zq_slice *list, struct zq_etag *tag);
bool zq_etag_weakly_equal(const struct zq_etag *a, const struct zq_etag *b);   /* 8.8.3.2 */
bool zq_etag_strongly_equal(const struct zq_etag *a, const struct zq_etag *b); /* 8.8.3.2 */

/* What of a stored response conditions are about; each may be missing. */
struct zq_validators {
    struct zq_slice etag, last_modified, date; /* p is NULL: missing */
};
struct zq_validators zq_validators_of(struct zq_slice block);

/* Do they say that two responses are of the same bytes (RFC 9110 8.8.1)? */
bool zq_validators_strongly_equal(const struct zq_validators *a, const struct zq_validators *b);
/* The strong one, to ask by; p is NULL: there is none. */
struct zq_slice zq_validators_strong(const struct zq_validators *v);

/* Is a GET or HEAD that would get this response, a 2xx, answered by 304 (RFC 9110 13.2.2)? */
bool zq_condition_not_modified(const struct zq_fields *request, const struct zq_validators *v);
/* Does If-Match, or If-Unmodified-Since where there is none, ask for another representation: 412
 * (RFC 9110 13.2.2)? */
bool zq_condition_failed(const struct zq_fields *request, const struct zq_validators *v);
/* Does If-Range, where there is one, let Range count (RFC 9110 13.1.5)? */
bool zq_condition_range_counts(const struct zq_fields *request, const struct zq_validators *v);

enum zq_range_kind {
    ZQ_RANGE_WHOLE, /* no Range, or one to ignore: invalid, of another unit, several ranges */
    ZQ_RANGE_PART,
    ZQ_RANGE_UNSATISFIABLE
};
struct zq_range {
    enum zq_range_kind kind;
    uint64_t first, last; /* PART: of `length` bytes, both inclusive */
};
/* The Range of a GET for content of `length` bytes (RFC 9110 14.1.2, 14.2). */
struct zq_range zq_range_of(const struct zq_fields *request, uint64_t length);

#endif
