/* The little JSON that the admin API reads and writes (RFC 8259). */
#ifndef ZQ_FRONT_JSON_H
#define ZQ_FRONT_JSON_H

#include "zq/base.h"

/* One member of an object: a string, a list of strings, or a truth value. */
enum json_kind { JSON_BOOL, JSON_STRINGS };
struct json_member {
    struct zq_slice name;
    enum json_kind kind;
    bool truth, is_list;
    struct zq_slice *strings;
    size_t n;
};

/* Reads an object of such members, each of at most `max` strings; memory comes from the arena.
 * NULL, or what is wrong: `is no JSON object`. */
const char *json_read(struct zq_slice text, struct zq_arena *arena, struct json_member *members,
                      size_t max_members, size_t max, size_t *n);

/* Appends a string with its quotes; bytes beyond ASCII are taken for Latin-1. 0 or ZQ_ENOMEM. */
int json_put(struct zq_buf *out, struct zq_slice s);

#endif
