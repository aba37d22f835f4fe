/* room: super
 *
 * The command line and the environment of `zq serve`, read once at start.
 */
#ifndef ZQ_SUPER_OPTIONS_H
#define ZQ_SUPER_OPTIONS_H

#include "zq/config.h"

#include <stdio.h>

struct zq_options {
    struct zq_config config;
    bool listens_by_default; /* --host or --port was given: listen there besides --bind and so on */
};

/* What comes behind `zq serve`. The command line wins over ZQ_*, which wins over the names that
 * other servers use (WEB_CONCURRENCY, FORWARDED_ALLOW_IPS). 0; 1 when help was asked for; or
 * ZQ_EINVAL with `error` filled. `out` is initialised in any case: zq_options_fini. */
int zq_options_parse(int argc, char **argv, struct zq_options *out, struct zq_config_error *error);
void zq_options_fini(struct zq_options *options);

void zq_options_help(FILE *out);  /* grouped, one option a paragraph */
void zq_options_table(FILE *out); /* the same as Markdown, for README.md */

#endif
