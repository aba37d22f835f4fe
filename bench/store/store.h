/* What the store's benchmarks share: one request at a time, answered by a small response where the
 * store has none. Each executable prints one JSON object a line; bench/store.py runs them. */
#ifndef ZQ_BENCH_STORE_H
#define ZQ_BENCH_STORE_H

#include "../must.h"

#include "zq/cache.h"

#include <time.h>

#define NOW_S 1000000000
#define BLOCK "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"

/* What is asked for, and answered. */
struct item {
    uint64_t key;
    size_t body_n;
    struct zq_slice control, tag; /* Cache-Control; n 0: no tag */
    int64_t now_ms;
};

static inline void on_reader(struct zq_reader *reader)
{
}

static inline void on_writer(struct zq_writer *writer)
{
}

/* The request's verdict; its reader is attached. */
static inline int item_get(struct zq_cache *cache, const struct item *item,
                           struct zq_reader *reader, struct zq_writer *writer)
{
    static const struct zq_fields none;
    char target[32];
    enum zq_cache_forward forward;
    struct zq_cache_request request = {
        .is_get = true,
        .scheme = ZQ_SLICE("http"),
        .host = ZQ_SLICE("shop.example"),
        .fields = &none,
    };

    *reader = (struct zq_reader){.notify = on_reader};
    *writer = (struct zq_writer){.notify = on_writer};
    request.target = zq_slice(
        target, (size_t)snprintf(target, sizeof(target), "/p/%llu", (unsigned long long)item->key));
    return zq_cache_get(cache, &request, item->now_ms, true, reader, writer, &forward);
}

static inline void item_head(const struct item *item, struct zq_writer *writer)
{
    struct zq_slice control = item->control.n > 0 ? item->control : ZQ_SLICE("max-age=3600");
    struct zq_field v[] = {
        {ZQ_SLICE("cache-control"), control},
        {ZQ_SLICE("cache-tag"), item->tag},
    };
    struct zq_fields fields = {v, item->tag.n > 0 ? 2 : 1};
    struct zq_cache_response head = {
        .status = 200,
        .fields = &fields,
        .block = ZQ_SLICE(BLOCK),
        .content_length = (int64_t)item->body_n,
        .storable = true,
    };

    MUST(zq_entry_head(writer, &head, item->now_ms, NOW_S) == 0);
}

static inline void item_append(struct zq_writer *writer, size_t n)
{
    static const char content[1 << 20];

    MUST(n <= sizeof(content));
    MUST(zq_entry_append(writer, zq_slice(content, n)) == 0);
}

static inline void item_answer(const struct item *item, struct zq_writer *writer)
{
    item_head(item, writer);
    item_append(writer, item->body_n);
    zq_entry_finish(writer, true);
}

/* The whole of it; true for a hit. */
static inline bool item_ask(struct zq_cache *cache, const struct item *item)
{
    struct zq_reader reader;
    struct zq_writer writer;
    int verdict = item_get(cache, item, &reader, &writer);

    MUST(verdict == ZQ_CACHE_HIT || verdict == ZQ_CACHE_LEAD || verdict == ZQ_CACHE_PASS);
    if (verdict != ZQ_CACHE_HIT)
        item_answer(item, &writer);
    zq_reader_detach(&reader);
    return verdict == ZQ_CACHE_HIT;
}

static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline int64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline uint64_t responses_of(struct zq_cache *cache)
{
    struct zq_cache_stat stat;

    zq_cache_stat(cache, &stat);
    return stat.responses;
}

#endif
