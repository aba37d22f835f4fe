/* room: super */
#include "backoff.h"

#include <sys/random.h>

/* Several zq on one machine, felled by the same cause, shall not come back in step. */
static int64_t jitter(int64_t ms)
{
    uint32_t chance = 0;

    if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != sizeof(chance))
        return ms;
    return ms - ms / 5 + (int64_t)(chance % (uint64_t)(ms / 5 * 2 + 1));
}

int64_t backoff_fail(struct backoff *b, int64_t now_ms, int64_t ran_ms)
{
    int64_t delay = 0;

    if (ran_ms >= BACKOFF_WELL_MS)
        b->failures = 0;
    if (b->failures > 0) {
        unsigned doublings = b->failures - 1 < 6 ? b->failures - 1 : 6;

        delay = BACKOFF_FIRST_MS << doublings;
        delay = jitter(delay < BACKOFF_LAST_MS ? delay : BACKOFF_LAST_MS);
    }
    b->failures++;
    b->retry_at_ms = now_ms + delay;
    return delay;
}
