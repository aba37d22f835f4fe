/* What operators keep away from the cache, by path and while requests come. */
#include "test_cache_rig.h"

#include <pthread.h>

static int bypass(struct zq_cache *cache, const char *text)
{
    return zq_cache_bypass(cache, zq_slice_str(text));
}

static int unbypass(struct zq_cache *cache, const char *text)
{
    return zq_cache_unbypass(cache, zq_slice_str(text));
}

static void append(struct zq_slice text, void *argument)
{
    char *to = argument;

    strncat(to, text.p, text.n);
    strcat(to, "\n");
}

static void what_matches_is_passed_on(void **state)
{
    static const struct {
        const char *pattern, *target;
        bool matches;
    } cases[] = {
        {"/admin/*", "/admin/x?y", true},
        {"/admin/*", "/admin", false},
        {"/admin/*", "/a/admin/", false},
        {"/a", "/a", true},
        {"/a", "/a?b", false},
        {"/a", "/A", false},
        {"*/a", "/x/a", true},
        {"http://Example.com/*", "/a", true},
        {"https://example.com/*", "/a", false},
        {"*://example.com/a*", "/ab", true},
        {"/%c3%A4", "/%C3%a4", true},
        {"/\xc3\xa4", "/%c3%a4", true},
    };
    struct zq_cache *cache = *state;

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(cases); i++) {
        assert_int_equal(bypass(cache, cases[i].pattern), 0);
        if (cases[i].matches)
            rig_verdict(cache, PASS, BYPASS, .target = cases[i].target);
        else
            rig_verdict(cache, LEAD, URI_MISS, .target = cases[i].target);
        assert_int_equal(unbypass(cache, cases[i].pattern), 0);
        rig_verdict(cache, LEAD, URI_MISS, .target = cases[i].target);
    }
}

/* Neither replayed, nor replaced; and there again afterwards. */
static void what_is_stored_stays(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.target = "/a"), RIG_ANSWER(.fields = RIG_FRESH), "old");
    assert_int_equal(bypass(cache, "/a"), 0);
    assert_int_equal(rig_get(cache, &c, .target = "/a"), ZQ_CACHE_PASS);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH), 0);
    assert_false(rig_describe(&c, 0).stored);
    assert_int_equal(rig_append(&c, "new"), 0);
    rig_finish(&c);
    rig_expect(&c, "new");
    rig_leave(&c);
    rig_verdict(cache, PASS, BYPASS, .target = "/a", .method = "HEAD");
    rig_verdict(cache, PASS, METHOD, .target = "/a", .method = "POST");
    assert_int_equal(unbypass(cache, "/a"), 0);
    assert_int_equal(rig_get(cache, &c, .target = "/a"), ZQ_CACHE_HIT);
    rig_expect(&c, "old");
    rig_leave(&c);
}

static void rules_are_a_set_with_a_bound(void **state)
{
    struct zq_cache *cache = *state;
    char text[ZQ_BYPASS_TEXT_MAX + 2], all[4096] = "";
    struct zq_cache_stat stat;

    assert_int_equal(unbypass(cache, "/a"), ZQ_EINVAL);
    assert_int_equal(bypass(cache, "/a"), 0);
    assert_int_equal(bypass(cache, "HTTP://X.org/*"), 0);
    assert_int_equal(bypass(cache, "/b"), 0);
    assert_int_equal(bypass(cache, "/a"), 0);
    zq_cache_bypasses(cache, append, all);
    assert_string_equal(all, "/a\nhttp://x.org/*\n/b\n");
    assert_int_equal(unbypass(cache, "/a"), 0);
    assert_int_equal(unbypass(cache, "/a"), ZQ_EINVAL);
    for (int i = 0; i < ZQ_BYPASS_MAX - 2; i++) {
        snprintf(text, sizeof(text), "/%d", i);
        assert_int_equal(bypass(cache, text), 0);
    }
    assert_int_equal(bypass(cache, "/one-too-many"), ZQ_ELIMIT);
    assert_int_equal(bypass(cache, "/b"), 0);
    zq_cache_stat(cache, &stat);
    assert_int_equal(stat.bypass, ZQ_BYPASS_MAX);

    static const char *const wrong[] = {"",     "/a b",     "/a#b", "/\n", "a*",
                                        "a/b*", "http:/a*", "://a", "a:*", "http://"};
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(wrong); i++) {
        assert_non_null(zq_bypass_fault(zq_slice_str(wrong[i])));
        assert_int_equal(bypass(cache, wrong[i]), ZQ_EINVAL);
    }
    memset(text, '/', sizeof(text));
    assert_null(zq_bypass_fault(zq_slice(text, ZQ_BYPASS_TEXT_MAX)));
    assert_non_null(zq_bypass_fault(zq_slice(text, ZQ_BYPASS_TEXT_MAX + 1)));
    /* Each of these is kept as three bytes. */
    memset(text + 1, 0xff, sizeof(text) - 1);
    assert_null(zq_bypass_fault(zq_slice(text, 1 + ZQ_BYPASS_TEXT_MAX / 3)));
    assert_non_null(zq_bypass_fault(zq_slice(text, 2 + ZQ_BYPASS_TEXT_MAX / 3)));
}

/* ---- threads ---- */

static void *ask(void *cache)
{
    for (int i = 0; i < 20000; i++) {
        struct rig_client c = {0};
        int verdict = rig_get(cache, &c, .target = "/hot");
        ZQ_ASSERT(verdict == ZQ_CACHE_HIT ||
                  (verdict == ZQ_CACHE_PASS && c.forward == ZQ_FORWARD_BYPASS));
        if (c.writer.entry != NULL)
            zq_entry_fail(&c.writer, 502);
        rig_leave(&c);
    }
    return NULL;
}

static void rules_change_while_requests_come(void **state)
{
    struct zq_cache *cache = *state;
    pthread_t ids[2];

    rig_store(cache, RIG_ASK(.target = "/hot"), RIG_ANSWER(.fields = RIG_FRESH), "x");
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, ask, cache), 0);
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(bypass(cache, "/h*"), 0);
        assert_int_equal(bypass(cache, "/other"), 0);
        assert_int_equal(unbypass(cache, "/h*"), 0);
        assert_int_equal(unbypass(cache, "/other"), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(ids[i], NULL);
    rig_verdict(cache, HIT, NONE, .target = "/hot");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_matches_is_passed_on),
        RIG_TEST(what_is_stored_stays),
        RIG_TEST(rules_are_a_set_with_a_bound),
        RIG_TEST(rules_change_while_requests_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
