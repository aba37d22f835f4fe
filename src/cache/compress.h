/* Compressing content by zlib, brotli and zstd. */
#ifndef ZQ_CACHE_COMPRESS_H
#define ZQ_CACHE_COMPRESS_H

#include "cache/entry.h"

/* Compresses the `length` bytes of a list of segments to at most `max` bytes at `out`. 0 and `*n`;
 * ZQ_ELIMIT when they do not fit, ZQ_ENOMEM, ZQ_ECLOSED once `*stop` is set, which is looked at
 * every few milliseconds. What the library needs for itself comes on top: at most some 25 MiB, less
 * for less content. */
int zq_compress(enum zq_coding coding, const struct zq_segment *first, uint64_t length, char *out,
                size_t max, size_t *n, const atomic_bool *stop);

#endif
