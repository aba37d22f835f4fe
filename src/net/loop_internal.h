/* room: net, private
 *
 * What a loop is made of. Only its own thread touches it, but for the mailbox's locked part.
 */
#ifndef ZQ_NET_LOOP_INTERNAL_H
#define ZQ_NET_LOOP_INTERNAL_H

#include "mailbox.h"
#include "timer.h"

#include "zq/loop.h"

#define ZQ_LOOP_MAGIC 0x6c6f6f70u
#define ZQ_LOOP_EVENTS 256

struct zq_loop {
    unsigned magic;
    int epoll_fd;
    int64_t now_us, now_ms;
    struct zq_wheel wheel;
    struct zq_mailbox mailbox;
    struct zq_io wakeup; /* the mailbox's eventfd */

    struct zq_node deferred; /* for the end of this turn */
    struct zq_node flushing; /* those whose turn it is now */

    /* The batch being dispatched: removing an io blanks its event in ready[next..n_ready). */
    int next, n_ready;
    struct epoll_event ready[ZQ_LOOP_EVENTS];
};

#endif
