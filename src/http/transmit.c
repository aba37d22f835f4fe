/* Bytes into a client's socket, as many as it takes: copied or, what is long and lies in memory
 * that was lent, by reference where that is quicker. For that vmsplice(2) puts its pages into a
 * pipe, from which splice(2) moves them to the socket: no byte is touched. Between two calls the
 * pipe is empty. */
#include "connection.h"

#include "zq/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct zq_lend {
    struct zq_slice memory;
    size_t least;
    int from, to;       /* the pipe's ends */
    int nowhere;        /* takes what the socket did not */
    unsigned turn;      /* of sends that could go either way */
    int votes;          /* by reference is quicker: where they are not negative */
    uint64_t us, bytes; /* of the last send by reference that was timed */
};

/* ---- copied ---- */

/* What is short is gathered here: the system takes longer over a list of places than it takes to
 * copy it (a hit of 350 bytes costs 6 % more as four of them). */
#define GATHER_MAX 4096

static ssize_t send_gathered(int fd, const struct iovec *v, int n, size_t bytes, int flags)
{
    char gathered[GATHER_MAX], *to = gathered;

    for (int i = 0; i < n; i++)
        to = zq_put(to, zq_slice(v[i].iov_base, v[i].iov_len));
    return send(fd, gathered, bytes, flags);
}

static ssize_t send_places(int fd, struct iovec *v, int n, int flags)
{
    struct msghdr message = {.msg_iov = v, .msg_iovlen = (size_t)n};

    return sendmsg(fd, &message, flags);
}

static ssize_t send_copied(int fd, struct iovec *v, int n, size_t bytes, bool more)
{
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);

    return bytes <= GATHER_MAX ? send_gathered(fd, v, n, bytes, flags)
                               : send_places(fd, v, n, flags);
}

/* ---- lent ---- */

/* There are systems on which vmsplice copies: then sending does that quicker. */
static bool refers(const struct zq_lend *lend)
{
    volatile char byte = 'a';
    struct iovec v = {(void *)(uintptr_t)&byte, 1};
    char got = 0;

    if (vmsplice(lend->to, &v, 1, SPLICE_F_NONBLOCK) != 1)
        return false;
    byte = 'b';
    return read(lend->from, &got, 1) == 1 && got == 'b';
}

static bool lend_init(struct zq_lend *lend, struct zq_slice memory, size_t least)
{
    int ends[2];

    *lend = (struct zq_lend){.memory = memory, .least = least, .from = -1, .to = -1};
    lend->nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (lend->nowhere < 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    lend->from = ends[0];
    lend->to = ends[1];
    return refers(lend);
}

void zq_lend_free(struct zq_lend *lend)
{
    if (lend == NULL)
        return;
    close(lend->from);
    close(lend->to);
    close(lend->nowhere);
    free(lend);
}

static void stop_lending(struct zq_http_server *server)
{
    zq_lend_free(server->lend);
    server->lend = NULL;
}

void zq_http_lend(struct zq_http_server *server, struct zq_slice memory, size_t least)
{
    ZQ_ASSERT(server->lend == NULL);
    if (memory.n == 0)
        return;
    server->lend = malloc(sizeof(*server->lend));
    if (server->lend != NULL && !lend_init(server->lend, memory, least))
        stop_lending(server);
}

bool zq_may_lend(const struct zq_http_server *server, const void *p, size_t n)
{
    const struct zq_lend *lend = server->lend;

    return lend != NULL && n >= lend->least && n <= lend->memory.n &&
           (uintptr_t)p - (uintptr_t)lend->memory.p <= lend->memory.n - n;
}

/* Another client must not get what this one did not take. */
static void drain(struct zq_http_server *server, size_t left)
{
    while (left > 0) {
        ssize_t n = splice(server->lend->from, NULL, server->lend->nowhere, NULL, left, 0);
        if (n <= 0) {
            stop_lending(server);
            return;
        }
        left -= (size_t)n;
    }
}

/* A pipeful from the start of `rest`, which what was sent is taken off. False: the socket took
 * less, or as errno says. */
static bool send_pipeful(struct zq_http_server *server, int fd, struct iovec *rest, bool more)
{
    ssize_t in = vmsplice(server->lend->to, rest, 1, SPLICE_F_NONBLOCK);

    if (in <= 0) {
        errno = ENOSYS;
        return false;
    }
    more |= (size_t)in < rest->iov_len;
    ssize_t out = splice(server->lend->from, NULL, fd, NULL, (size_t)in,
                         SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0));
    int error = errno;
    size_t sent = out > 0 ? (size_t)out : 0;
    drain(server, (size_t)in - sent);
    *rest = (struct iovec){(char *)rest->iov_base + sent, rest->iov_len - sent};
    errno = error;
    return out == in;
}

/* As send does it: the bytes sent, or -1 and errno. */
static ssize_t send_lent(struct zq_http_server *server, int fd, const struct iovec *v, int n,
                         bool more)
{
    size_t sent = 0;
    bool going = true;

    for (int i = 0; i < n && going; i++) {
        struct iovec rest = v[i];
        while (going && rest.iov_len > 0)
            going = send_pipeful(server, fd, &rest, more || i + 1 < n);
        sent += v[i].iov_len - rest.iov_len;
    }
    return sent > 0 ? (ssize_t)sent : -1;
}

static bool is_unable(int error)
{
    return error == ENOSYS || error == EINVAL || error == EOPNOTSUPP || error == EPERM;
}

/* ---- either ---- */

static ssize_t send_alike(struct zq_conn *conn, struct iovec *v, int n, size_t bytes, bool lent,
                          bool more)
{
    struct zq_http_server *server = conn->server;

    if (lent && server->lend != NULL) {
        ssize_t sent = send_lent(server, conn->io.fd, v, n, more);
        if (sent > 0 || !is_unable(errno))
            return sent;
        if (server->lend != NULL)
            stop_lending(server);
    }
    return send_copied(conn->io.fd, v, n, bytes, more);
}

/* How many of the places at the start go the same way. */
static int alike(uint64_t lent, int n)
{
    uint64_t others = lent & 1 ? ~lent : lent;

    return others != 0 ? __builtin_ctzll(others) : n;
}

static size_t transmit(struct zq_conn *conn, struct iovec *v, int n, size_t bytes, uint64_t lent,
                       bool more)
{
    size_t all = 0;

    for (;;) {
        int k = alike(lent, n);
        size_t these = k < n ? zq_iov_bytes(v, k) : bytes - all;
        ssize_t sent;
        do {
            sent = send_alike(conn, v, k, these, lent & 1, more || k < n);
        } while (sent < 0 && errno == EINTR);
        if (sent < 0 && errno != EAGAIN && errno != ENOBUFS)
            zq_conn_break(conn);
        all += sent > 0 ? (size_t)sent : 0;
        if (k == n || sent < 0 || (size_t)sent < these)
            return all;
        v += k;
        n -= k;
        lent >>= k;
    }
}

/* ---- the quicker one ---- */

/* Which one that is depends on the machine: by reference, a page costs its accounts, and a copy
 * what memory and caches make of it (between 1.7 times as much and three quarters). So of each
 * round of sends one goes by reference and the next is copied, and what took less time a byte has a
 * vote; a majority decides how the others go. One vote is little: whatever interrupts a send counts
 * once. A prime, so that no pattern of long and short sends gives one kind the longer ones. */
#define ROUND 61
#define REFERRED (ROUND - 2)
#define COPIED (ROUND - 1)
#define MAJORITY_MAX 8

static void vote(struct zq_lend *lend, uint64_t us, uint64_t bytes)
{
    uint64_t referred = lend->us * bytes, copied = us * lend->bytes;

    if (lend->bytes < lend->least || bytes < lend->least)
        return;
    if (referred < copied && lend->votes < MAJORITY_MAX)
        lend->votes++;
    if (referred > copied && lend->votes > -MAJORITY_MAX)
        lend->votes--;
}

static size_t transmit_timed(struct zq_conn *conn, struct iovec *v, int n, size_t bytes,
                             uint64_t lent, bool more)
{
    int64_t began = zq_now_us();
    size_t sent = transmit(conn, v, n, bytes, lent, more);
    uint64_t us = (uint64_t)(zq_now_us() - began);
    struct zq_lend *lend = conn->server->lend;

    if (lend != NULL && lent == 0) {
        vote(lend, us, sent);
    } else if (lend != NULL) {
        lend->us = us;
        lend->bytes = sent;
    }
    return sent;
}

size_t zq_transmit(struct zq_conn *conn, struct iovec *v, int n, size_t bytes, uint64_t lent,
                   bool more)
{
    struct zq_lend *lend = conn->server->lend;

    if (lent == 0 || lend == NULL)
        return transmit(conn, v, n, bytes, 0, more);
    unsigned turn = lend->turn++ % ROUND;
    if (turn >= REFERRED)
        return transmit_timed(conn, v, n, bytes, turn == COPIED ? 0 : lent, more);
    return transmit(conn, v, n, bytes, lend->votes < 0 ? 0 : lent, more);
}
