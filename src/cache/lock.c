#include "cache/lock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef ZQ_DEBUG
_Thread_local unsigned zq_lock_ranks_held;
#endif

void zq_lock_wait(struct zq_lock *lock)
{
    while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0)
        syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

void zq_lock_wake(struct zq_lock *lock)
{
    syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
