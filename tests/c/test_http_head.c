/* src/http/head.c, target.c: what zq reads of a head by itself. Pure functions. */
#include "http/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct zq_config config;

static int usual_limits(void **state)
{
    (void)state;
    config.limit_request_line = 64;
    config.limit_request_headers = 128;
    config.limit_request_header_count = 4;
    return 0;
}

static int64_t scan_whole(struct zq_slice data)
{
    struct zq_head_scan scan = {0};
    return zq_head_scan(&scan, data, &config);
}

/* As it comes when each read brings one byte, in memory that moves. */
static int64_t scan_bytewise(struct zq_slice data)
{
    struct zq_head_scan scan = {0};
    int64_t found = 0;
    for (size_t n = 1; n <= data.n && found == 0; n++) {
        char *copy = malloc(n);
        memcpy(copy, data.p, n);
        found = zq_head_scan(&scan, zq_slice(copy, n), &config);
        free(copy);
    }
    return found;
}

static int64_t scan_cut(struct zq_slice data, size_t at)
{
    struct zq_head_scan scan = {0};
    int64_t found = zq_head_scan(&scan, zq_slice(data.p, at), &config);
    return found != 0 ? found : zq_head_scan(&scan, data, &config);
}

/* The same however it comes. */
static void expect(const char *text, size_t n, int64_t expected)
{
    struct zq_slice data = zq_slice(text, n);
    assert_int_equal(scan_whole(data), expected);
    assert_int_equal(scan_bytewise(data), expected);
    for (size_t at = 1; at < n; at++)
        assert_int_equal(scan_cut(data, at), expected);
}

#define HEAD(literal, expected) expect("" literal, sizeof(literal) - 1, (expected))

static void complete_heads(void **state)
{
    (void)state;
    HEAD("GET / HTTP/1.1\r\n\r\n", 18);
    HEAD("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    HEAD("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT", 27);
    HEAD("GET / HTTP/1.1\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n", 34);
    HEAD("GET / HTTP/1.1\r\nHost: a", 0);
    HEAD("GET / HTTP/1.1\r\nHost: a\r", 0);
    HEAD("GET / HTTP/1.1\r\nHost: a\r\n\r", 0);
    HEAD("G", 0);
}

static void line_ends(void **state)
{
    (void)state;
    HEAD("\r\n", -400);
    HEAD("\n", -400);
    HEAD("GET / HTTP/1.1\n", -400);
    HEAD("GET / HTTP/1.1\r\nHost: a\n", -400);
    HEAD("GET / HTTP/1.1\r\nHost: a\r\n\n", -400);
    HEAD("GET / HTTP/1.1\r\n a: b\r\n\r\n", -400);
    HEAD("GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n", -400);
    HEAD("GET / HTTP/1.1\r\na: b\r\n\tc\r\n\r\n", -400);
    HEAD("GET / HTTP/1.1\r\r\n\r\n", -400);
}

static void garbage_is_refused_without_a_line_end(void **state)
{
    (void)state;
    HEAD("\x16\x03\x01\x02", -400); /* TLS */
    HEAD("\x80", -400);
    HEAD("{", -400);
    HEAD("GET\r", -400);
    HEAD("GET /\x01", -400);
    HEAD("GET /caf\xc3\xa9", -400);
    HEAD("GET /a#", -400);
    HEAD("GET\t/", -400);
    HEAD(" GET", -400);
    HEAD("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", -400);
    HEAD("GET /\r\n", -400); /* HTTP/0.9 */
    HEAD("GET / HTTP/1.1\rX", -400);
}

static void request_lines(void **state)
{
    (void)state;
    HEAD("GET / HTTP/1.0\r\n\r\n", 18);
    HEAD("GET / HTTP/1.9\r\n\r\n", 18);
    HEAD("GET / HTTP/2.0\r\n", -505);
    HEAD("GET / HTTP/9.9\r\n", -505);
    HEAD("GET / HTTP/0.9\r\n", -400);
    HEAD("GET / http/1.1\r\n", -400);
    HEAD("GET / HTTP/1\r\n", -400);
    HEAD("GET / HTTP/1.10\r\n", -400);
    HEAD("GET / HTTP/11.1\r\n", -400);
    HEAD("GET / HTTP/1,1\r\n", -400);
    HEAD("GET / HTTPS/1.1\r\n", -400);
    HEAD("GET  / HTTP/1.1\r\n", -400);
    HEAD("GET /  HTTP/1.1\r\n", -400);
    HEAD("GET / HTTP/1.1 \r\n", -400);
    HEAD("GET / a HTTP/1.1\r\n", -400);
    HEAD("GET  HTTP/1.1\r\n", -400);
    HEAD("GE(T / HTTP/1.1\r\n", -400);
    HEAD("get / HTTP/1.1\r\n\r\n", 18); /* a token; whether it is known is for later */
}

static void fill(char *to, size_t n, const char *text)
{
    memset(to, 'a', n);
    memcpy(to, text, strlen(text));
}

static void limits(void **state)
{
    char line[256];
    (void)state;
    /* 64 bytes of request line pass, 65 do not, whether its end is there or not. */
    fill(line, sizeof(line), "GET /");
    memcpy(line + 55, " HTTP/1.1\r\n\r\n", 13);
    expect(line, 68, 68);
    fill(line, sizeof(line), "GET /");
    memcpy(line + 56, " HTTP/1.1\r\n\r\n", 13);
    expect(line, 69, -414);
    fill(line, sizeof(line), "GET /");
    expect(line, 65, 0); /* the last may be a CR … in principle */
    expect(line, 66, -414);
    expect(line, 256, -414);
    line[30] = '\x01'; /* garbage is told first, wherever the limit is */
    expect(line, 256, -400);
    fill(line, sizeof(line), "GET /");
    line[200] = '\x01';
    expect(line, 256, -414);
    line[200] = '\n';
    expect(line, 256, -414);

    HEAD("GET / HTTP/1.1\r\na:\r\nb:\r\nc:\r\nd:\r\ne:\r\n\r\n", -431);
    fill(line, sizeof(line), "GET / HTTP/1.1\r\nx: ");
    memcpy(line + 16 + 124, "\r\n\r\n", 4);
    expect(line, 16 + 128, 16 + 128);
    fill(line, sizeof(line), "GET / HTTP/1.1\r\nx: ");
    memcpy(line + 16 + 125, "\r\n\r\n", 4);
    expect(line, 16 + 129, -431);
    fill(line, sizeof(line), "GET / HTTP/1.1\r\nx: ");
    expect(line, 256, -431);
    line[200] = '\n';
    expect(line, 256, -431);
}

static void no_limit_means_a_high_one(void **state)
{
    size_t n = 1 << 20;
    char *text = malloc(n);
    (void)state;
    config = (struct zq_config){0};
    fill(text, n, "GET /");
    assert_int_equal(scan_whole(zq_slice(text, n)), 0);
    fill(text, n, "GET / HTTP/1.1\r\nx: ");
    assert_int_equal(scan_whole(zq_slice(text, n)), 0);
    free(text);
}

/* Random edits of a head: refused or not, but the same however it comes. */
static void cuts_never_matter(void **state)
{
    static const char base[] = "POST /a?b HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\nrest";
    static const char bytes[] = "\r\n \t:aA/\x01\xff#%";
    char text[sizeof(base)];
    (void)state;
    srand(11);
    for (int round = 0; round < 3000; round++) {
        memcpy(text, base, sizeof(base));
        for (int edits = rand() % 4; edits > 0; edits--)
            text[(size_t)rand() % (sizeof(base) - 1)] = bytes[(size_t)rand() % (sizeof(bytes) - 1)];
        expect(text, sizeof(base) - 1, scan_whole(zq_slice(text, sizeof(base) - 1)));
    }
}

static void target(const char *method, const char *text, unsigned status, enum zq_target_form form,
                   const char *authority, const char *rest)
{
    struct zq_target out;
    assert_int_equal(zq_target_parse(zq_slice_str(text), zq_slice_str(method), &out), status);
    if (status != 0)
        return;
    assert_int_equal(out.form, form);
    assert_true(zq_slice_eq(out.authority, zq_slice_str(authority)));
    assert_true(zq_slice_eq(out.rest, zq_slice_str(rest)));
}

static void targets(void **state)
{
    (void)state;
    target("GET", "/", 0, ZQ_TARGET_ORIGIN, "", "/");
    target("GET", "//a/../b;c?d", 0, ZQ_TARGET_ORIGIN, "", "//a/../b;c?d");
    target("GET", "a", 400, 0, "", "");
    target("GET", "?a", 400, 0, "", "");
    target("GET", "http://a", 0, ZQ_TARGET_ABSOLUTE, "a", "");
    target("GET", "HTTPS://a:1/b?c", 0, ZQ_TARGET_ABSOLUTE, "a:1", "/b?c");
    target("GET", "http://a?b/c", 0, ZQ_TARGET_ABSOLUTE, "a", "?b/c");
    target("GET", "http:///b", 400, 0, "", "");
    target("GET", "http://u@a/", 400, 0, "", "");
    target("GET", "http:/a", 400, 0, "", "");
    target("GET", "ftp://a/", 400, 0, "", "");
    target("GET", "a:80", 400, 0, "", "");
    target("OPTIONS", "*", 0, ZQ_TARGET_ASTERISK, "", "*");
    target("GET", "*", 400, 0, "", "");
    target("OPTIONS", "**", 400, 0, "", "");
    target("CONNECT", "a:80", 0, ZQ_TARGET_AUTHORITY, "a:80", "a:80");
    target("CONNECT", "/", 400, 0, "", "");
    target("CONNECT", "[::1]:80", 0, ZQ_TARGET_AUTHORITY, "[::1]:80", "[::1]:80");
    target("CONNECT", "a", 400, 0, "", "");
    target("CONNECT", "a:", 400, 0, "", "");
    target("CONNECT", "[::1]", 400, 0, "", "");
    target("CONNECT", "[::1]:", 400, 0, "", "");
    target("CONNECT", "http://a/", 400, 0, "", "");
}

static void hosts(void **state)
{
    static const char *const good[] = {
        "a",       "example.org", "example.org:80", "127.0.0.1:0",     "a:",
        "a:65535", "[::1]",       "[::1]:80",       "[2001:db8::1]:",  "xn--a-b",
        "a_b",     "%41%c3",      "a!$&'()*+;=~",   "[::ffff:1.2.3.4]"};
    static const char *const bad[] = {"",        ":",
                                      ":80",     "a:65536",
                                      "a:8x",    "a:-1",
                                      "a:80:80", "a b",
                                      "u@a",     "a/b",
                                      "a?",      "a#",
                                      "[::1",    "::1",
                                      "[]",      "[1.2.3.4]",
                                      "[::g]",   "[::1]x",
                                      "[::1]80", "[fe80::1%25eth0]",
                                      "a\\",     "%4",
                                      "%zz",     "a\"",
                                      "<a>",     "caf\xc3\xa9",
                                      "[v1.a]",  "a[b]",
                                      "a,b",     ","};
    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(good); i++)
        if (!zq_host_valid(zq_slice_str(good[i])))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(bad); i++)
        if (zq_host_valid(zq_slice_str(bad[i])))
            fail_msg("%s", bad[i]);
    assert_false(zq_host_valid(zq_slice("a\0b", 3)));
    assert_false(zq_host_valid(zq_slice("[::1\0]", 6)));
}

#define TEST(name) cmocka_unit_test_setup(name, usual_limits)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(complete_heads),
        TEST(line_ends),
        TEST(request_lines),
        TEST(garbage_is_refused_without_a_line_end),
        TEST(limits),
        TEST(no_limit_means_a_high_one),
        TEST(cuts_never_matter),
        TEST(targets),
        TEST(hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
