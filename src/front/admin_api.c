/* What the admin listener answers: PURGE, POST /purge, and /cache/…. */
#include "front/admin.h"
#include "front/admin_bypass.h"
#include "front/admin_routes.h"
#include "front/json.h"
#include "front/purge.h"
#include "front/routes.h"
#include "zq/log.h"

#include <inttypes.h>
#include <stdio.h>

#define PURGES_MAX 1000 /* in one request */
#define LIST_MOST 1000  /* items of one answer, about */

/* ---- purging ---- */

static bool all_are_sound(const struct admin_request *request, const struct zq_purge *purges,
                          size_t n, struct admin_reply *reply)
{
    for (size_t i = 0; i < n; i++) {
        const char *fault = zq_purge_fault(&purges[i]);
        if (fault == NULL)
            continue;
        admin_fail(request, reply, 400, zq_purge_word(purges[i].kind), fault);
        return false;
    }
    return true;
}

/* All that can be wrong with them is found before the first takes effect. */
static void purge_all(struct front *front, const struct admin_request *request,
                      const struct zq_purge *purges, size_t n, struct admin_reply *reply)
{
    uint64_t number;

    if (!all_are_sound(request, purges, n, reply))
        return;
    reply->status = 200;
    if (!request->plain)
        admin_put(reply, "{\"purges\": [");
    for (size_t i = 0; i < n; i++) {
        if (front_purge(&front->threads[0], &purges[i], &number) < 0) {
            admin_fail(request, reply, 503, "purge", "too many purges are under way; try again");
            return;
        }
        if (!request->plain) {
            admin_put(reply, "%s%" PRIu64, i > 0 ? ", " : "", number);
            continue;
        }
        admin_put(reply, "%" PRIu64 " %s%s ", number, purges[i].soft ? "soft " : "",
                  zq_purge_word(purges[i].kind));
        admin_put_slice(reply, purges[i].text);
        admin_put(reply, "\n");
    }
    if (!request->plain)
        admin_put(reply, "]}\n");
}

struct gathered {
    struct zq_purge v[PURGES_MAX];
    size_t n;
    bool soft;
};

static const char *gather_strings(struct gathered *g, const struct json_member *m,
                                  enum zq_purge_kind kind)
{
    if (m->kind != JSON_STRINGS)
        return "is no string, and no list of strings";
    for (size_t i = 0; i < m->n; i++) {
        if (g->n == PURGES_MAX)
            return "comes on top of too many others";
        g->v[g->n++] = (struct zq_purge){.kind = kind, .text = m->strings[i]};
    }
    return NULL;
}

/* One member of the body; what is wrong with it, or NULL. */
static const char *gather(struct gathered *g, const struct json_member *m)
{
    bool is_soft = zq_slice_eq(m->name, ZQ_SLICE("soft"));

    if (is_soft || zq_slice_eq(m->name, ZQ_SLICE("all"))) {
        if (m->kind != JSON_BOOL)
            return "is neither true nor false";
        if (is_soft)
            g->soft = m->truth;
        else if (m->truth && g->n < PURGES_MAX)
            g->v[g->n++] = (struct zq_purge){.kind = ZQ_PURGE_ALL};
        return NULL;
    }
    for (int kind = 0; kind < ZQ_PURGE_ALL; kind++)
        if (zq_slice_eq(m->name, zq_slice_str(zq_purge_word((enum zq_purge_kind)kind))))
            return gather_strings(g, m, (enum zq_purge_kind)kind);
    return "is unknown; there are url, prefix, glob, tag, all and soft";
}

static void on_post_purge(struct front *front, const struct admin_request *request,
                          struct admin_reply *reply)
{
    struct gathered *g = zq_arena_alloc(request->arena, sizeof(*g));
    struct json_member members[8];
    size_t n = 0;
    const char *fault = "does not fit into memory";

    if (g != NULL) {
        *g = (struct gathered){0};
        fault = json_read(request->body, request->arena, members, ZQ_ARRAY_SIZE(members),
                          PURGES_MAX, &n);
    }
    if (fault != NULL) {
        admin_fail(request, reply, 400, "the content", fault);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char name[64];
        fault = gather(g, &members[i]);
        if (fault == NULL)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)members[i].name.n, members[i].name.p);
        admin_fail(request, reply, 400, name, fault);
        return;
    }
    for (size_t i = 0; i < g->n; i++)
        g->v[i].soft = g->soft;
    if (g->n == 0)
        admin_fail(request, reply, 400, "the content",
                   "names nothing: give url, prefix, glob, tag or all");
    else
        purge_all(front, request, g->v, g->n, reply);
}

/* One target of the Host, under both schemes: a TLS proxy's clients know another than we do. */
static void on_purge(struct front *front, const struct admin_request *request,
                     struct admin_reply *reply)
{
    static const char *const schemes[] = {"http://", "https://"};
    const struct zq_request *r = request->http;
    const struct zq_field *f = zq_fields_find(&r->fields, ZQ_SLICE("soft-purge"), NULL);
    bool soft = f != NULL && zq_slice_eq(f->value, ZQ_SLICE("1"));
    struct zq_purge purges[2];

    if (f != NULL && !soft && !zq_slice_eq(f->value, ZQ_SLICE("0"))) {
        admin_fail(request, reply, 400, "Soft-Purge", "is neither 0 nor 1");
        return;
    }
    for (int i = 0; i < 2; i++) {
        size_t scheme_n = strlen(schemes[i]), n = scheme_n + r->host.n + r->target.n;
        char *url = zq_arena_alloc(request->arena, n);
        if (url == NULL) {
            reply->no_memory = true;
            return;
        }
        memcpy(url, schemes[i], scheme_n);
        memcpy(url + scheme_n, r->host.p, r->host.n);
        memcpy(url + scheme_n + r->host.n, r->target.p, r->target.n);
        purges[i] = (struct zq_purge){ZQ_PURGE_URL, soft, zq_slice(url, n)};
    }
    purge_all(front, request, purges, 2, reply);
}

/* ---- looking ---- */

static void on_stat(struct front *front, const struct admin_request *request,
                    struct admin_reply *reply)
{
    struct zq_cache_stat stat;

    reply->status = 200;
    if (!request->plain) {
        if (front_stat_json(front, &reply->text) < 0)
            reply->no_memory = true;
        admin_put(reply, "\n");
        return;
    }
    zq_cache_stat(front->cache, &stat);
    admin_put(reply, "%-16s %s\n", "cache", stat.on ? "on" : "off");
#define X(name) admin_put(reply, "%-16s %" PRIu64 "\n", #name, stat.name);
    ZQ_CACHE_STATS(X)
#undef X
    for (size_t i = 0; i < ZQ_CACHE_REASONS_MAX && stat.reasons[i].word != NULL; i++)
        admin_put(reply, "demoted by %s %" PRIu64 "\n", stat.reasons[i].word, stat.reasons[i].keys);
}

struct listing {
    const struct admin_request *request;
    struct admin_reply *reply;
    size_t n;
};

static void put_url(struct listing *l, const struct zq_cache_item *item)
{
    struct zq_buf url = {0};
    int error = zq_buf_append(&url, item->scheme.p, item->scheme.n);

    if (error == 0)
        error = zq_buf_append(&url, "://", 3);
    if (error == 0)
        error = zq_buf_append(&url, item->host.p, item->host.n);
    if (error == 0)
        error = zq_buf_append(&url, item->target.p, item->target.n);
    if (error < 0)
        l->reply->no_memory = true;
    else if (l->request->plain)
        admin_put_slice(l->reply, zq_slice(zq_buf_data(&url), url.n));
    else
        admin_put_string(l->reply, zq_slice(zq_buf_data(&url), url.n));
    zq_buf_fini(&url);
}

static void put_line(struct listing *l, const struct zq_cache_item *item)
{
    admin_put(l->reply, "%u %10" PRIu64 " %6" PRId64 " %6" PRId64 "%s ", item->status, item->bytes,
              item->age_s, item->remaining_s, item->purged_softly ? " purged" : "");
    put_url(l, item);
    for (size_t i = 0; i < zq_tags_count(item->tags); i++) {
        admin_put(l->reply, i == 0 ? " [" : " ");
        admin_put_slice(l->reply, zq_tags_at(item->tags, i));
    }
    if (zq_tags_count(item->tags) > 0)
        admin_put(l->reply, "]");
    for (int i = 0; i < ZQ_CODING_COUNT; i++)
        if (item->coded_bytes[i] > 0)
            admin_put(l->reply, " %s=%" PRIu64, zq_coding_word((enum zq_coding)i),
                      item->coded_bytes[i]);
    admin_put(l->reply, "\n");
}

static void put_object(struct listing *l, const struct zq_cache_item *item)
{
    admin_put(l->reply, "%s\n {\"url\": ", l->n > 0 ? "," : "");
    put_url(l, item);
    admin_put(l->reply,
              ", \"status\": %u, \"bytes\": %" PRIu64 ", \"age\": %" PRId64 ", \"ttl\": %" PRId64
              ", \"purged\": %s, \"tags\": [",
              item->status, item->bytes, item->age_s, item->remaining_s,
              item->purged_softly ? "true" : "false");
    for (size_t i = 0; i < zq_tags_count(item->tags); i++) {
        admin_put(l->reply, i > 0 ? ", " : "");
        admin_put_string(l->reply, zq_tags_at(item->tags, i));
    }
    admin_put(l->reply, "], \"codings\": {");
    bool any = false;
    for (int i = 0; i < ZQ_CODING_COUNT; i++) {
        if (item->coded_bytes[i] == 0)
            continue;
        admin_put(l->reply, "%s\"%s\": %" PRIu64, any ? ", " : "",
                  zq_coding_word((enum zq_coding)i), item->coded_bytes[i]);
        any = true;
    }
    admin_put(l->reply, "}}");
}

static void on_item(const struct zq_cache_item *item, void *argument)
{
    struct listing *l = argument;

    if (l->request->plain)
        put_line(l, item);
    else
        put_object(l, item);
    l->n++;
}

/* `name=` in the query, decoded; false when it is not there. */
static bool parameter(const struct admin_request *request, struct zq_slice name,
                      struct zq_slice *value)
{
    struct zq_slice rest = request->http->query, pair;

    while (zq_slice_next(&rest, '&', &pair))
        if (pair.n > name.n && memcmp(pair.p, name.p, name.n) == 0 && pair.p[name.n] == '=') {
            *value = zq_slice(pair.p + name.n + 1, pair.n - name.n - 1);
            *value = zq_http_decode_path(*value, request->arena);
            return true;
        }
    return false;
}

static void begin_list(struct listing *l)
{
    l->reply->status = 200;
    if (!l->request->plain)
        admin_put(l->reply, "{\"responses\": [");
}

static void end_responses(struct listing *l)
{
    if (l->request->plain)
        return;
    admin_put(l->reply, "], \"next\": ");
    if (l->reply->more)
        admin_put(l->reply, "%" PRIu64, l->reply->next);
    else
        admin_put(l->reply, "null");
}

static void end_list(struct listing *l)
{
    if (!l->request->plain)
        admin_put(l->reply, "}\n");
}

static void put_class_plain(struct listing *l, const struct zq_cache_key_state *state)
{
    admin_put(l->reply, "%s: ", zq_cache_class_word(state->class));
    if (state->reason != NULL)
        admin_put(l->reply, "remembered as not storable: %s, %" PRId64 " s left\n", state->reason,
                  state->left_s);
    else
        admin_put(l->reply, "what is stored answers, and of misses at once one is called for\n");
}

/* What became of the key, behind what is stored under it. */
static void put_class(struct listing *l, const struct zq_cache_key_state *state)
{
    if (l->request->plain) {
        put_class_plain(l, state);
        return;
    }
    admin_put(l->reply, ", \"class\": \"%s\", ", zq_cache_class_word(state->class));
    if (state->reason != NULL)
        admin_put(l->reply, "\"reason\": \"%s\", \"seconds\": %" PRId64, state->reason,
                  state->left_s);
    else
        admin_put(l->reply, "\"reason\": null, \"seconds\": null");
}

/* A part of the whole: an answer takes no longer than some hundred steps. */
static void on_ls(struct front *front, const struct admin_request *request,
                  struct admin_reply *reply)
{
    struct listing l = {request, reply, 0};
    struct zq_slice from;

    if (parameter(request, ZQ_SLICE("from"), &from) &&
        zq_parse_u64(from, UINT64_MAX, &reply->next) < 0) {
        admin_fail(request, reply, 400, "from", "is no number");
        return;
    }
    begin_list(&l);
    reply->more = true;
    for (int i = 0; i < 100 && l.n < LIST_MOST && reply->more; i++)
        reply->more = zq_cache_list(front->cache, &reply->next, request->now_ms, on_item, &l);
    end_responses(&l);
    end_list(&l);
}

static void on_show(struct front *front, const struct admin_request *request,
                    struct admin_reply *reply)
{
    struct listing l = {request, reply, 0};
    struct zq_cache_key_state state;
    struct zq_slice url;

    if (!parameter(request, ZQ_SLICE("url"), &url)) {
        admin_fail(request, reply, 400, "url", "is missing");
        return;
    }
    if (routes_key_url(front->threads[0].routes, url, request->arena, &url) < 0) {
        reply->no_memory = true;
        return;
    }
    begin_list(&l);
    if (zq_cache_show(front->cache, url, request->now_ms, on_item, &l, &state) < 0) {
        admin_fail(request, reply, 400, "url", "is no absolute URL (http://host/path)");
        return;
    }
    if (l.n == 0 && state.class == ZQ_CACHE_APP) {
        admin_fail(request, reply, 404, "url", "nothing is stored for it");
        return;
    }
    end_responses(&l);
    put_class(&l, &state);
    end_list(&l);
}

static void on_switch(struct front *front, const struct admin_request *request,
                      struct admin_reply *reply, bool on)
{
    if (on && (!front->config->cache || front->config->cache_size == 0)) {
        admin_fail(request, reply, 409, "on", "this zq was started without a cache");
        return;
    }
    operator_switch(front, on);
    reply->status = 200;
    if (request->plain)
        admin_put(reply, "the cache is %s\n", on ? "on" : "off");
    else
        admin_put(reply, "{\"on\": %s}\n", on ? "true" : "false");
}

static void on_on(struct front *front, const struct admin_request *request,
                  struct admin_reply *reply)
{
    on_switch(front, request, reply, true);
}

static void on_off(struct front *front, const struct admin_request *request,
                   struct admin_reply *reply)
{
    on_switch(front, request, reply, false);
}

/* ---- the routes ---- */

static const struct endpoint {
    const char *method, *path;
    void (*answer)(struct front *, const struct admin_request *, struct admin_reply *);
} endpoints[] = {
    {"POST", "/purge", on_post_purge},
    {"GET", "/cache/stat", on_stat},
    {"GET", "/cache/ls", on_ls},
    {"GET", "/cache/show", on_show},
    {"POST", "/cache/on", on_on},
    {"POST", "/cache/off", on_off},
    {"GET", "/cache/bypass", admin_on_bypass},
    {"GET", "/routes", admin_on_routes},
    {"POST", "/cache/bypass/add", admin_on_bypass_add},
    {"POST", "/cache/bypass/rm", admin_on_bypass_rm},
};

void admin_answer(struct front *front, const struct admin_request *request,
                  struct admin_reply *reply)
{
    const struct zq_request *r = request->http;

    if (zq_slice_eq(r->method, ZQ_SLICE("PURGE"))) {
        on_purge(front, request, reply);
        return;
    }
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(endpoints); i++) {
        if (!zq_slice_eq(r->path, zq_slice_str(endpoints[i].path)))
            continue;
        if (zq_slice_eq(r->method, zq_slice_str(endpoints[i].method))) {
            endpoints[i].answer(front, request, reply);
            return;
        }
        reply->allow = endpoints[i].method;
        admin_fail(request, reply, 405, "the method", "is not allowed here");
        return;
    }
    admin_fail(request, reply, 404, "the path",
               "is none of /purge, /cache/stat, /cache/ls, /cache/show, /cache/on, /cache/off, "
               "/cache/bypass, /cache/bypass/add, /cache/bypass/rm, /routes");
}
