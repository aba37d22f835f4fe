/* src/http: content that another process writes to the client's socket. */
#include "test_http_rig.h"

#include "http/connection.h"

#define LENT "0123456789"

/* The exchange of a request for /later, its head written; what the other has: a copy of the socket.
 */
static struct zq_exchange *lend_of(const char *request, int64_t length, int *copy)
{
    say(request);
    struct zq_exchange *ex = rig.kept[rig.n_kept - 1];
    reply(ex, 200, length, (struct zq_slice){0}, false);
    int fd = zq_exchange_lend_socket(ex, 10);
    *copy = fd < 0 ? -1 : dup(fd);
    return ex;
}

static void write_copy(int copy, const char *text)
{
    assert_int_equal(write(copy, text, strlen(text)), strlen(text));
}

static void what_the_other_wrote_is_as_good_as_written(void **state)
{
    int copy;

    (void)state;
    struct zq_exchange *ex = lend_of(GET("/later"), 10, &copy);
    write_copy(copy, LENT);
    close(copy);
    zq_exchange_returned(ex, 10, false);
    assert_int_equal(ex->body_bytes, 10);
    write_text(ex, (struct zq_slice){0}, true);
    hear(REPLY("10", LENT));
    expect_log("GET /later 200 COMPLETE\n");
    say(GET("/hello")); /* the connection goes on */
    hear(HELLO);
}

static void a_pipelined_request_waits_for_it(void **state)
{
    int copy;

    (void)state;
    struct zq_exchange *ex = lend_of(GET("/later") GET("/hello"), 10, &copy);
    write_copy(copy, LENT);
    close(copy);
    hear(REPLY("10", LENT));
    zq_exchange_returned(ex, 10, false);
    write_text(ex, (struct zq_slice){0}, true);
    hear(HELLO);
    expect_log("GET /later 200 COMPLETE\nGET /hello 200 COMPLETE\n");
}

static void content_may_come_from_both(void **state)
{
    int copy;

    (void)state;
    struct zq_exchange *ex = lend_of(GET("/later"), 16, &copy);
    assert_int_equal(zq_exchange_lend_socket(ex, 17), -1);
    write_copy(copy, LENT);
    close(copy);
    zq_exchange_returned(ex, 10, false);
    assert_int_equal(zq_exchange_lend_socket(ex, 7), -1);
    assert_int_equal(write_text(ex, ZQ_SLICE("behind"), true), 6);
    hear(REPLY("16", LENT "behind"));
    expect_log("GET /later 200 COMPLETE\n");
}

/* Less than was lent for: cut, as any response that is too short. */
static void what_is_missing_is_not_complete(void **state)
{
    int copy;

    (void)state;
    struct zq_exchange *ex = lend_of(GET("/later"), 10, &copy);
    write_copy(copy, "01234");
    zq_exchange_returned(ex, 5, false);
    write_text(ex, (struct zq_slice){0}, true);
    pump();
    assert_true(rig.hung_up); /* though the other has its copy */
    hear(REPLY("10", "01234"));
    expect_log("GET /later 200 CUT\n");
    close(copy);
}

static void where_it_is_not_possible(void **state)
{
    int copy;

    (void)state;
    say(GET("/later"));
    assert_int_equal(zq_exchange_lend_socket(rig.kept[0], 10), -1); /* no head */
    zq_exchange_abort(rig.kept[0]);
    connect_pair(0);
    struct zq_exchange *ex = lend_of(GET("/later"), -1, &copy); /* chunked */
    assert_int_equal(copy, -1);
    zq_exchange_abort(ex);
    connect_pair(0);
    ex = lend_of("HEAD /later HTTP/1.1\r\nHost: a\r\n\r\n", 10, &copy);
    assert_int_equal(copy, -1);
    zq_exchange_abort(ex);
    connect_pair(0);
    socket_is_full = true; /* the head waits */
    ex = lend_of(GET("/later"), 10, &copy);
    assert_int_equal(copy, -1);
    socket_is_full = false;
    zq_exchange_abort(ex);
}

/* Writes what the socket takes; how much that is. */
static size_t fill(int copy)
{
    size_t n = 0;

    while (syscall(SYS_sendto, copy, LENT, 10, MSG_DONTWAIT, NULL, 0) == 10)
        n += 10;
    return n;
}

/* --timeout-write counts from what the client last took, whoever wrote it. */
static void a_client_that_takes_nothing_is_cut(void **state)
{
    int copy;

    (void)state;
    rig.config.timeout_write = 100;
    connect_pair(4096);
    struct zq_exchange *ex = lend_of(GET("/later"), 1 << 20, &copy);
    size_t n = fill(copy);
    zq_exchange_returned(ex, n, true);
    let_pass(80);
    expect_log("");
    zq_exchange_returned(ex, 5, true);
    let_pass(80);
    expect_log("");
    let_pass(40);
    expect_log("GET /later 200 TIMED_OUT\n");
    assert_int_equal(send(copy, "x", 1, MSG_NOSIGNAL), -1); /* the copy is of no use */
    close(copy);
}

static void a_client_that_leaves_is_noticed(void **state)
{
    int copy;

    (void)state;
    lend_of(GET("/later"), 10, &copy);
    hang_up();
    pump_silently();
    expect_log("GET /later 200 GONE\n");
    close(copy);
}

/* RFC 9112 9.6: the end of the connection is its end for the client, whoever has copies. */
static void a_connection_that_was_lent_is_shut_down(void **state)
{
    int copy;

    (void)state;
    struct zq_exchange *ex = lend_of(GET("/later"), 10, &copy);
    write_copy(copy, LENT);
    zq_exchange_returned(ex, 10, false);
    write_text(ex, (struct zq_slice){0}, true);
    hear(REPLY("10", LENT));
    rig.config.timeout_keep_alive = 50;
    say(GET("/hello"));
    hear(HELLO);
    wait_ms(100);
    assert_true(rig.hung_up);
    close(copy);
}

static void draining_closes_behind_it(void **state)
{
    int copy;

    (void)state;
    struct zq_exchange *ex = lend_of(GET("/later"), 10, &copy);
    zq_http_drain(rig.server, NULL);
    write_copy(copy, LENT);
    close(copy);
    zq_exchange_returned(ex, 10, false);
    write_text(ex, (struct zq_slice){0}, true);
    pump();
    assert_true(rig.hung_up);
    hear(REPLY("10", LENT));
    expect_log("GET /later 200 COMPLETE\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_the_other_wrote_is_as_good_as_written),
        TEST(a_pipelined_request_waits_for_it),
        TEST(content_may_come_from_both),
        TEST(what_is_missing_is_not_complete),
        TEST(where_it_is_not_possible),
        TEST(a_client_that_takes_nothing_is_cut),
        TEST(a_client_that_leaves_is_noticed),
        TEST(a_connection_that_was_lent_is_shut_down),
        TEST(draining_closes_behind_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
