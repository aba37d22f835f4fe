/* From 1, 2 and 4 threads: hits, all of one key, or each of any of 100,000; or, `threads misses`,
 * small responses of keys that are new each time, in a store that is full: for each that is stored
 * another is evicted, and all that both are made of comes from the store's one heap. */
#include "store.h"

#include <pthread.h>
#include <stdatomic.h>

#define KEYS 100000u
#define FULL_BYTES (16u << 20)
#define SECONDS 1

struct worker {
    pthread_t thread;
    struct zq_cache *cache;
    void (*operate)(struct worker *w);
    unsigned n_keys;
    uint64_t seed, next_key, n;
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

static void miss(struct worker *w)
{
    MUST(!item_ask(w->cache, &(struct item){.key = w->next_key++, .body_n = 100}));
}

static void *work(void *argument)
{
    struct worker *w = argument;

    while (!atomic_load(&go))
        ;
    int64_t start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (; !atomic_load_explicit(&stop, memory_order_relaxed); w->n++)
        w->operate(w);
    w->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
    return NULL;
}

struct measured {
    uint64_t n;
    int64_t cpu_ns;
    double seconds;
};

/* What `like` does, on so many threads at once. */
static struct measured measure(const struct worker *like, unsigned n_threads)
{
    static uint64_t workers_before;
    struct worker workers[4];
    struct measured m = {0};

    atomic_store(&go, false);
    atomic_store(&stop, false);
    for (unsigned i = 0; i < n_threads; i++) {
        workers[i] = *like;
        workers[i].seed = 7919 * (i + 1);
        workers[i].next_key = ++workers_before << 32;
        MUST(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    int64_t start_ns = clock_ns(CLOCK_MONOTONIC);
    atomic_store(&go, true);
    nanosleep(&(struct timespec){SECONDS, 0}, NULL);
    atomic_store(&stop, true);
    m.seconds = (double)(clock_ns(CLOCK_MONOTONIC) - start_ns) / 1e9;
    for (unsigned i = 0; i < n_threads; i++) {
        pthread_join(workers[i].thread, NULL);
        m.n += workers[i].n;
        m.cpu_ns += workers[i].cpu_ns;
    }
    return m;
}

static void put(const char *one, const char *many, unsigned n_threads, const struct measured *m)
{
    printf("\"threads\": %u, \"%s_per_s\": %.0f, \"cpu_ns_per_%s\": %.1f, "
           "\"processors\": %.2f}\n",
           n_threads, many, (double)m->n / m->seconds, one, (double)m->cpu_ns / (double)m->n,
           (double)m->cpu_ns / 1e9 / m->seconds);
}

static struct zq_cache *filled(size_t bytes)
{
    struct zq_cache *cache = zq_cache_new(bytes);

    for (unsigned i = 0; i < KEYS; i++)
        item_ask(cache, &(struct item){.key = i, .body_n = 100});
    return cache;
}

static void hits(unsigned n_keys)
{
    struct worker like = {.cache = filled(256u << 20), .operate = hit, .n_keys = n_keys};

    for (unsigned n = 1; n <= 4; n *= 2) {
        struct measured m = measure(&like, n);
        printf("{\"keys\": %u, ", n_keys);
        put("hit", "hits", n, &m);
    }
    zq_cache_free(like.cache);
}

static void misses(void)
{
    struct worker like = {.cache = filled(FULL_BYTES), .operate = miss};
    struct zq_cache_stat before, after;

    for (unsigned n = 1; n <= 4; n *= 2) {
        zq_cache_stat(like.cache, &before);
        struct measured m = measure(&like, n);
        zq_cache_stat(like.cache, &after);
        printf("{\"stored\": %.3f, \"evicted\": %.3f, ",
               (double)(after.stored - before.stored) / (double)m.n,
               (double)(after.evicted - before.evicted) / (double)m.n);
        put("miss", "misses", n, &m);
    }
    zq_cache_free(like.cache);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "misses") == 0) {
        misses();
        return 0;
    }
    hits(1);
    hits(KEYS);
    return 0;
}
