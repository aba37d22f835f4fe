#include "address.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

union sockaddr_any {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage storage;
};

struct text {
    char host[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
    size_t n;
    uint16_t port;
    bool is_unix;
};

static void format_ip(struct text *out, int family, const void *address, in_port_t port)
{
    if (inet_ntop(family, address, out->host, sizeof(out->host)) == NULL)
        return;
    out->n = strlen(out->host);
    out->port = ntohs(port);
}

static void format_unix(struct text *out, const struct sockaddr_un *local, socklen_t length)
{
    size_t most = length > offsetof(struct sockaddr_un, sun_path)
                      ? length - offsetof(struct sockaddr_un, sun_path)
                      : 0;
    out->is_unix = true;
    if (most > sizeof(local->sun_path))
        most = sizeof(local->sun_path);
    out->n = strnlen(local->sun_path, most); /* none for an unnamed or abstract one */
    memcpy(out->host, local->sun_path, out->n);
}

static void format(struct text *out, const union sockaddr_any *address, socklen_t length)
{
    *out = (struct text){0};
    switch (address->any.sa_family) {
    case AF_INET:
        format_ip(out, AF_INET, &address->v4.sin_addr, address->v4.sin_port);
        break;
    case AF_INET6:
        if (IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr))
            format_ip(out, AF_INET, &address->v6.sin6_addr.s6_addr[12], address->v6.sin6_port);
        else
            format_ip(out, AF_INET6, &address->v6.sin6_addr, address->v6.sin6_port);
        break;
    case AF_UNIX:
        format_unix(out, &address->local, length);
        break;
    default:
        break;
    }
}

static struct zq_address place(const struct text *text, char *at)
{
    memcpy(at, text->host, text->n);
    return (struct zq_address){zq_slice(at, text->n), text->port, text->is_unix};
}

struct zq_peer *zq_peer_new(int fd)
{
    struct text client = {0}, server = {0};
    union sockaddr_any address = {0};
    socklen_t length = sizeof(address);
    if (getpeername(fd, &address.any, &length) == 0)
        format(&client, &address, length);
    length = sizeof(address);
    if (getsockname(fd, &address.any, &length) == 0)
        format(&server, &address, length);

    struct zq_peer *peer = malloc(sizeof(*peer) + client.n + server.n);
    if (peer == NULL)
        return NULL;
    peer->client = place(&client, peer->text);
    peer->server = place(&server, peer->text + client.n);
    return peer;
}
