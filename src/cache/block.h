/* A ready-made head block (zq_http_block's): a status line, then `Name: value`, each with its CRLF.
 * Pure functions. */
#ifndef ZQ_CACHE_BLOCK_H
#define ZQ_CACHE_BLOCK_H

#include "zq/base.h"

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

#endif
