/* The cache's kinds of lock, and their order, which is written here and nowhere else:
 *
 *   shard → entry → (a loop's mailbox, which a notify callback posts to)
 *   shard → queue (of eviction)
 *   any → purges → heap
 *
 * A thread holds at most one of a kind, and none of an earlier kind is taken while a later one is
 * held. Making room (zq_store_alloc) takes the queue and then shards, so it is called with none.
 * Debug builds assert all of that.
 */
#ifndef ZQ_CACHE_LOCK_H
#define ZQ_CACHE_LOCK_H

#include "zq/base.h"

#include <stdatomic.h>

enum zq_lock_rank {
    ZQ_LOCK_SHARD = 1,
    ZQ_LOCK_ENTRY = 2,
    ZQ_LOCK_QUEUE = 4,
    ZQ_LOCK_PURGES = 8,
    ZQ_LOCK_HEAP = 16
};

/* A mutex of 4 bytes, as every entry has one (Drepper, Futexes Are Tricky, 2011: mutex2). */
struct zq_lock {
    atomic_uint state; /* 0: free, 1: taken, 2: taken, and others wait */
#ifdef ZQ_DEBUG
    enum zq_lock_rank rank;
    const unsigned *owner; /* the holder's zq_lock_ranks_held */
#endif
};

#ifdef ZQ_DEBUG
extern _Thread_local unsigned zq_lock_ranks_held;
#endif

void zq_lock_wait(struct zq_lock *lock); /* takes one that was taken */
void zq_lock_wake(struct zq_lock *lock); /* one that waits for it */

static inline void zq_lock_init(struct zq_lock *lock, enum zq_lock_rank rank)
{
    atomic_init(&lock->state, 0);
#ifdef ZQ_DEBUG
    lock->rank = rank;
    lock->owner = NULL;
#endif
}

static inline void zq_lock_fini(struct zq_lock *lock)
{
    ZQ_ASSERT(atomic_load_explicit(&lock->state, memory_order_relaxed) == 0);
}

static inline void zq_lock_take(struct zq_lock *lock)
{
#ifdef ZQ_DEBUG
    ZQ_ASSERT(zq_lock_ranks_held < lock->rank);
    zq_lock_ranks_held |= lock->rank;
#endif
    unsigned state = 0;
    if (!atomic_compare_exchange_strong_explicit(&lock->state, &state, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        zq_lock_wait(lock);
#ifdef ZQ_DEBUG
    lock->owner = &zq_lock_ranks_held;
#endif
}

static inline void zq_lock_give(struct zq_lock *lock)
{
#ifdef ZQ_DEBUG
    ZQ_ASSERT(lock->owner == &zq_lock_ranks_held);
    lock->owner = NULL;
    zq_lock_ranks_held &= ~lock->rank;
#endif
    if (atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2)
        zq_lock_wake(lock);
}

#ifdef ZQ_DEBUG
#define ZQ_LOCK_HELD(lock) ZQ_ASSERT((lock)->owner == &zq_lock_ranks_held)
#define ZQ_LOCK_NONE_HELD() ZQ_ASSERT(zq_lock_ranks_held == 0)
#else
#define ZQ_LOCK_HELD(lock) ((void)0)
#define ZQ_LOCK_NONE_HELD() ((void)0)
#endif

#endif
