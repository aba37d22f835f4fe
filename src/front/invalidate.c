#include "front/invalidate.h"

#include "front/routes.h"

static struct zq_slice behind(struct zq_slice s, size_t n)
{
    return zq_slice(s.p + n, s.n - n);
}

/* The bytes before the first of `ends`. */
static size_t length_to(struct zq_slice s, const char *ends)
{
    size_t n = 0;

    while (n < s.n && (s.p[n] == '\0' || strchr(ends, s.p[n]) == NULL))
        n++;
    return n;
}

static bool has_scheme(struct zq_slice s)
{
    size_t n = length_to(s, ":/?#");

    return n < s.n && s.p[n] == ':';
}

static bool begins(struct zq_slice s, const char *with)
{
    size_t n = strlen(with);

    return s.n >= n && memcmp(s.p, with, n) == 0;
}

static struct zq_slice join(struct zq_slice a, struct zq_slice b, struct zq_arena *scratch)
{
    char *to = zq_arena_alloc(scratch, a.n + b.n + 1);

    if (to == NULL)
        return (struct zq_slice){0};
    memcpy(to, a.p, a.n);
    memcpy(to + a.n, b.p, b.n);
    return zq_slice(to, a.n + b.n);
}

/* `//authority/path`: the path, if the authority is the request's. */
static struct zq_slice of_same_host(struct zq_slice s, struct zq_slice scheme, struct zq_slice host,
                                    struct zq_arena *scratch)
{
    s = behind(s, 2);
    size_t n = length_to(s, "/?");
    struct zq_slice named = zq_cache_host(scheme, zq_slice(s.p, n), scratch);
    struct zq_slice ours = zq_cache_host(scheme, host, scratch);
    if (named.n == 0 || !zq_slice_eq(named, ours))
        return (struct zq_slice){0};
    s = behind(s, n);
    return s.n > 0 && s.p[0] == '/' ? s : join(ZQ_SLICE("/"), s, scratch);
}

/* A path that begins where the target's last segment does, or a query alone. */
static struct zq_slice relative(struct zq_slice s, struct zq_slice target, struct zq_arena *scratch)
{
    size_t n = length_to(target, "?");

    if (s.n == 0)
        return (struct zq_slice){0};
    while (s.p[0] != '?' && n > 0 && target.p[n - 1] != '/')
        n--;
    return join(zq_slice(target.p, n), s, scratch);
}

/* The first segment of a path, with its slash. */
static struct zq_slice segment_of(struct zq_slice path)
{
    return zq_slice(path.p, 1 + length_to(behind(path, 1), "/"));
}

/* RFC 3986 5.2.4 for a path with a slash in front, in place. */
static size_t remove_dots(char *path, size_t n)
{
    struct zq_slice in = zq_slice(path, n);
    size_t out = 0;

    while (in.n > 0) {
        struct zq_slice segment = segment_of(in);
        bool last = segment.n == in.n, up = zq_slice_eq(segment, ZQ_SLICE("/.."));
        in = behind(in, segment.n);
        if (!up && !zq_slice_eq(segment, ZQ_SLICE("/."))) {
            memmove(path + out, segment.p, segment.n);
            out += segment.n;
            continue;
        }
        while (up && out > 0 && path[--out] != '/')
            ;
        if (last)
            path[out++] = '/';
    }
    return out;
}

static struct zq_slice without_dots(struct zq_slice s, struct zq_arena *scratch)
{
    size_t n = length_to(s, "?");

    if (n == 0 || s.p[0] != '/')
        return s;
    struct zq_slice copy = join(s, ZQ_SLICE(""), scratch);
    if (copy.n == 0)
        return copy;
    char *path = (char *)(uintptr_t)copy.p;
    size_t left = remove_dots(path, n);
    memmove(path + left, path + n, s.n - n);
    return zq_slice(path, left + s.n - n);
}

struct zq_slice invalidate_resolve(struct zq_slice s, struct zq_slice scheme, struct zq_slice host,
                                   struct zq_slice target, struct zq_arena *scratch)
{
    s.n = length_to(s, "#");
    if (has_scheme(s)) {
        size_t n = length_to(s, ":");
        if (!zq_slice_ieq(zq_slice(s.p, n), scheme) || !begins(behind(s, n), "://"))
            return (struct zq_slice){0};
        s = behind(s, n + 1);
    }
    if (begins(s, "//"))
        s = of_same_host(s, scheme, host, scratch);
    else if (!begins(s, "/"))
        s = relative(s, target, scratch);
    return without_dots(s, scratch);
}

struct place {
    struct zq_cache *cache;
    const struct routes_view *view;
    struct zq_slice scheme, host;
    struct zq_arena *scratch;
};

/* As it is, and as the key rule of its route makes it. What cannot be named for want of memory must
 * not be served later: then everything goes. */
static void invalidate_one(const struct place *p, struct zq_slice target)
{
    const struct zq_purge all = {.kind = ZQ_PURGE_ALL};
    struct zq_slice keyed;
    uint64_t number;

    zq_cache_invalidate(p->cache, p->scheme, p->host, target);
    if (routes_key_target(p->view, target, p->scratch, &keyed) < 0)
        zq_cache_purge(p->cache, &all, 0, &number);
    else if (keyed.p != target.p)
        zq_cache_invalidate(p->cache, p->scheme, p->host, keyed);
}

static void invalidate_named(const struct place *p, struct zq_slice name, struct zq_slice target,
                             const struct zq_fields *response)
{
    const struct zq_field *f = NULL;

    while ((f = zq_fields_find(response, name, f)) != NULL) {
        struct zq_slice named =
            invalidate_resolve(zq_slice_trim(f->value), p->scheme, p->host, target, p->scratch);
        if (named.n > 0)
            invalidate_one(p, named);
    }
}

/* Does a response say that it is what a GET of the target would bring (RFC 9110 9.3.3)? */
static bool stands_for(const struct place *p, struct zq_slice target,
                       const struct zq_fields *response)
{
    const struct zq_slice name = ZQ_SLICE("content-location");
    const struct zq_field *f = zq_fields_find(response, name, NULL);

    if (f == NULL || zq_fields_find(response, name, f) != NULL)
        return false;
    struct zq_slice named =
        invalidate_resolve(zq_slice_trim(f->value), p->scheme, p->host, target, p->scratch);
    return named.n > 0 && zq_slice_eq(named, target);
}

/* A declared view's responses are stored by its key rule, of which a POST knows nothing. */
static bool is_declared(const struct place *p, struct zq_slice target)
{
    return route_is_cached(
        routes_match(p->view, zq_slice(target.p, length_to(target, "?")), ZQ_SLICE("GET")));
}

void invalidate_targets(struct zq_cache *cache, const struct routes_view *view,
                        struct zq_slice scheme, struct zq_slice host, struct zq_slice target,
                        const struct zq_fields *response, struct zq_writer *instead,
                        struct zq_arena *scratch)
{
    const struct place p = {cache, view, scheme, host, scratch};

    invalidate_named(&p, ZQ_SLICE("location"), target, response);
    if (instead != NULL && instead->adoptable && stands_for(&p, target, response) &&
        !is_declared(&p, target)) {
        zq_writer_adopt(instead, cache, scheme, host, target);
        return;
    }
    invalidate_one(&p, target);
    invalidate_named(&p, ZQ_SLICE("content-location"), target, response);
}
