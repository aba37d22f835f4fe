/* The fields that are for this cache and not for clients: tags, Zq-Cache-Control and Zq-Vary. */
#ifndef ZQ_FRONT_TAGS_H
#define ZQ_FRONT_TAGS_H

#include "zq/field.h"

/* `fields` without Zq-Cache-Control, Zq-Vary and, unless `show_tags`, Cache-Tag and Surrogate-Key;
 * the array comes from `arena` where there were any. 0 or ZQ_ENOMEM. */
int tags_strip(const struct zq_fields *fields, bool show_tags, struct zq_arena *arena,
               struct zq_fields *out);

#endif
