#include "front/admin_routes.h"

#include "front/routes.h"

#include <inttypes.h>

struct listing {
    const struct front *front;
    struct admin_reply *reply;
    const struct route_table *table;
    bool plain;
};

/* ---- the counters of all threads ---- */

struct sums {
#define X(name) unsigned long long name;
    ROUTE_COUNTS(X)
#undef X
    const char *reason;
};

static struct sums sums_of(const struct listing *l, size_t index,
                           const _Atomic(const char *) *reason)
{
    struct sums sums = {.reason = atomic_load_explicit(reason, memory_order_relaxed)};

    for (unsigned i = 0; i < l->front->n_threads; i++) {
        struct route_counts *c = &l->table->views[i]->counts[index];
#define X(name) sums.name += atomic_load_explicit(&c->name, memory_order_relaxed);
        ROUTE_COUNTS(X)
#undef X
    }
    return sums;
}

static void put_sums(struct listing *l, const struct sums *sums)
{
#define X(name)                                                                                    \
    admin_put(l->reply, l->plain ? "  " #name "=%llu" : ", \"" #name "\": %llu", sums->name);
    ROUTE_COUNTS(X)
#undef X
    if (l->plain && sums->reason != NULL) {
        admin_put(l->reply, "  reason=%s", sums->reason);
    } else if (!l->plain) {
        admin_put(l->reply, ", \"reason\": ");
        if (sums->reason != NULL)
            admin_put_string(l->reply, zq_slice_str(sums->reason));
        else
            admin_put(l->reply, "null");
    }
}

/* ---- rules ---- */

static void put_list(struct listing *l, const char *name, const struct zq_slices *list, bool given)
{
    if (l->plain && !given)
        return;
    admin_put(l->reply, l->plain ? "  %s=" : given ? ", \"%s\": [" : ", \"%s\": null", name);
    for (size_t i = 0; i < list->n; i++) {
        admin_put(l->reply, i == 0 ? "" : l->plain ? "," : ", ");
        if (l->plain)
            admin_put_slice(l->reply, list->v[i]);
        else
            admin_put_string(l->reply, list->v[i]);
    }
    admin_put(l->reply, l->plain || !given ? "" : "]");
}

static void put_rule(struct listing *l, const struct zq_key_rule *rule)
{
    put_list(l, "query", &rule->query, rule->has_query);
    put_list(l, "ignore_query", &rule->ignore_query, rule->ignore_query.n > 0);
    put_list(l, "cookies", &rule->cookies, rule->has_cookies);
    put_list(l, "headers", &rule->headers, rule->headers.n > 0);
}

/* ---- routes ---- */

static void put_plain(struct listing *l, const struct zq_route *r, const struct sums *sums)
{
    admin_put_slice(l->reply, r->methods);
    admin_put(l->reply, "  ");
    admin_put_slice(l->reply, r->path);
    admin_put(l->reply, "  %s", zq_route_word(r->kind));
    put_rule(l, &r->rule);
    admin_put(l->reply, "  ");
    admin_put_slice(l->reply, r->why);
    put_sums(l, sums);
    admin_put(l->reply, "\n");
}

static void put_object(struct listing *l, const struct zq_route *r, const struct sums *sums)
{
    admin_put(l->reply, "\n {\"path\": ");
    admin_put_string(l->reply, r->path);
    admin_put(l->reply, ", \"methods\": ");
    admin_put_string(l->reply, r->methods);
    admin_put(l->reply, ", \"class\": \"%s\", \"why\": ", zq_route_word(r->kind));
    admin_put_string(l->reply, r->why);
    put_rule(l, &r->rule);
    put_sums(l, sums);
    admin_put(l->reply, "},");
}

static void put_route(struct listing *l, const struct route *route)
{
    const struct sums sums = sums_of(l, route->index, &route->reason);

    if (l->plain)
        put_plain(l, &route->declared, &sums);
    else
        put_object(l, &route->declared, &sums);
}

/* Each of its keys is promoted, so that others wait for its call, once it was stored; and demoted
 * once it was not. */
static void put_undeclared(struct listing *l)
{
    const struct sums sums = sums_of(l, 0, &l->table->undeclared);

    admin_put(l->reply,
              l->plain ? "*  (undeclared)  app"
                       : "\n {\"path\": \"(undeclared)\", \"methods\": \"*\", \"class\": \"app\"");
    put_sums(l, &sums);
    admin_put(l->reply, l->plain ? "\n" : "}");
}

void admin_on_routes(struct front *front, const struct admin_request *request,
                     struct admin_reply *reply)
{
    struct routes_view *view = routes_use(&front->threads[0]);
    struct listing l = {.front = front, .reply = reply, .plain = request->plain};

    if (view == NULL) {
        admin_fail(request, reply, 503, "the routes", "are not known before a worker is ready");
        return;
    }
    l.table = view->table;
    reply->status = 200;
    admin_put(reply, l.plain ? "" : "{\"routes\": [");
    for (const struct route *r = l.table->first; r != NULL; r = r->next)
        put_route(&l, r);
    put_undeclared(&l);
    admin_put(reply, l.plain ? "" : "]}\n");
    routes_unuse(view);
}
