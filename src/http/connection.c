#include "connection.h"

#include "zq/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Pipelined requests that are answered at once are taken one after the other, but after so many
 * the other connections come first. */
#define REQUESTS_A_TURN 32
/* A body's framing is read along with the content that was asked for. */
#define READ_LEAST 4096
#define READS_A_TURN 16 /* of one client's content */

/* ---- states ---- */

/* What bytes, time and the end of the input mean depends on the state alone. */
struct state {
    const char *name;
    unsigned moves; /* the states it may go to, a bit each */
    size_t (*feed)(struct zq_conn *conn, struct zq_slice input); /* returns the bytes used */
    void (*expire)(struct zq_conn *conn);
    void (*finished)(struct zq_conn *conn); /* the client sends no more, and all was read */
};

static void close_plainly(struct zq_conn *conn)
{
    zq_conn_close(conn, false);
}

static void head_expired(struct zq_conn *conn)
{
    zq_request_refuse_head(conn, zq_slice(zq_buf_data(&conn->in), conn->in.n), 408,
                           ZQ_EXCHANGE_TIMED_OUT);
}

static void exchange_expired(struct zq_conn *conn)
{
    zq_exchange_expire(conn->exchange);
}

/* In the middle of a body: there is nothing to answer, but those in front of it. */
static void exchange_finished(struct zq_conn *conn)
{
    zq_exchange_cut(conn->exchange, ZQ_EXCHANGE_GONE);
}

static size_t closed_feed(struct zq_conn *conn, struct zq_slice input)
{
    (void)conn;
    return input.n;
}

#define TO(name) (1u << ZQ_CONN_##name)

static const struct state states[ZQ_CONN_STATE_COUNT] = {
    [ZQ_CONN_IDLE] = {"idle", TO(HEAD) | TO(EXCHANGE) | TO(CLOSED), zq_request_feed_head,
                      close_plainly, close_plainly},
    [ZQ_CONN_HEAD] = {"head", TO(EXCHANGE) | TO(CLOSED), zq_request_feed_head, head_expired,
                      close_plainly},
    [ZQ_CONN_EXCHANGE] = {"exchange", TO(IDLE) | TO(DISCARD) | TO(LINGER) | TO(CLOSED),
                          zq_body_feed, exchange_expired, exchange_finished},
    [ZQ_CONN_DISCARD] = {"discard", TO(IDLE) | TO(LINGER) | TO(CLOSED), zq_body_discard,
                         close_plainly, close_plainly},
    [ZQ_CONN_LINGER] = {"linger", TO(CLOSED), zq_linger_feed, close_plainly, close_plainly},
    [ZQ_CONN_CLOSED] = {"closed", 0, closed_feed, NULL, NULL},
};

static const struct state *state_of(const struct zq_conn *conn)
{
    return &states[conn->state];
}

void zq_conn_move(struct zq_conn *conn, enum zq_conn_state state)
{
    ZQ_CHECK(conn, ZQ_CONN_MAGIC);
    ZQ_ASSERT(state_of(conn)->moves & (1u << state));
    if (zq_log_enabled(ZQ_LOG_DEBUG))
        zq_log(ZQ_LOG_DEBUG, "connection %d: %s, then %s", conn->io.fd, state_of(conn)->name,
               states[state].name);
    conn->state = (uint8_t)state;
}

/* ---- deadlines ---- */

void zq_conn_arm(struct zq_conn *conn, int64_t deadline_ms)
{
    if (deadline_ms == 0)
        return;
    if (conn->timer.deadline_ms == 0 || conn->timer.deadline_ms > deadline_ms)
        zq_timer_set(conn->server->loop, &conn->timer, deadline_ms - zq_conn_now(conn));
}

void zq_conn_timeout(struct zq_conn *conn, int64_t timeout_ms)
{
    if (timeout_ms > 0)
        zq_timer_set(conn->server->loop, &conn->timer, timeout_ms);
    else
        zq_timer_cancel(conn->server->loop, &conn->timer);
}

static void on_expire(struct zq_timer *timer)
{
    struct zq_conn *conn = ZQ_CONTAINER(timer, struct zq_conn, timer);
    zq_conn_enter(conn);
    state_of(conn)->expire(conn);
    zq_conn_leave(conn);
}

/* ---- input ---- */

/* Responses that were joined do not wait for an application. Whoever answered has sent them. */
static void push_joined(struct zq_conn *conn)
{
    if (conn->state == ZQ_CONN_CLOSED)
        return;
    ZQ_ASSERT(conn->state == ZQ_CONN_EXCHANGE);
    if (conn->exchange->phase == ZQ_RESPONSE_NONE)
        zq_respond_drain(conn->exchange);
}

/* Gives the state what there is until it takes no more. Returns the bytes used. */
static size_t feed(struct zq_conn *conn, struct zq_slice input)
{
    size_t used = 0;
    unsigned requests = 0;
    conn->feeding = true;
    while (used < input.n) {
        if (conn->state == ZQ_CONN_IDLE && requests++ >= REQUESTS_A_TURN) {
            zq_loop_defer(conn->server->loop, &conn->resume);
            break;
        }
        conn->last_of_turn = requests >= REQUESTS_A_TURN;
        size_t step = state_of(conn)->feed(conn, zq_slice(input.p + used, input.n - used));
        if (step == 0)
            break;
        used += step;
    }
    conn->feeding = false;
    if (conn->joined > 0)
        push_joined(conn);
    return used;
}

static void feed_kept(struct zq_conn *conn)
{
    size_t used = feed(conn, zq_slice(zq_buf_data(&conn->in), conn->in.n));
    if (conn->state == ZQ_CONN_CLOSED)
        return;
    zq_buf_consume(&conn->in, used);
    if (conn->in.n == 0)
        zq_buf_fini(&conn->in);
}

/* The connection is of no use any more. */
static void fail(struct zq_conn *conn)
{
    if (conn->state == ZQ_CONN_EXCHANGE)
        zq_exchange_drop(conn->exchange, ZQ_EXCHANGE_GONE);
    else
        zq_conn_close(conn, false);
}

static void keep(struct zq_conn *conn, const char *p, size_t n)
{
    if (conn->state != ZQ_CONN_CLOSED && n > 0 && zq_buf_append(&conn->in, p, n) != 0)
        fail(conn);
}

static void take(struct zq_conn *conn, const char *p, size_t n)
{
    conn->fresh = false;
    if (conn->in.n > 0) {
        keep(conn, p, n);
        if (conn->state != ZQ_CONN_CLOSED)
            feed_kept(conn);
        return;
    }
    size_t used = feed(conn, zq_slice(p, n));
    keep(conn, p + used, n - used);
}

static bool wants_content(const struct zq_conn *conn)
{
    return conn->state == ZQ_CONN_EXCHANGE && zq_body_wants_read(conn->exchange);
}

static size_t read_size(const struct zq_conn *conn)
{
    if (conn->state != ZQ_CONN_EXCHANGE || conn->exchange->want >= ZQ_SCRATCH_SIZE)
        return ZQ_SCRATCH_SIZE;
    return conn->exchange->want > READ_LEAST ? conn->exchange->want : READ_LEAST;
}

/* Content with a known length is read right to where it is wanted: there is no framing in it.
 * NULL: it has to wait. */
static char *read_place(struct zq_conn *conn, size_t *size)
{
    if (conn->state == ZQ_CONN_EXCHANGE && conn->in.n == 0) {
        char *place = zq_body_room(conn->exchange, size);
        if (place != NULL || conn->exchange->paused)
            return place;
    }
    *size = read_size(conn);
    return conn->server->scratch;
}

/* True when all the room was filled, so that there may be more of the content that is wanted. */
static bool read_some(struct zq_conn *conn)
{
    size_t size;
    char *place = read_place(conn, &size);
    if (place == NULL)
        return false;
    ssize_t n = recv(conn->io.fd, place, size, MSG_DONTWAIT);
    if (n > 0) {
        take(conn, place, (size_t)n);
        return (size_t)n == size && wants_content(conn);
    }
    if (n == 0) {
        conn->peer_finished = true;
        state_of(conn)->finished(conn);
    } else if (errno != EAGAIN && errno != EINTR) {
        fail(conn);
    }
    return false;
}

/* A client's content is read while there is more of it: what comes in one turn is one part for the
 * application, and is in the caches still when it is passed on. */
static void read_all(struct zq_conn *conn)
{
    for (unsigned n = 0; n < READS_A_TURN && read_some(conn); n++)
        ;
}

static bool reads(const struct zq_conn *conn)
{
    if (conn->resume.pending)
        return false; /* what was read already comes first */
    return conn->state != ZQ_CONN_EXCHANGE || zq_body_wants_read(conn->exchange);
}

static bool is_paused(const struct zq_conn *conn)
{
    return conn->state == ZQ_CONN_EXCHANGE && conn->exchange->paused;
}

void zq_conn_resume(struct zq_conn *conn)
{
    if (conn->in.n > 0 && !conn->feeding)
        zq_loop_defer(conn->server->loop, &conn->resume);
}

static void on_resume(struct zq_defer *defer)
{
    struct zq_conn *conn = ZQ_CONTAINER(defer, struct zq_conn, resume);
    zq_conn_enter(conn);
    if (conn->broken)
        fail(conn);
    else
        feed_kept(conn);
    if (wants_content(conn))
        read_all(conn);
    zq_conn_leave(conn);
}

/* ---- events ---- */

/* While a request is being answered, the end of the client's input is watched for, but not its
 * input; EPOLLIN is dropped only when there is some, since most clients send none by then. So most
 * exchanges change nothing here. */
static uint32_t interest(const struct zq_conn *conn)
{
    uint32_t events = reads(conn) || !conn->deaf ? EPOLLIN : 0;
    if (!conn->peer_finished)
        events |= EPOLLRDHUP;
    if (conn->state == ZQ_CONN_EXCHANGE && (conn->out.n > 0 || conn->exchange->blocked))
        events |= EPOLLOUT;
    return events;
}

static void handle(struct zq_conn *conn, uint32_t events)
{
    if (conn->state == ZQ_CONN_EXCHANGE && (events & (EPOLLERR | EPOLLHUP)) != 0) {
        fail(conn);
        return;
    }
    if (conn->state == ZQ_CONN_EXCHANGE && (events & EPOLLOUT) != 0)
        zq_respond_flush(conn->exchange);
    if (conn->state == ZQ_CONN_EXCHANGE && (events & EPOLLRDHUP) != 0)
        conn->peer_finished = true; /* elsewhere, reading comes to it */
    if (conn->state == ZQ_CONN_CLOSED || (events & ~(uint32_t)EPOLLOUT) == 0)
        return;
    conn->deaf = !reads(conn);
    if (conn->deaf)
        return;
    read_all(conn);
    conn->deaf = is_paused(conn); /* else it would be told of again and again */
}

static void on_event(struct zq_io *io, uint32_t events)
{
    struct zq_conn *conn = ZQ_CONTAINER(io, struct zq_conn, io);
    zq_conn_enter(conn);
    handle(conn, events);
    zq_conn_leave(conn);
}

/* ---- life ---- */

void zq_conn_new(struct zq_http_server *server, int fd)
{
    int on = 1;
    struct zq_conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL) {
        close(fd);
        return;
    }
    conn->magic = ZQ_CONN_MAGIC;
    conn->server = server;
    conn->fresh = true;
    conn->io.on_event = on_event;
    conn->timer.on_expire = on_expire;
    conn->resume.on_turn_end = on_resume;
    if (zq_loop_add(server->loop, &conn->io, fd, EPOLLIN | EPOLLRDHUP) != 0) {
        close(fd);
        free(conn);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails for Unix sockets: fine */
    zq_list_append(&server->connections, &conn->node);
    server->n_connections++;
    zq_conn_take_place(conn);
    int64_t timeout = server->config->timeout_request_header;
    if (server->draining && (timeout == 0 || timeout > ZQ_DRAIN_PATIENCE_MS))
        timeout = ZQ_DRAIN_PATIENCE_MS;
    zq_conn_timeout(conn, timeout);
}

void zq_conn_enter(struct zq_conn *conn)
{
    ZQ_CHECK(conn, ZQ_CONN_MAGIC);
    ZQ_ASSERT(conn->inside < UINT8_MAX);
    conn->inside++;
}

static void conn_free(struct zq_conn *conn)
{
    struct zq_http_server *server = conn->server;
    zq_list_remove(&conn->node);
    server->n_connections--;
    if (conn->placed)
        atomic_fetch_sub_explicit(server->taken, 1, memory_order_relaxed);
    if (conn->exchange != NULL)
        zq_exchange_free(conn->exchange);
    zq_buf_fini(&conn->in);
    zq_buf_fini(&conn->out);
    free(conn->peer);
    conn->magic = 0;
    free(conn);
    zq_http_server_check_empty(server);
}

void zq_conn_leave(struct zq_conn *conn)
{
    ZQ_CHECK(conn, ZQ_CONN_MAGIC);
    if (conn->inside > 1) {
        conn->inside--;
        return;
    }
    if (conn->state == ZQ_CONN_EXCHANGE)
        zq_exchange_settle(conn->exchange);
    else if (conn->state == ZQ_CONN_IDLE && conn->server->draining && !conn->fresh &&
             conn->in.n == 0)
        zq_conn_close_idle(conn);
    conn->inside--;
    if (conn->state == ZQ_CONN_CLOSED)
        conn_free(conn);
    else
        zq_loop_modify(conn->server->loop, &conn->io, interest(conn));
}

void zq_conn_close(struct zq_conn *conn, bool reset)
{
    if (conn->state == ZQ_CONN_CLOSED)
        return;
    int fd = conn->io.fd;
    zq_conn_move(conn, ZQ_CONN_CLOSED);
    zq_timer_cancel(conn->server->loop, &conn->timer);
    zq_loop_undefer(conn->server->loop, &conn->resume);
    zq_loop_remove(conn->server->loop, &conn->io);
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    if (conn->socket_lent)
        shutdown(fd, SHUT_RDWR);
    close(fd);
}

void zq_conn_break(struct zq_conn *conn)
{
    conn->broken = true;
    zq_loop_defer(conn->server->loop, &conn->resume);
}

bool zq_conn_has_unread(const struct zq_conn *conn)
{
    char byte;
    return recv(conn->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void zq_conn_close_idle(struct zq_conn *conn)
{
    if (!zq_conn_has_unread(conn))
        zq_conn_close(conn, false);
}

void zq_conn_go_idle(struct zq_conn *conn)
{
    conn->scan = (struct zq_head_scan){0};
    conn->skipped_crlf = false;
    zq_conn_move(conn, ZQ_CONN_IDLE);
    zq_conn_timeout(conn, conn->server->config->timeout_keep_alive);
    zq_conn_resume(conn);
}

void zq_conn_begin_head(struct zq_conn *conn)
{
    zq_conn_move(conn, ZQ_CONN_HEAD);
    zq_conn_timeout(conn, conn->server->config->timeout_request_header);
}
