/* src/http: time limits, clients that leave, lingering closes, cuts and draining. */
#include "test_http_rig.h"

#include "http/connection.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, fields, body) "POST " path " HTTP/1.1\r\nHost: a\r\n" fields "\r\n" body
#define CHUNKED "Transfer-Encoding: chunked\r\n"

static void send_now(const char *text)
{
    assert_true(send(rig.client, text, strlen(text), 0) == (ssize_t)strlen(text));
}

/* ---- time ---- */

static void a_connection_that_says_nothing_closes_silently(void **state)
{
    (void)state;
    rig.config.timeout_request_header = 50;
    connect_pair(0);
    wait_ms(30);
    assert_false(rig.hung_up);
    wait_ms(60);
    assert_true(rig.hung_up);
    hear("");
    expect_log("");
    assert_int_equal(zq_http_connections(rig.server), 0);
}

static void an_idle_connection_closes_silently(void **state)
{
    (void)state;
    rig.config.timeout_keep_alive = 50;
    for (int i = 0; i < 4; i++) { /* the time counts from the last answer */
        say(GET("/hello"));
        hear(HELLO);
        wait_ms(30);
        assert_false(rig.hung_up);
    }
    say("\r\n"); /* begins nothing */
    wait_ms(60);
    assert_true(rig.hung_up);
    hear("");
    expect_log("GET /hello 200 COMPLETE\nGET /hello 200 COMPLETE\nGET /hello 200 COMPLETE\n"
               "GET /hello 200 COMPLETE\n");
}

static void a_slow_head_is_a_408(void **state)
{
    (void)state;
    rig.config.timeout_request_header = 100;
    connect_pair(0);
    for (int i = 0; i < 2; i++) { /* for the whole head, not between its bytes */
        say_bytes("GET /slow HTTP/1.1\r\n" + i * 10, 10);
        wait_ms(40);
    }
    wait_ms(60);
    hear_refusal(408);
    expect_log("GET /slow 408 TIMED_OUT\n");

    connect_pair(0);
    say("GE");
    wait_ms(130);
    hear_refusal(408);
    expect_log("  408 TIMED_OUT\n");
}

static void a_slow_body_is_a_408(void **state)
{
    (void)state;
    rig.config.timeout_request_body = 60;
    say(POST("/echo", "Content-Length: 10\r\n", "0"));
    for (int i = 0; i < 4; i++) { /* between reads */
        wait_ms(30);
        say("1");
    }
    assert_false(rig.hung_up);
    wait_ms(100);
    hear_refusal(408);
    expect_log("POST /echo 408 TIMED_OUT\n");
}

static void a_slow_body_behind_a_begun_answer_is_cut(void **state)
{
    (void)state;
    rig.config.timeout_request_body = 50;
    say(POST("/later", "Content-Length: 10\r\n", "0"));
    zq_exchange_want(rig.kept[0], 100);
    reply(rig.kept[0], 200, -1, ZQ_SLICE("early"), false);
    wait_ms(100);
    expect_log("POST /later 200 TIMED_OUT\n");
    assert_true(rig.hung_up);
}

/* A body that the application does not ask for is no fault of the client's. */
static void nobody_waits_for_a_body_that_is_not_asked_for(void **state)
{
    (void)state;
    rig.config.timeout_request_body = 30;
    rig.config.timeout_keep_alive = 30;
    rig.config.timeout_request_header = 30;
    say(POST("/later", "Content-Length: 10\r\n", "0"));
    wait_ms(100);
    expect_log("");
    reply_text(rig.kept[0], ZQ_SLICE("hello"));
    hear(HELLO);
}

static void a_rest_that_does_not_come_closes(void **state)
{
    (void)state;
    rig.config.timeout_request_body = 50;
    say(POST("/hello", "Content-Length: 10\r\n", "0"));
    hear(HELLO);
    wait_ms(100);
    assert_true(rig.hung_up);
    hear("");
}

static void a_client_that_takes_nothing_is_cut(void **state)
{
    (void)state;
    rig.config.timeout_write = 50;
    connect_pair(1);
    send_now(GET("/big?900000"));
    pump_silently();
    for (int i = 0; i < 5; i++) { /* as long as it takes something now and then, it may go on */
        struct zq_timer timer = {.on_expire = on_time};
        char some[20000];
        zq_timer_set(rig.loop, &timer, 30);
        zq_loop_run(rig.loop);
        assert_true(recv(rig.client, some, sizeof(some), 0) > 0);
        pump_silently();
    }
    expect_log("");
    struct zq_timer timer = {.on_expire = on_time};
    zq_timer_set(rig.loop, &timer, 100);
    zq_loop_run(rig.loop);
    expect_log("GET /big?900000 200 TIMED_OUT\n");
    assert_int_equal(zq_http_connections(rig.server), 0);
}

static void a_slow_application_is_no_matter_of_time_here(void **state)
{
    (void)state;
    rig.config.timeout_write = rig.config.timeout_keep_alive = rig.config.timeout_request_header =
        30;
    say(GET("/later"));
    wait_ms(100);
    expect_log("");
    reply(rig.kept[0], 200, -1, ZQ_SLICE("part"), false);
    wait_ms(100);
    expect_log("");
    write_text(rig.kept[0], ZQ_SLICE("rest"), true);
    expect_log("GET /later 200 COMPLETE\n");
}

/* ---- clients that leave ---- */

static void a_client_that_closes_is_gone(void **state)
{
    (void)state;
    say(GET("/later"));
    hang_up(); /* both ways: seen at once on a Unix socket */
    pump();
    expect_log("GET /later 0 GONE\n");
    assert_int_equal(zq_http_connections(rig.server), 0);
}

static void the_middle_of_a_request_answers_nothing(void **state)
{
    (void)state;
    say("GET /hello HTTP/1.1\r\n");
    shutdown(rig.client, SHUT_WR);
    hear("");
    assert_true(rig.hung_up);
    expect_log("");
    connect_pair(0);
    say(POST("/echo", "Content-Length: 10\r\n", "012"));
    shutdown(rig.client, SHUT_WR);
    hear("");
    assert_true(rig.hung_up);
    expect_log("POST /echo 0 GONE\n");
}

static void a_half_closed_client_gets_its_answer(void **state)
{
    (void)state;
    say(GET("/hello") GET("/later"));
    shutdown(rig.client, SHUT_WR);
    hear(HELLO);
    wait_ms(300);
    reply_text(rig.kept[0], ZQ_SLICE("hello"));
    hear(HELLO);
    assert_true(rig.hung_up);
    expect_log("GET /hello 200 COMPLETE\nGET /later 200 COMPLETE\n");
}

static void a_half_closed_client_that_takes_nothing_for_a_second_is_gone(void **state)
{
    (void)state;
    say(GET("/later"));
    shutdown(rig.client, SHUT_WR);
    wait_ms(900);
    expect_log("");
    reply(rig.kept[0], 200, -1, ZQ_SLICE("part"), false); /* output: another second */
    wait_ms(900);
    expect_log("");
    wait_ms(400);
    expect_log("GET /later 200 GONE\n");
}

/* Pipelined input that must wait, and the end of the input behind it, must not keep it busy. */
static void waiting_costs_nothing(void **state)
{
    struct rusage before, after;
    (void)state;
    say(GET("/later"));
    say(GET("/hello"));
    shutdown(rig.client, SHUT_WR);
    getrusage(RUSAGE_THREAD, &before);
    wait_ms(300);
    getrusage(RUSAGE_THREAD, &after);
    assert_in_range(after.ru_stime.tv_usec - before.ru_stime.tv_usec +
                        1000000 * (after.ru_stime.tv_sec - before.ru_stime.tv_sec),
                    0, 50000);
    reply_text(rig.kept[0], ZQ_SLICE("hello"));
    hear(HELLO HELLO);
    assert_true(rig.hung_up);
}

static void a_failed_write_ends_when_the_turn_ends(void **state)
{
    (void)state;
    say(GET("/later"));
    hang_up();
    reply(rig.kept[0], 200, -1, ZQ_SLICE("part"), false);
    expect_log(""); /* never from within, when there is more to come */
    write_text(rig.kept[0], ZQ_SLICE("part"), false);
    zq_exchange_want(rig.kept[0], 5);
    write_text(rig.kept[0], ZQ_SLICE("part"), true);
    pump();
    expect_log("GET /later 200 GONE\n");
}

/* ---- cuts ---- */

static void an_aborted_response_is_seen_as_incomplete(void **state)
{
    (void)state;
    say(GET("/abort"));
    hear("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n");
    assert_true(rig.hung_up);
    expect_log("GET /abort 200 CUT\n");
    connect_pair(0);
    say(GET("/later"));
    zq_exchange_abort(rig.kept[0]);
    hear("");
    assert_true(rig.hung_up);
    expect_log("GET /later 0 CUT\n");
}

static void freeing_the_server_cuts(void **state)
{
    (void)state;
    say(GET("/later"));
    zq_http_server_free(rig.server);
    expect_log("GET /later 0 CUT\n");
    rig.server = NULL;
}

/* ---- TCP, with a client that blocks in a thread of its own ---- */

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

/* ---- draining ---- */

static void on_empty(struct zq_http_server *server)
{
    assert_int_equal(zq_http_connections(server), 0);
    rig.empty = true;
}

static void draining_closes_idle_connections_at_once(void **state)
{
    (void)state;
    say(GET("/hello"));
    hear(HELLO);
    zq_http_drain(rig.server, on_empty);
    assert_true(rig.empty);
    hear("");
    assert_true(rig.hung_up);
}

static void draining_answers_what_has_begun(void **state)
{
    (void)state;
    say(GET("/later") "GET /he");
    zq_http_drain(rig.server, on_empty);
    pump();
    assert_false(rig.empty);
    reply_text(rig.kept[0], ZQ_SLICE("hello"));
    hear(LAST_HELLO);
    hang_up();
    pump();
    assert_true(rig.empty);

    tear_down(NULL);
    set_up(NULL);
    say("GET /hello HTTP/1.1\r\nHo");
    zq_http_drain(rig.server, on_empty);
    say("st: a\r\n\r\n");
    hear(LAST_HELLO);
    hang_up();
    pump();
    assert_true(rig.empty);
}

/* Sent, but not read yet: it would be lost by closing. */
static void draining_looks_into_the_socket(void **state)
{
    (void)state;
    say(GET("/hello"));
    hear(HELLO);
    send_now(GET("/hello"));
    zq_http_drain(rig.server, on_empty);
    assert_false(rig.empty);
    hear(LAST_HELLO);
}

static void draining_is_patient_with_new_connections(void **state)
{
    (void)state;
    zq_http_drain(rig.server, on_empty);
    wait_ms(500);
    say(GET("/hello"));
    hear(LAST_HELLO);
    connect_pair(0); /* from the backlog */
    wait_ms(500);
    assert_false(rig.hung_up);
    wait_ms(600);
    assert_true(rig.hung_up);
    assert_true(rig.empty);
}

static void draining_nothing_is_done_at_once(void **state)
{
    (void)state;
    hang_up();
    pump();
    zq_http_drain(rig.server, on_empty);
    assert_true(rig.empty);
}

/* A response that has begun without `Connection: close` ends its connection all the same. */
static void draining_in_the_middle_of_a_response(void **state)
{
    (void)state;
    say(GET("/later"));
    reply(rig.kept[0], 200, 10, ZQ_SLICE("hello"), false);
    zq_http_drain(rig.server, on_empty);
    write_text(rig.kept[0], ZQ_SLICE("hello"), true);
    hear("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhellohello");
    assert_true(rig.hung_up);
    assert_true(rig.empty);
}

/* ---- memory ---- */

/* What an idle connection holds: itself, and the text of its addresses. */
static void an_idle_connection_is_small(void **state)
{
    struct zq_conn *conn;
    (void)state;
    say(POST("/echo", "Content-Length: 5\r\n", "hello") GET("/big?100000") GET("/hello"));
    for (int i = 0; i < 20; i++)
        pump();
    assert_int_equal(rig.server->n_connections, 1);
    conn = ZQ_CONTAINER(rig.server->connections.next, struct zq_conn, node);
    assert_int_equal(conn->state, ZQ_CONN_IDLE);
    assert_null(conn->exchange);
    assert_null(conn->in.p);
    assert_null(conn->out.p);
    assert_in_range(sizeof(*conn) + sizeof(*conn->peer) + 2 * INET6_ADDRSTRLEN, 0, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_that_says_nothing_closes_silently),
        TEST(an_idle_connection_closes_silently),
        TEST(a_slow_head_is_a_408),
        TEST(a_slow_body_is_a_408),
        TEST(a_slow_body_behind_a_begun_answer_is_cut),
        TEST(nobody_waits_for_a_body_that_is_not_asked_for),
        TEST(a_rest_that_does_not_come_closes),
        TEST(a_client_that_takes_nothing_is_cut),
        TEST(a_slow_application_is_no_matter_of_time_here),
        TEST(a_client_that_closes_is_gone),
        TEST(the_middle_of_a_request_answers_nothing),
        TEST(a_half_closed_client_gets_its_answer),
        TEST(a_half_closed_client_that_takes_nothing_for_a_second_is_gone),
        TEST(waiting_costs_nothing),
        TEST(a_failed_write_ends_when_the_turn_ends),
        TEST(an_aborted_response_is_seen_as_incomplete),
        TEST(freeing_the_server_cuts),
        TEST(a_413_reaches_a_client_that_is_still_sending),
        TEST(an_early_answer_reaches_a_client_that_is_still_sending),
        TEST(lingering_is_bounded),
        TEST(a_close_delimited_response_that_is_cut_ends_in_a_reset),
        TEST(a_half_closing_blocking_client_is_answered),
        TEST(draining_closes_idle_connections_at_once),
        TEST(draining_answers_what_has_begun),
        TEST(draining_looks_into_the_socket),
        TEST(draining_is_patient_with_new_connections),
        TEST(draining_nothing_is_done_at_once),
        TEST(draining_in_the_middle_of_a_response),
        TEST(an_idle_connection_is_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
