#include "zq/route.h"

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

static bool is_dots(struct zq_slice s)
{
    return zq_slice_eq(s, ZQ_SLICE(".")) || zq_slice_eq(s, ZQ_SLICE(".."));
}

bool zq_route_path_is_plain(struct zq_slice path)
{
    if (path.n == 0 || path.p[0] != '/')
        return false;
    const char *segment = path.p + 1, *end = path.p + path.n;
    for (const char *p = segment; p < end; p++) {
        if (*p == '%' || *p == ';' || *p == '\\')
            return false;
        if (*p != '/')
            continue;
        if (p == segment || is_dots(zq_slice(segment, (size_t)(p - segment))))
            return false;
        segment = p + 1;
    }
    return !is_dots(zq_slice(segment, (size_t)(end - segment)));
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
