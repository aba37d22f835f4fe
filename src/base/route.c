#include "zq/route.h"

/* A number that no application means: Python converts no more than 4,300 digits. */
#define DIGITS_MAX 1000

const char *zq_route_word(enum zq_route_kind kind)
{
    static const char *const words[] = {
#define X(name, word) word,
        ZQ_ROUTE_KINDS(X)
#undef X
    };

    ZQ_ASSERT((size_t)kind < ZQ_ARRAY_SIZE(words));
    return words[kind];
}

bool zq_route_answers(struct zq_slice methods, struct zq_slice method)
{
    bool is_head = zq_slice_eq(method, ZQ_SLICE("HEAD"));
    struct zq_slice each;

    while (zq_list_next(&methods, &each))
        if (zq_slice_eq(each, method) || (is_head && zq_slice_eq(each, ZQ_SLICE("GET"))))
            return true;
    return false;
}

/* ---- paths ---- */

bool zq_route_segment(struct zq_slice *rest, struct zq_slice *segment)
{
    if (rest->p == NULL)
        return false;
    const char *end = rest->n > 0 ? memchr(rest->p, '/', rest->n) : NULL;
    size_t n = end != NULL ? (size_t)(end - rest->p) : rest->n;
    *segment = zq_slice(rest->p, n);
    *rest = end != NULL ? zq_slice(end + 1, rest->n - n - 1) : (struct zq_slice){0};
    return true;
}

static bool is_dots(struct zq_slice s)
{
    return zq_slice_eq(s, ZQ_SLICE(".")) || zq_slice_eq(s, ZQ_SLICE(".."));
}

bool zq_route_path_is_plain(struct zq_slice path)
{
    if (path.n == 0 || path.p[0] != '/')
        return false;
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] == '%' || path.p[i] == ';' || path.p[i] == '\\')
            return false;
    struct zq_slice rest = zq_slice(path.p + 1, path.n - 1), segment;
    while (zq_route_segment(&rest, &segment))
        if (is_dots(segment) || (segment.n == 0 && rest.p != NULL))
            return false;
    return true;
}

/* ---- pieces of patterns ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(struct zq_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = zq_lower(s.p[i]);
        if (!(c >= 'a' && c <= 'z') && c != '_' && !(i > 0 && is_digit(c)))
            return false;
    }
    return s.n > 0;
}

static bool read_type(struct zq_slice word, enum zq_route_type *out)
{
    static const struct {
        const char *word;
        enum zq_route_type type;
    } types[] = {
        {"str", ZQ_ROUTE_STR},   {"int", ZQ_ROUTE_INT},   {"float", ZQ_ROUTE_FLOAT},
        {"uuid", ZQ_ROUTE_UUID}, {"path", ZQ_ROUTE_PATH},
    };

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(types); i++)
        if (zq_slice_eq(word, zq_slice_str(types[i].word))) {
            *out = types[i].type;
            return true;
        }
    return false;
}

static const char *find(struct zq_slice s, char c)
{
    return s.n > 0 ? memchr(s.p, c, s.n) : NULL;
}

const char *zq_route_piece(struct zq_slice s, struct zq_route_piece *out)
{
    const char *open = find(s, '<'), *close = find(s, '>'), *end = s.p + s.n;

    *out = (struct zq_route_piece){.type = ZQ_ROUTE_LITERAL, .prefix = s};
    if (open == NULL && close == NULL)
        return NULL;
    if (open == NULL || close == NULL || close < open)
        return "has a `<` without its `>`, or the other way round";
    struct zq_slice inside = zq_slice(open + 1, (size_t)(close - open - 1));
    out->type = ZQ_ROUTE_STR;
    out->prefix = zq_slice(s.p, (size_t)(open - s.p));
    out->suffix = zq_slice(close + 1, (size_t)(end - close - 1));
    const char *colon = find(inside, ':');
    if (colon != NULL && !read_type(zq_slice(inside.p, (size_t)(colon - inside.p)), &out->type))
        return "has a converter that is none of str, int, float, uuid and path";
    out->name =
        colon == NULL ? inside : zq_slice(colon + 1, (size_t)(inside.p + inside.n - colon - 1));
    if (find(out->suffix, '<') != NULL || find(out->suffix, '>') != NULL)
        return "has two parameters in one segment";
    return is_name(out->name) ? NULL : "has a parameter whose name is no identifier";
}

static size_t digits(struct zq_slice s)
{
    size_t n = 0;

    while (n < s.n && is_digit(s.p[n]))
        n++;
    return n;
}

static bool is_float(struct zq_slice s)
{
    size_t n = digits(s);

    return n > 0 && n + 1 < s.n && s.p[n] == '.' &&
           digits(zq_slice(s.p + n + 1, s.n - n - 1)) == s.n - n - 1;
}

static bool is_uuid(struct zq_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = zq_lower(s.p[i]);
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? c != '-' : !is_digit(c) && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return s.n == 36;
}

static bool has_type(enum zq_route_type type, struct zq_slice s)
{
    switch (type) {
    case ZQ_ROUTE_INT:
        return s.n > 0 && s.n <= DIGITS_MAX && digits(s) == s.n;
    case ZQ_ROUTE_FLOAT:
        return s.n <= DIGITS_MAX && is_float(s);
    case ZQ_ROUTE_UUID:
        return is_uuid(s);
    case ZQ_ROUTE_STR:
    case ZQ_ROUTE_PATH:
        return s.n > 0;
    case ZQ_ROUTE_LITERAL:
        break;
    }
    return s.n == 0;
}

static bool begins(struct zq_slice s, struct zq_slice with)
{
    return s.n >= with.n && (with.n == 0 || memcmp(s.p, with.p, with.n) == 0);
}

bool zq_route_piece_takes(const struct zq_route_piece *piece, struct zq_slice text,
                          struct zq_slice *value)
{
    size_t around = piece->prefix.n + piece->suffix.n;

    if (text.n < around || !begins(text, piece->prefix))
        return false;
    *value = zq_slice(text.p + piece->prefix.n, text.n - around);
    return begins(zq_slice(value->p + value->n, piece->suffix.n), piece->suffix) &&
           has_type(piece->type, *value);
}

/* ---- patterns ---- */

static bool is_taken(const struct zq_route_piece *pieces, size_t n, struct zq_slice name)
{
    for (size_t i = 0; i < n; i++)
        if (zq_slice_eq(pieces[i].name, name))
            return true;
    return false;
}

const char *zq_route_fault(struct zq_slice pattern)
{
    struct zq_route_piece pieces[ZQ_ROUTE_PARAMETERS_MAX], piece;
    size_t n = 0;

    if (pattern.n == 0 || pattern.p[0] != '/')
        return "does not begin with `/`";
    if (pattern.n > ZQ_ROUTE_PATTERN_MAX)
        return "is too long";
    struct zq_slice rest = zq_slice(pattern.p + 1, pattern.n - 1), segment;
    while (zq_route_segment(&rest, &segment)) {
        const char *fault = zq_route_piece(segment, &piece);
        if (fault != NULL)
            return fault;
        if (piece.type == ZQ_ROUTE_LITERAL)
            continue;
        if (piece.type == ZQ_ROUTE_PATH && (rest.p != NULL || piece.suffix.n > 0))
            return "has something behind a parameter that takes the rest of the path";
        if (n == ZQ_ROUTE_PARAMETERS_MAX)
            return "has too many parameters";
        if (is_taken(pieces, n, piece.name))
            return "has two parameters of one name";
        pieces[n++] = piece;
    }
    return NULL;
}
