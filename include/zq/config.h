/* room: base
 *
 * The configuration: what `zq serve` was told, made from include/zq/options.def. Super parses it
 * once; front and workers get it as text over the control channel and never re-read it.
 * Immutable once a process has started, so every thread may read it.
 */
#ifndef ZQ_CONFIG_H
#define ZQ_CONFIG_H

#include "zq/base.h"

struct zq_strings {
    char **v;
    size_t n;
};

/* The C type of each kind. */
#define ZQ_TYPE_STRING char *
#define ZQ_TYPE_PATH char *
#define ZQ_TYPE_CHOICE char *
#define ZQ_TYPE_LIST struct zq_strings
#define ZQ_TYPE_INT int64_t
#define ZQ_TYPE_PORT int64_t
#define ZQ_TYPE_MODE int64_t
#define ZQ_TYPE_BOOL bool
#define ZQ_TYPE_SIZE uint64_t
#define ZQ_TYPE_DURATION int64_t

struct zq_config {
    char *app; /* MODULE:APP */
#define OPTION(kind, field, name, metavar, value, help) ZQ_TYPE_##kind field;
#include "zq/options.def"
};

/* What is wrong with a value, for a person: names the option, the value, what is allowed. */
struct zq_config_error {
    char text[512];
};

/* All defaults (fd is -1 when unset). Exits with a message when out of memory. */
void zq_config_init(struct zq_config *c);
void zq_config_fini(struct zq_config *c);

/* Sets one option by its name without dashes (`timeout-response`, or `app`); `value` as a user
 * writes it. 0, or ZQ_EINVAL with `error` filled. LIST options: an assignment adds to what was
 * assigned before and replaces the default; its members are separated by commas, and `\,` and `\\`
 * stand for a comma and a backslash in one. */
int zq_config_set(struct zq_config *c, const char *name, const char *value,
                  struct zq_config_error *error);

/* The whole configuration as `name=value` lines that zq_config_load reads back to the same. */
int zq_config_dump(const struct zq_config *c, struct zq_buf *out);
int zq_config_load(struct zq_config *c, struct zq_slice text, struct zq_config_error *error);

/* `64MiB`, `5s`, `500ms`: the shortest exact form with a unit. */
void zq_format_size(uint64_t bytes, char out[32]);
void zq_format_duration(int64_t ms, char out[32]);

#endif
