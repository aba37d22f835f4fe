/* The tree of routes.
 *
 * Input: lines `METHODS PATTERN` up to an empty one, then lines `METHOD PATH`.
 *
 * Invariants: a pattern is taken exactly if it has no fault and no other of its shape answers one
 * of its methods; the tree finds what a walk over all patterns finds to be the best; a path that
 * can be matched is its own normal form, and the parameters are pieces of it. */
#include "support/fuzz.h"

#include "zq/route.h"

#define ROUTES_MAX 64
#define SEGMENTS_MAX (ZQ_ROUTE_PATTERN_MAX + 1)

struct route {
    struct zq_slice line, methods, pattern;
};

struct pieces {
    struct zq_route_piece v[SEGMENTS_MAX];
    size_t n;
};

static void split(struct zq_slice pattern, struct pieces *out)
{
    struct zq_slice rest = zq_slice(pattern.p + 1, pattern.n - 1), segment;
    out->n = 0;
    while (zq_route_segment(&rest, &segment))
        FUZZ_CHECK(zq_route_piece(segment, &out->v[out->n++]) == NULL);
}

static int compare(struct zq_slice a, struct zq_slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

/* ---- the order of patterns, said once more ---- */

static int class_of(const struct zq_route_piece *p)
{
    return p->type == ZQ_ROUTE_LITERAL ? 0 : p->type == ZQ_ROUTE_PATH ? 2 : 1;
}

static int order_of(const struct zq_route_piece *a, const struct zq_route_piece *b)
{
    size_t x = a->prefix.n + a->suffix.n, y = b->prefix.n + b->suffix.n;
    if (class_of(a) != class_of(b))
        return class_of(a) - class_of(b);
    if (a->type == ZQ_ROUTE_LITERAL)
        return compare(a->prefix, b->prefix);
    if (x != y)
        return x > y ? -1 : 1;
    if (a->type != b->type)
        return (int)a->type - (int)b->type;
    int order = compare(a->prefix, b->prefix);
    return order != 0 ? order : compare(a->suffix, b->suffix);
}

static int order_of_patterns(struct zq_slice a, struct zq_slice b)
{
    static struct pieces x, y;
    split(a, &x);
    split(b, &y);
    for (size_t i = 0; i < x.n && i < y.n; i++) {
        int order = order_of(&x.v[i], &y.v[i]);
        if (order != 0)
            return order;
    }
    return (x.n > y.n) - (x.n < y.n);
}

/* ---- one pattern against one path ---- */

static bool takes(struct zq_slice pattern, struct zq_slice path)
{
    static struct pieces pieces;
    struct zq_slice rest = zq_slice(path.p + 1, path.n - 1), segment, value;
    split(pattern, &pieces);
    for (size_t i = 0; i < pieces.n; i++) {
        const struct zq_route_piece *p = &pieces.v[i];
        if (rest.p == NULL)
            return false;
        if (p->type == ZQ_ROUTE_PATH)
            return zq_route_piece_takes(p, rest, &value);
        zq_route_segment(&rest, &segment);
        if (!zq_route_piece_takes(p, segment, &value))
            return false;
    }
    return rest.p == NULL;
}

static const struct route *best(const struct route *routes, size_t n, struct zq_slice path,
                                struct zq_slice method)
{
    const struct route *found = NULL;
    if (!zq_route_path_is_plain(path))
        return NULL;
    for (const struct route *r = routes; r < routes + n; r++)
        if (zq_route_answers(r->methods, method) && takes(r->pattern, path) &&
            (found == NULL || order_of_patterns(r->pattern, found->pattern) < 0))
            found = r;
    return found;
}

/* ---- the checks ---- */

static bool conflicts(const struct route *a, const struct route *b)
{
    struct zq_slice methods, method;
    if (order_of_patterns(a->pattern, b->pattern) != 0)
        return false;
    for (methods = a->methods; zq_list_next(&methods, &method);)
        if (zq_route_answers(b->methods, method))
            return true;
    for (methods = b->methods; zq_list_next(&methods, &method);)
        if (zq_route_answers(a->methods, method))
            return true;
    return false;
}

/* True when it is in the tree now. */
static bool add(struct zq_route_tree *tree, struct route *routes, size_t n)
{
    struct route *made = &routes[n];
    const struct route *other = NULL;
    void *conflict;
    int rc = zq_route_tree_add(tree, made->pattern, made->methods, made, &conflict);
    if (zq_route_fault(made->pattern) != NULL) {
        FUZZ_CHECK(rc == ZQ_EINVAL && conflict == NULL);
        return false;
    }
    for (size_t i = 0; i < n && other == NULL; i++)
        if (conflicts(&routes[i], made))
            other = &routes[i];
    FUZZ_CHECK(other != NULL ? rc == ZQ_EINVAL && conflict == other : rc == 0 && conflict == NULL);
    return rc == 0;
}

static void ask(const struct zq_route_tree *tree, const struct route *routes, size_t n,
                struct zq_slice line)
{
    struct fuzz_input in = {line.p, line.n};
    struct zq_slice method = fuzz_until(&in, ' ');
    struct zq_slice path = fuzz_copy(zq_slice(in.p, in.n));
    const struct route *expected = best(routes, n, path, method);
    struct zq_route_match m;
    bool found = zq_route_tree_match(tree, path, method, &m);
    FUZZ_CHECK(found == (expected != NULL));
    FUZZ_CHECK(!found || m.user == expected);
    for (size_t i = 0; found && i < m.n; i++) {
        const struct zq_route_parameter *p = &m.parameters[i];
        FUZZ_CHECK(p->name.n > 0 && p->value.n > 0);
        FUZZ_CHECK(p->value.p > path.p && p->value.p + p->value.n <= path.p + path.n);
        FUZZ_CHECK(p->type == ZQ_ROUTE_PATH || memchr(p->value.p, '/', p->value.n) == NULL);
    }
    FUZZ_CHECK(!found ||
               (memchr(path.p, '%', path.n) == NULL && memmem(path.p, path.n, "//", 2) == NULL));
    free((char *)(uintptr_t)path.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    struct zq_route_tree *tree = zq_route_tree_new();
    struct route routes[ROUTES_MAX];
    size_t n = 0;
    FUZZ_CHECK(tree != NULL);
    while (in.n > 0 && n < ROUTES_MAX) {
        struct zq_slice line = fuzz_until(&in, '\n');
        if (line.n == 0)
            break;
        struct route *made = &routes[n];
        made->line = fuzz_copy(line);
        struct fuzz_input rest = {made->line.p, made->line.n};
        made->methods = fuzz_until(&rest, ' ');
        made->pattern = zq_slice(rest.p, rest.n);
        if (add(tree, routes, n))
            n++;
        else
            free((char *)(uintptr_t)made->line.p);
    }
    for (int i = 0; i < 64 && in.n > 0; i++)
        ask(tree, routes, n, fuzz_until(&in, '\n'));
    zq_route_tree_free(tree);
    for (size_t i = 0; i < n; i++)
        free((char *)(uintptr_t)routes[i].line.p);
    return 0;
}
