#include "rig.h"

#include <errno.h>
#include <sys/socket.h>

#define RIG_FD 1000000
/* Events, deferred calls and answers that one piece of input may cause before it counts as a loop
 * that never comes to rest. */
#define TURNS_MAX 100000

static struct rig *the_rig;

/* ---- the loop ---- */

/* Stands for the real one: the http room sees no more of it than its door. */
struct zq_loop {
    struct zq_io *io;
    struct zq_node deferred;
    struct zq_node timers;
    int64_t now_ms;
};
static struct zq_loop the_loop;

int64_t zq_loop_now_ms(const struct zq_loop *loop)
{
    return loop->now_ms;
}

int64_t zq_loop_now_us(const struct zq_loop *loop)
{
    return zq_loop_now_ms(loop) * 1000;
}

int zq_loop_add(struct zq_loop *loop, struct zq_io *io, int fd, uint32_t events)
{
    FUZZ_CHECK(loop->io == NULL && fd == RIG_FD);
    loop->io = io;
    io->fd = fd;
    io->events = events;
    return 0;
}

void zq_loop_modify(struct zq_loop *loop, struct zq_io *io, uint32_t events)
{
    FUZZ_CHECK(loop->io == io);
    io->events = events;
}

void zq_loop_remove(struct zq_loop *loop, struct zq_io *io)
{
    if (io->fd < 0)
        return;
    FUZZ_CHECK(loop->io == io);
    loop->io = NULL;
    io->fd = -1;
}

void zq_loop_defer(struct zq_loop *loop, struct zq_defer *defer)
{
    if (defer->pending)
        return;
    defer->pending = true;
    zq_list_append(&loop->deferred, &defer->node);
}

void zq_loop_undefer(struct zq_loop *loop, struct zq_defer *defer)
{
    (void)loop;
    if (!defer->pending)
        return;
    defer->pending = false;
    zq_list_remove(&defer->node);
}

void zq_timer_cancel(struct zq_loop *loop, struct zq_timer *timer)
{
    (void)loop;
    if (timer->deadline_ms == 0)
        return;
    timer->deadline_ms = 0;
    zq_list_remove(&timer->node);
}

void zq_timer_set(struct zq_loop *loop, struct zq_timer *timer, int64_t after_ms)
{
    zq_timer_cancel(loop, timer);
    timer->deadline_ms = loop->now_ms + (after_ms > 0 ? after_ms : 1);
    zq_list_append(&loop->timers, &timer->node);
}

static bool run_deferred(void)
{
    bool any = false;
    struct zq_node now;
    zq_list_init(&now);
    while (!zq_list_empty(&the_loop.deferred)) {
        struct zq_node *node = the_loop.deferred.next;
        zq_list_remove(node);
        zq_list_append(&now, node);
    }
    while (!zq_list_empty(&now)) {
        struct zq_defer *defer = ZQ_CONTAINER(now.next, struct zq_defer, node);
        zq_list_remove(&defer->node);
        defer->pending = false;
        defer->on_turn_end(defer);
        any = true;
    }
    return any;
}

static struct zq_timer *next_timer(void)
{
    struct zq_timer *next = NULL;
    for (struct zq_node *n = the_loop.timers.next; n != &the_loop.timers; n = n->next) {
        struct zq_timer *timer = ZQ_CONTAINER(n, struct zq_timer, node);
        if (next == NULL || timer->deadline_ms < next->deadline_ms)
            next = timer;
    }
    return next;
}

/* ---- the socket ---- */

ssize_t __real_recv(int fd, void *to, size_t n, int flags);
ssize_t __real_send(int fd, const void *p, size_t n, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_shutdown(int fd, int how);
int __real_close(int fd);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
int __real_getsockname(int fd, struct sockaddr *address, socklen_t *length);
int __real_getpeername(int fd, struct sockaddr *address, socklen_t *length);

ssize_t __wrap_recv(int fd, void *to, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *p, size_t n, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __wrap_shutdown(int fd, int how);
int __wrap_close(int fd);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *length);
int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *length);

ssize_t __wrap_recv(int fd, void *to, size_t n, int flags)
{
    if (fd != RIG_FD)
        return __real_recv(fd, to, n, flags);
    struct zq_buf *arrived = &the_rig->arrived;
    FUZZ_CHECK(the_rig->open);
    if (arrived->n == 0 && !the_rig->peer_finished) {
        errno = EAGAIN;
        return -1;
    }
    if (n > arrived->n)
        n = arrived->n;
    if (n > 0)
        memcpy(to, zq_buf_data(arrived), n);
    if ((flags & MSG_PEEK) == 0 && n > 0)
        zq_buf_consume(arrived, n);
    return (ssize_t)n;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (fd != RIG_FD)
        return __real_sendmsg(fd, message, flags);
    size_t sent = 0;
    FUZZ_CHECK(the_rig->open && !the_rig->shut && (flags & MSG_NOSIGNAL) != 0);
    for (size_t i = 0; i < message->msg_iovlen && the_rig->room > 0; i++) {
        size_t n = message->msg_iov[i].iov_len;
        if (n > the_rig->room)
            n = the_rig->room;
        FUZZ_CHECK(zq_buf_append(&the_rig->sent, message->msg_iov[i].iov_base, n) == 0);
        if (the_rig->choppy != 0)
            the_rig->room -= n;
        sent += n;
    }
    if (sent > 0)
        return (ssize_t)sent;
    errno = EAGAIN;
    return -1;
}

ssize_t __wrap_send(int fd, const void *p, size_t n, int flags)
{
    struct iovec v = {(void *)(uintptr_t)p, n};

    if (fd != RIG_FD)
        return __real_send(fd, p, n, flags);
    return __wrap_sendmsg(fd, &(struct msghdr){.msg_iov = &v, .msg_iovlen = 1}, flags);
}

int __wrap_shutdown(int fd, int how)
{
    if (fd != RIG_FD)
        return __real_shutdown(fd, how);
    FUZZ_CHECK(the_rig->open && how == SHUT_WR);
    the_rig->shut = true;
    return 0;
}

int __wrap_close(int fd)
{
    if (fd != RIG_FD)
        return __real_close(fd);
    FUZZ_CHECK(the_rig->open);
    the_rig->open = false;
    return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    if (fd != RIG_FD)
        return __real_setsockopt(fd, level, name, value, length);
    if (level == SOL_SOCKET && name == SO_LINGER)
        the_rig->was_reset = true;
    return 0;
}

int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    return fd == RIG_FD ? -1 : __real_getsockname(fd, address, length);
}

int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    return fd == RIG_FD ? -1 : __real_getpeername(fd, address, length);
}

/* ---- the handler ---- */

static void note(struct zq_buf *out, struct zq_slice s)
{
    FUZZ_CHECK(zq_buf_printf(out, "%zu ", s.n) == 0);
    FUZZ_CHECK(zq_buf_append(out, s.p, s.n) == 0 && zq_buf_append(out, "\n", 1) == 0);
}

static void write_view(struct zq_buf *out, const struct zq_request *r)
{
    FUZZ_CHECK(zq_buf_printf(out, "%u %d %d %lld\n", r->version_minor, r->has_body,
                             r->expect_continue, (long long)r->content_length) == 0);
    note(out, r->method);
    note(out, r->target);
    note(out, r->path);
    note(out, r->query);
    note(out, r->scheme);
    note(out, r->host);
    for (size_t i = 0; i < r->fields.n; i++) {
        note(out, r->fields.v[i].name);
        note(out, r->fields.v[i].value);
    }
}

static void write_slice(struct zq_buf *out, struct zq_slice s, const char *end)
{
    FUZZ_CHECK(zq_buf_append(out, s.p, s.n) == 0 && zq_buf_append(out, end, strlen(end)) == 0);
}

static void write_head(struct zq_buf *out, const struct zq_request *r)
{
    write_slice(out, r->method, " ");
    write_slice(out, r->target, " ");
    FUZZ_CHECK(zq_buf_printf(out, "HTTP/1.%u\r\n", r->version_minor) == 0);
    for (size_t i = 0; i < r->fields.n; i++) {
        write_slice(out, r->fields.v[i].name, ":");
        write_slice(out, r->fields.v[i].value, "\r\n");
    }
    write_slice(out, (struct zq_slice){0}, "\r\n");
}

/* What a request promises, whatever it was made of (include/zq/http.h). */
static void check_request(const struct zq_request *r)
{
    size_t rest = r->target.n - r->path.n;
    FUZZ_CHECK(r->method.n > 0 && r->target.n > 0 && r->version_minor <= 1);
    FUZZ_CHECK(memchr(r->path.p, '?', r->path.n) == NULL && r->path.p == r->target.p);
    FUZZ_CHECK(rest == 0 ? r->query.n == 0 : r->query.n == rest - 1);
    FUZZ_CHECK(r->target.p[0] == '/' || zq_slice_eq(r->target, ZQ_SLICE("*")));
    FUZZ_CHECK(zq_slice_eq(r->scheme, ZQ_SLICE("http")));
    FUZZ_CHECK(r->content_length >= -1 && (r->content_length <= 0 || r->has_body));
    const struct zq_field *host = zq_fields_find(&r->fields, ZQ_SLICE("host"), NULL);
    FUZZ_CHECK(host != NULL ? zq_slice_eq(host->value, r->host) : r->version_minor == 0);
    FUZZ_CHECK(host == NULL || zq_fields_find(&r->fields, ZQ_SLICE("host"), host) == NULL);
    for (size_t i = 0; i < r->fields.n; i++) {
        struct zq_slice name = r->fields.v[i].name, value = r->fields.v[i].value;
        FUZZ_CHECK(name.n > 0 && zq_slice_eq(value, zq_slice_trim(value)));
        for (size_t j = 0; j < name.n; j++)
            FUZZ_CHECK(name.p[j] > ' ' && name.p[j] < 0x7f && name.p[j] != ':' &&
                       name.p[j] == zq_lower(name.p[j]));
        for (size_t j = 0; j < value.n; j++)
            FUZZ_CHECK((unsigned char)value.p[j] >= ' ' ? value.p[j] != 0x7f : value.p[j] == '\t');
    }
}

/* Whether 100 is still owed depends on what has arrived, and so does what an answer that does not
 * wait for the content means for the connection. */
static enum rig_mode choose_mode(const struct rig *rig, const struct zq_request *r)
{
    uint64_t state = rig->modes + rig->n * 77;
    if (rig->modes == 0 || r->expect_continue)
        return RIG_ECHO;
    return (enum rig_mode)(fuzz_random(&state) % RIG_MODES);
}

static struct rig_exchange *add_exchange(struct rig *rig, struct zq_exchange *exchange)
{
    if (rig->n == RIG_EXCHANGES_MAX)
        return NULL;
    struct rig_exchange *x = &rig->exchanges[rig->n];
    *x = (struct rig_exchange){.exchange = exchange, .number = (unsigned)rig->n};
    exchange->user = x;
    rig->n++;
    return x;
}

static void start(struct rig_exchange *x, unsigned status, int64_t length)
{
    struct zq_exchange *exchange = x->exchange;
    struct zq_buf block = {0};
    struct iovec v = {zq_buf_data(&x->out), x->out.n};
    FUZZ_CHECK(zq_buf_printf(&block, "HTTP/1.1 %u %s\r\nx-number: %u\r\n", status,
                             zq_http_reason(status), x->number) == 0);
    struct zq_response_head head = {
        .status = status,
        .block = {zq_buf_data(&block), block.n},
        .content_length = length,
        .age = x->number % 3 == 1 ? 7 : -1,
        .cache_status = x->number % 4 == 2 ? ZQ_SLICE("zq; fwd=uri-miss") : (struct zq_slice){0},
        .close = x->mode == RIG_EARLY_BIG,
    };
    x->started = true;
    bool end = x->ended;
    size_t offered = v.iov_len;
    size_t accepted = zq_exchange_start(exchange, &head, &v, 1, end);
    zq_buf_fini(&block);
    FUZZ_CHECK(accepted <= offered);
    if (x->done) /* the record stays; the exchange is gone */
        return;
    zq_buf_consume(&x->out, accepted);
    x->over = end && x->out.n == 0;
}

/* Offers what there is; may be the end of it. */
static void push(struct rig_exchange *x)
{
    if (x->done || !x->started || (x->out.n == 0 && !x->ended) || x->over)
        return;
    struct iovec v[2];
    size_t half = x->out.n / 2;
    v[0] = (struct iovec){zq_buf_data(&x->out), half};
    v[1] = (struct iovec){zq_buf_data(&x->out) + half, x->out.n - half};
    size_t offered = x->out.n;
    if (offered == 0)
        v[0] = v[1] = (struct iovec){NULL, 0};
    size_t accepted = zq_exchange_write(x->exchange, v, 2, x->ended);
    FUZZ_CHECK(accepted <= offered);
    if (x->done)
        return;
    zq_buf_consume(&x->out, accepted);
    x->over = x->ended && x->out.n == 0;
}

static void answer(struct rig_exchange *x)
{
    unsigned status = x->number % 5 == 4 ? 404 : 200;
    if (x->body.n > 0)
        FUZZ_CHECK(zq_buf_append(&x->out, zq_buf_data(&x->body), x->body.n) == 0);
    x->ended = true;
    int64_t length = (int64_t)x->out.n;
    start(x, status, length);
}

static void answer_early(struct rig_exchange *x, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        FUZZ_CHECK(zq_buf_append(&x->out, &"abcdefgh"[i % 8], 1) == 0);
    x->ended = true;
    start(x, 200, (int64_t)bytes);
}

static void want(struct rig_exchange *x, uint64_t bytes)
{
    x->wanted = bytes < UINT64_MAX - x->wanted ? x->wanted + bytes : UINT64_MAX;
    zq_exchange_want(x->exchange, bytes);
}

static void begin_stream(struct rig_exchange *x, bool has_body)
{
    x->ended = !has_body;
    start(x, 200, -1);
    if (!x->done && has_body)
        want(x, x->number + 1);
}

static void begin_echo(struct rig_exchange *x, bool has_body)
{
    if (has_body)
        want(x, x->number % 2 != 0 ? 3 : UINT64_MAX);
    else if (x->mode == RIG_ECHO)
        answer(x);
    else
        x->body_whole = true;
}

static void begin_short(struct rig_exchange *x)
{
    FUZZ_CHECK(zq_buf_append(&x->out, "abc", 3) == 0);
    start(x, 200, 10);
    if (x->done)
        return;
    x->ended = true;
    push(x);
}

static void on_request(struct zq_http_server *server, struct zq_exchange *exchange)
{
    struct rig *rig = zq_http_server_user(server);
    const struct zq_request *r = &exchange->request;
    check_request(r);
    struct rig_exchange *x = add_exchange(rig, exchange);
    if (x == NULL) {
        exchange->user = NULL;
        zq_exchange_abort(exchange);
        return;
    }
    x->mode = choose_mode(rig, r);
    x->announced = true;
    x->is_head = r->method_id == ZQ_METHOD_HEAD;
    x->chunked = zq_fields_find(&r->fields, ZQ_SLICE("transfer-encoding"), NULL) != NULL;
    x->expects = r->expect_continue;
    write_view(&x->view, r);
    write_head(&x->head, r);
    switch (x->mode) {
    case RIG_STREAM:
        begin_stream(x, r->has_body);
        break;
    case RIG_EARLY:
        answer_early(x, 5);
        break;
    case RIG_EARLY_BIG:
        answer_early(x, 300);
        break;
    case RIG_ERROR:
        zq_exchange_error(exchange, 503, 7, ZQ_SLICE("zq; fwd=bypass"));
        break;
    case RIG_EMPTY:
        x->ended = true;
        start(x, 204, -1);
        break;
    case RIG_SHORT:
        begin_short(x);
        break;
    case RIG_ABORT:
        zq_exchange_abort(exchange);
        break;
    default:
        begin_echo(x, r->has_body);
        break;
    }
}

static void on_body(struct zq_exchange *exchange, struct zq_slice data, bool end)
{
    struct rig_exchange *x = exchange->user;
    FUZZ_CHECK(x != NULL && x->announced && !x->done && !x->body_whole);
    FUZZ_CHECK(data.n <= x->wanted && (data.n > 0 || end) && exchange->body_done == end);
    x->wanted -= data.n;
    x->body_whole = end;
    FUZZ_CHECK(zq_buf_append(&x->body, data.p, data.n) == 0);
    if (x->mode == RIG_STREAM) {
        FUZZ_CHECK(zq_buf_append(&x->out, data.p, data.n) == 0);
        x->ended = end;
        push(x);
    } else if (end && x->mode == RIG_ECHO) {
        answer(x);
    }
    if (!x->done && !end && x->wanted == 0)
        want(x, x->number + 1);
}

static void on_writable(struct zq_exchange *exchange)
{
    struct rig_exchange *x = exchange->user;
    FUZZ_CHECK(x != NULL && !x->done && x->out.n > 0);
    push(x);
}

static void on_done(struct zq_http_server *server, struct zq_exchange *exchange)
{
    struct rig *rig = zq_http_server_user(server);
    struct rig_exchange *x = exchange->user;
    if (x == NULL && rig->n == RIG_EXCHANGES_MAX)
        return;
    if (x == NULL) /* refused by the room itself */
        x = add_exchange(rig, exchange);
    FUZZ_CHECK(!x->done && (!exchange->request.has_body || exchange->body_done == x->body_whole));
    FUZZ_CHECK(exchange->end != ZQ_EXCHANGE_COMPLETE || exchange->status >= 200);
    x->done = true;
    x->end = exchange->end;
    x->status = exchange->status;
    x->is_head = exchange->request.method_id == ZQ_METHOD_HEAD;
    x->exchange = NULL;
}

static const struct zq_http_handler handler = {
    .on_request = on_request, .on_body = on_body, .on_writable = on_writable, .on_done = on_done};

/* ---- the run ---- */

/* Answers that waited until nothing else happens. */
static bool answer_one(struct rig *rig)
{
    for (size_t i = 0; i < rig->n; i++) {
        struct rig_exchange *x = &rig->exchanges[i];
        if (x->mode == RIG_LATER && !x->done && !x->started && x->body_whole) {
            answer(x);
            return true;
        }
    }
    return false;
}

static uint32_t ready(struct rig *rig)
{
    uint32_t events = 0;
    if (rig->arrived.n > 0 || rig->peer_finished)
        events |= EPOLLIN;
    if (rig->peer_finished)
        events |= EPOLLRDHUP;
    if (rig->choppy != 0 && rig->room == 0)
        rig->room = fuzz_random(&rig->choppy) % 23;
    if (rig->room > 0)
        events |= EPOLLOUT;
    return events;
}

static bool turn(struct rig *rig)
{
    struct zq_io *io = the_loop.io;
    bool any = false;
    if (io != NULL) {
        uint32_t events = ready(rig) & io->events;
        /* The socket may have no room at this moment, and have some at the next. */
        any = events != 0 || (io->events & EPOLLOUT) != 0;
        if (events != 0)
            io->on_event(io, events);
    }
    any |= run_deferred();
    return any || answer_one(rig);
}

static void settle(struct rig *rig)
{
    int turns = 0;
    while (turn(rig))
        FUZZ_CHECK(++turns < TURNS_MAX);
}

void rig_init(struct rig *rig)
{
    the_rig = rig;
    the_loop = (struct zq_loop){.now_ms = 1000000};
    zq_list_init(&the_loop.deferred);
    zq_list_init(&the_loop.timers);
    rig->server = zq_http_server_new(&the_loop, &rig->config, &handler, rig);
    FUZZ_CHECK(rig->server != NULL);
    rig->open = true;
    rig->room = rig->choppy != 0 ? 0 : SIZE_MAX;
    zq_http_accept(rig->server, RIG_FD);
    FUZZ_CHECK(zq_http_connections(rig->server) == 1);
}

void rig_feed(struct rig *rig, struct zq_slice bytes)
{
    if (rig->open)
        FUZZ_CHECK(zq_buf_append(&rig->arrived, bytes.p, bytes.n) == 0);
    settle(rig);
}

static bool expire_one(void)
{
    struct zq_timer *timer = next_timer();
    if (timer == NULL)
        return false;
    the_loop.now_ms = timer->deadline_ms;
    timer->deadline_ms = 0;
    zq_list_remove(&timer->node);
    timer->on_expire(timer);
    return true;
}

void rig_end(struct rig *rig)
{
    rig->peer_finished = true;
    settle(rig);
    for (int i = 0; expire_one(); i++) {
        FUZZ_CHECK(i < 1000);
        settle(rig);
    }
    FUZZ_CHECK(!rig->open && zq_http_connections(rig->server) == 0 && the_loop.io == NULL);
    FUZZ_CHECK(zq_list_empty(&the_loop.deferred) && zq_list_empty(&the_loop.timers));
    for (size_t i = 0; i < rig->n; i++)
        FUZZ_CHECK(rig->exchanges[i].done);
}

void rig_fini(struct rig *rig)
{
    zq_http_server_free(rig->server);
    for (size_t i = 0; i < rig->n; i++) {
        struct rig_exchange *x = &rig->exchanges[i];
        zq_buf_fini(&x->view);
        zq_buf_fini(&x->head);
        zq_buf_fini(&x->body);
        zq_buf_fini(&x->out);
    }
    zq_buf_fini(&rig->arrived);
    zq_buf_fini(&rig->sent);
    the_rig = NULL;
}
