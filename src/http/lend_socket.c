/* Content that another process writes to the client's socket. */
#include "connection.h"

int zq_exchange_lend_socket(struct zq_exchange *exchange, uint64_t bytes)
{
    struct zq_http_exchange *ex = zq_exchange_of(exchange);
    struct zq_conn *conn = ex->conn;
    bool may = !zq_respond_is_over(ex) && ex->phase == ZQ_RESPONSE_OPEN &&
               ex->framing == ZQ_FRAMING_LENGTH && bytes <= ex->remaining && conn->out.n == 0 &&
               !ex->blocked;

    if (!may)
        return -1;
    conn->socket_lent = true;
    return conn->io.fd;
}

void zq_exchange_returned(struct zq_exchange *exchange, uint64_t bytes, bool full)
{
    struct zq_http_exchange *ex = zq_exchange_of(exchange);
    struct zq_conn *conn = ex->conn;

    if (zq_respond_is_over(ex))
        return;
    ZQ_ASSERT(conn->socket_lent && bytes <= ex->remaining && conn->out.n == 0);
    zq_conn_enter(conn);
    zq_respond_account(ex, bytes);
    ex->blocked = full;
    zq_conn_leave(conn);
}
