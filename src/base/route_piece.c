/* Pieces of route patterns: the types of parameters, their bounds, and the texts that they take. */
#include "zq/route.h"

/* A number that no application means: Python converts no more than 4,300 digits. */
#define DIGITS_MAX 1000
#define VALUE_MAX INT64_C(1000000000000000000) /* and all beyond; a bound is smaller */

enum argument { ITEMS = 1, SET = 2, LENGTH = 4, VALUE = 8, SIGNED = 16, LOWER = 32, LOOSE = 64 };

static const struct type {
    const char *word;
    unsigned takes;
} types[] = {
#define X(name, word, takes) {word, takes},
    ZQ_ROUTE_TYPES(X)
#undef X
};

static const char *find(struct zq_slice s, char c)
{
    return s.n > 0 ? memchr(s.p, c, s.n) : NULL;
}

/* As zq_slice_next, but that an empty part behind the last mark is one. */
static bool split(struct zq_slice *rest, char mark, struct zq_slice *part)
{
    if (rest->p == NULL)
        return false;
    const char *end = find(*rest, mark);
    size_t n = end != NULL ? (size_t)(end - rest->p) : rest->n;
    *part = zq_slice(rest->p, n);
    *rest = end != NULL ? zq_slice(end + 1, rest->n - n - 1) : (struct zq_slice){0};
    return true;
}

bool zq_route_segment(struct zq_slice *rest, struct zq_slice *segment)
{
    return split(rest, '/', segment);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (zq_lower(c) >= 'a' && zq_lower(c) <= 'z');
}

static size_t digits(struct zq_slice s)
{
    size_t n = 0;

    while (n < s.n && is_digit(s.p[n]))
        n++;
    return n;
}

static bool are_digits(struct zq_slice s)
{
    return s.n > 0 && digits(s) == s.n;
}

/* Without its `-`, where there may be one. */
static struct zq_slice unsigned_part(struct zq_slice s, bool is_signed, bool *negative)
{
    *negative = is_signed && s.n > 0 && s.p[0] == '-';
    return *negative ? zq_slice(s.p + 1, s.n - 1) : s;
}

/* Of digits, with or without a `-`; VALUE_MAX for all that is larger. */
static int64_t value_of(struct zq_slice number)
{
    bool negative;
    int64_t value = 0;

    number = unsigned_part(number, true, &negative);
    for (size_t i = 0; i < number.n && value < VALUE_MAX; i++)
        value = value < VALUE_MAX / 10 ? 10 * value + (number.p[i] - '0') : VALUE_MAX;
    return negative ? -value : value;
}

/* ---- reading arguments ---- */

/* `a-z0-9_`, of letters, digits, `.`, `_`, `~`, and `-` where it is at an end. */
static bool read_set(struct zq_slice text, uint64_t set[2])
{
    for (size_t i = 0; i < text.n; i++) {
        char from = text.p[i], to = from;
        if (i + 2 < text.n && text.p[i + 1] == '-')
            to = text.p[i += 2];
        if (from > to || (from != to && (!is_alnum(from) || !is_alnum(to))))
            return false;
        if (!is_alnum(from) && memchr("._~-", from, 4) == NULL)
            return false;
        for (unsigned c = (unsigned char)from; c <= (unsigned char)to; c++)
            set[c / 64] |= UINT64_C(1) << c % 64;
    }
    return (set[0] | set[1]) != 0;
}

static bool are_items(struct zq_slice items)
{
    struct zq_slice each;

    while (split(&items, ',', &each))
        if (each.n == 0)
            return false;
    return true;
}

static bool read_word(struct zq_slice word, unsigned takes, struct zq_route_bounds *out)
{
    if ((takes & SIGNED) && zq_slice_eq(word, ZQ_SLICE("signed")))
        return out->is_signed = true;
    if ((takes & LOWER) && zq_slice_eq(word, ZQ_SLICE("lower")))
        return out->is_lower = true;
    if ((takes & LOOSE) && zq_slice_eq(word, ZQ_SLICE("loose")))
        return out->is_loose = true;
    return false;
}

static bool read_length(struct zq_slice name, uint64_t n, struct zq_route_bounds *out)
{
    bool exactly = zq_slice_eq(name, ZQ_SLICE("length"));
    bool at_least = zq_slice_eq(name, ZQ_SLICE("minlength"));
    bool at_most = zq_slice_eq(name, ZQ_SLICE("maxlength"));

    if (exactly || at_least)
        out->min_length = n;
    if (exactly || at_most)
        out->max_length = n;
    return exactly || at_least || at_most;
}

static bool read_value(struct zq_slice name, int64_t value, struct zq_route_bounds *out)
{
    bool at_least = zq_slice_eq(name, ZQ_SLICE("min")),
         at_most = zq_slice_eq(name, ZQ_SLICE("max"));

    if (at_least)
        out->min = value;
    if (at_most)
        out->max = value;
    return at_least || at_most;
}

static bool read_argument(struct zq_slice text, unsigned takes, struct zq_route_bounds *out)
{
    struct zq_slice name, value = text;
    bool negative;

    split(&value, '=', &name);
    if (value.p == NULL)
        return read_word(name, takes, out);
    if (!are_digits(unsigned_part(value, true, &negative)) || value.n > (negative ? 19 : 18))
        return false;
    if ((takes & LENGTH) && !negative && read_length(name, (uint64_t)value_of(value), out))
        return true;
    return (takes & VALUE) && read_value(name, value_of(value), out);
}

static bool read_arguments(struct zq_slice rest, unsigned takes, struct zq_route_bounds *out)
{
    struct zq_slice each;

    if (takes & ITEMS)
        return are_items(rest);
    if ((takes & SET) && (!split(&rest, ',', &each) || !read_set(each, out->set)))
        return false;
    while (split(&rest, ',', &each))
        if (!read_argument(each, takes, out))
            return false;
    return out->min_length <= out->max_length && out->min <= out->max;
}

/* ---- reading pieces ---- */

static bool is_name(struct zq_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((!is_alnum(s.p[i]) && s.p[i] != '_') || (i == 0 && is_digit(s.p[i])))
            return false;
    return s.n > 0;
}

/* `str` or `int(min=1)`. */
static const char *read_type(struct zq_slice text, struct zq_route_piece *out)
{
    struct zq_slice word, rest = text;
    size_t type = 0;

    split(&rest, '(', &word);
    while (type < ZQ_ARRAY_SIZE(types) && !zq_slice_eq(word, zq_slice_str(types[type].word)))
        type++;
    if (type == ZQ_ARRAY_SIZE(types))
        return "has a converter that does not exist";
    out->type = (enum zq_route_type)type;
    bool closed = rest.n > 1 && rest.p[rest.n - 1] == ')';
    if (closed)
        out->arguments = zq_slice(rest.p, rest.n - 1);
    if (rest.p != NULL ? !closed : (types[type].takes & (ITEMS | SET)) != 0)
        return "has a converter that lacks its arguments";
    if (out->type == ZQ_ROUTE_SLUG)
        read_set(ZQ_SLICE("a-zA-Z0-9_-"), out->bounds.set);
    if (closed && !read_arguments(out->arguments, types[type].takes, &out->bounds))
        return "has an argument that its converter does not take, or bounds that nothing keeps";
    return NULL;
}

const char *zq_route_piece(struct zq_slice s, struct zq_route_piece *out)
{
    const char *open = find(s, '<'), *close = find(s, '>'), *end = s.p + s.n, *fault = NULL;

    *out = (struct zq_route_piece){
        .type = ZQ_ROUTE_LITERAL,
        .prefix = s,
        .bounds = {.min_length = 1, .max_length = UINT64_MAX, .min = -VALUE_MAX, .max = VALUE_MAX},
    };
    if (open == NULL && close == NULL)
        return NULL;
    if (open == NULL || close == NULL || close < open)
        return "has a `<` without its `>`, or the other way round";
    struct zq_slice inside = zq_slice(open + 1, (size_t)(close - open - 1));
    out->type = ZQ_ROUTE_STR;
    out->prefix = zq_slice(s.p, (size_t)(open - s.p));
    out->suffix = zq_slice(close + 1, (size_t)(end - close - 1));
    const char *colon = inside.n > 0 ? memrchr(inside.p, ':', inside.n) : NULL;
    if (colon != NULL)
        fault = read_type(zq_slice(inside.p, (size_t)(colon - inside.p)), out);
    if (fault != NULL)
        return fault;
    out->name =
        colon == NULL ? inside : zq_slice(colon + 1, (size_t)(inside.p + inside.n - colon - 1));
    if (find(out->suffix, '<') != NULL || find(out->suffix, '>') != NULL)
        return "has two parameters in one segment";
    return is_name(out->name) ? NULL : "has a parameter whose name is no identifier";
}

/* ---- what a piece takes ---- */

static bool is_int(const struct zq_route_bounds *b, struct zq_slice s)
{
    bool negative;

    if (s.n > DIGITS_MAX || !are_digits(unsigned_part(s, b->is_signed, &negative)))
        return false;
    int64_t value = value_of(s);
    return value >= b->min && value <= b->max;
}

static bool is_float(const struct zq_route_bounds *b, struct zq_slice s)
{
    struct zq_slice whole, rest;
    bool negative;

    if (s.n > DIGITS_MAX)
        return false;
    rest = unsigned_part(s, b->is_signed, &negative);
    split(&rest, '.', &whole);
    return are_digits(whole) && (rest.p != NULL ? are_digits(rest) : b->is_loose);
}

static bool is_uuid(const struct zq_route_bounds *b, struct zq_slice s)
{
    static const size_t digits_before_dash[] = {8, 12, 16, 20};
    size_t n = 0, dashes = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = b->is_lower ? s.p[i] : zq_lower(s.p[i]);
        if (is_digit(c) || (c >= 'a' && c <= 'f')) {
            n++;
            continue;
        }
        while (b->is_loose && dashes < 4 && digits_before_dash[dashes] < n)
            dashes++;
        if (c != '-' || dashes == 4 || digits_before_dash[dashes++] != n)
            return false;
    }
    return n == 32 && (dashes == 4 || b->is_loose);
}

static bool is_of_set(const uint64_t set[2], struct zq_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned c = (unsigned char)s.p[i];
        if (c > 127 || !(set[c / 64] >> c % 64 & 1))
            return false;
    }
    return true;
}

static bool is_among(struct zq_slice items, struct zq_slice s)
{
    struct zq_slice each;

    while (split(&items, ',', &each))
        if (zq_slice_eq(each, s))
            return true;
    return false;
}

static bool fits(const struct zq_route_piece *piece, struct zq_slice s)
{
    const struct zq_route_bounds *b = &piece->bounds;

    if (piece->type != ZQ_ROUTE_LITERAL && (s.n < b->min_length || s.n > b->max_length))
        return false;
    switch (piece->type) {
    case ZQ_ROUTE_ANY:
        return is_among(piece->arguments, s);
    case ZQ_ROUTE_INT:
        return is_int(b, s);
    case ZQ_ROUTE_FLOAT:
        return is_float(b, s);
    case ZQ_ROUTE_UUID:
        return is_uuid(b, s);
    case ZQ_ROUTE_CHARS:
    case ZQ_ROUTE_SLUG:
        return is_of_set(b->set, s);
    case ZQ_ROUTE_STR:
    case ZQ_ROUTE_PATH:
        return true;
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
           fits(piece, *value);
}
