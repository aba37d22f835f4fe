/* The response's head, as the cache judges it and as clients see it. */
#include "front/fetch.h"

#include "front/invalidate.h"
#include "front/tags.h"
#include "zq/log.h"

static bool has_no_content(const struct fetch *fetch, unsigned status)
{
    return fetch->is_head || status == 204 || status == 304;
}

/* One frame holds the response: its length is known though the application named none. To HEAD
 * an application may send the content that GET would have, and then its length is told, or none. */
static bool is_whole(const struct zq_cache_response *response, const struct zq_wire_response *wire)
{
    return !response->no_content ||
           (wire->body.n > 0 && wire->status != 204 && wire->status != 304);
}

/* The response as the cache judges it: what the key rule of its route names selects, too, and what
 * proxies may have handed on with its request. */
static int judged_fields(const struct fetch *fetch, const struct zq_fields *from,
                         struct zq_fields *out)
{
    const struct route *route = fetch->choice.route;
    struct zq_slice rule = route != NULL && !fetch->unsafe ? route->selects : (struct zq_slice){0};

    *out = *from;
    if (rule.n == 0 && fetch->selects.n == 0)
        return 0;
    out->v = zq_arena_alloc(&fetch->thread->scratch, (from->n + 2) * sizeof(*out->v));
    if (out->v == NULL)
        return ZQ_ENOMEM;
    if (from->n > 0)
        memcpy(out->v, from->v, from->n * sizeof(*out->v));
    if (rule.n > 0)
        out->v[out->n++] = (struct zq_field){ZQ_SLICE("zq-vary"), rule};
    if (fetch->selects.n > 0)
        out->v[out->n++] = (struct zq_field){ZQ_SLICE("zq-vary"), fetch->selects};
    return 0;
}

/* 0, or the status to fail with. */
static unsigned make_block(struct front_thread *thread, const struct zq_wire_response *wire,
                           time_t now, struct zq_cache_response *response)
{
    const struct zq_config *config = thread->front->config;
    struct zq_fields shown;
    struct zq_slice bad;

    if (tags_strip(&wire->fields, config->cache_tags_header, &thread->scratch, &shown) < 0)
        return 503;
    zq_buf_consume(&thread->block, thread->block.n);
    int error = zq_http_block(&thread->block, wire->status, &shown, config, now,
                              &response->content_length, &response->close, &bad);
    if (error == ZQ_EINVAL)
        zq_log(ZQ_LOG_ERROR, "the application's response has an invalid field: %.*s",
               (int)(bad.n < 100 ? bad.n : 100), bad.p);
    if (error < 0)
        return error == ZQ_EINVAL ? 500 : 503;
    response->block = zq_slice(zq_buf_data(&thread->block), thread->block.n);
    return 0;
}

static void invalidate(struct fetch *fetch, unsigned status, const struct zq_fields *fields)
{
    if (fetch->unsafe && status < 400)
        invalidate_targets(fetch->thread->front->cache, fetch->thread->routes, fetch->scheme,
                           fetch->host, fetch->target, fields, &fetch->writer,
                           &fetch->thread->scratch);
}

unsigned fetch_head(struct fetch *fetch, const struct zq_wire_response *wire, bool ends)
{
    struct front_thread *thread = fetch->thread;
    const time_t now = front_wall_clock(thread);
    struct zq_fields judged;
    struct zq_cache_response response = {
        .status = wire->status,
        .fields = &judged,
        .no_content = has_no_content(fetch, wire->status),
        .storable = fetch->link->worker->generation == atomic_load(&thread->front->generation),
    };

    if (judged_fields(fetch, &wire->fields, &judged) < 0)
        return 503;
    unsigned status = make_block(thread, wire, now, &response);
    if (status != 0)
        return status;
    if (response.content_length < 0 && ends && is_whole(&response, wire))
        response.content_length = (int64_t)wire->body.n;
    invalidate(fetch, wire->status, &wire->fields);
    if (zq_entry_head(&fetch->writer, &response, zq_loop_now_ms(thread->loop), now) < 0)
        return 503;
    routes_settled(thread, fetch->choice, wire->status, fetch->writer.stored,
                   fetch->writer.refusal);
    return 0;
}
