/* What a declared route's rule leaves of a request: for the cache's key, and for the application,
 * which sees nothing else (no unkeyed input reaches a view whose answer is shared). Pure.
 */
#ifndef ZQ_FRONT_KEY_RULE_H
#define ZQ_FRONT_KEY_RULE_H

#include "zq/route.h"

/* Queries of more parameters are left as they are, and so belong to the key as they are. */
#define KEY_RULE_PARAMETERS_MAX 256

/* `name=value` pairs between `&`. A name counts as it is when decoded (`+` is a space); what
 * remains keeps its bytes. With an allow-list or an ignore-list the pairs are sorted by the bytes
 * of their names, and those of one name keep their order. Borrows from `query` or comes from
 * `arena`. 0 or ZQ_ENOMEM. */
int key_rule_query(const struct zq_key_rule *rule, struct zq_slice query, struct zq_arena *arena,
                   struct zq_slice *out);
/* The same of a target: its path, and what remains of the query behind a `?` if anything does. */
int key_rule_target(const struct zq_key_rule *rule, struct zq_slice target, struct zq_arena *arena,
                    struct zq_slice *out);
/* The fields with no more of Cookie than what the rule names, in the order of its names, in one
 * line; names of fields are in lower case. The array comes from `arena` where it differs. */
int key_rule_fields(const struct zq_key_rule *rule, const struct zq_fields *fields,
                    struct zq_arena *arena, struct zq_fields *out);
/* The names of request fields that select among the responses of a key, as a list for Zq-Vary: the
 * rule's, and Cookie where cookies are named. Empty where there are none; p is NULL when out of
 * memory. */
struct zq_slice key_rule_selects(const struct zq_key_rule *rule, struct zq_arena *arena);

#endif
