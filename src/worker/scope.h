/* Private to src/worker: the scope, a new dict for each request. */
#ifndef ZQ_WORKER_SCOPE_H
#define ZQ_WORKER_SCOPE_H

#include "worker/bridge.h"

#include "zq/wire.h"

/* What the requests of one link have in common, reused while it stays the same. */
struct zq_scope_cache {
    PyObject *client_host; /* str */
    PyObject *server;      /* tuple (str, int or None) */
};

void zq_scope_cache_fini(struct zq_scope_cache *cache);

/* All new references, or NULL with an exception. */

/* The keys that are the same for every request, to be copied. */
PyObject *zq_scope_template(const struct zq_module *m, PyObject *root_path);
PyObject *zq_asgi_template(const struct zq_module *m);
PyObject *zq_extensions_template(void);

/* root_path and the decoded path; what is not UTF-8 becomes U+FFFD. */
PyObject *zq_scope_path(const struct zq_bridge *b, struct zq_slice path);
/* A list of (name, value) pairs of bytes. */
PyObject *zq_scope_headers(const struct zq_module *m, const struct zq_fields *fields);
PyObject *zq_scope_new(const struct zq_bridge *b, struct zq_scope_cache *cache,
                       const struct zq_wire_request *wire, PyObject *method, PyObject *path);

#endif
