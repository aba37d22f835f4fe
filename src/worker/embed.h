/* Private to src/worker: the interpreter's life. */
#ifndef ZQ_WORKER_EMBED_H
#define ZQ_WORKER_EMBED_H

#include "zq/config.h"

/* Starts CPython as the interpreter `python` (a path that exists), runs zq._worker with the
 * configuration, and ends it. With `routes`, "table" or "json", it does not serve but prints the
 * application's routes in that form (zq._table). The exit status of the process. */
int zq_embed_run(const struct zq_config *config, const char *python, const char *routes);

#endif
