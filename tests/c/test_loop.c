/* src/net: the loop's promises about removal within a turn, its order, messages from other threads,
 * and accepting. */
#include "zq/clock.h"
#include "zq/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct zq_loop *loop;

static int set_up(void **state)
{
    (void)state;
    loop = zq_loop_new();
    return loop == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    zq_loop_free(loop);
    return 0;
}

static void on_stop(struct zq_timer *timer)
{
    (void)timer;
    zq_loop_stop(loop);
}

static void run_for(int64_t ms)
{
    struct zq_timer timer = {.on_expire = on_stop};
    zq_timer_set(loop, &timer, ms);
    zq_loop_run(loop);
    zq_timer_cancel(loop, &timer);
}

/* ---- descriptors ---- */

struct end {
    struct zq_io io;
    int fd, other;
    int events;
    struct end *removes;
};

static void on_end(struct zq_io *io, uint32_t events)
{
    struct end *end = ZQ_CONTAINER(io, struct end, io);
    char byte;
    (void)events;
    end->events++;
    assert_int_equal(read(end->fd, &byte, 1), 1);
    if (end->removes != NULL)
        zq_loop_remove(loop, &end->removes->io);
}

static void open_end(struct end *end)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *end = (struct end){.io = {.fd = -1, .on_event = on_end}, .fd = fds[0], .other = fds[1]};
    assert_int_equal(zq_loop_add(loop, &end->io, end->fd, EPOLLIN), 0);
}

static void close_end(struct end *end)
{
    zq_loop_remove(loop, &end->io);
    close(end->fd);
    close(end->other);
}

static void a_removed_io_gets_no_event_of_the_same_turn(void **state)
{
    struct end ends[8];
    int total = 0;
    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(ends); i++)
        open_end(&ends[i]);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(ends); i++) {
        ends[i].removes = &ends[i ^ 1]; /* each pair: whoever comes first takes the other away */
        assert_int_equal(write(ends[i].other, "x", 1), 1);
    }
    run_for(20);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(ends); i += 2) {
        assert_int_equal(ends[i].events + ends[i + 1].events, 1);
        total += ends[i].events;
    }
    assert_in_range(total, 0, 4);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(ends); i++)
        close_end(&ends[i]);
}

static void an_io_may_remove_itself_and_be_removed_again(void **state)
{
    struct end end;
    (void)state;
    open_end(&end);
    end.removes = &end;
    assert_int_equal(write(end.other, "xx", 2), 2);
    run_for(20);
    assert_int_equal(end.events, 1);
    assert_int_equal(end.io.fd, -1);
    close_end(&end);
}

static void interest_can_be_withdrawn(void **state)
{
    struct end end;
    (void)state;
    open_end(&end);
    zq_loop_modify(loop, &end.io, 0);
    assert_int_equal(write(end.other, "x", 1), 1);
    run_for(20);
    assert_int_equal(end.events, 0);
    zq_loop_modify(loop, &end.io, EPOLLIN);
    run_for(20);
    assert_int_equal(end.events, 1);
    close_end(&end);
}

static void adding_a_bad_descriptor_is_an_error(void **state)
{
    struct zq_io io = {.fd = 7};
    (void)state;
    assert_int_equal(zq_loop_add(loop, &io, -1, EPOLLIN), ZQ_EIO);
    assert_int_equal(io.fd, -1);
    zq_loop_remove(loop, &io);
}

/* ---- the order within a turn ---- */

static char order[16];

static void note(char what)
{
    size_t n = strlen(order);
    assert_true(n + 1 < sizeof(order));
    order[n] = what;
}

static struct zq_timer turn_timer;
static struct zq_post turn_post;
static struct zq_defer turn_defer, second_defer;

static void on_turn_io(struct zq_io *io, uint32_t events)
{
    (void)events;
    note('i');
    zq_loop_defer(loop, &turn_defer);
    zq_loop_post(loop, &turn_post);
    zq_loop_remove(loop, io);
    usleep(1000 * ZQ_TIMER_TICK_MS *
           2); /* the timer is late by now, and comes with the next turn */
}

static void on_turn_timer(struct zq_timer *timer)
{
    (void)timer;
    note('t');
    zq_loop_stop(loop);
}

static void on_turn_post(struct zq_post *post)
{
    (void)post;
    note('p');
}

static void on_second_defer(struct zq_defer *defer)
{
    (void)defer;
    note('D');
}

static void on_turn_defer(struct zq_defer *defer)
{
    note('d');
    assert_false(defer->pending);
    zq_loop_defer(loop, &second_defer); /* not in this turn */
    zq_timer_set(loop, &turn_timer, 0);
}

static void a_turn_has_its_order(void **state)
{
    struct end end;
    (void)state;
    memset(order, 0, sizeof(order));
    open_end(&end);
    end.io.on_event = on_turn_io;
    turn_timer = (struct zq_timer){.on_expire = on_turn_timer};
    turn_post = (struct zq_post){.on_post = on_turn_post};
    turn_defer = (struct zq_defer){.on_turn_end = on_turn_defer};
    second_defer = (struct zq_defer){.on_turn_end = on_second_defer};
    assert_int_equal(write(end.other, "x", 1), 1);
    zq_loop_run(loop);
    assert_true(strcmp(order, "ipdtD") == 0 || strcmp(order, "ipdDt") == 0);
    close_end(&end);
}

static void what_was_undone_is_not_called(void **state)
{
    (void)state;
    memset(order, 0, sizeof(order));
    turn_post = (struct zq_post){.on_post = on_turn_post};
    turn_defer = (struct zq_defer){.on_turn_end = on_turn_defer};
    zq_loop_post(loop, &turn_post);
    zq_loop_post(loop, &turn_post);
    zq_loop_unpost(loop, &turn_post);
    zq_loop_unpost(loop, &turn_post);
    zq_loop_defer(loop, &turn_defer);
    zq_loop_undefer(loop, &turn_defer);
    run_for(20);
    assert_string_equal(order, "");
}

static void what_comes_after_the_stop_can_still_be_had(void **state)
{
    (void)state;
    memset(order, 0, sizeof(order));
    turn_post = (struct zq_post){.on_post = on_turn_post};
    zq_loop_stop(loop);
    zq_loop_run(loop);
    zq_loop_post(loop, &turn_post);
    assert_string_equal(order, "");
    zq_loop_deliver(loop);
    assert_string_equal(order, "p");
    assert_false(turn_post.posted);
    zq_loop_deliver(loop);
    assert_string_equal(order, "p");
}

/* ---- messages ---- */

enum { POSTERS = 4, POSTS = 20000 };

struct counter {
    struct zq_post post;
    atomic_int sent; /* by its thread, before it posts */
    int seen;        /* by the loop */
};

static struct counter counters[POSTERS];
static atomic_int posters_left;
static struct zq_post all_sent;

static void on_count(struct zq_post *post)
{
    struct counter *counter = ZQ_CONTAINER(post, struct counter, post);
    counter->seen = atomic_load(&counter->sent);
}

static void on_all_sent(struct zq_post *post)
{
    (void)post;
    zq_loop_stop(loop);
}

static void *post_many(void *arg)
{
    struct counter *counter = arg;
    for (int i = 0; i < POSTS; i++) {
        atomic_fetch_add(&counter->sent, 1);
        zq_loop_post(loop, &counter->post);
        if (i % 1000 == 0)
            usleep(100); /* let it fall asleep now and then */
    }
    if (atomic_fetch_sub(&posters_left, 1) == 1)
        zq_loop_post(loop, &all_sent);
    return NULL;
}

/* Each message is delivered after it was posted, however often posting it was a no-op before. */
static void no_message_is_lost(void **state)
{
    pthread_t threads[POSTERS];
    (void)state;
    posters_left = POSTERS;
    all_sent = (struct zq_post){.on_post = on_all_sent};
    for (int i = 0; i < POSTERS; i++) {
        counters[i].post.on_post = on_count;
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &counters[i]), 0);
    }
    zq_loop_run(loop);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(counters[i].seen, POSTS);
}

static void *stop_later(void *arg)
{
    (void)arg;
    usleep(20000);
    zq_loop_stop(loop);
    return NULL;
}

static void another_thread_can_stop_a_sleeping_loop(void **state)
{
    pthread_t thread;
    int64_t before = zq_now_ms();
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, stop_later, NULL), 0);
    zq_loop_run(loop);
    assert_in_range(zq_now_ms() - before, 15, 5000);
    pthread_join(thread, NULL);
    zq_loop_stop(loop); /* remembered until it runs */
    zq_loop_run(loop);
}

/* An idle loop must not burn time: with one far timer it does nothing in between. */
static void an_idle_loop_sleeps(void **state)
{
    struct zq_timer timer = {.on_expire = on_stop};
    struct rusage before, after;
    (void)state;
    zq_timer_set(loop, &timer, 300);
    getrusage(RUSAGE_THREAD, &before);
    zq_loop_run(loop);
    getrusage(RUSAGE_THREAD, &after);
    assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 0, 10);
}

/* ---- accepting ---- */

static int accepted;
static bool drain_at_once;

static void on_accept(struct zq_acceptor *acceptor, int fd)
{
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    accepted++;
    close(fd);
    if (drain_at_once)
        zq_acceptor_drain(acceptor);
}

static int listen_somewhere(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    socklen_t length = sizeof(*address);
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
    assert_int_equal(listen(fd, 100), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
    return fd;
}

static void connect_many(const struct sockaddr_in *address, int *fds, int n)
{
    for (int i = 0; i < n; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (const struct sockaddr *)address, sizeof(*address)), 0);
    }
}

static void close_many(int *fds, int n)
{
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

static void a_burst_is_accepted(void **state)
{
    struct zq_acceptor acceptor = {.on_accept = on_accept};
    struct sockaddr_in address;
    int fds[60], listener = listen_somewhere(&address);
    (void)state;
    accepted = 0;
    drain_at_once = false;
    assert_int_equal(zq_acceptor_start(loop, &acceptor, listener), 0);
    connect_many(&address, fds, 60);
    run_for(30);
    assert_int_equal(accepted, 60);
    zq_acceptor_drain(&acceptor);
    zq_acceptor_drain(&acceptor);
    close_many(fds, 60);
    close(listener);
}

static void draining_takes_what_is_queued(void **state)
{
    struct zq_acceptor acceptor = {.on_accept = on_accept};
    struct sockaddr_in address;
    int fds[60], listener = listen_somewhere(&address);
    (void)state;
    accepted = 0;
    drain_at_once = false;
    assert_int_equal(zq_acceptor_start(loop, &acceptor, listener), 0);
    connect_many(&address, fds, 60);
    zq_acceptor_drain(&acceptor);
    assert_int_equal(accepted, 60);
    close_many(fds, 60);
    connect_many(&address, fds, 1);
    run_for(30);
    assert_int_equal(accepted, 60); /* and no more */
    close_many(fds, 1);
    close(listener);
}

static void the_callback_may_drain(void **state)
{
    struct zq_acceptor acceptor = {.on_accept = on_accept};
    struct sockaddr_in address;
    int fds[30], listener = listen_somewhere(&address);
    (void)state;
    accepted = 0;
    drain_at_once = true;
    assert_int_equal(zq_acceptor_start(loop, &acceptor, listener), 0);
    connect_many(&address, fds, 30);
    run_for(30);
    assert_int_equal(accepted, 30);
    drain_at_once = false;
    close_many(fds, 30);
    close(listener);
}

/* With no descriptor left it pauses instead of spinning, and goes on when there is one again. */
static void running_out_of_descriptors_pauses(void **state)
{
    struct zq_acceptor acceptor = {.on_accept = on_accept};
    struct sockaddr_in address;
    struct rlimit before, none;
    struct rusage start, end;
    int fds[3], listener = listen_somewhere(&address), lowest = dup(0);
    (void)state;
    accepted = 0;
    connect_many(&address, fds, 3);
    assert_int_equal(zq_acceptor_start(loop, &acceptor, listener), 0);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    close(lowest);
    none.rlim_cur = (rlim_t)lowest; /* the next descriptor would be this one */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    getrusage(RUSAGE_THREAD, &start);
    run_for(250);
    getrusage(RUSAGE_THREAD, &end);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(accepted, 0);
    assert_in_range(end.ru_nvcsw - start.ru_nvcsw, 0, 20);
    run_for(200);
    assert_int_equal(accepted, 3);
    zq_acceptor_drain(&acceptor);
    close_many(fds, 3);
    close(listener);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_removed_io_gets_no_event_of_the_same_turn),
        TEST(an_io_may_remove_itself_and_be_removed_again),
        TEST(interest_can_be_withdrawn),
        TEST(adding_a_bad_descriptor_is_an_error),
        TEST(a_turn_has_its_order),
        TEST(what_was_undone_is_not_called),
        TEST(what_comes_after_the_stop_can_still_be_had),
        TEST(no_message_is_lost),
        TEST(another_thread_can_stop_a_sleeping_loop),
        TEST(an_idle_loop_sleeps),
        TEST(a_burst_is_accepted),
        TEST(draining_takes_what_is_queued),
        TEST(the_callback_may_drain),
        TEST(running_out_of_descriptors_pauses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
