/* One fetch for many: who waits, who is released, and what is remembered of a key. */
#include "test_cache_rig.h"

#include "cache/store.h"

#define HOUR_MS 3600000

/* ---- joining ---- */

static void waiters_join_the_first_miss(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0}, waiters[3] = {0};

    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_get(cache, &waiters[i], .now_ms = 10), ZQ_CACHE_JOIN);
        assert_int_equal(waiters[i].forward, ZQ_FORWARD_URI_MISS);
        assert_int_equal(rig_state(&waiters[i]), ZQ_READER_WAITING);
    }
    assert_int_equal(rig_head(&leader, .fields = RIG_FRESH), 0);
    assert_int_equal(rig_append(&leader, "hel"), 0);
    assert_int_equal(rig_append(&leader, "lo"), 0);
    rig_finish(&leader);
    for (int i = 0; i < 3; i++) {
        assert_true(waiters[i].reader_news > 0);
        rig_expect(&waiters[i], "hello");
        rig_leave(&waiters[i]);
    }
    rig_expect(&leader, "hello");
    rig_leave(&leader);
    rig_verdict(cache, HIT, NONE, .now_ms = 20);
}

static void a_fetch_is_joined_while_it_fills(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0}, late = {0};

    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&leader, .fields = RIG_FRESH), 0);
    assert_int_equal(rig_append(&leader, "hel"), 0);
    /* Its head proved storable, so this is as good as a hit, for a user with a cookie too. */
    assert_int_equal(rig_get(cache, &late, .fields = "cookie: a=1"), ZQ_CACHE_JOIN);
    assert_int_equal(rig_state(&late), ZQ_READER_OPEN);
    assert_int_equal(rig_append(&leader, "lo"), 0);
    rig_finish(&leader);
    rig_expect(&late, "hello");
    rig_leave(&late);
    rig_leave(&leader);
}

/* RFC 9111 4.2: a fill that took so long that it is stale answers no new request. */
static void a_fill_grows_stale_too(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0};

    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&leader, .fields = RIG_FRESH), 0);
    rig_verdict(cache, JOIN, URI_MISS, .now_ms = 59999);
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 60000);
    rig_finish(&leader);
    rig_leave(&leader);
}

/* A new key: only those without credentials wait. A key that was stored before: all do. */
static void who_joins(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0};

    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    rig_verdict(cache, JOIN, URI_MISS, .now_ms = 0);
    rig_verdict(cache, LEAD, URI_MISS, .fields = "cookie: a=1");
    rig_verdict(cache, LEAD, URI_MISS, .fields = "authorization: x");
    rig_verdict(cache, LEAD, URI_MISS, .alone = true);
    /* What can be cut from a whole response waits for it. */
    rig_verdict(cache, JOIN, URI_MISS, .method = "HEAD");
    rig_verdict(cache, JOIN, URI_MISS, .fields = "range: bytes=0-1");
    rig_verdict(cache, JOIN, URI_MISS, .fields = "if-none-match: \"a\"");
    zq_entry_fail(&leader.writer, 502);
    rig_leave(&leader);

    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = RIG_FRESH), "hello");
    assert_int_equal(rig_get(cache, &leader, .now_ms = HOUR_MS), ZQ_CACHE_LEAD);
    rig_verdict(cache, JOIN, STALE, .now_ms = HOUR_MS);
    rig_verdict(cache, JOIN, STALE, .now_ms = HOUR_MS, .fields = "cookie: a=1");
    rig_verdict(cache, JOIN, STALE, .now_ms = HOUR_MS, .fields = "authorization: x");
    rig_verdict(cache, LEAD, STALE, .now_ms = HOUR_MS, .alone = true);
    rig_verdict(cache, JOIN, STALE, .now_ms = HOUR_MS, .method = "HEAD");
    rig_verdict(cache, LEAD, STALE, .now_ms = HOUR_MS, .method = "HEAD", .alone = true);
    zq_entry_fail(&leader.writer, 502);
    rig_leave(&leader);
}

/* RFC 9111 5.2.1.7: "the client only wishes to obtain a stored response", or 504. One that is on
 * its way into the store will do, one of which nothing is known yet does not. */
static void only_if_cached_waits_for_no_head(void **state)
{
    const char *only = "cache-control: only-if-cached";
    struct zq_cache *cache = *state;
    struct rig_client leader = {0};

    zq_cache_set_rules(cache, &(struct zq_cache_rules){.directives = true});
    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    rig_verdict(cache, JOIN, URI_MISS, .now_ms = 0);
    rig_verdict(cache, NEVER, URI_MISS, .fields = only);
    assert_int_equal(rig_head(&leader, .fields = RIG_FRESH), 0);
    rig_verdict(cache, JOIN, URI_MISS, .fields = only);
    rig_finish(&leader);
    rig_leave(&leader);
    rig_verdict(cache, HIT, NONE, .fields = only);
}

static void a_leader_with_a_cookie_may_be_joined(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0}, waiter = {0};

    assert_int_equal(rig_get(cache, &leader, .fields = "cookie: a=1"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(rig_head(&leader, .fields = RIG_FRESH), 0);
    /* What only max-age lets a browser keep is no other user's. */
    assert_int_equal(rig_state(&waiter), ZQ_READER_RELEASED);
    assert_int_equal(rig_state(&leader), ZQ_READER_OPEN);
    rig_leave(&waiter);
    rig_finish(&leader);
    rig_leave(&leader);
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 0);
}

static void a_failed_fetch_fails_for_all(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0}, waiter = {0};
    struct iovec run;
    bool end;

    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    zq_entry_fail(&leader.writer, 504);
    assert_int_equal(waiter.reader_news, 1);
    assert_int_equal(rig_state(&waiter), ZQ_READER_FAILED);
    assert_int_equal(rig_state(&leader), ZQ_READER_FAILED);
    assert_int_equal(zq_entry_status(&waiter.reader), 504);
    assert_int_equal(zq_reader_peek(&waiter.reader, &run, 1, &end), 0);
    assert_false(end);
    rig_leave(&waiter);
    rig_leave(&leader);
    /* Nothing was learned of the key. */
    assert_int_equal(zq_cache_used(cache), 0);
}

/* ---- responses that are not storable ---- */

static void waiters_are_released_at_the_head(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0}, waiters[2] = {0}, again[2] = {0};

    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    for (int i = 0; i < 2; i++)
        assert_int_equal(rig_get(cache, &waiters[i], .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(rig_head(&leader, .now_ms = 100), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(waiters[i].reader_news, 1);
        assert_int_equal(rig_state(&waiters[i]), ZQ_READER_RELEASED);
        rig_leave(&waiters[i]);
        assert_int_equal(rig_get(cache, &again[i], .now_ms = 100, .alone = true), ZQ_CACHE_LEAD);
    }
    rig_finish(&leader);
    rig_expect(&leader, "");
    rig_leave(&leader);
    for (int i = 0; i < 2; i++) {
        zq_entry_fail(&again[i].writer, 502);
        rig_leave(&again[i]);
    }
}

static void an_unstorable_key_is_remembered(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client first = {0}, second = {0}, third = {0};

    assert_int_equal(rig_get(cache, &first, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&first, .now_ms = 0), 0);
    rig_finish(&first);
    rig_leave(&first);
    assert_int_equal(zq_heap_live(&cache->heap),
                     zq_heap_class(zq_slot_bytes(strlen("http|example.com|/"))));

    /* Nobody waits on it ... */
    assert_int_equal(rig_get(cache, &second, .now_ms = ZQ_STORE_MARK_MS - 1), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &third, .now_ms = ZQ_STORE_MARK_MS - 1), ZQ_CACHE_LEAD);
    /* ... but when an answer is storable it is stored, and joined from there on. */
    assert_int_equal(rig_head(&second, .fields = RIG_FRESH, .now_ms = 119999), 0);
    rig_verdict(cache, JOIN, URI_MISS, .now_ms = 119999);
    rig_finish(&second);
    rig_leave(&second);
    rig_verdict(cache, HIT, NONE, .now_ms = 119999);
    zq_entry_fail(&third.writer, 502);
    rig_leave(&third);
}

static void a_storable_answer_clears_the_memory(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .now_ms = 0), 0);
    rig_finish(&c);
    rig_leave(&c);
    rig_store(cache, RIG_ASK(.now_ms = 1000), RIG_ANSWER(.fields = RIG_FRESH), "x");
    assert_int_equal(rig_get(cache, &c, .now_ms = 62000), ZQ_CACHE_LEAD);
    rig_verdict(cache, JOIN, STALE, .now_ms = 62000);
    zq_entry_fail(&c.writer, 502);
    rig_leave(&c);
}

/* Also not on a fetch that began before the key was known for it. */
static void nobody_waits_where_the_last_answer_was_not_storable(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client older = {0}, newer = {0};

    assert_int_equal(rig_get(cache, &older, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &newer, .now_ms = 0, .alone = true), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&newer, .now_ms = 0), 0);
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 0);
    rig_finish(&newer);
    rig_leave(&newer);
    zq_entry_fail(&older.writer, 502);
    rig_leave(&older);
}

/* The one fetch whose head proved storable is found among many that nobody may wait on. */
static void the_storable_fill_is_found_among_many(void **state)
{
    enum { MANY = 30 };
    struct zq_cache *cache = *state;
    struct rig_client many[MANY] = {0}, joined = {0};

    assert_int_equal(rig_get(cache, &many[0], .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&many[0], .now_ms = 0), 0);
    for (int i = 1; i < MANY; i++)
        assert_int_equal(rig_get(cache, &many[i], .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&many[MANY / 2], .fields = RIG_FRESH), 0);
    assert_int_equal(rig_get(cache, &joined, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_ptr_equal(joined.reader.entry, many[MANY / 2].reader.entry);
    rig_leave(&joined);
    for (int i = 0; i < MANY; i++) {
        if (i == 0 || i == MANY / 2)
            rig_finish(&many[i]);
        else
            zq_entry_fail(&many[i].writer, 502);
        rig_leave(&many[i]);
    }
}

static void the_memory_of_a_key_fades(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client first = {0}, leader = {0};

    assert_int_equal(rig_get(cache, &first, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&first, .now_ms = 0), 0);
    rig_finish(&first);
    rig_leave(&first);
    assert_int_equal(rig_get(cache, &leader, .now_ms = ZQ_STORE_MARK_MS), ZQ_CACHE_LEAD);
    rig_verdict(cache, JOIN, URI_MISS, .now_ms = ZQ_STORE_MARK_MS);
    zq_entry_fail(&leader.writer, 502);
    rig_leave(&leader);
}

static void marks_are_bounded(void **state)
{
    struct zq_cache *cache = *state;
    char target[32];

    for (int i = 0; i < 5000; i++) {
        struct rig_client c = {0};
        snprintf(target, sizeof(target), "/%d", i);
        assert_int_equal(rig_get(cache, &c, .target = target), ZQ_CACHE_LEAD);
        assert_int_equal(rig_head(&c, .status = 500), 0);
        rig_finish(&c);
        rig_leave(&c);
        assert_true(zq_heap_live(&cache->heap) <= (1 << 20) / ZQ_STORE_MARKS_SHARE);
    }
    assert_true(zq_heap_live(&cache->heap) > (1 << 20) / ZQ_STORE_MARKS_SHARE / 2);
}

static void be_unstorable(struct zq_cache *cache, int from, int64_t now_ms)
{
    char target[32];

    for (int i = from; i < from + 300; i++) {
        struct rig_client c = {0};
        snprintf(target, sizeof(target), "/%d", i);
        assert_int_equal(rig_get(cache, &c, .target = target, .now_ms = now_ms), ZQ_CACHE_LEAD);
        assert_int_equal(rig_head(&c, .status = 500, .now_ms = now_ms), 0);
        rig_finish(&c);
        rig_leave(&c);
    }
}

static void old_marks_make_way_for_new_ones(void **state)
{
    struct zq_cache *cache = *state;

    be_unstorable(cache, 1000, 0);
    uint64_t used = zq_cache_used(cache);
    be_unstorable(cache, 2000, ZQ_STORE_MARK_MS);
    assert_true(zq_cache_used(cache) < used + used / 5);
}

/* A mark says nothing about the copies that are still fresh under other field values. */
static void a_mark_does_not_hide_variants(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.fields = "a: 1"), RIG_ANSWER(.fields = RIG_FRESH "\nVary: a"), "one");
    assert_int_equal(rig_get(cache, &c, .fields = "a: 2"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .fields = "Vary: a"), 0);
    rig_finish(&c);
    rig_leave(&c);
    rig_verdict(cache, HIT, NONE, .fields = "a: 1");
    rig_verdict(cache, LEAD, VARY_MISS, .fields = "a: 2");
}

/* A response of an older generation, or a fetch that was invalidated: those who waited get it. */
static void an_overridden_response_is_delivered_and_not_stored(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0}, waiter = {0};

    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(rig_head(&leader, .fields = RIG_FRESH, .old = true), 0);
    assert_int_equal(rig_state(&waiter), ZQ_READER_OPEN);
    assert_false(rig_describe(&waiter, 0).stored);
    assert_int_equal(rig_append(&leader, "hello"), 0);
    rig_finish(&leader);
    rig_expect(&waiter, "hello");
    rig_expect(&leader, "hello");
    rig_leave(&waiter);
    rig_leave(&leader);
    /* And the key is not remembered for it. */
    assert_int_equal(zq_cache_used(cache), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(waiters_join_the_first_miss),
        RIG_TEST(a_fetch_is_joined_while_it_fills),
        RIG_TEST(a_fill_grows_stale_too),
        RIG_TEST(who_joins),
        RIG_TEST(only_if_cached_waits_for_no_head),
        RIG_TEST(a_leader_with_a_cookie_may_be_joined),
        RIG_TEST(a_failed_fetch_fails_for_all),
        RIG_TEST(waiters_are_released_at_the_head),
        RIG_TEST(an_unstorable_key_is_remembered),
        RIG_TEST(a_storable_answer_clears_the_memory),
        RIG_TEST(nobody_waits_where_the_last_answer_was_not_storable),
        RIG_TEST(the_storable_fill_is_found_among_many),
        RIG_TEST(the_memory_of_a_key_fades),
        RIG_TEST(old_marks_make_way_for_new_ones),
        RIG_TEST(marks_are_bounded),
        RIG_TEST(a_mark_does_not_hide_variants),
        RIG_TEST(an_overridden_response_is_delivered_and_not_stored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
