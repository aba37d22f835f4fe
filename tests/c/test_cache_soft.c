/* Soft purges: "soft (marks stale, so that stale-while-revalidate serves)". What they make stale is
 * so from then on, and what permits its use counts from there (RFC 5861 3, 4; RFC 9111 4.2.4). */
#include "test_cache_rig.h"

#define URL "http://example.com"
#define DAY "Cache-Control: max-age=86400, "
#define KEPT DAY "stale-while-revalidate=30"
#define NEVER -1

static void soften(struct zq_cache *cache, enum zq_purge_kind kind, const char *text,
                   int64_t now_ms)
{
    const struct zq_purge purge = {kind, true, zq_slice_str(text)};
    uint64_t number;

    assert_int_equal(zq_cache_purge(cache, &purge, now_ms, &number), 0);
}

static void sweep(struct zq_cache *cache)
{
    while (zq_cache_sweep(cache))
        ;
}

/* ---- for how long it is served ---- */

static const struct {
    enum zq_purge_kind kind;
    const char *text;
} ways[] = {{ZQ_PURGE_URL, URL "/"},   {ZQ_PURGE_URL, "/"}, {ZQ_PURGE_PREFIX, "/"},
            {ZQ_PURGE_GLOB, "*.com/"}, {ZQ_PURGE_TAG, "t"}, {ZQ_PURGE_ALL, ""}};

static const struct row {
    const char *section, *cc;
    int64_t purges_ms[2], last_ms; /* served up to there; NEVER: at no time */
} rows[] = {
    {"5861 3", KEPT, {10000, NEVER}, 40000},
    {"5861 3", KEPT, {10000, 10000}, 40000},
    {"5861 3", KEPT, {10000, 30000}, 40000},
    {"5861 3", "Cache-Control: max-age=20, stale-while-revalidate=30", {10000, NEVER}, 40000},
    /* Stale before. */
    {"5861 3", "Cache-Control: max-age=1, stale-while-revalidate=30", {10000, NEVER}, 31000},
    {"5861 3", "Cache-Control: max-age=10, stale-while-revalidate=30", {10000, NEVER}, 40000},
    {"5861 3", KEPT "\nAge: 86399", {10000, NEVER}, 31000},
    {"4.2.4", DAY "max-stale=30", {10000, NEVER}, NEVER},
    {"4.2.4", KEPT ", must-revalidate", {10000, NEVER}, NEVER},
    {"4.2.4", KEPT ", proxy-revalidate", {10000, NEVER}, NEVER},
    {"4.2.4", KEPT ", s-maxage=86400", {10000, NEVER}, NEVER},
};

static struct zq_cache *with(const char *fields)
{
    struct zq_cache *cache = zq_cache_new(RIG_SIZE);
    char lines[200];

    snprintf(lines, sizeof(lines), "%s\nCache-Tag: t", fields);
    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = lines), "hello");
    return cache;
}

/* Purged as often as the row says. Whether the sweep comes by or a look-up comes first is the same.
 */
static struct zq_cache *purged(const struct row *row, size_t way, bool swept)
{
    struct zq_cache *cache = with(row->cc);

    for (size_t i = 0; i < 2 && row->purges_ms[i] != NEVER; i++) {
        soften(cache, ways[way].kind, ways[way].text, row->purges_ms[i]);
        if (swept)
            sweep(cache);
    }
    return cache;
}

static void expect(struct zq_cache *cache, const struct row *row, int64_t now_ms, bool served)
{
    struct rig_client c = {0};

    if ((rig_get(cache, &c, .now_ms = now_ms) == ZQ_CACHE_HIT) != served)
        fail_msg("%s: %s at %lld", row->section, row->cc, (long long)now_ms);
    zq_entry_fail(&c.writer, 502); /* who is served stale has it refreshed */
    rig_leave(&c);
}

static void it_is_served_for_so_long_from_the_purge_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows) * ZQ_ARRAY_SIZE(ways) * 2; i++) {
        const struct row *row = &rows[i / 2 / ZQ_ARRAY_SIZE(ways)];
        struct zq_cache *cache = purged(row, i / 2 % ZQ_ARRAY_SIZE(ways), i % 2);
        int64_t last_ms = row->last_ms != NEVER ? row->last_ms : row->purges_ms[0] - 1;
        if (row->last_ms != NEVER)
            expect(cache, row, last_ms, true);
        expect(cache, row, last_ms + 1, false);
        zq_cache_free(cache);
    }
}

/* Of several that name it by something else each, the first counts, also without the sweep. */
static void the_first_of_several_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(ways) * ZQ_ARRAY_SIZE(ways); i++) {
        size_t first = i / ZQ_ARRAY_SIZE(ways), second = i % ZQ_ARRAY_SIZE(ways);
        struct zq_cache *cache = with(rows[0].cc);
        soften(cache, ways[first].kind, ways[first].text, 10000);
        soften(cache, ways[second].kind, ways[second].text, 30000);
        expect(cache, &rows[0], 40000, true);
        expect(cache, &rows[0], 40001, false);
        zq_cache_free(cache);
    }
}

/* What was stored behind a purge was not named by it; nor does one count that the sweep was done
 * with before. */
static void only_purges_behind_it_count(void **state)
{
    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(ways) * 2; i++) {
        struct zq_cache *cache = with(rows[0].cc);
        soften(cache, ways[i / 2].kind, ways[i / 2].text, 10000);
        if (i % 2)
            sweep(cache);
        rig_store(cache, RIG_ASK(.now_ms = 50000),
                  RIG_ANSWER(.fields = KEPT "\nCache-Tag: t", .now_ms = 50000), "hello");
        soften(cache, ways[i / 2].kind, ways[i / 2].text, 60000);
        soften(cache, ways[i / 2].kind, ways[i / 2].text, 60000);
        expect(cache, &rows[0], 90000, true);
        expect(cache, &rows[0], 90001, false);
        zq_cache_free(cache);
    }
}

/* RFC 5861 4, and --cache-grace */
static void it_serves_for_an_error_for_so_long_from_the_purge_on(void **state)
{
    static const struct {
        const char *cc;
        int64_t grace_ms, now_ms;
        bool served;
    } errors[] = {
        {DAY "stale-if-error=30", 0, 40000, true},
        {DAY "stale-if-error=30", 0, 40001, false},
        {DAY "x", 30000, 40000, true},
        {DAY "x", 30000, 40001, false},
        {DAY "stale-if-error=30, must-revalidate", 30000, 10000, false},
    };

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(errors) * 2; i++) {
        struct zq_cache *cache = with(errors[i / 2].cc);
        struct rig_client c = {0}, waiter = {0};
        int64_t now_ms = errors[i / 2].now_ms;
        zq_cache_set_rules(cache, &(struct zq_cache_rules){.grace_ms = errors[i / 2].grace_ms});
        soften(cache, ZQ_PURGE_TAG, "t", 10000);
        assert_int_equal(rig_get(cache, &c, .now_ms = now_ms), ZQ_CACHE_LEAD);
        assert_int_equal(rig_get(cache, &waiter, .now_ms = now_ms), ZQ_CACHE_JOIN);
        assert_int_equal(zq_entry_serve_stale(&c.writer, true, now_ms), errors[i / 2].served);
        if (errors[i / 2].served)
            assert_int_equal(rig_describe(&waiter, now_ms).remaining_s, -30);
        else
            zq_entry_fail(&c.writer, 502);
        rig_leave(&c);
        rig_leave(&waiter);
        zq_cache_free(cache);
    }
}

/* RFC 9211 2.2: what remains of its freshness is negative by how long it is stale. */
static void it_is_stale_since_the_purge(void **state)
{
    static const int64_t at_ms[] = {10000, 10001, 11000, 15000};
    static const int64_t left_s[] = {0, -1, -1, -5};
    struct zq_cache *cache = with(rows[0].cc);
    struct rig_client c = {0};

    (void)state;
    assert_int_equal(rig_get(cache, &c, .now_ms = 10000), ZQ_CACHE_HIT);
    assert_int_equal(rig_describe(&c, 10000).remaining_s, 86390);
    soften(cache, ZQ_PURGE_ALL, "", 10000);
    sweep(cache);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(at_ms); i++)
        assert_int_equal(rig_describe(&c, at_ms[i]).remaining_s, left_s[i]);
    rig_leave(&c);
    zq_cache_free(cache);
}

/* ---- what takes its place ---- */

static void what_a_304_freshens_is_purged_anew(void **state)
{
    struct zq_cache *cache = zq_cache_new(RIG_SIZE);
    struct rig_client c = {0};

    (void)state;
    rig_store(cache, RIG_ASK(.now_ms = 0),
              RIG_ANSWER(.fields = KEPT "\nETag: \"a\"\nCache-Tag: t",
                         .block = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n"),
              "hello");
    soften(cache, ZQ_PURGE_TAG, "t", 10000);
    assert_int_equal(rig_get(cache, &c, .now_ms = 20000), ZQ_CACHE_HIT);
    assert_int_equal(rig_head_block(&c, 304, KEPT, "HTTP/1.1 304 -\r\n" KEPT "\r\n", 20000), 0);
    rig_finish(&c);
    rig_leave(&c);
    assert_int_equal(rig_get(cache, &c, .now_ms = 50000), ZQ_CACHE_HIT);
    assert_int_equal(rig_describe(&c, 50000).remaining_s, 86370);
    rig_leave(&c);
    soften(cache, ZQ_PURGE_TAG, "t", 60000);
    expect(cache, &rows[0], 90000, true);
    expect(cache, &rows[0], 90001, false);
    zq_cache_free(cache);
}

/* The purge comes while another is fetched, and meets its tags when they arrive: that is not
 * stored, and what was there is stale since the purge. */
static void a_fetch_that_is_purged_meanwhile_changes_nothing(void **state)
{
    struct zq_cache *cache = with(rows[0].cc);
    struct rig_client c = {0};

    (void)state;
    zq_cache_set_rules(cache, &(struct zq_cache_rules){.directives = true});
    assert_int_equal(rig_get(cache, &c, .now_ms = 5000, .fields = "Cache-Control: no-cache"),
                     ZQ_CACHE_LEAD);
    soften(cache, ZQ_PURGE_TAG, "t", 10000);
    assert_int_equal(rig_head(&c, .fields = DAY "x\nCache-Tag: t", .now_ms = 20000), 0);
    rig_finish(&c);
    rig_leave(&c);
    expect(cache, &rows[0], 40000, true);
    expect(cache, &rows[0], 40001, false);
    zq_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_served_for_so_long_from_the_purge_on),
        cmocka_unit_test(the_first_of_several_counts),
        cmocka_unit_test(only_purges_behind_it_count),
        cmocka_unit_test(it_serves_for_an_error_for_so_long_from_the_purge_on),
        cmocka_unit_test(it_is_stale_since_the_purge),
        cmocka_unit_test(what_a_304_freshens_is_purged_anew),
        cmocka_unit_test(a_fetch_that_is_purged_meanwhile_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
