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

/* The default port of a scheme that has one (RFC 9110 4.2.1, 4.2.2), with its colon. */
static struct zq_slice default_port(struct zq_slice scheme)
{
    if (zq_slice_ieq(scheme, ZQ_SLICE("http")))
        return ZQ_SLICE(":80");
    if (zq_slice_ieq(scheme, ZQ_SLICE("https")))
        return ZQ_SLICE(":443");
    return (struct zq_slice){0};
}

/* The host without `port`, where that is a port: in a bare IPv6 address it would be a group. */
static struct zq_slice without_port(struct zq_slice host, struct zq_slice port)
{
    if (port.n == 0 || host.n <= port.n || memcmp(host.p + host.n - port.n, port.p, port.n) != 0)
        return host;
    struct zq_slice name = zq_slice(host.p, host.n - port.n);
    if (name.p[name.n - 1] != ']' && memchr(name.p, ':', name.n) != NULL)
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
    struct zq_slice name = without_port(host, default_port(scheme));
    size_t i = 0;

    while (i < name.n && zq_lower(name.p[i]) == name.p[i])
        i++;
    if (i == name.n)
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

    *p++ = SEPARATOR;
    p = write_lower(p, without_port(host, default_port(scheme)));
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
