/* Stale responses: a 304 merges with what is stored, and an error may be answered by it. */
#include "test_cache_rig.h"

#include "cache/entry.h"
#include "cache/validate.h"

#define STALE "Cache-Control: max-age=0\nETag: \"a\""
#define HEAD200 "HTTP/1.1 200 OK\r\nCache-Control: max-age=0\r\nETag: \"a\"\r\n"

static void store(struct zq_cache *cache, const char *fields, const char *block)
{
    struct rig_client c = {0};

    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head_block(&c, 200, fields, block, 0), 0);
    assert_int_equal(rig_append(&c, "hello"), 0);
    rig_finish(&c);
    assert_true(rig_describe(&c, 0).stored);
    rig_leave(&c);
}

static void expect_slice(struct zq_slice s, const char *text)
{
    assert_int_equal(s.n, strlen(text));
    assert_memory_equal(s.p, text, s.n);
}

/* RFC 9111 4.3.1: asked by the validators of what is stored; 4.3.4: freshened. */
static void a_304_freshens(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0}, waiter = {0};

    store(cache, STALE, HEAD200 "X-Old: 1\r\nX-Both: 1\r\n");
    assert_int_equal(rig_get(cache, &c, .now_ms = 1000), ZQ_CACHE_LEAD);
    assert_int_equal(c.forward, ZQ_FORWARD_STALE);
    assert_true(c.writer.whole);
    expect_slice(c.writer.etag, "\"a\"");
    assert_null(c.writer.last_modified.p);
    /* What was stale on arrival is not waited for. */
    assert_int_equal(rig_get(cache, &waiter, .now_ms = 1000), ZQ_CACHE_LEAD);
    zq_entry_fail(&waiter.writer, 502);
    rig_leave(&waiter);

    assert_int_equal(rig_head_block(&c, 304, "Cache-Control: max-age=60\nX-Both: 2",
                                    "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\n"
                                    "X-Both: 2\r\nContent-Encoding: br\r\n",
                                    1000),
                     0);
    assert_int_equal(rig_append(&c, "dropped"), 0);
    rig_finish(&c);
    struct zq_entry_info info = rig_describe(&c, 1000);
    assert_true(info.stored && info.had_content);
    assert_int_equal(info.status, 200);
    assert_int_equal(info.content_length, 5);
    assert_int_equal(info.remaining_s, 60);
    expect_slice(info.block, "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nX-Old: 1\r\n"
                             "Cache-Control: max-age=60\r\nX-Both: 2\r\n");
    rig_expect(&c, "hello");
    rig_leave(&c);
    assert_int_equal(rig_get(cache, &c, .now_ms = 60999), ZQ_CACHE_HIT);
    rig_expect(&c, "hello");
    rig_leave(&c);
}

/* One head after the other over the same content, which goes with the last of them. */
static void content_is_shared(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0}, early = {0};

    store(cache, "Cache-Control: max-age=1\nETag: \"a\"", HEAD200);
    assert_int_equal(rig_get(cache, &early, .now_ms = 0), ZQ_CACHE_HIT);
    for (int64_t now = 1000; now < 6000; now += 1000) {
        assert_int_equal(rig_get(cache, &c, .now_ms = now), ZQ_CACHE_LEAD);
        assert_int_equal(
            rig_head_block(&c, 304, "Cache-Control: max-age=1", "HTTP/1.1 304 -\r\n", now), 0);
        rig_finish(&c);
        rig_expect(&c, "hello");
        rig_leave(&c);
    }
    rig_invalidate(cache, "/");
    rig_expect(&early, "hello");
    rig_leave(&early);
    assert_int_equal(zq_cache_used(cache), 0);
}

static const struct {
    const char *section, *fields, *block;
    bool stays, shared;
} forbidding[] = {
    {"zq: Set-Cookie", "Set-Cookie: a=1", "HTTP/1.1 304 -\r\nSet-Cookie: a=1\r\n", false, false},
    {"5.2.2.7", "Cache-Control: private", "HTTP/1.1 304 -\r\nCache-Control: private\r\n", false,
     false},
    {"5.2.2.5", "Cache-Control: no-store", "HTTP/1.1 304 -\r\nCache-Control: no-store\r\n", false,
     false},
    {"4.1", "Vary: *", "HTTP/1.1 304 -\r\nVary: *\r\n", false, false},
    {"4.3.4", "ETag: \"b\"", "HTTP/1.1 304 -\r\nETag: \"b\"\r\n", false, false},
    {"4.3.4", "ETag: W/\"a\"", "HTTP/1.1 304 -\r\nETag: W/\"a\"\r\n", true, true},
    {"4.3.4", NULL, "HTTP/1.1 304 -\r\n", true, true},
};

static void what_a_304_forbids(void **state)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(forbidding); i++) {
        struct zq_cache *cache = zq_cache_new(RIG_SIZE);
        struct rig_client c = {0};
        store(cache, "Cache-Control: max-age=1\nETag: \"a\"",
              "HTTP/1.1 200 OK\r\nCache-Control: max-age=1\r\nETag: \"a\"\r\n");
        assert_int_equal(rig_get(cache, &c, .now_ms = 1000), ZQ_CACHE_LEAD);
        assert_int_equal(rig_head_block(&c, 304, forbidding[i].fields, forbidding[i].block, 1000),
                         0);
        rig_finish(&c);
        bool released = rig_state(&c) == ZQ_READER_RELEASED;
        assert_int_equal(released, i == 4); /* it confirmed something else: ask again */
        if (!released) {
            assert_int_equal(rig_describe(&c, 1000).stored, forbidding[i].shared);
            rig_expect(&c, "hello");
        }
        rig_leave(&c);
        assert_int_equal(rig_get(cache, &c, .now_ms = 1500),
                         forbidding[i].stays ? ZQ_CACHE_HIT : ZQ_CACHE_LEAD);
        if (!forbidding[i].stays) {
            assert_int_equal(c.forward, ZQ_FORWARD_URI_MISS);
            zq_entry_fail(&c.writer, 502);
        }
        rig_leave(&c);
        zq_cache_free(cache);
    }
}

/* “A purge is remembered while any older fetch runs and is matched again when that fetch's tags
 * arrive. The same holds for … freshening by 304”: it says nothing new of content that was purged.
 */
static void new_tags_save_no_old_content(void **state)
{
    const struct zq_purge purge = {ZQ_PURGE_TAG, false, ZQ_SLICE("old")};
    struct zq_cache *cache = *state;
    struct rig_client c = {0};
    uint64_t number;

    store(cache, STALE "\nCache-Tag: old", HEAD200);
    assert_int_equal(rig_get(cache, &c, .now_ms = 1000), ZQ_CACHE_LEAD);
    assert_non_null(c.writer.etag.p);
    assert_int_equal(zq_cache_purge(cache, &purge, 0, &number), 0);
    assert_int_equal(rig_head_block(&c, 304, "Cache-Control: max-age=60\nCache-Tag: new",
                                    "HTTP/1.1 304 -\r\nCache-Control: max-age=60\r\n", 1000),
                     0);
    assert_false(c.writer.stored);
    rig_finish(&c);
    rig_expect(&c, "hello");
    rig_leave(&c);
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 1500);
}

/* RFC 9111 5.2.1.5, 4.3.2: who may keep nothing, or asks the origin alone, stands for nobody. */
static void what_may_not_be_stored_refreshes_nothing(void **state)
{
    static const char *const fields[] = {
        "cache-control: no-store",
        "if-match: \"b\"",
        "if-unmodified-since: Thu, 01 Jan 1970 00:00:00 GMT",
        "x_forwarded_host: evil",
    };
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    store(cache, "Cache-Control: max-age=1, stale-while-revalidate=60\nETag: \"a\"",
          "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n");
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(fields); i++) {
        assert_int_equal(rig_get(cache, &c, .now_ms = 2000, .fields = fields[i]), ZQ_CACHE_HIT);
        assert_null(c.writer.entry);
        rig_expect(&c, "hello");
        rig_leave(&c);
    }
    assert_int_equal(rig_get(cache, &c, .now_ms = 2500), ZQ_CACHE_HIT);
    assert_non_null(c.writer.entry);
    zq_entry_fail(&c.writer, 502);
    rig_leave(&c);
}

/* RFC 9111 4.3.4: a strong tag does not name what has a weak one. */
static void a_strong_tag_confirms_no_weak_one(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    store(cache, "Cache-Control: max-age=1\nETag: W/\"a\"",
          "HTTP/1.1 200 OK\r\nCache-Control: max-age=1\r\nETag: W/\"a\"\r\n");
    assert_int_equal(rig_get(cache, &c, .now_ms = 1000), ZQ_CACHE_LEAD);
    assert_int_equal(
        rig_head_block(&c, 304, "ETag: \"a\"", "HTTP/1.1 304 -\r\nETag: \"a\"\r\n", 1000), 0);
    rig_finish(&c);
    assert_int_equal(rig_state(&c), ZQ_READER_RELEASED);
    rig_leave(&c);
}

/* ---- errors ---- */

/* RFC 9111 4.2.4, RFC 5861 4 */
static void stale_for_want_of_another(void **state)
{
    static const struct {
        const char *cc;
        int64_t grace_ms, now_ms;
        bool disconnected, served;
    } rows[] = {
        {"Cache-Control: max-age=1", 0, 1000, true, false},
        {"Cache-Control: max-age=1", 5000, 1000, true, true},
        {"Cache-Control: max-age=1", 5000, 6000, true, true},
        {"Cache-Control: max-age=1", 5000, 6001, true, false},
        {"Cache-Control: max-age=1", 5000, 1000, false, false},
        {"Cache-Control: max-age=1, stale-if-error=5", 0, 6000, false, true},
        {"Cache-Control: max-age=1, stale-if-error=5", 0, 6001, true, false},
        {"Cache-Control: max-age=1, stale-if-error=5, must-revalidate", 9000, 1000, true, false},
        {"Cache-Control: max-age=1, stale-if-error=5, proxy-revalidate", 9000, 1000, true, false},
        {"Cache-Control: s-maxage=1, stale-if-error=5", 9000, 1000, true, false},
    };

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        struct zq_cache *cache = zq_cache_new(RIG_SIZE);
        struct rig_client c = {0}, waiter = {0};
        zq_cache_set_rules(cache, &(struct zq_cache_rules){.grace_ms = rows[i].grace_ms});
        store(cache, rows[i].cc, "HTTP/1.1 200 OK\r\n");
        assert_int_equal(rig_get(cache, &c, .now_ms = rows[i].now_ms), ZQ_CACHE_LEAD);
        assert_int_equal(rig_get(cache, &waiter, .now_ms = rows[i].now_ms), ZQ_CACHE_JOIN);
        bool served = zq_entry_serve_stale(&c.writer, rows[i].disconnected, rows[i].now_ms);
        if (served != rows[i].served)
            fail_msg("%s at %lld", rows[i].cc, (long long)rows[i].now_ms);
        if (served) {
            assert_false(rig_describe(&c, rows[i].now_ms).stored);
            rig_expect(&c, "hello");
            rig_expect(&waiter, "hello");
        } else {
            zq_entry_fail(&c.writer, 502);
            assert_int_equal(rig_state(&waiter), ZQ_READER_FAILED);
        }
        rig_leave(&c);
        rig_leave(&waiter);
        zq_cache_free(cache);
    }
}

static void an_error_is_not_stored_over_it(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    store(cache, "Cache-Control: max-age=1, stale-if-error=9", "HTTP/1.1 200 OK\r\n");
    assert_int_equal(rig_get(cache, &c, .now_ms = 2000), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head_block(&c, 503, RIG_FRESH, "HTTP/1.1 503 -\r\n", 2000), 0);
    assert_int_equal(rig_append(&c, "an error"), 0);
    rig_finish(&c);
    assert_int_equal(rig_describe(&c, 2000).status, 200);
    rig_expect(&c, "hello");
    rig_leave(&c);
    rig_verdict(cache, LEAD, STALE, .now_ms = 2000);
}

/* ---- in the background ---- */

/* RFC 5861 3: a stale hit, and one fetch. */
static void stale_while_revalidate(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client first = {0}, second = {0};

    store(cache, "Cache-Control: max-age=1, stale-while-revalidate=5\nETag: \"a\"", HEAD200);
    assert_int_equal(rig_get(cache, &first, .now_ms = 3000), ZQ_CACHE_HIT);
    assert_non_null(first.writer.entry);
    expect_slice(first.writer.etag, "\"a\"");
    assert_int_equal(rig_get(cache, &second, .now_ms = 3000), ZQ_CACHE_HIT);
    assert_null(second.writer.entry);
    rig_expect(&first, "hello");
    rig_leave(&first);
    assert_int_equal(
        rig_head_block(&first, 304, RIG_FRESH, "HTTP/1.1 304 -\r\n" RIG_FRESH "\r\n", 3500), 0);
    rig_finish(&first);
    rig_leave(&second);
    assert_int_equal(rig_get(cache, &second, .now_ms = 3500), ZQ_CACHE_HIT);
    assert_true(rig_describe(&second, 3500).remaining_s == 60);
    rig_expect(&second, "hello");
    rig_leave(&second);
}

/* What was made for a request without credentials is refreshed without them (3.5: what answers
 * these could not be stored); what was not, with those of who asks. */
static void a_refresh_is_as_anonymous_as_what_it_replaces(void **state)
{
    static const char page[] = "Cache-Control: public, max-age=1, stale-while-revalidate=99";
    static const char *const made_for[] = {NULL, "cookie: a=1", "authorization: x"};
    (void)state;

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(made_for) * 2; i++) {
        struct zq_cache *cache = zq_cache_new(RIG_SIZE);
        struct rig_client c = {0};
        const char *credentials = i % 2 ? "cookie: b=1" : "authorization: y";
        rig_store(cache, RIG_ASK(.fields = made_for[i / 2]), RIG_ANSWER(.fields = page), "hello");
        assert_int_equal(rig_get(cache, &c, .now_ms = 2000, .fields = credentials), ZQ_CACHE_HIT);
        assert_non_null(c.writer.entry);
        assert_true(c.writer.anonymous == (i < 2));
        rig_leave(&c);
        assert_int_equal(rig_head(&c, .fields = "Cache-Control: max-age=60", .now_ms = 2000), 0);
        rig_finish(&c);
        assert_int_equal(rig_get(cache, &c, .now_ms = 3000), ZQ_CACHE_HIT);
        assert_true((rig_describe(&c, 3000).remaining_s > 0) == (i < 2));
        rig_leave(&c);
        zq_cache_free(cache);
    }
}

static void a_refresh_that_fails_leaves_what_is_there(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    store(cache, "Cache-Control: max-age=1, stale-while-revalidate=5", "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_get(cache, &c, .now_ms = 6000), ZQ_CACHE_HIT);
        rig_leave(&c);
        zq_entry_fail(&c.writer, 502);
    }
    rig_verdict(cache, LEAD, STALE, .now_ms = 6001);
}

/* An answer that cannot be stored is remembered as on any other key: who asks meanwhile gets the
 * stale response, and nobody fetches. */
static void a_refresh_that_brings_nothing_is_not_repeated(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    store(cache, "Cache-Control: max-age=1, stale-while-revalidate=999", "HTTP/1.1 200 OK\r\n");
    assert_int_equal(rig_get(cache, &c, .now_ms = 2000), ZQ_CACHE_HIT);
    rig_leave(&c);
    assert_int_equal(
        rig_head_block(&c, 200, "Cache-Control: no-store", "HTTP/1.1 200 OK\r\n", 2500), 0);
    rig_finish(&c);
    assert_int_equal(rig_get(cache, &c, .now_ms = 3000), ZQ_CACHE_HIT);
    assert_null(c.writer.entry);
    rig_expect(&c, "hello");
    rig_leave(&c);
    assert_int_equal(rig_get(cache, &c, .now_ms = 123000), ZQ_CACHE_HIT);
    assert_non_null(c.writer.entry);
    zq_entry_fail(&c.writer, 502);
    rig_leave(&c);
}

/* ---- HEAD ---- */

static const struct {
    const char *section, *lines;
    int64_t length;
    bool freshened, stays;
} heads[] = {
    {"4.3.5", "Cache-Control: max-age=60\r\nETag: \"a\"\r\nX-New: 1\r\n", 5, true, true},
    {"4.3.5", "Cache-Control: max-age=60\r\nX-New: 1\r\n", -1, true, true},
    {"4.3.5", "Cache-Control: max-age=60\r\nETag: \"b\"\r\n", 5, false, false},
    {"4.3.5", "Cache-Control: max-age=60\r\nETag: W/\"a\"\r\n", 5, false, false},
    {"4.3.5", "Cache-Control: max-age=60\r\nETag: \"a\"\r\n", 6, false, false},
    {"4.3.5", "Cache-Control: max-age=60\r\nLast-Modified: x\r\n", 5, false, false},
    {"zq: Set-Cookie", "Set-Cookie: a=1\r\nETag: \"a\"\r\n", 5, false, false},
    {"3", "Cache-Control: no-store\r\nETag: \"a\"\r\n", 5, false, false},
};

static int give_head(struct rig_client *c, unsigned status, const char *lines, int64_t length)
{
    char block[256], text[256];
    struct rig_fields f;
    size_t n = 0;

    snprintf(block, sizeof(block), "HTTP/1.1 200 OK\r\n%s", lines);
    for (const char *p = lines; p[2] != '\0'; p++)
        if (*p != '\r')
            text[n++] = *p;
    text[n] = '\0';
    struct zq_cache_response response = {
        .status = status,
        .fields = rig_fields(&f, text),
        .block = zq_slice_str(block),
        .content_length = length,
        .no_content = true,
        .storable = true,
    };
    return zq_entry_head(&c->writer, &response, 1000, 1000000000);
}

/* RFC 9111 4.3.5: HEAD freshens the stale response to GET that it agrees with, and makes an end to
 * another. */
static void a_head_freshens_or_invalidates(void **state)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(heads); i++) {
        struct zq_cache *cache = zq_cache_new(RIG_SIZE);
        struct rig_client c = {0}, get = {0};
        store(cache, "Cache-Control: max-age=1\nETag: \"a\"",
              "HTTP/1.1 200 OK\r\nCache-Control: max-age=1\r\nETag: \"a\"\r\n");
        assert_int_equal(rig_get(cache, &c, .method = "HEAD", .now_ms = 1000), ZQ_CACHE_LEAD);
        assert_false(c.writer.whole);
        assert_null(c.writer.etag.p);
        /* What HEAD brings is nothing to wait for. */
        assert_int_equal(rig_get(cache, &get, .now_ms = 1000), ZQ_CACHE_LEAD);
        zq_entry_fail(&get.writer, 502);
        rig_leave(&get);
        assert_int_equal(give_head(&c, 200, heads[i].lines, heads[i].length), 0);
        rig_finish(&c);
        struct zq_entry_info info = rig_describe(&c, 1000);
        if (info.stored != heads[i].freshened)
            fail_msg("%s: %s", heads[i].section, heads[i].lines);
        rig_leave(&c);
        int verdict = rig_get(cache, &get, .now_ms = 2000);
        assert_int_equal(verdict, heads[i].freshened ? ZQ_CACHE_HIT : ZQ_CACHE_LEAD);
        if (heads[i].freshened) {
            assert_non_null(strstr(rig_describe(&get, 2000).block.p, "X-New: 1"));
            rig_expect(&get, "hello");
        } else {
            assert_int_equal(get.forward, heads[i].stays ? ZQ_FORWARD_STALE : ZQ_FORWARD_URI_MISS);
            zq_entry_fail(&get.writer, 502);
        }
        rig_leave(&get);
        zq_cache_free(cache);
    }
}

/* Only a 200 says something about it; and HEAD alone stores nothing. */
static void a_head_that_says_nothing(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    assert_int_equal(rig_get(cache, &c, .method = "HEAD"), ZQ_CACHE_PASS);
    assert_int_equal(give_head(&c, 200, RIG_FRESH "\r\n", 5), 0);
    rig_finish(&c);
    rig_leave(&c);
    store(cache, "Cache-Control: max-age=1\nETag: \"a\"", HEAD200);
    assert_int_equal(rig_get(cache, &c, .method = "HEAD", .now_ms = 1000), ZQ_CACHE_LEAD);
    assert_int_equal(give_head(&c, 404, RIG_FRESH "\r\n", 5), 0);
    rig_finish(&c);
    assert_int_equal(rig_describe(&c, 1000).status, 404);
    rig_leave(&c);
    rig_verdict(cache, LEAD, STALE, .now_ms = 1000);
}

/* RFC 9111 4.3.5 does not ask for what HEAD was made: its own conditions go out as they came. A 304
 * answers those alone; another 200 makes an end to what is stored. */
static void a_conditional_head(void **state)
{
    static const unsigned statuses[] = {304, 200};
    struct zq_cache *cache = *state;

    store(cache, "Cache-Control: max-age=1\nETag: \"a\"", HEAD200);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(statuses); i++) {
        struct rig_client c = {0};
        assert_int_equal(
            rig_get(cache, &c, .method = "HEAD", .now_ms = 1000, .fields = "if-none-match: \"b\""),
            ZQ_CACHE_LEAD);
        assert_false(c.writer.whole);
        assert_null(c.writer.etag.p);
        assert_int_equal(
            give_head(&c, statuses[i], "Cache-Control: max-age=60\r\nETag: \"b\"\r\n", 5), 0);
        rig_finish(&c);
        assert_int_equal(rig_describe(&c, 1000).status, statuses[i]);
        rig_leave(&c);
        if (statuses[i] == 304)
            rig_verdict(cache, LEAD, STALE, .now_ms = 1000);
        else
            rig_verdict(cache, LEAD, URI_MISS, .now_ms = 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_304_freshens),
        RIG_TEST(content_is_shared),
        cmocka_unit_test(what_a_304_forbids),
        RIG_TEST(new_tags_save_no_old_content),
        RIG_TEST(what_may_not_be_stored_refreshes_nothing),
        RIG_TEST(a_strong_tag_confirms_no_weak_one),
        cmocka_unit_test(stale_for_want_of_another),
        RIG_TEST(an_error_is_not_stored_over_it),
        RIG_TEST(stale_while_revalidate),
        cmocka_unit_test(a_refresh_is_as_anonymous_as_what_it_replaces),
        RIG_TEST(a_refresh_that_fails_leaves_what_is_there),
        RIG_TEST(a_refresh_that_brings_nothing_is_not_repeated),
        cmocka_unit_test(a_head_freshens_or_invalidates),
        RIG_TEST(a_head_that_says_nothing),
        RIG_TEST(a_conditional_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
