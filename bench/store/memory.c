/* What a small response takes beyond its head and content; and whether --cache-size holds while
 * readers hold what is evicted. */
#include "store.h"

#include "cache/store.h"

#include <malloc.h>
#include <sys/uio.h>

#define SMALL 200000u
#define SIZE (64u << 20)

static uint64_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long long size, pages;

    MUST(file != NULL && fscanf(file, "%llu %llu", &size, &pages) == 2);
    fclose(file);
    return pages * 4096;
}

static void overhead(void)
{
    struct zq_cache *cache = zq_cache_new(512u << 20);
    size_t body_n = 100, head_n = sizeof(BLOCK) - 1;
    uint64_t keys_n = 0, before = resident();

    for (unsigned i = 0; i < SMALL; i++) {
        item_ask(cache, &(struct item){.key = i, .body_n = body_n});
        keys_n += (uint64_t)snprintf(NULL, 0, "http://shop.example/p/%u", i);
    }
    uint64_t used = zq_heap_used(&cache->heap), grown = resident() - before;
    MUST(responses_of(cache) == SMALL);
    printf("{\"what\": \"overhead\", \"responses\": %u, \"counted\": %.1f, \"resident\": %.1f, "
           "\"key\": %.1f, \"head\": %zu, \"body\": %zu}\n",
           SMALL, (double)used / SMALL - (double)(head_n + body_n),
           (double)grown / SMALL - (double)(head_n + body_n), (double)keys_n / SMALL, head_n,
           body_n);
    zq_cache_free(cache);
}

/* Responses pass through whose sizes change from phase to phase; 200 of the last are held by
 * readers. Some keys are asked for often, most seldom. */
struct phase {
    const char *name;
    size_t least, most; /* bytes of content */
    uint64_t keys;      /* where its own begin */
};
enum { HELD = 200, REQUESTS = 200000, RUNS = 1024 };
static struct zq_reader held[HELD];

struct figures {
    uint64_t hits, unstored, runs, hit_bytes, peak_taken, peak_resident, peak_outside;
};

static struct item any_item(const struct phase *phase, uint64_t *seed)
{
    double u = (double)(random_next(seed) >> 11) / (double)(1ull << 53);
    uint64_t key = (uint64_t)(u * u * u * 100000), size = key * 2654435761u % 4294967296u;

    /* As many of each magnitude. */
    size_t body_n = phase->least;
    while (body_n * 2 <= phase->most && size % 2 == 1) {
        body_n *= 2;
        size /= 2;
    }
    return (struct item){.key = phase->keys + key, .body_n = body_n + size % body_n};
}

static void note_memory(const struct zq_cache *cache, struct figures *f, uint64_t before)
{
    struct mallinfo2 heap = mallinfo2();
    uint64_t grown = resident() - before, outside = heap.arena + heap.hblkhd;

    f->peak_taken =
        zq_heap_used(&cache->heap) > f->peak_taken ? zq_heap_used(&cache->heap) : f->peak_taken;
    f->peak_resident = grown > f->peak_resident ? grown : f->peak_resident;
    f->peak_outside = outside > f->peak_outside ? outside : f->peak_outside;
}

static void ask(struct zq_cache *cache, const struct phase *phase, struct zq_reader *reader,
                uint64_t *seed, struct figures *f)
{
    struct item item = any_item(phase, seed);
    struct iovec runs[RUNS];
    struct zq_writer writer;
    struct zq_entry_info info;
    bool end;

    zq_reader_detach(reader);
    if (item_get(cache, &item, reader, &writer) == ZQ_CACHE_HIT) {
        f->hits++;
        f->runs += (uint64_t)zq_reader_peek(reader, runs, RUNS, &end);
        zq_entry_describe(reader, 0, &info);
        f->hit_bytes += (uint64_t)info.content_length;
        return;
    }
    item_answer(&item, &writer);
    zq_entry_describe(reader, 0, &info);
    f->unstored += !info.stored;
}

static void pressure(void)
{
    static const struct phase phases[] = {
        {"small", 50, 1000, 0},           {"large", 16384, 400000, 1000000},
        {"small again", 50, 1000, 0},     {"mixed", 50, 400000, 2000000},
        {"middle", 1000, 16384, 3000000},
    };
    uint64_t seed = 88172645463325252u, before = resident();
    struct zq_cache *cache = zq_cache_new(SIZE);
    struct zq_cache_stat was = {0}, stat;

    for (size_t p = 0; p < sizeof(phases) / sizeof(phases[0]); p++) {
        struct figures f = {0};
        for (unsigned i = 0; i < REQUESTS; i++) {
            ask(cache, &phases[p], &held[i % HELD], &seed, &f);
            if (i % 500 == 0)
                note_memory(cache, &f, before);
        }
        zq_cache_stat(cache, &stat);
        printf("{\"what\": \"pressure\", \"phase\": \"%s\", \"size\": %u, \"used\": %llu, "
               "\"peak_taken\": %llu, \"peak_resident\": %llu, \"peak_outside\": %llu, "
               "\"readers\": %d, \"responses\": %llu, \"evicted\": %llu, \"unstored\": %llu, "
               "\"hit_ratio\": %.4f, \"runs_per_hit\": %.2f, \"bytes_per_hit\": %.0f}\n",
               phases[p].name, SIZE, (unsigned long long)stat.used,
               (unsigned long long)f.peak_taken, (unsigned long long)f.peak_resident,
               (unsigned long long)f.peak_outside, HELD, (unsigned long long)stat.responses,
               (unsigned long long)(stat.evicted - was.evicted), (unsigned long long)f.unstored,
               (double)f.hits / REQUESTS, (double)f.runs / (double)f.hits,
               (double)f.hit_bytes / (double)f.hits);
        was = stat;
    }
    for (unsigned i = 0; i < HELD; i++)
        zq_reader_detach(&held[i]);
    zq_cache_free(cache);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "overhead") == 0) /* in a heap of its own */
        overhead();
    else
        pressure();
    return 0;
}
