/* src/http/linger.c: answers that must reach a client, over TCP, with a client that blocks in a
 * thread of its own. */
#include "http/connection.h"
#include "test_http_rig.h"

#include <pthread.h>
#include <stdatomic.h>

struct blocking_client {
    struct sockaddr_in address;
    const char *head;
    size_t body;    /* bytes to send behind it, whether or not there is an answer */
    size_t pace_us; /* pause after each 64 KiB */
    int receive_buffer;
    bool half_close;
    char answer[4096];
    size_t n;
    int send_error, receive_error;
    atomic_bool done;
};

static void *be_a_client(void *arg)
{
    struct blocking_client *c = arg;
    static char zeros[65536];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->receive_buffer > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &c->receive_buffer, sizeof(c->receive_buffer));
    if (connect(fd, (struct sockaddr *)&c->address, sizeof(c->address)) != 0)
        return NULL;
    if (send(fd, c->head, strlen(c->head), MSG_NOSIGNAL) < 0)
        c->send_error = errno;
    for (size_t left = c->body; left > 0 && c->send_error == 0;) {
        ssize_t n = send(fd, zeros, left < sizeof(zeros) ? left : sizeof(zeros), MSG_NOSIGNAL);
        if (n < 0)
            c->send_error = errno;
        else
            left -= (size_t)n;
        if (c->pace_us > 0)
            usleep((useconds_t)c->pace_us);
    }
    if (c->half_close)
        shutdown(fd, SHUT_WR);
    while (c->n < sizeof(c->answer) - 1) {
        ssize_t n = recv(fd, c->answer + c->n, sizeof(c->answer) - 1 - c->n, 0);
        if (n < 0)
            c->receive_error = errno;
        if (n <= 0)
            break;
        c->n += (size_t)n;
    }
    close(fd);
    c->done = true;
    return NULL;
}

static int listener = -1;

static void on_accept(struct zq_acceptor *acceptor, int fd)
{
    (void)acceptor;
    zq_http_accept(rig.server, fd);
}

/* Runs the client to its end against the server. */
static void converse(struct blocking_client *c)
{
    struct zq_acceptor acceptor = {.on_accept = on_accept};
    socklen_t length = sizeof(c->address);
    pthread_t thread;
    hang_up();
    pump_silently();
    forget();
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    c->address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(listener, (struct sockaddr *)&c->address, length), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&c->address, &length), 0);
    assert_int_equal(listen(listener, 10), 0);
    assert_int_equal(zq_acceptor_start(rig.loop, &acceptor, listener), 0);
    assert_int_equal(pthread_create(&thread, NULL, be_a_client, c), 0);
    for (int i = 0; i < 500 && !c->done; i++)
        wait_ms(16);
    assert_true(c->done);
    pthread_join(thread, NULL);
    zq_acceptor_drain(&acceptor);
    close(listener);
}

#define TEN_MB (10u << 20)

/* The client sends all of its ten megabytes before it reads: not one send fails, and the answer is
 * there in full. */
static void expect_413_reaches(const char *head, size_t body, size_t pace_us)
{
    struct blocking_client c = {.head = head, .body = body, .pace_us = pace_us};
    rig.config.limit_request_body = 1000;
    converse(&c);
    assert_int_equal(c.send_error, 0);
    assert_int_equal(c.receive_error, 0);
    assert_memory_equal(c.answer, "HTTP/1.1 413 ", 13);
    assert_non_null(strstr(c.answer, "larger than the server allows.\n"));
    expect_log("POST /echo 413 REFUSED\n");
}

static void a_413_reaches_a_client_that_is_still_sending(void **state)
{
    (void)state;
    expect_413_reaches(POST("/echo", "Content-Length: 10485760\r\n", ""), TEN_MB, 0);
    expect_413_reaches(POST("/echo", CHUNKED, "a00000\r\n"), TEN_MB, 0);
    /* At 5 MB a second: two seconds. */
    expect_413_reaches(POST("/echo", "Content-Length: 10485760\r\n", ""), TEN_MB, 12500);
}

static void an_early_answer_reaches_a_client_that_is_still_sending(void **state)
{
    struct blocking_client c = {.head = POST("/hello", "Content-Length: 10485760\r\n", ""),
                                .body = TEN_MB};
    (void)state;
    converse(&c);
    assert_int_equal(c.send_error, 0);
    assert_string_equal(c.answer, LAST_HELLO);
}

/* Lingering ends when the client is silent for a second, and in any case after five. */
static void lingering_is_bounded(void **state)
{
    struct blocking_client c = {.head = POST("/hello", "Content-Length: 999999999\r\n", ""),
                                .body = 65536 * 100,
                                .pace_us = 100000};
    int64_t before = zq_now_ms();
    (void)state;
    connect_pair(0);
    say(GET("/hello?close"));
    hear(LAST_HELLO);
    assert_true(rig.hung_up);
    assert_int_equal(zq_http_connections(rig.server), 1);
    wait_ms(900);
    assert_int_equal(zq_http_connections(rig.server), 1);
    wait_ms(200);
    assert_int_equal(zq_http_connections(rig.server), 0);

    before = zq_now_ms();
    converse(&c); /* would take ten seconds */
    assert_in_range(zq_now_ms() - before, 4000, 8000);
    assert_int_not_equal(c.send_error, 0);
    assert_string_equal(c.answer, LAST_HELLO); /* and still has it */
}

#define THE_LAST "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

/* RFC 9112 9.6: a client that sends close MUST NOT send further requests on that connection. */
static void nobody_lingers_for_a_client_that_said_close(void **state)
{
    static const char *const last[] = {
        THE_LAST,
        "GET /hello HTTP/1.0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
    };

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(last); i++) {
        connect_pair(0);
        say(last[i]);
        assert_memory_equal(heard_text(), "HTTP/1.1 200 OK\r\n", 17);
        assert_true(rig.hung_up);
        assert_int_equal(zq_http_connections(rig.server), 0);
    }
}

/* The process may end with its last connection: the client is to have the answer by then. */
static void a_server_that_drains_lingers(void **state)
{
    (void)state;
    connect_pair(0);
    say("GET /hello HTTP/1.1\r\n");
    zq_http_drain(rig.server, NULL);
    say("Host: a\r\nConnection: close\r\n\r\n");
    hear(LAST_HELLO);
    assert_int_equal(zq_http_connections(rig.server), 1);
}

/* One that did is not punished: a reset could take the answer from it. */
static void a_client_that_said_close_and_went_on_is_lingered_for(void **state)
{
    static char more[ZQ_SCRATCH_SIZE + 1000];

    (void)state;
    connect_pair(0);
    say(THE_LAST GET("/hello"));
    hear(LAST_HELLO);
    assert_int_equal(zq_http_connections(rig.server), 1);

    memset(more, 'x', sizeof(more));
    memcpy(more, THE_LAST, strlen(THE_LAST));
    connect_pair(0);
    assert_int_equal(send(rig.client, more, sizeof(more), MSG_DONTWAIT), sizeof(more));
    hear(LAST_HELLO);
    assert_int_equal(zq_http_connections(rig.server), 1);
}

/* Not even with content that was not read when it was answered. */
static void an_early_answer_waits_for_the_rest_of_the_last_request(void **state)
{
    (void)state;
    connect_pair(0);
    say(POST("/hello", "Connection: close\r\nContent-Length: 100\r\n", "some"));
    hear(LAST_HELLO);
    assert_int_equal(zq_http_connections(rig.server), 1);
}

static bool waits_for_the_end(const char *request)
{
    connect_pair(0);
    say(request);
    assert_memory_equal(heard_text(), "HTTP/1.1 200 OK\r\n", 17);
    return (send_flags & MSG_MORE) != 0;
}

/* The last bytes and the end of the connection are one segment; whatever else is sent leaves at
 * once. */
static void the_end_of_the_connection_goes_with_the_last_bytes(void **state)
{
    (void)state;
    assert_true(waits_for_the_end(THE_LAST));
    assert_true(waits_for_the_end("GET /hello HTTP/1.0\r\n\r\n"));
    assert_true(waits_for_the_end("GET /chunks?5000 HTTP/1.0\r\n\r\n"));
    assert_true(waits_for_the_end(GET("/hello?close")));
    assert_true(waits_for_the_end(GET("/hello") THE_LAST));
    assert_false(waits_for_the_end(GET("/hello")));
    assert_false(waits_for_the_end(GET("/chunks?5000")));
    assert_false(waits_for_the_end("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

/* With a rest that the socket did not take at first, too. */
static void a_rest_is_not_kept_back(void **state)
{
    (void)state;
    for (size_t most = 1; most < 100; most++) {
        connect_pair(0);
        send_at_most = most;
        say(THE_LAST);
        for (int i = 0; i < 500 && !rig.hung_up; i++)
            pump();
        send_at_most = 0;
        hear(LAST_HELLO);
        assert_true(rig.hung_up);
    }
}

static void a_close_delimited_response_that_is_cut_ends_in_a_reset(void **state)
{
    struct blocking_client c = {.head = "GET /abort HTTP/1.0\r\n\r\n"};
    (void)state;
    converse(&c);
    assert_int_equal(c.receive_error, ECONNRESET);
    expect_log("GET /abort 200 CUT\n");
    struct blocking_client whole = {.head = "GET /stream HTTP/1.0\r\n\r\n"};
    converse(&whole);
    assert_int_equal(whole.receive_error, 0);
    assert_non_null(strstr(whole.answer, "\r\n\r\nonetwotwotwotwotwotwothree"));
}

static void a_half_closing_blocking_client_is_answered(void **state)
{
    struct blocking_client c = {.head = GET("/hello") GET("/stream") GET("/hello"),
                                .half_close = true};
    (void)state;
    converse(&c);
    assert_int_equal(c.receive_error, 0);
    assert_ptr_equal(strstr(c.answer, HELLO "HTTP/1.1 200"), c.answer);
    assert_string_equal(c.answer + c.n - strlen(HELLO), HELLO);
}

int main(void)
{
    real_time = true; /* the clients are threads that block */
    const struct CMUnitTest tests[] = {
        TEST(a_413_reaches_a_client_that_is_still_sending),
        TEST(an_early_answer_reaches_a_client_that_is_still_sending),
        TEST(lingering_is_bounded),
        TEST(nobody_lingers_for_a_client_that_said_close),
        TEST(a_server_that_drains_lingers),
        TEST(a_client_that_said_close_and_went_on_is_lingered_for),
        TEST(an_early_answer_waits_for_the_rest_of_the_last_request),
        TEST(the_end_of_the_connection_goes_with_the_last_bytes),
        TEST(a_rest_is_not_kept_back),
        TEST(a_close_delimited_response_that_is_cut_ends_in_a_reset),
        TEST(a_half_closing_blocking_client_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
