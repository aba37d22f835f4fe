/* src/http: content by reference. It is what it would be if it were copied, however much the socket
 * takes, and what the socket holds is not what is in memory later. */
#include "http/connection.h"
#include "test_http_rig.h"

#include <signal.h>
#include <sys/mman.h>

#define SIZE (1u << 20)
#define LEAST 100

static char *memory;

/* ---- the kernel's vmsplice and splice, counted, and short when the test says so ---- */

static unsigned spliced; /* to a socket */
static int splice_error; /* to a socket; 0: none */
static int refer_error, nowhere_error;
static size_t pipe_takes; /* at most; 0: what the kernel's takes */
static int64_t splice_us; /* what each takes */

ssize_t vmsplice(int fd, const struct iovec *v, size_t n, unsigned flags)
{
    struct iovec less = *v;

    assert_int_equal(n, 1);
    errno = refer_error;
    if (refer_error != 0)
        return -1;
    if (pipe_takes > 0 && less.iov_len > pipe_takes)
        less.iov_len = pipe_takes;
    return syscall(SYS_vmsplice, fd, &less, 1, flags);
}

static bool is_socket(int fd)
{
    socklen_t size = sizeof(int);
    int type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

ssize_t splice(int from, off_t *from_at, int to, off_t *to_at, size_t n, unsigned flags)
{
    bool out = is_socket(to);

    stopped_at_us += out ? splice_us : 0;
    errno = out ? splice_error : nowhere_error;
    spliced += out;
    if (errno != 0)
        return -1;
    if (out && send_at_most > 0) {
        refuse_this_time = !refuse_this_time;
        errno = EAGAIN;
        if (refuse_this_time)
            return -1;
        n = n < send_at_most ? n : send_at_most;
    }
    return syscall(SYS_splice, from, from_at, to, to_at, n, flags);
}

/* ---- */

static int set_up_lending(void **state)
{
    spliced = 0;
    splice_error = refer_error = nowhere_error = 0;
    pipe_takes = 0;
    splice_us = send_us = 0;
    for (size_t i = 0; i < SIZE; i++)
        memory[i] = big_byte(i);
    set_up(state);
    rig.big = memory;
    zq_http_lend(rig.server, zq_slice(memory, SIZE), LEAST);
    return 0;
}

#define LEND_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_lending, tear_down)

/* Until nothing more comes. */
static void converse(const char *text)
{
    size_t before;

    connect_pair(0);
    say(text);
    do {
        before = rig.heard.n;
        pump();
    } while (rig.heard.n > before);
}

/* The same conversation, all of it copied. */
static struct outcome when_copied(const char *text)
{
    static char elsewhere[SIZE];

    memcpy(elsewhere, memory, SIZE);
    rig.big = elsewhere;
    spliced = 0;
    converse(text);
    assert_int_equal(spliced, 0);
    struct outcome out = take_outcome();
    rig.big = memory;
    return out;
}

static void expect_as_copied(const char *text)
{
    struct outcome copied = when_copied(text);

    converse(text);
    expect_same(&copied);
    free(copied.heard);
}

static void long_content_goes_by_reference(void **state)
{
    (void)state;
    expect_as_copied(GET("/big?1000000"));
    assert_true(spliced > 0);
    expect_as_copied(GET("/chunks?1000000"));
    assert_true(spliced > 0);
    sends = 0;
    connect_pair(0);
    say(GET("/big?100000"));
    assert_int_equal(sends, 1); /* the head */
}

static void what_is_short_is_copied(void **state)
{
    (void)state;
    expect_as_copied(GET("/big?199"));
    assert_int_equal(spliced, 1); /* 99 and 100 */
    expect_as_copied(GET("/big?198"));
    assert_int_equal(spliced, 0);
}

static void only_what_lies_in_the_memory(void **state)
{
    (void)state;
    for (size_t n = LEAST; n < 3 * LEAST; n++) {
        assert_true(zq_may_lend(rig.server, memory, n));
        assert_true(zq_may_lend(rig.server, memory + SIZE - n, n));
        assert_false(zq_may_lend(rig.server, memory - 1, n));
        assert_false(zq_may_lend(rig.server, memory + SIZE - n + 1, n));
    }
    assert_false(zq_may_lend(rig.server, memory, SIZE + 1));
    assert_true(zq_may_lend(rig.server, memory, SIZE));
}

static void a_head_has_no_content(void **state)
{
    (void)state;
    expect_as_copied("HEAD /big?100000 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(spliced, 0);
}

/* Joined responses in front, and others behind. */
static void it_keeps_its_place_among_others(void **state)
{
    (void)state;
    expect_as_copied(GET("/hello") GET("/hello") GET("/big?300000") GET("/hello")
                         GET("/chunks?5000") GET("/big?50") GET("/hello"));
    assert_true(spliced > 0);
    expect_as_copied("GET /chunks?5000 HTTP/1.0\r\n\r\n");
}

static const char *const asked[] = {
    GET("/big?1000"),
    GET("/chunks?1000"),
    GET("/hello") GET("/chunks?700") GET("/hello") GET("/big?900") GET("/hello"),
    "GET /chunks?700 HTTP/1.0\r\n\r\n",
};

/* Whatever the socket takes, and the pipe holds. */
static void short_splices_do_not_matter(void **state)
{
    (void)state;
    for (size_t c = 0; c < ZQ_ARRAY_SIZE(asked); c++) {
        struct outcome copied = when_copied(asked[c]);
        for (size_t most = 1; most < 600; most += most < 20 ? 1 : 13) {
            pipe_takes = most * 7 % 311;
            connect_pair(0);
            send_at_most = most;
            say(asked[c]);
            for (int i = 0; i < 5000 && rig.heard.n < strlen(copied.heard); i++)
                pump();
            send_at_most = 0;
            expect_same(&copied);
        }
        free(copied.heard);
    }
}

/* ---- what it is all about ---- */

/* A new page for each is what whoever lends sees to (zq_http_lend). */
static void what_a_socket_holds_stays(void **state)
{
    struct outcome copied = when_copied(GET("/big?100000"));

    (void)state;
    connect_pair(0);
    assert_true(send(rig.client, GET("/big?100000"), strlen(GET("/big?100000")), 0) > 0);
    pump_silently();
    expect_log("GET /big?100000 200 COMPLETE\n");
    assert_int_equal(madvise(memory, SIZE, MADV_DONTNEED), 0);
    memset(memory, '!', SIZE);
    hear(copied.heard);
    free(copied.heard);
}

/* ---- where it cannot be ---- */

static void a_socket_that_takes_no_pages_gets_copies(void **state)
{
    static const int errors[] = {EINVAL, ENOSYS, EOPNOTSUPP, EPERM};

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(errors); i++) {
        splice_error = errors[i];
        expect_as_copied(GET("/big?100000") GET("/hello") GET("/big?100000"));
        assert_int_equal(spliced, 1); /* and then no more */
        tear_down(state);
        set_up_lending(state);
    }
}

static void without_a_way_to_refer_all_is_copied(void **state)
{
    refer_error = ENOSYS;
    expect_as_copied(GET("/big?100000") GET("/big?100000"));
    assert_int_equal(spliced, 0);
    tear_down(state);
    set_up(state);
    zq_http_lend(rig.server, zq_slice(memory, SIZE), LEAST);
    assert_false(zq_may_lend(rig.server, memory, LEAST));
}

/* Nobody gets what another did not take: without a way to be rid of it, the pipe is given up. */
static void what_was_not_taken_is_gone(void **state)
{
    (void)state;
    nowhere_error = EINVAL;
    struct outcome copied = when_copied(GET("/big?1000"));
    connect_pair(0);
    send_at_most = 150;
    say(GET("/big?1000"));
    for (int i = 0; i < 100; i++)
        pump();
    send_at_most = 0;
    expect_same(&copied);
    free(copied.heard);
    assert_false(zq_may_lend(rig.server, memory, LEAST));
    expect_as_copied(GET("/big?1000"));
}

/* ---- where copying is quicker ---- */

#define TURNS 61 /* of which two are timed */

static bool goes_by_reference(void)
{
    unsigned before = spliced;

    say(GET("/big?1000"));
    return spliced > before;
}

static void the_quicker_way_is_taken(void **state)
{
    (void)state;
    connect_pair(0);
    splice_us = 2000;
    for (int i = 0; i < TURNS - 1; i++)
        assert_true(goes_by_reference());
    assert_false(goes_by_reference());
    for (int i = 0; i < 20 * TURNS; i++)
        assert_int_equal(goes_by_reference(), i % TURNS == TURNS - 2);
    splice_us = 0;
    send_us = 1;
    for (int i = 0; i < 20 * TURNS; i++)
        (void)goes_by_reference();
    for (int i = 0; i < 2 * TURNS; i++)
        assert_int_equal(goes_by_reference(), i % TURNS != TURNS - 1);
}

/* Whatever interrupted one send is no reason to send all others another way. */
static void one_slow_send_is_one_vote(void **state)
{
    (void)state;
    connect_pair(0);
    send_us = 1;
    for (int i = 0; i < 20 * TURNS; i++)
        (void)goes_by_reference();
    send_us = 0;
    splice_us = 1000000;
    for (int i = 0; i < TURNS; i++)
        (void)goes_by_reference();
    assert_true(goes_by_reference());
}

/* The time of a send that the socket took little of says nothing. */
static void short_sends_have_no_vote(void **state)
{
    (void)state;
    connect_pair(0);
    splice_us = 2000;
    send_at_most = LEAST - 1;
    for (int i = 0; i < 3 * TURNS; i++) {
        say(GET("/big?300"));
        for (int k = 0; k < 10; k++)
            pump();
    }
    send_at_most = 0;
    assert_true(goes_by_reference());
}

static void a_client_that_leaves_is_gone(void **state)
{
    (void)state;
    say(GET("/later"));
    int client = rig.client;
    close(client);
    rig.client = -1;
    struct iovec v = {memory, 100000};
    struct zq_response_head head = {.status = 200,
                                    .block = ZQ_SLICE("HTTP/1.1 200 OK\r\n"),
                                    .content_length = 100000,
                                    .age = -1};
    zq_exchange_start(rig.kept[0], &head, &v, 1, true);
    pump_silently();
    expect_log("GET /later 200 GONE\n");
    connect_pair(0);
    say(GET("/big?1000"));
    assert_int_equal(rig.heard.n, strlen("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n") + 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEND_TEST(long_content_goes_by_reference),
        LEND_TEST(what_is_short_is_copied),
        LEND_TEST(only_what_lies_in_the_memory),
        LEND_TEST(a_head_has_no_content),
        LEND_TEST(it_keeps_its_place_among_others),
        LEND_TEST(short_splices_do_not_matter),
        LEND_TEST(what_a_socket_holds_stays),
        LEND_TEST(a_socket_that_takes_no_pages_gets_copies),
        LEND_TEST(without_a_way_to_refer_all_is_copied),
        LEND_TEST(what_was_not_taken_is_gone),
        LEND_TEST(a_client_that_leaves_is_gone),
        LEND_TEST(the_quicker_way_is_taken),
        LEND_TEST(one_slow_send_is_one_vote),
        LEND_TEST(short_sends_have_no_vote),
    };

    signal(SIGPIPE, SIG_IGN);
    memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
