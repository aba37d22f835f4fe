/* I/O threads at work: each has exchanges that read and fetches that write, and all share a cache.
 * They purge, one of them sweeps, and one turns the cache off and on.
 * Readers move only when they were told to, as in the front, so a lost notification hangs the test;
 * what they read names the request it is for. In threads ZQ_ASSERT aborts; a failure of
 * cmocka's would jump to another stack. Meant for the sanitizers; runs in any build. */
#include "test_cache_rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { THREADS = 4, EXCHANGES = 12, KEYS = 24, REQUESTS = 4000, CACHE_BYTES = 400 << 10 };

struct exchange {
    struct zq_reader reader;
    struct zq_writer writer; /* of a fetch that may outlive the exchange */
    atomic_bool reader_news, writer_news;
    struct rig_fields fields;
    char request[64], target[16];
    unsigned key, language, user; /* what the answer must be for; user 0: anybody */
    uint64_t got;
    bool open, fetching, head_sent, conditional;
    /* the answer that the fetch makes */
    size_t length, sent;
    bool personal, whole;
};

struct io_thread {
    pthread_t thread;
    struct zq_cache *cache;
    struct exchange exchanges[EXCHANGES];
    uint32_t seed;
    unsigned started;
    unsigned verdicts[4], released, failed, aborted, complete, validated, purged;
    bool sweeps, switches, off;
};

/* All threads' clock: it goes on with every request, so that much of what is stored grows stale. */
static atomic_llong clock_ms;

static int64_t now_ms(void)
{
    return atomic_load(&clock_ms);
}

static unsigned dice(struct io_thread *t, unsigned n)
{
    t->seed = t->seed * 1664525u + 1013904223u;
    return (t->seed >> 8) % n;
}

static void on_reader(struct zq_reader *reader)
{
    atomic_store(&ZQ_CONTAINER(reader, struct exchange, reader)->reader_news, true);
}

static void on_writer(struct zq_writer *writer)
{
    atomic_store(&ZQ_CONTAINER(writer, struct exchange, writer)->writer_news, true);
}

/* ---- content: every byte says whom it is for ---- */

static char content_byte(unsigned key, unsigned language, unsigned user, uint64_t at)
{
    switch (at % 4) {
    case 0:
        return (char)key;
    case 1:
        return (char)language;
    case 2:
        return (char)user;
    default:
        return (char)(at / 4 % 127);
    }
}

static void check_content(const struct exchange *x, const struct iovec *run, uint64_t at)
{
    const char *bytes = run->iov_base;

    for (size_t i = 0; i < run->iov_len; i++) {
        char anybody = content_byte(x->key, x->language, 0, at + i);
        if (bytes[i] != anybody && bytes[i] != content_byte(x->key, x->language, x->user, at + i))
            zq_assert_failed("the content is for this request", __FILE__, __LINE__);
    }
}

/* ---- the exchange's side ---- */

static void attach(struct io_thread *t, struct exchange *x, bool may_join)
{
    struct zq_cache_request request = {
        .is_get = true,
        .scheme = ZQ_SLICE("http"),
        .host = ZQ_SLICE("a"),
        .target = zq_slice_str(x->target),
        .fields = &x->fields.fields,
    };
    struct zq_writer writer = {0};
    enum zq_cache_forward forward;

    x->reader.notify = on_reader;
    int verdict =
        zq_cache_get(t->cache, &request, now_ms(), may_join, &x->reader, &writer, &forward);
    ZQ_ASSERT(verdict >= 0);
    t->verdicts[verdict]++;
    x->got = 0;
    if (verdict == ZQ_CACHE_LEAD || verdict == ZQ_CACHE_PASS) {
        x->writer = writer;
        x->writer.notify = on_writer;
        zq_writer_moved(&x->writer);
        x->fetching = true;
        x->head_sent = false;
        x->sent = 0;
    }
    atomic_store(&x->reader_news, true); /* the first look */
}

static void begin(struct io_thread *t, struct exchange *x)
{
    x->key = dice(t, 4) ? dice(t, 4) : dice(t, KEYS);
    x->language = dice(t, 3);
    x->user = dice(t, 3) == 0 ? 1 + dice(t, 50) : 0;
    x->conditional = dice(t, 20) == 0;
    snprintf(x->target, sizeof(x->target), "/%u", x->key);
    int n = snprintf(x->request, sizeof(x->request), "accept-language: %u", x->language);
    if (x->user > 0)
        n += snprintf(x->request + n, sizeof(x->request) - (size_t)n, "\ncookie: %u", x->user);
    if (x->conditional)
        snprintf(x->request + n, sizeof(x->request) - (size_t)n, "\nrange: bytes=0-");
    rig_fields(&x->fields, x->request);
    x->open = true;
    t->started++;
    atomic_fetch_add(&clock_ms, 5);
    attach(t, x, true);
}

static void leave(struct exchange *x)
{
    zq_reader_detach(&x->reader);
    x->open = false;
}

/* Takes what there is; now and then only a part, as a full socket does, and comes back by itself.
 */
static void take(struct io_thread *t, struct exchange *x)
{
    struct iovec runs[3];
    bool end;

    for (;;) {
        int n = zq_reader_peek(&x->reader, runs, 3, &end);
        uint64_t bytes = 0;
        for (int i = 0; i < n; i++) {
            check_content(x, &runs[i], x->got + bytes);
            bytes += runs[i].iov_len;
        }
        bool partly = bytes > 1 && dice(t, 6) == 0;
        if (partly)
            bytes = 1 + dice(t, (unsigned)bytes);
        if (bytes > 0)
            zq_reader_advance(&x->reader, bytes);
        x->got += bytes;
        if (partly) {
            atomic_store(&x->reader_news, true);
            return;
        }
        if (end) {
            struct zq_entry_info info;
            zq_entry_describe(&x->reader, now_ms(), &info);
            ZQ_ASSERT(info.content_length < 0 || (uint64_t)info.content_length == x->got);
            t->complete++;
            leave(x);
            return;
        }
        if (n == 0)
            return;
    }
}

static void pump(struct io_thread *t, struct exchange *x)
{
    struct zq_entry_info info;

    switch (zq_reader_state(&x->reader)) {
    case ZQ_READER_WAITING:
        break;
    case ZQ_READER_RELEASED:
        t->released++;
        zq_reader_detach(&x->reader);
        ZQ_ASSERT(!x->fetching); /* a leader is not released */
        attach(t, x, false);
        break;
    case ZQ_READER_FAILED:
        ZQ_ASSERT(zq_entry_status(&x->reader) == 502);
        t->failed++;
        leave(x);
        break;
    case ZQ_READER_ABORTED:
        t->aborted++;
        leave(x);
        break;
    case ZQ_READER_OPEN:
    case ZQ_READER_COMPLETE:
        zq_entry_describe(&x->reader, now_ms(), &info);
        ZQ_ASSERT(info.status == 200);
        take(t, x);
        break;
    }
}

/* ---- the fetch's side ---- */

#define BLOCK_WITH_ETAG "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n"

/* What is stored, and selected by this request, is still right: to each representation of its own
 * content, one tag is enough here. */
static void send_not_modified(struct io_thread *t, struct exchange *x)
{
    struct rig_fields fields;
    struct zq_cache_response response = {
        .status = 304,
        .fields = rig_fields(&fields, "Cache-Control: public, max-age=1\nETag: \"a\""),
        .block = ZQ_SLICE("HTTP/1.1 304 -\r\nETag: \"a\"\r\n"),
        .content_length = -1,
        .no_content = true,
        .storable = true,
    };

    ZQ_ASSERT(zq_entry_head(&x->writer, &response, now_ms(), 1000000000) == 0);
    x->head_sent = true;
    x->length = 0;
    x->whole = true;
    t->validated++;
}

static void send_head(struct io_thread *t, struct exchange *x)
{
    static const char *const kinds[] = {
        "Cache-Control: max-age=1",
        "Cache-Control: max-age=1\nVary: accept-language\nCache-Tag: a, b",
        "Cache-Control: public, max-age=1\nVary: accept-language\nSurrogate-Key: b c",
        "Cache-Control: public, s-maxage=1\nVary: Accept-Language",
        "Cache-Control: no-store",
        NULL,
    };
    struct rig_fields fields;
    unsigned kind = dice(t, ZQ_ARRAY_SIZE(kinds));

    /* What does not vary on the language must not depend on it. A page that is for one user says
     * so by its content, and says too little by its fields. */
    x->personal = x->user > 0 && (kind < 2 || kind > 3);
    if (kind == 0)
        kind = 1;
    x->length = dice(t, 8) ? dice(t, 3000) : dice(t, 120000);
    x->whole = dice(t, 12) > 0;
    struct zq_cache_response response = {
        .status = 200,
        .fields = rig_fields(&fields, kinds[kind]),
        .block = dice(t, 2) ? ZQ_SLICE(BLOCK_WITH_ETAG) : ZQ_SLICE(RIG_BLOCK),
        .content_length = dice(t, 2) ? (int64_t)x->length : -1,
        .storable = dice(t, 30) > 0,
    };
    ZQ_ASSERT(zq_entry_head(&x->writer, &response, now_ms(), 1000000000) == 0);
    x->head_sent = true;
}

static void send_some(struct io_thread *t, struct exchange *x)
{
    static _Thread_local char bytes[4096];
    size_t window = zq_writer_window(&x->writer);
    size_t n = x->length - x->sent < sizeof(bytes) ? x->length - x->sent : sizeof(bytes);

    if (n > window)
        return;
    for (size_t i = 0; i < n; i++)
        bytes[i] = content_byte(x->key, x->language, x->personal ? x->user : 0, x->sent + i);
    ZQ_ASSERT(zq_entry_append(&x->writer, zq_slice(bytes, n)) == 0);
    x->sent += n;
}

static void end_fetch(struct exchange *x, bool whole)
{
    if (x->head_sent)
        zq_entry_finish(&x->writer, whole);
    else
        zq_entry_fail(&x->writer, 502);
    x->fetching = false;
}

static void fetch(struct io_thread *t, struct exchange *x)
{
    if (atomic_exchange(&x->writer_news, false) && zq_writer_abandoned(&x->writer)) {
        end_fetch(x, false);
        return;
    }
    if (dice(t, 4) == 0)
        return;
    if (!x->head_sent && dice(t, 25) == 0) {
        end_fetch(x, false);
        return;
    }
    if (!x->head_sent && x->writer.etag.p != NULL && dice(t, 3) > 0)
        send_not_modified(t, x);
    else if (!x->head_sent)
        send_head(t, x);
    else if (x->sent < x->length)
        send_some(t, x);
    else
        end_fetch(x, x->whole);
}

/* ---- the operator's side ---- */

static void purge(struct io_thread *t)
{
    static const struct zq_purge purges[] = {
        {ZQ_PURGE_TAG, false, {"a", 1}},    {ZQ_PURGE_TAG, true, {"b", 1}},
        {ZQ_PURGE_TAG, false, {"none", 4}}, {ZQ_PURGE_PREFIX, false, {"/1", 2}},
        {ZQ_PURGE_GLOB, true, {"*2", 2}},   {ZQ_PURGE_URL, true, {"http://a/3", 10}},
        {ZQ_PURGE_URL, false, {"/0", 2}},   {ZQ_PURGE_ALL, true, {"", 0}},
        {ZQ_PURGE_ALL, false, {"", 0}},
    };
    uint64_t number;
    int error = zq_cache_purge(t->cache, &purges[dice(t, ZQ_ARRAY_SIZE(purges))], 0, &number);

    ZQ_ASSERT(error == 0 || error == ZQ_ELIMIT); /* the sweep is behind */
    t->purged += error == 0;
}

static void operate(struct io_thread *t)
{
    char target[16];

    if (dice(t, 200) == 0) {
        snprintf(target, sizeof(target), "/%u", dice(t, KEYS));
        zq_cache_invalidate(t->cache, ZQ_SLICE("http"), ZQ_SLICE("a"), zq_slice_str(target));
    }
    if (dice(t, 100) == 0)
        purge(t);
    if (t->sweeps)
        zq_cache_sweep(t->cache);
    if (t->switches && dice(t, t->off ? 5 : 500) == 0) {
        t->off = !t->off;
        zq_cache_switch(t->cache, !t->off);
    }
}

/* ---- the loop ---- */

static bool turn(struct io_thread *t)
{
    bool busy = false;

    for (int i = 0; i < EXCHANGES; i++) {
        struct exchange *x = &t->exchanges[i];
        if (!x->open && !x->fetching && t->started < REQUESTS)
            begin(t, x);
        if (x->fetching)
            fetch(t, x);
        if (x->open && atomic_exchange(&x->reader_news, false))
            pump(t, x);
        if (x->open && dice(t, 300) == 0)
            leave(x);
        busy |= x->open || x->fetching;
    }
    operate(t);
    ZQ_ASSERT(zq_cache_used(t->cache) <= CACHE_BYTES);
    return busy || t->started < REQUESTS;
}

static void *run(void *argument)
{
    struct io_thread *t = argument;

    while (turn(t))
        ;
    return NULL;
}

static void threads_share_a_cache(void **state)
{
    static struct io_thread threads[THREADS];
    struct zq_cache *cache = zq_cache_new(CACHE_BYTES);
    struct io_thread sum = {0};

    alarm(240);
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i].cache = cache;
        threads[i].seed = i * 7919 + 1;
        threads[i].sweeps = i == 0;
        threads[i].switches = i == 1;
        assert_int_equal(pthread_create(&threads[i].thread, NULL, run, &threads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i].thread, NULL), 0);
        for (int v = 0; v < 4; v++)
            sum.verdicts[v] += threads[i].verdicts[v];
        sum.released += threads[i].released;
        sum.complete += threads[i].complete;
        sum.aborted += threads[i].aborted;
        sum.failed += threads[i].failed;
        sum.validated += threads[i].validated;
        sum.purged += threads[i].purged;
    }
    print_message("hit %u, join %u, lead %u, pass %u; complete %u, released %u, cut %u, failed %u; "
                  "validated %u, purged %u\n",
                  sum.verdicts[ZQ_CACHE_HIT], sum.verdicts[ZQ_CACHE_JOIN],
                  sum.verdicts[ZQ_CACHE_LEAD], sum.verdicts[ZQ_CACHE_PASS], sum.complete,
                  sum.released, sum.aborted, sum.failed, sum.validated, sum.purged);
    assert_true(sum.verdicts[ZQ_CACHE_HIT] > 0 && sum.verdicts[ZQ_CACHE_JOIN] > 0);
    assert_true(sum.released > 0 && sum.aborted > 0 && sum.failed > 0);
    assert_true(sum.validated > 0 && sum.purged > 0);
    assert_true(sum.complete > THREADS * REQUESTS / 2);
    zq_cache_free(cache); /* asserts that every byte was given back */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_a_cache),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
