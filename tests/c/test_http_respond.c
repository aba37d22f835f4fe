/* src/http: responses: framing, versions, slow clients; as conversations. */
#include "test_http_rig.h"

/* ---- responses ---- */

static void content_of_unknown_length_is_chunked(void **state)
{
    (void)state;
    say(GET("/stream"));
    hear("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
         "12\r\ntwotwotwotwotwotwo\r\n5\r\nthree\r\n0\r\n\r\n");
    say(GET("/unknown-length"));
    hear("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_false(rig.hung_up);
}

static void responses_without_content(void **state)
{
    (void)state;
    say("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    hear("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    say("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    hear("HTTP/1.1 200 OK\r\n\r\n");
    say("HEAD /big?100000 HTTP/1.1\r\nHost: a\r\n\r\n");
    hear("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    say("HEAD /short HTTP/1.1\r\nHost: a\r\n\r\n");
    hear("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    say(GET("/status?204"));
    hear("HTTP/1.1 204 No Content\r\n\r\n");
    say(GET("/status?304"));
    hear("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    say(GET("/hello"));
    hear(HELLO);
}

static void http_1_0(void **state)
{
    (void)state;
    say("GET /hello HTTP/1.0\r\n\r\n");
    hear(LAST_HELLO);
    assert_true(rig.hung_up);

    connect_pair(0);
    say("GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    hear("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello");
    say("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    hear("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nonetwotwotwotwotwotwothree");
    assert_true(rig.hung_up);

    connect_pair(0);
    say("GET /hello HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n");
    hear(LAST_HELLO);
    connect_pair(0);
    say("POST /echo HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab");
    hear("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab");
}

static void connection_close_is_obeyed(void **state)
{
    (void)state;
    say("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: foo\r\nconnection: bar , CLOSE\r\n\r\n" GET(
        "/x"));
    hear(LAST_HELLO);
    assert_true(rig.hung_up);
    expect_log("GET /hello 200 COMPLETE\n"); /* what follows is not read */

    connect_pair(0);
    say(GET("/hello?close"));
    hear(LAST_HELLO);
    assert_true(rig.hung_up);
}

static void the_handler_may_end_the_connection(void **state)
{
    (void)state;
    say(GET("/later") GET("/hello"));
    zq_exchange_close_after(rig.kept[0]);
    zq_exchange_error(rig.kept[0], 503, 0, (struct zq_slice){0});
    hear_refusal(503);
    expect_log("GET /later 503 COMPLETE\n");
}

static void age_and_cache_status(void **state)
{
    struct zq_response_head head = {
        .status = 200,
        .block = ZQ_SLICE("HTTP/1.1 200 OK\r\nX: y\r\n"),
        .content_length = 0,
        .age = 12,
        .cache_status = ZQ_SLICE("zq; hit; ttl=3"),
    };
    (void)state;
    say(GET("/later"));
    zq_exchange_start(rig.kept[0], &head, NULL, 0, true);
    hear("HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\nAge: 12\r\nCache-Status: zq; hit; "
         "ttl=3\r\n\r\n");
}

/* RFC 9110 15.2: any number before the final response, none for HTTP/1.0; one that would have to
 * wait is dropped. */
static void interim_responses(void **state)
{
    struct zq_slice block = ZQ_SLICE("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n");
    (void)state;
    say(GET("/later"));
    zq_exchange_interim(rig.kept[0], block);
    hear("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    send_at_most = 10;
    refuse_this_time = false;
    zq_exchange_interim(rig.kept[0], block);
    zq_exchange_interim(rig.kept[0], block);
    for (int i = 0; i < 20; i++)
        pump();
    send_at_most = 0;
    hear("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    reply_text(rig.kept[0], ZQ_SLICE("hello"));
    hear(HELLO);
    say("GET /later HTTP/1.0\r\n\r\n");
    zq_exchange_interim(rig.kept[1], block);
    hear("");
}

static void errors_explain_themselves(void **state)
{
    (void)state;
    rig.config.date_header = rig.config.server_header = true;
    say(GET("/error?503"));
    pump();
    assert_non_null(strstr(heard_text(), "HTTP/1.1 503 Service Unavailable\r\nDate: "));
    assert_non_null(strstr(heard_text(), " GMT\r\nServer: zq\r\nContent-Type: text/plain; "
                                         "charset=utf-8\r\nRetry-After: 7\r\nContent-Length: "));
    assert_non_null(strstr(heard_text(), "\r\nCache-Status: zq; fwd=bypass\r\n\r\n503 Service "
                                         "Unavailable: the server is too busy, or restarting.\n"));
    assert_false(rig.hung_up);
    expect_log("GET /error?503 503 COMPLETE\n");
}

static void content_of_the_wrong_length_is_cut(void **state)
{
    (void)state;
    say(GET("/short"));
    hear("");
    assert_true(rig.hung_up);
    expect_log("GET /short 200 CUT\n");
    connect_pair(0);
    say(GET("/long"));
    hear("");
    assert_true(rig.hung_up);
    expect_log("GET /long 200 CUT\n");
    /* Also when it shows only later. */
    connect_pair(0);
    say(GET("/later"));
    reply(rig.kept[0], 200, 10, ZQ_SLICE("hello"), false);
    hear("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    write_text(rig.kept[0], ZQ_SLICE("hell"), true);
    hear("");
    assert_true(rig.hung_up);
}

/* ---- slow clients: the socket takes little at a time ---- */

static void expect_big(size_t n)
{
    assert_int_equal(rig.heard.n, n);
    for (size_t i = 0; i < n; i++)
        if (zq_buf_data(&rig.heard)[i] != big_byte(i))
            fail_msg("byte %zu", i);
    zq_buf_fini(&rig.heard);
}

static void skip_head(void)
{
    const char *end = strstr(heard_text(), "\r\n\r\n");
    assert_non_null(end);
    zq_buf_consume(&rig.heard, (size_t)(end + 4 - zq_buf_data(&rig.heard)));
}

static void dechunk(void)
{
    struct zq_buf plain = {0};
    const char *p = zq_buf_data(&rig.heard);
    size_t size;
    do {
        char *after;
        size = strtoul(p, &after, 16);
        assert_memory_equal(after, "\r\n", 2);
        assert_int_equal(zq_buf_append(&plain, after + 2, size), 0);
        p = after + 2 + size;
        assert_memory_equal(p, "\r\n", 2);
        p += 2;
    } while (size > 0);
    assert_ptr_equal(p, zq_buf_data(&rig.heard) + rig.heard.n);
    zq_buf_fini(&rig.heard);
    rig.heard = plain;
}

static void a_full_socket_is_waited_for(void **state)
{
    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        connect_pair(1); /* the kernel's least */
        say(chunked ? GET("/chunks?300000") : GET("/big?300000"));
        for (int i = 0; i < 2000 && strlen(rig.log) == 0; i++)
            pump();
        pump();
        assert_true(strstr(rig.log, " 200 COMPLETE\n") != NULL);
        heard_text();
        skip_head();
        if (chunked)
            dechunk();
        expect_big(300000);
        say(GET("/hello"));
        hear(HELLO);
    }
}

/* Heads, too, wait where the socket has no room for them: first it is filled, then a response is
 * written whose head cannot leave. */
static void a_head_waits_for_a_full_socket(void **state)
{
    static const char *const kinds[] = {GET("/hello"), GET("/unknown-length"), GET("/error?500")};
    (void)state;
    for (size_t kind = 0; kind < ZQ_ARRAY_SIZE(kinds); kind++) {
        struct zq_buf many = {0};
        connect_pair(1);
        say(kinds[kind]);
        pump();
        size_t one = rig.heard.n;
        for (int i = 0; i < 400; i++)
            zq_buf_append(&many, kinds[kind], strlen(kinds[kind]));
        for (size_t sent = 0; sent < many.n;) {
            ssize_t n = send(rig.client, zq_buf_data(&many) + sent, many.n - sent, MSG_NOSIGNAL);
            sent += n > 0 ? (size_t)n : 0;
            pump_silently();
            if (n < 0)
                listen_up();
        }
        for (int i = 0; i < 500; i++)
            pump();
        assert_int_equal(rig.heard.n, 401 * one);
        for (size_t i = 1; i <= 400; i++)
            assert_memory_equal(zq_buf_data(&rig.heard), zq_buf_data(&rig.heard) + i * one, one);
        zq_buf_fini(&many);
    }
}

/* ---- every short write ---- */

static const char *const answered[] = {
    GET("/hello") GET("/stream") GET("/describe") "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n",
    POST("/echo", "Content-Length: 3\r\nExpect: 100-continue\r\n", ""),
    POST("/echo", CHUNKED, "3\r\nabc\r\n0\r\n\r\n") GET("/status?204") GET("/unknown-length"),
    GET("/big?1000") GET("/chunks?1000") GET("/error?503") "FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /stream HTTP/1.0\r\n\r\n",
    "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
};

/* Also not for the sizes of chunks: what was begun as one is finished as one. */
static void short_writes_do_not_matter(void **state)
{
    (void)state;
    for (size_t c = 0; c < ZQ_ARRAY_SIZE(answered); c++) {
        connect_pair(0);
        say(answered[c]);
        struct outcome whole = take_outcome();
        for (size_t most = 1; most < 120; most++) {
            connect_pair(0);
            send_at_most = most;
            say(answered[c]);
            for (int i = 0; i < 3000 && rig.heard.n < strlen(whole.heard); i++)
                pump();
            send_at_most = 0;
            expect_same(&whole);
        }
        free(whole.heard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(short_writes_do_not_matter),  TEST(content_of_unknown_length_is_chunked),
        TEST(responses_without_content),   TEST(http_1_0),
        TEST(connection_close_is_obeyed),  TEST(the_handler_may_end_the_connection),
        TEST(age_and_cache_status),        TEST(interim_responses),
        TEST(errors_explain_themselves),   TEST(content_of_the_wrong_length_is_cut),
        TEST(a_full_socket_is_waited_for), TEST(a_head_waits_for_a_full_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
