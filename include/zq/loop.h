/* room: net
 *
 * The event loop: epoll, a timer wheel, a mailbox. One loop a thread; every function is for the
 * loop's own thread except zq_loop_post, zq_loop_unpost and zq_loop_stop. Nothing blocks but
 * zq_loop_run, in epoll_wait.
 *
 * A turn: wait; io callbacks; expired timers; posted messages; deferred calls; then wait again.
 */
#ifndef ZQ_LOOP_H
#define ZQ_LOOP_H

#include "zq/base.h"

#include <stdatomic.h>
#include <sys/epoll.h>

struct zq_loop;

/* A watched descriptor, embedded in its owner, who closes the descriptor itself. `on_event` gets
 * the epoll events; it may remove and free its own io, and any other: an io that was removed gets
 * no event any more in the same turn. */
struct zq_io {
    int fd; /* -1 when not watched */
    uint32_t events;
    void (*on_event)(struct zq_io *io, uint32_t events);
};

/* A one-shot timer, embedded in its owner. Zero-initialised is unset. Coarse: fires up to
 * ZQ_TIMER_TICK_MS late, never early. Re-setting and cancelling cost a few instructions. */
struct zq_timer {
    struct zq_node node;
    int64_t deadline_ms; /* 0 when unset */
    void (*on_expire)(struct zq_timer *timer);
};
#define ZQ_TIMER_TICK_MS 16

/* A message to a loop from any thread, embedded in its owner. Zero-initialised is not posted. */
struct zq_post {
    struct zq_node node;
    atomic_bool posted;                    /* its owner may ask; written with the mailbox locked */
    void (*on_post)(struct zq_post *post); /* on the loop's thread */
};

/* A call at the end of this turn, before waiting: where output is flushed once. What is deferred
 * by a deferred call comes at the end of the next turn, which then does not wait. */
struct zq_defer {
    struct zq_node node;
    bool pending;
    void (*on_turn_end)(struct zq_defer *defer);
};

struct zq_loop *zq_loop_new(void); /* NULL with errno set; release: zq_loop_free */
void zq_loop_free(struct zq_loop *loop);
void zq_loop_run(struct zq_loop *loop); /* until zq_loop_stop */
void zq_loop_stop(struct zq_loop *loop);
int64_t zq_loop_now_ms(const struct zq_loop *loop); /* this turn's zq_now_ms, read once */
int64_t zq_loop_now_us(const struct zq_loop *loop); /* the same instant, as zq_now_us has it */

int zq_loop_add(struct zq_loop *loop, struct zq_io *io, int fd, uint32_t events); /* 0 or ZQ_EIO */
void zq_loop_modify(struct zq_loop *loop, struct zq_io *io, uint32_t events); /* no call if same */
void zq_loop_remove(struct zq_loop *loop, struct zq_io *io); /* no-op when fd is -1 */

void zq_timer_set(struct zq_loop *loop, struct zq_timer *timer, int64_t after_ms);
void zq_timer_cancel(struct zq_loop *loop, struct zq_timer *timer);

/* Posting what is posted already is a no-op. After unpost returns, on_post is not called (loop's
 * own thread only, when nobody else posts it any more). */
void zq_loop_post(struct zq_loop *loop, struct zq_post *post);
void zq_loop_unpost(struct zq_loop *loop, struct zq_post *post);
/* Delivers what is posted: for a loop that nobody runs any more, and whose owner still wants its
 * messages (they may own memory). */
void zq_loop_deliver(struct zq_loop *loop);

void zq_loop_defer(struct zq_loop *loop, struct zq_defer *defer);
void zq_loop_undefer(struct zq_loop *loop, struct zq_defer *defer);

/* Accepting. The listening descriptor is shared by several loops (EPOLLEXCLUSIVE) and stays the
 * caller's. On EMFILE, ENFILE, ENOBUFS and ENOMEM accepting pauses for 100 ms, with one log line
 * a minute, instead of spinning. `on_accept` may drain the acceptor, but not free it. */
struct zq_acceptor {
    struct zq_io io;
    struct zq_timer resume;
    struct zq_loop *loop;
    int listener; /* -1 once drained */
    /* `fd` is non-blocking and close-on-exec, and belongs to the callee. */
    void (*on_accept)(struct zq_acceptor *acceptor, int fd);
};
int zq_acceptor_start(struct zq_loop *loop, struct zq_acceptor *acceptor, int fd);
/* Accepts what the kernel has queued already, then stops. */
void zq_acceptor_drain(struct zq_acceptor *acceptor);

#endif
