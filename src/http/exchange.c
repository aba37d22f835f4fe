#include "connection.h"

#include <stdlib.h>

/* Kept for the next request, each with its arena's first block: as many as a loop is likely to
 * have open at once. */
#define FREE_MAX 256

struct zq_http_exchange *zq_exchange_new(struct zq_conn *conn)
{
    struct zq_http_server *server = conn->server;
    struct zq_http_exchange *ex = server->free_exchanges;
    struct zq_arena arena = {0};
    if (ex != NULL) {
        server->free_exchanges = ex->next_free;
        server->n_free--;
        arena = ex->pub.arena;
    } else if ((ex = malloc(sizeof(*ex))) == NULL) {
        return NULL;
    }
    memset(ex, 0, sizeof(*ex));
    ex->pub.magic = ZQ_EXCHANGE_MAGIC;
    ex->pub.arena = arena;
    ex->conn = conn;
    ex->outcome = ZQ_EXCHANGE_COMPLETE;
    return ex;
}

void zq_exchange_free(struct zq_http_exchange *ex)
{
    struct zq_http_server *server = ex->conn->server;
    ex->pub.magic = 0;
    if (ex->large)
        zq_arena_fini(&ex->pub.arena);
    if (server->n_free >= FREE_MAX) {
        zq_arena_fini(&ex->pub.arena);
        free(ex);
        return;
    }
    zq_arena_reset(&ex->pub.arena);
    ex->next_free = server->free_exchanges;
    server->free_exchanges = ex;
    server->n_free++;
}

/* ---- its end ---- */

static void report(struct zq_http_exchange *ex, enum zq_exchange_end end)
{
    struct zq_http_server *server = ex->conn->server;
    ex->phase = ZQ_RESPONSE_OVER;
    ex->pub.end = end;
    server->handler->on_done(server, &ex->pub);
    ex->pub.magic = 0;
}

static void detach(struct zq_http_exchange *ex)
{
    ex->conn->exchange = NULL;
    zq_exchange_free(ex);
}

static void start_discarding(struct zq_conn *conn)
{
    zq_conn_move(conn, ZQ_CONN_DISCARD);
    zq_conn_timeout(conn, conn->server->config->timeout_request_body);
    zq_conn_resume(conn);
}

void zq_exchange_complete(struct zq_http_exchange *ex)
{
    struct zq_conn *conn = ex->conn;
    bool keep = ex->keep;
    /* While draining, the process may end with its last connection, before the client has all. */
    bool client_ends = !ex->client_keeps && ex->pub.body_done && !ex->followed && !ex->refused &&
                       !conn->server->draining;
    report(ex, ex->outcome);
    if (keep && !ex->pub.body_done) {
        start_discarding(conn);
        return;
    }
    detach(ex);
    if (keep)
        zq_conn_go_idle(conn);
    else if (client_ends)
        zq_linger_if_unread(conn);
    else
        zq_linger_start(conn);
}

void zq_exchange_cut(struct zq_http_exchange *ex, enum zq_exchange_end end)
{
    if (ex->conn->joined > 0)
        zq_respond_withdraw(ex, end);
    else
        zq_exchange_drop(ex, end);
}

void zq_exchange_drop(struct zq_http_exchange *ex, enum zq_exchange_end end)
{
    struct zq_conn *conn = ex->conn;
    /* Where the end of the connection would end the content, only a reset tells the client that
     * it is not the whole (RFC 9112 8). What a client did not take for so long is dropped, too. */
    bool ambiguous = ex->phase == ZQ_RESPONSE_OPEN && ex->framing == ZQ_FRAMING_CLOSE;
    report(ex, end);
    detach(ex);
    zq_conn_close(conn, ambiguous || end == ZQ_EXCHANGE_TIMED_OUT);
}

void zq_exchange_refuse(struct zq_http_exchange *ex, unsigned status, enum zq_exchange_end end)
{
    if (ex->phase != ZQ_RESPONSE_NONE) {
        zq_exchange_cut(ex, end == ZQ_EXCHANGE_REFUSED ? ZQ_EXCHANGE_CUT : end);
        return;
    }
    ex->outcome = end;
    ex->refused = true;
    zq_respond_error(ex, status, 0, ex->conn->server->handler->refused_as);
}

/* ---- its deadlines ---- */

void zq_exchange_expire(struct zq_http_exchange *ex)
{
    int64_t now = zq_conn_now(ex->conn);
    if (ex->read_deadline_ms != 0 && ex->read_deadline_ms <= now) {
        zq_exchange_refuse(ex, 408, ZQ_EXCHANGE_TIMED_OUT);
    } else if (ex->write_deadline_ms != 0 && ex->write_deadline_ms <= now) {
        zq_exchange_drop(ex, ZQ_EXCHANGE_TIMED_OUT);
    } else if (ex->gone_deadline_ms != 0 && ex->gone_deadline_ms <= now) {
        if (ex->gone_progress == ex->progress) {
            zq_exchange_drop(ex, ZQ_EXCHANGE_GONE);
            return;
        }
        ex->gone_progress = ex->progress;
        ex->gone_deadline_ms = now + ZQ_GONE_AFTER_MS;
    }
}

static void settle(struct zq_conn *conn, int64_t *deadline_ms, bool waits, int64_t timeout_ms)
{
    if (!waits)
        *deadline_ms = 0;
    else if (*deadline_ms == 0)
        *deadline_ms = zq_conn_deadline(conn, timeout_ms);
    zq_conn_arm(conn, *deadline_ms);
}

/* How long a client may still be waited for, in all, at the rate it has kept so far: one byte just
 * before each timeout would hold the exchange for days. */
static int64_t patience_ms(const struct zq_http_exchange *ex)
{
    const struct zq_config *config = ex->conn->server->config;
    uint64_t rate = config->limit_request_body_rate;
    int64_t timeout = config->timeout_request_body;
    if (rate == 0 || timeout == 0 || ex->received >= INT64_MAX / 4000)
        return timeout;
    int64_t left = timeout + (int64_t)(ex->received * 1000 / rate) - ex->waited_ms;
    return left < 1 ? 1 : left < timeout ? left : timeout;
}

void zq_exchange_stop_waiting(struct zq_http_exchange *ex)
{
    if (ex->read_deadline_ms != 0)
        ex->waited_ms += zq_conn_now(ex->conn) - ex->waiting_since_ms;
    ex->read_deadline_ms = 0;
}

static void settle_reading(struct zq_http_exchange *ex)
{
    if (!zq_body_wants_read(ex)) {
        zq_exchange_stop_waiting(ex);
    } else if (ex->read_deadline_ms == 0) {
        ex->waiting_since_ms = zq_conn_now(ex->conn);
        ex->read_deadline_ms = zq_conn_deadline(ex->conn, patience_ms(ex));
    }
    zq_conn_arm(ex->conn, ex->read_deadline_ms);
}

void zq_exchange_settle(struct zq_http_exchange *ex)
{
    struct zq_conn *conn = ex->conn;
    const struct zq_config *config = conn->server->config;
    settle_reading(ex);
    settle(conn, &ex->write_deadline_ms, conn->out.n > 0 || ex->blocked, config->timeout_write);
    if (conn->peer_finished && ex->gone_deadline_ms == 0) {
        ex->gone_progress = ex->progress;
        ex->gone_deadline_ms = zq_conn_now(conn) + ZQ_GONE_AFTER_MS;
    }
    zq_conn_arm(conn, ex->gone_deadline_ms);
}

/* ---- the handler's questions ---- */

bool zq_exchange_is_blocked(const struct zq_exchange *exchange)
{
    return ((const struct zq_http_exchange *)(const void *)exchange)->blocked;
}

bool zq_exchange_started(const struct zq_exchange *exchange)
{
    return ((const struct zq_http_exchange *)(const void *)exchange)->phase != ZQ_RESPONSE_NONE;
}

struct zq_http_server *zq_exchange_server(struct zq_exchange *exchange)
{
    return zq_exchange_of(exchange)->conn->server;
}

void zq_exchange_close_after(struct zq_exchange *exchange)
{
    zq_exchange_of(exchange)->closes = true;
}

void zq_exchange_abort(struct zq_exchange *exchange)
{
    struct zq_http_exchange *ex = zq_exchange_of(exchange);
    struct zq_conn *conn = ex->conn;
    if (ex->phase == ZQ_RESPONSE_OVER)
        return;
    zq_conn_enter(conn);
    zq_exchange_cut(ex, ZQ_EXCHANGE_CUT);
    zq_conn_leave(conn);
}
