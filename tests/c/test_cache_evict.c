/* Memory: never over the size, exact, and given back; what is evicted, and what is not. */
#include "test_cache_rig.h"

#include "cache/alloc.h"
#include "cache/entry.h"
#include "cache/store.h"

#define FRESH "Cache-Control: max-age=3600"

/* ---- what the store holds, counted by hand ---- */

static uint64_t size_of(const struct zq_cache *cache, const void *p)
{
    return zq_cache_size((struct zq_heap *)&cache->heap, (void *)p);
}

static uint64_t entry_bytes(const struct zq_cache *cache, const struct zq_entry *entry)
{
    uint64_t bytes = size_of(cache, entry) + size_of(cache, entry->block.p);

    for (const struct zq_segment *s = entry->first; s != NULL; s = s->next)
        bytes += size_of(cache, s);
    return bytes;
}

static uint64_t slot_bytes(const struct zq_cache *cache, const struct zq_slot *slot)
{
    uint64_t bytes = size_of(cache, slot);

    assert_true(zq_list_empty(&slot->fills));
    for (const struct zq_node *n = slot->variants.next; n != &slot->variants; n = n->next)
        bytes += entry_bytes(cache, ZQ_CONTAINER(n, struct zq_entry, link));
    return bytes;
}

/* When no fetch is under way and nothing dropped is held, this is all there is. */
static void expect_count(const struct zq_cache *cache)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < ZQ_STORE_SHARDS; i++)
        for (size_t j = 0; j < cache->shards[i].n_buckets; j++)
            for (struct zq_slot *s = cache->shards[i].buckets[j]; s != NULL; s = s->next)
                bytes += slot_bytes(cache, s);
    assert_int_equal(zq_heap_live(&cache->heap), bytes);
    assert_true(zq_cache_used(cache) >= bytes && zq_cache_used(cache) <= cache->size);
}

/* ---- storing what has content that tells it apart ---- */

static char content_byte(unsigned key, unsigned version, size_t at)
{
    return (char)(key * 31 + version * 7 + at % 251);
}

static void append_content(struct rig_client *c, unsigned key, unsigned version, size_t from,
                           size_t n)
{
    char *bytes = malloc(n + 1);

    for (size_t i = 0; i < n; i++)
        bytes[i] = content_byte(key, version, from + i);
    assert_int_equal(zq_entry_append(&c->writer, zq_slice(bytes, n)), 0);
    free(bytes);
}

static void expect_content(struct rig_client *c, unsigned key, unsigned version, size_t n)
{
    char bytes[4096];
    size_t at = 0, got;

    while ((got = rig_take(c, bytes, sizeof(bytes))) > 0)
        for (size_t i = 0; i < got; i++, at++)
            if (bytes[i] != content_byte(key, version, at))
                fail_msg("key %u, version %u differs at %zu", key, version, at);
    assert_int_equal(at, n);
}

static const char *target_of(unsigned key)
{
    static char target[32];

    snprintf(target, sizeof(target), "/%u", key);
    return target;
}

static void store(struct zq_cache *cache, unsigned key, unsigned version, size_t n)
{
    struct rig_client c = {0};

    assert_int_equal(rig_get(cache, &c, .target = target_of(key)), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .fields = FRESH, .length = n ? (int64_t)n : -1), 0);
    append_content(&c, key, version, 0, n);
    rig_finish(&c);
    rig_leave(&c);
}

static bool is_stored(struct zq_cache *cache, unsigned key)
{
    struct rig_client c = {0};
    int verdict = rig_get(cache, &c, .target = target_of(key));

    if (c.writer.entry != NULL)
        zq_entry_fail(&c.writer, 502);
    rig_leave(&c);
    return verdict == ZQ_CACHE_HIT;
}

/* ---- tests ---- */

static void every_class_is_counted(void **state)
{
    struct zq_cache *cache = zq_cache_new(4 << 20);
    struct rig_client c = {0};

    store(cache, 1, 0, 1000);
    expect_count(cache);
    store(cache, 2, 0, 0);
    expect_count(cache);
    /* In pieces, of unknown length, with a Vary. */
    assert_int_equal(rig_get(cache, &c, .target = "/v", .fields = "a: 1"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .fields = FRESH "\nVary: a, b"), 0);
    for (size_t at = 0; at < 200000; at += 500)
        append_content(&c, 3, 0, at, 500);
    rig_finish(&c);
    rig_leave(&c);
    expect_count(cache);
    rig_invalidate(cache, "/v");
    rig_invalidate(cache, "/1");
    rig_invalidate(cache, "/2");
    assert_int_equal(zq_cache_used(cache), 0);
    zq_cache_free(cache);
}

/* The goal of the design: at most 400 bytes beyond key, head and content. */
static void a_small_response_costs_little_more(void **state)
{
#ifndef ZQ_DEBUG
    struct zq_cache *cache = zq_cache_new(2 << 20);
    uint64_t own = strlen("http|example.com|/100") + strlen(RIG_BLOCK) + 10;

    for (unsigned key = 100; key < 1100; key++)
        store(cache, key, 0, 10);
    uint64_t more = zq_cache_used(cache) / 1000 - own;
    print_message("%llu bytes beyond its own\n", (unsigned long long)more);
    assert_true(more <= 400);
    zq_cache_free(cache);
#endif
}

/* SIEVE: what was hit since the hand came by stays. */
static void what_is_asked_for_stays(void **state)
{
    struct zq_cache *cache = zq_cache_new(256 << 10);
    unsigned kept = 0;

    for (unsigned hot = 0; hot < 20; hot++)
        store(cache, hot, 0, 1000);
    for (unsigned cold = 100; cold < 3000; cold++) {
        for (unsigned hot = 0; hot < 20; hot++)
            is_stored(cache, hot);
        store(cache, cold, 0, 1000);
        assert_true(zq_cache_used(cache) <= 256 << 10);
    }
    for (unsigned hot = 0; hot < 20; hot++)
        kept += is_stored(cache, hot);
    assert_int_equal(kept, 20);
    expect_count(cache);
    zq_cache_free(cache);
}

/* More than a walk's bound, all of them hit: something gives way all the same. */
static void where_all_are_asked_for_one_goes(void **state)
{
    struct zq_cache *cache = zq_cache_new(16 << 20);
    unsigned n = 0, kept = 0;

    while (zq_cache_used(cache) < (15 << 20))
        store(cache, n++, 0, 200);
    assert_true(n > 512 * ZQ_STORE_SHARDS);
    for (unsigned key = 0; key < n; key++)
        assert_true(is_stored(cache, key));
    for (unsigned more = 0; more < 3000; more++)
        store(cache, n + more, 0, 1000);
    for (unsigned key = 0; key < n; key++)
        kept += is_stored(cache, key);
    assert_true(kept > n / 2 && kept < n);
    zq_cache_free(cache);
}

/* What readers hold is counted until they leave, and is not worth evicting; when it fills the
 * cache, new responses pass. */
static void what_is_held_counts(void **state)
{
    enum { HELD = 5 };
    struct zq_cache *cache = zq_cache_new(64 << 10);
    struct rig_client held[HELD] = {0}, c = {0};

    for (unsigned i = 0; i < HELD; i++) {
        store(cache, i, 0, 8000);
        assert_int_equal(rig_get(cache, &held[i], .target = target_of(i)), ZQ_CACHE_HIT);
    }
    for (unsigned i = 0; i < HELD; i += 2)
        rig_invalidate(cache, target_of(i));
    uint64_t used = zq_cache_used(cache);
    assert_true(used > HELD * 8000);

    assert_int_equal(rig_get(cache, &c, .target = "/large"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .fields = FRESH, .length = 8000), 0);
    assert_true(rig_describe(&c, 0).stored);
    append_content(&c, 99, 0, 0, 8000);
    assert_false(rig_describe(&c, 0).stored);
    rig_finish(&c);
    expect_content(&c, 99, 0, 8000);
    rig_leave(&c);
    assert_true(zq_cache_used(cache) <= used);
    for (unsigned i = 0; i < HELD; i++)
        assert_int_equal(is_stored(cache, i), i % 2);

    for (unsigned i = 0; i < HELD; i++) {
        expect_content(&held[i], i, 0, 8000);
        rig_leave(&held[i]);
    }
    expect_count(cache);
    store(cache, 99, 0, 8000);
    assert_true(is_stored(cache, 99));
    zq_cache_free(cache);
}

/* A window's segments then, and not the whole length in one. */
static void what_finds_no_room_gets_a_window(void **state)
{
    struct zq_cache *cache = zq_cache_new(1 << 20);
    struct rig_client held[9] = {0}, c = {0};

    for (unsigned i = 0; i < 9; i++) {
        store(cache, i, 0, 105000);
        assert_int_equal(rig_get(cache, &held[i], .target = target_of(i)), ZQ_CACHE_HIT);
    }
    assert_int_equal(rig_get(cache, &c, .target = "/large"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .fields = FRESH, .length = 130000), 0);
    append_content(&c, 99, 0, 0, 60000);
    assert_false(rig_describe(&c, 0).stored);
    assert_int_equal(c.writer.entry->tail->size, ZQ_SEGMENT_MAX);
    assert_false(zq_heap_has(&cache->heap, c.writer.entry->tail));
    zq_entry_finish(&c.writer, false);
    rig_leave(&c);
    for (unsigned i = 0; i < 9; i++)
        rig_leave(&held[i]);
    zq_cache_free(cache);
}

/* Not even room for a fetch to be known of, or for a head. */
static void a_full_cache_passes(void **state)
{
    struct zq_cache *cache = zq_cache_new(200);
    struct rig_client c = {0};
    char fields[1024] = FRESH "\nx: ";

    assert_int_equal(rig_get(cache, &c, .fields = "x: "), ZQ_CACHE_PASS);
    assert_int_equal(c.forward, ZQ_FORWARD_URI_MISS);
    zq_entry_fail(&c.writer, 502);
    rig_leave(&c);
    zq_cache_free(cache);

    cache = zq_cache_new(16 << 10); /* two pages, besides the tables */
    assert_int_equal(rig_get(cache, &c, .fields = "a: 1"), ZQ_CACHE_LEAD);
    memset(fields + strlen(fields), 'x', 100);
    struct rig_fields response;
    static char block[2000];
    memset(block, 'x', sizeof(block));
    struct zq_cache_response head = {
        .status = 200,
        .fields = rig_fields(&response, fields),
        .block = zq_slice(block, sizeof(block)),
        .content_length = -1,
        .storable = true,
    };
    assert_int_equal(zq_entry_head(&c.writer, &head, 0, 0), 0);
    assert_false(rig_describe(&c, 0).stored);
    rig_finish(&c);
    rig_leave(&c);
    assert_int_equal(zq_cache_used(cache), 0);
    zq_cache_free(cache);
}

/* A mark makes way when there is nothing else. */
static void marks_make_way(void **state)
{
    struct zq_cache *cache = zq_cache_new(128 << 10);
    struct rig_client c = {0};

    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(rig_get(cache, &c, .target = target_of(i)), ZQ_CACHE_LEAD);
        assert_int_equal(rig_head(&c, .status = 500), 0);
        rig_finish(&c);
        rig_leave(&c);
    }
    assert_true(zq_cache_used(cache) > 0);
    void *pages[32];
    size_t n = 0;
    while ((pages[n] = zq_store_alloc(cache, ZQ_HEAP_PAGE)) != NULL)
        n++;
    assert_int_equal(n, cache->heap.n_pages);
    assert_int_equal(zq_cache_used(cache), n * ZQ_HEAP_PAGE);
    assert_null(zq_store_alloc(cache, 1));
    while (n > 0)
        zq_store_free(cache, pages[--n], ZQ_HEAP_PAGE);
    expect_count(cache);
    zq_cache_free(cache);
}

/* ---- random operations against a map of what was stored last ---- */

enum { KEYS = 200, HANDS = 12, STEPS = 60000, SIZE = 300 << 10 };

struct model {
    unsigned version;
    size_t n;
};

struct hand {
    struct rig_client client;
    unsigned key, version;
    size_t n, written;
    bool busy, writes;
};

static uint32_t seed = 1;

static unsigned dice(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void begin(struct zq_cache *cache, struct hand *h, struct model *model)
{
    *h = (struct hand){.busy = true, .key = dice(KEYS)};
    const char *fields = dice(8) == 0 ? "cookie: a=1" : NULL;
    int verdict =
        rig_get(cache, &h->client, .target = target_of(h->key), .fields = fields, .alone = true);
    if (verdict == ZQ_CACHE_HIT) {
        h->version = model[h->key].version;
        h->n = model[h->key].n;
        return;
    }
    h->writes = true;
    h->version = dice(1000);
    h->n = dice(10) == 0 ? dice(90000) : dice(3000);
    bool known = dice(2);
    const char *freshness = dice(6) ? "Cache-Control: public, max-age=3600" : NULL;
    assert_int_equal(rig_head(&h->client, .fields = freshness,
                              .length = !known ? 0
                                        : h->n ? (int64_t)h->n
                                               : -1),
                     0);
}

static void step_writer(struct hand *h, struct model *model)
{
    size_t n = h->n - h->written;

    if (n > 700 && dice(3) > 0)
        n = dice((unsigned)n);
    append_content(&h->client, h->key, h->version, h->written, n);
    h->written += n;
    if (h->written < h->n && dice(20) > 0)
        return;
    bool whole = h->written == h->n && dice(10) > 0;
    bool stored = rig_describe(&h->client, 0).stored;
    zq_entry_finish(&h->client.writer, whole);
    if (whole && stored)
        model[h->key] = (struct model){h->version, h->n};
    h->writes = false;
    h->n = h->written;
}

static void end(struct hand *h)
{
    if (h->writes)
        zq_entry_finish(&h->client.writer, false);
    else
        expect_content(&h->client, h->key, h->version, h->n);
    rig_leave(&h->client);
    h->busy = false;
}

/* With one fetch a key at a time, a hit is always what was stored last. */
static bool is_fetched(const struct hand *hands, unsigned key)
{
    for (int i = 0; i < HANDS; i++)
        if (hands[i].busy && hands[i].writes && hands[i].key == key)
            return true;
    return false;
}

static void random_operations(void **state)
{
    struct zq_cache *cache = zq_cache_new(SIZE);
    struct hand hands[HANDS] = {0};
    struct model model[KEYS] = {0};
    uint64_t most = 0; /* used at any time: the last that were asked for may be small */
    unsigned hits = 0;

    for (int step = 0; step < STEPS; step++) {
        struct hand *h = &hands[dice(HANDS)];
        if (!h->busy) {
            begin(cache, h, model);
            hits += !h->writes;
            /* Two fetches of one key end in an order that the model does not know. */
            h->busy = false;
            bool twice = h->writes && is_fetched(hands, h->key);
            h->busy = true;
            if (twice)
                end(h);
        } else if (h->writes) {
            step_writer(h, model);
        } else {
            end(h);
        }
        if (dice(50) == 0) {
            unsigned key = dice(KEYS);
            if (!is_fetched(hands, key))
                rig_invalidate(cache, target_of(key));
        }
        uint64_t used = zq_cache_used(cache);
        assert_true(used <= SIZE);
        most = used > most ? used : most;
    }
    for (int i = 0; i < HANDS; i++)
        if (hands[i].busy)
            end(&hands[i]);
    assert_true(hits > STEPS / 20);
    expect_count(cache);
    assert_true(most > SIZE / 2);
    zq_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_class_is_counted),
        cmocka_unit_test(a_small_response_costs_little_more),
        cmocka_unit_test(what_is_asked_for_stays),
        cmocka_unit_test(where_all_are_asked_for_one_goes),
        cmocka_unit_test(what_is_held_counts),
        cmocka_unit_test(what_finds_no_room_gets_a_window),
        cmocka_unit_test(a_full_cache_passes),
        cmocka_unit_test(marks_make_way),
        cmocka_unit_test(random_operations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
