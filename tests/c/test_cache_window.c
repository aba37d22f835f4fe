/* What is kept of a response that is not stored, and when its writer may go on or give up. */
#include "test_cache_rig.h"

#include "cache/alloc.h"
#include "cache/entry.h"

#define OBJECT_MAX (RIG_SIZE / 8)

/* ---- windows ---- */

static size_t segments(const struct rig_client *c)
{
    size_t n = 0;

    for (const struct zq_segment *s = c->writer.entry->first; s != NULL; s = s->next)
        n++;
    return n;
}

static void a_pass_keeps_a_window(void **state)
{
    struct rig_client c = {0};
    uint64_t at = 0;

    rig_pass(*state, &c, 0);
    assert_int_equal(zq_writer_window(&c.writer), ZQ_CACHE_WINDOW);
    for (; at < ZQ_CACHE_WINDOW; at += 8192)
        rig_append_bytes(&c, at, 8192);
    assert_int_equal(zq_writer_window(&c.writer), 0);
    /* What is over the window is kept all the same; the writer's credit bounds it. */
    rig_append_bytes(&c, at, 8192);
    at += 8192;
    assert_int_equal(zq_writer_window(&c.writer), 0);
    size_t most = segments(&c);
    assert_int_equal(rig_take_bytes(&c, 8192), 8192);
    assert_int_equal(c.writer_news, 0);
    assert_int_equal(rig_take_bytes(&c, ZQ_CACHE_WINDOW), ZQ_CACHE_WINDOW);
    assert_true(c.writer_news >= 1 && c.writer_news <= 5);
    assert_true(segments(&c) < most);
    assert_int_equal(segments(&c), 1);
    assert_int_equal(zq_writer_window(&c.writer), ZQ_CACHE_WINDOW);
    /* Ten megabytes more, in lock-step: never more than the window, and told in steps. */
    unsigned before = c.writer_news;
    for (uint64_t stop = at + (10 << 20); at < stop; at += 16384) {
        rig_append_bytes(&c, at, 16384);
        assert_int_equal(rig_take_bytes(&c, 20000), 16384);
        assert_true(segments(&c) <= 2);
    }
    assert_true(c.writer_news - before <= (10 << 20) / (ZQ_CACHE_WINDOW / 4));
    assert_true(c.writer_news - before >= (10 << 20) / ZQ_CACHE_WINDOW);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(zq_cache_used(*state), 0);
}

/* A good part of a chunk is kept where it is until the reader has passed it; less is copied, and so
 * is all that is stored. */
static void long_parts_are_kept_where_they_are(void **state)
{
    struct zq_chunk *chunk = zq_chunk_new(4000);
    struct rig_client c = {0};
    struct iovec v[4];
    bool end;

    memset(chunk->data, 'k', chunk->size);
    rig_pass(*state, &c, 5000);
    assert_int_equal(zq_entry_append_chunk(&c.writer, zq_slice(chunk->data + 10, 3000), chunk), 0);
    assert_false(zq_chunk_is_mine(chunk));
    assert_int_equal(zq_entry_append_chunk(&c.writer, zq_slice(chunk->data, 900), chunk), 0);
    assert_int_equal(zq_reader_peek(&c.reader, v, 4, &end), 2);
    assert_ptr_equal(v[0].iov_base, chunk->data + 10);
    assert_int_equal(v[0].iov_len, 3000);
    assert_int_equal(v[1].iov_len, 900);
    zq_reader_advance(&c.reader, 3000);
    assert_true(zq_chunk_is_mine(chunk));
    memset(chunk->data, 'x', chunk->size);
    assert_int_equal(zq_reader_peek(&c.reader, v, 4, &end), 1);
    assert_memory_equal(v[0].iov_base, "kkk", 3);
    /* It goes into what the last part has left, all of it. */
    assert_int_equal(zq_entry_append_chunk(&c.writer, zq_slice(chunk->data, 1100), chunk), 0);
    assert_true(zq_chunk_is_mine(chunk));
    zq_reader_advance(&c.reader, 2000);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    zq_chunk_unref(chunk);
}

static void a_pass_of_known_length_keeps_a_window(void **state)
{
    struct rig_client c = {0};

    rig_pass(*state, &c, 300000);
    rig_append_bytes(&c, 0, 100);
    assert_int_equal(c.writer.entry->first->size, ZQ_SEGMENT_MAX);
    rig_append_bytes(&c, 100, 299900);
    assert_int_equal(rig_take_bytes(&c, RIG_SIZE), 300000);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    rig_pass(*state, &c, 10);
    rig_append_bytes(&c, 0, 4);
    assert_int_equal(c.writer.entry->first->size, 10);
    rig_append_bytes(&c, 4, 6);
    rig_end(&c, true, ZQ_READER_COMPLETE);
}

static void a_storable_fill_has_the_whole_window(void **state)
{
    struct rig_client c = {0};

    rig_lead(*state, &c, 0);
    rig_append_bytes(&c, 0, 100000);
    assert_int_equal(zq_writer_window(&c.writer), ZQ_CACHE_WINDOW);
    assert_int_equal(rig_take_bytes(&c, RIG_SIZE), 100000);
    assert_int_equal(c.writer_news, 0);
    rig_end(&c, true, ZQ_READER_COMPLETE);
}

/* A slow reader delays nobody while the response is kept whole. */
static void each_reads_at_its_own_pace(void **state)
{
    struct rig_client c = {0}, slow = {0}, late = {0};

    rig_lead(*state, &c, 0);
    assert_int_equal(rig_get(*state, &slow, .now_ms = 0), ZQ_CACHE_JOIN);
    for (uint64_t at = 0; at < 100000; at += 1000) {
        rig_append_bytes(&c, at, 1000);
        assert_int_equal(rig_take_bytes(&c, 2000), 1000);
        assert_int_equal(rig_take_bytes(&slow, 10), 10);
    }
    assert_int_equal(rig_get(*state, &late, .now_ms = 0), ZQ_CACHE_JOIN);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(rig_take_bytes(&slow, RIG_SIZE), 99000);
    assert_int_equal(rig_take_bytes(&late, RIG_SIZE), 100000);
    rig_leave(&slow);
    rig_leave(&late);
}

/* ---- a fill that is too large ---- */

/* The key is remembered: two ask, and neither waits. */
static void nobody_waits(struct zq_cache *cache)
{
    struct rig_client one = {0}, two = {0};

    assert_int_equal(rig_get(cache, &one, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(cache, &two, .now_ms = 0), ZQ_CACHE_LEAD);
    zq_entry_fail(&one.writer, 502);
    zq_entry_fail(&two.writer, 502);
    rig_leave(&one);
    rig_leave(&two);
}

static void a_fill_past_the_largest_object_turns_windowed(void **state)
{
    struct rig_client c = {0}, slow = {0}, other = {0};
    uint64_t at = 0;

    rig_lead(*state, &c, 0);
    assert_int_equal(rig_get(*state, &slow, .now_ms = 0), ZQ_CACHE_JOIN);
    while (at + 1000 <= OBJECT_MAX) {
        rig_append_bytes(&c, at, 1000);
        at += 1000;
        rig_take_bytes(&c, 1000);
    }
    assert_int_equal(rig_take_bytes(&slow, 50000), 50000);
    assert_int_equal(c.writer_news, 0);
    rig_append_bytes(&c, at, 1000);
    at += 1000;
    assert_false(rig_describe(&c, 0).stored);
    /* The slower one decides now, and nobody joins any more. */
    assert_true(zq_writer_window(&c.writer) < ZQ_CACHE_WINDOW);
    assert_int_equal(rig_get(*state, &other, .now_ms = 0), ZQ_CACHE_LEAD);
    zq_entry_fail(&other.writer, 502);
    rig_leave(&other);
    assert_int_equal(rig_take_bytes(&c, RIG_SIZE), 1000);
    assert_int_equal(rig_take_bytes(&slow, RIG_SIZE), at - 50000);
    assert_true(c.writer_news > 0);
    assert_int_equal(segments(&c), 1);
    rig_append_bytes(&c, at, 1000);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(rig_take_bytes(&slow, RIG_SIZE), 1000);
    rig_leave(&slow);
    nobody_waits(*state);
}

static void an_announced_length_that_is_too_large(void **state)
{
    struct rig_client c = {0}, waiter = {0};

    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(*state, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH, .length = OBJECT_MAX + 1), 0);
    assert_false(rig_describe(&c, 0).stored);
    /* Who waited goes by itself: one slow reader would hold up all the others. */
    assert_int_equal(rig_state(&waiter), ZQ_READER_RELEASED);
    rig_leave(&waiter);
    rig_append_bytes(&c, 0, OBJECT_MAX + 1);
    assert_int_equal(rig_take_bytes(&c, RIG_SIZE), OBJECT_MAX + 1);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    nobody_waits(*state);
}

static void a_large_stored_response(void **state)
{
    struct zq_cache *cache = zq_cache_new(64 << 20);
    struct rig_client c = {0};
    size_t n = (3 << 20) + 12345;

    rig_lead(cache, &c, (int64_t)n);
    for (uint64_t at = 0; at < n; at += 60000)
        rig_append_bytes(&c, at, at + 60000 < n ? 60000 : (size_t)(n - at));
    assert_true(segments(&c) <= n / ZQ_SEGMENT_MAX + 2);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_HIT);
    size_t got = 0;
    for (size_t part; (part = rig_take_bytes(&c, 70000)) > 0;)
        got += part;
    assert_int_equal(got, n);
    rig_leave(&c);
    zq_cache_free(cache);
}

/* The slowest of several decides, whoever it is, and whether it reads on or leaves. */
static void the_slowest_reader_decides(void **state)
{
    struct rig_client r[3] = {0};
    struct zq_writer *writer = &r[0].writer;

    assert_int_equal(rig_get(*state, &r[0], .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(*state, &r[1], .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(rig_get(*state, &r[2], .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(rig_head(&r[0], .fields = RIG_FRESH, .old = true), 0);
    for (uint64_t at = 0; at < ZQ_CACHE_WINDOW; at += 4096)
        rig_append_bytes(&r[0], at, 4096);
    assert_int_equal(zq_writer_window(writer), 0);
    assert_int_equal(rig_take_bytes(&r[0], 200000), 200000);
    assert_int_equal(rig_take_bytes(&r[1], 300000), 300000);
    assert_int_equal(r[0].writer_news, 0);
    assert_int_equal(rig_take_bytes(&r[2], 400000), 400000);
    assert_int_equal(zq_writer_window(writer), 200000);
    assert_int_equal(r[0].writer_news, 1);
    rig_leave(&r[2]);
    assert_int_equal(zq_writer_window(writer), 200000);
    rig_leave(&r[0]);
    assert_int_equal(zq_writer_window(writer), 300000);
    assert_int_equal(rig_take_bytes(&r[1], RIG_SIZE), ZQ_CACHE_WINDOW - 300000);
    assert_int_equal(zq_writer_window(writer), ZQ_CACHE_WINDOW);
    rig_leave(&r[1]);
    assert_int_equal(zq_writer_window(writer), ZQ_CACHE_WINDOW);
    assert_true(zq_writer_abandoned(writer));
    zq_entry_finish(writer, false);
}

/* A fill that outgrew the largest object: one that takes a little now and then is cut all the
 * same, but nobody is where all are alike, or where one reads alone. */
static void who_holds_up_the_others_is_cut(void **state)
{
    struct rig_client c = {0}, slow = {0};
    uint64_t at = 0;

    rig_lead(*state, &c, 0);
    assert_int_equal(rig_get(*state, &slow, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_false(zq_writer_cut_laggards(&c.writer, 1, 1000)); /* stored: no matter */
    for (; at <= OBJECT_MAX; at += 1000)
        rig_append_bytes(&c, at, 1000);
    assert_false(zq_writer_cut_laggards(&c.writer, 1, 1000));
    assert_int_equal(rig_take_bytes(&c, RIG_SIZE), at);
    for (; at <= ZQ_CACHE_WINDOW; at += 1000)
        rig_append_bytes(&c, at, 1000);
    rig_take_bytes(&c, RIG_SIZE);
    assert_true(zq_writer_cut_laggards(&c.writer, 500, 1000));
    assert_int_equal(rig_take_bytes(&slow, 1000), 1000);
    assert_true(zq_writer_cut_laggards(&c.writer, 1499, 1000));
    assert_int_equal(rig_state(&slow), ZQ_READER_OPEN);
    /* It has caught up: its time begins anew. */
    assert_int_equal(rig_take_bytes(&slow, ZQ_CACHE_WINDOW / 2), ZQ_CACHE_WINDOW / 2);
    assert_false(zq_writer_cut_laggards(&c.writer, 1500, 1000));
    for (uint64_t stop = at + ZQ_CACHE_WINDOW / 2; at < stop; at += 1000)
        rig_append_bytes(&c, at, 1000);
    rig_take_bytes(&c, RIG_SIZE);
    assert_true(zq_writer_cut_laggards(&c.writer, 1600, 1000));
    unsigned before = slow.reader_news;
    assert_true(zq_writer_cut_laggards(&c.writer, 2600, 1000));
    assert_int_equal(slow.reader_news, before + 1);
    /* What it may be writing out stays until it has left. */
    assert_int_equal(rig_take_bytes(&slow, 1000), 1000);
    assert_int_equal(rig_state(&slow), ZQ_READER_ABORTED);
    rig_leave(&slow);
    assert_int_equal(zq_writer_window(&c.writer), ZQ_CACHE_WINDOW);
    assert_false(zq_writer_cut_laggards(&c.writer, 2601, 1000));
    assert_int_equal(rig_state(&c), ZQ_READER_OPEN);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    nobody_waits(*state);
}

static void the_largest_object_is_a_choice(void **state)
{
    struct rig_client c = {0};

    zq_cache_set_object_max(*state, 5000);
    rig_lead(*state, &c, 5000);
    rig_append_bytes(&c, 0, 5000);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    rig_verdict(*state, HIT, NONE, .now_ms = 0);
    assert_int_equal(rig_get(*state, &c, .target = "/b"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH, .length = 5001), 0);
    assert_false(rig_describe(&c, 0).stored);
    rig_append_bytes(&c, 0, 5001);
    rig_end(&c, true, ZQ_READER_COMPLETE);
}

/* ---- writers without readers ---- */

static void a_pass_is_abandoned_when_its_reader_leaves(void **state)
{
    struct rig_client c = {0};

    rig_pass(*state, &c, 0);
    rig_append_bytes(&c, 0, 1000);
    assert_false(zq_writer_abandoned(&c.writer));
    rig_leave(&c);
    assert_int_equal(c.writer_news, 1);
    assert_true(zq_writer_abandoned(&c.writer));
    /* What still comes is dropped as it passes. */
    for (uint64_t at = 1000; at < RIG_SIZE; at += 1000)
        rig_append_bytes(&c, at, 1000);
    assert_int_equal(segments(&c), 1);
    zq_entry_finish(&c.writer, false);
}

static void before_the_head_nobody_profits(void **state)
{
    struct rig_client c = {0}, waiter = {0};

    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(*state, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    rig_leave(&c);
    assert_int_equal(c.writer_news, 0);
    assert_false(zq_writer_abandoned(&c.writer));
    rig_leave(&waiter);
    assert_int_equal(c.writer_news, 1);
    assert_true(zq_writer_abandoned(&c.writer));
    /* Nobody can join it any more. */
    assert_int_equal(rig_get(*state, &waiter, .now_ms = 0), ZQ_CACHE_LEAD);
    zq_entry_fail(&waiter.writer, 502);
    rig_leave(&waiter);
    zq_entry_fail(&c.writer, 499);
    assert_int_equal(zq_cache_used(*state), 0);
}

static void a_storable_fill_goes_on_alone(void **state)
{
    struct rig_client c = {0}, other = {0};

    rig_lead(*state, &c, 0);
    assert_int_equal(rig_get(*state, &other, .now_ms = 0), ZQ_CACHE_JOIN);
    uint64_t used = zq_cache_used(*state);
    rig_leave(&c);
    assert_int_equal(zq_cache_used(*state), used);
    assert_int_equal(c.writer_news, 0);
    rig_leave(&other);
    assert_int_equal(c.writer_news, 1);
    assert_false(zq_writer_abandoned(&c.writer));
    rig_append_bytes(&c, 0, 1000);
    assert_int_equal(zq_writer_window(&c.writer), ZQ_CACHE_WINDOW);
    zq_entry_finish(&c.writer, true);
    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_HIT);
    assert_int_equal(rig_take_bytes(&c, RIG_SIZE), 1000);
    rig_leave(&c);
}

/* The head comes after all have left: nobody knows any more for whom it is. */
static void a_head_without_anybody(void **state)
{
    struct rig_client c = {0}, other = {0};

    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    rig_leave(&c);
    assert_int_equal(rig_get(*state, &other, .now_ms = 0), ZQ_CACHE_LEAD);
    zq_entry_fail(&other.writer, 502);
    rig_leave(&other);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH "\nVary: a"), 0);
    assert_true(zq_writer_abandoned(&c.writer));
    zq_entry_finish(&c.writer, true);
    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    zq_entry_fail(&c.writer, 502);
    rig_leave(&c);
}

/* No memory to keep the request of a leader that leaves others behind: they are released. */
static void a_leader_whose_request_cannot_be_kept(void **state)
{
#ifdef ZQ_DEBUG
    struct rig_client c = {0}, waiter = {0};

    assert_int_equal(rig_get(*state, &c, .fields = "a: 1"), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(*state, &waiter, .fields = "a: 1"), ZQ_CACHE_JOIN);
    uint64_t used = zq_cache_used(*state);
    zq_cache_alloc_fails_at = 1;
    rig_leave(&c);
    assert_int_equal(zq_cache_used(*state), used);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH), 0);
    assert_int_equal(rig_state(&waiter), ZQ_READER_RELEASED);
    rig_leave(&waiter);
    zq_entry_finish(&c.writer, false);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_pass_keeps_a_window),
        RIG_TEST(long_parts_are_kept_where_they_are),
        RIG_TEST(a_pass_of_known_length_keeps_a_window),
        RIG_TEST(a_storable_fill_has_the_whole_window),
        RIG_TEST(each_reads_at_its_own_pace),
        RIG_TEST(a_fill_past_the_largest_object_turns_windowed),
        RIG_TEST(an_announced_length_that_is_too_large),
        RIG_TEST(a_large_stored_response),
        RIG_TEST(the_slowest_reader_decides),
        RIG_TEST(who_holds_up_the_others_is_cut),
        RIG_TEST(the_largest_object_is_a_choice),
        RIG_TEST(a_pass_is_abandoned_when_its_reader_leaves),
        RIG_TEST(before_the_head_nobody_profits),
        RIG_TEST(a_storable_fill_goes_on_alone),
        RIG_TEST(a_head_without_anybody),
        RIG_TEST(a_leader_whose_request_cannot_be_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
