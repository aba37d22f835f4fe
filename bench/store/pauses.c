/* The longest call while 100,000 responses are purged, expire, or give way: how long the store
 * keeps an I/O thread from its connections. By the thread's CPU time, and by the clock on the wall,
 * which also has what the machine does besides. */
#include "store.h"

#define RESPONSES 100000u
#define SIZE (256u << 20)
#define PIECE (64u << 10)

static struct {
    int64_t cpu_ns, wall_ns, longest_cpu_ns, longest_wall_ns, sum_cpu_ns;
    unsigned calls;
} timer;

static void timer_start(void)
{
    timer.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    timer.wall_ns = clock_ns(CLOCK_MONOTONIC);
}

static void timer_stop(void)
{
    int64_t wall_ns = clock_ns(CLOCK_MONOTONIC) - timer.wall_ns;
    int64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - timer.cpu_ns;

    timer.calls++;
    timer.sum_cpu_ns += cpu_ns;
    if (cpu_ns > timer.longest_cpu_ns)
        timer.longest_cpu_ns = cpu_ns;
    if (wall_ns > timer.longest_wall_ns)
        timer.longest_wall_ns = wall_ns;
}

static void timer_print(const char *what, const char *call)
{
    printf("{\"what\": \"%s\", \"call\": \"%s\", \"calls\": %u, \"longest_cpu_us\": %.1f, "
           "\"longest_wall_us\": %.1f, \"mean_cpu_us\": %.2f}\n",
           what, call, timer.calls, (double)timer.longest_cpu_ns / 1000,
           (double)timer.longest_wall_ns / 1000, (double)timer.sum_cpu_ns / 1000 / timer.calls);
    memset(&timer, 0, sizeof(timer));
}

static struct item item_of(unsigned i, int64_t now_ms)
{
    return (struct item){.key = i,
                         .body_n = 100,
                         .tag = ZQ_SLICE("all"),
                         .now_ms = now_ms,
                         .control = ZQ_SLICE("max-age=60")};
}

static struct zq_cache *filled(void)
{
    struct zq_cache *cache = zq_cache_new(SIZE);

    for (unsigned i = 0; i < RESPONSES; i++) {
        struct item item = item_of(i, 1000);
        item_ask(cache, &item);
    }
    MUST(responses_of(cache) == RESPONSES);
    return cache;
}

static void purged(const char *what, struct zq_purge purge)
{
    struct zq_cache *cache = filled();
    uint64_t number;
    bool more = true;

    timer_start();
    MUST(zq_cache_purge(cache, &purge, 0, &number) == 0);
    timer_stop();
    timer_print(what, "zq_cache_purge");
    for (unsigned i = 0; i < 1000; i++) { /* of what is purged, but not swept yet */
        struct item item = item_of(i * 97, 2000);
        struct zq_reader reader;
        struct zq_writer writer;
        timer_start();
        MUST(item_get(cache, &item, &reader, &writer) == ZQ_CACHE_LEAD);
        timer_stop();
        zq_entry_fail(&writer, 502);
        zq_reader_detach(&reader);
    }
    timer_print(what, "zq_cache_get");
    while (more) {
        timer_start();
        more = zq_cache_sweep(cache);
        timer_stop();
    }
    timer_print(what, "zq_cache_sweep");
    MUST(responses_of(cache) == 0);
    zq_cache_free(cache);
}

/* Nothing is done when responses expire; the next request for one finds that out. */
static void expired(void)
{
    struct zq_cache *cache = filled();

    for (unsigned i = 0; i < RESPONSES; i++) {
        struct item item = item_of(i, 100000);
        timer_start();
        MUST(!item_ask(cache, &item));
        timer_stop();
    }
    timer_print("expiry", "a request, replaced");
    zq_cache_free(cache);
}

/* Small responses that were all hit fill the store; then come others, in pieces as large as a
 * worker sends them. */
static void crowded(const char *what, size_t body_n, unsigned n)
{
    struct zq_cache *cache = zq_cache_new(64 << 20);
    struct zq_cache_stat stat;
    unsigned key = 0;

    do {
        item_ask(cache, &(struct item){.key = key++, .body_n = 100});
        zq_cache_stat(cache, &stat);
    } while (stat.evicted == 0);
    for (unsigned i = 0; i < key; i++)
        item_ask(cache, &(struct item){.key = i, .body_n = 100});
    for (unsigned i = 0; i < n; i++) {
        struct item item = {.key = key + i, .body_n = body_n};
        struct zq_reader reader;
        struct zq_writer writer;
        timer_start();
        MUST(item_get(cache, &item, &reader, &writer) == ZQ_CACHE_LEAD);
        timer_stop();
        item_head(&item, &writer);
        for (size_t sent = 0; sent < body_n; sent += PIECE) {
            timer_start();
            item_append(&writer, body_n - sent < PIECE ? body_n - sent : PIECE);
            timer_stop();
        }
        zq_entry_finish(&writer, true);
        zq_reader_detach(&reader);
    }
    timer_print(what, "get and append");
    zq_cache_free(cache);
}

int main(void)
{
    purged("purge by tag", (struct zq_purge){ZQ_PURGE_TAG, false, ZQ_SLICE("all")});
    purged("purge by prefix", (struct zq_purge){ZQ_PURGE_PREFIX, false, ZQ_SLICE("/p/")});
    purged("purge of all", (struct zq_purge){ZQ_PURGE_ALL, false, {0}});
    expired();
    crowded("eviction for 1 KiB", 1 << 10, 100000);
    crowded("eviction for 64 KiB", 64 << 10, 2000);
    crowded("eviction for 1 MiB", 1 << 20, 200);
    return 0;
}
