/* src/http: the short responses of pipelined requests are joined; what becomes of them when the one
 * behind is slow, cut, or has no room. */
#include "test_http_rig.h"

#define POST_LATER POST("/later", "Content-Length: 3\r\n", "a")

static void joined_responses_leave_in_one_sendmsg(void **state)
{
    (void)state;
    sends = 0;
    say(GET("/hello") GET("/status?204") GET("/error?503") GET("/nowhere") GET("/hello"));
    pump();
    assert_int_equal(sends, 1);
    assert_memory_equal(heard_text(), HELLO "HTTP/1.1 204 ", sizeof(HELLO) + 12);
    assert_string_equal(heard_text() + rig.heard.n - 2 * strlen(HELLO), HELLO HELLO);
    expect_log("GET /hello 200 COMPLETE\nGET /status?204 204 COMPLETE\n"
               "GET /error?503 503 COMPLETE\nGET /nowhere 200 COMPLETE\n"
               "GET /hello 200 COMPLETE\n");
    zq_buf_fini(&rig.heard);
}

/* They go out with it, or before it, but never behind. */
static void long_responses_are_not_joined(void **state)
{
    (void)state;
    sends = 0;
    say(GET("/hello") GET("/chunks?20000") GET("/hello"));
    pump();
    assert_in_range(sends, 5, 20000 / 5000 + 2);
    assert_memory_equal(heard_text(), HELLO "HTTP/1.1 200 OK\r\nTransfer-", sizeof(HELLO) + 25);
    assert_string_equal(heard_text() + rig.heard.n - strlen(HELLO), HELLO);
}

static void nothing_waits_for_what_takes_its_time(void **state)
{
    (void)state;
    say(GET("/hello") GET("/hello") GET("/later") GET("/hello"));
    hear(HELLO HELLO);
    assert_int_equal(rig.n_kept, 1);
    reply_text(rig.kept[0], ZQ_SLICE("one"));
    hear(REPLY("3", "one") HELLO);
    say(GET("/hello") GET("/hello") "GET /hel");
    hear(HELLO HELLO);
    say("lo HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(HELLO);
    say(GET("/hello") POST_LATER);
    hear(HELLO);
}

static void a_refusal_comes_behind_them(void **state)
{
    (void)state;
    say(GET("/hello") GET("/hello") "nonsense\r\n\r\n");
    pump();
    assert_memory_equal(heard_text(), HELLO HELLO "HTTP/1.1 400 ", 2 * sizeof(HELLO) + 11);
    assert_true(rig.hung_up);
}

/* What is cut behind them: by the handler, by its length, by a client that has sent its last byte
 * (RFC 9112 9.3.2: whole responses are for whoever asked). */
static const struct {
    const char *text, *log;
    bool shut;
} cuts[] = {
    {GET("/abort"), "GET /abort 200 CUT\n", false},
    {GET("/short") GET("/hello"), "GET /short 200 CUT\n", false},
    {"GET /long HTTP/1.0\r\n\r\n", "GET /long 200 CUT\n", false},
    {POST("/echo", "Content-Length: 3\r\n", "a"), "POST /echo 0 GONE\n", true},
};

static void say_hellos_and(const char *text, bool shut)
{
    char all[512];
    snprintf(all, sizeof(all), GET("/hello") GET("/hello") "%s", text);
    assert_true(send(rig.client, all, strlen(all), MSG_NOSIGNAL) > 0);
    if (shut)
        shutdown(rig.client, SHUT_WR);
    pump();
}

static void they_leave_before_the_connection_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(cuts); i++) {
        connect_pair(0);
        socket_is_full = true;
        say_hellos_and(cuts[i].text, cuts[i].shut);
        assert_int_equal(rig.heard.n, 0);
        assert_false(rig.hung_up);
        expect_log("GET /hello 200 COMPLETE\nGET /hello 200 COMPLETE\n");
        socket_is_full = false;
        send_at_most = 7;
        for (int turns = 0; turns < 40 && !rig.hung_up; turns++)
            pump();
        send_at_most = 0;
        hear(HELLO HELLO); /* and nothing of the other */
        assert_true(rig.hung_up);
        assert_false(rig.reset);
        expect_log(cuts[i].log);
    }
}

static void a_handler_cuts_later(void **state)
{
    (void)state;
    socket_is_full = true;
    say(GET("/hello") GET("/later") GET("/hello"));
    zq_exchange_abort(rig.kept[0]);
    zq_exchange_abort(rig.kept[0]); /* once is enough, but it may not know */
    assert_int_equal(write_text(rig.kept[0], ZQ_SLICE("dropped"), false), 7);
    expect_log("GET /hello 200 COMPLETE\n");
    socket_is_full = false;
    hear(HELLO);
    assert_true(rig.hung_up);
    expect_log("GET /later 0 CUT\n");
}

/* A client that takes nothing does not take them either. */
static void who_does_not_read_is_dropped(void **state)
{
    (void)state;
    rig.config.timeout_write = 50;
    socket_is_full = true;
    say(GET("/hello") GET("/abort"));
    wait_ms(20);
    expect_log("GET /hello 200 COMPLETE\n");
    wait_ms(100);
    expect_log("GET /abort 200 TIMED_OUT\n");
    socket_is_full = false;
    hear("");
    assert_true(rig.hung_up);
}

/* What waits for such a client is bounded: then one response waits, and no request is taken. */
static void what_is_joined_is_bounded(void **state)
{
    enum { MANY = 150 };
    char text[MANY * sizeof(GET("/hello"))] = "", expected[MANY * sizeof(HELLO)] = "";
    (void)state;
    for (int i = 0; i < MANY; i++) {
        strcat(text, GET("/hello"));
        strcat(expected, HELLO);
    }
    socket_is_full = true;
    say(text);
    assert_in_range(strlen(rig.log) / strlen("GET /hello 200 COMPLETE\n"), 1, 40);
    socket_is_full = false;
    for (int turns = 0; turns < MANY && rig.heard.n < strlen(expected); turns++)
        pump();
    hear(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(joined_responses_leave_in_one_sendmsg),
        TEST(long_responses_are_not_joined),
        TEST(nothing_waits_for_what_takes_its_time),
        TEST(a_refusal_comes_behind_them),
        TEST(they_leave_before_the_connection_is_cut),
        TEST(a_handler_cuts_later),
        TEST(who_does_not_read_is_dropped),
        TEST(what_is_joined_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
