#include "front/admin.h"

#include "zq/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct listener {
    struct zq_acceptor acceptor;
    struct front_admin *admin;
};

struct front_admin {
    struct front *front;
    struct zq_http_server *server;
    struct listener listeners[FRONT_ADMIN_LISTENERS_MAX];
};

/* A request under way; lives in its exchange's arena. */
struct asking {
    struct zq_exchange *exchange;
    struct front *front;
    struct zq_buf body;
    struct admin_reply reply;
    bool answered;
    bool *gone; /* set when the exchange ends inside a call of ours */
};

/* ---- who may ---- */

static bool is_unix(int fd)
{
    int domain = 0;
    socklen_t n = sizeof(domain);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain == AF_UNIX;
}

static bool is_ours(int fd)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t n = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
        (peer.uid == geteuid() || peer.uid == 0))
        return true;
    zq_log(ZQ_LOG_WARNING, "admin socket: user %u is refused", (unsigned)peer.uid);
    return false;
}

static void on_accept(struct zq_acceptor *acceptor, int fd)
{
    struct listener *listener = ZQ_CONTAINER(acceptor, struct listener, acceptor);

    if (is_unix(fd) && !is_ours(fd))
        close(fd);
    else
        zq_http_accept(listener->admin->server, fd);
}

/* In a time that depends on what was sent, and not on how much of it is right. */
static bool is_same(struct zq_slice sent, struct zq_slice token)
{
    volatile unsigned char differ = sent.n != token.n;

    for (size_t i = 0; i < sent.n; i++)
        differ |= (unsigned char)(sent.p[i] ^ token.p[i % token.n]);
    return differ == 0;
}

static bool may_ask(const struct asking *a)
{
    const struct zq_request *r = &a->exchange->request;
    const struct zq_field *f = zq_fields_find(&r->fields, ZQ_SLICE("authorization"), NULL);
    struct zq_slice token = zq_slice_str(a->front->admin_token);

    if (r->client.is_unix)
        return true; /* the socket was looked at */
    if (f == NULL || token.n == 0 || f->value.n < 7 ||
        !zq_slice_ieq(zq_slice(f->value.p, 7), ZQ_SLICE("bearer ")))
        return false;
    return is_same(zq_slice_trim(zq_slice(f->value.p + 7, f->value.n - 7)), token);
}

/* ---- answering ---- */

static int put_fields(struct asking *a, bool plain, struct zq_fields *fields)
{
    char next[32];
    size_t n = 0;

    fields->v = zq_arena_alloc(&a->exchange->arena, 5 * sizeof(*fields->v));
    if (fields->v == NULL)
        return ZQ_ENOMEM;
    fields->v[n++] =
        (struct zq_field){ZQ_SLICE("Content-Type"), plain ? ZQ_SLICE("text/plain; charset=utf-8")
                                                          : ZQ_SLICE("application/json")};
    fields->v[n++] = (struct zq_field){ZQ_SLICE("Cache-Control"), ZQ_SLICE("no-store")};
    if (a->reply.allow != NULL)
        fields->v[n++] = (struct zq_field){ZQ_SLICE("Allow"), zq_slice_str(a->reply.allow)};
    if (a->reply.status == 401)
        fields->v[n++] = (struct zq_field){ZQ_SLICE("WWW-Authenticate"), ZQ_SLICE("Bearer")};
    if (a->reply.more) {
        snprintf(next, sizeof(next), "%llu", (unsigned long long)a->reply.next);
        struct zq_slice copy = zq_arena_copy(&a->exchange->arena, zq_slice_str(next));
        fields->v[n++] = (struct zq_field){ZQ_SLICE("Zq-Next"), copy};
    }
    fields->n = n;
    return 0;
}

/* While `gone` is watched, an exchange that ends inside a call says so there, as in serve.c. */
static __attribute__((noinline)) void watch(struct asking *a, bool *gone)
{
    a->gone = gone;
}

/* What the socket does not take waits for on_writable. */
static void push(struct asking *a, const struct zq_response_head *head)
{
    struct iovec run = {zq_buf_data(&a->reply.text), a->reply.text.n};
    bool gone = false;

    watch(a, &gone);
    size_t accepted = head != NULL ? zq_exchange_start(a->exchange, head, &run, 1, true)
                                   : zq_exchange_write(a->exchange, &run, 1, true);
    if (gone)
        return;
    watch(a, NULL);
    zq_buf_consume(&a->reply.text, accepted);
}

static void send_reply(struct asking *a, bool plain)
{
    struct zq_buf *block = &a->front->threads[0].block;
    struct zq_response_head head = {.status = a->reply.status, .age = -1};
    struct zq_fields fields;
    struct zq_slice bad;
    int64_t length;

    zq_buf_consume(block, block->n);
    if (a->reply.no_memory || put_fields(a, plain, &fields) < 0 ||
        zq_http_block(block, a->reply.status, &fields, a->front->config,
                      front_wall_clock(&a->front->threads[0]), &length, &head.close, &bad) < 0) {
        zq_exchange_error(a->exchange, 503, 1, (struct zq_slice){0});
        return;
    }
    head.block = zq_slice(zq_buf_data(block), block->n);
    head.content_length = (int64_t)a->reply.text.n;
    push(a, &head);
}

static bool prefers_plain(const struct zq_request *r)
{
    const struct zq_field *f = zq_fields_find(&r->fields, ZQ_SLICE("accept"), NULL);

    return f != NULL && zq_slice_ieq(f->value, ZQ_SLICE("text/plain"));
}

static void respond(struct asking *a)
{
    struct zq_exchange *exchange = a->exchange;
    struct admin_request request = {
        .http = &exchange->request,
        .body = zq_slice(zq_buf_data(&a->body), a->body.n),
        .arena = &exchange->arena,
        .plain = prefers_plain(&exchange->request),
        .now_ms = zq_loop_now_ms(a->front->threads[0].loop),
    };

    a->answered = true;
    if (!may_ask(a))
        admin_fail(&request, &a->reply, 401, "Authorization", "the token is missing or wrong");
    else if (a->body.n > ADMIN_BODY_MAX)
        admin_fail(&request, &a->reply, 413, "the content", "is too large");
    else
        admin_answer(a->front, &request, &a->reply);
    send_reply(a, request.plain);
}

/* ---- the exchange ---- */

static void on_request(struct zq_http_server *server, struct zq_exchange *exchange)
{
    struct front_admin *admin = zq_http_server_user(server);
    struct asking *a = zq_arena_alloc(&exchange->arena, sizeof(*a));

    if (a == NULL) {
        zq_exchange_error(exchange, 503, 1, (struct zq_slice){0});
        return;
    }
    *a = (struct asking){.exchange = exchange, .front = admin->front};
    exchange->user = a;
    if (exchange->request.has_body && may_ask(a))
        zq_exchange_want(exchange, ADMIN_BODY_MAX + 1);
    else
        respond(a);
}

static void on_body(struct zq_exchange *exchange, struct zq_slice data, bool end)
{
    struct asking *a = exchange->user;

    if (a->answered)
        return;
    if (zq_buf_append(&a->body, data.p, data.n) < 0) {
        a->answered = true;
        zq_exchange_error(exchange, 503, 1, (struct zq_slice){0});
    } else if (end || a->body.n > ADMIN_BODY_MAX) {
        respond(a);
    }
}

static void on_writable(struct zq_exchange *exchange)
{
    push(exchange->user, NULL);
}

static void on_done(struct zq_http_server *server, struct zq_exchange *exchange)
{
    struct asking *a = exchange->user;

    (void)server;
    if (a == NULL)
        return;
    if (a->gone != NULL)
        *a->gone = true;
    zq_buf_fini(&a->body);
    zq_buf_fini(&a->reply.text);
}

static const struct zq_http_handler handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_writable = on_writable,
    .on_done = on_done,
};

/* ---- life ---- */

int admin_start(struct front *front)
{
    struct zq_loop *loop = front->threads[0].loop;

    if (front->n_admin_listeners == 0)
        return 0;
    front->admin = calloc(1, sizeof(*front->admin));
    if (front->admin == NULL)
        return ZQ_ENOMEM;
    front->admin->front = front;
    front->admin->server = zq_http_server_new(loop, front->config, &handler, front->admin);
    if (front->admin->server == NULL)
        return ZQ_ENOMEM;
    for (unsigned i = 0; i < front->n_admin_listeners; i++) {
        struct listener *listener = &front->admin->listeners[i];
        *listener = (struct listener){.acceptor = {.on_accept = on_accept}, .admin = front->admin};
        int error = zq_acceptor_start(loop, &listener->acceptor, front->admin_listeners[i]);
        if (error < 0)
            return error;
    }
    return 0;
}

static void on_empty(struct zq_http_server *server)
{
    (void)server;
}

void admin_drain(struct front *front)
{
    if (front->admin == NULL)
        return;
    for (unsigned i = 0; i < front->n_admin_listeners; i++)
        zq_acceptor_drain(&front->admin->listeners[i].acceptor);
    zq_http_drain(front->admin->server, on_empty);
}

void admin_fini(struct front *front)
{
    if (front->admin != NULL)
        zq_http_server_free(front->admin->server);
    for (unsigned i = 0; i < front->n_admin_listeners; i++)
        close(front->admin_listeners[i]);
    free(front->admin);
    free(front->admin_token);
}
