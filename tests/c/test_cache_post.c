/* POST: which responses are stored for GET (RFC 9110 9.3.3), in tables, and what comes between. */
#include "test_cache_rig.h"

#include "cache/entry.h"
#include "cache/store.h"

/* The response's Content-Location was the target. */
static void represent(struct zq_cache *cache, struct rig_client *c)
{
    if (c->writer.adoptable)
        zq_writer_adopt(&c->writer, cache, ZQ_SLICE("http"), ZQ_SLICE("example.com"),
                        ZQ_SLICE("/"));
    else
        rig_invalidate(cache, "/");
}

static void begin(struct zq_cache *cache, struct rig_client *c, struct rig_ask ask)
{
    ask.method = "POST";
    assert_int_equal(rig_get_(cache, c, ask), ZQ_CACHE_PASS);
    assert_int_equal(c->forward, ZQ_FORWARD_METHOD);
}

static void end(struct rig_client *c)
{
    assert_int_equal(rig_append(c, "posted"), 0);
    rig_finish(c);
    rig_expect(c, "posted");
    rig_leave(c);
}

/* A whole exchange; true if it is stored. */
static bool post_(struct zq_cache *cache, struct rig_ask ask, struct rig_answer answer)
{
    struct rig_client c = {0};

    begin(cache, &c, ask);
    represent(cache, &c);
    assert_int_equal(rig_head_(&c, answer), 0);
    bool stored = rig_describe(&c, answer.now_ms).stored;
    end(&c);
    return stored;
}
#define post(cache, ask, answer) post_((cache), ask, answer)

static void expect_hit(struct zq_cache *cache, const char *method, const char *content)
{
    struct rig_client c = {0};

    assert_int_equal(rig_get(cache, &c, .method = method), ZQ_CACHE_HIT);
    rig_expect(&c, content);
    rig_leave(&c);
}

/* Nothing is stored, and nothing is remembered against the key: others wait for the next head. */
static void expect_nothing(struct zq_cache *cache)
{
    struct rig_client leader = {0};

    assert_int_equal(rig_get(cache, &leader, .method = "GET"), ZQ_CACHE_LEAD);
    assert_int_equal(leader.forward, ZQ_FORWARD_URI_MISS);
    rig_verdict(cache, JOIN, URI_MISS, .method = "GET");
    zq_entry_fail(&leader.writer, 502);
    rig_leave(&leader);
    assert_int_equal(zq_cache_used(cache), 0);
}

static void what_is_stored(void **state)
{
    static const struct {
        const char *request, *response;
    } rows[] = {
        {NULL, "Cache-Control: s-maxage=60, max-age=0"},
        {NULL, "Expires: Fri, 31 Dec 2055 23:59:59 GMT"},
        {NULL, "CDN-Cache-Control: max-age=60\nCache-Control: no-store"},
        {"cookie: a=b", "Cache-Control: public, max-age=60"},
        {"cookie: a=b", "Cache-Control: max-age=60\nVary: Cookie"},
        {"authorization: x", "Cache-Control: s-maxage=60"},
        {"content-type: text/plain", "Cache-Control: max-age=60"},
    };
    struct zq_cache *cache = *state;

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++)
        if (!post(cache, RIG_ASK(.fields = rows[i].request),
                  RIG_ANSWER(.fields = rows[i].response)))
            fail_msg("%s", rows[i].response);
}

static void what_is_not_stored(void **state)
{
    static const struct {
        const char *request;
        unsigned status;
        const char *response;
    } rows[] = {
        /* RFC 9110 9.3.3: explicit freshness */
        {NULL, 200, NULL},
        {NULL, 200, "Cache-Control: public"},
        {NULL, 200, "Last-Modified: Sun, 06 Nov 1994 08:00:00 GMT"},
        {NULL, 200, "Cache-Control: public\nLast-Modified: Sun, 06 Nov 1994 08:00:00 GMT"},
        {NULL, 200, "Cache-Control: no-cache\nETag: \"a\""},
        /* RFC 9110 8.7: of the target, as GET would have it */
        {NULL, 201, RIG_FRESH},
        {NULL, 204, RIG_FRESH},
        {NULL, 206, RIG_FRESH "\nContent-Range: bytes 0-5/6"},
        {NULL, 303, RIG_FRESH},
        {NULL, 304, RIG_FRESH},
        {NULL, 404, RIG_FRESH},
        {NULL, 500, RIG_FRESH},
        /* RFC 9111 3, as for GET */
        {NULL, 200, RIG_FRESH ", no-store"},
        {NULL, 200, RIG_FRESH ", private"},
        {NULL, 200, RIG_FRESH "\nSet-Cookie: a=b"},
        {NULL, 200, RIG_FRESH "\nVary: *"},
        {NULL, 200, "Cache-Control: max-age=0"},
        {"authorization: x", 200, RIG_FRESH},
        {"cookie: a=b", 200, RIG_FRESH},
        {"cache-control: no-store", 200, RIG_FRESH},
        /* what changes the answer */
        {"range: bytes=0-5", 200, RIG_FRESH},
        {"range: bytes=0-5", 206, RIG_FRESH "\nContent-Range: bytes 0-5/6"},
        {"if-none-match: \"a\"", 200, RIG_FRESH},
        {"if-match: \"a\"", 200, RIG_FRESH},
        {"if-unmodified-since: Sun, 06 Nov 1994 08:00:00 GMT", 200, RIG_FRESH},
        {"x-http-method-override: DELETE", 200, RIG_FRESH},
        {"x-original-url: /other", 200, RIG_FRESH},
    };
    struct zq_cache *cache = *state;

    zq_cache_set_rules(cache, &(struct zq_cache_rules){.heuristic = true});
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        if (post(cache, RIG_ASK(.fields = rows[i].request),
                 RIG_ANSWER(.status = rows[i].status, .fields = rows[i].response)))
            fail_msg("%s: %u %s", rows[i].request, rows[i].status, rows[i].response);
        expect_nothing(cache);
    }
    assert_false(post(cache, RIG_ASK(.untrusted = true), RIG_ANSWER(.fields = RIG_FRESH)));
    expect_nothing(cache);
    assert_false(post(cache, RIG_ASK(0), RIG_ANSWER(.fields = RIG_FRESH, .old = true)));
    expect_nothing(cache);
}

/* A POST is not remembered against its key, neither by its announced size. */
static void too_large(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    zq_cache_set_object_max(cache, 100);
    begin(cache, &c, RIG_ASK(0));
    represent(cache, &c);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH, .length = 101), 0);
    assert_false(rig_describe(&c, 0).stored);
    rig_append_bytes(&c, 0, 101);
    assert_int_equal(rig_take_bytes(&c, 101), 101);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    expect_nothing(cache);
}

/* Until the head says so a POST costs the store no more than its entry. */
static void it_takes_no_more_than_an_entry_before(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    begin(cache, &c, RIG_ASK(.has_body = true));
    assert_int_equal(zq_heap_live(&cache->heap), zq_heap_class(sizeof(struct zq_entry)));
    represent(cache, &c);
    assert_true(zq_heap_live(&cache->heap) > zq_heap_class(sizeof(struct zq_entry)));
    zq_entry_fail(&c.writer, 502);
    rig_leave(&c);
    assert_int_equal(zq_cache_used(cache), 0);
}

static void without_room(void **state)
{
    struct zq_cache *cache = zq_cache_new(300);

    (void)state;
    assert_false(post(cache, RIG_ASK(0), RIG_ANSWER(.fields = RIG_FRESH)));
    assert_int_equal(zq_cache_used(cache), 0);
    zq_cache_free(cache);
}

/* RFC 9111 4.4: what was stored goes, and what is on its way for GET is not stored. */
static void it_takes_the_place_of_what_was_there(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client slow = {0};

    rig_store(cache, RIG_ASK(.fields = "accept-language: de"),
              RIG_ANSWER(.fields = RIG_FRESH "\nVary: Accept-Language"), "old");
    assert_int_equal(rig_get(cache, &slow, .fields = "accept-language: en"), ZQ_CACHE_LEAD);
    assert_true(post(cache, RIG_ASK(0), RIG_ANSWER(.fields = RIG_FRESH)));
    assert_int_equal(rig_head(&slow, .fields = RIG_FRESH), 0);
    assert_false(rig_describe(&slow, 0).stored);
    assert_int_equal(rig_append(&slow, "old"), 0);
    rig_finish(&slow);
    rig_leave(&slow);
    expect_hit(cache, "GET", "posted");
    /* an error changes nothing, and one that is not stored takes all the same */
    assert_false(post(cache, RIG_ASK(0), RIG_ANSWER(.fields = NULL)));
    expect_nothing(cache);
}

static void what_the_key_forbade_is_forgotten(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    assert_int_equal(rig_get(cache, &c, .method = "GET"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .fields = "Cache-Control: no-store"), 0); /* a mark */
    end(&c);
    assert_true(post(cache, RIG_ASK(0), RIG_ANSWER(.fields = RIG_FRESH)));
    expect_hit(cache, "GET", "posted");
}

static void it_varies(void **state)
{
    struct zq_cache *cache = *state;

    assert_true(post(cache, RIG_ASK(.fields = "accept-language: de"),
                     RIG_ANSWER(.fields = RIG_FRESH "\nVary: Accept-Language")));
    rig_verdict(cache, HIT, NONE, .fields = "accept-language: de");
    rig_verdict(cache, LEAD, VARY_MISS, .fields = "accept-language: en");
}

static void it_is_validated(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    assert_true(post(cache, RIG_ASK(0),
                     RIG_ANSWER(.fields = "Cache-Control: max-age=60, no-cache\nETag: \"a\"")));
    assert_int_equal(rig_get(cache, &c, .method = "GET"), ZQ_CACHE_LEAD);
    assert_int_equal(c.forward, ZQ_FORWARD_STALE);
    zq_entry_fail(&c.writer, 502);
    rig_leave(&c);
}

/* Nobody can know what it will be before its head; from then on it is like any other. */
static void who_joins_it(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0}, joined = {0};

    begin(cache, &c, RIG_ASK(0));
    rig_verdict(cache, LEAD, URI_MISS, .method = "GET");
    represent(cache, &c);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH), 0);
    assert_int_equal(rig_get(cache, &joined, .method = "GET"), ZQ_CACHE_JOIN);
    rig_verdict(cache, PASS, METHOD, .method = "POST");
    end(&c);
    rig_expect(&joined, "posted");
    rig_leave(&joined);
}

static void who_leaves(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    begin(cache, &c, RIG_ASK(0));
    rig_leave(&c);
    assert_true(zq_writer_abandoned(&c.writer));
    zq_entry_fail(&c.writer, 499);
    begin(cache, &c, RIG_ASK(0));
    represent(cache, &c);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH), 0);
    rig_leave(&c);
    assert_false(zq_writer_abandoned(&c.writer)); /* it is worth its end */
    assert_int_equal(rig_append(&c, "posted"), 0);
    rig_finish(&c);
    expect_hit(cache, "GET", "posted");
}

static void cut_short(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    begin(cache, &c, RIG_ASK(0));
    represent(cache, &c);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH), 0);
    assert_int_equal(rig_append(&c, "pos"), 0);
    rig_end(&c, false, ZQ_READER_ABORTED);
    expect_nothing(cache);
}

/* ---- what happens meanwhile ---- */

static void purge(struct zq_cache *cache, enum zq_purge_kind kind, const char *text, bool soft)
{
    const struct zq_purge purge = {kind, soft, zq_slice_str(text)};
    uint64_t number;

    assert_int_equal(zq_cache_purge(cache, &purge, 0, &number), 0);
    while (zq_cache_sweep(cache))
        ;
}

static void disturb(struct zq_cache *cache, size_t how)
{
    static const struct {
        enum zq_purge_kind kind;
        const char *text;
    } purges[] = {{ZQ_PURGE_URL, "http://example.com/"},
                  {ZQ_PURGE_URL, "/"},
                  {ZQ_PURGE_PREFIX, "http://example.com/"},
                  {ZQ_PURGE_GLOB, "*"},
                  {ZQ_PURGE_TAG, "t"},
                  {ZQ_PURGE_ALL, ""}};
    struct rig_client other = {0};

    if (how < 2 * ZQ_ARRAY_SIZE(purges)) {
        purge(cache, purges[how / 2].kind, purges[how / 2].text, how % 2 == 0);
    } else if (how == 2 * ZQ_ARRAY_SIZE(purges)) {
        rig_invalidate(cache, "/");
    } else { /* another POST, which is not stored either */
        begin(cache, &other, RIG_ASK(0));
        represent(cache, &other);
        zq_entry_fail(&other.writer, 502);
        rig_leave(&other);
    }
}
#define DISTURBANCES 14

/* Purges are for what began before them, whenever they come; and so is invalidation. */
static void what_is_purged_meanwhile(void **state)
{
    for (size_t how = 0; how < DISTURBANCES; how++)
        for (int when = 0; when < 3; when++) {
            struct zq_cache *cache = *state;
            struct rig_client c = {0};
            begin(cache, &c, RIG_ASK(0));
            if (when == 0)
                disturb(cache, how);
            represent(cache, &c);
            if (when == 1)
                disturb(cache, how);
            assert_int_equal(rig_head(&c, .fields = RIG_FRESH "\nCache-Tag: t"), 0);
            if (when == 2)
                disturb(cache, how);
            end(&c);
            struct rig_client get = {0};
            if (rig_get(cache, &get, .method = "GET") != ZQ_CACHE_LEAD)
                fail_msg("%zu %d", how, when);
            zq_entry_fail(&get.writer, 502);
            rig_leave(&get);
        }
}

/* What is purged or invalidated before it began, or elsewhere since its head, is not its concern.
 */
static void what_is_purged_before_or_elsewhere(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    for (size_t how = 0; how < DISTURBANCES; how++)
        disturb(cache, how);
    begin(cache, &c, RIG_ASK(0));
    represent(cache, &c);
    purge(cache, ZQ_PURGE_TAG, "other", false);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH "\nCache-Tag: t"), 0);
    purge(cache, ZQ_PURGE_PREFIX, "/other", false);
    rig_invalidate(cache, "/other");
    end(&c);
    expect_hit(cache, "GET", "posted");
    purge(cache, ZQ_PURGE_TAG, "t", false);
    expect_nothing(cache);
}

static void off_and_bypass(void **state)
{
    struct zq_cache *cache = *state;

    zq_cache_switch(cache, false);
    assert_false(post(cache, RIG_ASK(0), RIG_ANSWER(.fields = RIG_FRESH)));
    zq_cache_switch(cache, true);
    expect_nothing(cache);
    assert_int_equal(zq_cache_bypass(cache, ZQ_SLICE("/*")), 0);
    assert_false(post(cache, RIG_ASK(0), RIG_ANSWER(.fields = RIG_FRESH)));
    assert_int_equal(zq_cache_unbypass(cache, ZQ_SLICE("/*")), 0);
    expect_nothing(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_is_stored),
        RIG_TEST(what_is_not_stored),
        RIG_TEST(too_large),
        RIG_TEST(it_takes_no_more_than_an_entry_before),
        cmocka_unit_test(without_room),
        RIG_TEST(it_takes_the_place_of_what_was_there),
        RIG_TEST(what_the_key_forbade_is_forgotten),
        RIG_TEST(it_varies),
        RIG_TEST(it_is_validated),
        RIG_TEST(who_joins_it),
        RIG_TEST(who_leaves),
        RIG_TEST(cut_short),
        RIG_TEST(what_is_purged_meanwhile),
        RIG_TEST(what_is_purged_before_or_elsewhere),
        RIG_TEST(off_and_bypass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
