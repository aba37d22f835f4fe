#include "test_cache_rig.h"

#define MAX_AGE "Cache-Control: max-age=60"

static int open_cache(void **state)
{
    *state = zq_cache_new(1 << 20);
    return *state == NULL;
}

static int close_cache(void **state)
{
    zq_cache_free(*state);
    return 0;
}

static void a_stored_response_is_a_hit(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.now_ms = 1000), RIG_ANSWER(.fields = MAX_AGE, .length = 5), "hello");
    assert_int_equal(rig_get(cache, &c, .now_ms = 31000), ZQ_CACHE_HIT);
    assert_int_equal(c.forward, ZQ_FORWARD_NONE);
    struct zq_entry_info info = rig_describe(&c, 31000);
    assert_int_equal(info.status, 200);
    assert_int_equal(info.content_length, 5);
    assert_int_equal(info.age_s, 30);
    assert_int_equal(info.remaining_s, 30);
    assert_true(info.stored);
    assert_true(zq_slice_eq(info.block, ZQ_SLICE(RIG_BLOCK)));
    rig_expect(&c, "hello");
    rig_leave(&c);
}

static void waiters_join_the_first_miss(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0}, waiter = {0};

    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(rig_state(&waiter), ZQ_READER_WAITING);
    assert_int_equal(rig_head(&leader, .fields = MAX_AGE), 0);
    assert_int_equal(waiter.reader_news, 1);
    assert_int_equal(rig_append(&leader, "hello"), 0);
    rig_finish(&leader);
    rig_expect(&waiter, "hello");
    rig_expect(&leader, "hello");
    rig_leave(&waiter);
    rig_leave(&leader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stored_response_is_a_hit, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(waiters_join_the_first_miss, open_cache, close_cache),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
