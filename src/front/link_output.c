/* A link's output: buffered frames, which leave in one call a turn. */
#include "front/link.h"

#include <errno.h>
#include <sys/socket.h>

#define WRITE_EARLY_BYTES (128u << 10)
#define SHARED_EARLY_BYTES (512u << 10) /* the same for blocks that the output names */
#define KEPT_BYTES (512u << 10)         /* of an empty output buffer */
#define DIRECT_BYTES (8u << 10)         /* of a body part that goes out from where it is */

/* One sendmsg of what is buffered, and what else `message` has: the bytes that it took of that, all
 * else stays buffered. False when the socket takes no more. */
static bool send_once(struct link *link, struct msghdr *message, size_t *taken)
{
    ssize_t n;

    do
        n = sendmsg(link->io.fd, message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return false; /* full: EPOLLOUT goes on; dead: the reading side learns it */
    size_t buffered = (size_t)n < link->out.n ? (size_t)n : link->out.n;
    zq_buf_consume(&link->out, buffered);
    link->unanswered -= buffered < link->unanswered ? buffered : link->unanswered;
    link->unfreed -= buffered < link->unfreed ? buffered : link->unfreed;
    *taken = (size_t)n - buffered;
    return true;
}

static bool write_once(struct link *link, struct zq_slice more, size_t *taken)
{
    struct iovec v[] = {{zq_buf_data(&link->out), link->out.n}, {(char *)more.p, more.n}};
    struct msghdr message = {.msg_iov = v, .msg_iovlen = more.n > 0 ? 2 : 1};

    return send_once(link, &message, taken);
}

/* The same of what is buffered, and with it a copy of `fd`. */
static bool write_with(struct link *link, int fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = {0};
    struct iovec v = {zq_buf_data(&link->out), link->out.n};
    struct msghdr message = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    size_t none;

    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
    return send_once(link, &message, &none);
}

static void write_out(struct link *link)
{
    size_t none;

    link->shared = 0;
    while (link->out.n > 0 && write_once(link, (struct zq_slice){0}, &none))
        ;
    if (link->out.n == 0 && link->out.cap > KEPT_BYTES)
        zq_buf_fini(&link->out);
    zq_loop_modify(link->thread->loop, &link->io, link->out.n > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* Much output does not wait for the end of the turn, unless the socket is full anyway. */
void link_flush_later(struct link *link)
{
    if (link->broken)
        return;
    if ((link->out.n >= WRITE_EARLY_BYTES || link->shared >= SHARED_EARLY_BYTES) &&
        (link->io.events & EPOLLOUT) == 0)
        write_out(link);
    if (link->out.n > 0)
        zq_loop_defer(link->thread->loop, &link->flush);
}

int link_body(struct link *link, uint32_t stream, struct zq_slice data, unsigned flags)
{
    size_t taken = 0;
    int shared = zq_wire_share(&link->out, stream, link->region, ZQ_REGION_TO_WORKER, data, flags);

    if (shared == 0) {
        link->shared += data.n;
        link->named++;
        return 0;
    }
    if (shared != ZQ_EAGAIN)
        return shared;
    if (data.n < DIRECT_BYTES || (link->io.events & EPOLLOUT) != 0) {
        int error = zq_wire_encode_body(&link->out, stream, data, flags);
        link_flush_later(link);
        return error;
    }
    /* The room for what the socket will not take comes first: nothing is lost half-way. */
    if (zq_buf_reserve(&link->out, ZQ_WIRE_HEADER_SIZE + data.n) == NULL)
        return ZQ_ENOMEM;
    zq_wire_encode_body_head(&link->out, stream, data.n, flags);
    write_once(link, data, &taken);
    zq_buf_append(&link->out, data.p + taken, data.n - taken);
    link_flush_later(link);
    return 0;
}

/* LEND leaves by itself: a descriptor comes with the first bytes of what it is sent with, and who
 * reads whole frames up to there would find it without its LEND. Where the socket takes not all of
 * it, nothing more is lent before it does: so at most one LEND is behind its descriptor. */
int link_lend(struct link *link, uint32_t stream, int fd)
{
    if (link->broken || (link->io.events & EPOLLOUT) != 0)
        return ZQ_EAGAIN;
    write_out(link);
    if (link->out.n > 0 || zq_wire_encode_signal(&link->out, ZQ_WIRE_LEND, stream, 0) < 0)
        return ZQ_EAGAIN;
    if (!write_with(link, fd)) {
        link->out.n = 0;
        return ZQ_EAGAIN;
    }
    if (link->out.n > 0)
        write_out(link);
    return 0;
}

void link_turn_ended(struct zq_defer *defer)
{
    struct link *link = ZQ_CONTAINER(defer, struct link, flush);

    if (!link->broken)
        write_out(link);
}
