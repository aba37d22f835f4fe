/* Parts of a representation: stored, used, put together (RFC 9110 14, 15.3.7; RFC 9111 3.3, 3.4).
 */
#include "test_cache_rig.h"

#include "cache/entry.h"
#include "cache/part.h"

#define TAG "ETag: \"a\"\n"
#define MAX_AGE "Cache-Control: max-age=60\n"
#define LONG "Cache-Control: max-age=2000000000\n"

/* A head whose block says what its fields say, a line each. */
static int head(struct rig_client *c, unsigned status, const char *lines, int64_t length)
{
    static const char *const phrases[] = {"HTTP/1.1 200 OK\r\n", "HTTP/1.1 206 Partial Content\r\n",
                                          "HTTP/1.1 416 Range Not Satisfiable\r\n"};
    char block[512], *p = block;
    struct rig_fields fields;
    size_t n = strlen(lines);

    p += sprintf(p, "%s", phrases[status == 206 ? 1 : status == 416 ? 2 : 0]);
    for (size_t i = 0; i < n; i++) {
        if (lines[i] == '\n')
            *p++ = '\r';
        *p++ = lines[i];
    }
    char trimmed[512];
    snprintf(trimmed, sizeof(trimmed), "%.*s", (int)(n > 0 ? n - 1 : 0), lines);
    struct zq_cache_response response = {
        .status = status,
        .fields = rig_fields(&fields, trimmed),
        .block = zq_slice(block, (size_t)(p - block)),
        .content_length = length,
        .storable = true,
    };
    return zq_entry_head(&c->writer, &response, 0, 1000000000);
}

static void expect_block(struct rig_client *c, const char *text)
{
    struct zq_slice block = rig_describe(c, 0).block;

    if (!zq_slice_eq(block, zq_slice_str(text)))
        fail_msg("%.*s", (int)block.n, block.p);
}

/* A Range request that passes, and its 206. */
static void store_part(struct zq_cache *cache, const char *range, const char *lines,
                       const char *content)
{
    struct rig_client c = {0};

    assert_int_equal(rig_get(cache, &c, .fields = range), ZQ_CACHE_PASS);
    assert_false(c.writer.whole);
    assert_int_equal(head(&c, 206, lines, (int64_t)strlen(content)), 0);
    assert_int_equal(rig_append(&c, content), 0);
    rig_finish(&c);
    rig_expect(&c, content);
    rig_leave(&c);
}

/* What a hit with that Range gives; NULL: it is none. */
static void expect_range(struct zq_cache *cache, const char *fields, const char *content,
                         const char *range)
{
    struct rig_client c = {0};
    struct zq_answer answer;
    struct zq_buf block = {0};
    char got[64];

    int verdict = rig_get(cache, &c, .fields = fields);
    if (content == NULL) {
        if (verdict == ZQ_CACHE_HIT)
            fail_msg("%s: a hit", fields);
        zq_entry_fail(&c.writer, 502);
        rig_leave(&c);
        return;
    }
    if (verdict != ZQ_CACHE_HIT)
        fail_msg("%s: no hit", fields);
    struct zq_entry_info info = rig_describe(&c, 0);
    zq_answer_choose(&c.reader, true, &info, &answer);
    assert_int_equal(answer.status, 206);
    size_t n = rig_take(&c, got, sizeof(got));
    assert_true(answer.first + answer.n <= n && answer.n == strlen(content));
    assert_memory_equal(got + answer.first, content, answer.n);
    assert_int_equal(zq_answer_block(&block, &answer, info.block), 0);
    *zq_buf_reserve(&block, 1) = '\0';
    if (strstr(zq_buf_data(&block), range) == NULL)
        fail_msg("%s: %s", fields, zq_buf_data(&block));
    zq_buf_fini(&block);
    rig_leave(&c);
}

#define PART MAX_AGE TAG "Content-Range: bytes 4-8/10\n"

/* RFC 9111 3.3: a part answers what lies in it, and nothing else. */
static void a_part_answers_what_it_has(void **state)
{
    struct zq_cache *cache = *state;

    store_part(cache, "range: bytes=4-8", PART, "45678");
    expect_range(cache, "range: bytes=4-8", "45678", "Content-Range: bytes 4-8/10\r\n");
    expect_range(cache, "range: bytes=5-6", "56", "Content-Range: bytes 5-6/10\r\n");
    expect_range(cache, "range: bytes=8-8", "8", "Content-Range: bytes 8-8/10\r\n");
    expect_range(cache, "range: bytes=5-6\nif-range: \"a\"", "56", "bytes 5-6/10");
    expect_range(cache, "range: bytes=5-6\nif-range: \"b\"", NULL, NULL);
    expect_range(cache, "range: bytes=3-4", NULL, NULL);
    expect_range(cache, "range: bytes=5-9", NULL, NULL);
    expect_range(cache, "range: bytes=5-", NULL, NULL);
    expect_range(cache, "range: bytes=-1", NULL, NULL);
    expect_range(cache, "range: bytes=4-4,6-6", NULL, NULL);
    expect_range(cache, "range: bytes=10-", NULL, NULL);
    expect_range(cache, "range: lines=5-6", NULL, NULL);
    rig_verdict(cache, LEAD, PARTIAL, .now_ms = 0);
    rig_verdict(cache, PASS, PARTIAL, .fields = "range: bytes=0-1");
    rig_verdict(cache, PASS, PARTIAL, .method = "HEAD");
    rig_verdict(cache, PASS, PARTIAL, .method = "HEAD", .fields = "range: bytes=5-6");
    rig_verdict(cache, PASS, PARTIAL, .fields = "range: bytes=5-6", .now_ms = 60000);
    rig_invalidate(cache, "/");
    rig_verdict(cache, PASS, URI_MISS, .fields = "range: bytes=5-6");
}

/* Up to the end, the end can be asked for. */
static void the_last_part(void **state)
{
    struct zq_cache *cache = *state;

    store_part(cache, "range: bytes=-5", MAX_AGE "Content-Range: bytes 5-9/10\n", "56789");
    expect_range(cache, "range: bytes=-5", "56789", "bytes 5-9/10");
    expect_range(cache, "range: bytes=-1", "9", "bytes 9-9/10");
    expect_range(cache, "range: bytes=7-", "789", "bytes 7-9/10");
    expect_range(cache, "range: bytes=7-99", "789", "bytes 7-9/10");
    expect_range(cache, "range: bytes=-6", NULL, NULL);
}

/* A part that says that it goes to the end ends where its content ends, if it has no validator. */
static void a_part_shorter_than_it_says(void **state)
{
    static const struct {
        const char *lines;
        bool stored;
    } rows[] = {
        {MAX_AGE "Content-Range: bytes 4-9/10\n", true},
        {MAX_AGE TAG "Content-Range: bytes 4-9/10\n", false},
        {MAX_AGE "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nContent-Range: bytes 4-9/10\n",
         false},
        {MAX_AGE "Content-Range: bytes 4-9/11\n", false},
        {MAX_AGE "Content-Range: bytes 4-7/8\n", false},
    };

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        struct zq_cache *cache = zq_cache_new(RIG_SIZE);
        store_part(cache, "range: bytes=-5", rows[i].lines, "01234");
        if (rows[i].stored) {
            expect_range(cache, "range: bytes=-5", "01234", "bytes 4-8/9");
            expect_range(cache, "range: bytes=6-8", "234", "bytes 6-8/9");
            expect_range(cache, "range: bytes=6-", "234", "bytes 6-8/9");
            expect_range(cache, "range: bytes=-1", "4", "bytes 8-8/9");
        } else {
            rig_verdict(cache, PASS, URI_MISS, .fields = "range: bytes=4-4");
        }
        zq_cache_free(cache);
    }
}

/* RFC 9110 15.3.7.3: parts of the same bytes that touch or overlap are one, with the newer fields.
 */
static void parts_are_put_together(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    store_part(cache, "range: bytes=3-5",
               MAX_AGE TAG "X-Old: 1\nX: 1\nContent-Range: bytes 3-5/10\n", "345");
    store_part(cache, "range: bytes=6-8", MAX_AGE TAG "X: 2\nContent-Range: bytes 6-8/10\n", "678");
    expect_range(cache, "range: bytes=4-7", "4567", "bytes 4-7/10");
    expect_range(cache, "range: bytes=3-8", "345678",
                 "X-Old: 1\r\nCache-Control: max-age=60\r\nETag: \"a\"\r\nX: 2\r\n"
                 "Content-Range: bytes 3-8/10\r\n");
    store_part(cache, "range: bytes=0-3", MAX_AGE TAG "Content-Range: bytes 0-3/10\n", "0123");
    expect_range(cache, "range: bytes=0-8", "012345678", "bytes 0-8/10");
    store_part(cache, "range: bytes=-2", MAX_AGE TAG "Content-Range: bytes 8-9/10\n", "89");

    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_HIT);
    assert_int_equal(rig_describe(&c, 0).status, 200);
    assert_int_equal(rig_describe(&c, 0).content_length, 10);
    expect_block(&c, "HTTP/1.1 200 OK\r\nX-Old: 1\r\nX: 2\r\nCache-Control: max-age=60\r\n"
                     "ETag: \"a\"\r\n");
    rig_expect(&c, "0123456789");
    rig_leave(&c);
    rig_invalidate(cache, "/");
    assert_int_equal(zq_cache_used(cache), 0);
}

/* One within the other, and tags: those of both. */
static void a_part_within_another(void **state)
{
    struct zq_cache *cache = *state;
    uint64_t number;

    store_part(cache, "range: bytes=0-8", MAX_AGE TAG "Cache-Tag: t\nContent-Range: bytes 0-8/10\n",
               "012345678");
    store_part(cache, "range: bytes=9-", MAX_AGE "ETag: \"b\"\nContent-Range: bytes 9-9/10\n", "9");
    expect_range(cache, "range: bytes=0-8", NULL, NULL);
    store_part(cache, "range: bytes=0-8", MAX_AGE TAG "Cache-Tag: t\nContent-Range: bytes 0-8/10\n",
               "012345678");
    assert_int_equal(
        zq_cache_purge(cache, &(struct zq_purge){ZQ_PURGE_TAG, false, ZQ_SLICE("x")}, 0, &number),
        0);
    struct rig_client c = {0};
    assert_int_equal(rig_get(cache, &c, .fields = "range: bytes=3-9"), ZQ_CACHE_PASS);
    assert_int_equal(head(&c, 206, MAX_AGE TAG "Content-Range: bytes 3-5/10\n", 3), 0);
    assert_int_equal(rig_append(&c, "345"), 0);
    rig_finish(&c);
    rig_leave(&c);
    expect_range(cache, "range: bytes=0-8", "012345678", "bytes 0-8/10");
    assert_int_equal(
        zq_cache_purge(cache, &(struct zq_purge){ZQ_PURGE_TAG, false, ZQ_SLICE("t")}, 0, &number),
        0);
    rig_verdict(cache, PASS, URI_MISS, .fields = "range: bytes=0-8");
}

static const struct {
    const char *first, *second;
} apart[] = {
    {TAG "Content-Range: bytes 0-3/10\n", "ETag: \"b\"\nContent-Range: bytes 4-6/10\n"},
    {"ETag: W/\"a\"\nContent-Range: bytes 0-3/10\n",
     "ETag: W/\"a\"\nContent-Range: bytes 4-6/10\n"},
    {"Content-Range: bytes 0-3/10\n", "Content-Range: bytes 4-6/10\n"},
    {TAG "Content-Range: bytes 0-3/10\n", "Content-Range: bytes 4-6/10\n"},
    {TAG "Content-Range: bytes 0-3/10\n", TAG "Content-Range: bytes 4-6/11\n"},
    {TAG "Content-Range: bytes 0-3/10\n", TAG "Content-Range: bytes 5-7/10\n"},
    /* A date as young as the response is no strong validator (RFC 9110 8.8.2.2). */
    {"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nDate: Sun, 06 Nov 1994 08:49:37 GMT\n"
     "Content-Range: bytes 0-3/10\n",
     "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nDate: Sun, 06 Nov 1994 08:49:38 GMT\n"
     "Content-Range: bytes 4-6/10\n"},
};

/* RFC 9110 15.3.7.3: only by a strong validator that both share. The newer stays. */
static void parts_that_do_not_belong_together(void **state)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(apart); i++) {
        struct zq_cache *cache = zq_cache_new(RIG_SIZE);
        char lines[512];
        snprintf(lines, sizeof(lines), LONG "%s", apart[i].first);
        store_part(cache, "range: bytes=0-3", lines, "0123");
        snprintf(lines, sizeof(lines), LONG "%s", apart[i].second);
        store_part(cache, "range: bytes=4-6", lines, "456");
        expect_range(cache, "range: bytes=2-3", NULL, NULL);
        expect_range(cache, "range: bytes=5-6", i == 5 ? "45" : "56", "Content-Range");
        zq_cache_free(cache);
    }
}

#define DATED                                                                                      \
    LONG "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\n"                                          \
         "Date: Sun, 06 Nov 1994 08:49:38 GMT\n"

/* RFC 9110 8.8.2.2 */
static void dates_are_strong_enough_a_second_later(void **state)
{
    struct zq_cache *cache = *state;

    store_part(cache, "range: bytes=0-2", DATED "Content-Range: bytes 0-2/10\n", "012");
    store_part(cache, "range: bytes=3-4", DATED "Content-Range: bytes 3-4/10\n", "34");
    expect_range(cache, "range: bytes=0-4", "01234", "bytes 0-4/10");
    expect_range(cache, "range: bytes=0-4\nif-range: Sun, 06 Nov 1994 08:49:37 GMT", "01234",
                 "bytes 0-4/10");
    rig_verdict(cache, LEAD, PARTIAL, .now_ms = 0);
}

/* ---- the rest ---- */

static void ask_for_the_rest(struct zq_cache *cache, struct rig_client *c, const char *if_range)
{
    assert_int_equal(rig_get(cache, c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(c->forward, ZQ_FORWARD_PARTIAL);
    assert_true(c->writer.whole && c->writer.etag.p == NULL && c->writer.last_modified.p == NULL);
    assert_int_equal(c->writer.rest, 5);
    assert_true(zq_slice_eq(c->writer.if_range, zq_slice_str(if_range)));
}

/* RFC 9111 3.3, 3.4: completed by a request for the rest. */
static void a_part_is_completed(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0}, waiter = {0};

    store_part(cache, "range: bytes=0-4", MAX_AGE TAG "X-Old: 1\nContent-Range: bytes 0-4/10\n",
               "01234");
    ask_for_the_rest(cache, &c, "\"a\"");
    assert_int_equal(rig_get(cache, &waiter, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_int_equal(head(&c, 206, MAX_AGE TAG "Content-Range: bytes 5-9/10\n", 5), 0);
    assert_int_equal(rig_state(&waiter), ZQ_READER_OPEN);
    assert_int_equal(rig_append(&c, "56789"), 0);
    rig_finish(&c);
    assert_int_equal(rig_describe(&c, 0).status, 200);
    assert_true(rig_describe(&c, 0).stored);
    expect_block(&c, "HTTP/1.1 200 OK\r\nX-Old: 1\r\nCache-Control: max-age=60\r\nETag: \"a\"\r\n");
    rig_expect(&c, "0123456789");
    rig_expect(&waiter, "0123456789");
    rig_leave(&c);
    rig_leave(&waiter);
    assert_int_equal(rig_get(cache, &c, .now_ms = 0), ZQ_CACHE_HIT);
    rig_expect(&c, "0123456789");
    rig_leave(&c);
}

/* It has changed: the whole comes, and takes the part's place. */
static void a_part_that_has_changed(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    store_part(cache, "range: bytes=0-4", MAX_AGE TAG "Content-Range: bytes 0-4/10\n", "01234");
    ask_for_the_rest(cache, &c, "\"a\"");
    assert_int_equal(head(&c, 200, MAX_AGE "ETag: \"b\"\n", 3), 0);
    assert_int_equal(rig_append(&c, "new"), 0);
    rig_finish(&c);
    rig_expect(&c, "new");
    rig_leave(&c);
    expect_range(cache, "range: bytes=0-1", "ne", "bytes 0-1/3");
}

static const struct {
    unsigned status;
    const char *lines;
} useless[] = {
    {206, MAX_AGE "ETag: \"b\"\nContent-Range: bytes 5-9/10\n"},
    {206, MAX_AGE "Content-Range: bytes 5-9/10\n"},
    {206, MAX_AGE TAG "Content-Range: bytes 6-9/10\n"},
    {206, MAX_AGE TAG "Content-Range: bytes 5-8/10\n"},
    {206, MAX_AGE TAG "Content-Range: bytes 5-9/11\n"},
    {206, MAX_AGE TAG},
    {416, "Content-Range: bytes */5\n"},
};

/* Neither the rest nor the whole: all ask again, and nothing of the part is left. */
static void a_part_that_cannot_be_completed(void **state)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(useless); i++) {
        struct zq_cache *cache = zq_cache_new(RIG_SIZE);
        struct rig_client c = {0};
        store_part(cache, "range: bytes=0-4", MAX_AGE TAG "Content-Range: bytes 0-4/10\n", "01234");
        ask_for_the_rest(cache, &c, "\"a\"");
        assert_int_equal(head(&c, useless[i].status, useless[i].lines, 5), 0);
        assert_int_equal(rig_state(&c), ZQ_READER_RELEASED);
        assert_int_equal(c.writer_news, 1);
        rig_leave(&c);
        assert_true(zq_writer_abandoned(&c.writer));
        zq_entry_finish(&c.writer, false);
        assert_int_equal(rig_get(cache, &c, .alone = true), ZQ_CACHE_LEAD);
        assert_int_equal(c.forward, ZQ_FORWARD_URI_MISS);
        assert_int_equal(c.writer.rest, 0);
        zq_entry_fail(&c.writer, 502);
        rig_leave(&c);
        zq_cache_free(cache);
    }
}

/* Cut short is cut short (RFC 9111 3.3). */
static void a_rest_that_is_cut_short(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    store_part(cache, "range: bytes=0-4", MAX_AGE TAG "Content-Range: bytes 0-4/10\n", "01234");
    ask_for_the_rest(cache, &c, "\"a\"");
    assert_int_equal(head(&c, 206, MAX_AGE TAG "Content-Range: bytes 5-9/10\n", -1), 0);
    assert_int_equal(rig_append(&c, "567"), 0);
    rig_end(&c, true, ZQ_READER_ABORTED);
    expect_range(cache, "range: bytes=0-4", "01234", "bytes 0-4/10");
    ask_for_the_rest(cache, &c, "\"a\"");
    assert_false(zq_entry_serve_stale(&c.writer, true, 0)); /* a part is not the whole */
    zq_entry_fail(&c.writer, 502);
    rig_leave(&c);
}

/* A part and a whole: the whole stays. */
static void a_part_replaces_no_whole(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client slow = {0};

    assert_int_equal(rig_get(cache, &slow, .fields = "range: bytes=0-1"), ZQ_CACHE_PASS);
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 0); /* nobody waits for a part */
    rig_store(cache, RIG_ASK(.now_ms = 0), RIG_ANSWER(.fields = RIG_FRESH), "hello");
    assert_int_equal(head(&slow, 206, MAX_AGE "Content-Range: bytes 0-1/5\n", 2), 0);
    assert_int_equal(rig_append(&slow, "he"), 0);
    rig_finish(&slow);
    rig_leave(&slow);
    rig_verdict(cache, HIT, NONE, .now_ms = 0);
}

/* Another answer to a Range than a part is nothing to keep. */
static void range_ignored(void **state)
{
    struct zq_cache *cache = *state;
    struct rig_client c = {0};

    assert_int_equal(rig_get(cache, &c, .fields = "range: bytes=0-1"), ZQ_CACHE_PASS);
    assert_int_equal(head(&c, 200, MAX_AGE, 5), 0);
    assert_int_equal(rig_append(&c, "hello"), 0);
    assert_false(rig_describe(&c, 0).stored);
    rig_finish(&c);
    rig_leave(&c);
    rig_verdict(cache, LEAD, URI_MISS, .now_ms = 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_part_answers_what_it_has),
        RIG_TEST(the_last_part),
        cmocka_unit_test(a_part_shorter_than_it_says),
        RIG_TEST(parts_are_put_together),
        RIG_TEST(a_part_within_another),
        cmocka_unit_test(parts_that_do_not_belong_together),
        RIG_TEST(dates_are_strong_enough_a_second_later),
        RIG_TEST(a_part_is_completed),
        RIG_TEST(a_part_that_has_changed),
        cmocka_unit_test(a_part_that_cannot_be_completed),
        RIG_TEST(a_rest_that_is_cut_short),
        RIG_TEST(a_part_replaces_no_whole),
        RIG_TEST(range_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
