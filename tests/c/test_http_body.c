/* src/http: request bodies: asked for, invited, refused, left unread; as conversations. */
#include "test_http_rig.h"

/* ---- request bodies ---- */

static void bodies_come_as_they_are_asked_for(void **state)
{
    char body[9000], request[9200];
    (void)state;
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = big_byte(i);
    snprintf(request, sizeof(request), POST("/echo", "Content-Length: 9000\r\n", "%.9000s"), body);
    say(request);
    snprintf(request, sizeof(request), REPLY("9000", "%.9000s"), body);
    hear(request);
    say(POST("/sip", "Content-Length: 3\r\n", "abc"));
    hear(REPLY("3", "abc"));
    say(POST("/sip", CHUNKED, "3\r\nabc\r\n0\r\n\r\n"));
    hear(REPLY("3", "abc"));
}

/* Until somebody asks for it, a body stays where it is; what one read brought waits here. */
static void a_body_nobody_asks_for_waits(void **state)
{
    (void)state;
    say(POST("/later", "Content-Length: 6\r\n", "abc"));
    say("def");
    assert_int_equal(rig.n_kept, 1);
    assert_null(rig.kept[0]->user);
    zq_exchange_want(rig.kept[0], 2);
    assert_null(rig.kept[0]->user); /* never from within */
    pump();
    assert_int_equal(errand_of(rig.kept[0])->body.n, 2);
    zq_exchange_want(rig.kept[0], 100);
    pump();
    assert_memory_equal(zq_buf_data(&errand_of(rig.kept[0])->body), "abcdef", 6);
    assert_true(rig.kept[0]->body_done);
    reply_text(rig.kept[0], ZQ_SLICE("thanks"));
    hear(REPLY("6", "thanks"));
    assert_false(rig.hung_up);
}

static void chunks(void **state)
{
    (void)state;
    say(POST("/echo", CHUNKED,
             "5;a=b;c=\"d\"\r\nhello\r\n00003\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n") GET("/hello"));
    hear(REPLY("8", "helloabc") HELLO);
    say(POST("/echo", CHUNKED, "0\r\n\r\n") GET("/hello"));
    hear(REPLY("0", "") HELLO);
}

/* RFC 9110 6.5.1: a trailer field that would frame or route the message must not; it is dropped
 * like the others. RFC 9112 7.1.2 */
static void trailers_are_dropped(void **state)
{
    static const char *const trailers[] = {
        "Content-Length: 7\r\n",
        "Transfer-Encoding: gzip\r\ncontent-length: a\r\n",
        "Connection: close\r\nExpect: b\r\nHost:\r\n",
        "a:\t\xff \r\n",
    };
    char request[256];
    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(trailers); i++) {
        snprintf(request, sizeof(request), POST("/echo", CHUNKED, "5\r\nhello\r\n0\r\n%s\r\n"),
                 trailers[i]);
        for (const char *c = request; *c != '\0'; c++)
            say((char[]){*c, '\0'});
        hear(REPLY("5", "hello"));
        strcat(request, GET("/hello"));
        say(request);
        hear(REPLY("5", "hello") HELLO);
    }
}

static void malformed_chunks_are_refused(void **state)
{
    static const char *const bad[] = {
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        "\r\nhello\r\n",
        "5 \r\nhello\r\n",
        " 5\r\nhello\r\n",
        "ffffffffffffffffff\r\n",
        ";a\r\n",
        "5;\x01\r\nhello\r\n",
        "5;a\rb\r\nhello\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "0\r\na: b\n\r\n",
        "0\r\n a: b\r\n\r\n",
        "0\r\na: b\r\n c\r\n\r\n",
        "0\r\na : b\r\n\r\n",
        "0\r\n: b\r\n\r\n",
        "0\r\na\r\n\r\n",
        "0\r\na: b\rc\r\n\r\n",
        "0\r\na: \x7f\r\n\r\n",
        "0\r\na: b\r\n\r\r\n",
        "0\r\nContent-Length : 1\r\n\r\n",
    };
    char request[256];
    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(bad); i++) {
        connect_pair(0);
        snprintf(request, sizeof(request), POST("/echo", CHUNKED, "%s"), bad[i]);
        say(request);
        hear_refusal(400);
        expect_log("POST /echo 400 REFUSED\n");
    }
}

static void endless_chunk_framing_is_refused(void **state)
{
    static const char *const parts[] = {";a=b", "x: y\r\n"};
    static const char *const heads[] = {"5", "0\r\n"};
    (void)state;
    rig.config.limit_request_headers = 4096;
    for (size_t i = 0; i < 2; i++) {
        connect_pair(0);
        say(POST("/echo", CHUNKED, ""));
        say(heads[i]);
        for (int k = 0; k < 3000 && !rig.hung_up; k++)
            say(parts[i]);
        hear_refusal(400);
    }
    /* Small chunks are wasteful, but allowed. */
    connect_pair(0);
    say(POST("/echo", CHUNKED, ""));
    for (int k = 0; k < 3000; k++)
        say("1\r\nx\r\n");
    say("0\r\n\r\n");
    pump();
    assert_memory_equal(heard_text(), "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n", 39);
}

/* ---- Expect ---- */

#define EXPECT "Expect: 100-Continue\r\n"

static void the_body_is_invited_when_it_is_wanted(void **state)
{
    (void)state;
    say(POST("/echo", "Content-Length: 3\r\n" EXPECT, ""));
    hear("HTTP/1.1 100 Continue\r\n\r\n");
    say("abc");
    hear(REPLY("3", "abc"));
    say(POST("/later", CHUNKED EXPECT, ""));
    hear("");
    zq_exchange_want(rig.kept[0], 100);
    zq_exchange_want(rig.kept[0], 100);
    hear("HTTP/1.1 100 Continue\r\n\r\n"); /* once */
    say("0\r\n\r\n");
    reply_text(rig.kept[0], ZQ_SLICE("hello"));
    hear(HELLO);
    assert_false(rig.hung_up);
}

static void a_body_that_comes_uninvited_is_not_invited(void **state)
{
    (void)state;
    say(POST("/echo", "Content-Length: 3\r\n" EXPECT, "abc"));
    hear(REPLY("3", "abc"));
    say(POST("/hello", "Content-Length: 3\r\n" EXPECT, "abc") GET("/hello"));
    hear(HELLO HELLO);
}

static void a_final_answer_instead_of_an_invitation_closes(void **state)
{
    (void)state;
    say(POST("/hello", "Content-Length: 3\r\n" EXPECT, ""));
    hear(LAST_HELLO);
    assert_true(rig.hung_up);
    expect_log("POST /hello 200 COMPLETE\n");
}

static void nothing_is_invited_where_there_is_no_body(void **state)
{
    (void)state;
    say("GET /hello HTTP/1.1\r\nHost: a\r\n" EXPECT "\r\n");
    hear(HELLO);
    say(POST("/echo", "Content-Length: 0\r\n" EXPECT, ""));
    hear(REPLY("7", "nothing"));
}

/* ---- answers before the body was read ---- */

static void a_small_rest_of_a_body_is_dropped(void **state)
{
    (void)state;
    say(POST("/hello", "Content-Length: 10\r\n", "01234"));
    hear(HELLO);
    say("56789" GET("/hello"));
    hear(HELLO);
    say(POST("/hello", CHUNKED, "3\r\nab"));
    hear(HELLO);
    say("c\r\n0\r\n\r\n" GET("/hello"));
    hear(HELLO);
    assert_false(rig.hung_up);
}

static void a_large_rest_closes(void **state)
{
    (void)state;
    say(POST("/hello", "Content-Length: 1000000\r\n", "01234"));
    hear(LAST_HELLO);
    assert_true(rig.hung_up);
}

static void an_endless_rest_closes(void **state)
{
    (void)state;
    say(POST("/hello", CHUNKED, ""));
    hear(HELLO);
    for (int i = 0; i < 200 && !rig.hung_up; i++) {
        char chunk[1008];
        memcpy(chunk, "3e8\r\n", 5);
        memset(chunk + 5, 'x', 1000);
        memcpy(chunk + 1005, "\r\n", 3);
        say(chunk);
    }
    assert_true(rig.hung_up);
    hear("");
}

static void a_bad_rest_closes(void **state)
{
    (void)state;
    say(POST("/hello", CHUNKED, "zz\r\n") GET("/hello"));
    hear(HELLO);
    assert_true(rig.hung_up);
    expect_log("POST /hello 200 COMPLETE\n");
}

static void an_answer_may_overtake_its_request(void **state)
{
    (void)state;
    say(POST("/later", "Content-Length: 6\r\n", "abc"));
    zq_exchange_want(rig.kept[0], 100);
    reply(rig.kept[0], 200, -1, ZQ_SLICE("early"), false);
    hear("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n");
    say("def");
    assert_true(rig.kept[0]->body_done);
    write_text(rig.kept[0], ZQ_SLICE("late"), true);
    hear("4\r\nlate\r\n0\r\n\r\n");
    say(GET("/hello"));
    hear(HELLO);
}
/* An upgrade that is not ours is ignored, and the body is a body (RFC 9110 7.8). */
static void upgrades_are_ignored(void **state)
{
    (void)state;
    say(POST("/echo", "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n", "abc")
            POST("/echo", "Connection: upgrade\r\nUpgrade: h2c\r\n" CHUNKED, "1\r\nx\r\n0\r\n\r\n")
                GET("/hello"));
    hear(REPLY("3", "abc") REPLY("1", "x") HELLO);
}

/* zq/http.h: "Where content may be read into". What follows it is not content, and stays here; and
 * so does what has framing in it. */
static void content_is_read_to_where_it_is_wanted(void **state)
{
    (void)state;
    rig.room_size = 4;
    say(POST("/echo", "Content-Length: 9\r\n", "abc"));
    say("defghi" GET("/hello"));
    hear(REPLY("9", "abcdefghi") HELLO);
    assert_int_equal(rig.in_room, 6); /* "abc" came with the head */
    say(POST("/echo", CHUNKED, "3\r\nabc\r\n"));
    say("3\r\ndef\r\n0\r\n\r\n");
    hear(REPLY("6", "abcdef"));
    assert_int_equal(rig.in_room, 6);
    say(POST("/sip", "Content-Length: 5\r\n", "a"));
    say("bcde");
    hear(REPLY("5", "abcde")); /* never more than was asked for */
    assert_int_equal(rig.in_room, 10);
}

/* zq/http.h: "Then no more is read or delivered until zq_exchange_want is called again, be it for 0
 * bytes, and the client is not taken for slow". What came with the head waits for the rest's room.
 */
static void content_waits_for_room(void **state)
{
    (void)state;
    rig.config.timeout_request_body = 50;
    rig.room_size = sizeof(rig.room);
    rig.no_room = true;
    say(POST("/later", "Content-Length: 9\r\n", "abc"));
    zq_exchange_want(rig.kept[0], 9);
    say("def");
    wait_ms(200);
    assert_int_equal(errand_of(rig.kept[0])->body.n, 0);
    rig.no_room = false;
    zq_exchange_want(rig.kept[0], 0);
    say("ghi" GET("/hello"));
    assert_true(rig.kept[0]->body_done);
    assert_int_equal(rig.in_room, 6);
    assert_memory_equal(zq_buf_data(&errand_of(rig.kept[0])->body), "abcdefghi", 9);
    reply_text(rig.kept[0], ZQ_SLICE("hello"));
    hear(HELLO HELLO);
}

/* zq/http.h: "0 changes nothing but that what waits for on_body_room asks it again": a client that
 * expects 100 (RFC 9110 10.1.1) is not told to go on by that. */
static void wanting_nothing_asks_for_nothing(void **state)
{
    (void)state;
    say(POST("/later", "Content-Length: 3\r\nExpect: 100-continue\r\n", ""));
    zq_exchange_want(rig.kept[0], 0);
    wait_ms(20);
    hear("");
    zq_exchange_want(rig.kept[0], 3);
    hear("HTTP/1.1 100 Continue\r\n\r\n");
    say("abc");
    reply_text(rig.kept[0], ZQ_SLICE("hello"));
    hear(HELLO);
}

/* What is all there needs no room, and an answer does not wait for any. */
static void content_that_is_there_needs_no_room(void **state)
{
    (void)state;
    rig.no_room = true;
    say(POST("/echo", "Content-Length: 3\r\n", "abc"));
    hear(REPLY("3", "abc"));
    say(POST("/later", "Content-Length: 9\r\n", "abc"));
    zq_exchange_want(rig.kept[0], 9);
    say("defghi" GET("/hello"));
    reply_text(rig.kept[0], ZQ_SLICE("hello"));
    hear(HELLO HELLO);
}

/* RFC 9112 8: what is cut off there is as incomplete as elsewhere. */
static void content_that_ends_early_where_it_is_wanted(void **state)
{
    (void)state;
    rig.room_size = sizeof(rig.room);
    say(POST("/echo", "Content-Length: 9\r\n", "abc"));
    say("def");
    shutdown(rig.client, SHUT_WR);
    pump();
    hear("");
    assert_true(rig.hung_up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bodies_come_as_they_are_asked_for),
        TEST(a_body_nobody_asks_for_waits),
        TEST(chunks),
        TEST(content_is_read_to_where_it_is_wanted),
        TEST(content_that_ends_early_where_it_is_wanted),
        TEST(content_waits_for_room),
        TEST(wanting_nothing_asks_for_nothing),
        TEST(content_that_is_there_needs_no_room),
        TEST(trailers_are_dropped),
        TEST(malformed_chunks_are_refused),
        TEST(endless_chunk_framing_is_refused),
        TEST(the_body_is_invited_when_it_is_wanted),
        TEST(a_body_that_comes_uninvited_is_not_invited),
        TEST(a_final_answer_instead_of_an_invitation_closes),
        TEST(nothing_is_invited_where_there_is_no_body),
        TEST(a_small_rest_of_a_body_is_dropped),
        TEST(a_large_rest_closes),
        TEST(an_endless_rest_closes),
        TEST(a_bad_rest_closes),
        TEST(an_answer_may_overtake_its_request),
        TEST(upgrades_are_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
