#include "cache/key.h"

/* Stands between the parts: no valid target, host or scheme holds a line feed, and the http room
 * lets none through, so two keys are equal only part by part. */
#define SEPARATOR '\n'

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (zq_lower(c) >= 'a' && zq_lower(c) <= 'f');
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static inline bool ends_with(struct zq_slice s, struct zq_slice end)
{
    return s.n > end.n && zq_slice_eq(zq_slice(s.p + s.n - end.n, end.n), end);
}

/* How much of the host is the default port of a scheme in lower case (RFC 9110 4.2.1, 4.2.2). */
static size_t default_port(struct zq_slice scheme, struct zq_slice host)
{
    if (zq_slice_eq(scheme, ZQ_SLICE("http")))
        return ends_with(host, ZQ_SLICE(":80")) ? 3 : 0;
    if (zq_slice_eq(scheme, ZQ_SLICE("https")))
        return ends_with(host, ZQ_SLICE(":443")) ? 4 : 0;
    return 0;
}

/* In a bare IPv6 address what looks like a port is a group. */
static struct zq_slice without_port(struct zq_slice scheme, struct zq_slice host)
{
    size_t port = default_port(scheme, host);
    struct zq_slice name = zq_slice(host.p, host.n - port);

    if (port > 0 && name.p[name.n - 1] != ']' && memchr(name.p, ':', name.n) != NULL)
        return host;
    return name;
}

static char *write_lower(char *to, struct zq_slice s)
{
    if (s.n > 0)
        memcpy(to, s.p, s.n);
    zq_to_lower(to, s.n);
    return to + s.n;
}

/* RFC 3986 6.2.2.1: the hex digits of an escape have no case. Nothing else is folded: `%41` and
 * `A`, `//` and `/`, `/.` and `/` are different bytes in raw_path. */
static char *write_target(char *to, struct zq_slice s)
{
    char *end = to + s.n;

    memcpy(to, s.p, s.n);
    while ((to = memchr(to, '%', (size_t)(end - to))) != NULL) {
        if (end - to > 2 && is_hex(to[1]) && is_hex(to[2])) {
            to[1] = upper(to[1]);
            to[2] = upper(to[2]);
        }
        to++;
    }
    return end;
}

struct zq_slice zq_cache_host(struct zq_slice scheme, struct zq_slice host, struct zq_arena *arena)
{
    struct zq_slice name = without_port(scheme, host);

    if (zq_is_lower(name))
        return name;
    char *copy = zq_arena_alloc(arena, name.n);
    if (copy == NULL)
        return (struct zq_slice){0};
    write_lower(copy, name);
    return zq_slice(copy, name.n);
}

size_t zq_key_write(char *to, struct zq_slice scheme, struct zq_slice host, struct zq_slice target)
{
    char *p = write_lower(to, scheme);
    struct zq_slice lower = zq_slice(to, scheme.n);

    *p++ = SEPARATOR;
    p = write_lower(p, without_port(lower, host));
    *p++ = SEPARATOR;
    if (target.n > 0)
        p = write_target(p, target);
    return (size_t)(p - to);
}

int zq_cache_key(struct zq_buf *out, struct zq_slice scheme, struct zq_slice host,
                 struct zq_slice target)
{
    char *to = zq_buf_reserve(out, zq_key_bound(scheme, host, target));

    if (to == NULL)
        return ZQ_ENOMEM;
    zq_buf_commit(out, zq_key_write(to, scheme, host, target));
    return 0;
}
