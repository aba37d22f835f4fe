#include "chars.h"
#include "head.h"

#include "zq/http.h"

#include <arpa/inet.h>

/* ---- the request line ---- */

/* "HTTP/" DIGIT "." DIGIT, in capitals (RFC 9112 2.3). */
static unsigned parse_version(struct zq_slice s, unsigned *minor)
{
    if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0 || s.p[6] != '.')
        return 400;
    if (s.p[5] < '0' || s.p[5] > '9' || s.p[7] < '0' || s.p[7] > '9')
        return 400;
    if (s.p[5] == '0')
        return 400;
    if (s.p[5] != '1')
        return 505;
    *minor = s.p[7] == '0' ? 0 : 1;
    return 0;
}

static bool take_word(struct zq_slice *rest, struct zq_slice *word)
{
    const char *space = rest->n > 0 ? memchr(rest->p, ' ', rest->n) : NULL;
    if (space == NULL)
        return false;
    *word = zq_slice(rest->p, (size_t)(space - rest->p));
    rest->p = space + 1;
    rest->n -= word->n + 1;
    return true;
}

unsigned zq_request_line_parse(struct zq_slice line, struct zq_request_line *out)
{
    struct zq_slice preface = ZQ_SLICE("PRI * HTTP/2.0");
    struct zq_slice rest = line;
    struct zq_slice method, target;
    *out = (struct zq_request_line){.version_minor = 1};
    if (zq_slice_eq(line, preface))
        return 400; /* HTTP/2 with prior knowledge (RFC 9113 3.4): its frames follow */
    if (!take_word(&rest, &method) || !zq_is_token(method))
        return 400;
    out->method = method;
    if (!take_word(&rest, &target) || target.n == 0 || !zq_chars_are(target, ZQ_CHAR_TARGET))
        return 400;
    out->target = target;
    unsigned status = parse_version(rest, &out->version_minor);
    if (status == 0 && zq_slice_eq(method, ZQ_SLICE("PRI")))
        return 501; /* registered so that nobody ever uses it (RFC 9113 11.6) */
    return status;
}

/* ---- the target ---- */

static bool has_scheme(struct zq_slice target, const char *scheme, size_t n)
{
    return target.n >= n && zq_slice_ieq(zq_slice(target.p, n), zq_slice(scheme, n));
}

static unsigned parse_absolute(struct zq_slice target, struct zq_target *out)
{
    size_t scheme;
    if (has_scheme(target, "http://", 7))
        scheme = 7;
    else if (has_scheme(target, "https://", 8))
        scheme = 8;
    else
        return 400;
    size_t end = scheme;
    while (end < target.n && target.p[end] != '/' && target.p[end] != '?')
        end++;
    out->form = ZQ_TARGET_ABSOLUTE;
    out->authority = zq_slice(target.p + scheme, end - scheme);
    out->rest = zq_slice(target.p + end, target.n - end);
    return zq_host_valid(out->authority) ? 0 : 400;
}

/* Does a valid authority name a port? "a:" and "[::1]" do not. */
static bool has_port(struct zq_slice authority)
{
    const char *colon = memrchr(authority.p, ':', authority.n);
    const char *last = authority.p + authority.n - 1;
    return colon != NULL && colon != last && *last != ']';
}

unsigned zq_target_parse(struct zq_slice target, struct zq_slice method, struct zq_target *out)
{
    *out = (struct zq_target){.form = ZQ_TARGET_ORIGIN, .rest = target};
    if (zq_slice_eq(method, ZQ_SLICE("CONNECT"))) {
        out->form = ZQ_TARGET_AUTHORITY;
        out->authority = target;
        /* RFC 9110 9.3.6: an empty port is refused. */
        return zq_host_valid(target) && has_port(target) ? 0 : 400;
    }
    if (target.p[0] == '/')
        return 0;
    if (zq_slice_eq(target, ZQ_SLICE("*"))) {
        out->form = ZQ_TARGET_ASTERISK;
        return zq_slice_eq(method, ZQ_SLICE("OPTIONS")) ? 0 : 400;
    }
    return parse_absolute(target, out);
}

static bool is_escape(struct zq_slice s, size_t i)
{
    return s.p[i] == '%' && s.n - i >= 3 && zq_char_is(s.p[i + 1], ZQ_CHAR_HEX) &&
           zq_char_is(s.p[i + 2], ZQ_CHAR_HEX);
}

/* ---- the host ---- */

static bool is_ipv6(struct zq_slice s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* The length of the reg-name that `s` begins with. */
static size_t reg_name_length(struct zq_slice s)
{
    size_t i = 0;
    while (i < s.n) {
        if (zq_char_is(s.p[i], ZQ_CHAR_REGNAME))
            i++;
        else if (is_escape(s, i))
            i += 3;
        else
            break;
    }
    return i;
}

/* What follows the host: nothing, or ":" and digits, of which there may be none (RFC 3986 3.2.3).
 */
static bool is_port(struct zq_slice s)
{
    unsigned port = 0;
    if (s.n > 0 && s.p[0] != ':')
        return false;
    for (size_t i = 1; i < s.n; i++) {
        unsigned digit = (unsigned char)s.p[i] - '0';
        if (digit > 9 || (port = 10 * port + digit) > UINT16_MAX)
            return false;
    }
    return true;
}

bool zq_host_valid(struct zq_slice host)
{
    size_t n;
    if (host.n > 0 && host.p[0] == '[') {
        const char *end = memchr(host.p, ']', host.n);
        if (end == NULL || !is_ipv6(zq_slice(host.p + 1, (size_t)(end - host.p) - 1)))
            return false;
        n = (size_t)(end - host.p) + 1;
    } else {
        n = reg_name_length(host);
    }
    return n > 0 && is_port(zq_slice(host.p + n, host.n - n));
}

/* ---- escapes ---- */

/* `plus`: what a `+` stands for. */
static struct zq_slice decode(struct zq_slice s, char plus, struct zq_arena *arena)
{
    char *out = zq_arena_alloc(arena, s.n);
    size_t n = 0;
    if (out == NULL)
        return (struct zq_slice){0};
    for (size_t i = 0; i < s.n; i++) {
        if (is_escape(s, i)) {
            out[n++] = (char)(zq_hex_value(s.p[i + 1]) << 4 | zq_hex_value(s.p[i + 2]));
            i += 2;
        } else {
            out[n++] = s.p[i] == '+' ? plus : s.p[i];
        }
    }
    return zq_slice(out, n);
}

static bool holds(struct zq_slice s, char c)
{
    return s.n > 0 && memchr(s.p, c, s.n) != NULL;
}

struct zq_slice zq_http_decode_path(struct zq_slice path, struct zq_arena *arena)
{
    return holds(path, '%') ? decode(path, '+', arena) : path;
}

struct zq_slice zq_http_decode_form(struct zq_slice text, struct zq_arena *arena)
{
    return holds(text, '%') || holds(text, '+') ? decode(text, ' ', arena) : text;
}
