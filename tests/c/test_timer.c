/* src/net/timer.c: timers fire in time, never early, and cost nothing while nothing is due. The
 * clock is a number here. */
#include "net/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define START 1000003 /* not on a tick */

struct alarm {
    struct zq_timer timer;
    struct zq_wheel *wheel;
    int fired;
    int64_t at;
    struct zq_timer *cancels; /* when it fires */
    int64_t again_ms;         /* sets itself again for so much later */
};

static int64_t clock_ms;

static void on_expire(struct zq_timer *timer)
{
    struct alarm *alarm = ZQ_CONTAINER(timer, struct alarm, timer);
    alarm->fired++;
    alarm->at = clock_ms;
    if (alarm->cancels != NULL)
        zq_wheel_cancel(alarm->cancels);
    if (alarm->again_ms > 0)
        zq_wheel_set(alarm->wheel, timer, clock_ms + alarm->again_ms);
}

static void set(struct zq_wheel *wheel, struct alarm *alarm, int64_t after_ms)
{
    alarm->wheel = wheel;
    alarm->timer.on_expire = on_expire;
    zq_wheel_set(wheel, &alarm->timer, clock_ms + after_ms);
}

static struct zq_wheel *new_wheel(void)
{
    struct zq_wheel *wheel = malloc(sizeof(*wheel));
    assert_non_null(wheel);
    clock_ms = START;
    zq_wheel_init(wheel, clock_ms);
    return wheel;
}

static void run_to(struct zq_wheel *wheel, int64_t ms)
{
    clock_ms = ms;
    zq_wheel_run(wheel, clock_ms);
}

/* Sleeps as a loop would, until `ms`; returns how often it woke. */
static int sleep_to(struct zq_wheel *wheel, int64_t ms)
{
    int wakes = 0;
    for (;;) {
        int wait = zq_wheel_timeout(wheel, clock_ms);
        if (wait < 0 || clock_ms + wait > ms) {
            run_to(wheel, ms);
            return wakes;
        }
        run_to(wheel, clock_ms + wait);
        wakes++;
    }
}

static void fires_late_by_a_tick_at_most_and_never_early(void **state)
{
    struct zq_wheel *wheel = new_wheel();
    (void)state;
    for (int64_t after = 0; after < 40; after++) {
        struct alarm alarm = {.fired = 0};
        set(wheel, &alarm, after);
        int64_t deadline = alarm.timer.deadline_ms;
        for (int64_t ms = clock_ms; !alarm.fired; ms++)
            run_to(wheel, ms);
        assert_true(alarm.at >= deadline);
        assert_true(alarm.at <= deadline + ZQ_TIMER_TICK_MS);
        assert_int_equal(alarm.timer.deadline_ms, 0);
    }
    free(wheel);
}

static void nothing_set_sleeps_for_ever(void **state)
{
    struct zq_wheel *wheel = new_wheel();
    struct alarm alarm = {.fired = 0};
    (void)state;
    assert_int_equal(zq_wheel_timeout(wheel, clock_ms), -1);
    set(wheel, &alarm, 500);
    assert_in_range(zq_wheel_timeout(wheel, clock_ms), 500, 500 + ZQ_TIMER_TICK_MS);
    zq_wheel_cancel(&alarm.timer);
    assert_int_equal(zq_wheel_timeout(wheel, clock_ms), -1);
    zq_wheel_cancel(&alarm.timer); /* again: nothing */
    free(wheel);
}

static void a_deadline_moves_both_ways(void **state)
{
    struct zq_wheel *wheel = new_wheel();
    struct alarm later = {.fired = 0}, sooner = {.fired = 0};
    (void)state;
    set(wheel, &later, 100);
    set(wheel, &later, 1000);
    set(wheel, &sooner, 1000);
    set(wheel, &sooner, 100);
    sleep_to(wheel, START + 99);
    assert_int_equal(later.fired + sooner.fired, 0);
    sleep_to(wheel, START + 120);
    assert_int_equal(sooner.fired, 1);
    assert_int_equal(later.fired, 0);
    sleep_to(wheel, START + 999);
    assert_int_equal(later.fired, 0);
    sleep_to(wheel, START + 1020);
    assert_int_equal(later.fired, 1);
    free(wheel);
}

static void a_deadline_that_is_pushed_back_costs_one_wake(void **state)
{
    struct zq_wheel *wheel = new_wheel();
    struct alarm alarm = {.fired = 0};
    int wakes = 0;
    (void)state;
    set(wheel, &alarm, 5000);
    for (int i = 1; i <= 100; i++) { /* a request each 40 ms, for four seconds */
        run_to(wheel, START + i * 40);
        set(wheel, &alarm, 5000);
    }
    wakes = sleep_to(wheel, START + 4000 + 5000 + ZQ_TIMER_TICK_MS);
    assert_int_equal(alarm.fired, 1);
    assert_in_range(wakes, 1, 2);
    free(wheel);
}

static void far_deadlines_wait_for_their_round(void **state)
{
    struct zq_wheel *wheel = new_wheel();
    struct alarm alarm = {.fired = 0};
    const int64_t round = ZQ_WHEEL_SLOTS * ZQ_TIMER_TICK_MS;
    (void)state;
    set(wheel, &alarm, 5 * round + 100);
    sleep_to(wheel, START + 5 * round + 99);
    assert_int_equal(alarm.fired, 0);
    sleep_to(wheel, START + 5 * round + 100 + ZQ_TIMER_TICK_MS);
    assert_int_equal(alarm.fired, 1);
    free(wheel);
}

static void a_long_pause_fires_everything_once(void **state)
{
    struct zq_wheel *wheel = new_wheel();
    struct alarm alarms[500];
    (void)state;
    memset(alarms, 0, sizeof(alarms));
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(alarms); i++)
        set(wheel, &alarms[i], (int64_t)i * 97);
    run_to(wheel, START + 3600000);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(alarms); i++)
        assert_int_equal(alarms[i].fired, 1);
    assert_int_equal(zq_wheel_timeout(wheel, clock_ms), -1);
    free(wheel);
}

static void callbacks_may_cancel_and_set(void **state)
{
    struct zq_wheel *wheel = new_wheel();
    struct alarm a = {.fired = 0}, b = {.fired = 0};
    (void)state;
    /* Both due in the same slot: whichever comes first takes the other away. */
    set(wheel, &a, 100);
    set(wheel, &b, 100);
    a.cancels = &b.timer;
    b.cancels = &a.timer;
    a.again_ms = b.again_ms = 50;
    run_to(wheel, START + 200);
    assert_int_equal(a.fired + b.fired, 1);
    a.cancels = b.cancels = NULL;
    sleep_to(wheel, START + 1000);
    assert_in_range(a.fired + b.fired, 10, 17);
    free(wheel);
}

/* Against a list that is searched, which cannot be wrong. */
static void random_schedules_agree_with_a_simple_list(void **state)
{
    enum { TIMERS = 64, STEPS = 20000 };
    struct zq_wheel *wheel = new_wheel();
    struct alarm alarms[TIMERS];
    int64_t deadlines[TIMERS] = {0};
    (void)state;
    memset(alarms, 0, sizeof(alarms));
    srand(7);
    for (int step = 0; step < STEPS; step++) {
        int i = rand() % TIMERS;
        int what = rand() % 4;
        if (what == 0) {
            zq_wheel_cancel(&alarms[i].timer);
            deadlines[i] = 0;
        } else if (what < 3) {
            set(wheel, &alarms[i], rand() % (rand() % 8 == 0 ? 40000 : 400));
            deadlines[i] = alarms[i].timer.deadline_ms;
        }
        run_to(wheel, clock_ms + rand() % (rand() % 100 == 0 ? 20000 : 30));
        int wait = zq_wheel_timeout(wheel, clock_ms);
        for (int k = 0; k < TIMERS; k++) {
            if (deadlines[k] == 0) {
                assert_int_equal(alarms[k].fired, 0);
                continue;
            }
            if (alarms[k].fired) {
                assert_true(deadlines[k] <= clock_ms);
                alarms[k].fired = 0;
                deadlines[k] = 0;
                continue;
            }
            assert_true(deadlines[k] + ZQ_TIMER_TICK_MS > clock_ms);
            assert_in_range(wait, 0, deadlines[k] + ZQ_TIMER_TICK_MS - clock_ms);
        }
    }
    free(wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_late_by_a_tick_at_most_and_never_early),
        cmocka_unit_test(nothing_set_sleeps_for_ever),
        cmocka_unit_test(a_deadline_moves_both_ways),
        cmocka_unit_test(a_deadline_that_is_pushed_back_costs_one_wake),
        cmocka_unit_test(far_deadlines_wait_for_their_round),
        cmocka_unit_test(a_long_pause_fires_everything_once),
        cmocka_unit_test(callbacks_may_cancel_and_set),
        cmocka_unit_test(random_schedules_agree_with_a_simple_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
