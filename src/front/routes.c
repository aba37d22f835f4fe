#include "front/routes.h"

#include "front/fetch.h"
#include "front/key_rule.h"
#include "front/link.h"
#include "front/serve.h"
#include "front/static.h"
#include "zq/log.h"

#include <stdlib.h>

/* Responses in a row that may be not storable before it is worth a word. */
#define REFUSALS_TOLERATED 5

/* ---- tables ---- */

static void table_unref(struct route_table *table)
{
    if (table == NULL || atomic_fetch_sub(&table->references, 1) != 1)
        return;
    for (struct route *r = table->first; r != NULL; r = r->next)
        static_free(r->held);
    for (size_t i = 0; i < FRONT_THREADS_MAX; i++)
        free(table->views[i]);
    zq_route_tree_free(table->tree);
    zq_arena_fini(&table->arena);
    free(table);
}

static struct route_table *table_new(uint32_t generation)
{
    struct route_table *table = calloc(1, sizeof(*table));

    if (table == NULL)
        return NULL;
    table->references = 1;
    table->generation = generation;
    table->tree = zq_route_tree_new();
    if (table->tree != NULL)
        return table;
    table_unref(table);
    return NULL;
}

static bool make_views(struct route_table *table, unsigned n_threads)
{
    for (unsigned i = 0; i < n_threads; i++) {
        struct routes_view *view =
            calloc(1, sizeof(*view) + (table->n + 1) * sizeof(view->counts[0]));
        if (view == NULL)
            return false;
        *view = (struct routes_view){.table = table, .uses = 1};
        table->views[i] = view;
    }
    return true;
}

/* All but the body, which a static response has for itself. */
static struct route *copy_route(struct route_table *table, struct zq_slice payload, size_t body)
{
    struct route *route = zq_arena_alloc(&table->arena, sizeof(*route));
    struct zq_slice head = zq_arena_copy(&table->arena, zq_slice(payload.p, payload.n - body));

    if (route == NULL || head.p == NULL)
        return NULL;
    *route = (struct route){.index = ++table->n};
    if (zq_wire_decode_route(head, &table->arena, &route->declared) < 0)
        return NULL;
    route->selects = key_rule_selects(&route->declared.rule, &table->arena);
    return route->selects.p != NULL ? route : NULL;
}

static int table_add(struct route_table *table, const struct zq_config *config,
                     struct zq_slice payload, const struct zq_route *declared)
{
    struct route *route = copy_route(table, payload, declared->body.n);
    void *conflict;
    int error = ZQ_ENOMEM;

    if (route != NULL)
        error = zq_route_tree_add(table->tree, route->declared.path, route->declared.methods, route,
                                  &conflict);
    if (error == 0 && declared->kind == ZQ_ROUTE_STATIC)
        error = static_make(config, &route->declared, declared->body, &route->held);
    if (error < 0)
        return error == ZQ_EINVAL ? ZQ_EPROTO : error;
    if (table->last != NULL)
        table->last->next = route;
    else
        table->first = route;
    table->last = route;
    table->bytes += payload.n;
    return 0;
}

/* ---- views ---- */

struct routes_view *routes_use(struct front_thread *thread)
{
    if (thread->routes != NULL)
        thread->routes->uses++;
    return thread->routes;
}

void routes_unuse(struct routes_view *view)
{
    if (view != NULL && --view->uses == 0)
        table_unref(view->table);
}

struct route *routes_match(const struct routes_view *view, struct zq_slice path,
                           struct zq_slice method)
{
    struct zq_route_match match;

    return view != NULL && zq_route_tree_match(view->table->tree, path, method, &match) ? match.user
                                                                                        : NULL;
}

bool routes_are_known(const struct front_thread *thread, uint32_t generation)
{
    return thread->routes != NULL && thread->routes->table->generation >= generation;
}

/* On each thread: the table holds from here on. The reference is its view's. */
static void adopt(struct front_thread *thread, void *argument)
{
    const struct route_table *table = argument;

    routes_unuse(thread->routes);
    thread->routes = table->views[thread->index];
    fetch_waiting(thread);
    serve_undecided(thread);
}

/* ---- targets that are named ---- */

int routes_key_target(const struct routes_view *view, struct zq_slice target,
                      struct zq_arena *arena, struct zq_slice *out)
{
    const char *mark = target.n > 0 ? memchr(target.p, '?', target.n) : NULL;
    size_t n = mark != NULL ? (size_t)(mark - target.p) : target.n;
    const struct route *route = routes_match(view, zq_slice(target.p, n), ZQ_SLICE("GET"));

    *out = target;
    return route_has_rule(route, ZQ_SLICE("GET"))
               ? key_rule_target(&route->declared.rule, target, arena, out)
               : 0;
}

/* Where the target begins: behind `scheme://host`. */
static size_t target_of(struct zq_slice url)
{
    const char *colon = memmem(url.p, url.n, "://", 3);
    size_t at = colon != NULL && url.p[0] != '/' ? (size_t)(colon - url.p) + 3 : 0;

    while (at < url.n && url.p[at] != '/' && url.p[at] != '?')
        at++;
    return at;
}

int routes_key_url(const struct routes_view *view, struct zq_slice url, struct zq_arena *arena,
                   struct zq_slice *out)
{
    size_t n = url.n > 0 ? target_of(url) : 0;
    struct zq_slice target;

    *out = url;
    int error = routes_key_target(view, zq_slice(url.p + n, url.n - n), arena, &target);
    if (error < 0 || url.n == 0 || target.p == url.p + n)
        return error;
    char *to = zq_arena_alloc(arena, n + target.n + 1);
    if (to == NULL)
        return ZQ_ENOMEM;
    *out = zq_slice(to, (size_t)(zq_put(zq_put(to, zq_slice(url.p, n)), target) - to));
    return 0;
}

/* ---- what becomes of responses ---- */

/* Read first, as it is mostly the same: the line is the other threads' as well. */
static void note_reason(struct route_choice choice, const char *refusal)
{
    _Atomic(const char *) *reason =
        choice.route != NULL ? &choice.route->reason : &choice.view->table->undeclared;

    if (atomic_load_explicit(reason, memory_order_relaxed) != refusal)
        atomic_store_explicit(reason, refusal, memory_order_relaxed);
}

/* Errors and redirections of a view, or of what stands in front of it, are seldom meant to be
 * stored: only what a view answers when all is well counts. */
static void note_refusal(struct route *route, unsigned status, const char *refusal)
{
    if (!route_is_cached(route) || status < 200 || status > 299 ||
        atomic_fetch_add_explicit(&route->refused, 1, memory_order_relaxed) + 1 <
            REFUSALS_TOLERATED ||
        atomic_exchange(&route->warned, true))
        return;
    zq_log(ZQ_LOG_WARNING,
           "%.*s (%.*s) is declared to be cached, but keeps answering what cannot "
           "be stored: %s",
           (int)route->declared.path.n, route->declared.path.p, (int)route->declared.why.n,
           route->declared.why.p, refusal);
}

void routes_settled(struct front_thread *thread, struct route_choice choice, unsigned status,
                    bool stored, const char *refusal)
{
    struct route_counts *counts = routes_counts(choice.view, choice.route);

    if (stored) {
        if (route_is_cached(choice.route))
            atomic_store_explicit(&choice.route->refused, 0, memory_order_relaxed);
        ROUTES_COUNT(counts, stored);
    } else if (refusal != NULL) {
        ROUTES_COUNT(counts, unstored);
        note_reason(choice, refusal);
        note_refusal(choice.route, status, refusal);
    }
}

/* ---- which table holds; thread 0 ---- */

static void publish(struct front *front, struct route_table *table)
{
    zq_log(ZQ_LOG_DEBUG, "%zu routes are declared", table->n);
    atomic_fetch_add(&table->references, front->n_threads);
    front_call_all(front, adopt, table);
    front->routes_generation = table->generation;
    front->has_routes = true;
    table_unref(table);
}

void routes_turn(struct front *front)
{
    struct route_table *next = front->next_routes;

    if (next == NULL || next->generation != atomic_load(&front->generation))
        return;
    front->next_routes = NULL;
    publish(front, next);
}

/* Has a table of that generation, or of a later one, come already? */
static bool is_had(const struct front *front, uint32_t generation)
{
    return (front->has_routes && front->routes_generation >= generation) ||
           (front->next_routes != NULL && front->next_routes->generation >= generation);
}

static int complete(struct link *link)
{
    struct front *front = link->thread->front;
    struct route_table *table = link->declaring.table;

    link->declaring.table = NULL;
    if (table == NULL || is_had(front, table->generation)) {
        table_unref(table);
        return 0;
    }
    if (!make_views(table, front->n_threads)) {
        table_unref(table);
        return ZQ_ENOMEM;
    }
    table_unref(front->next_routes);
    front->next_routes = table;
    routes_turn(front);
    return 0;
}

/* ---- frames ---- */

static int on_route(struct link *link, struct zq_slice payload)
{
    struct routes_declaring *d = &link->declaring;
    struct front_thread *thread = link->thread;
    struct zq_route declared;

    if (++d->n > ZQ_WIRE_ROUTES_MAX || (d->bytes += payload.n) > ZQ_WIRE_ROUTES_BYTES_MAX)
        return ZQ_EPROTO;
    zq_arena_reset(&thread->scratch);
    int error = zq_wire_decode_route(payload, &thread->scratch, &declared);
    if (error < 0)
        return error;
    if (d->n == 1 && thread->index == 0 && !is_had(thread->front, link->worker->generation) &&
        (d->table = table_new(link->worker->generation)) == NULL)
        return ZQ_ENOMEM;
    return d->table != NULL ? table_add(d->table, thread->front->config, payload, &declared) : 0;
}

static int on_routes(struct link *link, const struct zq_wire_frame *frame)
{
    struct routes_declaring *d = &link->declaring;
    struct front_thread *thread = link->thread;
    uint32_t n;

    if (zq_wire_decode_number(frame, &n) < 0 || n != d->n)
        return ZQ_EPROTO;
    d->done = true;
    if (n == 0 && thread->index == 0 && (d->table = table_new(link->worker->generation)) == NULL)
        return ZQ_ENOMEM;
    return complete(link);
}

int routes_frame(struct link *link, const struct zq_wire_frame *frame)
{
    if (link->declaring.done)
        return ZQ_EPROTO;
    return frame->type == ZQ_WIRE_ROUTE ? on_route(link, frame->payload) : on_routes(link, frame);
}

void routes_declaring_fini(struct routes_declaring *declaring)
{
    table_unref(declaring->table);
    declaring->table = NULL;
}

/* ---- the end ---- */

void routes_thread_fini(struct front_thread *thread)
{
    routes_unuse(thread->routes);
    thread->routes = NULL;
}

void routes_fini(struct front *front)
{
    table_unref(front->next_routes);
    front->next_routes = NULL;
}
