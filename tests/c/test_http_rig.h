/* A server over socketpairs whose handler acts as the path says, and a client beside it in the same
 * thread: for tests that read as a conversation.
 *
 *   say("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
 *   hear(OK_HELLO);
 */
#ifndef ZQ_TEST_HTTP_RIG_H
#define ZQ_TEST_HTTP_RIG_H

#include "zq/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, fields, body) "POST " path " HTTP/1.1\r\nHost: a\r\n" fields "\r\n" body
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define REPLY(length, body) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body
#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define LAST_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"

static struct rig {
    struct zq_loop *loop;
    struct zq_http_server *server;
    struct zq_config config;
    int client;
    struct zq_buf heard;         /* by the client, not yet expected */
    bool hung_up;                /* the client has read the end */
    bool reset;                  /* … which was a reset */
    char log[8192];              /* a line an exchange */
    struct zq_exchange *kept[4]; /* of /later, in their order */
    size_t n_kept;
    bool empty; /* on_empty came */
    int turns_left;
    char room[4096];  /* where on_body gets content from, */
    size_t room_size; /* if this is not 0, */
    size_t in_room;   /* and so many bytes were; */
    bool no_room;     /* or content waits */
    const char *big;  /* where what /big sends lies; NULL: it is made on the way */
} rig;

/* Time stands still but in wait_ms, so that a busy machine changes no test; those with threads of
 * their own set `real_time`. */
static bool real_time;
static int64_t stopped_at_us = 1000000000;
int clock_gettime(clockid_t clock, struct timespec *t);

int clock_gettime(clockid_t clock, struct timespec *t)
{
    if (clock != CLOCK_MONOTONIC || real_time)
        return (int)syscall(SYS_clock_gettime, clock, t);
    t->tv_sec = stopped_at_us / 1000000;
    t->tv_nsec = stopped_at_us % 1000000 * 1000;
    return 0;
}

/* The kernel's send and sendmsg, but short when the test says so: at most so many bytes are taken,
 * and none every other time; or none at all. */
static unsigned sends;
static int send_flags; /* of the last */
static bool socket_is_full;
static size_t send_at_most;
static bool refuse_this_time;
static int64_t send_us; /* what each byte takes */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct iovec v[128];
    struct msghdr less = *message;
    size_t left = send_at_most;
    assert_true(message->msg_iovlen <= ZQ_ARRAY_SIZE(v));
    sends++;
    send_flags = flags;
    if (socket_is_full) {
        errno = EAGAIN;
        return -1;
    }
    for (size_t i = 0; i < message->msg_iovlen; i++)
        stopped_at_us += send_us * (int64_t)message->msg_iov[i].iov_len;
    if (send_at_most == 0)
        return syscall(SYS_sendmsg, fd, message, flags);
    refuse_this_time = !refuse_this_time;
    if (refuse_this_time) {
        errno = EAGAIN;
        return -1;
    }
    less.msg_iov = v;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        v[i] = message->msg_iov[i];
        if (v[i].iov_len > left)
            v[i].iov_len = left;
        left -= v[i].iov_len;
    }
    return syscall(SYS_sendmsg, fd, &less, flags);
}

/* The server's; clients send what the kernel takes. */
ssize_t send(int fd, const void *p, size_t n, int flags);

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    struct iovec v = {(void *)(uintptr_t)p, n};

    if (fd == rig.client || !(flags & MSG_DONTWAIT))
        return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
    return sendmsg(fd, &(struct msghdr){.msg_iov = &v, .msg_iovlen = 1}, flags);
}

/* What /big sends: byte i of it. */
static inline char big_byte(size_t i)
{
    return (char)('a' + i % 23);
}

/* Of an exchange: what it has read, or has still to send. */
struct errand {
    struct zq_buf body;
    size_t sent, total;
    struct zq_buf rest; /* of a reply that the socket did not take */
    int part;           /* of /stream: the one being written, and how much of it was taken */
    size_t part_sent;
};

static inline struct errand *errand_of(struct zq_exchange *ex)
{
    if (ex->user == NULL)
        ex->user = calloc(1, sizeof(struct errand));
    assert_non_null(ex->user);
    return ex->user;
}

/* Starts a response; with `end`, the rest is sent when there is room. */
static inline void reply(struct zq_exchange *ex, unsigned status, int64_t length,
                         struct zq_slice body, bool end)
{
    struct errand *errand = errand_of(ex);
    char block[64];
    int n = snprintf(block, sizeof(block), "HTTP/1.1 %u %s\r\n", status, zq_http_reason(status));
    struct zq_response_head head = {
        .status = status,
        .block = {block, (size_t)n},
        .content_length = length,
        .age = -1,
        .close = zq_slice_eq(ex->request.query, ZQ_SLICE("close")),
    };
    struct iovec v = {(void *)(uintptr_t)body.p, body.n};
    struct zq_buf rest = {0};
    zq_buf_append(&rest, body.p, body.n); /* before it is known whether the exchange survives */
    size_t accepted = zq_exchange_start(ex, &head, &v, 1, end);
    zq_buf_consume(&rest, accepted);
    if (rest.n > 0)
        errand->rest = rest;
    else
        zq_buf_fini(&rest);
}

static inline void reply_text(struct zq_exchange *ex, struct zq_slice body)
{
    reply(ex, 200, (int64_t)body.n, body, true);
}

static inline size_t write_text(struct zq_exchange *ex, struct zq_slice text, bool end)
{
    struct iovec v = {(void *)(uintptr_t)text.p, text.n};
    return zq_exchange_write(ex, &v, 1, end);
}

/* ---- the handler's errands, by path ---- */

static inline void describe(struct zq_exchange *ex)
{
    const struct zq_request *r = &ex->request;
    struct zq_buf text = {0};
#define S(slice) (int)(slice).n, (slice).p
    zq_buf_printf(&text, "%.*s|%.*s|%.*s|%.*s|1.%u|%.*s|%d|%d|%lld\n", S(r->method), S(r->target),
                  S(r->path), S(r->query), r->version_minor, S(r->host), r->has_body,
                  r->expect_continue, (long long)r->content_length);
    for (size_t i = 0; i < r->fields.n; i++)
        zq_buf_printf(&text, "%.*s=[%.*s]\n", S(r->fields.v[i].name), S(r->fields.v[i].value));
#undef S
    reply_text(ex, zq_slice(zq_buf_data(&text), text.n));
    zq_buf_fini(&text);
}

/* In two pieces. */
static inline void send_big_as_it_lies(struct zq_exchange *ex)
{
    struct errand *errand = errand_of(ex);
    char *p = (char *)(uintptr_t)rig.big + errand->sent;
    size_t n = errand->total - errand->sent;
    struct iovec v[2] = {{p, n / 2}, {p + n / 2, n - n / 2}};
    size_t accepted = zq_exchange_write(ex, v, 2, true);
    if (accepted < n)
        errand->sent += accepted;
}

static inline void send_big(struct zq_exchange *ex)
{
    struct errand *errand = errand_of(ex);
    char part[5000];
    if (rig.big != NULL) {
        send_big_as_it_lies(ex);
        return;
    }
    while (errand->sent < errand->total) {
        size_t n = errand->total - errand->sent;
        if (n > sizeof(part))
            n = sizeof(part);
        for (size_t i = 0; i < n; i++)
            part[i] = big_byte(errand->sent + i);
        bool end = errand->sent + n == errand->total;
        struct iovec v[3] = {{part, n / 3}, {part + n / 3, 0}, {part + n / 3, n - n / 3}};
        size_t total = errand->total, sent = errand->sent;
        size_t accepted = zq_exchange_write(ex, v, 3, end);
        if (sent + accepted == total)
            return; /* on_done has freed the errand, perhaps */
        errand->sent += accepted;
        if (accepted < n)
            return;
    }
}

static inline void start_big(struct zq_exchange *ex, bool chunked)
{
    struct errand *errand = errand_of(ex);
    errand->total = (size_t)atoi(ex->request.query.p);
    reply(ex, 200, chunked ? -1 : (int64_t)errand->total, (struct zq_slice){0}, false);
    send_big(ex);
}

/* Content in parts, the last of them empty, as applications like to end. */
static inline void stream(struct zq_exchange *ex)
{
    static const char *const parts[] = {"one", "twotwotwotwotwotwo", "", "three", ""};
    struct errand *errand = errand_of(ex);
    for (;;) {
        const char *part = parts[errand->part] + errand->part_sent;
        bool end = errand->part == (int)ZQ_ARRAY_SIZE(parts) - 1;
        size_t accepted = write_text(ex, zq_slice_str(part), end);
        if (end)
            return; /* nothing was offered, so all was taken */
        errand->part_sent += accepted;
        if (accepted < strlen(part))
            return;
        errand->part++;
        errand->part_sent = 0;
    }
}

static inline bool is(struct zq_exchange *ex, const char *path)
{
    return zq_slice_eq(ex->request.path, zq_slice_str(path));
}

static inline void on_request(struct zq_http_server *server, struct zq_exchange *ex)
{
    assert_ptr_equal(zq_exchange_server(ex), server);
    assert_false(zq_exchange_started(ex));
    if (is(ex, "/describe") || is(ex, "*"))
        describe(ex);
    else if (is(ex, "/echo"))
        ex->request.has_body ? zq_exchange_want(ex, 1000) : reply_text(ex, ZQ_SLICE("nothing"));
    else if (is(ex, "/sip")) /* a byte at a time */
        zq_exchange_want(ex, 1);
    else if (is(ex, "/later") || is(ex, "/half"))
        rig.kept[rig.n_kept++] = ex;
    else if (is(ex, "/big"))
        start_big(ex, false);
    else if (is(ex, "/chunks"))
        start_big(ex, true);
    else if (is(ex, "/stream")) {
        reply(ex, 200, -1, (struct zq_slice){0}, false);
        stream(ex);
    } else if (is(ex, "/status"))
        reply(ex, (unsigned)atoi(ex->request.query.p), 5, ZQ_SLICE("hello"), true);
    else if (is(ex, "/unknown-length"))
        reply(ex, 200, -1, ZQ_SLICE("hello"), true);
    else if (is(ex, "/short"))
        reply(ex, 200, 10, ZQ_SLICE("hello"), true);
    else if (is(ex, "/long"))
        reply(ex, 200, 3, ZQ_SLICE("hello"), true);
    else if (is(ex, "/abort")) {
        reply(ex, 200, -1, ZQ_SLICE("part"), false);
        zq_exchange_abort(ex);
    } else if (is(ex, "/error"))
        zq_exchange_error(ex, (unsigned)atoi(ex->request.query.p), 7, ZQ_SLICE("zq; fwd=bypass"));
    else
        reply_text(ex, ZQ_SLICE("hello"));
}

static inline void on_body(struct zq_exchange *ex, struct zq_slice data, bool end)
{
    struct errand *errand = errand_of(ex);
    if (data.p == rig.room)
        rig.in_room += data.n;
    assert_int_equal(zq_buf_append(&errand->body, data.p, data.n), 0);
    assert_true(end == ex->body_done);
    if (is(ex, "/sip"))
        assert_in_range(data.n, 0, 1);
    if (is(ex, "/later"))
        return;
    if (!end)
        zq_exchange_want(ex, data.n);
    else
        reply_text(ex, zq_slice(errand->body.n ? zq_buf_data(&errand->body) : "", errand->body.n));
}

static inline void send_rest(struct zq_exchange *ex)
{
    struct errand *errand = errand_of(ex);
    struct zq_buf rest = errand->rest;
    struct iovec v = {zq_buf_data(&rest), rest.n};
    errand->rest = (struct zq_buf){0};
    size_t accepted = zq_exchange_write(ex, &v, 1, true);
    zq_buf_consume(&rest, accepted);
    if (rest.n > 0)
        errand->rest = rest;
    else
        zq_buf_fini(&rest);
}

static inline void on_writable(struct zq_exchange *ex)
{
    if (is(ex, "/big") || is(ex, "/chunks"))
        send_big(ex);
    else if (is(ex, "/stream"))
        stream(ex);
    else
        send_rest(ex);
}

static inline void on_done(struct zq_http_server *server, struct zq_exchange *ex)
{
    static const char *const ends[] = {
#define X(name) #name,
        ZQ_EXCHANGE_ENDS(X)
#undef X
    };
    struct errand *errand = ex->user;
    size_t n = strlen(rig.log);
    assert_ptr_equal(zq_http_server_user(server), &rig);
    assert_true(ex->started_us > 0 && ex->started_us <= zq_now_us());
    snprintf(rig.log + n, sizeof(rig.log) - n, "%.*s %.*s %u %s\n", (int)ex->request.method.n,
             ex->request.method.p, (int)ex->request.target.n, ex->request.target.p, ex->status,
             ends[ex->end]);
    for (size_t i = 0; i < rig.n_kept; i++)
        if (rig.kept[i] == ex)
            rig.kept[i] = NULL;
    if (errand != NULL) {
        zq_buf_fini(&errand->body);
        zq_buf_fini(&errand->rest);
        free(errand);
    }
}

/* ---- the loop ---- */

static inline void on_turn(struct zq_defer *defer)
{
    if (--rig.turns_left > 0)
        zq_loop_defer(rig.loop, defer);
    else
        zq_loop_stop(rig.loop);
}

static inline void listen_up(void)
{
    while (!rig.hung_up && rig.client >= 0) {
        char *to = zq_buf_reserve(&rig.heard, 65536);
        ssize_t n = recv(rig.client, to, 65536, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        rig.hung_up = n <= 0;
        rig.reset = n < 0;
        zq_buf_commit(&rig.heard, n > 0 ? (size_t)n : 0);
    }
}

/* Some turns of the loop, without waiting: enough for all that can happen now. */
static inline void pump_silently(void)
{
    struct zq_defer defer = {.on_turn_end = on_turn};
    rig.turns_left = 8;
    zq_loop_defer(rig.loop, &defer);
    zq_loop_run(rig.loop);
}

static inline void pump(void)
{
    pump_silently();
    listen_up();
}

static inline void on_time(struct zq_timer *timer)
{
    (void)timer;
    zq_loop_stop(rig.loop);
}

static inline void let_pass_really(int64_t ms)
{
    struct zq_timer timer = {.on_expire = on_time};
    zq_timer_set(rig.loop, &timer, ms);
    zq_loop_run(rig.loop);
    zq_timer_cancel(rig.loop, &timer);
}

/* Time goes by, and the client reads nothing. Every millisecond has its turns of the loop. */
static inline void let_pass(int64_t ms)
{
    if (real_time) {
        let_pass_really(ms);
        return;
    }
    for (; ms > 0; ms--) {
        stopped_at_us += 1000;
        pump_silently();
    }
}

static inline void wait_ms(int64_t ms)
{
    let_pass(ms);
    listen_up();
}

/* ---- the client ---- */

static inline void hang_up(void)
{
    if (rig.client >= 0)
        close(rig.client);
    rig.client = -1;
}

static inline void forget(void)
{
    zq_buf_fini(&rig.heard);
    rig.hung_up = rig.reset = false;
    rig.log[0] = '\0';
    rig.n_kept = 0;
}

static inline void connect_pair(int send_buffer)
{
    int fds[2];
    hang_up();
    pump_silently();
    forget();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    if (send_buffer > 0)
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
    rig.client = fds[1];
    zq_http_accept(rig.server, fds[0]);
}

static inline void say_bytes(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(rig.client, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN)
            break; /* refused; the server has said why */
        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        }
        pump();
    }
    pump();
}

static inline void say(const char *text)
{
    say_bytes(text, strlen(text));
}

static inline const char *heard_text(void)
{
    assert_int_equal(zq_buf_append(&rig.heard, "", 1), 0);
    rig.heard.n--;
    return zq_buf_data(&rig.heard);
}

static inline void hear(const char *text)
{
    pump();
    assert_string_equal(heard_text(), text);
    zq_buf_fini(&rig.heard);
}

/* An error of zq's own: that status, and the connection closes behind it. */
static inline void hear_refusal(unsigned status)
{
    char expected[512], body[256];
    int n =
        snprintf(expected, sizeof(expected), "HTTP/1.1 %u %s\r\n", status, zq_http_reason(status));
    pump();
    assert_memory_equal(heard_text(), expected, (size_t)n);
    n = snprintf(body, sizeof(body), "\r\n\r\n%u %s: ", status, zq_http_reason(status));
    assert_non_null(strstr(heard_text(), "\r\nConnection: close\r\n"));
    assert_non_null(strstr(heard_text(), body));
    assert_true(rig.hung_up);
    zq_buf_fini(&rig.heard);
}

static inline void expect_log(const char *lines)
{
    assert_string_equal(rig.log, lines);
    rig.log[0] = '\0';
}

/* All that a client and the log have got, to be compared with what another way gives. */
struct outcome {
    char *heard;
    char log[1024];
};

static inline struct outcome take_outcome(void)
{
    struct outcome out;
    pump();
    out.heard = strdup(heard_text());
    snprintf(out.log, sizeof(out.log), "%.1000s", rig.log);
    return out;
}

static inline void expect_same(const struct outcome *expected)
{
    struct outcome actual = take_outcome();
    assert_string_equal(actual.heard, expected->heard);
    assert_string_equal(actual.log, expected->log);
    free(actual.heard);
}

/* ---- set up ---- */

/* A test that sets `room_size` has content put there, and one that sets `no_room` has it wait. */
static inline char *on_body_room(struct zq_exchange *ex, size_t *n)
{
    (void)ex;
    if (rig.no_room)
        *n = 0;
    if (rig.no_room || rig.room_size == 0)
        return NULL;
    if (*n > rig.room_size)
        *n = rig.room_size;
    return rig.room;
}

static const struct zq_http_handler rig_handler = {.on_request = on_request,
                                                   .on_body = on_body,
                                                   .on_body_room = on_body_room,
                                                   .on_writable = on_writable,
                                                   .on_done = on_done};

static inline int set_up(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    send_at_most = 0;
    socket_is_full = false;
    rig.client = -1;
    zq_config_init(&rig.config);
    rig.config.date_header = rig.config.server_header = false;
    rig.loop = zq_loop_new();
    rig.server = zq_http_server_new(rig.loop, &rig.config, &rig_handler, &rig);
    assert_non_null(rig.server);
    connect_pair(0);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    hang_up();
    zq_http_server_free(rig.server);
    zq_loop_free(rig.loop);
    zq_config_fini(&rig.config);
    zq_buf_fini(&rig.heard);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
