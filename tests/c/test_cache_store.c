/* The decision: hit, join, lead, pass; what is found again, and what is remembered. */
#include "test_cache_rig.h"

#include "cache/alloc.h"
#include "cache/store.h"

#define FRESH "Cache-Control: max-age=60"
#define PUBLIC "Cache-Control: public, max-age=60"
#define HOUR_MS 3600000

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

/* Asks, expects a verdict and a reason, and lets go of whatever came. */
static void expect_(struct zq_cache *cache, struct rig_ask ask, enum zq_cache_verdict verdict,
                    enum zq_cache_forward forward)
{
    struct rig_client c = {0};

    assert_int_equal(rig_get_(cache, &c, ask), verdict);
    assert_int_equal(c.forward, forward);
    if (c.writer.entry != NULL)
        zq_entry_fail(&c.writer, 502);
    rig_leave(&c);
}
#define expect(cache, verdict, forward, ...)                                                       \
    expect_((cache), (struct rig_ask){__VA_ARGS__}, ZQ_CACHE_##verdict, ZQ_FORWARD_##forward)

/* ---- hits ---- */

static void a_stored_response_is_a_hit(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.now_ms = 1000), RIG_ANSWER(.fields = FRESH, .length = 5), "hello");
    assert_int_equal(rig_get(cache, &c, .now_ms = 31000), ZQ_CACHE_HIT);
    assert_int_equal(c.forward, ZQ_FORWARD_NONE);
    assert_null(c.writer.entry);
    struct zq_entry_info info = rig_describe(&c, 31000);
    assert_int_equal(info.status, 200);
    assert_int_equal(info.content_length, 5);
    assert_int_equal(info.age_s, 30);
    assert_int_equal(info.remaining_s, 30);
    assert_true(info.stored);
    assert_false(info.close);
    assert_true(zq_slice_eq(info.block, ZQ_SLICE(RIG_BLOCK)));
    rig_expect(&c, "hello");
    assert_int_equal(c.reader_news, 0);
    rig_leave(&c);
    rig_leave(&c); /* no-op */
}

static void a_response_of_unknown_length_has_one_when_stored(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = FRESH), "hello");
    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_HIT);
    assert_int_equal(rig_describe(&c, 0).content_length, 5);
    rig_leave(&c);
}

/* RFC 9111 4.2: fresh while the lifetime exceeds the age. */
static void a_stale_response_is_a_miss_and_is_replaced(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = FRESH), "old");
    expect(cache, HIT, NONE, .now_ms = 59999);
    expect(cache, LEAD, STALE, .now_ms = 60000);
    uint64_t used = zq_cache_used(cache);
    rig_store(cache, RIG_ASK(.now_ms = 61000), RIG_ANSWER(.fields = FRESH), "new");
    assert_int_equal(zq_cache_used(cache), used);
    assert_int_equal(rig_get(cache, &c, .now_ms = 62000), ZQ_CACHE_HIT);
    assert_int_equal(rig_describe(&c, 121500).remaining_s, -1);
    rig_expect(&c, "new");
    rig_leave(&c);
}

/* RFC 9110 9.3.2 */
static void head_is_answered_from_a_stored_get(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    expect(cache, PASS, URI_MISS, .method = "HEAD");
    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = FRESH), "hello");
    assert_int_equal(rig_get(cache, &c, .method = "HEAD"), ZQ_CACHE_HIT);
    assert_int_equal(rig_describe(&c, 0).content_length, 5);
    rig_leave(&c);
}

static void a_hit_answers_whoever_asks(void **state)
{
    struct zq_cache *cache = *state;

    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = FRESH), "hello");
    expect(cache, HIT, NONE, .fields = "cookie: a=1");
    expect(cache, HIT, NONE, .fields = "authorization: x");
    expect(cache, HIT, NONE, .fields = "range: bytes=0-1");     /* RFC 9110 14.2 */
    expect(cache, HIT, NONE, .fields = "if-none-match: \"a\""); /* the whole, in this form */
    expect(cache, HIT, NONE, .fields = "cache-control: no-store");
    expect(cache, HIT, NONE, .fields = "cache-control: no-cache"); /* advisory */
    expect(cache, HIT, NONE, .untrusted = true);
    expect(cache, HIT, NONE, .alone = true);
}

static void a_long_key_is_a_key(void **state)
{
    struct zq_cache *cache = *state;
    static char target[6000];

    memset(target, 'a', sizeof(target) - 1);
    target[0] = '/';
    rig_store(cache, RIG_ASK(.target = target), RIG_ANSWER(.fields = FRESH), "hello");
    expect(cache, HIT, NONE, .target = target);
    rig_invalidate(cache, target);
    target[5000] = 'b';
    expect(cache, LEAD, URI_MISS, .target = target);
}

/* ---- what never meets the cache ---- */

static void some_requests_bypass_it(void **state)
{
    struct zq_cache *cache = *state;

    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = FRESH), "hello");
    expect(cache, PASS, METHOD, .method = "POST");
    expect(cache, PASS, METHOD, .method = "OPTIONS");
    expect(cache, PASS, BYPASS, .has_body = true);
    expect(cache, PASS, BYPASS, .method = "HEAD", .has_body = true);
    expect(cache, PASS, BYPASS, .fields = "x-http-method-override: DELETE");
    expect(cache, PASS, BYPASS, .fields = "x-original-url: /admin");
    expect(cache, PASS, BYPASS, .fields = "x-rewrite-url: /admin");
}

static void some_misses_go_by_themselves(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0};

    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    expect(cache, PASS, URI_MISS, .method = "HEAD");
    expect(cache, PASS, URI_MISS, .untrusted = true);
    expect(cache, PASS, URI_MISS, .fields = "range: bytes=0-1");
    expect(cache, PASS, URI_MISS, .fields = "if-none-match: \"a\"");
    expect(cache, PASS, URI_MISS, .fields = "if-modified-since: x");
    expect(cache, PASS, URI_MISS, .fields = "if-match: \"a\"");
    expect(cache, PASS, URI_MISS, .fields = "cache-control: no-store");
    zq_entry_fail(&leader.writer, 502);
    rig_leave(&leader);
}

static void what_passes_is_not_stored(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    assert_int_equal(rig_get(cache, &c, .untrusted = true), ZQ_CACHE_PASS);
    assert_int_equal(rig_head(&c, .fields = PUBLIC), 0);
    assert_false(rig_describe(&c, 0).stored);
    assert_int_equal(rig_append(&c, "hello"), 0);
    rig_finish(&c);
    rig_expect(&c, "hello");
    rig_leave(&c);
    assert_int_equal(zq_cache_used(cache), 0);
    expect(cache, LEAD, URI_MISS, .now_ms = 0);
}

static void a_cache_of_no_size_stores_nothing(void **state)
{
    struct zq_cache *cache = zq_cache_new(0);
    struct rig_client c = {0};

    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_PASS);
    assert_int_equal(c.forward, ZQ_FORWARD_BYPASS);
    assert_int_equal(rig_head(&c, .fields = PUBLIC), 0);
    rig_finish(&c);
    rig_expect(&c, "");
    rig_leave(&c);
    rig_invalidate(cache, "/");
    assert_int_equal(zq_cache_used(cache), 0);
    zq_cache_free(cache);
}

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
    assert_int_equal(rig_head(&leader, .fields = FRESH), 0);
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
    expect(cache, HIT, NONE, .now_ms = 20);
}

static void a_fetch_is_joined_while_it_fills(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0}, late = {0};

    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&leader, .fields = FRESH), 0);
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
    assert_int_equal(rig_head(&leader, .fields = FRESH), 0);
    expect(cache, JOIN, URI_MISS, .now_ms = 59999);
    expect(cache, LEAD, URI_MISS, .now_ms = 60000);
    rig_finish(&leader);
    rig_leave(&leader);
}

/* A new key: only those without credentials wait. A key that was stored before: all do. */
static void who_joins(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0};

    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    expect(cache, JOIN, URI_MISS, .now_ms = 0);
    expect(cache, LEAD, URI_MISS, .fields = "cookie: a=1");
    expect(cache, LEAD, URI_MISS, .fields = "authorization: x");
    expect(cache, LEAD, URI_MISS, .alone = true);
    zq_entry_fail(&leader.writer, 502);
    rig_leave(&leader);

    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = FRESH), "hello");
    assert_int_equal(rig_get(cache, &leader, .now_ms = HOUR_MS), ZQ_CACHE_LEAD);
    expect(cache, JOIN, STALE, .now_ms = HOUR_MS);
    expect(cache, JOIN, STALE, .now_ms = HOUR_MS, .fields = "cookie: a=1");
    expect(cache, JOIN, STALE, .now_ms = HOUR_MS, .fields = "authorization: x");
    expect(cache, LEAD, STALE, .now_ms = HOUR_MS, .alone = true);
    expect(cache, PASS, STALE, .now_ms = HOUR_MS, .method = "HEAD");
    zq_entry_fail(&leader.writer, 502);
    rig_leave(&leader);
}

static void a_leader_with_a_cookie_may_be_joined(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0}, waiter = {0};

    assert_int_equal(rig_get(cache, &leader, .fields = "cookie: a=1"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(rig_head(&leader, .fields = FRESH), 0);
    /* What only max-age lets a browser keep is no other user's. */
    assert_int_equal(rig_state(&waiter), ZQ_READER_RELEASED);
    assert_int_equal(rig_state(&leader), ZQ_READER_OPEN);
    rig_leave(&waiter);
    rig_finish(&leader);
    rig_leave(&leader);
    expect(cache, LEAD, URI_MISS, .now_ms = 0);
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
    assert_int_equal(zq_cache_used(cache), zq_slot_bytes(strlen("http|example.com|/")));

    /* Nobody waits on it ... */
    assert_int_equal(rig_get(cache, &second, .now_ms = ZQ_STORE_MARK_MS - 1), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &third, .now_ms = ZQ_STORE_MARK_MS - 1), ZQ_CACHE_LEAD);
    /* ... but when an answer is storable it is stored, and joined from there on. */
    assert_int_equal(rig_head(&second, .fields = FRESH, .now_ms = 119999), 0);
    expect(cache, JOIN, URI_MISS, .now_ms = 119999);
    rig_finish(&second);
    rig_leave(&second);
    expect(cache, HIT, NONE, .now_ms = 119999);
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
    rig_store(cache, RIG_ASK(.now_ms = 1000), RIG_ANSWER(.fields = FRESH), "x");
    assert_int_equal(rig_get(cache, &c, .now_ms = 62000), ZQ_CACHE_LEAD);
    expect(cache, JOIN, STALE, .now_ms = 62000);
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
    expect(cache, LEAD, URI_MISS, .now_ms = 0);
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
    struct rig_client many[MANY] = {0};

    assert_int_equal(rig_get(cache, &many[0], .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&many[0], .now_ms = 0), 0);
    for (int i = 1; i < MANY; i++)
        assert_int_equal(rig_get(cache, &many[i], .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&many[MANY / 2], .fields = FRESH), 0);
    expect(cache, JOIN, URI_MISS, .now_ms = 0);
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
    expect(cache, JOIN, URI_MISS, .now_ms = ZQ_STORE_MARK_MS);
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
        assert_true(zq_cache_used(cache) <= (1 << 20) / ZQ_STORE_MARKS_SHARE);
    }
    assert_true(zq_cache_used(cache) > (1 << 20) / ZQ_STORE_MARKS_SHARE / 2);
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

    rig_store(cache, RIG_ASK(.fields = "a: 1"), RIG_ANSWER(.fields = FRESH "\nVary: a"), "one");
    assert_int_equal(rig_get(cache, &c, .fields = "a: 2"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .fields = "Vary: a"), 0);
    rig_finish(&c);
    rig_leave(&c);
    expect(cache, HIT, NONE, .fields = "a: 1");
    expect(cache, LEAD, VARY_MISS, .fields = "a: 2");
}

/* A response of an older generation, or a fetch that was invalidated: those who waited get it. */
static void an_overridden_response_is_delivered_and_not_stored(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0}, waiter = {0};

    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(rig_head(&leader, .fields = FRESH, .old = true), 0);
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

/* ---- Vary ---- */

static void variants_are_selected(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};
    const struct rig_answer answer = {.fields = FRESH "\nVary: Accept-Language"};

    rig_store(cache, RIG_ASK(.fields = "accept-language: de"), answer, "Hallo");
    expect(cache, LEAD, VARY_MISS, .fields = "accept-language: fr");
    rig_store(cache, RIG_ASK(.fields = "accept-language: fr"), answer, "Salut");
    expect(cache, LEAD, VARY_MISS, .now_ms = 0);
    assert_int_equal(rig_get(cache, &c, .fields = "accept-language:  de "), ZQ_CACHE_HIT);
    rig_expect(&c, "Hallo");
    rig_leave(&c);
    assert_int_equal(rig_get(cache, &c, .fields = "accept-language: fr"), ZQ_CACHE_HIT);
    rig_expect(&c, "Salut");
    rig_leave(&c);
}

/* RFC 9111 4.1: of several that match the most recent one is used, even if only that is stale. */
static void the_newest_match_counts(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.fields = "a: 1\nb: 1"), RIG_ANSWER(.fields = FRESH "\nVary: a"), "A");
    rig_store(cache, RIG_ASK(.fields = "a: 2\nb: 1", .now_ms = 1),
              RIG_ANSWER(.fields = "Cache-Control: max-age=1\nVary: b"), "B");
    assert_int_equal(rig_get(cache, &c, .fields = "a: 1\nb: 1", .now_ms = 2), ZQ_CACHE_HIT);
    rig_expect(&c, "B");
    rig_leave(&c);
    expect(cache, LEAD, STALE, .fields = "a: 1\nb: 1", .now_ms = 5000);
    expect(cache, HIT, NONE, .fields = "a: 1\nb: 2", .now_ms = 5000);
}

static void one_without_vary_replaces_all(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.fields = "a: 1"), RIG_ANSWER(.fields = FRESH "\nVary: a"), "one");
    rig_store(cache, RIG_ASK(.fields = "a: 2"), RIG_ANSWER(.fields = FRESH), "all");
    assert_int_equal(rig_get(cache, &c, .fields = "a: 1"), ZQ_CACHE_HIT);
    rig_expect(&c, "all");
    rig_leave(&c);
}

static void variants_of_a_key_are_bounded(void **state)
{
    struct zq_cache *cache = *state;
    char fields[32];

    for (int i = 0; i <= ZQ_STORE_VARIANTS_MAX; i++) {
        snprintf(fields, sizeof(fields), "a: %d", i);
        rig_store(cache, RIG_ASK(.fields = fields), RIG_ANSWER(.fields = FRESH "\nVary: a"), "x");
    }
    expect(cache, LEAD, VARY_MISS, .fields = "a: 0");
    expect(cache, HIT, NONE, .fields = "a: 1");
    expect(cache, HIT, NONE, .fields = fields);
}

static void waiters_whose_request_does_not_match_are_released(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0}, same = {0}, other = {0};

    assert_int_equal(rig_get(cache, &leader, .fields = "a: 1"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &same, .fields = "x: 9\na: 1"), ZQ_CACHE_JOIN);
    assert_int_equal(rig_get(cache, &other, .fields = "a: 2"), ZQ_CACHE_JOIN);
    /* The leader's own request is judged by its copy: the leader may leave. */
    rig_leave(&leader);
    assert_false(zq_writer_abandoned(&leader.writer));
    assert_int_equal(rig_head(&leader, .fields = FRESH "\nVary: a"), 0);
    assert_int_equal(rig_state(&same), ZQ_READER_OPEN);
    assert_int_equal(rig_state(&other), ZQ_READER_RELEASED);
    rig_leave(&other);
    assert_int_equal(rig_get(cache, &other, .fields = "a: 2", .alone = true), ZQ_CACHE_LEAD);
    zq_entry_fail(&other.writer, 502);
    rig_leave(&other);
    rig_finish(&leader);
    rig_expect(&same, "");
    rig_leave(&same);
    expect(cache, HIT, NONE, .fields = "a: 1");
}

/* What a key is known to vary on keeps requests apart before the head says so. */
static void known_variance_keeps_waiters_apart(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client one = {0}, two = {0}, waiter = {0};

    rig_store(cache, RIG_ASK(.fields = "a: 0"), RIG_ANSWER(.fields = FRESH "\nVary: a"), "x");
    assert_int_equal(rig_get(cache, &one, .fields = "a: 1"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &two, .fields = "a: 2"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &waiter, .fields = "a: 1"), ZQ_CACHE_JOIN);
    assert_ptr_equal(waiter.reader.entry, one.reader.entry);
    rig_leave(&waiter);
    assert_int_equal(rig_head(&one, .fields = FRESH "\nVary: a"), 0);
    assert_int_equal(rig_get(cache, &waiter, .fields = "a: 1"), ZQ_CACHE_JOIN);
    rig_leave(&waiter);
    assert_int_equal(rig_get(cache, &waiter, .fields = "a: 2"), ZQ_CACHE_JOIN);
    assert_ptr_equal(waiter.reader.entry, two.reader.entry);
    rig_leave(&waiter);
    rig_finish(&one);
    zq_entry_fail(&two.writer, 502);
    rig_leave(&one);
    rig_leave(&two);
}

/* ---- order of completion ---- */

static void a_cut_response_replaces_nothing(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.fields = "a: 1"), RIG_ANSWER(.fields = FRESH "\nVary: a"), "good");
    assert_int_equal(rig_get(cache, &c, .fields = "a: 2"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .fields = FRESH), 0);
    assert_int_equal(rig_append(&c, "ba"), 0);
    zq_entry_finish(&c.writer, false);
    assert_int_equal(rig_state(&c), ZQ_READER_ABORTED);
    rig_leave(&c);
    expect(cache, LEAD, VARY_MISS, .fields = "a: 2");
    assert_int_equal(rig_get(cache, &c, .fields = "a: 1"), ZQ_CACHE_HIT);
    rig_expect(&c, "good");
    rig_leave(&c);
}

static void a_slow_fetch_does_not_replace_a_newer_answer(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client slow = {0}, quick = {0}, c = {0};

    assert_int_equal(rig_get(cache, &slow, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&slow, .fields = FRESH, .now_ms = 10), 0);
    assert_int_equal(rig_append(&slow, "old"), 0);
    assert_int_equal(rig_get(cache, &quick, .now_ms = 20, .alone = true), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&quick, .fields = FRESH, .now_ms = 30), 0);
    assert_int_equal(rig_append(&quick, "new"), 0);
    rig_finish(&quick);
    rig_finish(&slow);
    rig_expect(&slow, "old");
    rig_leave(&slow);
    rig_leave(&quick);
    assert_int_equal(rig_get(cache, &c, .now_ms = 40), ZQ_CACHE_HIT);
    rig_expect(&c, "new");
    rig_leave(&c);
}

/* ---- invalidation (RFC 9111 4.4) ---- */

static void invalidation_drops_all_variants(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client held = {0};

    rig_store(cache, RIG_ASK(.fields = "a: 1"), RIG_ANSWER(.fields = FRESH "\nVary: a"), "one");
    rig_store(cache, RIG_ASK(.fields = "a: 2"), RIG_ANSWER(.fields = FRESH "\nVary: a"), "two");
    rig_store(cache, RIG_ASK(.target = "/other"), RIG_ANSWER(.fields = FRESH), "other");
    assert_int_equal(rig_get(cache, &held, .fields = "a: 1"), ZQ_CACHE_HIT);
    rig_invalidate(cache, "/");
    rig_invalidate(cache, "/nothing");
    expect(cache, LEAD, URI_MISS, .fields = "a: 1");
    expect(cache, LEAD, URI_MISS, .fields = "a: 2");
    expect(cache, HIT, NONE, .target = "/other");
    rig_expect(&held, "one");
    rig_leave(&held);
    rig_invalidate(cache, "/other");
    assert_int_equal(zq_cache_used(cache), 0);
}

static void invalidation_detaches_fetches_in_flight(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client before = {0}, filling = {0}, waiter = {0};

    assert_int_equal(rig_get(cache, &before, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(rig_get(cache, &filling, .now_ms = 0, .alone = true), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&filling, .fields = FRESH), 0);
    rig_invalidate(cache, "/");
    /* Later requests start anew; earlier ones get what they waited for. */
    expect(cache, LEAD, URI_MISS, .now_ms = 0);
    assert_int_equal(rig_head(&before, .fields = FRESH), 0);
    assert_false(rig_describe(&before, 0).stored);
    assert_int_equal(rig_append(&before, "old"), 0);
    rig_finish(&before);
    rig_expect(&waiter, "old");
    rig_leave(&before);
    rig_leave(&waiter);
    assert_int_equal(rig_append(&filling, "old"), 0);
    rig_finish(&filling);
    rig_expect(&filling, "old");
    rig_leave(&filling);
    expect(cache, LEAD, URI_MISS, .now_ms = 0);
    assert_int_equal(zq_cache_used(cache), 0);
}

static void an_invalidated_fetch_without_readers_is_abandoned(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .fields = FRESH), 0);
    rig_leave(&c);
    assert_false(zq_writer_abandoned(&c.writer));
    rig_invalidate(cache, "/");
    assert_true(zq_writer_abandoned(&c.writer));
    zq_entry_finish(&c.writer, false);
    assert_int_equal(zq_cache_used(cache), 0);
}

/* ---- out of memory: that one request fails, and nothing leaks ---- */

static void no_memory(void **state)
{
#ifdef ZQ_DEBUG
    struct zq_cache *cache = *state;
    struct rig_client c = {0};
    static char target[6000];
    unsigned refused = 0;

    memset(target, 'a', sizeof(target) - 1);
    target[0] = '/';
    for (unsigned n = 1;; n++) {
        zq_cache_alloc_fails_at = n;
        int verdict = rig_get(cache, &c, .target = target);
        bool done = zq_cache_alloc_fails_at != 0;
        zq_cache_alloc_fails_at = 0;
        if (done) {
            assert_int_equal(verdict, ZQ_CACHE_LEAD);
            break;
        }
        refused++;
        assert_int_equal(verdict, ZQ_ENOMEM);
        assert_null(c.reader.entry);
        assert_int_equal(zq_cache_used(cache), 0);
    }
    assert_int_equal(refused, 4); /* key, entry, slot, copy */

    zq_cache_alloc_fails_at = 1;
    assert_int_equal(rig_head(&c, .fields = FRESH), ZQ_ENOMEM);
    assert_int_equal(rig_head(&c, .fields = FRESH), 0);
    zq_cache_alloc_fails_at = 1;
    assert_int_equal(rig_append(&c, "hello"), ZQ_ENOMEM);
    zq_entry_finish(&c.writer, false);
    rig_leave(&c);
    assert_int_equal(zq_cache_used(cache), 0);

    zq_cache_alloc_fails_at = 1;
    assert_int_equal(rig_get(cache, &c, .method = "POST"), ZQ_ENOMEM);

    /* What cannot be named is not served on: invalidation then takes everything. */
    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = FRESH), "x");
    zq_cache_alloc_fails_at = 1;
    rig_invalidate(cache, target);
    assert_int_equal(zq_cache_used(cache), 0);
#endif
}

static void words(void **state)
{
    assert_string_equal(zq_cache_forward_word(ZQ_FORWARD_NONE), "");
    assert_string_equal(zq_cache_forward_word(ZQ_FORWARD_URI_MISS), "uri-miss");
    assert_string_equal(zq_cache_forward_word(ZQ_FORWARD_STALE), "stale");
    zq_cache_free(NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_cache, close_cache)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_stored_response_is_a_hit),
        T(a_response_of_unknown_length_has_one_when_stored),
        T(a_stale_response_is_a_miss_and_is_replaced),
        T(head_is_answered_from_a_stored_get),
        T(a_hit_answers_whoever_asks),
        T(a_long_key_is_a_key),
        T(some_requests_bypass_it),
        T(some_misses_go_by_themselves),
        T(what_passes_is_not_stored),
        T(a_cache_of_no_size_stores_nothing),
        T(waiters_join_the_first_miss),
        T(a_fetch_is_joined_while_it_fills),
        T(a_fill_grows_stale_too),
        T(who_joins),
        T(a_leader_with_a_cookie_may_be_joined),
        T(a_failed_fetch_fails_for_all),
        T(waiters_are_released_at_the_head),
        T(an_unstorable_key_is_remembered),
        T(a_storable_answer_clears_the_memory),
        T(nobody_waits_where_the_last_answer_was_not_storable),
        T(the_storable_fill_is_found_among_many),
        T(the_memory_of_a_key_fades),
        T(old_marks_make_way_for_new_ones),
        T(marks_are_bounded),
        T(a_mark_does_not_hide_variants),
        T(an_overridden_response_is_delivered_and_not_stored),
        T(variants_are_selected),
        T(the_newest_match_counts),
        T(one_without_vary_replaces_all),
        T(variants_of_a_key_are_bounded),
        T(waiters_whose_request_does_not_match_are_released),
        T(known_variance_keeps_waiters_apart),
        T(a_cut_response_replaces_nothing),
        T(a_slow_fetch_does_not_replace_a_newer_answer),
        T(invalidation_drops_all_variants),
        T(invalidation_detaches_fetches_in_flight),
        T(an_invalidated_fetch_without_readers_is_abandoned),
        T(no_memory),
        T(words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
