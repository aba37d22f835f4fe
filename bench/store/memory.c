/* What a small response takes beyond its head and content; and whether --cache-size holds while
 * readers hold what is evicted. */
#include "store.h"

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
    uint64_t used = zq_cache_used(cache), grown = resident() - before;
    MUST(responses_of(cache) == SMALL);
    printf("{\"what\": \"overhead\", \"responses\": %u, \"counted\": %.1f, \"resident\": %.1f, "
           "\"key\": %.1f, \"head\": %zu, \"body\": %zu}\n",
           SMALL, (double)used / SMALL - (double)(head_n + body_n),
           (double)grown / SMALL - (double)(head_n + body_n), (double)keys_n / SMALL, head_n,
           body_n);
    zq_cache_free(cache);
}

/* Responses of all sizes pass through; of each size some are held by readers for a while. */
static void pressure(void)
{
    enum { HELD = 2000, REQUESTS = 300000 };
    static struct zq_reader held[HELD];
    struct zq_cache *cache = zq_cache_new(SIZE);
    uint64_t seed = 1, peak = 0, peak_resident = 0, before = resident(), hits = 0, unstored = 0;
    struct zq_cache_stat stat;

    for (unsigned i = 0; i < REQUESTS; i++) {
        uint64_t dice = random_next(&seed);
        struct item item = {.key = dice % 100000, .body_n = 1 + (size_t)(dice >> 20) % 32768};
        struct zq_reader *reader = &held[i % HELD];
        struct zq_writer writer;
        struct zq_entry_info info;
        if (dice >> 60 == 0)
            item.body_n *= 16;
        zq_reader_detach(reader);
        int verdict = item_get(cache, &item, reader, &writer);
        hits += verdict == ZQ_CACHE_HIT;
        if (verdict != ZQ_CACHE_HIT)
            item_answer(&item, &writer);
        zq_entry_describe(reader, 0, &info);
        unstored += verdict != ZQ_CACHE_HIT && !info.stored;
        if (zq_cache_used(cache) > peak)
            peak = zq_cache_used(cache);
        if (i % 1000 == 0 && resident() - before > peak_resident)
            peak_resident = resident() - before;
    }
    zq_cache_stat(cache, &stat);
    printf("{\"what\": \"pressure\", \"size\": %u, \"peak_used\": %llu, \"peak_resident\": %llu, "
           "\"readers\": %d, \"evicted\": %llu, \"unstored\": %llu, \"hits\": %llu}\n",
           SIZE, (unsigned long long)peak, (unsigned long long)peak_resident, HELD,
           (unsigned long long)stat.evicted, (unsigned long long)unstored,
           (unsigned long long)hits);
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
