/* Write, commit, purge, from several threads at once: what is replayed is never older than the
 * last purge that had returned before the request came. */
#include "test_cache_rig.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define READERS 3
#define ROUNDS 3000
#define PAGES 8

static struct zq_cache *cache;
static atomic_uint database; /* the value that pages are made from */
static atomic_uint purged;   /* the value whose purge has returned */
static atomic_bool over;
static atomic_uint hits, joins;

static unsigned content(struct rig_client *c)
{
    char text[16] = "";

    text[rig_take(c, text, sizeof(text) - 1)] = '\0';
    return (unsigned)strtoul(text, NULL, 10);
}

static void lead(struct rig_client *c)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", atomic_load(&database));
    sched_yield(); /* the view takes its time */
    assert_int_equal(rig_head(c, .fields = RIG_FRESH "\nCache-Tag: a, b"), 0);
    assert_int_equal(rig_append(c, text), 0);
    rig_finish(c);
}

static void wait_for_end(struct rig_client *c)
{
    while (rig_state(c) == ZQ_READER_WAITING || rig_state(c) == ZQ_READER_OPEN)
        sched_yield();
}

static void ask(int page)
{
    struct rig_client c = {0};
    char target[16];

    snprintf(target, sizeof(target), "/%d", page);
    unsigned least = atomic_load(&purged);
    int verdict = rig_get(cache, &c, .target = target);
    if (verdict == ZQ_CACHE_LEAD) {
        lead(&c);
    } else {
        atomic_fetch_add(verdict == ZQ_CACHE_HIT ? &hits : &joins, 1);
        wait_for_end(&c);
    }
    if (rig_state(&c) == ZQ_READER_COMPLETE)
        assert_true(content(&c) >= least);
    rig_leave(&c);
}

static void *read_pages(void *argument)
{
    for (int i = 0; !atomic_load(&over); i++)
        ask(i % PAGES);
    return argument;
}

static void *sweep(void *argument)
{
    while (!atomic_load(&over))
        if (!zq_cache_sweep(cache))
            sched_yield();
    return argument;
}

static void purge_one_way(unsigned i)
{
    const struct zq_purge ways[] = {
        {ZQ_PURGE_TAG, false, ZQ_SLICE("a")},        {ZQ_PURGE_TAG, true, ZQ_SLICE("b")},
        {ZQ_PURGE_PREFIX, false, ZQ_SLICE("/")},     {ZQ_PURGE_GLOB, true, ZQ_SLICE("*")},
        {ZQ_PURGE_ALL, false, (struct zq_slice){0}},
    };
    uint64_t number;

    while (zq_cache_purge(cache, &ways[i % ZQ_ARRAY_SIZE(ways)], 0, &number) == ZQ_ELIMIT)
        sched_yield(); /* the sweep is behind */
}

static void nothing_older_than_its_purge_is_replayed(void **state)
{
    pthread_t readers[READERS], sweeper;

    (void)state;
    cache = zq_cache_new(RIG_SIZE);
    assert_int_equal(pthread_create(&sweeper, NULL, sweep, NULL), 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_pages, NULL), 0);
    for (unsigned i = 1; i <= ROUNDS || atomic_load(&hits) < 100; i++) {
        atomic_store(&database, i);
        purge_one_way(i);
        atomic_store(&purged, i);
        for (int pause = 0; pause < 20; pause++)
            sched_yield();
    }
    atomic_store(&over, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    pthread_join(sweeper, NULL);
    while (zq_cache_sweep(cache))
        ;
    print_message("%u hits, %u joined\n", atomic_load(&hits), atomic_load(&joins));
    zq_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_older_than_its_purge_is_replayed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
