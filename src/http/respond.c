/* The response's way out: head, framing and content in one call wherever that is possible.
 *
 * Content stays with the handler until the socket takes it; only framing (the head, chunk sizes) is
 * copied when it does not fit, so that what a slow client holds here is bounded. */
#include "connection.h"
#include "status.h"

#include <stdio.h>

#define IOV_MOST 64       /* as many as zq_transmit takes */
#define CHUNK_SIZE_MAX 20 /* 16 digits, CRLF, and a NUL */

/* What one call offers: framing, content, framing. v[0] is for what waits in front of it. */
struct vec {
    struct iovec v[IOV_MOST];
    int n;
    size_t bytes;
    uint64_t lent; /* by bit: goes by reference */
    char chunk_size[CHUNK_SIZE_MAX];
};

/* Not the whole of it is zeroed: that would cost more than all else here. */
static void vec_init(struct vec *vec)
{
    vec->n = 1;
    vec->bytes = 0;
    vec->lent = 0;
}

static void vec_add(struct vec *vec, const void *p, size_t n)
{
    if (n == 0)
        return;
    ZQ_ASSERT(vec->n < IOV_MOST);
    vec->v[vec->n++] = (struct iovec){.iov_base = (void *)(uintptr_t)p, .iov_len = n};
    vec->bytes += n;
}

/* ---- the socket ---- */

static void made_progress(struct zq_http_exchange *ex, size_t n)
{
    if (n == 0)
        return;
    ex->progress += n;
    ex->write_deadline_ms = 0; /* it starts anew */
}

/* What waits goes first, in the same call. `parting`: what follows is the end of the connection.
 * Returns the bytes of `vec` that were sent. */
static size_t send_vec(struct zq_http_exchange *ex, struct vec *vec, bool parting)
{
    struct zq_conn *conn = ex->conn;
    size_t waiting = conn->out.n;
    if (conn->broken)
        return 0;
    if (waiting == 0) {
        size_t sent =
            zq_transmit(conn, vec->v + 1, vec->n - 1, vec->bytes, vec->lent >> 1, parting);
        made_progress(ex, sent);
        return sent;
    }
    vec->v[0] = (struct iovec){zq_buf_data(&conn->out), waiting};
    size_t sent = zq_transmit(conn, vec->v, vec->n, waiting + vec->bytes, vec->lent, parting);
    size_t first = sent < waiting ? sent : waiting;
    made_progress(ex, sent);
    zq_buf_consume(&conn->out, first);
    conn->joined -= first < conn->joined ? first : conn->joined;
    if (conn->out.n == 0)
        zq_buf_fini(&conn->out);
    return sent - first;
}

bool zq_respond_drain(struct zq_http_exchange *ex)
{
    struct vec vec;
    vec_init(&vec);
    if (ex->conn->out.n > 0)
        send_vec(ex, &vec, false);
    return ex->conn->out.n == 0;
}

/* Copies bytes [from, to) of what was offered to wait for the socket. */
static void stash(struct zq_conn *conn, const struct vec *vec, size_t from, size_t to)
{
    size_t at = 0;
    if (from >= to)
        return;
    for (int i = 1; i < vec->n && at < to; i++) {
        size_t n = vec->v[i].iov_len;
        size_t skip = from > at ? from - at : 0;
        size_t end = to - at < n ? to - at : n;
        if (skip < end &&
            zq_buf_append(&conn->out, (const char *)vec->v[i].iov_base + skip, end - skip) != 0)
            zq_conn_break(conn);
        at += n;
    }
}

/* ---- joining the responses of pipelined requests ---- */

/* Of one response, and of all that wait: what is longer is sent by itself, uncopied. */
#define JOIN_MAX (8u << 10)
#define JOINED_MAX (64u << 10)

/* The last of a response, and the next exchange begins as soon as this one is over: it sends both,
 * or what was joined is sent when all input was taken. */
static bool may_join(const struct zq_http_exchange *ex, const struct vec *vec)
{
    const struct zq_conn *conn = ex->conn;
    return ex->next_is_whole && conn->feeding && !conn->last_of_turn && ex->keep && !conn->broken &&
           vec->bytes <= JOIN_MAX && conn->out.n + vec->bytes <= JOINED_MAX;
}

static void join(struct zq_conn *conn, const struct vec *vec)
{
    if (conn->out.n == 0)
        zq_buf_reserve(&conn->out, JOIN_MAX); /* at once, where there is memory */
    stash(conn, vec, 0, vec->bytes);
    conn->joined = conn->out.n;
}

void zq_respond_withdraw(struct zq_http_exchange *ex, enum zq_exchange_end end)
{
    struct zq_conn *conn = ex->conn;
    conn->out.n = conn->joined;
    ex->outcome = end;
    ex->refused = true;
    ex->keep = ex->blocked = false;
    ex->phase = ZQ_RESPONSE_WRITTEN;
    zq_respond_flush(ex);
}

/* ---- content ---- */

/* A place in the handler's content. */
struct cursor {
    const struct iovec *v;
    int n;
    size_t skip; /* of v[0] */
    size_t left;
};

/* Adds content, at most `most` bytes, without moving the cursor: two slots stay free. */
static size_t add_content(const struct zq_http_server *server, struct vec *vec,
                          const struct cursor *from, uint64_t most)
{
    size_t skip = from->skip, added = 0;
    for (int i = 0; i < from->n && added < most && vec->n < IOV_MOST - 2; i++) {
        size_t n = from->v[i].iov_len - skip;
        if (n > most - added)
            n = (size_t)(most - added);
        const char *p = (const char *)from->v[i].iov_base + skip;
        vec->lent |= (uint64_t)zq_may_lend(server, p, n) << vec->n;
        vec_add(vec, p, n);
        added += n;
        skip = 0;
    }
    return added;
}

static void advance(struct cursor *cursor, size_t bytes)
{
    cursor->left -= bytes;
    bytes += cursor->skip;
    while (cursor->n > 0 && bytes >= cursor->v->iov_len) {
        bytes -= cursor->v->iov_len;
        cursor->v++;
        cursor->n--;
    }
    cursor->skip = bytes;
}

/* RFC 9112 7.1. A chunk is as large as what was offered when it was begun; how much of it the
 * socket has still to take is remembered. */
static void begin_chunk(struct zq_http_exchange *ex, struct vec *vec, size_t size)
{
    if (!(ex->framing == ZQ_FRAMING_CHUNKED && ex->chunk_left == 0 && size > 0))
        return;
    int n = snprintf(vec->chunk_size, sizeof(vec->chunk_size), "%zx\r\n", size);
    vec_add(vec, vec->chunk_size, (size_t)n);
    ex->chunk_left = size;
}

static void end_chunk(struct zq_http_exchange *ex, struct vec *vec, size_t content, bool last)
{
    if (ex->framing != ZQ_FRAMING_CHUNKED)
        return;
    if (content > 0 && content == ex->chunk_left)
        vec_add(vec, "\r\n", 2);
    if (last)
        vec_add(vec, "0\r\n\r\n", 5);
}

static void account(struct zq_http_exchange *ex, size_t taken)
{
    ex->pub.body_bytes += taken;
    if (ex->framing == ZQ_FRAMING_CHUNKED)
        ex->chunk_left -= taken;
    else if (ex->framing == ZQ_FRAMING_LENGTH)
        ex->remaining -= taken;
}

void zq_respond_account(struct zq_http_exchange *ex, uint64_t content)
{
    made_progress(ex, content);
    account(ex, content);
}

/* Sends `vec` (a head, or nothing) and content behind it, once. Returns false when the socket is
 * full. */
static bool send_once(struct zq_http_exchange *ex, struct vec *vec, struct cursor *cursor, bool end)
{
    begin_chunk(ex, vec, cursor->left);
    size_t framing = vec->bytes;
    uint64_t most = ex->framing == ZQ_FRAMING_CHUNKED ? ex->chunk_left : UINT64_MAX;
    size_t content = add_content(ex->conn->server, vec, cursor, most);
    bool last = end && content == cursor->left;
    end_chunk(ex, vec, content, last);

    size_t sent = vec->bytes;
    if (last && may_join(ex, vec))
        join(ex->conn, vec);
    else if (vec->bytes > 0)
        sent = send_vec(ex, vec, last && !ex->keep);
    size_t taken = sent > framing ? sent - framing : 0;
    if (taken > content)
        taken = content;
    if (taken == content)
        stash(ex->conn, vec, sent, vec->bytes);
    else if (sent < framing)
        stash(ex->conn, vec, sent, framing);
    account(ex, taken);
    advance(cursor, taken);
    return sent == vec->bytes;
}

static void finish(struct zq_http_exchange *ex)
{
    ex->phase = ZQ_RESPONSE_WRITTEN;
    ex->blocked = false;
    if (!ex->conn->broken && ex->conn->out.n == ex->conn->joined)
        zq_exchange_complete(ex);
}

/* Content that is not of the announced length must not look complete to the client. */
static bool length_is_wrong(const struct zq_http_exchange *ex, size_t offered, bool end)
{
    if (ex->framing == ZQ_FRAMING_CHUNKED)
        return end && offered < ex->chunk_left;
    if (ex->framing != ZQ_FRAMING_LENGTH)
        return false;
    return offered > ex->remaining || (end && offered < ex->remaining);
}

/* The exchange may be over when this returns. */
static size_t send_content(struct zq_http_exchange *ex, struct vec *vec, const struct iovec *body,
                           int n, bool end)
{
    size_t offered = zq_iov_bytes(body, n);
    struct cursor cursor = {body, n, 0, offered};
    if (ex->framing == ZQ_FRAMING_NONE)
        cursor = (struct cursor){0};
    if (length_is_wrong(ex, cursor.left, end)) {
        zq_exchange_cut(ex, ZQ_EXCHANGE_CUT);
        return offered;
    }
    while (send_once(ex, vec, &cursor, end) && cursor.left > 0)
        vec_init(vec);
    if (ex->conn->broken)
        return offered; /* on_done is on its way */
    size_t left = cursor.left;
    ex->blocked = left > 0;
    if (end && left == 0)
        finish(ex);
    return offered - left;
}

/* ---- the head ---- */

static bool is_last(struct zq_http_exchange *ex)
{
    struct zq_conn *conn = ex->conn;
    if (!conn->server->draining)
        return false;
    return !ex->followed || conn->last_ones++ >= ZQ_LAST_ONES_MAX;
}

static void choose_framing(struct zq_http_exchange *ex, const struct zq_response_head *head)
{
    const struct zq_request *request = &ex->pub.request;
    if (request->method_id == ZQ_METHOD_HEAD || head->status == 204 || head->status == 304) {
        ex->framing = ZQ_FRAMING_NONE;
    } else if (head->content_length >= 0) {
        ex->framing = ZQ_FRAMING_LENGTH;
        ex->remaining = (uint64_t)head->content_length;
    } else {
        ex->framing = request->version_minor > 0 ? ZQ_FRAMING_CHUNKED : ZQ_FRAMING_CLOSE;
    }
    /* Behind what was refused, where the next request would begin is not known. */
    ex->keep = ex->client_keeps && !ex->refused && !ex->closes && !head->close &&
               ex->framing != ZQ_FRAMING_CLOSE && zq_body_is_droppable(ex) && !is_last(ex);
}

/* RFC 9110 8.6: none with 204; with 304 only that of the 200, which 0 hardly is. */
static bool shows_length(const struct zq_response_head *head)
{
    if (head->content_length < 0 || head->status == 204)
        return false;
    return head->status != 304 || head->content_length > 0;
}

static const char *connection_field(const struct zq_http_exchange *ex)
{
    if (!ex->keep)
        return "Connection: close\r\n";
    return ex->pub.request.version_minor == 0 ? "Connection: keep-alive\r\n" : "";
}

/* Five lines of at most 40 bytes. */
#define HEAD_TEXT_SIZE 256

static void add_head(struct zq_http_exchange *ex, struct vec *vec, char text[HEAD_TEXT_SIZE],
                     const struct zq_response_head *head)
{
    char *to = text;
    if (shows_length(head))
        to = zq_put_text(
            zq_put_number(zq_put_text(to, "Content-Length: "), (uint64_t)head->content_length),
            "\r\n");
    if (head->age >= 0)
        to = zq_put_text(zq_put_number(zq_put_text(to, "Age: "), (uint64_t)head->age), "\r\n");
    if (ex->framing == ZQ_FRAMING_CHUNKED)
        to = zq_put_text(to, "Transfer-Encoding: chunked\r\n");
    to = zq_put_text(to, connection_field(ex));
    to = zq_put_text(to, head->cache_status.n > 0 ? "Cache-Status: " : "\r\n");
    vec_add(vec, head->block.p, head->block.n);
    vec_add(vec, text, (size_t)(to - text));
    if (head->cache_status.n > 0) {
        vec_add(vec, head->cache_status.p, head->cache_status.n);
        vec_add(vec, "\r\n\r\n", 4);
    }
}

static size_t start(struct zq_http_exchange *ex, const struct zq_response_head *head,
                    const struct iovec *body, int n, bool end)
{
    struct vec vec;
    char text[HEAD_TEXT_SIZE];
    vec_init(&vec);
    ZQ_ASSERT(ex->phase == ZQ_RESPONSE_NONE);
    ZQ_ASSERT(head->status >= 200 && head->status <= 999);
    choose_framing(ex, head);
    add_head(ex, &vec, text, head);
    ex->phase = ZQ_RESPONSE_OPEN;
    ex->pub.status = head->status;
    ex->continue_pending = false;
    return send_content(ex, &vec, body, n, end);
}

/* ---- the handler's calls ---- */

bool zq_respond_is_over(const struct zq_http_exchange *ex)
{
    return ex->refused || ex->conn->broken || ex->phase == ZQ_RESPONSE_OVER;
}

void zq_respond_whole(struct zq_http_exchange *ex, const struct zq_response_head *head,
                      struct zq_slice body)
{
    struct zq_conn *conn = ex->conn;
    struct iovec v = {(void *)(uintptr_t)body.p, body.n};
    size_t accepted = start(ex, head, &v, 1, true);
    if (accepted == body.n)
        return;
    if (zq_buf_append(&conn->out, body.p + accepted, body.n - accepted) != 0)
        zq_conn_break(conn);
    account(ex, body.n - accepted);
    finish(ex);
}

size_t zq_exchange_start(struct zq_exchange *exchange, const struct zq_response_head *head,
                         const struct iovec *body, int n, bool end)
{
    struct zq_http_exchange *ex = zq_exchange_of(exchange);
    struct zq_conn *conn = ex->conn;
    if (zq_respond_is_over(ex))
        return zq_iov_bytes(body, n);
    zq_conn_enter(conn);
    size_t accepted = start(ex, head, body, n, end);
    zq_conn_leave(conn);
    return accepted;
}

size_t zq_exchange_write(struct zq_exchange *exchange, const struct iovec *body, int n, bool end)
{
    struct zq_http_exchange *ex = zq_exchange_of(exchange);
    struct zq_conn *conn = ex->conn;
    struct vec vec;
    vec_init(&vec);
    if (zq_respond_is_over(ex))
        return zq_iov_bytes(body, n);
    ZQ_ASSERT(ex->phase == ZQ_RESPONSE_OPEN);
    zq_conn_enter(conn);
    size_t accepted = send_content(ex, &vec, body, n, end);
    zq_conn_leave(conn);
    return accepted;
}

void zq_respond_flush(struct zq_http_exchange *ex)
{
    struct zq_conn *conn = ex->conn;
    if (!zq_respond_drain(ex) || conn->broken)
        return;
    if (ex->phase == ZQ_RESPONSE_WRITTEN) {
        zq_exchange_complete(ex);
    } else if (ex->blocked) {
        ex->blocked = false;
        conn->server->handler->on_writable(&ex->pub);
    }
}
