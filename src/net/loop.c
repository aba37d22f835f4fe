#include "loop_internal.h"

#include "zq/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void on_wakeup(struct zq_io *io, uint32_t events)
{
    /* Edge-triggered and never read: being awake is all it is for. */
    (void)io;
    (void)events;
}

static void read_clock(struct zq_loop *loop)
{
    loop->now_us = zq_now_us();
    loop->now_ms = loop->now_us / 1000;
}

struct zq_loop *zq_loop_new(void)
{
    struct zq_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return NULL;
    loop->magic = ZQ_LOOP_MAGIC;
    read_clock(loop);
    zq_wheel_init(&loop->wheel, loop->now_ms);
    zq_list_init(&loop->deferred);
    zq_list_init(&loop->flushing);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        goto fail_epoll;
    if (zq_mailbox_init(&loop->mailbox) != 0)
        goto fail_mailbox;
    loop->wakeup.on_event = on_wakeup;
    if (zq_loop_add(loop, &loop->wakeup, loop->mailbox.event_fd, EPOLLIN | EPOLLET) != 0)
        goto fail_add;
    return loop;

fail_add:
    zq_mailbox_fini(&loop->mailbox);
fail_mailbox:
    close(loop->epoll_fd);
fail_epoll:
    free(loop);
    return NULL;
}

void zq_loop_free(struct zq_loop *loop)
{
    if (loop == NULL)
        return;
    ZQ_CHECK(loop, ZQ_LOOP_MAGIC);
    loop->magic = 0;
    zq_mailbox_fini(&loop->mailbox);
    close(loop->epoll_fd);
    free(loop);
}

int64_t zq_loop_now_ms(const struct zq_loop *loop)
{
    return loop->now_ms;
}

int64_t zq_loop_now_us(const struct zq_loop *loop)
{
    return loop->now_us;
}

/* ---- descriptors ---- */

int zq_loop_add(struct zq_loop *loop, struct zq_io *io, int fd, uint32_t events)
{
    ZQ_CHECK(loop, ZQ_LOOP_MAGIC);
    struct epoll_event event = {.events = events, .data.ptr = io};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        io->fd = -1;
        return ZQ_EIO;
    }
    io->fd = fd;
    io->events = events;
    return 0;
}

void zq_loop_modify(struct zq_loop *loop, struct zq_io *io, uint32_t events)
{
    ZQ_CHECK(loop, ZQ_LOOP_MAGIC);
    if (io->events == events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = io};
    int rc = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &event);
    ZQ_ASSERT(rc == 0); /* it is registered, so only our own mistakes can fail */
    io->events = events;
}

void zq_loop_remove(struct zq_loop *loop, struct zq_io *io)
{
    ZQ_CHECK(loop, ZQ_LOOP_MAGIC);
    if (io->fd < 0)
        return;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    io->fd = -1;
    io->events = 0;
    for (int i = loop->next; i < loop->n_ready; i++)
        if (loop->ready[i].data.ptr == io)
            loop->ready[i].data.ptr = NULL;
}

static void dispatch_io(struct zq_loop *loop)
{
    while (loop->next < loop->n_ready) {
        struct epoll_event *event = &loop->ready[loop->next++];
        struct zq_io *io = event->data.ptr;
        if (io == NULL)
            continue;
        /* What an earlier callback of this turn has lost interest in is not told. */
        uint32_t events = event->events & (io->events | EPOLLERR | EPOLLHUP);
        if (events != 0)
            io->on_event(io, events);
    }
    loop->next = loop->n_ready = 0;
}

/* ---- timers and messages ---- */

void zq_timer_set(struct zq_loop *loop, struct zq_timer *timer, int64_t after_ms)
{
    zq_wheel_set(&loop->wheel, timer, loop->now_ms + (after_ms > 0 ? after_ms : 0));
}

void zq_timer_cancel(struct zq_loop *loop, struct zq_timer *timer)
{
    (void)loop;
    zq_wheel_cancel(timer);
}

void zq_loop_post(struct zq_loop *loop, struct zq_post *post)
{
    zq_mailbox_post(&loop->mailbox, post);
}

void zq_loop_unpost(struct zq_loop *loop, struct zq_post *post)
{
    zq_mailbox_unpost(&loop->mailbox, post);
}

void zq_loop_deliver(struct zq_loop *loop)
{
    zq_mailbox_deliver(&loop->mailbox);
}

void zq_loop_stop(struct zq_loop *loop)
{
    zq_mailbox_stop(&loop->mailbox);
}

/* ---- the end of a turn ---- */

void zq_loop_defer(struct zq_loop *loop, struct zq_defer *defer)
{
    if (defer->pending)
        return;
    defer->pending = true;
    zq_list_append(&loop->deferred, &defer->node);
}

void zq_loop_undefer(struct zq_loop *loop, struct zq_defer *defer)
{
    (void)loop;
    if (!defer->pending)
        return;
    defer->pending = false;
    zq_list_remove(&defer->node);
}

/* What is deferred meanwhile waits for the next turn, so that what defers itself again and again
 * cannot keep the loop from its descriptors. */
static void run_deferred(struct zq_loop *loop)
{
    while (!zq_list_empty(&loop->deferred)) {
        struct zq_node *node = loop->deferred.next;
        zq_list_remove(node);
        zq_list_append(&loop->flushing, node);
    }
    while (!zq_list_empty(&loop->flushing)) {
        struct zq_defer *defer = ZQ_CONTAINER(loop->flushing.next, struct zq_defer, node);
        defer->pending = false;
        zq_list_remove(&defer->node);
        defer->on_turn_end(defer);
    }
}

/* ---- a turn ---- */

static int wait_ms(struct zq_loop *loop)
{
    bool idle = zq_mailbox_sleep(&loop->mailbox) && zq_list_empty(&loop->deferred);
    return idle ? zq_wheel_timeout(&loop->wheel, zq_now_ms()) : 0;
}

static void wait_for_events(struct zq_loop *loop)
{
    int timeout = wait_ms(loop);
    int n = epoll_wait(loop->epoll_fd, loop->ready, ZQ_LOOP_EVENTS, timeout);
    ZQ_ASSERT(n >= 0 || errno == EINTR);
    loop->next = 0;
    loop->n_ready = n < 0 ? 0 : n;
    read_clock(loop);
}

void zq_loop_run(struct zq_loop *loop)
{
    ZQ_CHECK(loop, ZQ_LOOP_MAGIC);
    for (;;) {
        wait_for_events(loop);
        if (zq_mailbox_wake(&loop->mailbox)) {
            loop->n_ready = 0; /* level-triggered: they come again should it be run again */
            return;
        }
        dispatch_io(loop);
        zq_wheel_run(&loop->wheel, loop->now_ms);
        zq_mailbox_deliver(&loop->mailbox);
        run_deferred(loop);
    }
}
