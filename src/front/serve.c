#include "front/serve.h"

#include "front/key_rule.h"
#include "front/serving.h"

/* Nobody waits longer for the head of another's fetch. */
#define HEAD_WAIT_MS 5000

static void pump(struct serving *s);
static void go_alone(struct serving *s);

/* Not inlined: the compiler would see a pointer to a local escape. */
__attribute__((noinline)) void serving_watch(struct serving *s, bool *gone)
{
    s->gone = gone;
}

/* ---- deciding ---- */

static bool too_many_calls(const struct front *front)
{
    int64_t limit = front->config->limit_concurrency;

    return limit > 0 &&
           atomic_load_explicit(&front->calls, memory_order_relaxed) >= (uint64_t)limit;
}

/* Connections over the limit are taken for the sake of warm hits, but not kept when they turn out
 * to want more. Those that were there before them stay. */
static bool too_many_connections(struct serving *s)
{
    if (!zq_exchange_is_excess(s->exchange))
        return false;
    zq_exchange_close_after(s->exchange);
    return true;
}

static void call_application(struct serving *s, struct zq_writer *writer)
{
    if (too_many_calls(s->thread->front) || too_many_connections(s)) {
        fetch_answer(s->thread, writer, 503);
        /* A stale response will do, which nobody was asked for. */
        if (zq_reader_state(&s->reader) != ZQ_READER_FAILED)
            s->verdict = ZQ_CACHE_HIT;
        return;
    }
    s->fetch = fetch_start(s->thread, s->exchange, writer, s->choice);
    if (s->fetch != NULL)
        fetch_pull_unless_expected(s->fetch);
}

/* A stale hit gets a successor, unless that were the call too many. */
static void refresh(struct serving *s, struct zq_writer *writer)
{
    if (too_many_calls(s->thread->front))
        zq_entry_fail(writer, 503);
    else
        fetch_refresh(s->thread, s->exchange, writer, s->choice);
}

static struct route_counts *counts_of(const struct serving *s)
{
    return routes_counts(s->choice.view, s->choice.route);
}

static void count_hit(struct serving *s)
{
    s->thread->hit_ms = zq_loop_now_ms(s->thread->loop);
    ROUTES_COUNT(counts_of(s), hits);
}

static void decide(struct serving *s, bool may_join)
{
    const struct zq_request *r = &s->exchange->request;
    struct zq_cache_request request = {
        .is_get = r->method_id == ZQ_METHOD_GET,
        .is_head = r->method_id == ZQ_METHOD_HEAD,
        .is_post = r->method_id == ZQ_METHOD_POST,
        .has_body = r->has_body,
        .untrusted_forwarded = s->untrusted_forwarded,
        .decorated = route_is_cached(s->choice.route),
        .scheme = r->scheme,
        .host = r->host,
        .target = r->target,
        .fields = &r->fields,
    };
    struct zq_writer writer = {0};
    int verdict = zq_cache_get(s->thread->front->cache, &request, zq_loop_now_ms(s->thread->loop),
                               may_join, &s->reader, &writer, &s->forward);

    if (verdict < 0) {
        serving_reject(s, 503);
        return;
    }
    s->verdict = (enum zq_cache_verdict)verdict;
    if (s->verdict == ZQ_CACHE_HIT)
        count_hit(s);
    if (s->verdict == ZQ_CACHE_JOIN)
        ROUTES_COUNT(counts_of(s), joined);
    if (s->verdict == ZQ_CACHE_NEVER) {
        zq_exchange_error(s->exchange, 504, 0, ZQ_SLICE(CACHE_STATUS_NEVER));
        return;
    }
    bool gone = false;
    serving_watch(s, &gone);
    if (s->verdict == ZQ_CACHE_LEAD || s->verdict == ZQ_CACHE_PASS)
        call_application(s, &writer);
    else if (writer.entry != NULL)
        refresh(s, &writer);
    if (gone)
        return;
    serving_watch(s, NULL);
    if (s->verdict == ZQ_CACHE_JOIN && !route_is_cached(s->choice.route))
        zq_timer_set(s->thread->loop, &s->patience, HEAD_WAIT_MS);
    pump(s);
}

/* ---- which route ---- */

/* What the rule leaves out is out of the key, and of what the application sees. */
static int apply_rule(struct serving *s)
{
    const struct zq_key_rule *rule = &s->choice.route->declared.rule;
    struct zq_request *r = &s->exchange->request;
    struct zq_arena *arena = &s->exchange->arena;
    const struct zq_fields all = r->fields;

    if (key_rule_target(rule, r->target, arena, &r->target) < 0)
        return ZQ_ENOMEM;
    size_t behind = r->path.n < r->target.n ? r->path.n + 1 : r->path.n;
    r->query = zq_slice(r->target.p + behind, r->target.n - behind);
    return key_rule_fields(rule, &all, arena, &r->fields);
}

static void replay(struct serving *s)
{
    s->verdict = ZQ_CACHE_HIT;
    count_hit(s);
    zq_reader_hold(&s->reader, &s->exchange->request.fields, s->choice.route->held);
    if (zq_reader_refused(&s->reader))
        zq_exchange_error(s->exchange, 412, 0, ZQ_SLICE("zq; detail=static"));
    else
        pump(s);
}

static void take_route(struct serving *s)
{
    const struct zq_request *r = &s->exchange->request;

    s->choice.view = routes_use(s->thread);
    s->choice.route = routes_match(s->choice.view, r->path, r->method);
    ROUTES_COUNT(counts_of(s), requests);
    if (serving_is_static(s))
        replay(s);
    else if (route_has_rule(s->choice.route, r->method) && apply_rule(s) < 0)
        serving_reject(s, 503);
    else
        decide(s, true);
}

/* Before any worker has told its routes nobody knows what a request is: it waits as long as it
 * would for a response. */
static void wait_for_routes(struct serving *s)
{
    int64_t limit = s->thread->front->config->timeout_response;

    zq_list_append(&s->thread->undecided, &s->undecided);
    if (limit > 0)
        zq_timer_set(s->thread->loop, &s->patience, limit);
}

void serve_undecided(struct front_thread *thread)
{
    while (!zq_list_empty(&thread->undecided)) {
        struct serving *s = ZQ_CONTAINER(thread->undecided.next, struct serving, undecided);
        zq_list_remove(&s->undecided);
        zq_timer_cancel(thread->loop, &s->patience);
        take_route(s);
    }
}

/* `EXAMPLE.org:80` is `example.org` in the key, and so it is to the application: else who asks for
 * the one could choose what all get who ask for the other. */
static int name_host(struct serving *s)
{
    struct zq_request *r = &s->exchange->request;
    bool shares = r->method_id == ZQ_METHOD_GET || r->method_id == ZQ_METHOD_HEAD;

    if (!shares || r->host.n == 0 || !s->thread->front->config->cache)
        return 0;
    struct zq_slice host = zq_cache_host(r->scheme, r->host, &s->exchange->arena);
    if (host.p == NULL)
        return ZQ_ENOMEM;
    if (host.p != r->host.p || host.n != r->host.n)
        request_set_host(r, host);
    return 0;
}

static void on_wake(struct zq_post *post)
{
    pump(ZQ_CONTAINER(post, struct serving, wake));
}

static void on_reader_news(struct zq_reader *reader)
{
    struct serving *s = ZQ_CONTAINER(reader, struct serving, reader);

    zq_loop_post(s->thread->loop, &s->wake);
}

/* What was joined may have hung, and this request need not be late for that. */
static void on_impatience(struct zq_timer *timer)
{
    struct serving *s = ZQ_CONTAINER(timer, struct serving, patience);

    if (s->choice.view == NULL)
        serving_reject(s, 504);
    else if (zq_reader_state(&s->reader) == ZQ_READER_WAITING)
        go_alone(s);
    else
        pump(s);
}

static void on_request(struct zq_http_server *server, struct zq_exchange *exchange)
{
    struct serving *s = zq_arena_alloc(&exchange->arena, sizeof(*s));

    if (s == NULL) {
        zq_exchange_error(exchange, 503, RETRY_AFTER_S, ZQ_SLICE(CACHE_STATUS_REJECTED));
        return;
    }
    *s = (struct serving){
        .exchange = exchange,
        .thread = zq_http_server_user(server),
        .reader = {.notify = on_reader_news},
        .wake = {.on_post = on_wake},
        .patience = {.on_expire = on_impatience},
        .target = exchange->request.target,
    };
    zq_list_init(&s->undecided);
    exchange->user = s;
    s->untrusted_forwarded = forwarded_apply(s->thread->front->trusted, &exchange->request);
    if (name_host(s) < 0)
        serving_reject(s, 503);
    else if (s->thread->routes != NULL)
        take_route(s);
    else
        wait_for_routes(s);
}

/* ---- answering ---- */

/* Released from another's fetch: this request goes by itself, and not one behind the other. */
static void go_alone(struct serving *s)
{
    struct fetch *fetch = s->fetch;

    s->fetch = NULL;
    zq_reader_detach(&s->reader);
    if (fetch != NULL) /* the fetch that this request led, and that is of no use to it */
        fetch_leave(fetch);
    decide(s, false);
}

static void pump(struct serving *s)
{
    switch (zq_reader_state(&s->reader)) {
    case ZQ_READER_WAITING:
        break;
    case ZQ_READER_RELEASED:
        go_alone(s);
        break;
    case ZQ_READER_FAILED:
        serving_fail(s);
        break;
    case ZQ_READER_ABORTED:
        serving_cut(s);
        break;
    case ZQ_READER_OPEN:
    case ZQ_READER_COMPLETE:
        if (serving_send(s))
            lend_answer(s);
        break;
    }
}

/* ---- the exchange's other events ---- */

static void on_body(struct zq_exchange *exchange, struct zq_slice data, bool end)
{
    struct serving *s = exchange->user;

    if (s->fetch != NULL)
        fetch_body(s->fetch, data, end);
}

static char *on_body_room(struct zq_exchange *exchange, size_t *n)
{
    struct serving *s = exchange->user;

    return s->fetch != NULL ? fetch_body_room(s->fetch, n) : NULL;
}

static void on_writable(struct zq_exchange *exchange)
{
    lend_writable(exchange->user);
    pump(exchange->user);
}

void serve_fetch_ended(struct zq_exchange *exchange)
{
    struct serving *s = exchange->user;

    s->fetch = NULL;
    zq_exchange_want(exchange, 0); /* what waited for room is dropped, as all that still comes */
}

/* By the front, or by the http room, which may do so while the content comes: 408, 413 … */
static bool is_rejected(const struct serving *s, const struct zq_exchange *exchange)
{
    return s == NULL || s->rejected || s->verdict == ZQ_CACHE_NEVER ||
           exchange->end == ZQ_EXCHANGE_REFUSED ||
           (exchange->end == ZQ_EXCHANGE_TIMED_OUT && exchange->status == 408);
}

static const char *rung(const struct serving *s, const struct zq_exchange *exchange)
{
    if (is_rejected(s, exchange))
        return "reject";
    if (serving_is_static(s))
        return "static";
    if (s->verdict == ZQ_CACHE_HIT)
        return "hit";
    return s->verdict == ZQ_CACHE_JOIN ? "collapsed" : serving_maker(s);
}

static void on_done(struct zq_http_server *server, struct zq_exchange *exchange)
{
    struct front_thread *thread = zq_http_server_user(server);
    struct serving *s = exchange->user;

    if (s != NULL)
        exchange->request.target = s->target;
    if (thread->front->access_log != NULL)
        access_log_line(thread->front->access_log, &thread->line, exchange, rung(s, exchange),
                        front_wall_clock(thread));
    if (s == NULL)
        return;
    zq_list_remove(&s->undecided);
    if (s->gone != NULL)
        *s->gone = true;
    zq_reader_detach(&s->reader);
    zq_loop_unpost(thread->loop, &s->wake);
    zq_timer_cancel(thread->loop, &s->patience);
    if (s->fetch != NULL)
        fetch_leave(s->fetch);
    routes_unuse(s->choice.view);
}

const struct zq_http_handler serve_handler = {
    .refused_as = {CACHE_STATUS_REJECTED, sizeof(CACHE_STATUS_REJECTED) - 1},
    .on_request = on_request,
    .on_body = on_body,
    .on_body_room = on_body_room,
    .on_writable = on_writable,
    .on_done = on_done,
};
