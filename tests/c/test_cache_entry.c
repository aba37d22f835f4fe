/* What goes through an entry: streams, windows, and who is told when. */
#include "test_cache_rig.h"

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

    rig_lead(*state, &c, 0);
    for (int i = 0; i < 3; i++)
        rig_append_bytes(&c, (uint64_t)i * 5000, 5000);
    zq_entry_finish(&c.writer, true);
    assert_int_equal(zq_reader_peek(&c.reader, runs, 1, &is_end), 1);
    assert_false(is_end);
    int n = zq_reader_peek(&c.reader, runs, 8, &is_end);
    assert_true(n > 1);
    assert_true(is_end);
    assert_int_equal(rig_take_bytes(&c, 20000), 15000);
    rig_leave(&c);
}

/* What is stored is found in few runs, whether it came in one piece or in many. */
static void what_is_stored_is_in_few_runs(void **state)
{
    struct rig_client c = {0}, hit = {0};
    struct iovec runs[2];
    bool is_end;

    rig_lead(*state, &c, 100000);
    rig_append_bytes(&c, 0, 100000);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(rig_get(*state, &hit, .now_ms = 0), ZQ_CACHE_HIT);
    assert_int_equal(zq_reader_peek(&hit.reader, runs, 2, &is_end), 2);
    assert_int_equal(runs[0].iov_len + runs[1].iov_len, 100000);
    assert_true(is_end);
    rig_leave(&hit);
    /* In many pieces of an announced length too. */
    rig_invalidate(*state, "/");
    rig_lead(*state, &c, 60000);
    for (uint64_t at = 0; at < 60000; at += 1000)
        rig_append_bytes(&c, at, 1000);
    zq_entry_finish(&c.writer, true);
    assert_int_equal(zq_reader_peek(&c.reader, runs, 2, &is_end), 1);
    assert_int_equal(rig_take_bytes(&c, RIG_SIZE), 60000);
    rig_leave(&c);
}

static void a_cut_response_is_aborted(void **state)
{
    struct rig_client c = {0}, waiter = {0};

    rig_lead(*state, &c, 0);
    assert_int_equal(rig_get(*state, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    rig_append_bytes(&c, 0, 100);
    assert_int_equal(rig_take_bytes(&waiter, 60), 60);
    unsigned before = waiter.reader_news;
    rig_end(&c, false, ZQ_READER_ABORTED);
    assert_int_equal(waiter.reader_news, before + 1);
    assert_int_equal(rig_state(&waiter), ZQ_READER_ABORTED);
    assert_int_equal(rig_take_bytes(&waiter, 60), 40);
    rig_leave(&waiter);
    assert_int_equal(zq_cache_used(*state), 0);
}

/* RFC 9112 8: content of another length than announced is not complete. */
static void another_length_is_cut_short(void **state)
{
    struct rig_client c = {0};

    rig_lead(*state, &c, 10);
    rig_append_bytes(&c, 0, 9);
    rig_end(&c, true, ZQ_READER_ABORTED);

    rig_lead(*state, &c, 10);
    rig_append_bytes(&c, 0, 9);
    rig_append_bytes(&c, 9, 5);
    rig_append_bytes(&c, 14, 5);
    assert_int_equal(rig_take_bytes(&c, 100), 10);
    rig_end(&c, true, ZQ_READER_ABORTED);

    rig_lead(*state, &c, -1);
    rig_append_bytes(&c, 0, 1);
    assert_int_equal(rig_take_bytes(&c, 100), 0);
    rig_end(&c, true, ZQ_READER_ABORTED);

    rig_pass(*state, &c, 10);
    rig_append_bytes(&c, 0, 9);
    rig_end(&c, true, ZQ_READER_ABORTED);
    assert_int_equal(zq_cache_used(*state), 0);
}

/* RFC 9110 8.6: a length that says nothing of the content. */
static void to_head_there_is_no_content(void **state)
{
    struct rig_client c = {0};

    assert_int_equal(rig_get(*state, &c, .method = "HEAD"), ZQ_CACHE_PASS);
    assert_int_equal(rig_head(&c, .length = 10, .no_content = true), 0);
    rig_append_bytes(&c, 0, 10);
    assert_int_equal(rig_describe(&c, 0).content_length, 10);
    assert_int_equal(rig_take_bytes(&c, 100), 0);
    rig_end(&c, true, ZQ_READER_COMPLETE);

    assert_int_equal(rig_get(*state, &c, .method = "HEAD"), ZQ_CACHE_PASS);
    assert_int_equal(rig_head(&c, .no_content = true), 0);
    zq_entry_finish(&c.writer, true);
    assert_int_equal(rig_describe(&c, 0).content_length, -1);
    rig_leave(&c);

    /* 204 (RFC 9110 15.3.5) may be stored. */
    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .status = 204, .fields = RIG_FRESH, .no_content = true), 0);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_HIT);
    assert_int_equal(rig_describe(&c, 0).status, 204);
    rig_expect(&c, "");
    rig_leave(&c);
}

/* ---- who is told ---- */

static void a_reader_is_told_once_between_looks(void **state)
{
    struct rig_client c = {0};

    rig_pass(*state, &c, 0);
    assert_int_equal(c.reader_news, 1);
    rig_append_bytes(&c, 0, 10);
    rig_append_bytes(&c, 10, 10);
    assert_int_equal(c.reader_news, 1);
    assert_int_equal(rig_state(&c), ZQ_READER_OPEN);
    /* It has seen 20 bytes and will come back for them. */
    rig_append_bytes(&c, 20, 10);
    assert_int_equal(c.reader_news, 1);
    assert_int_equal(rig_take_bytes(&c, 100), 30);
    rig_append_bytes(&c, 30, 10);
    assert_int_equal(c.reader_news, 2);
    rig_append_bytes(&c, 40, 10);
    assert_int_equal(c.reader_news, 2);
    assert_int_equal(rig_take_bytes(&c, 100), 20);
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

    rig_pass(*state, &c, 0);
    rig_append_bytes(&c, 0, 10);
    assert_int_equal(zq_reader_peek(&c.reader, &run, 1, &is_end), 1);
    rig_append_bytes(&c, 10, 10);
    assert_int_equal(c.reader_news, 1);
    zq_reader_advance(&c.reader, 4);
    assert_int_equal(c.reader_news, 1);
    zq_reader_advance(&c.reader, 6);
    assert_int_equal(c.reader_news, 2);
    assert_int_equal(rig_take_bytes(&c, 100), 10);
    rig_end(&c, true, ZQ_READER_COMPLETE);
}

static void no_news_after_leaving(void **state)
{
    struct rig_client c = {0}, waiter = {0};

    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(*state, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    rig_leave(&waiter);
    rig_leave(&c);
    assert_int_equal(c.writer_news, 1);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH), 0);
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
    rig_append_bytes(&c, 0, 10);
    assert_int_equal(waiter.reader_news, 1);
    assert_int_equal(zq_reader_peek(&waiter.reader, &run, 1, &is_end), 0);
    assert_false(is_end);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(rig_state(&waiter), ZQ_READER_RELEASED);
    rig_leave(&waiter);
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

    rig_pass(*state, &c, 0);
    c.writer.notify = NULL;
    rig_leave(&c);
    assert_true(zq_writer_abandoned(&c.writer));
    zq_entry_finish(&c.writer, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_response_goes_through),
        RIG_TEST(the_end_is_where_the_runs_reach_it),
        RIG_TEST(what_is_stored_is_in_few_runs),
        RIG_TEST(a_cut_response_is_aborted),
        RIG_TEST(another_length_is_cut_short),
        RIG_TEST(to_head_there_is_no_content),
        RIG_TEST(a_reader_is_told_once_between_looks),
        RIG_TEST(nobody_waits_for_what_is_there),
        RIG_TEST(no_news_after_leaving),
        RIG_TEST(a_released_reader_is_out),
        RIG_TEST(a_writer_may_be_moved),
        RIG_TEST(a_writer_without_callback_is_not_called),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
