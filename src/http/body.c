/* The request's content: delivered as it is asked for, or dropped behind an early answer. */
#include "connection.h"

/* So much of a body is read and dropped to keep the connection after an early answer. */
#define DROP_MAX (64u << 10)

bool zq_body_wants_read(const struct zq_http_exchange *ex)
{
    return ex->want > 0 && !ex->paused && !ex->pub.body_done && ex->phase < ZQ_RESPONSE_WRITTEN &&
           ex->conn->in.n == 0;
}

bool zq_body_is_droppable(const struct zq_http_exchange *ex)
{
    if (ex->pub.body_done)
        return true;
    if (ex->continue_pending)
        return false; /* it may never come (RFC 9110 10.1.1) */
    int64_t length = ex->pub.request.content_length;
    return length < 0 || (uint64_t)length - ex->received <= DROP_MAX;
}

/* Is there anything to parse that needs no more permission? Between chunks there may be. */
static bool may_step(const struct zq_http_exchange *ex)
{
    if (ex->paused || ex->pub.body_done || ex->phase >= ZQ_RESPONSE_WRITTEN)
        return false;
    return ex->want > 0 || (ex->asked && ex->chunked && !ex->in_chunk);
}

static bool over_limit(const struct zq_http_exchange *ex)
{
    uint64_t limit = ex->conn->server->config->limit_request_body;
    return limit > 0 && ex->received + ex->span.n > limit;
}

/* With a known length the last content is delivered as such, and not followed by an empty end. */
static void deliver(struct zq_http_exchange *ex)
{
    const struct zq_http_handler *handler = ex->conn->server->handler;
    bool end = ex->message_complete;
    ex->received += ex->span.n;
    ex->progress += ex->span.n;
    ex->want -= ex->span.n;
    ex->pub.body_done = end;
    zq_exchange_stop_waiting(ex);
    if (ex->span.n > 0 || end)
        handler->on_body(&ex->pub, ex->span, end);
}

/* What may be delivered, and of a known length is still to come. */
static size_t deliverable(const struct zq_http_exchange *ex)
{
    uint64_t left =
        ex->chunked ? ex->want : (uint64_t)ex->pub.request.content_length - ex->received;

    return (size_t)(left < ex->want ? left : ex->want);
}

char *zq_body_room(struct zq_http_exchange *ex, size_t *n)
{
    const struct zq_http_handler *handler = ex->conn->server->handler;

    *n = deliverable(ex);
    if (*n == 0 || handler->on_body_room == NULL)
        return NULL;
    char *room = handler->on_body_room(&ex->pub, n);
    ex->paused = *n == 0;
    return ex->chunked ? NULL : room; /* there is framing in it */
}

/* When more may come, what is there waits for room with it: the two are one part then. */
static bool waits_for_room(struct zq_http_exchange *ex, size_t there)
{
    size_t n;

    if (ex->chunked || deliverable(ex) > there)
        zq_body_room(ex, &n);
    return ex->paused;
}

size_t zq_body_feed(struct zq_conn *conn, struct zq_slice input)
{
    struct zq_http_exchange *ex = conn->exchange;
    size_t there = input.n;
    if (!may_step(ex) || waits_for_room(ex, input.n))
        return 0;
    /* What is parsed is never less than the content in it. */
    if (ex->want > 0 && input.n > ex->want)
        input.n = (size_t)ex->want;
    int64_t used = zq_parse_body(ex, input);
    ex->followed = ex->message_complete && used >= 0 && (size_t)used < there;
    /* Content comes before the framing that is wrong behind it, also where one step finds both. */
    if (over_limit(ex))
        zq_exchange_refuse(ex, 413, ZQ_EXCHANGE_REFUSED);
    else if (used < 0)
        zq_exchange_refuse(ex, 400, ZQ_EXCHANGE_REFUSED);
    else
        deliver(ex);
    return used < 0 ? input.n : (size_t)used;
}

size_t zq_body_discard(struct zq_conn *conn, struct zq_slice input)
{
    struct zq_http_exchange *ex = conn->exchange;
    ex->want = UINT64_MAX;
    zq_conn_timeout(conn, conn->server->config->timeout_request_body);
    int64_t used = zq_parse_body(ex, input);
    if (used >= 0)
        ex->discarded += (uint64_t)used;
    if (used >= 0 && !ex->message_complete && ex->discarded <= DROP_MAX)
        return (size_t)used;
    bool complete = used >= 0 && ex->message_complete;
    conn->exchange = NULL;
    zq_exchange_free(ex);
    if (complete)
        zq_conn_go_idle(conn);
    else
        zq_linger_start(conn);
    return used < 0 ? input.n : (size_t)used;
}
