#include "timer.h"

#include <limits.h>

/* Rounded up: what hangs in a slot is due when the clock has reached the slot's tick. */
static int64_t tick_of(int64_t deadline_ms)
{
    return (deadline_ms + ZQ_TIMER_TICK_MS - 1) / ZQ_TIMER_TICK_MS;
}

static unsigned slot_of(int64_t tick)
{
    return (unsigned)((uint64_t)tick % ZQ_WHEEL_SLOTS);
}

void zq_wheel_init(struct zq_wheel *wheel, int64_t now_ms)
{
    wheel->tick = now_ms / ZQ_TIMER_TICK_MS;
    memset(wheel->occupied, 0, sizeof(wheel->occupied));
    for (size_t i = 0; i < ZQ_WHEEL_SLOTS; i++)
        zq_list_init(&wheel->slots[i]);
}

static void hang(struct zq_wheel *wheel, struct zq_timer *timer)
{
    int64_t tick = tick_of(timer->deadline_ms);
    if (tick <= wheel->tick)
        tick = wheel->tick + 1;
    unsigned slot = slot_of(tick);
    zq_list_append(&wheel->slots[slot], &timer->node);
    wheel->occupied[slot / 64] |= UINT64_C(1) << (slot % 64);
}

void zq_wheel_set(struct zq_wheel *wheel, struct zq_timer *timer, int64_t deadline_ms)
{
    ZQ_ASSERT(deadline_ms > 0);
    if (timer->deadline_ms != 0) {
        if (deadline_ms >= timer->deadline_ms) {
            timer->deadline_ms = deadline_ms; /* its slot comes by before: it moves then */
            return;
        }
        zq_list_remove(&timer->node);
    }
    timer->deadline_ms = deadline_ms;
    hang(wheel, timer);
}

void zq_wheel_cancel(struct zq_timer *timer)
{
    if (timer->deadline_ms == 0)
        return;
    timer->deadline_ms = 0;
    zq_list_remove(&timer->node);
}

static void move_all(struct zq_node *to, struct zq_node *from)
{
    zq_list_init(to);
    if (zq_list_empty(from))
        return;
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    zq_list_init(from);
}

static void run_slot(struct zq_wheel *wheel, unsigned slot, int64_t now_ms)
{
    struct zq_node due;
    wheel->occupied[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    move_all(&due, &wheel->slots[slot]);
    while (!zq_list_empty(&due)) {
        struct zq_timer *timer = ZQ_CONTAINER(due.next, struct zq_timer, node);
        zq_list_remove(&timer->node);
        if (timer->deadline_ms > now_ms) {
            hang(wheel, timer);
            continue;
        }
        timer->deadline_ms = 0;
        timer->on_expire(timer);
    }
}

/* The distance from the slot of `tick` + 1 to the next occupied one: ZQ_WHEEL_SLOTS if none is. */
static unsigned next_occupied(const struct zq_wheel *wheel, int64_t tick)
{
    unsigned start = slot_of(tick + 1);
    uint64_t word = wheel->occupied[start / 64] >> (start % 64);
    if (word != 0)
        return (unsigned)__builtin_ctzll(word);
    unsigned distance = 64 - start % 64;
    for (unsigned i = 1; i <= ZQ_WHEEL_WORDS; i++, distance += 64) {
        word = wheel->occupied[(start / 64 + i) % ZQ_WHEEL_WORDS];
        if (word != 0)
            return distance + (unsigned)__builtin_ctzll(word);
    }
    return ZQ_WHEEL_SLOTS;
}

void zq_wheel_run(struct zq_wheel *wheel, int64_t now_ms)
{
    int64_t from = wheel->tick;
    int64_t until = now_ms / ZQ_TIMER_TICK_MS;
    if (until <= from)
        return;
    if (until - from > ZQ_WHEEL_SLOTS)
        from = until - ZQ_WHEEL_SLOTS; /* a whole round visits every slot */
    /* Moved on before anything is called: what callbacks set for now comes with the next tick. */
    wheel->tick = until;
    while (from < until) {
        int64_t tick = from + 1 + next_occupied(wheel, from);
        if (tick > until)
            break;
        run_slot(wheel, slot_of(tick), now_ms);
        from = tick;
    }
}

int zq_wheel_timeout(struct zq_wheel *wheel, int64_t now_ms)
{
    for (;;) {
        unsigned distance = next_occupied(wheel, wheel->tick);
        if (distance >= ZQ_WHEEL_SLOTS)
            return -1;
        int64_t tick = wheel->tick + 1 + distance;
        unsigned slot = slot_of(tick);
        if (zq_list_empty(&wheel->slots[slot])) {
            wheel->occupied[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
            continue;
        }
        int64_t wait = tick * ZQ_TIMER_TICK_MS - now_ms;
        return wait <= 0 ? 0 : (int)wait;
    }
}
