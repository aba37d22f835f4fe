/* A ready-made head block (zq_http_block's): a status line, then `Name: value`, each with its CRLF.
 * Pure functions. */
#ifndef ZQ_CACHE_BLOCK_H
#define ZQ_CACHE_BLOCK_H

#include "zq/base.h"
#include "zq/field.h"

struct zq_block_line {
    struct zq_slice whole; /* with its CRLF */
    struct zq_slice name, value;
};

/* What follows the status line. */
struct zq_slice zq_block_lines(struct zq_slice block);
/* Takes the next field line off `*lines`; false at the end. */
bool zq_block_next(struct zq_slice *lines, struct zq_block_line *line);
/* The value of the first field of that name; false when there is none. */
bool zq_block_find(struct zq_slice block, struct zq_slice name, struct zq_slice *value);

/* Copies a block to `to`, the lines last that are not stored (RFC 9111 3.1, 5.1): Age, which is
 * made anew for every answer, the fields of a proxy, and what the response's Cache-Control names.
 * Returns their bytes. */
size_t zq_block_part(char *to, struct zq_slice block, const struct zq_fields *response);

/* Writes lines for the fields that clients do not see but the cache has to know again when the
 * response is validated: Zq-Cache-Control and tags. Returns their bytes; `to` may be NULL. */
size_t zq_block_hidden(char *to, const struct zq_fields *response);

#endif
