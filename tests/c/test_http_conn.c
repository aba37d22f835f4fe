/* src/http: requests and responses over one connection, as conversations. Time and closing are in
 * test_http_close.c. */
#include "test_http_rig.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, fields, body) "POST " path " HTTP/1.1\r\nHost: a\r\n" fields "\r\n" body
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define REPLY(length, body) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body

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
    static const struct zq_http_handler handler = {note_addresses, on_body, on_writable, on_done};
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

static void malformed_chunks_are_refused(void **state)
{
    static const char *const bad[] = {
        "5\nhello\r\n0\r\n\r\n",    "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n", "0x5\r\nhello\r\n",
        "-5\r\nhello\r\n",          "\r\nhello\r\n",
        "5 \r\nhello\r\n",          " 5\r\nhello\r\n",
        "ffffffffffffffffff\r\n",   ";a\r\n",
        "5;\x01\r\nhello\r\n",      "5;a\rb\r\nhello\r\n",
        "5;a\nhello\r\n0\r\n\r\n",  "0\r\na: b\n\r\n",
        "0\r\n a: b\r\n\r\n",       "0\r\nTransfer-Encoding: chunked\r\n\r\n",
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

struct outcome {
    char *heard;
    char log[1024];
};

static struct outcome take_outcome(void)
{
    struct outcome out;
    pump();
    out.heard = strdup(heard_text());
    snprintf(out.log, sizeof(out.log), "%.1000s", rig.log);
    return out;
}

static void expect_same(const struct outcome *expected)
{
    struct outcome actual = take_outcome();
    assert_string_equal(actual.heard, expected->heard);
    assert_string_equal(actual.log, expected->log);
    free(actual.heard);
}

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
        TEST(bodies_come_as_they_are_asked_for),
        TEST(a_body_nobody_asks_for_waits),
        TEST(chunks),
        TEST(malformed_chunks_are_refused),
        TEST(endless_chunk_framing_is_refused),
        TEST(malformed_heads_are_refused),
        TEST(ambiguous_framing_is_refused),
        TEST(an_error_ends_the_connection_behind_the_answers_before_it),
        TEST(limits_have_their_answers),
        TEST(cuts_do_not_matter),
        TEST(short_writes_do_not_matter),
        TEST(content_of_unknown_length_is_chunked),
        TEST(responses_without_content),
        TEST(http_1_0),
        TEST(connection_close_is_obeyed),
        TEST(age_and_cache_status),
        TEST(errors_explain_themselves),
        TEST(content_of_the_wrong_length_is_cut),
        TEST(a_full_socket_is_waited_for),
        TEST(a_head_waits_for_a_full_socket),
        TEST(the_body_is_invited_when_it_is_wanted),
        TEST(a_body_that_comes_uninvited_is_not_invited),
        TEST(a_final_answer_instead_of_an_invitation_closes),
        TEST(nothing_is_invited_where_there_is_no_body),
        TEST(a_small_rest_of_a_body_is_dropped),
        TEST(a_large_rest_closes),
        TEST(an_endless_rest_closes),
        TEST(a_bad_rest_closes),
        TEST(an_answer_may_overtake_its_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
