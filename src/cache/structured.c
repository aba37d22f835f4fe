#include "cache/structured.h"

#define INTEGER_DIGITS 15
#define DECIMAL_DIGITS 12 /* before the point; behind it 1 to 3 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alpha(char c)
{
    return is_lower(zq_lower(c));
}

static bool is_among(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static void drop(struct zq_slice *s, size_t n)
{
    *s = zq_slice(s->p + n, s->n - n);
}

static bool take(struct zq_slice *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    drop(s, 1);
    return true;
}

static void skip(struct zq_slice *s, const char *blanks)
{
    while (s->n > 0 && is_among(s->p[0], blanks))
        drop(s, 1);
}

/* ---- bare items (RFC 9651 4.2.3.1); false: none ---- */

static bool read_key(struct zq_slice *s, struct zq_slice *key)
{
    size_t n = 0;

    if (s->n == 0 || !(is_lower(s->p[0]) || s->p[0] == '*'))
        return false;
    while (n < s->n && (is_lower(s->p[n]) || is_digit(s->p[n]) || is_among(s->p[n], "_-.*")))
        n++;
    *key = zq_slice(s->p, n);
    drop(s, n);
    return true;
}

static size_t count_digits(struct zq_slice s)
{
    size_t n = 0;

    while (n < s.n && is_digit(s.p[n]))
        n++;
    return n;
}

static bool read_number(struct zq_slice *s, struct zq_sf_member *m)
{
    bool negative = take(s, '-');
    size_t n = count_digits(*s);

    if (n == 0 || n > INTEGER_DIGITS)
        return false;
    m->kind = ZQ_SF_INTEGER;
    m->number = 0;
    for (size_t i = 0; i < n; i++)
        m->number = m->number * 10 + (s->p[i] - '0');
    m->number = negative ? -m->number : m->number;
    drop(s, n);
    if (!take(s, '.'))
        return true;
    m->kind = ZQ_SF_OTHER;
    size_t fraction = count_digits(*s);
    drop(s, fraction);
    return n <= DECIMAL_DIGITS && fraction >= 1 && fraction <= 3;
}

static bool read_string(struct zq_slice *s)
{
    drop(s, 1);
    while (s->n > 0) {
        char c = s->p[0];
        drop(s, 1);
        if (c == '"')
            return true;
        if (c == '\\' && !take(s, '"') && !take(s, '\\'))
            return false;
        if (c < ' ' || c > '~')
            return false;
    }
    return false;
}

/* A display string: percent escapes in lower case. */
static bool read_display_string(struct zq_slice *s)
{
    drop(s, 1);
    if (!take(s, '"'))
        return false;
    while (s->n > 0) {
        char c = s->p[0];
        drop(s, 1);
        if (c == '"')
            return true;
        if (c < ' ' || c > '~')
            return false;
        for (int i = 0; c == '%' && i < 2; i++) {
            if (s->n == 0 || !(is_digit(s->p[0]) || is_among(s->p[0], "abcdef")))
                return false;
            drop(s, 1);
        }
    }
    return false;
}

static bool read_token(struct zq_slice *s)
{
    while (s->n > 0 &&
           (is_alpha(s->p[0]) || is_digit(s->p[0]) || is_among(s->p[0], "!#$%&'*+-.^_`|~:/")))
        drop(s, 1);
    return true;
}

static bool read_bytes(struct zq_slice *s)
{
    drop(s, 1);
    while (s->n > 0 && (is_alpha(s->p[0]) || is_digit(s->p[0]) || is_among(s->p[0], "+/=")))
        drop(s, 1);
    return take(s, ':');
}

static bool read_boolean(struct zq_slice *s, struct zq_sf_member *m)
{
    drop(s, 1);
    m->kind = ZQ_SF_BOOLEAN;
    m->number = s->n > 0 && s->p[0] == '1';
    return take(s, '1') || take(s, '0');
}

/* A date is an integer behind an `@`. */
static bool read_date(struct zq_slice *s)
{
    struct zq_sf_member m;

    drop(s, 1);
    return read_number(s, &m) && m.kind == ZQ_SF_INTEGER;
}

static bool read_bare(struct zq_slice *s, struct zq_sf_member *m)
{
    if (s->n == 0)
        return false;
    char c = s->p[0];
    if (c == '-' || is_digit(c))
        return read_number(s, m);
    if (c == '?')
        return read_boolean(s, m);
    m->kind = ZQ_SF_OTHER;
    if (c == '"')
        return read_string(s);
    if (c == '%')
        return read_display_string(s);
    if (c == ':')
        return read_bytes(s);
    if (c == '@')
        return read_date(s);
    return (is_alpha(c) || c == '*') && read_token(s);
}

/* ---- members ---- */

static bool read_parameters(struct zq_slice *s)
{
    struct zq_sf_member ignored;
    struct zq_slice key;

    while (take(s, ';')) {
        skip(s, " ");
        if (!read_key(s, &key) || (take(s, '=') && !read_bare(s, &ignored)))
            return false;
    }
    return true;
}

static bool read_item(struct zq_slice *s, struct zq_sf_member *m)
{
    return read_bare(s, m) && read_parameters(s);
}

static bool read_inner_list(struct zq_slice *s, struct zq_sf_member *m)
{
    struct zq_sf_member ignored;

    m->kind = ZQ_SF_OTHER;
    drop(s, 1);
    for (;;) {
        skip(s, " ");
        if (take(s, ')'))
            return read_parameters(s);
        if (!read_item(s, &ignored) || s->n == 0 || !is_among(s->p[0], " )"))
            return false;
    }
}

static bool read_member(struct zq_slice *s, struct zq_sf_member *m)
{
    *m = (struct zq_sf_member){.kind = ZQ_SF_BOOLEAN, .number = 1};
    if (!read_key(s, &m->key))
        return false;
    if (!take(s, '='))
        return read_parameters(s);
    return s->n > 0 && s->p[0] == '(' ? read_inner_list(s, m) : read_item(s, m);
}

/* Only spaces may stand around the whole, tabs also around commas (RFC 9651 4.2, 4.2.2). */
int zq_sf_next(struct zq_slice *line, struct zq_sf_member *member)
{
    skip(line, " ");
    if (line->n == 0)
        return 0;
    if (!read_member(line, member))
        return ZQ_EINVAL;
    struct zq_slice end = *line;
    skip(&end, " ");
    skip(line, " \t");
    if (end.n == 0) {
        *line = end;
        return 1;
    }
    if (!take(line, ','))
        return ZQ_EINVAL;
    skip(line, " \t");
    return line->n > 0 ? 1 : ZQ_EINVAL; /* no comma at the end */
}
