/* The routes that the workers declare, as the front knows them: one table for all I/O threads.
 *
 * Workers say what they declare in the first frames of each link. Thread 0 makes the table of what
 * comes on its links, from the first worker of each generation; the others of that generation add
 * nothing, and the other threads' links are only checked. The table holds from the turn to its
 * generation on: a reload replaces it, static responses included.
 *
 * A table is immutable, but for its counters, of which each thread has its own. It is shared rather
 * than one a thread for the sake of the static responses' memory; a thread refers to it by a view,
 * whose uses only that thread counts, so that a request writes nothing that other threads read.
 */
#ifndef ZQ_FRONT_ROUTES_H
#define ZQ_FRONT_ROUTES_H

#include "front/front.h"
#include "zq/route.h"
#include "zq/wire.h"

struct link;
struct zq_entry;

/* Since the table holds. */
#define ROUTE_COUNTS(X)                                                                            \
    X(requests)                                                                                    \
    X(hits)   /* answered from the cache, or by the static response */                             \
    X(joined) /* answered by the call of another request */                                        \
    X(calls)                                                                                       \
    X(stored)                                                                                      \
    X(unstored) /* responses to GET that were not storable */

struct route_counts {
#define X(name) atomic_ullong name;
    ROUTE_COUNTS(X)
#undef X
};

struct route {
    struct route *next;
    struct zq_route declared;
    struct zq_entry *held;        /* STATIC: the response */
    struct zq_slice selects;      /* CACHED: for Zq-Vary; may be empty */
    size_t index;                 /* from 1; 0 are requests that no route was declared for */
    _Atomic(const char *) reason; /* why the last that was not storable was not; NULL: none */
    atomic_uint refused;          /* responses in a row, on all threads, that were not storable */
    atomic_bool warned;           /* that it keeps answering what cannot be stored */
};

struct route_table {
    atomic_uint references;
    uint32_t generation;
    struct zq_arena arena;
    struct zq_route_tree *tree;
    struct route *first, *last;
    size_t n;
    size_t bytes;                                 /* of the declarations, and of static bodies */
    struct routes_view *views[FRONT_THREADS_MAX]; /* of each thread, when it is complete */
    _Atomic(const char *) undeclared;             /* the reason of requests that have no route */
};

/* A thread's reference to the table that holds, and of exchanges that still use an older one. Goes
 * with the table. */
struct routes_view {
    struct route_table *table;
    unsigned uses;
    struct route_counts counts[]; /* n + 1 */
};

/* Which route a request has; passed by value, and used as long as its view is. */
struct route_choice {
    struct routes_view *view;
    struct route *route; /* NULL: none that was declared */
};

/* Of one link, while its worker declares. Zero-initialised; release: routes_declaring_fini. */
struct routes_declaring {
    struct route_table *table; /* NULL: the routes are only checked */
    size_t n, bytes;
    bool done;
};

/* A ROUTE or ROUTES frame. 0, ZQ_EPROTO or ZQ_ENOMEM. */
int routes_frame(struct link *link, const struct zq_wire_frame *frame);
void routes_declaring_fini(struct routes_declaring *declaring);

/* Thread 0: the front has turned to another generation. */
void routes_turn(struct front *front);
/* May requests go to workers of this generation: are its routes known here? */
bool routes_are_known(const struct front_thread *thread, uint32_t generation);
void routes_thread_fini(struct front_thread *thread);
void routes_fini(struct front *front);

/* The view that holds now, with one use more; NULL before any worker has declared. */
struct routes_view *routes_use(struct front_thread *thread);
void routes_unuse(struct routes_view *view); /* NULL is fine */
static inline bool route_is_cached(const struct route *route)
{
    return route != NULL && route->declared.kind == ZQ_ROUTE_CACHED;
}
/* Does its key rule hold for this method? A direct route may have one as well, for GET and HEAD. */
static inline bool route_has_rule(const struct route *route, struct zq_slice method)
{
    if (route == NULL || route->declared.kind != ZQ_ROUTE_DIRECT)
        return route_is_cached(route);
    const struct zq_key_rule *rule = &route->declared.rule;
    return (zq_slice_eq(method, ZQ_SLICE("GET")) || zq_slice_eq(method, ZQ_SLICE("HEAD"))) &&
           (rule->has_query || rule->has_cookies || rule->ignore_query.n > 0 ||
            rule->headers.n > 0);
}
/* The best route, or NULL. */
struct route *routes_match(const struct routes_view *view, struct zq_slice path,
                           struct zq_slice method);
/* The thread's counters of a route; NULL is none that was declared. */
static inline struct route_counts *routes_counts(struct routes_view *view,
                                                 const struct route *route)
{
    return &view->counts[route != NULL ? route->index : 0];
}
/* What a target that is named from outside, or by an unsafe request, is in the cache's key: the
 * rule of the route that a GET of it has is applied. `target` itself, or from `arena`. 0 or
 * ZQ_ENOMEM. */
int routes_key_target(const struct routes_view *view, struct zq_slice target,
                      struct zq_arena *arena, struct zq_slice *out);
/* The same of an absolute URL or a path. */
int routes_key_url(const struct routes_view *view, struct zq_slice url, struct zq_arena *arena,
                   struct zq_slice *out);
/* What became of a response to a GET that was the first for its key. `refusal`: why it was not
 * stored, in a word that stays; NULL: it was, or nobody had looked. A declared route that answers
 * so again and again is logged once, whichever threads its responses come to. */
void routes_settled(struct front_thread *thread, struct route_choice choice, unsigned status,
                    bool stored, const char *refusal);
/* By the view's own thread, which alone counts there: others only read, so nothing is locked. */
#define ROUTES_COUNT(counts, name)                                                                 \
    atomic_store_explicit(&(counts)->name,                                                         \
                          atomic_load_explicit(&(counts)->name, memory_order_relaxed) + 1,         \
                          memory_order_relaxed)

#endif
