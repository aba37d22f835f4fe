/* src/http: requests and responses over one connection, as conversations. Time and closing are in
 * test_http_close.c. */
#include "test_http_rig.h"

/* ---- one after the other ---- */

static void a_request_is_answered_and_the_connection_kept(void **state)
{
    (void)state;
    say(GET("/hello"));
    hear(HELLO);
    expect_log("GET /hello 200 COMPLETE\n");
    say(GET("/hello?a"));
    hear(HELLO);
    expect_log("GET /hello?a 200 COMPLETE\n");
    assert_false(rig.hung_up);
    assert_int_equal(zq_http_connections(rig.server), 1);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    say(GET("/hello") POST("/echo", "Content-Length: 3\r\n", "abc") GET("/echo")
            POST("/echo", CHUNKED, "2\r\nde\r\n0\r\n\r\n") GET("/hello"));
    hear(HELLO REPLY("3", "abc") REPLY("7", "nothing") REPLY("2", "de") HELLO);
    expect_log("GET /hello 200 COMPLETE\nPOST /echo 200 COMPLETE\nGET /echo 200 COMPLETE\n"
               "POST /echo 200 COMPLETE\nGET /hello 200 COMPLETE\n");
}

static void a_slow_answer_holds_those_behind_it(void **state)
{
    (void)state;
    say(GET("/later") GET("/hello"));
    say(GET("/later"));
    hear("");
    assert_int_equal(rig.n_kept, 1);
    reply_text(rig.kept[0], ZQ_SLICE("one"));
    hear(REPLY("3", "one") HELLO);
    assert_int_equal(rig.n_kept, 2);
    reply_text(rig.kept[1], ZQ_SLICE("two"));
    hear(REPLY("3", "two"));
}

/* More than a turn takes: none is lost, and another connection is served in between. */
static void a_flood_of_pipelined_requests_is_answered(void **state)
{
    enum { MANY = 2000 };
    struct zq_buf text = {0}, expected = {0};
    (void)state;
    for (int i = 0; i < MANY; i++) {
        zq_buf_append(&text, GET("/hello"), sizeof(GET("/hello")) - 1);
        zq_buf_append(&expected, HELLO, sizeof(HELLO) - 1);
    }
    say_bytes(zq_buf_data(&text), text.n);
    for (int i = 0; i < MANY && rig.heard.n < expected.n; i++)
        pump();
    assert_int_equal(rig.heard.n, expected.n);
    assert_memory_equal(zq_buf_data(&rig.heard), zq_buf_data(&expected), expected.n);
    zq_buf_fini(&text);
    zq_buf_fini(&expected);
}

static void one_empty_line_before_a_request_is_ignored(void **state)
{
    (void)state;
    say("\r\n" GET("/hello"));
    hear(HELLO);
    say("\r");
    say("\n");
    say(GET("/hello"));
    hear(HELLO);
    say("\r\n\r\n" GET("/hello"));
    hear_refusal(400);
    expect_log("GET /hello 200 COMPLETE\nGET /hello 200 COMPLETE\n  400 REFUSED\n");
}

/* ---- what the handler is told ---- */

static void expect_description(const char *request, const char *description)
{
    char expected[1024];
    snprintf(expected, sizeof(expected), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(description), description);
    connect_pair(0);
    say(request);
    hear(expected);
    assert_false(rig.hung_up);
}

static void requests_are_described(void **state)
{
    (void)state;
    expect_description(
        "GET /describe?x=%20&y HTTP/1.1\r\nHOST: Example.org:80 \r\nX-Empty:\r\nX-A:  b\t c \t\r\n"
        "X-Bytes: \xe9\r\nx-a: 2\r\n\r\n",
        "GET|/describe?x=%20&y|/describe|x=%20&y|1.1|Example.org:80|0|0|-1\n"
        "host=[Example.org:80]\nx-empty=[]\nx-a=[b\t c]\nx-bytes=[\xe9]\nx-a=[2]\n");
    expect_description("GET http://Real.org:81/describe?q HTTP/1.1\r\nA: b\r\nHost: other\r\n\r\n",
                       "GET|/describe?q|/describe|q|1.1|Real.org:81|0|0|-1\n"
                       "a=[b]\nhost=[Real.org:81]\n");
    expect_description("GET /describe HTTP/1.1\r\nHost: a\r\nAZaz09!#$%&'*+-.^_`|~ZA-Zz: V\r\n\r\n",
                       "GET|/describe|/describe||1.1|a|0|0|-1\n"
                       "host=[a]\nazaz09!#$%&'*+-.^_`|~za-zz=[V]\n");
    expect_description("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
                       "OPTIONS|*|*||1.1|a|0|0|-1\nhost=[a]\n");
    expect_description("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
                       "OPTIONS|*|*||1.1|a|0|0|-1\nhost=[a]\n");
    expect_description(
        "GET /describe HTTP/1.7\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET|/describe|/describe||1.1|a|0|0|-1\n"
        "host=[a]\nconnection=[upgrade]\nupgrade=[h2c]\n");
    expect_description("POST /describe HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                       "POST|/describe|/describe||1.1|a|0|0|0\nhost=[a]\ncontent-length=[0]\n");
    expect_description("POST /describe HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
                       "POST|/describe|/describe||1.1|a|1|0|3\nhost=[a]\ncontent-length=[3]\n");
    expect_description(
        "POST /describe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
        "POST|/describe|/describe||1.1|a|1|0|-1\nhost=[a]\ntransfer-encoding=[Chunked]\n");
    expect_description(
        "POST /describe HTTP/1.1\r\nHost:\ta\t\r\nTransfer-Encoding: \tchunked\t \r\n\r\n0\r\n\r\n",
        "POST|/describe|/describe||1.1|a|1|0|-1\nhost=[a]\ntransfer-encoding=[chunked]\n");
    /* Every method of llhttp's list is the application's. */
    expect_description("PROPFIND /describe HTTP/1.1\r\nHost: a\r\n\r\n",
                       "PROPFIND|/describe|/describe||1.1|a|0|0|-1\nhost=[a]\n");
    expect_description("M-SEARCH /describe HTTP/1.1\r\nHost: a\r\n\r\n",
                       "M-SEARCH|/describe|/describe||1.1|a|0|0|-1\nhost=[a]\n");
    expect_description("QUERY /describe HTTP/1.1\r\nHost: a\r\n\r\n",
                       "QUERY|/describe|/describe||1.1|a|0|0|-1\nhost=[a]\n");
}

static void an_absolute_target_without_a_path(void **state)
{
    (void)state;
    say("GET http://a HTTP/1.1\r\nHost: a\r\n\r\nGET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(HELLO HELLO);
    expect_log("GET / 200 COMPLETE\nGET /?x 200 COMPLETE\n");
}

static struct zq_address client_address, server_address;
static char client_host[64], server_host[64];

static void note_addresses(struct zq_http_server *server, struct zq_exchange *ex)
{
    (void)server;
    client_address = ex->request.client;
    server_address = ex->request.server;
    snprintf(client_host, sizeof(client_host), "%.*s", (int)client_address.host.n,
             client_address.host.p);
    snprintf(server_host, sizeof(server_host), "%.*s", (int)server_address.host.n,
             server_address.host.p);
    assert_true(zq_slice_eq(ex->request.scheme, ZQ_SLICE("http")));
    reply_text(ex, ZQ_SLICE("hello"));
}

/* Connects over `family` to a listener at `bind_to` and asks once. */
static uint16_t ask_over(int family, const char *bind_to, const char *connect_to)
{
    static const struct zq_http_handler handler = {
        .on_request = note_addresses,
        .on_body = on_body,
        .on_writable = on_writable,
        .on_done = on_done,
    };
    struct zq_http_server *server = zq_http_server_new(rig.loop, &rig.config, &handler, &rig);
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    int listener = socket(AF_INET6, SOCK_STREAM, 0), off = 0;
    socklen_t length = sizeof(v6);
    hang_up();
    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    inet_pton(AF_INET6, bind_to, &v6.sin6_addr);
    if (bind(listener, (struct sockaddr *)&v6, sizeof(v6)) != 0)
        skip();
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&v6, &length);
    rig.client = socket(family, SOCK_STREAM, 0);
    v4.sin_port = v6.sin6_port;
    if (family == AF_INET) {
        inet_pton(AF_INET, connect_to, &v4.sin_addr);
        assert_int_equal(connect(rig.client, (struct sockaddr *)&v4, sizeof(v4)), 0);
    } else {
        inet_pton(AF_INET6, connect_to, &v6.sin6_addr);
        assert_int_equal(connect(rig.client, (struct sockaddr *)&v6, sizeof(v6)), 0);
    }
    zq_http_accept(server, accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    say(GET("/"));
    wait_ms(20);
    hear(HELLO);
    close(listener);
    zq_http_server_free(server);
    return ntohs(v6.sin6_port);
}

static void addresses(void **state)
{
    (void)state;
    uint16_t port = ask_over(AF_INET, "::", "127.0.0.1");
    assert_string_equal(client_host, "127.0.0.1"); /* came as ::ffff:127.0.0.1 */
    assert_string_equal(server_host, "127.0.0.1");
    assert_int_equal(server_address.port, port);
    assert_true(client_address.port != 0 && !client_address.is_unix);
    ask_over(AF_INET6, "::1", "::1");
    assert_string_equal(client_host, "::1");
}

/* ---- heads that are refused ---- */

static void refuse(const char *request, unsigned status)
{
    connect_pair(0);
    say(request);
    hear_refusal(status);
    assert_non_null(strstr(rig.log, "REFUSED\n"));
}

static void malformed_heads_are_refused(void **state)
{
    (void)state;
    refuse("GET /\r\n", 400);
    refuse("GET / HTTP/2.0\r\n\r\n", 505);
    refuse("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400);
    refuse("\x16\x03\x01\x02\x00\x01", 400);
    refuse("FROB / HTTP/1.1\r\nHost: a\r\n\r\n", 501);
    refuse("DESCRIBE / HTTP/1.1\r\nHost: a\r\n\r\n", 501);
    refuse("get / HTTP/1.1\r\nHost: a\r\n\r\n", 501);
    refuse("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501);
    refuse("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refuse("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refuse("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\n\r\n", 400);
    refuse("GET http://a/ HTTP/1.1\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400);
    refuse("GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nX : z\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417);
    refuse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue, tea\r\n\r\n",
           417);
}

static void ambiguous_framing_is_refused(void **state)
{
    static const struct {
        const char *fields;
        unsigned status;
    } cases[] = {
        {"Content-Length: 1\r\nContent-Length: 2\r\n", 400},
        {"Content-Length: 1\r\nContent-Length: 1\r\n", 400},
        {"Content-Length: 1, 1\r\n", 400},
        {"Content-Length: +1\r\n", 400},
        {"Content-Length: -1\r\n", 400},
        {"Content-Length: 0x1\r\n", 400},
        {"Content-Length: 1 2\r\n", 400},
        {"Content-Length:\r\n", 400},
        {"Content-Length: 9223372036854775808\r\n", 400},
        {"Content-Length: 18446744073709551617\r\n", 400},
        {"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", 400},
        {"Transfer-Encoding: gzip\r\n", 400},
        {"Transfer-Encoding: gzip, chunked\r\n", 501},
        {"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501},
        {"Transfer-Encoding: chunked, gzip\r\n", 400},
        {"Transfer-Encoding: chunked, chunked\r\n", 400},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Transfer-Encoding: xchunked\r\n", 400},
        {"Transfer-Encoding: chunkedx\r\n", 400},
        {"Transfer-Encoding: \"chunked\"\r\n", 400},
        {"Transfer-Encoding: chunked;q=1\r\n", 400},
        {"Transfer-Encoding: \x0b"
         "chunked\r\n",
         400},
        {"Transfer-Encoding:\r\n", 400},
        {"Transfer-Encoding : chunked\r\n", 400},
    };
    char request[256];
    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(cases); i++) {
        snprintf(request, sizeof(request), POST("/", "%s", "0\r\n\r\n"), cases[i].fields);
        refuse(request, cases[i].status);
    }
    refuse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

static void an_error_ends_the_connection_behind_the_answers_before_it(void **state)
{
    (void)state;
    say(GET("/later") "GET / HTTP/1.1\r\n\r\n" GET("/hello"));
    hear("");
    reply_text(rig.kept[0], ZQ_SLICE("one"));
    pump();
    assert_ptr_equal(strstr(heard_text(), REPLY("3", "one") "HTTP/1.1 400 "), heard_text());
    expect_log("GET /later 200 COMPLETE\nGET / 400 REFUSED\n");
    assert_true(rig.hung_up);
}

static void limits_have_their_answers(void **state)
{
    char request[4096];
    (void)state;
    rig.config.limit_request_line = 100;
    rig.config.limit_request_headers = 1000;
    rig.config.limit_request_header_count = 3;
    rig.config.limit_request_body = 10;
    memset(request, 'a', sizeof(request));
    memcpy(request, "GET /", 5);
    request[150] = '\0';
    refuse(request, 414);
    refuse("GET / HTTP/1.1\r\na:\r\nb:\r\nc:\r\nd:\r\n", 431);
    snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nx: %01200d", 1);
    refuse(request, 431);
    refuse(POST("/echo", "Content-Length: 11\r\n", ""), 413);
    expect_log("POST /echo 413 REFUSED\n");
    refuse(POST("/echo", "Content-Length: 11\r\nExpect: 100-continue\r\n", ""), 413);
    refuse(POST("/echo", CHUNKED, "5\r\nhello\r\n6\r\nhello!\r\n"), 413);
    expect_log("POST /echo 413 REFUSED\n");
    connect_pair(0);
    say(POST("/echo", "Content-Length: 10\r\n", "0123456789"));
    hear(REPLY("10", "0123456789"));
    say(POST("/echo", CHUNKED, "5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n"));
    hear(REPLY("10", "hellohello"));
}

/* ---- every cut ---- */

static const char *const conversations[] = {
    GET("/describe?x") POST("/echo", "Content-Length: 5\r\n", "hello") GET("/later"),
    "\r\n" POST("/echo", CHUNKED, "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nA: b\r\n\r\n") GET("/stream"),
    POST("/sip", CHUNKED, "3\r\nabc\r\n0\r\n\r\n")
        GET("/hello") "FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
    POST("/hello", "Content-Length: 4\r\n", "abcd") GET("/hello") "GET / HTTP/1.1\r\n\r\n",
    POST("/hello", CHUNKED,
         "3\r\nabc\r\n0\r\n\r\n") "GET /describe HTTP/1.0\r\nA: b\r\n\r\n" GET("/x"),
    POST("/echo", CHUNKED, "3\r\nabcd\r\n0\r\n\r\n") GET("/hello"),
    GET("/hello") "GET  / HTTP/1.1\r\n\r\n",
    POST("/echo", "Content-Length: 2\r\nConnection: close\r\n", "ab") GET("/hello"),
};

static void cuts_do_not_matter(void **state)
{
    (void)state;
    for (size_t c = 0; c < ZQ_ARRAY_SIZE(conversations); c++) {
        const char *text = conversations[c];
        size_t n = strlen(text);
        connect_pair(0);
        say_bytes(text, n);
        struct outcome whole = take_outcome();
        assert_true(strlen(whole.heard) > 0);
        for (size_t cut = 1; cut < n; cut++) {
            connect_pair(0);
            say_bytes(text, cut);
            say_bytes(text + cut, n - cut);
            expect_same(&whole);
        }
        connect_pair(0);
        for (size_t i = 0; i < n; i++)
            say_bytes(text + i, 1);
        expect_same(&whole);
        free(whole.heard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_answered_and_the_connection_kept),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(a_slow_answer_holds_those_behind_it),
        TEST(a_flood_of_pipelined_requests_is_answered),
        TEST(one_empty_line_before_a_request_is_ignored),
        TEST(requests_are_described),
        TEST(an_absolute_target_without_a_path),
        TEST(addresses),
        TEST(malformed_heads_are_refused),
        TEST(ambiguous_framing_is_refused),
        TEST(an_error_ends_the_connection_behind_the_answers_before_it),
        TEST(limits_have_their_answers),
        TEST(cuts_do_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
