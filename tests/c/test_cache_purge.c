/* Purging: what each kind names, when it takes effect, and what becomes of fetches under way. */
#include "test_cache_rig.h"

#include "cache/alloc.h"
#include "cache/pattern.h"
#include "cache/store.h"

#define URL "http://example.com"
#define TAGGED(tags) RIG_FRESH "\nCache-Tag: " tags

static uint64_t purge(struct zq_cache *cache, enum zq_purge_kind kind, bool soft, const char *text)
{
    const struct zq_purge p = {kind, soft, zq_slice_str(text)};
    uint64_t number = 0;

    assert_int_equal(zq_cache_purge(cache, &p, 0, &number), 0);
    return number;
}
#define hard(cache, kind, text) purge((cache), ZQ_PURGE_##kind, false, (text))
#define soft(cache, kind, text) purge((cache), ZQ_PURGE_##kind, true, (text))

static unsigned sweep(struct zq_cache *cache)
{
    unsigned steps = 1;

    while (zq_cache_sweep(cache))
        steps++;
    return steps;
}

static uint64_t stat_purged(struct zq_cache *cache)
{
    struct zq_cache_stat stat;

    zq_cache_stat(cache, &stat);
    return stat.purged;
}

/* ---- what a purge names ---- */

static void each_kind_purges_what_it_names(void **state)
{
    static const struct {
        enum zq_purge_kind kind;
        const char *text;
        bool goes;
    } rows[] = {
        {ZQ_PURGE_URL, URL "/a/b?q=1", true},
        {ZQ_PURGE_URL, "HTTP://Example.COM:80/a/b?q=1", true},
        {ZQ_PURGE_URL, URL "/a/b", false},
        {ZQ_PURGE_URL, "https://example.com/a/b?q=1", false},
        {ZQ_PURGE_URL, "http://example.org/a/b?q=1", false},
        {ZQ_PURGE_URL, "/a/b?q=1", true},
        {ZQ_PURGE_URL, "/a/b", false},
        {ZQ_PURGE_PREFIX, URL "/a/", true},
        {ZQ_PURGE_PREFIX, URL, true},
        {ZQ_PURGE_PREFIX, "http://example.co", false},
        {ZQ_PURGE_PREFIX, URL "/a/c", false},
        {ZQ_PURGE_PREFIX, "/a", true},
        {ZQ_PURGE_PREFIX, "/", true},
        {ZQ_PURGE_PREFIX, "/b", false},
        {ZQ_PURGE_PREFIX, "/a/b?q=1&more", false},
        {ZQ_PURGE_GLOB, "*", true},
        {ZQ_PURGE_GLOB, "/*/b?q=*", true},
        {ZQ_PURGE_GLOB, "/*b", false},
        {ZQ_PURGE_GLOB, "/a/b?q=1", true},
        {ZQ_PURGE_GLOB, "/a/b?q=1***", true},
        {ZQ_PURGE_GLOB, "http*://*.COM/*", true},
        {ZQ_PURGE_GLOB, "*://example.com/a/*=1", true},
        {ZQ_PURGE_GLOB, "*://example.com/a/*=2", false},
        {ZQ_PURGE_GLOB, "*example.org*", false},
        {ZQ_PURGE_TAG, "one", true},
        {ZQ_PURGE_TAG, "two", true},
        {ZQ_PURGE_TAG, "three:3", true},
        {ZQ_PURGE_TAG, "four", true},
        {ZQ_PURGE_TAG, "One", false},
        {ZQ_PURGE_TAG, "on", false},
        {ZQ_PURGE_TAG, "five", false},
        {ZQ_PURGE_ALL, "", true},
    };

    (void)state;
    for (size_t i = 0; i < 2 * ZQ_ARRAY_SIZE(rows); i++) {
        size_t row = i / 2;
        bool is_soft = i % 2;
        struct zq_cache *cache = zq_cache_new(RIG_SIZE);
        rig_store(cache, RIG_ASK(.target = "/a/b?q=1"),
                  RIG_ANSWER(.fields = TAGGED(" one ,, two,three:3,one\nSurrogate-Key: four  one")),
                  "x");
        uint64_t used = zq_cache_used(cache);
        assert_int_equal(purge(cache, rows[row].kind, is_soft, rows[row].text), 1);
        if (!rows[row].goes) {
            rig_verdict(cache, HIT, NONE, .target = "/a/b?q=1");
        } else if (is_soft) {
            rig_verdict(cache, LEAD, STALE, .target = "/a/b?q=1");
        } else {
            rig_verdict(cache, LEAD, URI_MISS, .target = "/a/b?q=1");
        }
        sweep(cache);
        assert_int_equal(zq_cache_used(cache), rows[row].goes && !is_soft ? 0 : used);
        assert_int_equal(stat_purged(cache), rows[row].goes && !is_soft);
        zq_cache_free(cache);
    }
}

static void faults_are_named(void **state)
{
    static const struct {
        enum zq_purge_kind kind;
        const char *text;
    } rows[] = {
        {ZQ_PURGE_URL, ""},          {ZQ_PURGE_URL, "a"},           {ZQ_PURGE_URL, "http://"},
        {ZQ_PURGE_URL, "http:///x"}, {ZQ_PURGE_URL, "http://u@h/"}, {ZQ_PURGE_URL, "/a b"},
        {ZQ_PURGE_URL, "/a\n"},      {ZQ_PURGE_URL, "/a#b"},        {ZQ_PURGE_PREFIX, "a*"},
        {ZQ_PURGE_TAG, ""},          {ZQ_PURGE_TAG, "a,b"},         {ZQ_PURGE_TAG, "a b"},
        {ZQ_PURGE_GLOB, ""},         {ZQ_PURGE_ALL, "x"},
    };
    static char longest[ZQ_PURGE_TEXT_MAX + 1];
    struct zq_purge p = {.kind = ZQ_PURGE_COUNT};
    uint64_t number = 7;

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        p = (struct zq_purge){rows[i].kind, false, zq_slice_str(rows[i].text)};
        assert_non_null(zq_purge_fault(&p));
        assert_int_equal(zq_cache_purge(*state, &p, 0, &number), ZQ_EINVAL);
    }
    memset(longest, '/', sizeof(longest));
    p = (struct zq_purge){ZQ_PURGE_URL, false, zq_slice(longest, sizeof(longest))};
    assert_non_null(zq_purge_fault(&p));
    p.text.n--;
    assert_null(zq_purge_fault(&p));
    assert_int_equal(number, 7);
}

/* What a person types is what browsers send. */
static void escapes_have_no_case_and_letters_have_escapes(void **state)
{
    struct zq_cache *cache = *state;

    rig_store(cache, RIG_ASK(.target = "/caf%C3%A9"), RIG_ANSWER(.fields = RIG_FRESH), "x");
    hard(cache, URL, URL "/caf\xc3\xa9");
    rig_verdict(cache, LEAD, URI_MISS, .target = "/caf%C3%A9");
    rig_store(cache, RIG_ASK(.target = "/caf%C3%A9"), RIG_ANSWER(.fields = RIG_FRESH), "x");
    hard(cache, GLOB, "/caf%c3*");
    rig_verdict(cache, LEAD, URI_MISS, .target = "/caf%C3%A9");
}

static void a_purge_goes_for_all_variants(void **state)
{
    struct zq_cache *cache = *state;

    for (int is_soft = 0; is_soft < 2; is_soft++)
        for (int i = 0; i < 2; i++) {
            rig_store(cache, RIG_ASK(.fields = "a: 1"), RIG_ANSWER(.fields = RIG_FRESH "\nVary: a"),
                      "1");
            rig_store(cache, RIG_ASK(.fields = "a: 2"), RIG_ANSWER(.fields = RIG_FRESH "\nVary: a"),
                      "2");
            purge(cache, ZQ_PURGE_URL, is_soft, i ? "/" : URL "/");
            rig_expect_verdict_(cache, RIG_ASK(.fields = "a: 1"), ZQ_CACHE_LEAD,
                                is_soft ? ZQ_FORWARD_STALE : ZQ_FORWARD_URI_MISS);
            rig_expect_verdict_(cache, RIG_ASK(.fields = "a: 2"), ZQ_CACHE_LEAD,
                                is_soft ? ZQ_FORWARD_STALE : ZQ_FORWARD_URI_MISS);
        }
}

static void only_what_carries_the_tag_goes(void **state)
{
    struct zq_cache *cache = *state;

    rig_store(cache, RIG_ASK(.target = "/1"), RIG_ANSWER(.fields = TAGGED("a,b")), "x");
    rig_store(cache, RIG_ASK(.target = "/2"), RIG_ANSWER(.fields = TAGGED("b,c")), "x");
    rig_store(cache, RIG_ASK(.target = "/3"), RIG_ANSWER(.fields = RIG_FRESH), "x");
    hard(cache, TAG, "a");
    rig_verdict(cache, HIT, NONE, .target = "/2");
    rig_verdict(cache, HIT, NONE, .target = "/3");
    rig_verdict(cache, LEAD, URI_MISS, .target = "/1");
    sweep(cache);
    assert_int_equal(stat_purged(cache), 1);
    hard(cache, TAG, "c");
    sweep(cache);
    assert_int_equal(stat_purged(cache), 2);
}

/* ---- numbers ---- */

static void purges_are_numbered(void **state)
{
    struct zq_cache *cache = *state;

    assert_int_equal(hard(cache, URL, URL "/"), 1);
    assert_int_equal(hard(cache, TAG, "a"), 2);
    assert_int_equal(soft(cache, PREFIX, "/"), 3);
    assert_int_equal(hard(cache, ALL, ""), 4);
    rig_invalidate(cache, "/");
    assert_int_equal(hard(cache, GLOB, "*"), 5);
}

static void what_comes_after_a_purge_is_not_touched(void **state)
{
    struct zq_cache *cache = *state;

    for (int i = 0; i < 2; i++) {
        hard(cache, TAG, "a");
        hard(cache, PREFIX, "/");
        soft(cache, GLOB, "*");
        hard(cache, URL, "/");
        hard(cache, ALL, "");
        rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = TAGGED("a")), "x");
        rig_verdict(cache, HIT, NONE, .now_ms = 0);
        sweep(cache);
        rig_verdict(cache, HIT, NONE, .now_ms = 0);
    }
}

static void a_softly_purged_response_is_replaced(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = TAGGED("a")), "old");
    soft(cache, TAG, "a");
    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = TAGGED("a")), "new");
    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_HIT);
    rig_expect(&c, "new");
    rig_leave(&c);
    hard(cache, TAG, "a");
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 0);
}

/* ---- fetches under way ---- */

static const struct {
    enum zq_purge_kind kind;
    bool soft;
    const char *text;
} ways[] = {
    {ZQ_PURGE_URL, false, URL "/"}, {ZQ_PURGE_URL, true, URL "/"}, {ZQ_PURGE_URL, false, "/"},
    {ZQ_PURGE_PREFIX, false, "/"},  {ZQ_PURGE_GLOB, true, "*"},    {ZQ_PURGE_TAG, false, "a"},
    {ZQ_PURGE_TAG, true, "a"},      {ZQ_PURGE_ALL, false, ""},     {ZQ_PURGE_ALL, true, ""},
};

/* The purge comes at every point of a fetch. Whoever waits gets the old response; who comes later
 * starts a fetch of his own, and what is stored in the end is the new response, whichever of the
 * two is complete first. */
enum { BEFORE_HEAD, BEHIND_HEAD, IN_CONTENT, POINTS };

static void purge_at(struct zq_cache *cache, size_t way, bool old_first, int point)
{
    struct rig_client old = {0}, waiter = {0}, new = {0}, late = {0};

    assert_int_equal(rig_get(cache, &old, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    for (int at = BEFORE_HEAD; at < POINTS; at++) {
        if (at == BEHIND_HEAD)
            assert_int_equal(rig_head(&old, .fields = TAGGED("a"), .now_ms = 5), 0);
        if (at == IN_CONTENT)
            assert_int_equal(rig_append(&old, "ol"), 0);
        if (at != point)
            continue;
        purge(cache, ways[way].kind, ways[way].soft, ways[way].text);
        assert_int_equal(rig_get(cache, &new, .now_ms = 0), ZQ_CACHE_LEAD);
        assert_int_equal(rig_get(cache, &late, .now_ms = 0), ZQ_CACHE_JOIN);
    }
    for (int i = 0; i < 2; i++)
        if ((i == 0) == old_first) {
            assert_int_equal(rig_append(&old, "d"), 0);
            rig_finish(&old);
        } else {
            assert_int_equal(rig_head(&new, .fields = TAGGED("a"), .now_ms = 1), 0);
            assert_int_equal(rig_append(&new, "new"), 0);
            rig_finish(&new);
        }
    rig_expect(&old, "old");
    rig_expect(&waiter, "old");
    rig_expect(&new, "new");
    rig_expect(&late, "new");
    rig_leave(&old);
    rig_leave(&waiter);
    rig_leave(&new);
    rig_leave(&late);
    assert_int_equal(rig_get(cache, &late, .now_ms = 6), ZQ_CACHE_HIT);
    rig_expect(&late, "new");
    rig_leave(&late);
}

static void fetches_under_way_are_detached(void **state)
{
    (void)state;
    for (size_t way = 0; way < ZQ_ARRAY_SIZE(ways); way++)
        for (int point = BEFORE_HEAD; point < POINTS; point++)
            for (int swept = 0; swept < 2; swept++)
                for (int old_first = 0; old_first < 2; old_first++) {
                    struct zq_cache *cache = zq_cache_new(RIG_SIZE);
                    if (swept)
                        hard(cache, PREFIX, "/other");
                    purge_at(cache, way, old_first, point);
                    if (swept)
                        sweep(cache);
                    rig_verdict(cache, HIT, NONE, .now_ms = 6);
                    zq_cache_free(cache);
                }
}

/* The sweep passes while the fetch has no tags yet. */
static void a_tag_s_purge_is_remembered_until_older_fetches_have_their_tags(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0}, other = {0};
    struct zq_cache_stat stat;

    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &other, .target = "/other"), ZQ_CACHE_LEAD);
    hard(cache, TAG, "a");
    sweep(cache);
    zq_cache_stat(cache, &stat);
    assert_int_equal(stat.tags, 1);
    assert_int_equal(stat.sweeping, 0);
    assert_int_equal(rig_head(&other, .fields = TAGGED("b")), 0);
    assert_true(rig_describe(&other, 0).stored);
    assert_int_equal(rig_head(&c, .fields = TAGGED("b, a")), 0);
    assert_false(rig_describe(&c, 0).stored);
    rig_finish(&other);
    rig_finish(&c);
    rig_leave(&other);
    rig_leave(&c);
    zq_cache_stat(cache, &stat);
    assert_int_equal(stat.tags, 1); /* b: nobody can bring a from before the purge */
    rig_verdict(cache, HIT, NONE, .target = "/other");
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 0);
}

static void a_fetch_that_fails_is_not_waited_for(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};
    struct zq_cache_stat stat;

    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    hard(cache, TAG, "a");
    zq_entry_fail(&c.writer, 502);
    rig_leave(&c);
    zq_cache_stat(cache, &stat);
    assert_int_equal(stat.tags, 0);
    assert_int_equal(zq_cache_used(cache), 0);
}

/* More purged tags than are kept: then the fetches that they were kept for are not stored. */
static void too_many_tags_to_remember(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};
    char tag[200];

    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    for (int i = 0; i < 200; i++) {
        snprintf(tag, sizeof(tag), "%0150d", i);
        hard(cache, TAG, tag);
        assert_true(zq_cache_used(cache) < RIG_SIZE / 32);
    }
    assert_int_equal(rig_head(&c, .fields = TAGGED("unrelated")), 0);
    assert_false(rig_describe(&c, 0).stored);
    rig_finish(&c);
    rig_leave(&c);
    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = TAGGED("unrelated")), "x");
    rig_verdict(cache, HIT, NONE, .now_ms = 0);
}

/* A purge by a tag may concern any fetch without a head: nobody joins it any more, but one more. */
static void who_comes_after_a_tag_s_purge_does_not_wait_for_an_older_fetch(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client old = {0}, new = {0}, late = {0};

    assert_int_equal(rig_get(cache, &old, .now_ms = 0), ZQ_CACHE_LEAD);
    hard(cache, TAG, "a");
    assert_int_equal(rig_get(cache, &new, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &late, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(rig_head(&old, .fields = TAGGED("b")), 0);
    assert_int_equal(rig_append(&old, "b"), 0);
    rig_finish(&old);
    rig_expect(&old, "b");
    rig_verdict(cache, HIT, NONE, .now_ms = 0); /* it was not concerned */
    zq_entry_fail(&new.writer, 502);
    rig_leave(&old);
    rig_leave(&new);
    rig_leave(&late);
}

/* ---- tags ---- */

static void responses_with_too_many_tags_are_not_stored(void **state)
{
    struct zq_cache *cache = *state;
    char *fields = malloc(4 * ZQ_TAGS_MAX + ZQ_TAG_MAX + 100);
    struct rig_client c = {0};

    for (int kind = 0; kind < 2; kind++) {
        char *p = fields + sprintf(fields, RIG_FRESH "\nSurrogate-Key:");
        for (int i = 0; kind == 0 && i <= ZQ_TAGS_MAX; i++)
            p += sprintf(p, " a");
        if (kind == 1)
            sprintf(p, "%0*d", ZQ_TAG_MAX + 1, 0);
        assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_LEAD);
        assert_int_equal(rig_head(&c, .fields = fields), 0);
        assert_false(rig_describe(&c, 0).stored);
        rig_finish(&c);
        rig_leave(&c);
    }
    assert_int_equal(zq_cache_used(cache), 0);
    free(fields);
}

static void tags_go_with_the_last_response_that_carries_them(void **state)
{
    struct zq_cache *cache = *state;
    struct zq_cache_stat stat;

    rig_store(cache, RIG_ASK(.target = "/1"), RIG_ANSWER(.fields = TAGGED("a,b")), "x");
    rig_store(cache, RIG_ASK(.target = "/2"), RIG_ANSWER(.fields = TAGGED("b")), "x");
    zq_cache_stat(cache, &stat);
    assert_int_equal(stat.tags, 2);
    hard(cache, URL, URL "/1");
    zq_cache_stat(cache, &stat);
    assert_int_equal(stat.tags, 1);
    hard(cache, URL, URL "/2");
    zq_cache_stat(cache, &stat);
    assert_int_equal(stat.tags, 0);
    assert_int_equal(zq_cache_used(cache), 0);
}

/* ---- bounds ---- */

#define MANY 2000

static void the_sweep_goes_in_steps(void **state)
{
    struct zq_cache *cache = zq_cache_new(64 << 20);
    char target[32];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        snprintf(target, sizeof(target), "/%d", i);
        rig_store(cache, RIG_ASK(.target = target), RIG_ANSWER(.fields = TAGGED("all")), "x");
    }
    hard(cache, TAG, "all");
    rig_verdict(cache, LEAD, URI_MISS, .target = "/5");
    assert_true(zq_cache_sweep(cache));
    assert_true(stat_purged(cache) < MANY / 4);
    assert_true(sweep(cache) > 4);
    assert_int_equal(stat_purged(cache), MANY);
    assert_int_equal(zq_cache_used(cache), 0);
    assert_false(zq_cache_sweep(cache));
    zq_cache_free(cache);
}

/* A purge that comes while the sweep is under way is swept as well. */
static void the_sweep_starts_again(void **state)
{
    struct zq_cache *cache = *state;

    rig_store(cache, RIG_ASK(.target = "/1"), RIG_ANSWER(.fields = RIG_FRESH), "x");
    hard(cache, PREFIX, "/none");
    for (int i = 0; i < ZQ_STORE_SHARDS - 1; i++)
        assert_true(zq_cache_sweep(cache));
    hard(cache, PREFIX, "/1");
    sweep(cache);
    assert_int_equal(stat_purged(cache), 1);
    assert_int_equal(((struct zq_cache *)*state)->purges.n_patterns, 0);
}

static void patterns_are_bounded(void **state)
{
    struct zq_cache *cache = *state;
    const struct zq_purge one_more = {.kind = ZQ_PURGE_PREFIX, .text = ZQ_SLICE("/x")};
    uint64_t number = 0;

    for (int i = 0; i < ZQ_PATTERNS_MAX; i++)
        hard(cache, PREFIX, "/a");
    assert_int_equal(zq_cache_purge(cache, &one_more, 0, &number), ZQ_ELIMIT);
    assert_int_equal(number, 0);
    hard(cache, TAG, "a");
    sweep(cache);
    assert_int_equal(zq_cache_purge(cache, &one_more, 0, &number), 0);
}

static void without_memory_it_purges_more(void **state)
{
#ifdef ZQ_DEBUG
    struct zq_cache *cache = *state;

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(ways); i++) {
        bool must_allocate = ways[i].kind != ZQ_PURGE_ALL;
        rig_store(cache, RIG_ASK(.target = "/other"), RIG_ANSWER(.fields = RIG_FRESH), "x");
        zq_cache_alloc_fails_at = must_allocate;
        purge(cache, ways[i].kind, false, ways[i].text);
        assert_int_equal(zq_cache_alloc_fails_at, 0);
        rig_verdict(cache, LEAD, URI_MISS, .target = "/other");
    }
    sweep(cache);
    assert_int_equal(zq_cache_used(cache), 0);
    for (unsigned at = 1;; at++) { /* a head whose tags cannot be had */
        struct rig_client c = {0};
        assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_LEAD);
        zq_cache_alloc_fails_at = at;
        int error = rig_head(&c, .fields = TAGGED("a,b"));
        bool failed = zq_cache_alloc_fails_at == 0;
        zq_cache_alloc_fails_at = 0;
        if (error < 0)
            zq_entry_fail(&c.writer, 503);
        else
            zq_entry_finish(&c.writer, false);
        rig_leave(&c);
        assert_int_equal(zq_cache_used(cache), 0);
        if (!failed)
            break;
    }
#else
    (void)state;
#endif
}

/* ---- looking into it ---- */

static void note_item(const struct zq_cache_item *item, void *argument)
{
    char *text = argument;

    sprintf(text + strlen(text), "%.*s://%.*s%.*s %u %d %d%s", (int)item->scheme.n, item->scheme.p,
            (int)item->host.n, item->host.p, (int)item->target.n, item->target.p, item->status,
            (int)item->bytes, (int)item->age_s, item->purged_softly ? " soft" : "");
    for (size_t i = 0; i < zq_tags_count(item->tags); i++) {
        struct zq_slice tag = zq_tags_at(item->tags, i);
        sprintf(text + strlen(text), " %.*s", (int)tag.n, tag.p);
    }
    strcat(text, "\n");
}

static void what_is_stored_can_be_listed(void **state)
{
    struct zq_cache *cache = *state;
    struct zq_cache_key_state key;
    char text[1000] = "";
    uint64_t cursor = 0;

    rig_store(cache, RIG_ASK(.target = "/1"), RIG_ANSWER(.fields = TAGGED("a,b")), "abc");
    while (zq_cache_list(cache, &cursor, 7000, note_item, text))
        ;
    assert_string_equal(text, URL "/1 200 3 7 a b\n");
    assert_false(zq_cache_list(cache, &cursor, 7000, note_item, text));
    text[0] = '\0';
    soft(cache, TAG, "a");
    assert_int_equal(zq_cache_show(cache, ZQ_SLICE(URL "/1"), 0, note_item, text, &key), 0);
    assert_string_equal(text, URL "/1 200 3 0 soft a b\n");
    assert_int_equal(key.class, ZQ_CACHE_PROMOTED);
    hard(cache, TAG, "b");
    text[0] = '\0';
    assert_int_equal(zq_cache_show(cache, ZQ_SLICE(URL "/1"), 0, note_item, text, &key), 0);
    assert_int_equal(zq_cache_show(cache, ZQ_SLICE("/1"), 0, note_item, text, &key), ZQ_EINVAL);
    assert_int_equal(key.class, ZQ_CACHE_APP);
    for (cursor = 0; zq_cache_list(cache, &cursor, 0, note_item, text);)
        ;
    assert_string_equal(text, "");
}

static void it_can_be_switched_off(void **state)
{
    struct zq_cache *cache = *state;
    struct zq_cache_stat stat;

    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = RIG_FRESH), "x");
    zq_cache_switch(cache, false);
    rig_verdict(cache, PASS, BYPASS, .now_ms = 0);
    zq_cache_stat(cache, &stat);
    assert_false(stat.on);
    zq_cache_switch(cache, true);
    rig_verdict(cache, HIT, NONE, .now_ms = 0);
    zq_cache_stat(cache, &stat);
    assert_true(stat.on);
    assert_int_equal(stat.responses, 1);
    assert_int_equal(stat.hits, 1);
    assert_int_equal(stat.misses, 1);
    assert_int_equal(stat.stored, 1);
    assert_int_equal(stat.size, RIG_SIZE);
    assert_int_equal(stat.used, zq_cache_used(cache));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_purges_what_it_names),
        RIG_TEST(faults_are_named),
        RIG_TEST(escapes_have_no_case_and_letters_have_escapes),
        RIG_TEST(a_purge_goes_for_all_variants),
        RIG_TEST(only_what_carries_the_tag_goes),
        RIG_TEST(purges_are_numbered),
        RIG_TEST(what_comes_after_a_purge_is_not_touched),
        RIG_TEST(a_softly_purged_response_is_replaced),
        cmocka_unit_test(fetches_under_way_are_detached),
        RIG_TEST(a_tag_s_purge_is_remembered_until_older_fetches_have_their_tags),
        RIG_TEST(a_fetch_that_fails_is_not_waited_for),
        RIG_TEST(too_many_tags_to_remember),
        RIG_TEST(who_comes_after_a_tag_s_purge_does_not_wait_for_an_older_fetch),
        RIG_TEST(responses_with_too_many_tags_are_not_stored),
        RIG_TEST(tags_go_with_the_last_response_that_carries_them),
        cmocka_unit_test(the_sweep_goes_in_steps),
        RIG_TEST(the_sweep_starts_again),
        RIG_TEST(patterns_are_bounded),
        RIG_TEST(without_memory_it_purges_more),
        RIG_TEST(what_is_stored_can_be_listed),
        RIG_TEST(it_can_be_switched_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
