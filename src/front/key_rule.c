#include "front/key_rule.h"

#include "zq/http.h"

#include <stdlib.h>

static struct zq_slice name_of(struct zq_slice pair)
{
    const char *equals = pair.n > 0 ? memchr(pair.p, '=', pair.n) : NULL;

    return equals != NULL ? zq_slice(pair.p, (size_t)(equals - pair.p)) : pair;
}

static bool is_listed(const struct zq_slices *list, struct zq_slice name)
{
    for (size_t i = 0; i < list->n; i++)
        if (zq_slice_eq(list->v[i], name))
            return true;
    return false;
}

/* ---- the query ---- */

static bool counts(const struct zq_key_rule *rule, struct zq_slice name)
{
    if (rule->has_query)
        return is_listed(&rule->query, name);
    for (size_t i = 0; i < rule->ignore_query.n; i++)
        if (zq_glob(rule->ignore_query.v[i], &name, 1))
            return false;
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct zq_slice *x = a, *y = b;
    struct zq_slice n = name_of(*x), m = name_of(*y);
    size_t least = n.n < m.n ? n.n : m.n;
    int order = least > 0 ? memcmp(n.p, m.p, least) : 0;

    if (order == 0)
        order = (n.n > m.n) - (n.n < m.n);
    return order != 0 ? order : (x->p > y->p) - (x->p < y->p);
}

static int join(const struct zq_slice *pieces, size_t n, struct zq_slice between,
                struct zq_arena *arena, struct zq_slice *out)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += pieces[i].n + between.n;
    char *to = zq_arena_alloc(arena, bytes + 1), *start = to;
    if (to == NULL)
        return ZQ_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            to = zq_put(to, between);
        to = zq_put(to, pieces[i]);
    }
    *out = zq_slice(start, (size_t)(to - start));
    return 0;
}

int key_rule_query(const struct zq_key_rule *rule, struct zq_slice query, struct zq_arena *arena,
                   struct zq_slice *out)
{
    struct zq_slice pairs[KEY_RULE_PARAMETERS_MAX], rest = query, pair;
    size_t n = 0, seen = 0;

    *out = query;
    if (!rule->has_query && rule->ignore_query.n == 0)
        return 0;
    while (zq_slice_next(&rest, '&', &pair)) {
        if (pair.n == 0)
            continue;
        if (++seen > KEY_RULE_PARAMETERS_MAX)
            return 0;
        struct zq_slice name = zq_http_decode_form(name_of(pair), arena);
        if (name.p == NULL)
            return ZQ_ENOMEM;
        if (counts(rule, name))
            pairs[n++] = pair;
    }
    qsort(pairs, n, sizeof(pairs[0]), by_name);
    return join(pairs, n, ZQ_SLICE("&"), arena, out);
}

int key_rule_target(const struct zq_key_rule *rule, struct zq_slice target, struct zq_arena *arena,
                    struct zq_slice *out)
{
    const char *mark = target.n > 0 ? memchr(target.p, '?', target.n) : NULL;
    struct zq_slice parts[2];

    *out = target;
    if (mark == NULL)
        return 0;
    parts[0] = zq_slice(target.p, (size_t)(mark - target.p));
    struct zq_slice query = zq_slice(mark + 1, target.n - parts[0].n - 1);
    int error = key_rule_query(rule, query, arena, &parts[1]);
    if (error < 0 || parts[1].p == query.p)
        return error;
    return join(parts, parts[1].n > 0 ? 2 : 1, ZQ_SLICE("?"), arena, out);
}

/* ---- cookies ---- */

static bool is_cookie(const struct zq_field *f)
{
    return zq_slice_eq(f->name, ZQ_SLICE("cookie"));
}

/* Writes the cookies of that name, in the order in which they came. */
static char *put_cookies(char *to, const char *start, const struct zq_fields *fields,
                         struct zq_slice name)
{
    for (size_t i = 0; i < fields->n; i++) {
        struct zq_slice rest = fields->v[i].value, pair;
        while (is_cookie(&fields->v[i]) && zq_slice_next(&rest, ';', &pair)) {
            pair = zq_slice_trim(pair);
            if (!zq_slice_eq(zq_slice_trim(name_of(pair)), name))
                continue;
            if (to > start)
                to = zq_put(to, ZQ_SLICE("; "));
            to = zq_put(to, pair);
        }
    }
    return to;
}

/* One line of the cookies that count; p is NULL when out of memory. */
static struct zq_slice select_cookies(const struct zq_slices *names, const struct zq_fields *fields,
                                      struct zq_arena *arena)
{
    size_t bytes = 1;

    for (size_t i = 0; i < fields->n; i++)
        bytes += is_cookie(&fields->v[i]) ? fields->v[i].value.n : 0;
    char *start = zq_arena_alloc(arena, 3 * bytes), *to = start; /* `a;a` becomes `a; a` */
    for (size_t i = 0; i < names->n && to != NULL; i++)
        if (!is_listed(&(struct zq_slices){names->v, i}, names->v[i]))
            to = put_cookies(to, start, fields, names->v[i]);
    return zq_slice(start, (size_t)(to - start));
}

int key_rule_fields(const struct zq_key_rule *rule, const struct zq_fields *fields,
                    struct zq_arena *arena, struct zq_fields *out)
{
    *out = *fields;
    if (!rule->has_cookies || zq_fields_find(fields, ZQ_SLICE("cookie"), NULL) == NULL)
        return 0;
    struct zq_slice line = select_cookies(&rule->cookies, fields, arena);
    *out = (struct zq_fields){zq_arena_alloc(arena, fields->n * sizeof(*out->v)), 0};
    if (line.p == NULL || out->v == NULL)
        return ZQ_ENOMEM;
    for (size_t i = 0; i < fields->n; i++)
        if (!is_cookie(&fields->v[i]))
            out->v[out->n++] = fields->v[i];
    if (line.n > 0)
        out->v[out->n++] = (struct zq_field){ZQ_SLICE("cookie"), line};
    return 0;
}

struct zq_slice key_rule_selects(const struct zq_key_rule *rule, struct zq_arena *arena)
{
    struct zq_slice names[ZQ_ROUTE_LIST_MAX + 1], out = {0};
    size_t n = 0;

    for (; n < rule->headers.n; n++)
        names[n] = rule->headers.v[n];
    if (rule->has_cookies && rule->cookies.n > 0)
        names[n++] = ZQ_SLICE("cookie");
    return join(names, n, ZQ_SLICE(", "), arena, &out) == 0 ? out : (struct zq_slice){0};
}
