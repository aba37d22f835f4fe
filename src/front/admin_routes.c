#include "front/admin_routes.h"

#include "front/json.h"
#include "front/routes.h"

#include <inttypes.h>

struct listing {
    const struct front *front;
    struct zq_buf *out;
    const struct route_table *table;
    bool plain, no_memory;
};

static void put(struct listing *l, struct zq_slice text)
{
    if (text.n > 0 && zq_buf_append(l->out, text.p, text.n) < 0)
        l->no_memory = true;
}

static void put_text(struct listing *l, const char *text)
{
    put(l, zq_slice_str(text));
}

static void put_string(struct listing *l, struct zq_slice text)
{
    if (json_put(l->out, text) < 0)
        l->no_memory = true;
}

/* ---- the counters of all threads ---- */

struct sums {
#define X(name) unsigned long long name;
    ROUTE_COUNTS(X)
#undef X
    const char *reason;
};

static struct sums sums_of(const struct listing *l, size_t index)
{
    struct sums sums = {0};

    for (unsigned i = 0; i < l->front->n_threads; i++) {
        struct route_counts *c = &l->table->counts[i][index];
#define X(name) sums.name += atomic_load_explicit(&c->name, memory_order_relaxed);
        ROUTE_COUNTS(X)
#undef X
        const char *reason = atomic_load_explicit(&c->reason, memory_order_relaxed);
        sums.reason = reason != NULL ? reason : sums.reason;
    }
    return sums;
}

static void put_sums(struct listing *l, const struct sums *sums)
{
    int error = 0;
#define X(name)                                                                                    \
    if (error == 0)                                                                                \
        error = zq_buf_printf(l->out, l->plain ? "  " #name "=%llu" : ", \"" #name "\": %llu",     \
                              sums->name);
    ROUTE_COUNTS(X)
#undef X
    l->no_memory |= error < 0;
    if (l->plain && sums->reason != NULL) {
        put_text(l, "  reason=");
        put_text(l, sums->reason);
    } else if (!l->plain) {
        put_text(l, ", \"reason\": ");
        if (sums->reason != NULL)
            put_string(l, zq_slice_str(sums->reason));
        else
            put_text(l, "null");
    }
}

/* ---- rules ---- */

static void put_list(struct listing *l, const char *name, const struct zq_slices *list, bool given)
{
    if (l->plain && !given)
        return;
    put_text(l, l->plain ? "  " : ", \"");
    put_text(l, name);
    put_text(l, l->plain ? "=" : given ? "\": [" : "\": null");
    for (size_t i = 0; i < list->n; i++) {
        put_text(l, i == 0 ? "" : l->plain ? "," : ", ");
        if (l->plain)
            put(l, list->v[i]);
        else
            put_string(l, list->v[i]);
    }
    put_text(l, l->plain || !given ? "" : "]");
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
    put(l, r->methods);
    put_text(l, "  ");
    put(l, r->path);
    put_text(l, "  ");
    put_text(l, zq_route_word(r->kind));
    put_rule(l, &r->rule);
    put_text(l, "  ");
    put(l, r->why);
    put_sums(l, sums);
    put_text(l, "\n");
}

static void put_object(struct listing *l, const struct zq_route *r, const struct sums *sums)
{
    put_text(l, "\n {\"path\": ");
    put_string(l, r->path);
    put_text(l, ", \"methods\": ");
    put_string(l, r->methods);
    put_text(l, ", \"class\": ");
    put_string(l, zq_slice_str(zq_route_word(r->kind)));
    put_text(l, ", \"why\": ");
    put_string(l, r->why);
    put_rule(l, &r->rule);
    put_sums(l, sums);
    put_text(l, "},");
}

static void put_route(struct listing *l, const struct route *route)
{
    const struct sums sums = sums_of(l, route->index);

    if (l->plain)
        put_plain(l, &route->declared, &sums);
    else
        put_object(l, &route->declared, &sums);
}

/* Each of its keys is promoted, so that others wait for its call, once it was stored; and demoted
 * once it was not. */
static void put_undeclared(struct listing *l)
{
    const struct sums sums = sums_of(l, 0);

    put_text(l, l->plain
                    ? "*  (undeclared)  app"
                    : "\n {\"path\": \"(undeclared)\", \"methods\": \"*\", \"class\": \"app\"");
    put_sums(l, &sums);
    put_text(l, l->plain ? "\n" : "}");
}

void admin_on_routes(struct front *front, const struct admin_request *request,
                     struct admin_reply *reply)
{
    struct routes_view *view = routes_use(&front->threads[0]);
    struct listing l = {.front = front, .out = &reply->text, .plain = request->plain};

    if (view == NULL) {
        admin_fail(request, reply, 503, "the routes", "are not known before a worker is ready");
        return;
    }
    l.table = view->table;
    reply->status = 200;
    put_text(&l, l.plain ? "" : "{\"routes\": [");
    for (const struct route *r = l.table->first; r != NULL; r = r->next)
        put_route(&l, r);
    put_undeclared(&l);
    put_text(&l, l.plain ? "" : "]}\n");
    reply->no_memory |= l.no_memory;
    routes_unuse(view);
}
