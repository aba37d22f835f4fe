/* What goes through an entry: streams, windows, and who is told when. */
#include "test_cache_rig.h"

#include "cache/alloc.h"
#include "cache/entry.h"

#define FRESH "Cache-Control: max-age=60"
#define SIZE (1 << 20)
#define OBJECT_MAX (SIZE / 8)

static int open_cache(void **state)
{
    *state = zq_cache_new(SIZE);
    return *state == NULL;
}

static int close_cache(void **state)
{
    zq_cache_free(*state);
    return 0;
}

/* ---- content that can be checked anywhere ---- */

static void append(struct rig_client *c, uint64_t from, size_t n)
{
    char *bytes = malloc(n);

    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)((from + i) % 253);
    assert_int_equal(zq_entry_append(&c->writer, zq_slice(bytes, n)), 0);
    free(bytes);
}

/* Takes up to `n` bytes and checks them; what there was. */
static size_t take(struct rig_client *c, size_t n)
{
    char *bytes = malloc(n);
    uint64_t from = c->reader.offset;
    size_t got = rig_take(c, bytes, n);

    for (size_t i = 0; i < got; i++)
        if (bytes[i] != (char)((from + i) % 253))
            fail_msg("differs at %zu", (size_t)from + i);
    free(bytes);
    return got;
}

/* A PASS whose head is there. */
static void pass(struct zq_cache *cache, struct rig_client *c, int64_t length)
{
    assert_int_equal(rig_get(cache, c, .method = "POST"), ZQ_CACHE_PASS);
    assert_int_equal(rig_head(c, .length = length), 0);
}

/* A LEAD with a storable head. */
static void lead(struct zq_cache *cache, struct rig_client *c, int64_t length)
{
    assert_int_equal(rig_get(cache, c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(c, .fields = FRESH, .length = length), 0);
    assert_true(rig_describe(c, 0).stored);
}

static void end(struct rig_client *c, bool whole, enum zq_reader_state state)
{
    zq_entry_finish(&c->writer, whole);
    assert_null(c->writer.entry);
    assert_int_equal(rig_state(c), state);
    rig_leave(c);
}

/* ---- states ---- */

static void a_response_goes_through(void **state)
{
    struct rig_client c = {0};
    struct iovec runs[2];
    bool is_end;

    assert_int_equal(rig_get(*state, &c, .method = "POST"), ZQ_CACHE_PASS);
    assert_int_equal(rig_state(&c), ZQ_READER_WAITING);
    assert_int_equal(zq_reader_peek(&c.reader, runs, 2, &is_end), 0);
    assert_false(is_end);
    assert_int_equal(rig_head(&c, .status = 201, .now_ms = 1000), 0);
    assert_int_equal(c.reader_news, 1);
    assert_int_equal(rig_state(&c), ZQ_READER_OPEN);
    struct zq_entry_info info = rig_describe(&c, 3500);
    assert_int_equal(info.status, 201);
    assert_int_equal(info.content_length, -1);
    assert_int_equal(info.age_s, 2);
    assert_int_equal(info.remaining_s, -3);
    assert_false(info.stored);
    assert_int_equal(zq_entry_status(&c.reader), 201);
    assert_int_equal(zq_reader_peek(&c.reader, runs, 2, &is_end), 0);
    assert_false(is_end);

    assert_int_equal(rig_append(&c, "hello"), 0);
    assert_int_equal(c.reader_news, 2);
    assert_int_equal(zq_reader_peek(&c.reader, runs, 2, &is_end), 1);
    assert_int_equal(runs[0].iov_len, 5);
    assert_false(is_end);
    zq_reader_advance(&c.reader, 2);
    zq_entry_finish(&c.writer, true);
    assert_int_equal(c.reader_news, 3);
    assert_int_equal(rig_state(&c), ZQ_READER_COMPLETE);
    assert_int_equal(rig_describe(&c, 0).content_length, 5);
    assert_int_equal(zq_reader_peek(&c.reader, runs, 2, &is_end), 1);
    assert_true(is_end);
    assert_int_equal(runs[0].iov_len, 3);
    zq_reader_advance(&c.reader, 3);
    assert_int_equal(zq_reader_peek(&c.reader, runs, 2, &is_end), 0);
    assert_true(is_end);
    rig_leave(&c);
}

static void the_end_is_where_the_runs_reach_it(void **state)
{
    struct rig_client c = {0};
    struct iovec runs[8];
    bool is_end;

    lead(*state, &c, 0);
    for (int i = 0; i < 3; i++)
        append(&c, (uint64_t)i * 5000, 5000);
    zq_entry_finish(&c.writer, true);
    assert_int_equal(zq_reader_peek(&c.reader, runs, 1, &is_end), 1);
    assert_false(is_end);
    int n = zq_reader_peek(&c.reader, runs, 8, &is_end);
    assert_true(n > 1);
    assert_true(is_end);
    assert_int_equal(take(&c, 20000), 15000);
    rig_leave(&c);
}

/* A response in one piece is one run, and a stored one is found as that. */
static void one_shot_is_one_run(void **state)
{
    struct rig_client c = {0}, hit = {0};
    struct iovec runs[2];
    bool is_end;

    lead(*state, &c, 100000);
    append(&c, 0, 100000);
    end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(rig_get(*state, &hit, .now_ms = 0), ZQ_CACHE_HIT);
    assert_int_equal(zq_reader_peek(&hit.reader, runs, 2, &is_end), 1);
    assert_int_equal(runs[0].iov_len, 100000);
    assert_true(is_end);
    rig_leave(&hit);
    /* In many pieces of an announced length too. */
    rig_invalidate(*state, "/");
    lead(*state, &c, 100000);
    for (uint64_t at = 0; at < 100000; at += 1000)
        append(&c, at, 1000);
    zq_entry_finish(&c.writer, true);
    assert_int_equal(zq_reader_peek(&c.reader, runs, 2, &is_end), 1);
    assert_int_equal(take(&c, SIZE), 100000);
    rig_leave(&c);
}

static void a_cut_response_is_aborted(void **state)
{
    struct rig_client c = {0}, waiter = {0};

    lead(*state, &c, 0);
    assert_int_equal(rig_get(*state, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    append(&c, 0, 100);
    assert_int_equal(take(&waiter, 60), 60);
    unsigned before = waiter.reader_news;
    end(&c, false, ZQ_READER_ABORTED);
    assert_int_equal(waiter.reader_news, before + 1);
    assert_int_equal(rig_state(&waiter), ZQ_READER_ABORTED);
    assert_int_equal(take(&waiter, 60), 40);
    rig_leave(&waiter);
    assert_int_equal(zq_cache_used(*state), 0);
}

/* RFC 9112 8: content of another length than announced is not complete. */
static void another_length_is_cut_short(void **state)
{
    struct rig_client c = {0};

    lead(*state, &c, 10);
    append(&c, 0, 9);
    end(&c, true, ZQ_READER_ABORTED);

    lead(*state, &c, 10);
    append(&c, 0, 9);
    append(&c, 9, 5);
    append(&c, 14, 5);
    assert_int_equal(take(&c, 100), 10);
    end(&c, true, ZQ_READER_ABORTED);

    lead(*state, &c, -1);
    append(&c, 0, 1);
    assert_int_equal(take(&c, 100), 0);
    end(&c, true, ZQ_READER_ABORTED);

    pass(*state, &c, 10);
    append(&c, 0, 9);
    end(&c, true, ZQ_READER_ABORTED);
    assert_int_equal(zq_cache_used(*state), 0);
}

/* RFC 9110 8.6: a length that says nothing of the content. */
static void to_head_there_is_no_content(void **state)
{
    struct rig_client c = {0};

    assert_int_equal(rig_get(*state, &c, .method = "HEAD"), ZQ_CACHE_PASS);
    assert_int_equal(rig_head(&c, .length = 10, .no_content = true), 0);
    append(&c, 0, 10);
    assert_int_equal(rig_describe(&c, 0).content_length, 10);
    assert_int_equal(take(&c, 100), 0);
    end(&c, true, ZQ_READER_COMPLETE);

    assert_int_equal(rig_get(*state, &c, .method = "HEAD"), ZQ_CACHE_PASS);
    assert_int_equal(rig_head(&c, .no_content = true), 0);
    zq_entry_finish(&c.writer, true);
    assert_int_equal(rig_describe(&c, 0).content_length, -1);
    rig_leave(&c);

    /* 204 (RFC 9110 15.3.5) may be stored. */
    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .status = 204, .fields = FRESH, .no_content = true), 0);
    end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_HIT);
    assert_int_equal(rig_describe(&c, 0).status, 204);
    rig_expect(&c, "");
    rig_leave(&c);
}

/* ---- who is told ---- */

static void a_reader_is_told_once_between_looks(void **state)
{
    struct rig_client c = {0};

    pass(*state, &c, 0);
    assert_int_equal(c.reader_news, 1);
    append(&c, 0, 10);
    append(&c, 10, 10);
    assert_int_equal(c.reader_news, 1);
    assert_int_equal(rig_state(&c), ZQ_READER_OPEN);
    /* It has seen 20 bytes and will come back for them. */
    append(&c, 20, 10);
    assert_int_equal(c.reader_news, 1);
    assert_int_equal(take(&c, 100), 30);
    append(&c, 30, 10);
    assert_int_equal(c.reader_news, 2);
    append(&c, 40, 10);
    assert_int_equal(c.reader_news, 2);
    assert_int_equal(take(&c, 100), 20);
    zq_entry_finish(&c.writer, true);
    assert_int_equal(c.reader_news, 3);
    rig_leave(&c);
}

/* It took all that it saw, and more came in between: it may wait for that now. */
static void nobody_waits_for_what_is_there(void **state)
{
    struct rig_client c = {0};
    struct iovec run;
    bool is_end;

    pass(*state, &c, 0);
    append(&c, 0, 10);
    assert_int_equal(zq_reader_peek(&c.reader, &run, 1, &is_end), 1);
    append(&c, 10, 10);
    assert_int_equal(c.reader_news, 1);
    zq_reader_advance(&c.reader, 4);
    assert_int_equal(c.reader_news, 1);
    zq_reader_advance(&c.reader, 6);
    assert_int_equal(c.reader_news, 2);
    assert_int_equal(take(&c, 100), 10);
    end(&c, true, ZQ_READER_COMPLETE);
}

static void no_news_after_leaving(void **state)
{
    struct rig_client c = {0}, waiter = {0};

    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(*state, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    rig_leave(&waiter);
    rig_leave(&c);
    assert_int_equal(c.writer_news, 1);
    assert_int_equal(rig_head(&c, .fields = FRESH), 0);
    zq_entry_finish(&c.writer, true);
    assert_int_equal(waiter.reader_news + c.reader_news, 0);
}

static void a_released_reader_is_out(void **state)
{
    struct rig_client c = {0}, waiter = {0};
    struct iovec run;
    bool is_end;

    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(*state, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(rig_head(&c, .status = 200), 0);
    append(&c, 0, 10);
    assert_int_equal(waiter.reader_news, 1);
    assert_int_equal(zq_reader_peek(&waiter.reader, &run, 1, &is_end), 0);
    assert_false(is_end);
    end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(rig_state(&waiter), ZQ_READER_RELEASED);
    rig_leave(&waiter);
}

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

    pass(*state, &c, 0);
    assert_int_equal(zq_writer_window(&c.writer), ZQ_CACHE_WINDOW);
    for (; at < ZQ_CACHE_WINDOW; at += 8192)
        append(&c, at, 8192);
    assert_int_equal(zq_writer_window(&c.writer), 0);
    /* What is over the window is kept all the same; the writer's credit bounds it. */
    append(&c, at, 8192);
    at += 8192;
    assert_int_equal(zq_writer_window(&c.writer), 0);
    size_t most = segments(&c);
    assert_int_equal(take(&c, 8192), 8192);
    assert_int_equal(c.writer_news, 0);
    assert_int_equal(take(&c, ZQ_CACHE_WINDOW), ZQ_CACHE_WINDOW);
    assert_true(c.writer_news >= 1 && c.writer_news <= 5);
    assert_true(segments(&c) < most);
    assert_int_equal(segments(&c), 1);
    assert_int_equal(zq_writer_window(&c.writer), ZQ_CACHE_WINDOW);
    /* Ten megabytes more, in lock-step: never more than the window, and told in steps. */
    unsigned before = c.writer_news;
    for (uint64_t stop = at + (10 << 20); at < stop; at += 16384) {
        append(&c, at, 16384);
        assert_int_equal(take(&c, 20000), 16384);
        assert_true(segments(&c) <= 2);
    }
    assert_true(c.writer_news - before <= (10 << 20) / (ZQ_CACHE_WINDOW / 4));
    assert_true(c.writer_news - before >= (10 << 20) / ZQ_CACHE_WINDOW);
    end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(zq_cache_used(*state), 0);
}

static void a_pass_of_known_length_keeps_a_window(void **state)
{
    struct rig_client c = {0};

    pass(*state, &c, 300000);
    append(&c, 0, 100);
    assert_int_equal(c.writer.entry->first->size, ZQ_SEGMENT_MAX);
    append(&c, 100, 299900);
    assert_int_equal(take(&c, SIZE), 300000);
    end(&c, true, ZQ_READER_COMPLETE);
    pass(*state, &c, 10);
    append(&c, 0, 4);
    assert_int_equal(c.writer.entry->first->size, 10);
    append(&c, 4, 6);
    end(&c, true, ZQ_READER_COMPLETE);
}

static void a_storable_fill_has_the_whole_window(void **state)
{
    struct rig_client c = {0};

    lead(*state, &c, 0);
    append(&c, 0, 100000);
    assert_int_equal(zq_writer_window(&c.writer), ZQ_CACHE_WINDOW);
    assert_int_equal(take(&c, SIZE), 100000);
    assert_int_equal(c.writer_news, 0);
    end(&c, true, ZQ_READER_COMPLETE);
}

/* A slow reader delays nobody while the response is kept whole. */
static void each_reads_at_its_own_pace(void **state)
{
    struct rig_client c = {0}, slow = {0}, late = {0};

    lead(*state, &c, 0);
    assert_int_equal(rig_get(*state, &slow, .now_ms = 0), ZQ_CACHE_JOIN);
    for (uint64_t at = 0; at < 100000; at += 1000) {
        append(&c, at, 1000);
        assert_int_equal(take(&c, 2000), 1000);
        assert_int_equal(take(&slow, 10), 10);
    }
    assert_int_equal(rig_get(*state, &late, .now_ms = 0), ZQ_CACHE_JOIN);
    end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(take(&slow, SIZE), 99000);
    assert_int_equal(take(&late, SIZE), 100000);
    rig_leave(&slow);
    rig_leave(&late);
}

/* ---- a fill that is too large ---- */

static void a_fill_past_the_largest_object_turns_windowed(void **state)
{
    struct rig_client c = {0}, slow = {0}, other = {0};
    uint64_t at = 0;

    lead(*state, &c, 0);
    assert_int_equal(rig_get(*state, &slow, .now_ms = 0), ZQ_CACHE_JOIN);
    while (at + 1000 <= OBJECT_MAX) {
        append(&c, at, 1000);
        at += 1000;
        take(&c, 1000);
    }
    assert_int_equal(take(&slow, 50000), 50000);
    assert_int_equal(c.writer_news, 0);
    append(&c, at, 1000);
    at += 1000;
    assert_false(rig_describe(&c, 0).stored);
    /* The slower one decides now, and nobody joins any more. */
    assert_true(zq_writer_window(&c.writer) < ZQ_CACHE_WINDOW);
    assert_int_equal(rig_get(*state, &other, .now_ms = 0), ZQ_CACHE_LEAD);
    zq_entry_fail(&other.writer, 502);
    rig_leave(&other);
    assert_int_equal(take(&c, SIZE), 1000);
    assert_int_equal(take(&slow, SIZE), at - 50000);
    assert_true(c.writer_news > 0);
    assert_int_equal(segments(&c), 1);
    append(&c, at, 1000);
    end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(take(&slow, SIZE), 1000);
    rig_leave(&slow);
    /* The key is remembered: two ask, and neither waits. */
    struct rig_client one = {0}, two = {0};
    assert_int_equal(rig_get(*state, &one, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(*state, &two, .now_ms = 0), ZQ_CACHE_LEAD);
    zq_entry_fail(&one.writer, 502);
    zq_entry_fail(&two.writer, 502);
    rig_leave(&one);
    rig_leave(&two);
}

static void an_announced_length_that_is_too_large(void **state)
{
    struct rig_client c = {0}, waiter = {0};

    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(*state, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(rig_head(&c, .fields = FRESH, .length = OBJECT_MAX + 1), 0);
    assert_false(rig_describe(&c, 0).stored);
    /* Who waited may have it. */
    append(&c, 0, OBJECT_MAX + 1);
    assert_int_equal(take(&waiter, SIZE), OBJECT_MAX + 1);
    rig_leave(&waiter);
    assert_int_equal(take(&c, SIZE), OBJECT_MAX + 1);
    end(&c, true, ZQ_READER_COMPLETE);
}

static void a_large_stored_response(void **state)
{
    struct zq_cache *cache = zq_cache_new(64 << 20);
    struct rig_client c = {0};
    size_t n = (3 << 20) + 12345;

    lead(cache, &c, (int64_t)n);
    for (uint64_t at = 0; at < n; at += 60000)
        append(&c, at, at + 60000 < n ? 60000 : (size_t)(n - at));
    assert_int_equal(segments(&c), 4);
    end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_HIT);
    size_t got = 0;
    for (size_t part; (part = take(&c, 70000)) > 0;)
        got += part;
    assert_int_equal(got, n);
    rig_leave(&c);
    zq_cache_free(cache);
}

/* ---- writers without readers ---- */

static void a_pass_is_abandoned_when_its_reader_leaves(void **state)
{
    struct rig_client c = {0};

    pass(*state, &c, 0);
    append(&c, 0, 1000);
    assert_false(zq_writer_abandoned(&c.writer));
    rig_leave(&c);
    assert_int_equal(c.writer_news, 1);
    assert_true(zq_writer_abandoned(&c.writer));
    /* What still comes is dropped as it passes. */
    for (uint64_t at = 1000; at < SIZE; at += 1000)
        append(&c, at, 1000);
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
    struct rig_client c = {0};

    lead(*state, &c, 0);
    rig_leave(&c);
    assert_false(zq_writer_abandoned(&c.writer));
    append(&c, 0, 1000);
    assert_int_equal(zq_writer_window(&c.writer), ZQ_CACHE_WINDOW);
    zq_entry_finish(&c.writer, true);
    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_HIT);
    assert_int_equal(take(&c, SIZE), 1000);
    rig_leave(&c);
}

/* A marked key's leader has no copy of its request; the head comes after it has left. */
static void a_head_without_anybody(void **state)
{
    struct rig_client c = {0};

    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .status = 500), 0);
    end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    rig_leave(&c);
    assert_int_equal(rig_head(&c, .fields = FRESH "\nVary: a"), 0);
    assert_true(zq_writer_abandoned(&c.writer));
    zq_entry_finish(&c.writer, true);
    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    zq_entry_fail(&c.writer, 502);
    rig_leave(&c);
}

/* ---- the writer's place ---- */

static void a_writer_may_be_moved(void **state)
{
    struct rig_client c = {0}, fetch = {0};

    assert_int_equal(rig_get(*state, &c, .method = "POST"), ZQ_CACHE_PASS);
    fetch.writer = c.writer;
    c.writer = (struct zq_writer){0};
    fetch.writer.notify = rig_on_writer;
    zq_writer_moved(&fetch.writer);
    rig_leave(&c);
    assert_int_equal(fetch.writer_news, 1);
    assert_int_equal(c.writer_news, 0);
    zq_entry_fail(&fetch.writer, 499);
}

static void a_writer_without_callback_is_not_called(void **state)
{
    struct rig_client c = {0};

    pass(*state, &c, 0);
    c.writer.notify = NULL;
    rig_leave(&c);
    assert_true(zq_writer_abandoned(&c.writer));
    zq_entry_finish(&c.writer, false);
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_cache, close_cache)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_response_goes_through),
        T(the_end_is_where_the_runs_reach_it),
        T(one_shot_is_one_run),
        T(a_cut_response_is_aborted),
        T(another_length_is_cut_short),
        T(to_head_there_is_no_content),
        T(a_reader_is_told_once_between_looks),
        T(nobody_waits_for_what_is_there),
        T(no_news_after_leaving),
        T(a_released_reader_is_out),
        T(a_pass_keeps_a_window),
        T(a_pass_of_known_length_keeps_a_window),
        T(a_storable_fill_has_the_whole_window),
        T(each_reads_at_its_own_pace),
        T(a_fill_past_the_largest_object_turns_windowed),
        T(an_announced_length_that_is_too_large),
        T(a_large_stored_response),
        T(a_pass_is_abandoned_when_its_reader_leaves),
        T(before_the_head_nobody_profits),
        T(a_storable_fill_goes_on_alone),
        T(a_head_without_anybody),
        T(a_writer_may_be_moved),
        T(a_writer_without_callback_is_not_called),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
