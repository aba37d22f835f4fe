/* The cache without sockets: a hit, a miss that is stored, and the policy by itself. */
#include "replay.h"

#include "cache/policy.h"
#include "zq/cache.h"

static struct zq_field bare_fields[] = {{{"host", 4}, {"127.0.0.1:8000", 14}}};

static struct zq_field browser_fields[] = {
    {{"host", 4}, {"shop.example", 12}},
    {{"user-agent", 10}, {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101", 56}},
    {{"accept", 6}, {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 63}},
    {{"accept-language", 15}, {"en-US,en;q=0.5", 14}},
    {{"accept-encoding", 15}, {"gzip, deflate, br, zstd", 23}},
    {{"connection", 10}, {"keep-alive", 10}},
    {{"upgrade-insecure-requests", 25}, {"1", 1}},
    {{"sec-fetch-mode", 14}, {"navigate", 8}},
};

static struct zq_field plain_response[] = {
    {{"content-type", 12}, {"application/json", 16}},
    {{"cache-control", 13}, {"public, max-age=86400", 21}},
};

static struct zq_field varying_response[] = {
    {{"content-type", 12}, {"text/html; charset=utf-8", 24}},
    {{"cache-control", 13}, {"public, max-age=60, s-maxage=300", 32}},
    {{"vary", 4}, {"Accept-Encoding", 15}},
    {{"x-content-type-options", 22}, {"nosniff", 7}},
};

static const struct zq_fields bare = {bare_fields, ZQ_ARRAY_SIZE(bare_fields)};
static const struct zq_fields browser = {browser_fields, ZQ_ARRAY_SIZE(browser_fields)};
static const struct zq_fields plain = {plain_response, ZQ_ARRAY_SIZE(plain_response)};
static const struct zq_fields varying = {varying_response, ZQ_ARRAY_SIZE(varying_response)};
static const char body[117];

static void nothing_read(struct zq_reader *reader)
{
}

static void nothing_written(struct zq_writer *writer)
{
}

static struct zq_cache_request request_of(struct zq_slice target, const struct zq_fields *fields)
{
    return (struct zq_cache_request){
        .is_get = true,
        .scheme = ZQ_SLICE("http"),
        .host = fields->v[0].value,
        .target = target,
        .fields = fields,
    };
}

static void store(struct zq_cache *cache, const struct zq_cache_request *request,
                  const struct zq_fields *response)
{
    struct zq_reader reader = {.notify = nothing_read};
    struct zq_writer writer = {.notify = nothing_written};
    enum zq_cache_forward forward;
    struct zq_cache_response head = {
        .status = 200,
        .fields = response,
        .block = ZQ_SLICE("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"),
        .content_length = sizeof(body),
        .storable = true,
    };
    MUST(zq_cache_get(cache, request, 1000, true, &reader, &writer, &forward) ==
                ZQ_CACHE_LEAD);
    MUST(zq_entry_head(&writer, &head, 1000, 1000000000) == 0);
    MUST(zq_entry_append(&writer, zq_slice(body, sizeof(body))) == 0);
    zq_entry_finish(&writer, true);
    zq_reader_detach(&reader);
}

static void hits(unsigned long n, const struct zq_fields *fields, const struct zq_fields *response)
{
    struct zq_cache *cache = zq_cache_new(64u << 20);
    struct zq_cache_request request = request_of(ZQ_SLICE("/summary/ACME"), fields);
    store(cache, &request, response);
    for (unsigned long i = 0; i < n; i++) {
        struct zq_reader reader = {.notify = nothing_read};
        struct zq_writer writer = {.notify = nothing_written};
        enum zq_cache_forward forward;
        struct zq_entry_info info;
        struct iovec runs[4];
        bool end;
        MUST(zq_cache_get(cache, &request, 2000, true, &reader, &writer, &forward) ==
                    ZQ_CACHE_HIT);
        zq_entry_describe(&reader, 2000, &info);
        MUST(zq_reader_peek(&reader, runs, 4, &end) == 1 && end);
        zq_reader_advance(&reader, sizeof(body));
        zq_reader_detach(&reader);
    }
    zq_cache_free(cache);
}

static void hit(unsigned long n)
{
    hits(n, &bare, &plain);
}

static void hit_varying(unsigned long n)
{
    hits(n, &browser, &varying);
}

static void miss(unsigned long n)
{
    struct zq_cache *cache = zq_cache_new(1u << 20);
    for (unsigned long i = 0; i < n; i++) {
        char target[32];
        int length = snprintf(target, sizeof(target), "/summary/%08lu", i);
        struct zq_cache_request request = request_of(zq_slice(target, (size_t)length), &bare);
        store(cache, &request, &plain);
    }
    zq_cache_free(cache);
}

static void policy_request(unsigned long n)
{
    unsigned traits = 0;
    for (unsigned long i = 0; i < n; i++)
        traits |= zq_policy_request(&browser);
    MUST(traits == 0);
}

static void policy_judge(unsigned long n)
{
    struct zq_policy_exchange exchange = {.status = 200,
                                          .response = &varying,
                                          .request_ms = 1000,
                                          .response_ms = 1010,
                                          .now = 1000000000};
    struct zq_freshness freshness;
    for (unsigned long i = 0; i < n; i++)
        MUST(zq_policy_judge(&exchange, &freshness) == ZQ_POLICY_STORABLE);
}

int main(int argc, char **argv)
{
    static const struct replay list[] = {
        {"hit", hit},
        {"hit-varying", hit_varying},
        {"miss-stored", miss},
        {"policy-request", policy_request},
        {"policy-judge", policy_judge},
    };
    return replay_main(argc, argv, list, ZQ_ARRAY_SIZE(list));
}
