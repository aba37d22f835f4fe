#include "mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

int zq_mailbox_init(struct zq_mailbox *mailbox)
{
    mailbox->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mailbox->event_fd < 0)
        return ZQ_EIO;
    pthread_mutex_init(&mailbox->lock, NULL);
    zq_list_init(&mailbox->inbox);
    zq_list_init(&mailbox->delivering);
    mailbox->sleeping = false;
    mailbox->stopped = false;
    return 0;
}

void zq_mailbox_fini(struct zq_mailbox *mailbox)
{
    pthread_mutex_destroy(&mailbox->lock);
    close(mailbox->event_fd);
}

/* Can fail only when the counter is full, and then the owner is being woken anyway. */
static void ring(struct zq_mailbox *mailbox)
{
    uint64_t one = 1;
    ssize_t written = write(mailbox->event_fd, &one, sizeof(one));
    (void)written;
}

void zq_mailbox_post(struct zq_mailbox *mailbox, struct zq_post *post)
{
    pthread_mutex_lock(&mailbox->lock);
    bool wake = false;
    if (!post->posted) {
        post->posted = true;
        zq_list_append(&mailbox->inbox, &post->node);
        wake = mailbox->sleeping;
        mailbox->sleeping = false; /* one ring is enough */
    }
    /* Rung under the lock: the owner may free the mailbox as soon as it has seen the message. */
    if (wake)
        ring(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
}

void zq_mailbox_unpost(struct zq_mailbox *mailbox, struct zq_post *post)
{
    if (!atomic_load_explicit(&post->posted, memory_order_relaxed))
        return;
    pthread_mutex_lock(&mailbox->lock);
    if (post->posted) {
        post->posted = false;
        zq_list_remove(&post->node);
    }
    pthread_mutex_unlock(&mailbox->lock);
}

void zq_mailbox_stop(struct zq_mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->stopped = true;
    ring(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
}

bool zq_mailbox_sleep(struct zq_mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->sleeping = zq_list_empty(&mailbox->inbox) && !mailbox->stopped;
    bool may = mailbox->sleeping;
    pthread_mutex_unlock(&mailbox->lock);
    return may;
}

bool zq_mailbox_wake(struct zq_mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->sleeping = false;
    bool stopped = mailbox->stopped;
    mailbox->stopped = false;
    pthread_mutex_unlock(&mailbox->lock);
    return stopped;
}

void zq_mailbox_deliver(struct zq_mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    while (!zq_list_empty(&mailbox->inbox)) {
        struct zq_node *node = mailbox->inbox.next;
        zq_list_remove(node);
        zq_list_append(&mailbox->delivering, node);
    }
    while (!zq_list_empty(&mailbox->delivering)) {
        struct zq_post *post = ZQ_CONTAINER(mailbox->delivering.next, struct zq_post, node);
        zq_list_remove(&post->node);
        post->posted = false;
        pthread_mutex_unlock(&mailbox->lock);
        post->on_post(post);
        pthread_mutex_lock(&mailbox->lock);
    }
    pthread_mutex_unlock(&mailbox->lock);
}
