/* Stored content that was lent: what others hold of it stays, whatever becomes of the response. */
#include "test_cache_rig.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY 100000
#define PAGE 4096

/* ---- the system's side ---- */

static int from, to;

/* A TCP connection, as a client's. */
static void join(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&address, n), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &n), 0);
    from = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(from, (struct sockaddr *)&address, n), 0);
    to = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(to >= 0);
    close(listener);
}

/* Sends it by reference; what the socket took. */
static size_t lend(struct iovec v)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    ssize_t in = vmsplice(ends[1], &v, 1, SPLICE_F_NONBLOCK);
    ssize_t out = splice(ends[0], NULL, to, NULL, (size_t)in, SPLICE_F_NONBLOCK);
    close(ends[0]);
    close(ends[1]);
    assert_true(out > 0);
    return (size_t)out;
}

static void receive(char *out, size_t n)
{
    while (n > 0) {
        struct pollfd ready = {.fd = from, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 10000), 1);
        ssize_t got = recv(from, out, n, 0);
        assert_true(got > 0);
        out += got;
        n -= (size_t)got;
    }
}

/* ---- responses of one byte ---- */

static void store(struct zq_cache *cache, const char *target, char byte, size_t n)
{
    struct rig_client c = {0};
    char *body = malloc(n);

    memset(body, byte, n);
    assert_int_equal(rig_get(cache, &c, .target = target), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&c, .fields = RIG_FRESH, .length = (int64_t)n), 0);
    assert_int_equal(zq_entry_append(&c.writer, zq_slice(body, n)), 0);
    rig_end(&c, true, ZQ_READER_COMPLETE);
    free(body);
}

/* What it takes to write to all of the store; what stays is evicted by the next. */
static void store_others(struct zq_cache *cache, char byte)
{
    char target[32];

    for (int i = 0; i < 40; i++) {
        snprintf(target, sizeof(target), "/other/%d", i);
        store(cache, target, byte, BODY);
    }
}

static bool is_in(struct zq_slice memory, struct iovec v)
{
    return (const char *)v.iov_base >= memory.p &&
           (const char *)v.iov_base + v.iov_len <= memory.p + memory.n;
}

/* Is the content where it may be lent? Not where AddressSanitizer runs. */
static bool may_lend(struct zq_cache *cache)
{
    struct rig_client c = {0};
    struct iovec v;
    bool end;

    store(cache, "/", 'a', BODY);
    assert_int_equal(rig_get(cache, &c), ZQ_CACHE_HIT);
    assert_int_equal(zq_reader_peek(&c.reader, &v, 1, &end), 1);
    rig_leave(&c);
    rig_invalidate(cache, "/");
    return is_in(zq_cache_memory(cache), v);
}

/* Lends all of what is stored, as long runs; the bytes. */
static size_t lend_all(struct rig_client *c)
{
    struct iovec runs[8];
    size_t all = 0;
    bool end;
    int n;

    while ((n = zq_reader_peek(&c->reader, runs, 8, &end)) > 0) {
        assert_true(runs[0].iov_len >= ZQ_CACHE_LENT_MIN);
        size_t taken = lend(runs[0]);
        zq_reader_advance(&c->reader, taken);
        all += taken;
    }
    return all;
}

static void expect_all(char byte, size_t n)
{
    char *got = malloc(n), *wanted = malloc(n);

    memset(wanted, byte, n);
    receive(got, n);
    assert_memory_equal(got, wanted, n);
    free(got);
    free(wanted);
}

/* ---- */

static void what_was_lent_outlives_the_response(void **state)
{
    struct rig_client c = {0};

    if (!may_lend(*state))
        skip();
    join();
    store(*state, "/", 'a', BODY);
    assert_int_equal(rig_get(*state, &c), ZQ_CACHE_HIT);
    assert_int_equal(lend_all(&c), BODY);
    rig_leave(&c);
    rig_invalidate(*state, "/");
    store_others(*state, 'b');
    expect_all('a', BODY);
    close(from);
    close(to);
}

/* The writer goes on behind it, on the same page; and the end gives back what is too much. */
static void also_of_one_on_its_way(void **state)
{
    struct rig_client leader = {0}, joined = {0};
    char *body = malloc(40000);

    if (!may_lend(*state)) {
        free(body);
        skip();
    }
    join();
    memset(body, 'a', 40000);
    assert_int_equal(rig_get(*state, &leader), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(&leader, .fields = RIG_FRESH), 0);
    assert_int_equal(zq_entry_append(&leader.writer, zq_slice(body, 40000)), 0);
    assert_int_equal(rig_get(*state, &joined), ZQ_CACHE_JOIN);
    assert_int_equal(lend_all(&joined), 40000);
    memset(body, 'b', 40000);
    assert_int_equal(zq_entry_append(&leader.writer, zq_slice(body, 10000)), 0);
    rig_leave(&joined);
    rig_end(&leader, true, ZQ_READER_COMPLETE);
    rig_invalidate(*state, "/");
    store_others(*state, 'c');
    expect_all('a', 40000);
    free(body);
    close(from);
    close(to);
}

/* ---- memory ---- */

static size_t resident(struct zq_cache *cache)
{
    struct zq_slice memory = zq_cache_memory(cache);
    static unsigned char pages[RIG_SIZE / PAGE];
    size_t n = 0;

    assert_int_equal(mincore((void *)(uintptr_t)memory.p, memory.n, pages), 0);
    for (size_t i = 0; i < memory.n / PAGE; i++)
        n += pages[i] & 1;
    return n * PAGE;
}

static void read_all(struct zq_cache *cache, const char *target, size_t bytes)
{
    struct rig_client c = {0};
    static char all[BODY];

    assert_int_equal(rig_get(cache, &c, .target = target), ZQ_CACHE_HIT);
    assert_int_equal(rig_take(&c, all, BODY), bytes);
    rig_leave(&c);
}

/* Memory comes back with that; debug builds then poison it. */
static void only_what_was_lent_is_renewed(void **state)
{
    if (!may_lend(*state))
        skip();
    store(*state, "/short", 'a', ZQ_CACHE_LENT_MIN - 1);
    store(*state, "/unread", 'a', BODY);
    store(*state, "/long", 'a', BODY);
    read_all(*state, "/short", ZQ_CACHE_LENT_MIN - 1);
    read_all(*state, "/long", BODY);
    size_t before = resident(*state);
    rig_invalidate(*state, "/short");
    rig_invalidate(*state, "/unread");
    assert_int_equal(resident(*state), before);
    rig_invalidate(*state, "/long");
#ifndef ZQ_DEBUG
    assert_true(resident(*state) <= before - BODY / PAGE * PAGE);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_was_lent_outlives_the_response),
        RIG_TEST(also_of_one_on_its_way),
        RIG_TEST(only_what_was_lent_is_renewed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
