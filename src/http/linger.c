/* The last close of a connection whose answer must arrive (RFC 9112 9.6).
 *
 * Closing a socket with unread input, or that gets more of it, sends a reset, and a reset may
 * overtake the answer. So only our half is closed, and what the client is still sending is read and
 * dropped until it closes, too. A client that writes all of a large body before it reads must be
 * let finish, or its write fails and it never looks at the 413: so the bound on bytes is generous
 * (dropping costs no memory), and the one on time counts from the last byte.
 *
 * A client that said close itself must not send anything behind that request (RFC 9112 9.6), so
 * when that was read whole, there is nothing to wait for. */
#include "connection.h"

#include <sys/socket.h>

#define IDLE_MS 1000  /* without a byte */
#define TOTAL_MS 5000 /* in all */
#define BYTES_MAX (64u << 20)

void zq_linger_start(struct zq_conn *conn)
{
    zq_conn_move(conn, ZQ_CONN_LINGER);
    if (!conn->feeding)
        zq_buf_fini(&conn->in); /* else it is dropped by whoever is feeding from it */
    zq_buf_fini(&conn->out);
    if (shutdown(conn->io.fd, SHUT_WR) != 0) {
        zq_conn_close(conn, false); /* the client has reset it */
        return;
    }
    conn->linger_until_ms = zq_conn_now(conn) + TOTAL_MS;
    zq_conn_timeout(conn, IDLE_MS);
}

void zq_linger_if_unread(struct zq_conn *conn)
{
    if (conn->in.n > 0 || zq_conn_has_unread(conn))
        zq_linger_start(conn);
    else
        zq_conn_close(conn, false);
}

size_t zq_linger_feed(struct zq_conn *conn, struct zq_slice input)
{
    int64_t left = conn->linger_until_ms - zq_conn_now(conn);
    conn->lingered_bytes += input.n;
    if (left <= 0 || conn->lingered_bytes > BYTES_MAX)
        zq_conn_close(conn, false);
    else
        zq_conn_timeout(conn, left < IDLE_MS ? left : IDLE_MS);
    return input.n;
}
