/* room: net, private
 *
 * A loop's messages from other threads. The list and every zq_post's `posted` and `node` are
 * written under the lock; callbacks run without it. The owner says when it goes to sleep, so that
 * posting to a loop that is awake costs no system call.
 */
#ifndef ZQ_NET_MAILBOX_H
#define ZQ_NET_MAILBOX_H

#include "zq/loop.h"

#include <pthread.h>

struct zq_mailbox {
    pthread_mutex_t lock;
    struct zq_node inbox;
    struct zq_node delivering; /* this turn's, in the order they came */
    bool sleeping;             /* the owner waits, or is about to: an empty inbox wakes it */
    bool stopped;
    int event_fd; /* watched edge-triggered: written, never read */
};

int zq_mailbox_init(struct zq_mailbox *mailbox); /* 0 or ZQ_EIO with errno set */
void zq_mailbox_fini(struct zq_mailbox *mailbox);

void zq_mailbox_post(struct zq_mailbox *mailbox, struct zq_post *post);
void zq_mailbox_unpost(struct zq_mailbox *mailbox, struct zq_post *post);
void zq_mailbox_stop(struct zq_mailbox *mailbox);

/* For the owner. Before waiting: true if it may sleep, false if there is work. */
bool zq_mailbox_sleep(struct zq_mailbox *mailbox);
/* After waiting: true if it was told to stop (and forgets it). */
bool zq_mailbox_wake(struct zq_mailbox *mailbox);
/* Calls what had been posted when it is called. */
void zq_mailbox_deliver(struct zq_mailbox *mailbox);

#endif
