/* What the cache's tests share: clients and fetches in a line each. */
#ifndef TEST_CACHE_RIG_H
#define TEST_CACHE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "zq/cache.h"

#define RIG_FIELDS_MAX 24
#define RIG_SIZE (1 << 20)
#define RIG_FRESH "Cache-Control: max-age=60"

/* A test with a cache of its own in *state. */
static inline int rig_open(void **state)
{
    *state = zq_cache_new(RIG_SIZE);
    return *state == NULL;
}

static inline int rig_close(void **state)
{
    zq_cache_free(*state); /* asserts that all memory was given back */
    return 0;
}
#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)

/* Header fields from lines: "name: value\nname: value". They borrow from `lines`. */
struct rig_fields {
    struct zq_field v[RIG_FIELDS_MAX];
    struct zq_fields fields;
};

static inline const struct zq_fields *rig_fields(struct rig_fields *out, const char *lines)
{
    size_t n = 0;

    while (lines != NULL && *lines != '\0') {
        const char *end = strchr(lines, '\n');
        size_t length = end ? (size_t)(end - lines) : strlen(lines);
        const char *colon = memchr(lines, ':', length);
        assert_non_null(colon);
        assert_true(n < RIG_FIELDS_MAX);
        out->v[n].name = zq_slice(lines, (size_t)(colon - lines));
        out->v[n++].value =
            zq_slice_trim(zq_slice(colon + 1, length - (size_t)(colon + 1 - lines)));
        lines = end ? end + 1 : NULL;
    }
    out->fields = (struct zq_fields){.v = out->v, .n = n};
    return &out->fields;
}

/* A request under way: its reader, and its writer if it fetches. */
struct rig_client {
    struct zq_reader reader;
    struct zq_writer writer;
    struct rig_fields request;
    enum zq_cache_forward forward;
    int verdict;
    unsigned reader_news, writer_news;
};

static inline void rig_on_reader(struct zq_reader *reader)
{
    ZQ_CONTAINER(reader, struct rig_client, reader)->reader_news++;
}

static inline void rig_on_writer(struct zq_writer *writer)
{
    ZQ_CONTAINER(writer, struct rig_client, writer)->writer_news++;
}

struct rig_ask {
    const char *method, *target, *fields; /* GET, / and none unless said otherwise */
    bool has_body, untrusted, alone;
    int64_t now_ms;
};

static inline int rig_get_(struct zq_cache *cache, struct rig_client *c, struct rig_ask ask)
{
    const char *method = ask.method ? ask.method : "GET";
    struct zq_cache_request request = {
        .is_get = strcmp(method, "GET") == 0,
        .is_head = strcmp(method, "HEAD") == 0,
        .is_post = strcmp(method, "POST") == 0,
        .has_body = ask.has_body,
        .untrusted_forwarded = ask.untrusted,
        .scheme = ZQ_SLICE("http"),
        .host = ZQ_SLICE("example.com"),
        .target = zq_slice_str(ask.target ? ask.target : "/"),
        .fields = rig_fields(&c->request, ask.fields),
    };

    c->reader.notify = rig_on_reader;
    c->writer = (struct zq_writer){.notify = rig_on_writer};
    c->forward = ZQ_FORWARD_NONE;
    c->verdict =
        zq_cache_get(cache, &request, ask.now_ms, !ask.alone, &c->reader, &c->writer, &c->forward);
    return c->verdict;
}
#define rig_get(cache, client, ...) rig_get_((cache), (client), (struct rig_ask){__VA_ARGS__})

static inline void rig_invalidate(struct zq_cache *cache, const char *target)
{
    zq_cache_invalidate(cache, ZQ_SLICE("http"), ZQ_SLICE("example.com"), zq_slice_str(target));
}

/* Asks, expects a verdict and a reason, and lets go of whatever came. */
static inline void rig_expect_verdict_(struct zq_cache *cache, struct rig_ask ask,
                                       enum zq_cache_verdict verdict, enum zq_cache_forward forward)
{
    struct rig_client c = {0};

    assert_int_equal(rig_get_(cache, &c, ask), verdict);
    assert_int_equal(c.forward, forward);
    if (c.writer.entry != NULL)
        zq_entry_fail(&c.writer, 502);
    zq_reader_detach(&c.reader);
}
#define rig_verdict(cache, verdict, forward, ...)                                                  \
    rig_expect_verdict_((cache), (struct rig_ask){__VA_ARGS__}, ZQ_CACHE_##verdict,                \
                        ZQ_FORWARD_##forward)

struct rig_answer {
    unsigned status;            /* 200 unless said otherwise */
    const char *fields, *block; /* RIG_BLOCK unless said otherwise */
    int64_t length;             /* 0: not known; -1: announced as none */
    int64_t now_ms;
    time_t now;
    bool old, no_content;
};

#define RIG_BLOCK "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"

static inline int rig_head_(struct rig_client *c, struct rig_answer a)
{
    struct rig_fields fields;
    struct zq_cache_response response = {
        .status = a.status ? a.status : 200,
        .fields = rig_fields(&fields, a.fields),
        .block = zq_slice_str(a.block ? a.block : RIG_BLOCK),
        .content_length = a.length == 0  ? -1
                          : a.length < 0 ? 0
                                         : a.length,
        .no_content = a.no_content,
        .storable = !a.old,
    };

    return zq_entry_head(&c->writer, &response, a.now_ms, a.now ? a.now : 1000000000);
}
#define rig_head(client, ...) rig_head_((client), (struct rig_answer){__VA_ARGS__})

/* A head with a block of its own, which is to say the same as its fields. */
static inline int rig_head_block(struct rig_client *c, unsigned status, const char *fields,
                                 const char *block, int64_t now_ms)
{
    return rig_head(c, .status = status, .fields = fields, .block = block, .now_ms = now_ms,
                    .no_content = status == 304);
}

static inline int rig_append(struct rig_client *c, const char *data)
{
    return zq_entry_append(&c->writer, zq_slice_str(data));
}

static inline void rig_finish(struct rig_client *c)
{
    zq_entry_finish(&c->writer, true);
}

static inline enum zq_reader_state rig_state(struct rig_client *c)
{
    return zq_reader_state(&c->reader);
}

static inline void rig_leave(struct rig_client *c)
{
    zq_reader_detach(&c->reader);
}

/* Takes up to `max` bytes into `out`; what was there. */
static inline size_t rig_take(struct rig_client *c, char *out, size_t max)
{
    struct iovec runs[4];
    size_t taken = 0;
    bool end;

    for (;;) {
        int n = zq_reader_peek(&c->reader, runs, 4, &end);
        size_t before = taken;
        for (int i = 0; i < n && taken < max; i++) {
            size_t bytes = runs[i].iov_len < max - taken ? runs[i].iov_len : max - taken;
            memcpy(out + taken, runs[i].iov_base, bytes);
            taken += bytes;
        }
        if (taken == before)
            return taken;
        zq_reader_advance(&c->reader, taken - before);
    }
}

static inline struct zq_entry_info rig_describe(struct rig_client *c, int64_t now_ms)
{
    struct zq_entry_info info;

    zq_entry_describe(&c->reader, now_ms, &info);
    return info;
}

/* Reads all of a complete response and compares it. */
static inline void rig_expect(struct rig_client *c, const char *text)
{
    char got[256];

    assert_int_equal(rig_state(c), ZQ_READER_COMPLETE);
    size_t n = rig_take(c, got, sizeof(got));
    assert_int_equal(n, strlen(text));
    assert_memory_equal(got, text, n);
}

/* One whole exchange that leads, in one go. */
static inline void rig_store_(struct zq_cache *cache, struct rig_ask ask, struct rig_answer answer,
                              const char *body)
{
    struct rig_client c = {0};

    assert_int_equal(rig_get_(cache, &c, ask), ZQ_CACHE_LEAD);
    if (answer.now_ms == 0)
        answer.now_ms = ask.now_ms;
    assert_int_equal(rig_head_(&c, answer), 0);
    assert_int_equal(rig_append(&c, body), 0);
    rig_finish(&c);
    rig_expect(&c, body);
    rig_leave(&c);
}
#define RIG_ASK(...) ((struct rig_ask){__VA_ARGS__})
#define RIG_ANSWER(...) ((struct rig_answer){__VA_ARGS__})
#define rig_store(cache, ask, answer, body) rig_store_((cache), ask, answer, (body))

/* ---- content that can be checked anywhere ---- */

static inline void rig_append_bytes(struct rig_client *c, uint64_t from, size_t n)
{
    char *bytes = malloc(n);

    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)((from + i) % 253);
    assert_int_equal(zq_entry_append(&c->writer, zq_slice(bytes, n)), 0);
    free(bytes);
}

/* Takes up to `n` bytes and checks them; what there was. */
static inline size_t rig_take_bytes(struct rig_client *c, size_t n)
{
    char *bytes = malloc(n);
    uint64_t from = c->reader.offset;
    size_t got = rig_take(c, bytes, n);

    for (size_t i = 0; i < got; i++)
        if (bytes[i] != (char)((from + i) % 253))
            fail_msg("differs at %zu", (size_t)from + i);
    free(bytes);
    return got;
}

/* A PASS whose head is there. */
static inline void rig_pass(struct zq_cache *cache, struct rig_client *c, int64_t length)
{
    assert_int_equal(rig_get(cache, c, .method = "POST"), ZQ_CACHE_PASS);
    assert_int_equal(rig_head(c, .length = length), 0);
}

/* A LEAD with a storable head. */
static inline void rig_lead(struct zq_cache *cache, struct rig_client *c, int64_t length)
{
    assert_int_equal(rig_get(cache, c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_head(c, .fields = RIG_FRESH, .length = length), 0);
    assert_true(rig_describe(c, 0).stored);
}

static inline void rig_end(struct rig_client *c, bool whole, enum zq_reader_state state)
{
    zq_entry_finish(&c->writer, whole);
    assert_null(c->writer.entry);
    assert_int_equal(rig_state(c), state);
    rig_leave(c);
}

#endif
