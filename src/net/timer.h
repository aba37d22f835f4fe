/* room: net, private
 *
 * A hashed timer wheel of one level (Varghese & Lauck, scheme 6): a timer hangs in the slot of its
 * tick modulo the wheel's size. One that is not due when its slot comes by waits for another
 * round, or moves to where its deadline is by then: pushing a deadline back therefore only writes
 * the deadline. A bit a slot says which may hold timers, so that finding the next one, and
 * sleeping until then, costs a scan of some words.
 */
#ifndef ZQ_NET_TIMER_H
#define ZQ_NET_TIMER_H

#include "zq/loop.h"

#define ZQ_WHEEL_SLOTS 1024 /* 16 s a round */
#define ZQ_WHEEL_WORDS (ZQ_WHEEL_SLOTS / 64)

struct zq_wheel {
    int64_t tick;                      /* the last one that was run */
    uint64_t occupied[ZQ_WHEEL_WORDS]; /* a set bit may be stale, a clear one never is */
    struct zq_node slots[ZQ_WHEEL_SLOTS];
};

void zq_wheel_init(struct zq_wheel *wheel, int64_t now_ms);
void zq_wheel_set(struct zq_wheel *wheel, struct zq_timer *timer, int64_t deadline_ms);
void zq_wheel_cancel(struct zq_timer *timer);
/* Calls what is due. Callbacks may set, cancel and free any timer, their own included. */
void zq_wheel_run(struct zq_wheel *wheel, int64_t now_ms);
/* Milliseconds until something may be due, for epoll_wait: -1 if there is nothing. */
int zq_wheel_timeout(struct zq_wheel *wheel, int64_t now_ms);

#endif
