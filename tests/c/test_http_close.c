/* src/http: time limits, clients that leave, cuts and draining.
 * Lingering closes are in test_http_linger.c. */
#include "test_http_rig.h"

#include "http/connection.h"

#include <pthread.h>
#include <sys/resource.h>

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
    rig.config.limit_request_body_rate = 0;
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

/* Each byte comes in time, but together they are too slow: the time waited counts. */
static void a_body_that_trickles_is_a_408(void **state)
{
    (void)state;
    rig.config.timeout_request_body = 100;
    rig.config.limit_request_body_rate = 100;
    say(POST("/echo", "Content-Length: 100\r\n", "0"));
    for (int i = 0; i < 20 && !rig.hung_up; i++) {
        wait_ms(50);
        say("1");
    }
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
        char some[20000];
        let_pass(30);
        assert_true(recv(rig.client, some, sizeof(some), 0) > 0);
        pump_silently();
    }
    expect_log("");
    let_pass(100);
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

/* Also when it had already finished before the request that it waits for was begun. */
static void a_half_closed_client_may_leave_in_a_later_request(void **state)
{
    (void)state;
    say(GET("/later") GET("/later"));
    shutdown(rig.client, SHUT_WR);
    wait_ms(200);
    reply_text(rig.kept[0], ZQ_SLICE("hello"));
    hear(HELLO);
    wait_ms(900);
    expect_log("GET /later 200 COMPLETE\n");
    wait_ms(200);
    expect_log("GET /later 0 GONE\n");
}

static void *stop_later(void *nothing)
{
    usleep(300000);
    zq_loop_stop(rig.loop);
    return nothing;
}

/* Pipelined input that must wait, and the end of the input behind it, must not keep it busy. */
static void waiting_costs_nothing(void **state)
{
    struct rusage before, after;
    pthread_t thread;
    (void)state;
    say(GET("/later"));
    say(GET("/hello"));
    shutdown(rig.client, SHUT_WR);
    getrusage(RUSAGE_THREAD, &before);
    assert_int_equal(pthread_create(&thread, NULL, stop_later, NULL), 0);
    zq_loop_run(rig.loop); /* for real time: what spins does it here */
    pthread_join(thread, NULL);
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
    say(GET("/abort") GET("/hello"));
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
    hear(HELLO); /* the next one has begun, too */
    assert_false(rig.empty);
    say("llo HTTP/1.1\r\nHost: a\r\n\r\n");
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
        TEST(a_body_that_trickles_is_a_408),
        TEST(a_slow_body_behind_a_begun_answer_is_cut),
        TEST(nobody_waits_for_a_body_that_is_not_asked_for),
        TEST(a_rest_that_does_not_come_closes),
        TEST(a_client_that_takes_nothing_is_cut),
        TEST(a_slow_application_is_no_matter_of_time_here),
        TEST(a_client_that_closes_is_gone),
        TEST(the_middle_of_a_request_answers_nothing),
        TEST(a_half_closed_client_gets_its_answer),
        TEST(a_half_closed_client_that_takes_nothing_for_a_second_is_gone),
        TEST(a_half_closed_client_may_leave_in_a_later_request),
        TEST(waiting_costs_nothing),
        TEST(a_failed_write_ends_when_the_turn_ends),
        TEST(an_aborted_response_is_seen_as_incomplete),
        TEST(freeing_the_server_cuts),
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
