/* Stored responses in content codings: made once, behind the hits, and gone with their response. */
#include "test_cache_rig.h"

#include "cache/coded.h"
#include "cache/coding.h"
#include "cache/entry.h"
#include "cache/store.h"

#include <pthread.h>
#include <unistd.h>

#define GZIP "accept-encoding: gzip"
#define FRESH "Cache-Control: max-age=60\nContent-Type: text/html\nETag: \"a\""
#define HEAD200                                                                                    \
    "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/html\r\nETag: \"a\"\r\n"
#define VARY "Vary: Accept-Encoding\r\n"
#define SIZE 4000

static int open_compressing(void **state)
{
    const struct zq_coding_rules rules = {
        .codings = {ZQ_CODING_BR, ZQ_CODING_GZIP}, .n = 2, .min_bytes = 100};

    *state = zq_cache_new(RIG_SIZE);
    return *state == NULL || zq_cache_compress(*state, &rules) < 0;
}
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_compressing, rig_close)

static void store(struct zq_cache *cache, const char *fields, const char *block, size_t size)
{
    struct rig_client c = {0};
    char *text = malloc(size);

    memset(text, 'a', size);
    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head_block(&c, 200, fields, block, 0), 0);
    assert_int_equal(zq_entry_append(&c.writer, zq_slice(text, size)), 0);
    rig_finish(&c);
    rig_leave(&c);
    free(text);
}

static struct zq_cache_stat stat_of(struct zq_cache *cache)
{
    struct zq_cache_stat stat;

    zq_cache_stat(cache, &stat);
    return stat;
}

static bool is_coded(struct rig_client *c)
{
    struct zq_slice block = rig_describe(c, 0).block;

    return memmem(block.p, block.n, "Content-Encoding", 16) != NULL;
}

static bool hit_is_coded_(struct zq_cache *cache, struct rig_ask ask)
{
    struct rig_client c = {0};

    assert_int_equal(rig_get_(cache, &c, ask), ZQ_CACHE_HIT);
    bool coded = is_coded(&c);
    rig_leave(&c);
    return coded;
}
#define hit_is_coded(cache, ...) hit_is_coded_((cache), RIG_ASK(__VA_ARGS__))

/* Such hits, until the thread has made `n` in all. One that finds it busy leaves it to the next. */
static void await_(struct zq_cache *cache, uint64_t n, struct rig_ask ask)
{
    for (int i = 0; i < 3000 && stat_of(cache).compressed != n; i++) {
        hit_is_coded_(cache, ask);
        usleep(10000);
    }
    assert_int_equal(stat_of(cache).compressed, n);
}
#define await(cache, n, ...) await_((cache), (n), RIG_ASK(__VA_ARGS__))

static void expect_slice(struct zq_slice s, const char *text)
{
    assert_int_equal(s.n, strlen(text));
    assert_memory_equal(s.p, text, s.n);
}

/* RFC 9110 12.5.5: all that are selected by Accept-Encoding say so, from the first on. */
static void the_first_hit_has_it_made(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};
    struct iovec run[2];
    bool end;

    store(cache, FRESH, HEAD200, SIZE);
    assert_false(hit_is_coded(cache, .fields = NULL));
    assert_int_equal(stat_of(cache).compressed, 0);
    uint64_t live = zq_heap_live(&cache->heap);
    assert_false(hit_is_coded(cache, .fields = GZIP));
    await(cache, 1, .fields = GZIP);
    assert_int_equal(rig_get(cache, &c, .fields = GZIP), ZQ_CACHE_HIT);
    struct zq_entry_info info = rig_describe(&c, 0);
    expect_slice(info.block,
                 "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/html\r\n"
                 "ETag: W/\"a\"\r\n" VARY "Content-Encoding: gzip\r\n");
    assert_int_equal(info.content_length, stat_of(cache).compressed_bytes);
    assert_int_equal(zq_reader_peek(&c.reader, run, 2, &end), 1);
    assert_true(end);
    assert_int_equal(run[0].iov_len, info.content_length);
    zq_reader_advance(&c.reader, 10);
    assert_int_equal(zq_reader_peek(&c.reader, run, 2, &end), 1);
    assert_int_equal(run[0].iov_len, info.content_length - 10);
    zq_reader_advance(&c.reader, run[0].iov_len);
    assert_int_equal(zq_reader_peek(&c.reader, run, 2, &end), 0);
    assert_true(end);
    assert_int_equal(rig_state(&c), ZQ_READER_COMPLETE);
    rig_leave(&c);
    size_t head_n =
        sizeof(struct zq_coded_head) + zq_coding_block_bound(zq_slice(NULL, strlen(HEAD200 VARY)));
    size_t body_n = sizeof(struct zq_segment) + (size_t)info.content_length;
    assert_int_equal(zq_heap_live(&cache->heap), live +
                                                     zq_heap_class(sizeof(struct zq_coded_body)) +
                                                     zq_heap_class(head_n) + zq_heap_class(body_n));
    assert_int_equal(rig_get(cache, &c, .fields = NULL), ZQ_CACHE_HIT);
    expect_slice(rig_describe(&c, 0).block, HEAD200 VARY);
    rig_leave(&c);
    /* While the better one is made, the one that is there goes out. */
    assert_true(hit_is_coded(cache, .fields = "accept-encoding: br, gzip"));
    await(cache, 2, .fields = "accept-encoding: br, gzip");
}

static void who_gets_none(void **state)
{
    struct zq_cache *cache = *state;

    store(cache, FRESH, HEAD200, SIZE);
    assert_false(hit_is_coded(cache, .fields = GZIP "\ncache-control: no-transform"));
    assert_false(hit_is_coded(cache, .fields = GZIP "\nrange: bytes=0-1"));
    assert_false(hit_is_coded(cache, .fields = "accept-encoding: zstd"));
    assert_int_equal(stat_of(cache).compressed, 0);
    assert_false(hit_is_coded(cache, .fields = GZIP, .method = "HEAD"));
    await(cache, 1, .fields = GZIP, .method = "HEAD");
    assert_true(hit_is_coded(cache, .fields = GZIP, .method = "HEAD"));
    assert_true(hit_is_coded(cache, .fields = GZIP "\nif-none-match: \"b\""));
    assert_false(hit_is_coded(cache, .fields = GZIP "\nrange: bytes=0-1"));
    assert_false(hit_is_coded(cache, .fields = GZIP "\ncache-control: no-transform"));
}

/* No thread is asked for these, so there is nothing to wait for. */
static void what_is_never_compressed(void **state)
{
    static const struct {
        const char *fields;
        size_t size;
        bool vary;
    } cases[] = {
        {"Cache-Control: max-age=60, no-transform\nContent-Type: text/html", SIZE, false},
        {"Cache-Control: max-age=60\nContent-Type: image/png", SIZE, false},
        {"Cache-Control: max-age=60\nContent-Type: text/html\nContent-Encoding: x", SIZE, false},
        {"Cache-Control: max-age=60, no-cache=\"vary\"\nContent-Type: text/html", SIZE, false},
        /* its size was not known when its head went out */
        {"Cache-Control: max-age=60\nContent-Type: text/html", 99, true},
    };

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(cases); i++) {
        struct zq_cache *cache = *state;
        struct rig_client c = {0};
        store(cache, cases[i].fields, "HTTP/1.1 200 OK\r\n", cases[i].size);
        assert_int_equal(rig_get(cache, &c, .fields = GZIP), ZQ_CACHE_HIT);
        struct zq_entry *entry = c.reader.entry;
        expect_slice(rig_describe(&c, 0).block,
                     cases[i].vary ? "HTTP/1.1 200 OK\r\n" VARY : "HTTP/1.1 200 OK\r\n");
        assert_true(!entry->may_be_coded || atomic_load(&zq_entry_coded(entry)->asked) == 0);
        rig_leave(&c);
        rig_invalidate(cache, "/");
    }
}

/* A Vary of its own is enough, and the added one does not take part in selecting. */
static void vary_is_added_once(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    store(cache, FRESH "\nVary: X, accept-encoding", HEAD200 "Vary: X, accept-encoding\r\n", SIZE);
    assert_int_equal(rig_get(cache, &c, .fields = NULL), ZQ_CACHE_HIT);
    expect_slice(rig_describe(&c, 0).block, HEAD200 "Vary: X, accept-encoding\r\n");
    rig_leave(&c);
    rig_verdict(cache, LEAD, VARY_MISS, .fields = GZIP);
}

/* What does not get a tenth smaller is not kept, nor tried again. */
static void what_is_not_worth_it(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};
    char noise[SIZE];
    uint32_t seed = 1;

    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head_block(&c, 200, FRESH, HEAD200, 0), 0);
    assert_int_equal(zq_entry_append(&c.writer, zq_slice(noise, sizeof(noise))), 0);
    rig_finish(&c);
    rig_leave(&c);
    uint64_t used = zq_cache_used(cache);
    assert_false(hit_is_coded(cache, .fields = GZIP));
    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_HIT);
    atomic_uint *asked = &zq_entry_coded(c.reader.entry)->asked;
    unsigned every = (1u << ZQ_CODING_COUNT) - 1;
    for (int i = 0; i < 3000 && atomic_load(asked) != every; i++) {
        hit_is_coded(cache, .fields = GZIP);
        usleep(10000);
    }
    assert_int_equal(atomic_load(asked), every);
    rig_leave(&c);
    assert_int_equal(stat_of(cache).compressed, 0);
    assert_int_equal(zq_cache_used(cache), used);
}

/* RFC 9111 4.3.4: a 304 renews the head; the content, and what was made of it, is the same. */
static void a_304_keeps_the_content_in_its_coding(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    store(cache, FRESH, HEAD200, SIZE);
    await(cache, 1, .fields = GZIP);
    for (int round = 1; round <= 2; round++) {
        int64_t now = round * 100000;
        assert_int_equal(rig_get(cache, &c, .now_ms = now, .fields = GZIP), ZQ_CACHE_LEAD);
        expect_slice(c.writer.etag, "\"a\"");
        assert_int_equal(rig_head_block(&c, 304, "Cache-Control: max-age=60\nX-New: 1",
                                        "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\n"
                                        "X-New: 1\r\n",
                                        now),
                         0);
        rig_finish(&c);
        assert_false(is_coded(&c));
        rig_leave(&c);
        assert_int_equal(rig_get(cache, &c, .now_ms = now, .fields = GZIP), ZQ_CACHE_HIT);
        expect_slice(rig_describe(&c, now).block,
                     "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: W/\"a\"\r\n"
                     "Cache-Control: max-age=60\r\nX-New: 1\r\n" VARY "Content-Encoding: gzip\r\n");
        rig_leave(&c);
    }
    assert_int_equal(stat_of(cache).compressed, 1);
    /* And a 304 may forbid what was permitted. */
    assert_int_equal(rig_get(cache, &c, .now_ms = 900000), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head_block(&c, 304, "Cache-Control: max-age=60, no-transform",
                                    "HTTP/1.1 304 Not Modified\r\n"
                                    "Cache-Control: max-age=60, no-transform\r\n",
                                    900000),
                     0);
    rig_finish(&c);
    rig_leave(&c);
    assert_int_equal(rig_get(cache, &c, .now_ms = 900000, .fields = GZIP), ZQ_CACHE_HIT);
    assert_false(is_coded(&c));
    rig_leave(&c);
}

/* Whatever takes the response out takes all its forms along; a reader keeps its own. */
static void a_purge_takes_all_forms(void **state)
{
    struct zq_cache *cache = *state;
    const struct zq_purge purge = {ZQ_PURGE_PREFIX, false, ZQ_SLICE("http://example.com/")};
    struct rig_client c = {0};
    struct iovec run;
    uint64_t number;
    bool end;

    store(cache, FRESH, HEAD200, SIZE);
    await(cache, 1, .fields = GZIP);
    assert_int_equal(rig_get(cache, &c, .fields = GZIP), ZQ_CACHE_HIT);
    assert_int_equal(zq_cache_purge(cache, &purge, 0, &number), 0);
    rig_verdict(cache, LEAD, URI_MISS, .fields = GZIP);
    while (zq_cache_sweep(cache))
        ;
    assert_int_equal(stat_of(cache).compressed, 1);
    assert_int_equal(zq_reader_peek(&c.reader, &run, 1, &end), 1);
    rig_leave(&c);
    assert_int_equal(stat_of(cache).compressed, 0);
    assert_int_equal(stat_of(cache).compressed_bytes, 0);
}

static void a_new_response_replaces_all_forms(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    store(cache, FRESH, HEAD200, SIZE);
    await(cache, 1, .fields = GZIP);
    assert_int_equal(rig_get(cache, &c, .now_ms = 100000, .fields = GZIP), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head_block(&c, 200, FRESH, HEAD200, 100000), 0);
    assert_int_equal(rig_append(&c, "new"), 0);
    rig_finish(&c);
    rig_leave(&c);
    assert_int_equal(stat_of(cache).compressed, 0);
    assert_int_equal(rig_get(cache, &c, .now_ms = 100000, .fields = GZIP), ZQ_CACHE_HIT);
    assert_false(is_coded(&c));
    rig_expect(&c, "new");
    rig_leave(&c);
}

/* Any allocation may fail: then there is no coded form, and nothing is lost. */
#ifdef ZQ_DEBUG
#include "cache/alloc.h"
static void without_memory_it_goes_out_as_it_is(void **state)
{
    struct zq_cache *cache = *state;
    bool coded = false;

    store(cache, FRESH, HEAD200, SIZE);
    await(cache, 1, .fields = GZIP);
    zq_cache_alloc_fails_at = 1; /* the head */
    assert_false(hit_is_coded(cache, .fields = GZIP));
    coded = hit_is_coded(cache, .fields = GZIP);
    assert_true(coded);
}
#endif

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 3000, KEYS = 12 };

static void *work(void *argument)
{
    static const char *const asked[] = {NULL, GZIP, "accept-encoding: br", "accept-encoding: *"};
    struct zq_cache *cache = argument;
    uint32_t seed = (uint32_t)(uintptr_t)&cache;
    char text[3000], target[16];

    memset(text, 'a', sizeof(text));
    for (int i = 0; i < ROUNDS; i++) {
        struct rig_client c = {0};
        struct iovec run[4];
        bool end;
        seed = seed * 1103515245 + 12345;
        snprintf(target, sizeof(target), "/%u", (seed >> 8) % KEYS);
        if ((seed >> 16) % 50 == 0)
            rig_invalidate(cache, target);
        int verdict =
            rig_get(cache, &c, .alone = true, .target = target, .fields = asked[(seed >> 20) % 4]);
        if (verdict == ZQ_CACHE_HIT) {
            struct zq_entry_info info = rig_describe(&c, 0);
            size_t n = 0;
            for (int r = zq_reader_peek(&c.reader, run, 4, &end); r > 0; r--)
                n += run[r - 1].iov_len;
            ZQ_ASSERT(end && n == (uint64_t)info.content_length);
        } else {
            ZQ_ASSERT(rig_head_block(&c, 200, FRESH, HEAD200, 0) == 0);
            ZQ_ASSERT(zq_entry_append(&c.writer, zq_slice(text, sizeof(text))) == 0);
            rig_finish(&c);
        }
        rig_leave(&c);
    }
    return NULL;
}

/* Hits ask, the coder makes, purges take away; and the cache goes while there is work left. */
static void threads(void **state)
{
    pthread_t ids[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, work, *state), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
    struct zq_cache_stat stat = stat_of(*state);
    assert_true(stat.used <= stat.size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_hit_has_it_made),
        TEST(who_gets_none),
        TEST(what_is_never_compressed),
        TEST(vary_is_added_once),
        TEST(what_is_not_worth_it),
        TEST(a_304_keeps_the_content_in_its_coding),
        TEST(a_purge_takes_all_forms),
        TEST(a_new_response_replaces_all_forms),
#ifdef ZQ_DEBUG
        TEST(without_memory_it_goes_out_as_it_is),
#endif
        TEST(threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
