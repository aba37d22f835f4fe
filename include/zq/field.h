/* room: base
 *
 * A header field as every room hands it on: name and value are borrowed slices. In requests the
 * name is lower case already; in responses it is as the application wrote it.
 */
#ifndef ZQ_FIELD_H
#define ZQ_FIELD_H

#include "zq/base.h"

struct zq_field {
    struct zq_slice name, value;
};

struct zq_fields {
    struct zq_field *v;
    size_t n;
};

/* The first field of that name (ASCII case-insensitive), or NULL. `after` continues behind an
 * earlier result; NULL starts. */
const struct zq_field *zq_fields_find(const struct zq_fields *fields, struct zq_slice name,
                                      const struct zq_field *after);

#endif
