/* src/http/block.c, status.c, target.c: what an application's response becomes, and what of it is
 * refused; decoded paths. Pure functions. */
#include "http/status.h"
#include "zq/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define MAX_FIELDS 16

static struct zq_config config;

struct result {
    int rc;
    struct zq_buf out;
    int64_t content_length;
    bool close;
    struct zq_slice bad;
};

static struct result result;

static void forget(void)
{
    zq_buf_fini(&result.out);
}

/* A response's fields: literal pairs up to a NULL. */
static const struct result *make(unsigned status, const char *const *pairs)
{
    struct zq_field v[MAX_FIELDS];
    struct zq_fields fields = {v, 0};
    forget();
    for (; pairs[0] != NULL; pairs += 2)
        v[fields.n++] = (struct zq_field){zq_slice_str(pairs[0]), zq_slice_str(pairs[1])};
    result = (struct result){.rc = 99};
    result.rc = zq_http_block(&result.out, status, &fields, &config, NOW, &result.content_length,
                              &result.close, &result.bad);
    return &result;
}

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NONE ((const char *const[]){NULL})

static void expect(const struct result *r, const char *text)
{
    char *actual = calloc(1, r->out.n + 1);
    assert_non_null(actual);
    if (r->out.n > 0)
        memcpy(actual, zq_buf_data(&r->out), r->out.n);
    assert_int_equal(r->rc, 0);
    assert_string_equal(actual, text);
    free(actual);
}

static void expect_bad(const struct result *r, const char *name)
{
    assert_int_equal(r->rc, ZQ_EINVAL);
    assert_true(zq_slice_eq(r->bad, zq_slice_str(name)));
    assert_int_equal(r->out.n, 0);
}

static int quiet(void **state)
{
    (void)state;
    config.date_header = false;
    config.server_header = false;
    return 0;
}

static int done(void **state)
{
    (void)state;
    forget();
    result = (struct result){0};
    return 0;
}

static void the_status_line(void **state)
{
    (void)state;
    expect(make(200, NONE), "HTTP/1.1 200 OK\r\n");
    expect(make(404, NONE), "HTTP/1.1 404 Not Found\r\n");
    expect(make(599, NONE), "HTTP/1.1 599 \r\n"); /* the space stays (RFC 9112 4) */
    expect_bad(make(99, NONE), "status");
    expect_bad(make(1000, NONE), "status");
    expect_bad(make(0, NONE), "status");
}

static void fields_pass_as_they_are(void **state)
{
    (void)state;
    expect(make(200, PAIRS("content-type", "text/html", "X-Empty", "", "set-cookie", "a=1",
                           "set-cookie", "b=2", "X-Bytes", "caf\xe9 \x80")),
           "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nX-Empty: \r\nset-cookie: a=1\r\n"
           "set-cookie: b=2\r\nX-Bytes: caf\xe9 \x80\r\n");
    expect(make(200, PAIRS("x", "  padded\t")), "HTTP/1.1 200 OK\r\nx: padded\r\n");
    assert_false(result.close);
    assert_int_equal(result.content_length, -1);
}

static void date_and_server_only_where_there_are_none(void **state)
{
    (void)state;
    config.date_header = true;
    config.server_header = true;
    expect(make(200, NONE), "HTTP/1.1 200 OK\r\n" DATE "Server: zq\r\n");
    expect(make(200, PAIRS("DATE", "then")), "HTTP/1.1 200 OK\r\nDATE: then\r\nServer: zq\r\n");
    expect(make(200, PAIRS("server", "app")), "HTTP/1.1 200 OK\r\nserver: app\r\n" DATE);
    config.date_header = false;
    expect(make(200, NONE), "HTTP/1.1 200 OK\r\nServer: zq\r\n");
    config.server_header = false;
    expect(make(200, NONE), "HTTP/1.1 200 OK\r\n");
}

static void the_length_is_taken_out(void **state)
{
    (void)state;
    expect(make(200, PAIRS("Content-Length", "12", "x", "y")), "HTTP/1.1 200 OK\r\nx: y\r\n");
    assert_int_equal(result.content_length, 12);
    expect(make(200, PAIRS("content-length", " 0 ")), "HTTP/1.1 200 OK\r\n");
    assert_int_equal(result.content_length, 0);
    expect(make(200, PAIRS("content-length", "7", "CONTENT-LENGTH", "7")), "HTTP/1.1 200 OK\r\n");
    assert_int_equal(result.content_length, 7);
    expect(make(200, PAIRS("content-length", "9223372036854775807")), "HTTP/1.1 200 OK\r\n");
    assert_true(result.content_length == INT64_MAX);
}

static void a_length_that_is_none_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "-1",
                                      "+1",
                                      "1 2",
                                      "1,1",
                                      "0x1",
                                      "1.0",
                                      "٣",
                                      "9223372036854775808",
                                      "99999999999999999999999999"};
    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(bad); i++)
        expect_bad(make(200, PAIRS("Content-Length", bad[i])), "Content-Length");
    expect_bad(make(200, PAIRS("content-length", "1", "Content-Length", "2")), "Content-Length");
}

static void what_is_the_connections_is_dropped(void **state)
{
    (void)state;
    expect(make(200, PAIRS("Connection", "keep-alive", "Keep-Alive", "timeout=5",
                           "Proxy-Connection", "close", "TE", "trailers", "Transfer-Encoding",
                           "chunked", "UPGRADE", "h2c", "x", "y")),
           "HTTP/1.1 200 OK\r\nx: y\r\n");
    assert_false(result.close);
    assert_int_equal(result.content_length, -1);
    /* These only look like it. */
    expect(make(200, PAIRS("Connections", "a", "te2", "b", "trailer", "c")),
           "HTTP/1.1 200 OK\r\nConnections: a\r\nte2: b\r\ntrailer: c\r\n");
}

static void what_connection_names_is_dropped(void **state)
{
    (void)state;
    expect(make(200, PAIRS("X-Hop", "1", "connection", "x-hop , \"x-quoted\",, X-Other", "x-other",
                           "2", "Connection", "Last", "LAST", "3", "x-stays", "4")),
           "HTTP/1.1 200 OK\r\nx-stays: 4\r\n");
    assert_false(result.close);
}

static void close_is_obeyed(void **state)
{
    (void)state;
    expect(make(200, PAIRS("connection", "CLOSE")), "HTTP/1.1 200 OK\r\n");
    assert_true(result.close);
    make(200, PAIRS("connection", "keep-alive", "connection", "foo, close"));
    assert_true(result.close);
    make(200, PAIRS("connection", "closed", "x", "close"));
    assert_false(result.close);
}

static void nothing_splits_the_response(void **state)
{
    static const char *const names[] = {"",        " ",     "a b", "a:",  "a\r\nb", "a\n", "\x01",
                                        "caf\xe9", "a\x7f", "(x)", "a/b", " a",     "a\t"};
    static const char *const values[] = {"a\r\nb", "a\nb", "a\rb", "\r\n", "a\r\n", "\n"};
    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(names); i++)
        expect_bad(make(200, PAIRS("x", "y", names[i], "v")), names[i]);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(values); i++)
        expect_bad(make(200, PAIRS("x", "y", "Bad", values[i])), "Bad");
    /* Also where the field would have been dropped. */
    expect_bad(make(200, PAIRS("Connection", "x\r\ny: z")), "Connection");
    expect_bad(make(200, PAIRS("Upgrade", "\n")), "Upgrade");
}

static void a_nul_is_refused(void **state)
{
    struct zq_field field = {{"x", 1}, {"a\0b", 3}};
    struct zq_fields fields = {&field, 1};
    (void)state;
    forget();
    result = (struct result){0};
    result.rc = zq_http_block(&result.out, 200, &fields, &config, NOW, &result.content_length,
                              &result.close, &result.bad);
    expect_bad(&result, "x");
}

static void a_refusal_leaves_what_was_there(void **state)
{
    struct zq_field field = {{"x", 1}, {"\n", 1}};
    struct zq_fields fields = {&field, 1};
    (void)state;
    forget();
    result = (struct result){0};
    assert_int_equal(zq_buf_append(&result.out, "before", 6), 0);
    assert_int_equal(zq_http_block(&result.out, 200, &fields, &config, NOW, &result.content_length,
                                   &result.close, &result.bad),
                     ZQ_EINVAL);
    assert_int_equal(result.out.n, 6);
    fields.n = 0;
    assert_int_equal(zq_http_block(&result.out, 200, &fields, &config, NOW, &result.content_length,
                                   &result.close, &result.bad),
                     0);
    expect(&result, "beforeHTTP/1.1 200 OK\r\n");
}

/* Whatever the bytes: refused, or exactly one line a field. */
static void random_fields_stay_lines(void **state)
{
    char bytes[64];
    (void)state;
    srand(3);
    for (int round = 0; round < 20000; round++) {
        struct zq_field v[4];
        struct zq_fields fields = {v, 4};
        size_t lines = 0;
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (char)(rand() % 50 == 0 ? rand() : 'a' + rand() % 26);
        for (size_t i = 0; i < 4; i++)
            v[i] = (struct zq_field){{bytes + i * 16, (size_t)(rand() % 8)},
                                     {bytes + i * 16 + 8, (size_t)(rand() % 8)}};
        forget();
        result = (struct result){0};
        result.rc = zq_http_block(&result.out, 200, &fields, &config, NOW, &result.content_length,
                                  &result.close, &result.bad);
        const char *p = result.rc == 0 ? zq_buf_data(&result.out) : NULL;
        for (size_t i = 0; p != NULL && i < result.out.n; i++) {
            assert_true(p[i] != '\0');
            if (p[i] == '\n' || p[i] == '\r')
                assert_memory_equal(p + (p[i] == '\n' ? i - 1 : i), "\r\n", 2);
            lines += p[i] == '\n';
        }
        assert_true(result.rc == ZQ_EINVAL || lines <= 5); /* `te` is dropped */
    }
}

static void reasons(void **state)
{
    (void)state;
    assert_string_equal(zq_http_reason(200), "OK");
    assert_string_equal(zq_http_reason(413), "Content Too Large");
    assert_string_equal(zq_http_reason(504), "Gateway Timeout");
    assert_string_equal(zq_http_reason(299), "");
    assert_string_equal(zq_http_reason(0), "");
}

/* Every status that zq knows has a reason, a line's worth, and a sentence for its own answers. */
static void every_status_is_explained(void **state)
{
    size_t known = 0;
    (void)state;
    for (unsigned status = 100; status < 600; status++) {
        const char *reason = zq_http_reason(status), *sentence = zq_http_explain(status);
        assert_true(strlen(reason) < 40 && strpbrk(reason, "\r\n") == NULL);
        assert_true(strlen(sentence) > 0 && strlen(sentence) < 120);
        known += *reason != '\0';
    }
    assert_in_range(known, 50, 70);
}

static void decode(const char *path, const char *expected)
{
    struct zq_arena arena = {0};
    struct zq_slice in = zq_slice_str(path);
    struct zq_slice out = zq_http_decode_path(in, &arena);
    assert_true(zq_slice_eq(out, zq_slice_str(expected)));
    if (strchr(path, '%') == NULL)
        assert_ptr_equal(out.p, in.p);
    zq_arena_fini(&arena);
}

static void paths(void **state)
{
    struct zq_arena arena = {0};
    (void)state;
    decode("", "");
    decode("/a/b", "/a/b");
    decode("/a%20b", "/a b");
    decode("%41%62%2f%2F", "Ab//");
    decode("/caf%C3%a9", "/caf\xc3\xa9");
    decode("/%ff", "/\xff");
    decode("%", "%");
    decode("/%4", "/%4");
    decode("/%zz%41", "/%zzA");
    decode("/%%41", "/%A");
    decode("/%2541", "/%41"); /* once */
    decode("/a+b", "/a+b");
    struct zq_slice nul = zq_http_decode_path(ZQ_SLICE("/%00x"), &arena);
    assert_true(zq_slice_eq(nul, zq_slice("/\0x", 3)));
    zq_arena_fini(&arena);
}

static void forms(void **state)
{
    struct zq_arena arena = {0};
    struct zq_slice plain = ZQ_SLICE("a");
    (void)state;
    assert_true(zq_slice_eq(zq_http_decode_form(ZQ_SLICE("a+b%2B%20"), &arena), ZQ_SLICE("a b+ ")));
    assert_true(zq_slice_eq(zq_http_decode_form(ZQ_SLICE("+%"), &arena), ZQ_SLICE(" %")));
    assert_ptr_equal(zq_http_decode_form(plain, &arena).p, plain.p);
    zq_arena_fini(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, quiet, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_status_line),
        TEST(fields_pass_as_they_are),
        TEST(date_and_server_only_where_there_are_none),
        TEST(the_length_is_taken_out),
        TEST(a_length_that_is_none_is_refused),
        TEST(what_is_the_connections_is_dropped),
        TEST(what_connection_names_is_dropped),
        TEST(close_is_obeyed),
        TEST(nothing_splits_the_response),
        TEST(a_nul_is_refused),
        TEST(a_refusal_leaves_what_was_there),
        TEST(random_fields_stay_lines),
        TEST(reasons),
        TEST(every_status_is_explained),
        TEST(paths),
        TEST(forms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
