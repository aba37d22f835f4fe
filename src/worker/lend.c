#include "worker/lend.h"

#include "worker/link.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- descriptors ---- */

static int keep_one(struct zq_lent *lent, int fd)
{
    if (lent->n < ZQ_LENT_MAX) {
        lent->fds[lent->n++] = fd;
        return 0;
    }
    close(fd);
    return ZQ_EPROTO;
}

static int keep_all(struct zq_lent *lent, struct msghdr *message)
{
    int error = message->msg_flags & MSG_CTRUNC ? ZQ_EPROTO : 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
            if (keep_one(lent, fd) < 0)
                error = ZQ_EPROTO;
        }
    }
    return error;
}

ssize_t zq_lent_receive(struct zq_lent *lent, int fd, char *to, size_t room)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(ZQ_LENT_MAX * sizeof(int))];
    struct iovec v = {to, room};
    struct msghdr message = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t n;

    do
        n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n > 0 && message.msg_controllen > 0 && keep_all(lent, &message) < 0) {
        errno = EPROTO;
        return -1;
    }
    return n;
}

int zq_lent_take(struct zq_lent *lent)
{
    if (lent->n == 0)
        return -1;
    int fd = lent->fds[0];
    memmove(lent->fds, lent->fds + 1, --lent->n * sizeof(fd));
    return fd;
}

void zq_lent_fini(struct zq_lent *lent)
{
    while (lent->n > 0)
        close(lent->fds[--lent->n]);
}

/* ---- streams ---- */

bool zq_stream_can_offer(const struct zq_stream *s, size_t n, bool end)
{
    if (n < ZQ_WIRE_OFFER_LEAST || n > ZQ_WIRE_OFFER_MAX)
        return false;
    if (s->state != ZQ_STREAM_HELD)
        return s->has_length;
    return !s->head->bodyless && (s->head->has_length || end);
}

static size_t left_of(const struct zq_stream *s)
{
    return (size_t)PyBytes_GET_SIZE(s->rest) - s->rest_offset;
}

static void encoded(struct zq_stream *s, int error)
{
    if (error < 0)
        zq_link_break(s->link, zq_strerror(error));
}

void zq_stream_offer(struct zq_stream *s)
{
    s->offered = true;
    encoded(
        s, zq_wire_encode_number(&s->link->out.frames, ZQ_WIRE_OFFER, s->id, (uint32_t)left_of(s)));
    zq_link_flush_soon(s->link);
}

/* As much as the socket takes at once. What is wrong with it the front sees by itself. */
static size_t write_to(int fd, const char *p, size_t n)
{
    ssize_t sent;

    do
        sent = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent > 0 ? (size_t)sent : 0;
}

int zq_stream_lend(struct zq_stream *s, int fd)
{
    if (!s->offered) {
        close(fd);
        return ZQ_EPROTO;
    }
    size_t n = write_to(fd, PyBytes_AS_STRING(s->rest) + s->rest_offset, left_of(s));
    close(fd);
    s->rest_offset += n;
    bool all = left_of(s) == 0, end = all && s->end_given;
    encoded(s, zq_wire_encode_returned(&s->link->out.frames, s->id, (uint32_t)n,
                                       end ? ZQ_WIRE_END : 0));
    s->offered = !all;
    zq_stream_written(s);
    return 0;
}

int zq_stream_keep(struct zq_stream *s)
{
    if (!s->offered)
        return ZQ_EPROTO;
    s->offered = false;
    zq_stream_resume(s);
    return 0;
}
