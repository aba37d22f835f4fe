#include "connection.h"

#include <stdlib.h>

#define SERVER_MAGIC 0x73727672u

struct zq_http_server *zq_http_server_new(struct zq_loop *loop, const struct zq_config *config,
                                          const struct zq_http_handler *handler, void *user)
{
    struct zq_http_server *server = calloc(1, sizeof(*server));
    char *scratch = malloc(ZQ_SCRATCH_SIZE);
    if (server == NULL || scratch == NULL) {
        free(server);
        free(scratch);
        return NULL;
    }
    server->magic = SERVER_MAGIC;
    server->loop = loop;
    server->config = config;
    server->handler = handler;
    server->user = user;
    server->scratch = scratch;
    zq_list_init(&server->connections);
    return server;
}

static void close_all(struct zq_http_server *server)
{
    while (!zq_list_empty(&server->connections)) {
        struct zq_conn *conn = ZQ_CONTAINER(server->connections.next, struct zq_conn, node);
        ZQ_ASSERT(conn->inside == 0); /* not from within a callback */
        zq_conn_enter(conn);
        if (conn->state == ZQ_CONN_EXCHANGE)
            zq_exchange_drop(conn->exchange, ZQ_EXCHANGE_CUT);
        else
            zq_conn_close(conn, false);
        zq_conn_leave(conn);
    }
}

void zq_http_server_free(struct zq_http_server *server)
{
    if (server == NULL)
        return;
    ZQ_CHECK(server, SERVER_MAGIC);
    server->on_empty = NULL;
    close_all(server);
    while (server->free_exchanges != NULL) {
        struct zq_http_exchange *ex = server->free_exchanges;
        server->free_exchanges = ex->next_free;
        zq_arena_fini(&ex->pub.arena);
        free(ex);
    }
    server->magic = 0;
    free(server->scratch);
    zq_lend_free(server->lend);
    free(server);
}

void *zq_http_server_user(struct zq_http_server *server)
{
    ZQ_CHECK(server, SERVER_MAGIC);
    return server->user;
}

void zq_http_accept(struct zq_http_server *server, int fd)
{
    ZQ_CHECK(server, SERVER_MAGIC);
    zq_conn_new(server, fd);
}

size_t zq_http_connections(const struct zq_http_server *server)
{
    ZQ_CHECK(server, SERVER_MAGIC);
    return server->n_connections;
}

void zq_http_share_places(struct zq_http_server *server, atomic_size_t *taken)
{
    ZQ_CHECK(server, SERVER_MAGIC);
    server->taken = taken;
}

bool zq_conn_take_place(struct zq_conn *conn)
{
    const struct zq_http_server *server = conn->server;
    if (conn->placed || server->taken == NULL)
        return true;
    size_t before = atomic_fetch_add_explicit(server->taken, 1, memory_order_relaxed);
    conn->placed = before < (uint64_t)server->config->limit_connections;
    if (!conn->placed)
        atomic_fetch_sub_explicit(server->taken, 1, memory_order_relaxed);
    return conn->placed;
}

bool zq_exchange_is_excess(struct zq_exchange *exchange)
{
    return !zq_conn_take_place(zq_exchange_of(exchange)->conn);
}

void zq_http_server_check_empty(struct zq_http_server *server)
{
    void (*on_empty)(struct zq_http_server *) = server->on_empty;
    if (on_empty == NULL || server->n_connections > 0)
        return;
    server->on_empty = NULL;
    on_empty(server);
}

void zq_http_drain(struct zq_http_server *server, void (*on_empty)(struct zq_http_server *server))
{
    ZQ_CHECK(server, SERVER_MAGIC);
    server->draining = true;
    struct zq_node *next;
    for (struct zq_node *node = server->connections.next; node != &server->connections;
         node = next) {
        struct zq_conn *conn = ZQ_CONTAINER(node, struct zq_conn, node);
        next = node->next;
        if (conn->state != ZQ_CONN_IDLE || conn->inside > 0)
            continue; /* busy ones look for themselves when they are left */
        zq_conn_enter(conn);
        if (conn->fresh)
            zq_conn_arm(conn, zq_conn_now(conn) + ZQ_DRAIN_PATIENCE_MS);
        zq_conn_leave(conn);
    }
    server->on_empty = on_empty;
    zq_http_server_check_empty(server);
}
