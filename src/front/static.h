/* Static routes: responses that were made when a worker started, and are replayed without one. */
#ifndef ZQ_FRONT_STATIC_H
#define ZQ_FRONT_STATIC_H

#include "zq/cache.h"
#include "zq/config.h"
#include "zq/route.h"

/* The response of a declared route, ready to be read: with an ETag that is made of the body where a
 * 200 has none, and without Date, which is when it is sent. 0, ZQ_ENOMEM, or ZQ_EINVAL for fields
 * that no response may have. Release: static_free. */
int static_make(const struct zq_config *config, const struct zq_route *route, struct zq_slice body,
                struct zq_entry **out);
void static_free(struct zq_entry *held); /* NULL is fine; exchanges that read it go on */

/* Appends the Date field that a replay has, unless the configuration is without. 0 or ZQ_ENOMEM. */
int static_date(struct zq_buf *block, const struct zq_config *config, time_t now);

#endif
