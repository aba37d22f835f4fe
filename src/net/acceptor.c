#include "zq/clock.h"
#include "zq/log.h"
#include "zq/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>

/* Small, so that a burst of connections spreads over the loops that share the listener; it is
 * level-triggered, so what is left comes again. */
#define ACCEPT_BATCH 16
#define PAUSE_MS 100
#define COMPLAIN_EVERY_MS 60000
/* More than any backlog: draining must end while others still connect. */
#define DRAIN_MAX 16384

enum accepted { ACCEPTED, TRY_NEXT, NONE_LEFT, EXHAUSTED };

static void complain(int error)
{
    static _Atomic int64_t next_ms;
    int64_t now = zq_now_ms();
    int64_t next = atomic_load(&next_ms);
    if (now < next || !atomic_compare_exchange_strong(&next_ms, &next, now + COMPLAIN_EVERY_MS))
        return;
    char text[128];
    const char *reason = strerror_r(error, text, sizeof(text));
    zq_log(ZQ_LOG_WARNING, "cannot accept connections: %s; trying again every %d ms", reason,
           PAUSE_MS);
}

static enum accepted accept_one(struct zq_acceptor *acceptor, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        acceptor->on_accept(acceptor, fd);
        return ACCEPTED;
    }
    switch (errno) {
    case EAGAIN:
    case EINVAL: /* no longer listening */
    case EBADF:
    case ENOTSOCK:
        return NONE_LEFT;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        complain(errno);
        return EXHAUSTED;
    default:
        /* accept(2): errors of the new connection itself (ECONNABORTED, EPROTO, ENETDOWN …). */
        return TRY_NEXT;
    }
}

static int watch(struct zq_acceptor *acceptor, int fd)
{
    return zq_loop_add(acceptor->loop, &acceptor->io, fd, EPOLLIN | EPOLLEXCLUSIVE);
}

static void on_resume(struct zq_timer *timer)
{
    struct zq_acceptor *acceptor = ZQ_CONTAINER(timer, struct zq_acceptor, resume);
    if (watch(acceptor, acceptor->listener) != 0)
        zq_timer_set(acceptor->loop, timer, PAUSE_MS);
}

static void pause_accepting(struct zq_acceptor *acceptor)
{
    zq_loop_remove(acceptor->loop, &acceptor->io);
    zq_timer_set(acceptor->loop, &acceptor->resume, PAUSE_MS);
}

static void on_listener(struct zq_io *io, uint32_t events)
{
    struct zq_acceptor *acceptor = ZQ_CONTAINER(io, struct zq_acceptor, io);
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH && io->fd >= 0; i++) {
        enum accepted result = accept_one(acceptor, io->fd);
        if (result == EXHAUSTED)
            pause_accepting(acceptor);
        if (result == EXHAUSTED || result == NONE_LEFT)
            return;
    }
}

int zq_acceptor_start(struct zq_loop *loop, struct zq_acceptor *acceptor, int fd)
{
    acceptor->loop = loop;
    acceptor->listener = fd;
    acceptor->io.on_event = on_listener;
    acceptor->resume = (struct zq_timer){.on_expire = on_resume};
    return watch(acceptor, fd);
}

void zq_acceptor_drain(struct zq_acceptor *acceptor)
{
    if (acceptor->loop == NULL || acceptor->listener < 0)
        return;
    int listener = acceptor->listener;
    acceptor->listener = -1; /* on_accept may call this again */
    zq_timer_cancel(acceptor->loop, &acceptor->resume);
    zq_loop_remove(acceptor->loop, &acceptor->io);
    for (int i = 0; i < DRAIN_MAX; i++) {
        enum accepted result = accept_one(acceptor, listener);
        if (result == EXHAUSTED || result == NONE_LEFT)
            return;
    }
}
