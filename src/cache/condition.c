#include "cache/condition.h"

#include "cache/block.h"
#include "zq/clock.h"

/* ---- entity tags ---- */

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

static void drop(struct zq_slice *s, size_t n)
{
    *s = zq_slice(s->p + n, s->n - n);
}

static struct zq_slice up_to(struct zq_slice s, char end)
{
    const char *at = s.n > 0 ? memchr(s.p, end, s.n) : NULL;

    return at != NULL ? zq_slice(s.p, (size_t)(at - s.p)) : s;
}

bool zq_etag_next(struct zq_slice *list, struct zq_etag *tag)
{
    while (list->n > 0 && is_separator(list->p[0]))
        drop(list, 1);
    if (list->n == 0)
        return false;
    /* `W/` is case-sensitive (RFC 9110 8.8.3). */
    tag->weak = list->n >= 2 && memcmp(list->p, "W/", 2) == 0;
    if (tag->weak)
        drop(list, 2);
    tag->quoted = list->n > 0 && list->p[0] == '"';
    if (tag->quoted) {
        drop(list, 1);
        tag->opaque = up_to(*list, '"');
        tag->quoted = tag->opaque.n < list->n;
        drop(list, tag->opaque.n + (tag->quoted ? 1 : 0));
        return true;
    }
    struct zq_slice member = up_to(*list, ',');
    tag->opaque = zq_slice_trim(member);
    drop(list, member.n);
    return true;
}

bool zq_etag_weakly_equal(const struct zq_etag *a, const struct zq_etag *b)
{
    return zq_slice_eq(a->opaque, b->opaque);
}

bool zq_etag_strongly_equal(const struct zq_etag *a, const struct zq_etag *b)
{
    return !a->weak && !b->weak && a->quoted && b->quoted && zq_slice_eq(a->opaque, b->opaque);
}

/* ---- the stored response ---- */

struct zq_validators zq_validators_of(struct zq_slice block)
{
    struct zq_validators v = {0};

    zq_block_find(block, ZQ_SLICE("etag"), &v.etag);
    zq_block_find(block, ZQ_SLICE("last-modified"), &v.last_modified);
    zq_block_find(block, ZQ_SLICE("date"), &v.date);
    return v;
}

static bool etag_of(const struct zq_validators *v, struct zq_etag *tag)
{
    struct zq_slice list = v->etag;

    return list.p != NULL && zq_etag_next(&list, tag);
}

static bool date_of(struct zq_slice value, time_t *out)
{
    return value.p != NULL && zq_date_parse(zq_slice_trim(value), out) == 0;
}

/* ---- conditions ---- */

/* The only line of a field that is no list. Two of them are as good as none. */
static const struct zq_field *find_only(const struct zq_fields *fields, struct zq_slice name)
{
    const struct zq_field *f = zq_fields_find(fields, name, NULL);

    return f != NULL && zq_fields_find(fields, name, f) == NULL ? f : NULL;
}

typedef bool equality(const struct zq_etag *a, const struct zq_etag *b);

/* Some line of If-None-Match or If-Match has the tag, or is `*`: any response (RFC 9110 13.1). */
static bool tags_match(const struct zq_fields *request, const struct zq_field *f,
                       const struct zq_validators *v, equality *equal)
{
    struct zq_etag asked, stored;
    bool has_tag = etag_of(v, &stored);

    for (struct zq_slice name = f->name; f != NULL; f = zq_fields_find(request, name, f)) {
        struct zq_slice line = f->value;
        if (zq_slice_eq(zq_slice_trim(line), ZQ_SLICE("*")))
            return true;
        while (has_tag && zq_etag_next(&line, &asked))
            if (equal(&asked, &stored))
                return true;
    }
    return false;
}

/* If-Modified-Since (RFC 9110 13.1.3); a response without Last-Modified is as old as its Date
 * (RFC 9111 4.3.2). */
static bool not_modified_since(const struct zq_fields *request, const struct zq_validators *v)
{
    const struct zq_field *f = find_only(request, ZQ_SLICE("if-modified-since"));
    time_t asked, modified;

    if (f == NULL || !date_of(f->value, &asked))
        return false;
    return date_of(v->last_modified.p != NULL ? v->last_modified : v->date, &modified) &&
           modified <= asked;
}

bool zq_condition_not_modified(const struct zq_fields *request, const struct zq_validators *v)
{
    const struct zq_field *f = zq_fields_find(request, ZQ_SLICE("if-none-match"), NULL);

    return f != NULL ? tags_match(request, f, v, zq_etag_weakly_equal)
                     : not_modified_since(request, v);
}

/* If-Unmodified-Since (RFC 9110 13.1.4): ignored where the representation has no date. */
static bool modified_since(const struct zq_fields *request, const struct zq_validators *v)
{
    const struct zq_field *f = find_only(request, ZQ_SLICE("if-unmodified-since"));
    time_t asked, modified;

    return f != NULL && date_of(f->value, &asked) && date_of(v->last_modified, &modified) &&
           modified > asked;
}

bool zq_condition_failed(const struct zq_fields *request, const struct zq_validators *v)
{
    const struct zq_field *f = zq_fields_find(request, ZQ_SLICE("if-match"), NULL);

    return f != NULL ? !tags_match(request, f, v, zq_etag_strongly_equal)
                     : modified_since(request, v);
}

/* A date counts when it is Last-Modified to the second and that is a strong validator: a second
 * older than the response (RFC 9110 8.8.2.2, 13.1.5). */
static bool is_strong_date(struct zq_slice value, const struct zq_validators *v)
{
    time_t asked, modified, date;

    return date_of(value, &asked) && date_of(v->last_modified, &modified) &&
           date_of(v->date, &date) && asked == modified && modified < date;
}

bool zq_validators_strongly_equal(const struct zq_validators *a, const struct zq_validators *b)
{
    struct zq_etag x, y;

    if (a->etag.p != NULL || b->etag.p != NULL)
        return etag_of(a, &x) && etag_of(b, &y) && zq_etag_strongly_equal(&x, &y);
    return is_strong_date(a->last_modified, b) && is_strong_date(b->last_modified, a);
}

struct zq_slice zq_validators_strong(const struct zq_validators *v)
{
    struct zq_slice date = v->etag.p == NULL ? v->last_modified : (struct zq_slice){0};

    if (zq_validators_strongly_equal(v, v))
        return v->etag.p != NULL ? v->etag : date;
    return (struct zq_slice){0};
}

bool zq_condition_range_counts(const struct zq_fields *request, const struct zq_validators *v)
{
    const struct zq_field *f = zq_fields_find(request, ZQ_SLICE("if-range"), NULL);
    struct zq_etag asked, stored;

    if (f == NULL)
        return true;
    f = find_only(request, ZQ_SLICE("if-range"));
    if (f == NULL)
        return false;
    struct zq_slice value = zq_slice_trim(f->value);
    if (up_to(value, '"').n == value.n)
        return is_strong_date(value, v);
    return zq_etag_next(&value, &asked) && etag_of(v, &stored) &&
           zq_etag_strongly_equal(&asked, &stored) && zq_slice_trim(value).n == 0;
}

/* ---- ranges ---- */

/* A position; what is past any content is the largest number there is. */
static bool read_position(struct zq_slice s, uint64_t *out)
{
    int error = zq_parse_u64(s, UINT64_MAX - 1, out);

    if (error == ZQ_ELIMIT)
        *out = UINT64_MAX;
    return error != ZQ_EINVAL;
}

static struct zq_range suffix_range(uint64_t n, uint64_t length)
{
    if (n == 0)
        return (struct zq_range){.kind = ZQ_RANGE_UNSATISFIABLE};
    /* The end of nothing can be had (RFC 9110 14.1.2), but Content-Range has no word for it. */
    if (length == 0)
        return (struct zq_range){0};
    return (struct zq_range){ZQ_RANGE_PART, n < length ? length - n : 0, length - 1};
}

static struct zq_range range_from(struct zq_slice spec, uint64_t length)
{
    struct zq_slice first = up_to(spec, '-');
    uint64_t from, to = UINT64_MAX;

    if (first.n == spec.n)
        return (struct zq_range){0};
    struct zq_slice last = zq_slice(spec.p + first.n + 1, spec.n - first.n - 1);
    if (first.n == 0)
        return read_position(last, &to) ? suffix_range(to, length) : (struct zq_range){0};
    if (!read_position(first, &from) || (last.n > 0 && !read_position(last, &to)) || from > to)
        return (struct zq_range){0};
    if (from >= length)
        return (struct zq_range){.kind = ZQ_RANGE_UNSATISFIABLE};
    return (struct zq_range){ZQ_RANGE_PART, from, to < length ? to : length - 1};
}

/* Several ranges are answered with the whole, which a server may always do (RFC 9110 14.2). */
struct zq_range zq_range_of(const struct zq_fields *request, uint64_t length)
{
    const struct zq_field *f = find_only(request, ZQ_SLICE("range"));
    struct zq_slice spec, other;

    if (f == NULL)
        return (struct zq_range){0};
    struct zq_slice value = zq_slice_trim(f->value), unit = up_to(value, '=');
    if (unit.n == value.n || !zq_slice_ieq(unit, ZQ_SLICE("bytes")))
        return (struct zq_range){0};
    drop(&value, unit.n + 1);
    if (!zq_list_next(&value, &spec) || zq_list_next(&value, &other))
        return (struct zq_range){0};
    return range_from(spec, length);
}
