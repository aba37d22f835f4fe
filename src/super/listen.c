/* room: super
 *
 * IPv6 sockets are IPv6 only, whatever the system's default: `[::]` and `0.0.0.0` can then stand
 * beside each other, and a client's address looks the same however it came in.
 */
#include "listen.h"

#include "endpoint.h"
#include "holder.h"
#include "zq/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct opening {
    const struct zq_config *config;
    int64_t mode; /* of socket files */
    struct zq_listeners *out;
    struct zq_config_error *error;
};

static int failed(struct opening *o, const char *place, const char *why)
{
    snprintf(o->error->text, sizeof(o->error->text), "cannot listen on %s: %s", place, why);
    return ZQ_EIO;
}

static struct zq_listener *add(struct opening *o, int fd)
{
    struct zq_listener *l;

    if (o->out->n == ZQ_LISTENERS_MAX) {
        close(fd);
        return NULL;
    }
    l = &o->out->v[o->out->n++];
    *l = (struct zq_listener){.fd = fd};
    return l;
}

/* ---- TCP ---- */

static void address_text(const struct sockaddr *address, socklen_t n, const char *scheme, char *out,
                         size_t size)
{
    char host[64] = "?", port[8] = "?";
    bool v6 = address->sa_family == AF_INET6;

    getnameinfo(address, n, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(out, size, v6 ? "%s[%s]:%s" : "%s%s:%s", scheme, host, port);
}

static void set_port(struct sockaddr *address, int port)
{
    if (address->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)(void *)address)->sin_port = htons((uint16_t)port);
}

static int get_port(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
}

/* A socket that listens at `address`, or -1 with errno. */
static int tcp_socket(const struct sockaddr *address, socklen_t n, int backlog)
{
    int on = 1, saved;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* past TIME_WAIT */
    if (address->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, address, n) == 0 && listen(fd, backlog) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int tcp_failed(struct opening *o, const struct sockaddr *address, socklen_t n)
{
    char place[96], holder[96], why[256];
    int error = errno;

    address_text(address, n, "", place, sizeof(place));
    if (error == EADDRINUSE) {
        holder_of_port(address, holder, sizeof(holder));
        snprintf(why, sizeof(why), "the port is in use by %s", holder);
    } else if (error == EACCES) {
        snprintf(why, sizeof(why), "%s (ports below 1024 need CAP_NET_BIND_SERVICE or root)",
                 strerror(error));
    } else {
        snprintf(why, sizeof(why), "%s", strerror(error));
    }
    failed(o, place, why);
    errno = error;
    return ZQ_EIO;
}

/* One address, errno telling why not; with port 0 `*port` becomes the one that was picked, for a
 * name's next address. */
static int open_address(struct opening *o, struct addrinfo *a, int *port)
{
    struct sockaddr_storage bound;
    socklen_t n = sizeof(bound);
    struct zq_listener *l;
    int fd;

    set_port(a->ai_addr, *port);
    fd = tcp_socket(a->ai_addr, a->ai_addrlen, (int)o->config->backlog);
    if (fd < 0)
        return tcp_failed(o, a->ai_addr, a->ai_addrlen);
    l = add(o, fd);
    if (!l)
        return failed(o, "more", "there are too many addresses");
    getsockname(fd, (struct sockaddr *)&bound, &n);
    *port = get_port(&bound);
    address_text((struct sockaddr *)&bound, n, "http://", l->text, sizeof(l->text));
    return 0;
}

/* A name may have an address of a family that this machine does not speak: one has to work. */
static bool is_absent(int error)
{
    return error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
}

/* A hosts file that maps a name twice makes the resolver repeat an address. */
static bool is_repeated(const struct addrinfo *list, const struct addrinfo *a)
{
    set_port(a->ai_addr, 0);
    for (; list != a; list = list->ai_next) {
        set_port(list->ai_addr, 0);
        if (list->ai_addrlen == a->ai_addrlen &&
            memcmp(list->ai_addr, a->ai_addr, a->ai_addrlen) == 0)
            return true;
    }
    return false;
}

static int open_tcp(struct opening *o, const struct endpoint *e)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list;
    size_t before = o->out->n;
    int port = e->port, rc = 0, gai;

    gai = getaddrinfo(*e->host ? e->host : NULL, "0", &hints, &list);
    if (gai != 0)
        return failed(o, e->host, gai == EAI_SYSTEM ? strerror(errno) : gai_strerror(gai));
    for (struct addrinfo *a = list; a && rc == 0; a = a->ai_next) {
        rc = is_repeated(list, a) ? 0 : open_address(o, a, &port);
        if (rc < 0 && is_absent(errno) && (a->ai_next || o->out->n > before))
            rc = 0;
    }
    freeaddrinfo(list);
    return rc;
}

/* ---- Unix domain sockets ---- */

/* A socket file that nobody answers at was left behind by a process that died: it is removed. */
static int clear_path(struct opening *o, const struct sockaddr_un *address)
{
    struct stat found;
    struct ucred peer = {0};
    socklen_t n = sizeof(peer);
    char holder[96], why[160];
    int fd, error;

    if (lstat(address->sun_path, &found) < 0)
        return errno == ENOENT ? 0 : failed(o, address->sun_path, strerror(errno));
    if (!S_ISSOCK(found.st_mode))
        return failed(o, address->sun_path, "there is a file of that name that is no socket");
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return failed(o, address->sun_path, strerror(errno));
    error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
    if (error == 0)
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n);
    close(fd);
    if (error == ECONNREFUSED)
        return unlink(address->sun_path) < 0 ? failed(o, address->sun_path, strerror(errno)) : 0;
    if (error != 0 && error != EAGAIN && error != EPROTOTYPE)
        return failed(o, address->sun_path, strerror(error));
    holder_of_pid(peer.pid, holder, sizeof(holder));
    snprintf(why, sizeof(why), "it is in use by %s", peer.pid ? holder : "another process");
    return failed(o, address->sun_path, why);
}

/* The mode is set before listen(): until then every connect is refused. */
static int open_unix(struct opening *o, const struct endpoint *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct zq_listener *l;
    struct stat made;
    int fd, rc;

    strcpy(address.sun_path, e->path);
    rc = clear_path(o, &address);
    if (rc < 0)
        return rc;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        rc = failed(o, e->path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    l = add(o, fd);
    if (!l)
        return failed(o, "more", "there are too many addresses");
    snprintf(l->text, sizeof(l->text), "unix:%s", e->path);
    l->path = strdup(e->path);
    if (l->path && lstat(e->path, &made) == 0) {
        l->device = made.st_dev;
        l->inode = made.st_ino;
    }
    if (chmod(e->path, (mode_t)o->mode) < 0 || listen(fd, (int)o->config->backlog) < 0)
        return failed(o, e->path, strerror(errno));
    return 0;
}

/* ---- inherited ---- */

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t n = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &n) < 0 ? -1 : value;
}

static void inherited_text(int fd, char *out, size_t size)
{
    struct sockaddr_storage bound = {0};
    socklen_t n = sizeof(bound);

    if (getsockname(fd, (struct sockaddr *)&bound, &n) == 0 && bound.ss_family == AF_UNIX)
        snprintf(out, size, "unix:%.107s", ((struct sockaddr_un *)(void *)&bound)->sun_path);
    else
        address_text((struct sockaddr *)&bound, n, "http://", out, size);
}

/* The original must not reach the children; 0, 1 and 2 must not become free for other uses. */
static void give_up(int fd)
{
    int null = fd <= STDERR_FILENO ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;

    if (null >= 0) {
        dup2(null, fd);
        close(null);
    } else {
        close(fd);
    }
}

static int open_fd(struct opening *o, const struct endpoint *e)
{
    char place[32];
    struct zq_listener *l;
    int fd;

    snprintf(place, sizeof(place), "descriptor %d", e->fd);
    if (fcntl(e->fd, F_GETFD) < 0)
        return failed(o, place, "it is not open");
    if (socket_option(e->fd, SO_TYPE) != SOCK_STREAM)
        return failed(o, place, "it is no stream socket");
    fd = fcntl(e->fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return failed(o, place, strerror(errno));
    give_up(e->fd);
    l = add(o, fd);
    if (!l)
        return failed(o, "more", "there are too many addresses");
    inherited_text(fd, l->text, sizeof(l->text));
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ||
        (socket_option(fd, SO_ACCEPTCONN) == 0 && listen(fd, (int)o->config->backlog) < 0))
        return failed(o, place, strerror(errno));
    return 0;
}

/* ---- the doors ---- */

int zq_listen_check(const struct zq_options *options, struct zq_config_error *error)
{
    struct endpoint endpoints[ZQ_LISTENERS_MAX];
    int n = endpoint_list(options, endpoints, ZQ_LISTENERS_MAX, error);

    return n < 0 ? n : 0;
}

int zq_listen_add(const struct zq_config *config, const struct endpoint *endpoint, int64_t mode,
                  struct zq_listeners *out, struct zq_config_error *error)
{
    static int (*const open_kind[])(struct opening *, const struct endpoint *) = {
        [ENDPOINT_TCP] = open_tcp, [ENDPOINT_UNIX] = open_unix, [ENDPOINT_FD] = open_fd};
    struct opening o = {config, mode, out, error};

    return open_kind[endpoint->kind](&o, endpoint);
}

int zq_listen_open(const struct zq_options *options, struct zq_listeners *out,
                   struct zq_config_error *error)
{
    struct endpoint endpoints[ZQ_LISTENERS_MAX];
    const struct zq_config *config = &options->config;
    int n = endpoint_list(options, endpoints, ZQ_LISTENERS_MAX, error), rc = n < 0 ? n : 0;

    out->n = 0;
    for (int i = 0; i < n && rc == 0; i++)
        rc = zq_listen_add(config, &endpoints[i], config->uds_mode, out, error);
    if (rc < 0) {
        zq_listen_close(out);
        zq_listen_unlink(out);
    }
    return rc;
}

void zq_listen_close(struct zq_listeners *listeners)
{
    for (size_t i = 0; i < listeners->n; i++) {
        if (listeners->v[i].fd >= 0)
            close(listeners->v[i].fd);
        listeners->v[i].fd = -1;
    }
}

void zq_listen_unlink(struct zq_listeners *listeners)
{
    for (size_t i = 0; i < listeners->n; i++) {
        struct zq_listener *l = &listeners->v[i];
        struct stat now;

        if (l->path && lstat(l->path, &now) == 0 && now.st_dev == l->device &&
            now.st_ino == l->inode)
            unlink(l->path);
        free(l->path);
        l->path = NULL;
    }
}
