/* What goes in front of a response: other 1xx, and the 100 that asks for content. */
#include "connection.h"

void zq_exchange_interim(struct zq_exchange *exchange, struct zq_slice block)
{
    struct zq_http_exchange *ex = zq_exchange_of(exchange);
    struct zq_conn *conn = ex->conn;
    if (zq_respond_is_over(ex) || ex->phase != ZQ_RESPONSE_NONE || conn->out.n > conn->joined ||
        ex->pub.request.version_minor == 0)
        return;
    zq_conn_enter(conn);
    if (zq_buf_append(&conn->out, block.p, block.n) != 0 ||
        zq_buf_append(&conn->out, "\r\n", 2) != 0)
        zq_conn_break(conn);
    zq_respond_drain(ex);
    zq_conn_leave(conn);
}

void zq_exchange_want(struct zq_exchange *exchange, uint64_t bytes)
{
    struct zq_http_exchange *ex = zq_exchange_of(exchange);
    struct zq_conn *conn = ex->conn;
    if (zq_respond_is_over(ex) || ex->pub.body_done || (bytes == 0 && !ex->paused))
        return;
    zq_conn_enter(conn);
    ex->asked = true;
    ex->paused = false;
    ex->want = bytes < UINT64_MAX - ex->want ? ex->want + bytes : UINT64_MAX;
    if (ex->continue_pending && conn->in.n == 0) {
        /* RFC 9110 10.1.1; not needed where the content has begun to arrive. */
        struct zq_slice text = ZQ_SLICE("HTTP/1.1 100 Continue\r\n\r\n");
        if (zq_buf_append(&conn->out, text.p, text.n) != 0)
            zq_conn_break(conn);
        zq_respond_drain(ex);
    }
    ex->continue_pending = false;
    zq_conn_resume(conn);
    zq_conn_leave(conn);
}
