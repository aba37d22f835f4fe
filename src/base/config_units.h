/* room: base (private)
 *
 * Sizes and times as people write them.
 */
#ifndef ZQ_BASE_CONFIG_UNITS_H
#define ZQ_BASE_CONFIG_UNITS_H

#include <stdint.h>

/* `4096`, `64KiB`, `1GB`, `1.5MiB`; K, M and G alone mean KiB, MiB and GiB. 0, or ZQ_EINVAL for
 * what is no size or not a whole number of bytes. */
int zq_units_parse_size(const char *text, uint64_t *bytes);

/* `500ms`, `5s`, `2m`, `1h`, `1d`, `0.5`; a bare number is seconds. 0, or ZQ_EINVAL for what is no
 * time, not a whole number of milliseconds or longer than ten years. */
int zq_units_parse_duration(const char *text, int64_t *ms);

#endif
