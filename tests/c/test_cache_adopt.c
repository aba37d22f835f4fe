/* "A cached POST response can be reused to satisfy a later GET or HEAD request" (RFC 9110 9.3.3):
 * when, and what keeps it from that. */
#include "test_cache_rig.h"

#include "cache/store.h"

static void ask(struct zq_cache *cache, struct rig_client *c)
{
    assert_int_equal(rig_get(cache, c, .method = "POST", .has_body = true), ZQ_CACHE_PASS);
    assert_int_equal(c->forward, ZQ_FORWARD_METHOD);
}

static void adopt(struct zq_cache *cache, struct rig_client *c)
{
    assert_true(c->writer.adoptable);
    zq_writer_adopt(&c->writer, cache, ZQ_SLICE("http"), ZQ_SLICE("example.com"), ZQ_SLICE("/"));
}

/* The rest of an answer that was adopted, or not. */
static void answer(struct rig_client *c, const char *fields)
{
    assert_int_equal(rig_head(c, .fields = fields), 0);
    assert_int_equal(rig_append(c, "made"), 0);
    rig_finish(c);
    rig_expect(c, "made");
    rig_leave(c);
}

static void answers_get_and_head(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0}, reader = {0};

    ask(cache, &c);
    adopt(cache, &c);
    answer(&c, RIG_FRESH);
    assert_int_equal(rig_get(cache, &reader, .now_ms = 10), ZQ_CACHE_HIT);
    rig_expect(&reader, "made");
    rig_leave(&reader);
    rig_verdict(cache, HIT, NONE, .method = "HEAD", .now_ms = 10);
    rig_verdict(cache, PASS, METHOD, .method = "POST", .now_ms = 10);
}

static void replaces_what_was_stored(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client old = {0}, c = {0}, reader = {0};

    assert_int_equal(rig_get(cache, &old, .now_ms = 0), ZQ_CACHE_LEAD);
    answer(&old, RIG_FRESH);
    ask(cache, &c);
    rig_verdict(cache, HIT, NONE, .now_ms = 10);
    adopt(cache, &c);
    /* What it brings is not there yet, and what was there is gone. */
    assert_int_equal(rig_head(&c, .fields = "cache-control: no-store"), 0);
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 10);
    rig_finish(&c);
    rig_leave(&c);
    assert_int_equal(rig_get(cache, &reader, .now_ms = 10), ZQ_CACHE_LEAD);
    zq_entry_fail(&reader.writer, 502);
    rig_leave(&reader);
}

/* "… only cacheable when they include explicit freshness information". */
static void no_lifetime_is_guessed(void **state)
{
    static const char *const fields[] = {
        "last-modified: Sat, 08 Sep 2001 01:46:40 GMT",
        "cache-control: no-cache\netag: \"a\"",
        "cache-control: private, max-age=60",
        "cache-control: max-age=60\nvary: *",
    };
    struct zq_cache *cache = *state;
    struct zq_cache_rules rules = {.heuristic = true};

    zq_cache_set_rules(cache, &rules);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(fields); i++) {
        struct rig_client c = {0};
        ask(cache, &c);
        adopt(cache, &c);
        answer(&c, fields[i]);
        /* And nobody is told that the key is not storable. */
        rig_verdict(cache, LEAD, URI_MISS, .now_ms = 10);
    }
    assert_int_equal(zq_cache_used(cache), 0);
}

static void not_when_it_was_invalidated_meanwhile(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client first = {0}, second = {0};

    ask(cache, &first);
    ask(cache, &second);
    adopt(cache, &second);
    answer(&second, RIG_FRESH);
    rig_verdict(cache, HIT, NONE, .now_ms = 10);
    /* The second has seen what the first wrote, or not: nobody knows. */
    adopt(cache, &first);
    answer(&first, RIG_FRESH);
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 10);
}

/* The counts of invalidations are of more than one key each: hardly ever is an answer not stored
 * for what happens to others. Expected: 0.24 of these. */
static void the_invalidation_of_others_hardly_matters(void **state)
{
    struct zq_cache *cache = *state;
    unsigned n = 0, refused = 0;

    for (int i = 0; i < 4000; i++) {
        struct rig_client c = {0};
        ask(cache, &c);
        for (int k = 0; k < 32; k++) {
            char target[16];
            snprintf(target, sizeof(target), "/%u", n++);
            rig_invalidate(cache, target);
        }
        adopt(cache, &c);
        answer(&c, RIG_FRESH);
        refused += !c.writer.stored;
    }
    assert_in_range(refused, 0, 5);
}

static void not_when_something_was_purged_meanwhile(void **state)
{
    struct zq_cache *cache = *state;
    struct zq_purge purge = {.kind = ZQ_PURGE_TAG, .text = ZQ_SLICE("a")};
    struct rig_client c = {0};
    uint64_t number;

    ask(cache, &c);
    assert_int_equal(zq_cache_purge(cache, &purge, 0, &number), 0);
    adopt(cache, &c);
    answer(&c, RIG_FRESH);
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 10);
}

static void what_begins_later_takes_it_off_the_index(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    ask(cache, &c);
    adopt(cache, &c);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH), 0);
    rig_invalidate(cache, "/");
    rig_finish(&c);
    rig_leave(&c);
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 10);
}

static void not_for_requests_that_a_get_would_not_be_stored_for(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c[3] = {0};

    rig_get(cache, &c[0], .method = "POST", .fields = "x-http-method-override: DELETE");
    rig_get(cache, &c[1], .method = "POST", .fields = "if-match: \"a\"");
    rig_get(cache, &c[2], .method = "POST", .untrusted = true);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(c); i++) {
        assert_false(c[i].writer.adoptable);
        zq_entry_fail(&c[i].writer, 502);
        rig_leave(&c[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(answers_get_and_head),
        RIG_TEST(replaces_what_was_stored),
        RIG_TEST(no_lifetime_is_guessed),
        RIG_TEST(not_when_it_was_invalidated_meanwhile),
        RIG_TEST(the_invalidation_of_others_hardly_matters),
        RIG_TEST(not_when_something_was_purged_meanwhile),
        RIG_TEST(what_begins_later_takes_it_off_the_index),
        RIG_TEST(not_for_requests_that_a_get_would_not_be_stored_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
