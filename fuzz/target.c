/* Request lines, targets and hosts, as pure functions.
 *
 * Input: lines: a request line; a host; a path.
 *
 * Invariants:
 *   - what is accepted of a request line is the whole of it: its parts, joined, are the line;
 *   - a target's parts are the target, and its form is the one that RFC 9112 3.2 permits;
 *   - a host is exactly what RFC 3986's grammar, read here once more, says it is; but a comma,
 * which would make a list of it, is refused;
 *   - decoding a path undoes percent-encoding, and leaves alone what is none. */
#include "support/fuzz.h"

#include "http/head.h"
#include "zq/http.h"

#include <arpa/inet.h>

static bool is_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (zq_lower(c) >= 'a' && zq_lower(c) <= 'z');
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return zq_lower(c) >= 'a' && zq_lower(c) <= 'f' ? zq_lower(c) - 'a' + 10 : -1;
}

static bool is_escape(struct zq_slice s, size_t i)
{
    return s.n - i >= 3 && s.p[i] == '%' && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0;
}

/* ---- the host, by the grammar ---- */

static bool port_follows(struct zq_slice s, size_t i)
{
    unsigned long port = 0;
    if (i == s.n)
        return true;
    if (s.p[i++] != ':')
        return false;
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        port = port * 10 + (unsigned long)(s.p[i] - '0');
        if (port > 65535)
            return false;
    }
    return true;
}

static bool literal_is_host(struct zq_slice s)
{
    char text[64], out[16];
    const char *end = memchr(s.p, ']', s.n);
    if (end == NULL || end - s.p > 60)
        return false;
    size_t n = (size_t)(end - s.p) - 1;
    memcpy(text, s.p + 1, n);
    text[n] = '\0';
    return strlen(text) == n && inet_pton(AF_INET6, text, out) == 1 && port_follows(s, n + 2);
}

static bool is_host(struct zq_slice s)
{
    size_t i = 0;
    if (s.n > 0 && s.p[0] == '[')
        return literal_is_host(s);
    while (i < s.n && s.p[i] != ':') {
        if (is_escape(s, i))
            i += 3;
        else if (is_alnum(s.p[i]) || is_in(s.p[i], "-._~!$&'()*+;="))
            i++;
        else
            return false;
    }
    return i > 0 && port_follows(s, i);
}

/* ---- the checks ---- */

static void check_target(struct zq_slice target, struct zq_slice method)
{
    struct zq_target t;
    if (zq_target_parse(target, method, &t) != 0)
        return;
    bool connect = zq_slice_eq(method, ZQ_SLICE("CONNECT"));
    FUZZ_CHECK(connect == (t.form == ZQ_TARGET_AUTHORITY));
    switch (t.form) {
    case ZQ_TARGET_ORIGIN:
        FUZZ_CHECK(target.p[0] == '/' && zq_slice_eq(t.rest, target) && t.authority.n == 0);
        break;
    case ZQ_TARGET_ASTERISK:
        FUZZ_CHECK(zq_slice_eq(target, ZQ_SLICE("*")));
        FUZZ_CHECK(zq_slice_eq(method, ZQ_SLICE("OPTIONS")));
        break;
    case ZQ_TARGET_AUTHORITY:
        FUZZ_CHECK(is_host(target) && zq_slice_eq(t.authority, target));
        break;
    case ZQ_TARGET_ABSOLUTE: {
        size_t scheme = (size_t)(t.authority.p - target.p);
        FUZZ_CHECK(scheme == 7 || scheme == 8);
        FUZZ_CHECK(zq_slice_ieq(zq_slice(target.p, scheme),
                                scheme == 7 ? ZQ_SLICE("http://") : ZQ_SLICE("https://")));
        FUZZ_CHECK(t.rest.p == t.authority.p + t.authority.n);
        FUZZ_CHECK(scheme + t.authority.n + t.rest.n == target.n && is_host(t.authority));
        FUZZ_CHECK(t.rest.n == 0 || t.rest.p[0] == '/' || t.rest.p[0] == '?');
        break;
    }
    }
}

static void check_line(struct zq_slice line)
{
    struct zq_request_line r;
    struct zq_buf again = {0};
    unsigned status = zq_request_line_parse(line, &r);
    FUZZ_CHECK(status == 0 || status == 400 || status == 501 || status == 505);
    if (r.target.n > 0)
        check_target(r.target, r.method);
    if (status != 0)
        return;
    FUZZ_CHECK(r.method.n > 0 && r.target.n > 0 && r.version_minor <= 1);
    FUZZ_CHECK(zq_buf_append(&again, r.method.p, r.method.n) == 0);
    FUZZ_CHECK(zq_buf_append(&again, " ", 1) == 0);
    FUZZ_CHECK(zq_buf_append(&again, r.target.p, r.target.n) == 0);
    FUZZ_CHECK(zq_buf_append(&again, " HTTP/1.", 8) == 0);
    FUZZ_CHECK(line.n == again.n + 1 && memcmp(line.p, zq_buf_data(&again), again.n) == 0);
    char digit = line.p[line.n - 1];
    FUZZ_CHECK(r.version_minor == 0 ? digit == '0' : digit >= '1' && digit <= '9');
    for (size_t i = 0; i < r.target.n; i++)
        FUZZ_CHECK(r.target.p[i] > ' ' && r.target.p[i] < 0x7f && r.target.p[i] != '#');
    zq_buf_fini(&again);
}

static void check_host(struct zq_slice host)
{
    FUZZ_CHECK(zq_host_valid(host) == is_host(host));
}

/* ---- paths ---- */

static void encode_all(struct zq_buf *out, struct zq_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        FUZZ_CHECK(zq_buf_printf(out, i % 2 != 0 ? "%%%02X" : "%%%02x", (uint8_t)s.p[i]) == 0);
}

static void check_path(struct zq_slice path)
{
    struct zq_arena arena = {0};
    struct zq_buf encoded = {0};
    struct zq_slice once = zq_http_decode_path(path, &arena);
    size_t escapes = 0;
    for (size_t i = 0; i < path.n; i++)
        if (is_escape(path, i)) {
            escapes++;
            i += 2;
        }
    FUZZ_CHECK(once.n == path.n - 2 * escapes);
    FUZZ_CHECK(escapes > 0 || zq_slice_eq(once, path));
    encode_all(&encoded, once);
    struct zq_slice twice = zq_http_decode_path(zq_slice(zq_buf_data(&encoded), encoded.n), &arena);
    FUZZ_CHECK(zq_slice_eq(once, twice));
    zq_buf_fini(&encoded);
    zq_arena_fini(&arena);
}

static void with_copy(struct zq_slice s, void (*check)(struct zq_slice))
{
    struct zq_slice copy = fuzz_copy(s);
    check(copy);
    free((char *)(uintptr_t)copy.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    with_copy(fuzz_until(&in, '\n'), check_line);
    with_copy(fuzz_until(&in, '\n'), check_host);
    with_copy(fuzz_until(&in, '\n'), check_path);
    return 0;
}
