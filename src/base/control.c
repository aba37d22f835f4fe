/* room: base */
#include "zq/control.h"

#include "zq/clock.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a packet begins with; the text is the rest of it. */
struct packet {
    uint32_t type, worker, generation, text_n;
    int64_t value;
};

union descriptors { /* aligned as cmsg(3) wants it */
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int) * ZQ_CONTROL_FDS_MAX)];
};

const char *zq_control_name(enum zq_control_type type)
{
    static const char *const names[] = {"NONE",
#define X(name) #name,
                                        ZQ_CONTROL_TYPES(X)
#undef X
    };

    return (size_t)type < ZQ_ARRAY_SIZE(names) ? names[type] : "?";
}

static int outcome(int error)
{
    switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ETOOMANYREFS: /* too many descriptors on their way to processes that do not read */
        return ZQ_EAGAIN;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return ZQ_ECLOSED;
    default:
        return ZQ_EIO;
    }
}

int zq_control_send(int channel, const struct zq_control *message)
{
    struct packet packet = {message->type, message->worker, message->generation,
                            (uint32_t)message->text.n, message->value};
    struct iovec iov[] = {{&packet, sizeof(packet)},
                          {(char *)(uintptr_t)message->text.p, message->text.n}};
    struct msghdr out = {.msg_iov = iov, .msg_iovlen = message->text.n ? 2 : 1};
    union descriptors ancillary = {0};
    size_t size = sizeof(int) * message->n_fds;
    ssize_t n;

    ZQ_ASSERT(message->n_fds <= ZQ_CONTROL_FDS_MAX && message->text.n <= ZQ_CONTROL_TEXT_MAX);
    if (size) {
        ancillary.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(size), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&ancillary.header), message->fds, size);
        out.msg_control = &ancillary;
        out.msg_controllen = CMSG_SPACE(size);
    }
    do
        n = sendmsg(channel, &out, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? outcome(errno) : 0;
}

static void take_descriptors(struct msghdr *in, struct zq_control *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(in); c; c = CMSG_NXTHDR(in, c)) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        ZQ_ASSERT(message->n_fds + n <= ZQ_CONTROL_FDS_MAX); /* the buffer holds no more */
        memcpy(message->fds + message->n_fds, CMSG_DATA(c), n * sizeof(int));
        message->n_fds += n;
    }
}

static int malformed(struct zq_control *message)
{
    while (message->n_fds)
        close(message->fds[--message->n_fds]);
    return ZQ_EPROTO;
}

int zq_control_receive(int channel, struct zq_control *message, char *storage, size_t size)
{
    struct packet packet;
    struct iovec iov[] = {{&packet, sizeof(packet)}, {storage, size}};
    union descriptors ancillary;
    struct msghdr in = {.msg_iov = iov,
                        .msg_iovlen = 2,
                        .msg_control = &ancillary,
                        .msg_controllen = sizeof(ancillary)};
    ssize_t n;

    message->n_fds = 0;
    do
        n = recvmsg(channel, &in, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return outcome(errno);
    if (n == 0)
        return ZQ_ECLOSED;
    take_descriptors(&in, message);
    if (in.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || (size_t)n < sizeof(packet) ||
        packet.text_n != (size_t)n - sizeof(packet) || packet.type == ZQ_CONTROL_NONE ||
        packet.type >= ZQ_CONTROL_TYPE_COUNT)
        return malformed(message);
    message->type = packet.type;
    message->worker = packet.worker;
    message->generation = packet.generation;
    message->value = packet.value;
    message->text = zq_slice(storage, packet.text_n);
    return 0;
}

int zq_control_wait(int channel, struct zq_control *message, char *storage, size_t size,
                    int timeout_ms)
{
    int64_t deadline = zq_now_ms() + timeout_ms;

    for (;;) {
        struct pollfd wait = {.fd = channel, .events = POLLIN};
        int64_t left = deadline - zq_now_ms();
        int rc = zq_control_receive(channel, message, storage, size);

        if (rc != ZQ_EAGAIN || (timeout_ms >= 0 && left <= 0))
            return rc;
        if (poll(&wait, 1, timeout_ms < 0 ? -1 : (int)left) < 0 && errno != EINTR)
            return ZQ_EIO;
    }
}
