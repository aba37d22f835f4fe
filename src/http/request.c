/* From bytes to requests: a head is looked for as a whole, copied once into its exchange's arena,
 * so that every slice of the request is stable, and then parsed there. */
#include "connection.h"

/* Of a request line that is refused before its end, so much is kept for the log. */
#define REFUSED_LINE_MAX 1024
/* A larger head gets a block of its own in the arena, of its size. */
#define LARGE_HEAD 4000

static enum zq_method identify(struct zq_slice method)
{
    if (zq_slice_eq(method, ZQ_SLICE("GET")))
        return ZQ_METHOD_GET;
    if (zq_slice_eq(method, ZQ_SLICE("HEAD")))
        return ZQ_METHOD_HEAD;
    if (zq_slice_eq(method, ZQ_SLICE("POST")))
        return ZQ_METHOD_POST;
    return zq_slice_eq(method, ZQ_SLICE("OPTIONS")) ? ZQ_METHOD_OPTIONS : ZQ_METHOD_OTHER;
}

static struct zq_http_exchange *begin(struct zq_conn *conn)
{
    struct zq_http_exchange *ex;
    if (conn->peer == NULL)
        conn->peer = zq_peer_new(conn->io.fd);
    ex = conn->peer != NULL ? zq_exchange_new(conn) : NULL;
    if (ex == NULL) {
        zq_conn_close(conn, true);
        return NULL;
    }
    struct zq_request *request = &ex->pub.request;
    request->scheme = ZQ_SLICE("http");
    request->client = conn->peer->client;
    request->server = conn->peer->server;
    request->version_minor = 1;
    request->content_length = -1;
    ex->pub.started_us = conn->started_us;
    conn->exchange = ex;
    zq_conn_move(conn, ZQ_CONN_EXCHANGE);
    return ex;
}

/* The request line's parts, from the arena's copy. */
static void fill_line(struct zq_http_exchange *ex, const char *head)
{
    const struct zq_head_scan *scan = &ex->conn->scan;
    struct zq_request *request = &ex->pub.request;
    request->method = zq_slice(head, scan->method_n);
    request->target = zq_slice(head + scan->method_n + 1, scan->target_n);
    request->version_minor = scan->version_minor;
    /* How much of a refused line was read depends on how it came; what it gets must not. */
    if (scan->fields > 0)
        request->method_id = identify(request->method);
}

void zq_request_refuse_head(struct zq_conn *conn, struct zq_slice head, unsigned status,
                            enum zq_exchange_end end)
{
    struct zq_http_exchange *ex = begin(conn);
    if (ex == NULL)
        return;
    size_t line = conn->scan.method_n > 0 ? conn->scan.method_n + 1 + conn->scan.target_n : 0;
    struct zq_slice copy = {0};
    if (line > 0 && line <= head.n && line <= REFUSED_LINE_MAX)
        copy = zq_arena_copy(&ex->pub.arena, zq_slice(head.p, line));
    if (copy.n > 0)
        fill_line(ex, copy.p);
    zq_exchange_refuse(ex, status, end);
}

static void announce(struct zq_http_exchange *ex)
{
    struct zq_conn *conn = ex->conn;
    ex->announced = true;
    ex->pub.body_done = !ex->pub.request.has_body;
    conn->server->handler->on_request(conn->server, &ex->pub);
}

/* Whoever takes up `rest` begins an exchange at once: it is a whole head, or refused as one. */
static bool is_next_head(struct zq_slice rest)
{
    return rest.n > 0 && rest.p[0] != '\r' && memmem(rest.p, rest.n, "\r\n\r\n", 4) != NULL;
}

/* `rest`: what follows the head already. */
static void accept_head(struct zq_conn *conn, struct zq_slice head, struct zq_slice rest)
{
    struct zq_http_exchange *ex = begin(conn);
    if (ex == NULL)
        return;
    struct zq_slice copy = zq_arena_copy(&ex->pub.arena, head);
    ex->large = head.n > LARGE_HEAD;
    unsigned status = copy.p != NULL ? 0 : 503;
    if (status == 0) {
        fill_line(ex, copy.p);
        status = zq_parse_head(ex, (char *)(uintptr_t)copy.p, copy.n, conn->scan.count);
    }
    if (status == 0)
        status = zq_message_check(ex);
    ex->followed = rest.n > 0 && !ex->pub.request.has_body;
    ex->next_is_whole = ex->followed && is_next_head(rest);
    if (rest.n > 0)
        ex->continue_pending = false; /* the client does not wait for it (RFC 9110 10.1.1) */
    if (status == 0)
        announce(ex);
    else
        zq_exchange_refuse(ex, status, ZQ_EXCHANGE_REFUSED);
}

size_t zq_request_feed_head(struct zq_conn *conn, struct zq_slice input)
{
    if (conn->state == ZQ_CONN_IDLE) {
        /* RFC 9112 2.2: one empty line before a request is ignored; here it does not begin one. */
        if (input.p[0] == '\r' && !conn->skipped_crlf) {
            if (input.n == 1)
                return 0;
            if (input.p[1] == '\n') {
                conn->skipped_crlf = true;
                return 2;
            }
        }
        conn->started_us = zq_loop_now_us(conn->server->loop);
    }
    int64_t found = zq_head_scan(&conn->scan, input, conn->server->config);
    if (found > 0) {
        size_t n = (size_t)found;
        accept_head(conn, zq_slice(input.p, n), zq_slice(input.p + n, input.n - n));
        return n;
    }
    if (found < 0) {
        zq_request_refuse_head(conn, input, (unsigned)-found, ZQ_EXCHANGE_REFUSED);
        return input.n;
    }
    if (conn->state == ZQ_CONN_IDLE)
        zq_conn_begin_head(conn);
    return 0;
}
