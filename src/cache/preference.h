/* What a client would rather have (RFC 9110 12.4.2, 12.5): Accept, Accept-Charset, Accept-Encoding
 * and Accept-Language as lists of ranges with weights. Two such lists mean the same when they give
 * the same ranges the same weights, in whatever order, case and spacing. Pure functions. */
#ifndef ZQ_CACHE_PREFERENCE_H
#define ZQ_CACHE_PREFERENCE_H

#include "zq/base.h"
#include "zq/field.h"

#define ZQ_PREFERENCES_MAX 32

struct zq_preference {
    struct zq_slice range; /* borrowed, as it was written */
    uint16_t weight;       /* 0 to 1000, which it is unless said otherwise */
    bool exact;            /* its case counts: a media range with parameters */
};

/* The heaviest first, those of one weight by their bytes. */
struct zq_preferences {
    bool present; /* some line was there, though it may be empty */
    size_t n;
    struct zq_preference v[ZQ_PREFERENCES_MAX];
};

/* Is the field one of those? The name is in lower case. */
bool zq_preference_is(struct zq_slice name);

/* All lines of a request's field, whose name is in lower case. False when there are more ranges
 * than fit. */
bool zq_preferences_read(struct zq_preferences *out, const struct zq_fields *request,
                         struct zq_slice name);
/* Do the lists mean the same? */
bool zq_preferences_equal(const struct zq_preferences *a, const struct zq_preferences *b);
/* Is this one preferred to all others? */
bool zq_preferences_favour(const struct zq_preferences *p, struct zq_slice range);

/* Writes the list so that two are equal byte by byte exactly if they mean the same: each range in
 * lower case, its weight if it is not 1000, and a line feed. Returns the bytes; `to` may be NULL.
 */
size_t zq_preferences_write(char *to, const struct zq_preferences *p);
bool zq_preferences_written_as(const struct zq_preferences *p, struct zq_slice text);

#endif
