/* The tree of routes.
 *
 * Input: lines `METHODS PATTERN` up to an empty one, then lines `METHOD PATH`.
 *
 * Invariants: a pattern is taken exactly if it has no fault and no other of its shape answers one
 * of its methods; the tree finds what a walk over all patterns finds to be the best; a path that
 * can be matched is its own normal form, and the parameters are pieces of it. What a type and its
 * arguments take is said once more here, in another way. */
#include "support/fuzz.h"

#include "zq/route.h"

#include <limits.h>

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
    if ((a->arguments.n == 0) != (b->arguments.n == 0))
        return a->arguments.n == 0 ? 1 : -1;
    int order = compare(a->arguments, b->arguments);
    if (order == 0)
        order = compare(a->prefix, b->prefix);
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

/* ---- what parameters take, said once more ---- */

static const char DIGITS[] = "0123456789";
static const char HEX[] = "0123456789abcdefABCDEF";

/* The last `name=` of the arguments, or `otherwise`. */
static long long number_of(const char *arguments, const char *name, long long otherwise)
{
    size_t n = strlen(name);
    for (const char *at = arguments; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, n) == 0 && at[n] == '=')
            otherwise = strtoll(at + n + 1, NULL, 10);
    }
    return otherwise;
}

static bool has_word(const char *arguments, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = arguments; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == '\0'))
            return true;
    }
    return false;
}

static bool keeps_length(const char *arguments, size_t n)
{
    long long least = 1, most = LLONG_MAX;
    for (const char *at = arguments; at != NULL; at = strchr(at, ',')) { /* the last one counts */
        at += *at == ',';
        if (strncmp(at, "length=", 7) == 0)
            least = most = atoll(at + 7);
        if (strncmp(at, "minlength=", 10) == 0)
            least = atoll(at + 10);
        if (strncmp(at, "maxlength=", 10) == 0)
            most = atoll(at + 10);
    }
    return (long long)n >= least && (long long)n <= most;
}

static bool is_number(const char *arguments, const char *s, bool is_float)
{
    const char *at = s + (has_word(arguments, "signed") && s[0] == '-');
    size_t whole = strspn(at, DIGITS), part = at[whole] == '.' ? strspn(at + whole + 1, DIGITS) : 0;
    if (whole == 0 || strlen(s) > 1000)
        return false;
    if (is_float)
        return part > 0 ? at[whole + 1 + part] == '\0'
                        : at[whole] == '\0' && has_word(arguments, "loose");
    long long value = strtoll(s, NULL, 10);
    return at[whole] == '\0' && keeps_length(arguments, strlen(s)) &&
           value >= number_of(arguments, "min", LLONG_MIN) &&
           value <= number_of(arguments, "max", LLONG_MAX);
}

static bool is_uuid(const char *arguments, const char *s)
{
    static const int groups[] = {8, 4, 4, 4, 12};
    const char *at = s;
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < groups[i]; j++, at++)
            if (*at == '\0' || strchr(HEX, *at) == NULL ||
                (has_word(arguments, "lower") && strchr("ABCDEF", *at) != NULL))
                return false;
        if (i < 4 && *at == '-')
            at++;
        else if (i < 4 && !has_word(arguments, "loose"))
            return false;
    }
    return *at == '\0';
}

static bool is_of_set(const char *arguments, const char *s)
{
    size_t n = strcspn(arguments, ",");
    for (; *s != '\0'; s++) {
        bool found = false;
        for (size_t i = 0; i < n && !found; i++) {
            bool is_range = i + 2 < n && arguments[i + 1] == '-';
            found = *s >= arguments[i] && *s <= arguments[is_range ? i + 2 : i];
            i += is_range ? 2 : 0;
        }
        if (!found)
            return false;
    }
    return true;
}

static bool is_among(const char *arguments, const char *s)
{
    size_t n = strlen(s);
    for (const char *at = arguments; n > 0 && (at = strstr(at, s)) != NULL; at++)
        if ((at == arguments || at[-1] == ',') && (at[n] == ',' || at[n] == '\0'))
            return strchr(s, ',') == NULL;
    return false;
}

static bool fits(enum zq_route_type type, const char *arguments, const char *s)
{
    switch (type) {
    case ZQ_ROUTE_LITERAL:
        return *s == '\0';
    case ZQ_ROUTE_ANY:
        return is_among(arguments, s);
    case ZQ_ROUTE_INT:
    case ZQ_ROUTE_FLOAT:
        return is_number(arguments, s, type == ZQ_ROUTE_FLOAT);
    case ZQ_ROUTE_UUID:
        return is_uuid(arguments, s);
    case ZQ_ROUTE_CHARS:
        return keeps_length(arguments, strlen(s)) && is_of_set(arguments, s);
    case ZQ_ROUTE_SLUG:
        return keeps_length(arguments, strlen(s)) && is_of_set("0-9_a-zA-Z-", s);
    case ZQ_ROUTE_STR:
    case ZQ_ROUTE_PATH:
        break;
    }
    return keeps_length(arguments, strlen(s));
}

/* For texts without NUL, which no request has; of others the tree is believed. */
static bool piece_takes(const struct zq_route_piece *p, struct zq_slice text)
{
    size_t around = p->prefix.n + p->suffix.n;
    struct zq_slice value;
    bool taken = zq_route_piece_takes(p, text, &value);
    if (text.n < around || (text.n > 0 && memchr(text.p, '\0', text.n) != NULL) ||
        (p->arguments.n > 0 && memchr(p->arguments.p, '\0', p->arguments.n) != NULL))
        return taken;
    char *arguments = strndup(p->arguments.n > 0 ? p->arguments.p : "", p->arguments.n);
    char *s = strndup(text.p, text.n), *end = s + text.n - p->suffix.n;
    bool expected = memcmp(s, p->prefix.p, p->prefix.n) == 0 &&
                    (p->suffix.n == 0 || memcmp(end, p->suffix.p, p->suffix.n) == 0);
    *end = '\0';
    expected = expected && fits(p->type, arguments, s + p->prefix.n);
    FUZZ_CHECK(taken == expected);
    free(arguments);
    free(s);
    return taken;
}

/* ---- one pattern against one path ---- */

static bool takes(struct zq_slice pattern, struct zq_slice path)
{
    static struct pieces pieces;
    struct zq_slice rest = zq_slice(path.p + 1, path.n - 1), segment;
    split(pattern, &pieces);
    for (size_t i = 0; i < pieces.n; i++) {
        const struct zq_route_piece *p = &pieces.v[i];
        if (rest.p == NULL)
            return false;
        if (p->type == ZQ_ROUTE_PATH)
            return piece_takes(p, rest);
        zq_route_segment(&rest, &segment);
        if (!piece_takes(p, segment))
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
        FUZZ_CHECK(p->name.n > 0 && p->type < ZQ_ROUTE_LITERAL);
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
