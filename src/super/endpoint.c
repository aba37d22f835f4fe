/* room: super */
#include "endpoint.h"

#include <sys/un.h>

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == 108, "room for any socket's path");

struct gather {
    struct endpoint *out;
    size_t n, max;
    struct zq_config_error *error;
};

static int refuse(struct gather *g, const char *option, const char *value, const char *why)
{
    snprintf(g->error->text, sizeof(g->error->text), "%s: `%.200s` %s", option, value, why);
    return ZQ_EINVAL;
}

static struct endpoint *next(struct gather *g, enum endpoint_kind kind, const char *option)
{
    struct endpoint *e;

    if (g->n == g->max) {
        snprintf(g->error->text, sizeof(g->error->text),
                 "%s: %zu places to listen at are allowed in all", option, g->max);
        return NULL;
    }
    e = &g->out[g->n++];
    *e = (struct endpoint){.kind = kind, .option = option, .fd = -1};
    return e;
}

static int add_unix(struct gather *g, const char *option, const char *path)
{
    struct endpoint *e;

    if (path[0] == '\0')
        return refuse(g, option, path, "names no file; give the path of the socket");
    if (strlen(path) >= sizeof(e->path))
        return refuse(g, option, path, "is too long; a socket's path has at most 107 bytes");
    e = next(g, ENDPOINT_UNIX, option);
    if (!e)
        return ZQ_EINVAL;
    strcpy(e->path, path);
    return 0;
}

static int add_tcp(struct gather *g, const char *option, struct zq_slice host, int64_t port)
{
    struct endpoint *e;

    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = zq_slice(host.p + 1, host.n - 2);
    if (host.n >= sizeof(e->host))
        return refuse(g, option, host.p, "is too long for an address");
    e = next(g, ENDPOINT_TCP, option);
    if (!e)
        return ZQ_EINVAL;
    memcpy(e->host, host.p, host.n);
    e->port = (int)port;
    return 0;
}

#define BIND_ALLOWED "is not allowed; give ADDRESS:PORT, [IPv6]:PORT or unix:PATH"

static int add_bind(struct gather *g, const char *value)
{
    const char *colon = strrchr(value, ':');
    struct zq_slice host;
    uint64_t port;

    if (strncmp(value, "unix:", 5) == 0)
        return add_unix(g, "--bind", value + 5);
    if (!colon || zq_parse_u64(zq_slice_str(colon + 1), 65535, &port) < 0)
        return refuse(g, "--bind", value, BIND_ALLOWED);
    host = zq_slice(value, (size_t)(colon - value));
    if (host.n && memchr(host.p, ':', host.n) && (host.p[0] != '[' || colon[-1] != ']'))
        return refuse(g, "--bind", value, BIND_ALLOWED);
    return add_tcp(g, "--bind", host, (int64_t)port);
}

static int add_fd(struct gather *g, int64_t fd)
{
    struct endpoint *e = next(g, ENDPOINT_FD, "--fd");

    if (!e)
        return ZQ_EINVAL;
    e->fd = (int)fd;
    return 0;
}

int endpoint_list(const struct zq_options *options, struct endpoint *out, size_t max,
                  struct zq_config_error *error)
{
    const struct zq_config *c = &options->config;
    struct gather g = {.out = out, .max = max, .error = error};
    bool others = c->bind.n || *c->uds || c->fd >= 0;
    int rc = 0;

    if (options->listens_by_default || !others)
        rc = add_tcp(&g, "--host", zq_slice_str(c->host), c->port);
    for (size_t i = 0; i < c->bind.n && rc == 0; i++)
        rc = add_bind(&g, c->bind.v[i]);
    if (rc == 0 && *c->uds)
        rc = add_unix(&g, "--uds", c->uds);
    if (rc == 0 && c->fd >= 0)
        rc = add_fd(&g, c->fd);
    return rc < 0 ? rc : (int)g.n;
}
