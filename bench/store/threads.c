/* Hits from 1, 2 and 4 threads: all of one key, or each of any of 100,000. */
#include "store.h"

#include <pthread.h>
#include <stdatomic.h>

#define KEYS 100000u
#define SECONDS 1

struct worker {
    pthread_t thread;
    struct zq_cache *cache;
    unsigned n_keys;
    uint64_t seed, hits;
    int64_t cpu_ns;
};

static atomic_bool go, stop;

static void hit(struct worker *w)
{
    struct item item = {.key = random_next(&w->seed) % w->n_keys, .body_n = 100};
    struct zq_reader reader;
    struct zq_writer writer;
    struct zq_entry_info info;
    struct iovec runs[4];
    bool end;

    MUST(item_get(w->cache, &item, &reader, &writer) == ZQ_CACHE_HIT);
    zq_entry_describe(&reader, item.now_ms, &info);
    MUST(zq_reader_peek(&reader, runs, 4, &end) == 1 && end);
    zq_reader_advance(&reader, item.body_n);
    zq_reader_detach(&reader);
}

static void *work(void *argument)
{
    struct worker *w = argument;

    while (!atomic_load(&go))
        ;
    int64_t start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (; !atomic_load_explicit(&stop, memory_order_relaxed); w->hits++)
        hit(w);
    w->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
    return NULL;
}

static void measure(struct zq_cache *cache, unsigned n_keys, unsigned n_threads)
{
    struct worker workers[4] = {0};
    uint64_t hits = 0;
    int64_t cpu_ns = 0;

    atomic_store(&go, false);
    atomic_store(&stop, false);
    for (unsigned i = 0; i < n_threads; i++) {
        workers[i] = (struct worker){.cache = cache, .n_keys = n_keys, .seed = 7919 * (i + 1)};
        MUST(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    int64_t start_ns = clock_ns(CLOCK_MONOTONIC);
    atomic_store(&go, true);
    nanosleep(&(struct timespec){SECONDS, 0}, NULL);
    atomic_store(&stop, true);
    double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - start_ns) / 1e9;
    for (unsigned i = 0; i < n_threads; i++) {
        pthread_join(workers[i].thread, NULL);
        hits += workers[i].hits;
        cpu_ns += workers[i].cpu_ns;
    }
    printf("{\"keys\": %u, \"threads\": %u, \"hits_per_s\": %.0f, \"cpu_ns_per_hit\": %.1f, "
           "\"processors\": %.2f}\n",
           n_keys, n_threads, (double)hits / seconds, (double)cpu_ns / (double)hits,
           (double)cpu_ns / 1e9 / seconds);
}

int main(void)
{
    struct zq_cache *cache = zq_cache_new(256u << 20);

    for (unsigned i = 0; i < KEYS; i++)
        item_ask(cache, &(struct item){.key = i, .body_n = 100});
    for (unsigned n = 1; n <= 4; n *= 2)
        measure(cache, 1, n);
    for (unsigned n = 1; n <= 4; n *= 2)
        measure(cache, KEYS, n);
    zq_cache_free(cache);
    return 0;
}
