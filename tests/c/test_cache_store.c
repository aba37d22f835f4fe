/* The decision of hit, lead or pass; what is found again, and what makes way for what. */
#include "test_cache_rig.h"

#include "cache/alloc.h"
#include "cache/store.h"

#define PUBLIC "Cache-Control: public, max-age=60"

/* ---- hits ---- */

static void a_stored_response_is_a_hit(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.now_ms = 1000), RIG_ANSWER(.fields = RIG_FRESH, .length = 5),
              "hello");
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

static void a_hit_allocates_nothing(void **state)
{
#ifdef ZQ_DEBUG
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.fields = "a: 1"), RIG_ANSWER(.fields = RIG_FRESH "\nVary: a"), "x");
    uint64_t used = zq_cache_used(cache);
    zq_cache_alloc_fails_at = 1;
    assert_int_equal(rig_get(cache, &c, .fields = "a: 1"), ZQ_CACHE_HIT);
    rig_expect(&c, "x");
    rig_leave(&c);
    assert_int_equal(zq_cache_alloc_fails_at, 1);
    zq_cache_alloc_fails_at = 0;
    assert_int_equal(zq_cache_used(cache), used);
#endif
}

static void a_response_of_unknown_length_has_one_when_stored(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = RIG_FRESH), "hello");
    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_HIT);
    assert_int_equal(rig_describe(&c, 0).content_length, 5);
    rig_leave(&c);
}

/* RFC 9111 4.2: fresh while the lifetime exceeds the age. */
static void a_stale_response_is_a_miss_and_is_replaced(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = RIG_FRESH), "old");
    rig_verdict(cache, HIT, NONE, .now_ms = 59999);
    rig_verdict(cache, LEAD, STALE, .now_ms = 60000);
    uint64_t used = zq_cache_used(cache);
    rig_store(cache, RIG_ASK(.now_ms = 61000), RIG_ANSWER(.fields = RIG_FRESH), "new");
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

    rig_verdict(cache, PASS, URI_MISS, .method = "HEAD");
    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = RIG_FRESH), "hello");
    assert_int_equal(rig_get(cache, &c, .method = "HEAD"), ZQ_CACHE_HIT);
    assert_int_equal(rig_describe(&c, 0).content_length, 5);
    rig_leave(&c);
}

static void a_hit_answers_whoever_asks(void **state)
{
    struct zq_cache *cache = *state;

    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = RIG_FRESH), "hello");
    rig_verdict(cache, HIT, NONE, .fields = "cookie: a=1");
    rig_verdict(cache, HIT, NONE, .fields = "authorization: x");
    rig_verdict(cache, HIT, NONE, .fields = "range: bytes=0-1");     /* RFC 9110 14.2 */
    rig_verdict(cache, HIT, NONE, .fields = "if-none-match: \"a\""); /* the whole, in this form */
    rig_verdict(cache, HIT, NONE, .fields = "cache-control: no-store");
    rig_verdict(cache, HIT, NONE, .fields = "cache-control: no-cache"); /* advisory */
    rig_verdict(cache, HIT, NONE, .untrusted = true);
    rig_verdict(cache, HIT, NONE, .alone = true);
}

static void a_long_key_is_a_key(void **state)
{
    struct zq_cache *cache = *state;
    static char target[6000];

    memset(target, 'a', sizeof(target) - 1);
    target[0] = '/';
    rig_store(cache, RIG_ASK(.target = target), RIG_ANSWER(.fields = RIG_FRESH), "hello");
    rig_verdict(cache, HIT, NONE, .target = target);
    rig_invalidate(cache, target);
    target[5000] = 'b';
    rig_verdict(cache, LEAD, URI_MISS, .target = target);
}

/* ---- what never meets the cache ---- */

static void some_requests_bypass_it(void **state)
{
    struct zq_cache *cache = *state;

    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = RIG_FRESH), "hello");
    rig_verdict(cache, PASS, METHOD, .method = "POST");
    rig_verdict(cache, PASS, METHOD, .method = "OPTIONS");
    rig_verdict(cache, PASS, BYPASS, .has_body = true);
    rig_verdict(cache, PASS, BYPASS, .method = "HEAD", .has_body = true);
    rig_verdict(cache, PASS, BYPASS, .fields = "x-http-method-override: DELETE");
    rig_verdict(cache, PASS, BYPASS, .fields = "x-original-url: /admin");
    rig_verdict(cache, PASS, BYPASS, .fields = "x-rewrite-url: /admin");
}

static void some_misses_go_by_themselves(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client leader = {0};

    rig_verdict(cache, PASS, URI_MISS, .method = "HEAD");
    rig_verdict(cache, PASS, URI_MISS, .fields = "range: bytes=0-1");
    rig_verdict(cache, PASS, URI_MISS, .fields = "if-none-match: \"a\"");
    rig_verdict(cache, PASS, URI_MISS, .fields = "if-modified-since: x");
    assert_int_equal(rig_get(cache, &leader, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_false(leader.writer.whole);
    rig_verdict(cache, PASS, URI_MISS, .untrusted = true);
    rig_verdict(cache, PASS, URI_MISS, .fields = "if-match: \"a\"");
    rig_verdict(cache, PASS, URI_MISS, .fields = "if-unmodified-since: x");
    rig_verdict(cache, PASS, URI_MISS, .fields = "cache-control: no-store");
    zq_entry_fail(&leader.writer, 502);
    rig_leave(&leader);
}

/* RFC 9111 3.3, 4.3.1: a key that was stored before is fetched whole, and the part cut from that.
 */
static void a_known_key_is_fetched_whole(void **state)
{
    static const char *const asks[] = {"range: bytes=0-1", "if-none-match: \"a\"",
                                       "if-modified-since: x", "range: bytes=0-1\nif-range: \"a\""};
    struct zq_cache *cache = *state;

    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = RIG_FRESH), "hello");
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(asks); i++) {
        struct rig_client c = {0};
        assert_int_equal(rig_get(cache, &c, .now_ms = 60000, .fields = asks[i]), ZQ_CACHE_LEAD);
        assert_true(c.writer.whole);
        zq_entry_fail(&c.writer, 502);
        rig_leave(&c);
    }
    rig_verdict(cache, PASS, STALE, .now_ms = 60000, .fields = "if-match: \"a\"");
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
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 0);
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

/* ---- Vary ---- */

static void variants_are_selected(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};
    const struct rig_answer answer = {.fields = RIG_FRESH "\nVary: Accept-Language"};

    rig_store(cache, RIG_ASK(.fields = "accept-language: de"), answer, "Hallo");
    rig_verdict(cache, LEAD, VARY_MISS, .fields = "accept-language: fr");
    rig_store(cache, RIG_ASK(.fields = "accept-language: fr"), answer, "Salut");
    rig_verdict(cache, LEAD, VARY_MISS, .now_ms = 0);
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

    rig_store(cache, RIG_ASK(.fields = "a: 1\nb: 1"), RIG_ANSWER(.fields = RIG_FRESH "\nVary: a"),
              "A");
    rig_store(cache, RIG_ASK(.fields = "a: 2\nb: 1", .now_ms = 1),
              RIG_ANSWER(.fields = "Cache-Control: max-age=1\nVary: b"), "B");
    assert_int_equal(rig_get(cache, &c, .fields = "a: 1\nb: 1", .now_ms = 2), ZQ_CACHE_HIT);
    rig_expect(&c, "B");
    rig_leave(&c);
    rig_verdict(cache, LEAD, STALE, .fields = "a: 1\nb: 1", .now_ms = 5000);
    rig_verdict(cache, HIT, NONE, .fields = "a: 1\nb: 2", .now_ms = 5000);
}

/* RFC 9111 4: by Date, not by when they came. */
static void the_most_recent_is_the_one_of_the_latest_date(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.fields = "a: 1\nb: 1"), RIG_ANSWER(.fields = RIG_FRESH "\nVary: a"),
              "A");
    rig_store(cache, RIG_ASK(.fields = "a: 2\nb: 1", .now_ms = 1),
              RIG_ANSWER(.fields = RIG_FRESH "\nVary: b\nDate: Sun, 09 Sep 2001 01:46:35 GMT"),
              "B");
    assert_int_equal(rig_get(cache, &c, .fields = "a: 1\nb: 1", .now_ms = 2), ZQ_CACHE_HIT);
    rig_expect(&c, "A");
    rig_leave(&c);
}

static void one_without_vary_replaces_all(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.fields = "a: 1"), RIG_ANSWER(.fields = RIG_FRESH "\nVary: a"), "one");
    rig_store(cache, RIG_ASK(.fields = "a: 2"), RIG_ANSWER(.fields = RIG_FRESH), "all");
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
        rig_store(cache, RIG_ASK(.fields = fields), RIG_ANSWER(.fields = RIG_FRESH "\nVary: a"),
                  "x");
    }
    rig_verdict(cache, LEAD, VARY_MISS, .fields = "a: 0");
    rig_verdict(cache, HIT, NONE, .fields = "a: 1");
    rig_verdict(cache, HIT, NONE, .fields = fields);
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
    assert_int_equal(rig_head(&leader, .fields = RIG_FRESH "\nVary: a"), 0);
    assert_int_equal(rig_state(&same), ZQ_READER_OPEN);
    assert_int_equal(rig_state(&other), ZQ_READER_RELEASED);
    rig_leave(&other);
    assert_int_equal(rig_get(cache, &other, .fields = "a: 2", .alone = true), ZQ_CACHE_LEAD);
    zq_entry_fail(&other.writer, 502);
    rig_leave(&other);
    rig_finish(&leader);
    rig_expect(&same, "");
    rig_leave(&same);
    rig_verdict(cache, HIT, NONE, .fields = "a: 1");
}

/* What a key is known to vary on keeps requests apart before the head says so. */
static void known_variance_keeps_waiters_apart(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client one = {0}, two = {0}, waiter = {0};

    rig_store(cache, RIG_ASK(.fields = "a: 0"), RIG_ANSWER(.fields = RIG_FRESH "\nVary: a"), "x");
    assert_int_equal(rig_get(cache, &one, .fields = "a: 1"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &two, .fields = "a: 2"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &waiter, .fields = "a: 1"), ZQ_CACHE_JOIN);
    assert_ptr_equal(waiter.reader.entry, one.reader.entry);
    rig_leave(&waiter);
    assert_int_equal(rig_head(&one, .fields = RIG_FRESH "\nVary: a"), 0);
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

    rig_store(cache, RIG_ASK(.fields = "a: 1"), RIG_ANSWER(.fields = RIG_FRESH "\nVary: a"),
              "good");
    assert_int_equal(rig_get(cache, &c, .fields = "a: 2"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH), 0);
    assert_int_equal(rig_append(&c, "ba"), 0);
    zq_entry_finish(&c.writer, false);
    assert_int_equal(rig_state(&c), ZQ_READER_ABORTED);
    rig_leave(&c);
    rig_verdict(cache, LEAD, VARY_MISS, .fields = "a: 2");
    assert_int_equal(rig_get(cache, &c, .fields = "a: 1"), ZQ_CACHE_HIT);
    rig_expect(&c, "good");
    rig_leave(&c);
}

static void a_slow_fetch_does_not_replace_a_newer_answer(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client slow = {0}, quick = {0}, c = {0};

    assert_int_equal(rig_get(cache, &slow, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&slow, .fields = RIG_FRESH, .now_ms = 10), 0);
    assert_int_equal(rig_append(&slow, "old"), 0);
    assert_int_equal(rig_get(cache, &quick, .now_ms = 20, .alone = true), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&quick, .fields = RIG_FRESH, .now_ms = 30), 0);
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

    rig_store(cache, RIG_ASK(.fields = "a: 1"), RIG_ANSWER(.fields = RIG_FRESH "\nVary: a"), "one");
    rig_store(cache, RIG_ASK(.fields = "a: 2"), RIG_ANSWER(.fields = RIG_FRESH "\nVary: a"), "two");
    rig_store(cache, RIG_ASK(.target = "/other"), RIG_ANSWER(.fields = RIG_FRESH), "other");
    assert_int_equal(rig_get(cache, &held, .fields = "a: 1"), ZQ_CACHE_HIT);
    rig_invalidate(cache, "/");
    rig_invalidate(cache, "/nothing");
    rig_verdict(cache, LEAD, URI_MISS, .fields = "a: 1");
    rig_verdict(cache, LEAD, URI_MISS, .fields = "a: 2");
    rig_verdict(cache, HIT, NONE, .target = "/other");
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
    assert_int_equal(rig_head(&filling, .fields = RIG_FRESH), 0);
    rig_invalidate(cache, "/");
    /* Later requests start anew; earlier ones get what they waited for. */
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 0);
    assert_int_equal(rig_head(&before, .fields = RIG_FRESH), 0);
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
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 0);
    assert_int_equal(zq_cache_used(cache), 0);
}

static void an_invalidated_fetch_without_readers_is_abandoned(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH), 0);
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
    unsigned refused = 0, passed = 0;

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
        assert_int_equal(zq_cache_used(cache), 0);
        if (verdict == ZQ_CACHE_PASS) { /* where the store has no room */
            zq_entry_fail(&c.writer, 502);
            rig_leave(&c);
            passed++;
            continue;
        }
        assert_int_equal(verdict, ZQ_ENOMEM);
        assert_null(c.reader.entry);
    }
    assert_int_equal(refused, 3); /* key, entry, slot */
    assert_int_equal(passed, 2);

    zq_cache_alloc_fails_at = 1;
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH), 0);
    assert_false(rig_describe(&c, 0).stored);
    zq_cache_alloc_fails_at = 1;
    assert_int_equal(rig_append(&c, "hello"), ZQ_ENOMEM);
    zq_entry_finish(&c.writer, false);
    rig_leave(&c);
    assert_int_equal(zq_cache_used(cache), 0);

    zq_cache_alloc_fails_at = 1;
    assert_int_equal(rig_get(cache, &c, .method = "DELETE"), ZQ_ENOMEM);

    /* What cannot be named is not served on: invalidation then takes everything. */
    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = RIG_FRESH), "x");
    zq_cache_alloc_fails_at = 1;
    rig_invalidate(cache, target);
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 0);
    while (zq_cache_sweep(cache))
        ;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_stored_response_is_a_hit),
        RIG_TEST(a_hit_allocates_nothing),
        RIG_TEST(a_response_of_unknown_length_has_one_when_stored),
        RIG_TEST(a_stale_response_is_a_miss_and_is_replaced),
        RIG_TEST(head_is_answered_from_a_stored_get),
        RIG_TEST(a_hit_answers_whoever_asks),
        RIG_TEST(a_long_key_is_a_key),
        RIG_TEST(some_requests_bypass_it),
        RIG_TEST(some_misses_go_by_themselves),
        RIG_TEST(a_known_key_is_fetched_whole),
        RIG_TEST(what_passes_is_not_stored),
        RIG_TEST(a_cache_of_no_size_stores_nothing),
        RIG_TEST(variants_are_selected),
        RIG_TEST(the_newest_match_counts),
        RIG_TEST(the_most_recent_is_the_one_of_the_latest_date),
        RIG_TEST(one_without_vary_replaces_all),
        RIG_TEST(variants_of_a_key_are_bounded),
        RIG_TEST(waiters_whose_request_does_not_match_are_released),
        RIG_TEST(known_variance_keeps_waiters_apart),
        RIG_TEST(a_cut_response_replaces_nothing),
        RIG_TEST(a_slow_fetch_does_not_replace_a_newer_answer),
        RIG_TEST(invalidation_drops_all_variants),
        RIG_TEST(invalidation_detaches_fetches_in_flight),
        RIG_TEST(an_invalidated_fetch_without_readers_is_abandoned),
        RIG_TEST(no_memory),
        RIG_TEST(words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
