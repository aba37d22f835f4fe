/* Conditions and ranges against a stored response. Each row cites the section of RFC 9110 (or 9111)
 * that it is about. */
#include "test_cache_rig.h"

#include "cache/condition.h"
#include "cache/policy.h"

#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define MODIFIED "Last-Modified: Sun, 06 Nov 1994 08:00:00 GMT\r\n"
#define OK "HTTP/1.1 200 OK\r\n"
#define TYPED OK "Content-Type: text/plain\r\n" DATE MODIFIED

/* ---- 304 or not ---- */

struct row {
    const char *section, *request, *block;
    bool expected;
};

static const struct row rows[] = {
    {"13.1.2", "if-none-match: \"a\"", TYPED "ETag: \"a\"\r\n", true},
    {"13.1.2", "if-none-match: \"b\"", TYPED "ETag: \"a\"\r\n", false},
    {"13.1.2", "if-none-match: \"b\", \"a\"", TYPED "ETag: \"a\"\r\n", true},
    {"13.1.2", "if-none-match: \"b\"\nif-none-match: \"a\"", TYPED "ETag: \"a\"\r\n", true},
    {"13.1.2", "if-none-match: \"b\",, ,W/\"a\" ,", TYPED "ETag: \"a\"\r\n", true},
    {"13.1.2", "if-none-match: *", TYPED "ETag: \"a\"\r\n", true},
    {"13.1.2", "if-none-match: *", TYPED, true},
    {"13.1.2", "if-none-match: \"*\"", TYPED "ETag: \"a\"\r\n", false},
    {"13.1.2", "if-none-match: \"a\"", TYPED, false},
    {"13.1.2", "if-none-match:", TYPED "ETag: \"a\"\r\n", false},
    {"8.8.3.2", "if-none-match: W/\"a\"", TYPED "ETag: \"a\"\r\n", true},
    {"8.8.3.2", "if-none-match: \"a\"", TYPED "ETag: W/\"a\"\r\n", true},
    {"8.8.3.2", "if-none-match: W/\"a\"", TYPED "ETag: W/\"a\"\r\n", true},
    {"8.8.3", "if-none-match: w/\"a\"", TYPED "ETag: \"a\"\r\n", false},
    {"8.8.3", "if-none-match: \"A\"", TYPED "ETag: \"a\"\r\n", false},
    {"8.8.3", "if-none-match: \"a,b\"", TYPED "ETag: \"a,b\"\r\n", true},
    {"8.8.3", "if-none-match: \"a,b\"", TYPED "ETag: \"b\"\r\n", false},
    {"8.8.3", "if-none-match: \"x\\\", \"a\"", TYPED "ETag: \"a\"\r\n", true},
    {"8.8.3", "if-none-match: \"\xe4\xff\"", TYPED "ETag: \"\xe4\xff\"\r\n", true},
    {"8.8.3", "if-none-match: \"\"", TYPED "ETag: \"\"\r\n", true},
    {"zq: unquoted tags", "if-none-match: a", TYPED "ETag: \"a\"\r\n", true},
    {"zq: unquoted tags", "if-none-match: \"a\"", TYPED "ETag: a\r\n", true},
    {"zq: unquoted tags", "if-none-match: b, a", TYPED "ETag: a\r\n", true},

    {"13.1.3", "if-modified-since: Sun, 06 Nov 1994 08:00:00 GMT", TYPED, true},
    {"13.1.3", "if-modified-since: Sun, 06 Nov 1994 08:00:01 GMT", TYPED, true},
    {"13.1.3", "if-modified-since: Sun, 06 Nov 1994 07:59:59 GMT", TYPED, false},
    {"5.6.7", "if-modified-since: Sunday, 06-Nov-94 08:00:00 GMT", TYPED, true},
    {"5.6.7", "if-modified-since: Sun Nov  6 08:00:00 1994", TYPED, true},
    {"13.1.3", "if-modified-since: 0", TYPED, false},
    {"13.1.3", "if-modified-since: Sun, 06 Nov 1994 08:00:00 GMT\nif-modified-since: 0", TYPED,
     false},
    {"9111 4.3.2", "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT", OK DATE, true},
    {"9111 4.3.2", "if-modified-since: Sun, 06 Nov 1994 08:49:36 GMT", OK DATE, false},
    {"13.1.3", "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT", OK, false},
    {"13.2.2", "if-none-match: \"b\"\nif-modified-since: Sun, 06 Nov 1994 08:00:00 GMT",
     TYPED "ETag: \"a\"\r\n", false},
    {"13.2.2", "if-none-match: \"a\"\nif-modified-since: Sun, 06 Nov 1994 07:00:00 GMT",
     TYPED "ETag: \"a\"\r\n", true},
    {"13.2.2", NULL, TYPED "ETag: \"a\"\r\n", false},
};

static void conditions(void **state)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        struct rig_fields request;
        struct zq_validators v = zq_validators_of(zq_slice_str(rows[i].block));
        if (zq_condition_not_modified(rig_fields(&request, rows[i].request), &v) !=
            rows[i].expected)
            fail_msg("%s: %s", rows[i].section, rows[i].request);
    }
}

/* ---- 412 or not ---- */

static const struct row failing[] = {
    {"13.1.1", "if-match: \"a\"", TYPED "ETag: \"a\"\r\n", false},
    {"13.1.1", "if-match: \"b\"\nif-match: \"c\", \"a\"", TYPED "ETag: \"a\"\r\n", false},
    {"13.1.1", "if-match: *", TYPED, false},
    {"13.1.1", "if-match: \"b\"", TYPED "ETag: \"a\"\r\n", true},
    {"13.1.1", "if-match: \"a\"", TYPED, true},
    {"8.8.3.2", "if-match: W/\"a\"", TYPED "ETag: W/\"a\"\r\n", true},
    {"13.1.4", "if-unmodified-since: Sun, 06 Nov 1994 08:00:00 GMT", TYPED, false},
    {"13.1.4", "if-unmodified-since: Sun, 06 Nov 1994 07:59:59 GMT", TYPED, true},
    {"13.1.4", "if-unmodified-since: yesterday", TYPED, false},
    {"13.1.4", "if-unmodified-since: Sun, 06 Nov 1994 07:00:00 GMT", OK, false},
    {"13.2.2", "if-match: \"a\"\nif-unmodified-since: Sun, 06 Nov 1994 07:00:00 GMT",
     TYPED "ETag: \"a\"\r\n", false},
    {"13.2.2", "if-none-match: \"a\"", TYPED "ETag: \"a\"\r\n", false},
};

static void preconditions(void **state)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(failing); i++) {
        struct rig_fields request;
        struct zq_validators v = zq_validators_of(zq_slice_str(failing[i].block));
        if (zq_condition_failed(rig_fields(&request, failing[i].request), &v) !=
            failing[i].expected)
            fail_msg("%s: %s", failing[i].section, failing[i].request);
    }
}

/* ---- If-Range ---- */

static const struct row range_rows[] = {
    {"13.1.5", NULL, TYPED, true},
    {"13.1.5", "if-range: \"a\"", TYPED "ETag: \"a\"\r\n", true},
    {"13.1.5", "if-range: \"b\"", TYPED "ETag: \"a\"\r\n", false},
    {"13.1.5", "if-range: W/\"a\"", TYPED "ETag: \"a\"\r\n", false},
    {"13.1.5", "if-range: \"a\"", TYPED "ETag: W/\"a\"\r\n", false},
    {"13.1.5", "if-range: W/\"a\"", TYPED "ETag: W/\"a\"\r\n", false},
    {"13.1.5", "if-range: \"b\", \"a\"", TYPED "ETag: \"a\"\r\n", false},
    {"13.1.5", "if-range: \"a\", \"b\"", TYPED "ETag: \"a\"\r\n", false},
    {"13.1.5", "if-range: *", TYPED "ETag: \"a\"\r\n", false},
    {"13.1.5", "if-range: a", TYPED "ETag: \"a\"\r\n", false},
    {"13.1.5", "if-range: \"a\"", TYPED, false},
    {"13.1.5", "if-range: Sun, 06 Nov 1994 08:00:00 GMT", TYPED, true},
    {"13.1.5", "if-range: Sun, 06 Nov 1994 08:00:01 GMT", TYPED, false},
    {"13.1.5", "if-range: Sun, 06 Nov 1994 07:00:00 GMT", TYPED, false},
    {"13.1.5", "if-range: Sun, 06 Nov 1994 08:49:37 GMT", OK DATE, false},
    {"8.8.2.2", "if-range: Sun, 06 Nov 1994 08:00:00 GMT", OK MODIFIED, false},
    {"8.8.2.2", "if-range: Sun, 06 Nov 1994 08:00:00 GMT",
     OK MODIFIED "Date: Sun, 06 Nov 1994 08:00:00 GMT\r\n", false},
    {"13.1.5", "if-range: \"a\"\nif-range: \"a\"", TYPED "ETag: \"a\"\r\n", false},
    {"13.1.5", "if-range:", TYPED "ETag: \"a\"\r\n", false},
};

static void if_range(void **state)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(range_rows); i++) {
        struct rig_fields request;
        struct zq_validators v = zq_validators_of(zq_slice_str(range_rows[i].block));
        if (zq_condition_range_counts(rig_fields(&request, range_rows[i].request), &v) !=
            range_rows[i].expected)
            fail_msg("%s: %s", range_rows[i].section, range_rows[i].request);
    }
}

/* ---- ranges ---- */

#define WHOLE ZQ_RANGE_WHOLE, 0, 0
#define PART(first, last) ZQ_RANGE_PART, first, last
#define NEVER ZQ_RANGE_UNSATISFIABLE, 0, 0

static const struct {
    const char *section, *request;
    uint64_t length;
    enum zq_range_kind kind;
    uint64_t first, last;
} ranges[] = {
    {"14.1.2", NULL, 10, WHOLE},
    {"14.1.2", "range: bytes=0-4", 10, PART(0, 4)},
    {"14.1.2", "range: bytes=5-", 10, PART(5, 9)},
    {"14.1.2", "range: bytes=0-0", 10, PART(0, 0)},
    {"14.1.2", "range: bytes=9-9", 10, PART(9, 9)},
    {"14.1.2", "range: bytes=9-10", 10, PART(9, 9)},
    {"14.1.2", "range: bytes=0-99999999999999999999999", 10, PART(0, 9)},
    {"14.1.2", "range: bytes=-3", 10, PART(7, 9)},
    {"14.1.2", "range: bytes=-10", 10, PART(0, 9)},
    {"14.1.2", "range: bytes=-11", 10, PART(0, 9)},
    {"14.1.2", "range: bytes=-99999999999999999999999", 10, PART(0, 9)},
    {"14.1", "range: BYTES=0-4", 10, PART(0, 4)},
    {"5.6.1", "range: bytes=, 0-4 ,", 10, PART(0, 4)},
    {"14.1.2", "range: bytes=10-", 10, NEVER},
    {"14.1.2", "range: bytes=10-20", 10, NEVER},
    {"14.1.2", "range: bytes=99999999999999999999999-", 10, NEVER},
    {"14.1.2", "range: bytes=-0", 10, NEVER},
    {"14.1.2", "range: bytes=0-", 0, NEVER},
    {"14.1.2", "range: bytes=-1", 0, WHOLE},
    {"14.1.1", "range: bytes=4-3", 10, WHOLE},
    {"14.1.1", "range: bytes=a-b", 10, WHOLE},
    {"14.1.1", "range: bytes=-", 10, WHOLE},
    {"14.1.1", "range: bytes=4", 10, WHOLE},
    {"14.1.1", "range: bytes=", 10, WHOLE},
    {"14.1.1", "range: bytes", 10, WHOLE},
    {"14.1.1", "range: bytes=0 - 4", 10, WHOLE},
    {"14.1.1", "range: bytes=+0-4", 10, WHOLE},
    {"14.2", "range: lines=0-4", 10, WHOLE},
    {"14.2", "range: bytes=0-1,4-5", 10, WHOLE},
    {"14.2", "range: bytes=0-1\nrange: bytes=4-5", 10, WHOLE},
};

static void range_of(void **state)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(ranges); i++) {
        struct rig_fields request;
        struct zq_range r = zq_range_of(rig_fields(&request, ranges[i].request), ranges[i].length);
        if (r.kind != ranges[i].kind || r.first != ranges[i].first || r.last != ranges[i].last)
            fail_msg("%s: %s", ranges[i].section, ranges[i].request);
    }
}

/* ---- what goes out ---- */

static const char full[] = OK "Content-Type: text/plain\r\n"
                              "content-encoding: br\r\n"
                              "Content-Location: /a\r\n"
                              "Content-Security-Policy: x\r\n"
                              "Cache-Control: max-age=60\r\n" DATE MODIFIED "ETag: \"a\"\r\n"
                              "Vary: accept\r\n"
                              "X-Custom: y\r\n";

static struct zq_answer choose(const char *request, unsigned status, int64_t length, bool is_get,
                               unsigned traits)
{
    struct rig_fields fields;
    struct zq_reader reader = {.traits = traits, .request = *rig_fields(&fields, request)};
    struct zq_entry_info info = {
        .status = status, .block = ZQ_SLICE(full), .content_length = length};
    struct zq_answer answer;

    zq_answer_choose(&reader, is_get, &info, &answer);
    return answer;
}

static void order_of_evaluation(void **state)
{
    const unsigned asks = ZQ_REQUEST_SELECTIVE;

    /* 13.2.2: the condition comes before the range. */
    assert_int_equal(choose("if-none-match: \"a\"\nrange: bytes=0-1", 200, 10, true, asks).status,
                     304);
    assert_int_equal(choose("if-none-match: \"b\"\nrange: bytes=0-1", 200, 10, true, asks).status,
                     206);
    assert_int_equal(choose("range: bytes=10-", 200, 10, true, asks).status, 416);
    /* 13.1.5: If-Range that does not hold means the whole. */
    assert_int_equal(choose("if-range: \"b\"\nrange: bytes=10-", 200, 10, true, asks).status, 0);
    /* 14.2: of GET alone, and only where the length is known. */
    assert_int_equal(choose("range: bytes=0-1", 200, 10, false, asks).status, 0);
    assert_int_equal(choose("range: bytes=0-1", 200, -1, true, asks).status, 0);
    assert_int_equal(choose("range: bytes=0-1", 203, 10, true, asks).status, 0);
    /* 13.2.1: only successes have conditions. */
    assert_int_equal(choose("if-none-match: \"a\"", 404, 10, true, asks).status, 0);
    assert_int_equal(choose("if-none-match: \"a\"", 203, 10, true, asks).status, 304);
    assert_int_equal(choose("if-none-match: \"a\"", 200, 10, false, asks).status, 304);
    assert_int_equal(choose("if-none-match: \"a\"", 200, 10, true, 0).status, 0);
}

static void expect_block(const struct zq_answer *answer, const char *block, const char *expected)
{
    struct zq_buf out = {0};

    assert_int_equal(zq_answer_block(&out, answer, zq_slice_str(block)), 0);
    assert_int_equal(out.n, strlen(expected));
    assert_memory_equal(zq_buf_data(&out), expected, out.n);
    zq_buf_fini(&out);
}

static void heads(void **state)
{
    /* 15.4.5 */
    expect_block(&(struct zq_answer){.status = 304}, full,
                 "HTTP/1.1 304 Not Modified\r\nContent-Location: /a\r\n"
                 "Content-Security-Policy: x\r\nCache-Control: max-age=60\r\n" DATE
                 "ETag: \"a\"\r\nVary: accept\r\nX-Custom: y\r\n");
    expect_block(&(struct zq_answer){.status = 304}, TYPED,
                 "HTTP/1.1 304 Not Modified\r\n" DATE MODIFIED);
    /* 15.3.7 */
    expect_block(&(struct zq_answer){.status = 206, .first = 2, .n = 3, .length = 10}, TYPED,
                 "HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain\r\n" DATE MODIFIED
                 "Content-Range: bytes 2-4/10\r\n");
    /* 15.5.17 */
    expect_block(&(struct zq_answer){.status = 416, .length = 10}, full,
                 "HTTP/1.1 416 Range Not Satisfiable\r\n" DATE
                 "Vary: accept\r\nContent-Range: bytes */10\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions),
        cmocka_unit_test(preconditions),
        cmocka_unit_test(if_range),
        cmocka_unit_test(range_of),
        cmocka_unit_test(order_of_evaluation),
        cmocka_unit_test(heads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
