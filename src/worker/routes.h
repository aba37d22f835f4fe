/* Private to src/worker: the routes that the application declares: frames for every link, and the
 * tree by which direct calls are found.
 */
#ifndef ZQ_WORKER_ROUTES_H
#define ZQ_WORKER_ROUTES_H

#include "worker/module.h"

#include "zq/route.h"

/* One declaration; all members owned. */
struct zq_declared {
    enum zq_route_kind kind;
    PyObject *path, *methods, *why; /* bytes */
    PyObject *payload;              /* DIRECT: the callable; else NULL */
    PyObject *names;                /* tuple of str: its parameters */
};

/* Zero-initialised declares nothing. */
struct zq_routes {
    struct zq_route_tree *tree;
    struct zq_declared *v; /* never moved: the tree refers to it */
    size_t n;
    PyObject *frames; /* bytes: what a link sends first; NULL: nothing was declared */
};

/* bridge.declare(): takes a list of (kind, path, methods, query, ignore_query, cookies, headers,
 * why, payload). 0, or -1 with an exception that names the route, and nothing declared. */
int zq_routes_declare(struct zq_routes *routes, PyObject *list);
void zq_routes_fini(struct zq_routes *routes);
int zq_routes_traverse(const struct zq_routes *routes, visitproc visit, void *arg);

/* The function that is called for a request without the application, or NULL. */
const struct zq_declared *zq_routes_find(const struct zq_routes *routes, struct zq_slice path,
                                         struct zq_slice method, struct zq_route_match *match);

#endif
