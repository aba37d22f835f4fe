/* The fields that tag a response are for the cache, not for clients. */
#ifndef ZQ_FRONT_TAGS_H
#define ZQ_FRONT_TAGS_H

#include "zq/field.h"

/* `fields` without Cache-Tag and Surrogate-Key; the array comes from `arena` where there were any.
 * 0 or ZQ_ENOMEM. */
int tags_strip(const struct zq_fields *fields, struct zq_arena *arena, struct zq_fields *out);

#endif
