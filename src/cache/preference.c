#include "cache/preference.h"

#define WEIGHT_MAX 1000
#define WEIGHT_MARK                                                                                \
    '\1' /* in no field value; the weight follows in two bytes that are none either */

bool zq_preference_is(struct zq_slice name)
{
    if (name.n < 6 || memcmp(name.p, "accept", 6) != 0)
        return false;
    return name.n == 6 || zq_slice_eq(name, ZQ_SLICE("accept-language")) ||
           zq_slice_eq(name, ZQ_SLICE("accept-encoding")) ||
           zq_slice_eq(name, ZQ_SLICE("accept-charset"));
}

/* ---- reading ---- */

/* qvalue of RFC 9110 12.4.2; negative when it is none. */
static int read_weight(struct zq_slice s)
{
    int weight, unit = 100;

    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return -1;
    weight = s.p[0] == '1' ? WEIGHT_MAX : 0;
    for (size_t i = 2; i < s.n; i++, unit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        weight += (s.p[i] - '0') * unit;
    }
    return weight <= WEIGHT_MAX ? weight : -1;
}

static size_t last_semicolon(struct zq_slice s)
{
    size_t at = s.n;

    while (at > 0 && s.p[at - 1] != ';')
        at--;
    return at; /* behind it; 0: none */
}

/* A member without a weight, or with one that makes no sense, is a range as a whole. */
static struct zq_preference read_member(struct zq_slice member)
{
    struct zq_preference p = {.range = member, .weight = WEIGHT_MAX};
    size_t at = last_semicolon(member);
    struct zq_slice last = zq_slice_trim(zq_slice(member.p + at, member.n - at));

    if (at > 0 && last.n > 2 && zq_lower(last.p[0]) == 'q' && last.p[1] == '=') {
        int weight = read_weight(zq_slice(last.p + 2, last.n - 2));
        if (weight >= 0) {
            p.range = zq_slice_trim(zq_slice(member.p, at - 1));
            p.weight = (uint16_t)weight;
        }
    }
    p.exact = memchr(p.range.p, ';', p.range.n) != NULL;
    return p;
}

static char folded(const struct zq_preference *p, size_t i)
{
    return p->exact ? p->range.p[i] : zq_lower(p->range.p[i]);
}

/* Below 0: `a` comes first. */
static int order(const struct zq_preference *a, const struct zq_preference *b)
{
    size_t n = a->range.n < b->range.n ? a->range.n : b->range.n;

    if (a->weight != b->weight)
        return (int)b->weight - (int)a->weight;
    for (size_t i = 0; i < n; i++)
        if (folded(a, i) != folded(b, i))
            return (int)folded(a, i) - (int)folded(b, i);
    return a->range.n == b->range.n ? 0 : a->range.n < b->range.n ? -1 : 1;
}

static void insert(struct zq_preferences *out, struct zq_preference p)
{
    size_t at = out->n++;

    for (; at > 0 && order(&p, &out->v[at - 1]) < 0; at--)
        out->v[at] = out->v[at - 1];
    out->v[at] = p;
}

bool zq_preferences_read(struct zq_preferences *out, const struct zq_fields *request,
                         struct zq_slice name)
{
    out->present = false;
    out->n = 0;
    for (size_t i = 0; i < request->n; i++) {
        struct zq_slice line = request->v[i].value, member;
        if (!zq_slice_eq(request->v[i].name, name))
            continue;
        out->present = true;
        while (zq_list_next(&line, &member)) {
            if (out->n == ZQ_PREFERENCES_MAX)
                return false;
            insert(out, read_member(member));
        }
    }
    return true;
}

/* ---- comparing ---- */

bool zq_preferences_equal(const struct zq_preferences *a, const struct zq_preferences *b)
{
    if (a->present != b->present || a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (order(&a->v[i], &b->v[i]) != 0)
            return false;
    return true;
}

bool zq_preferences_favour(const struct zq_preferences *p, struct zq_slice range)
{
    return p->n > 0 && p->v[0].weight > 0 && (p->n == 1 || p->v[1].weight < p->v[0].weight) &&
           zq_slice_ieq(p->v[0].range, range);
}

/* ---- writing ---- */

/* What follows a range: its weight, if it is not 1000, and the line feed. */
static struct zq_slice suffix_of(const struct zq_preference *p, char out[4])
{
    size_t n = 0;

    if (p->weight < WEIGHT_MAX) {
        out[n++] = WEIGHT_MARK;
        out[n++] = (char)('@' + p->weight / 32);
        out[n++] = (char)('@' + p->weight % 32);
    }
    out[n++] = '\n';
    return zq_slice(out, n);
}

size_t zq_preferences_write(char *to, const struct zq_preferences *p)
{
    char text[4];
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++) {
        struct zq_slice suffix = suffix_of(&p->v[i], text);
        for (size_t j = 0; to != NULL && j < p->v[i].range.n; j++)
            to[n + j] = folded(&p->v[i], j);
        n += p->v[i].range.n;
        if (to != NULL)
            memcpy(to + n, suffix.p, suffix.n);
        n += suffix.n;
    }
    return n;
}

static bool is_written(const struct zq_preference *p, struct zq_slice *rest)
{
    char text[4];
    struct zq_slice suffix = suffix_of(p, text);
    size_t n = p->range.n + suffix.n;

    if (rest->n < n || memcmp(rest->p + p->range.n, suffix.p, suffix.n) != 0)
        return false;
    for (size_t i = 0; i < p->range.n; i++)
        if (rest->p[i] != folded(p, i))
            return false;
    *rest = zq_slice(rest->p + n, rest->n - n);
    return true;
}

bool zq_preferences_written_as(const struct zq_preferences *p, struct zq_slice text)
{
    for (size_t i = 0; i < p->n; i++)
        if (!is_written(&p->v[i], &text))
            return false;
    return text.n == 0;
}
