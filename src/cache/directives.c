/* Cache-Control (RFC 9111 5.2), and the targeted fields that stand in for it (RFC 9213). */
#include "cache/policy.h"
#include "cache/structured.h"

struct directive {
    struct zq_slice name, value;
    bool has_value, quoted;
    bool spoiled; /* whitespace around `=`, or a broken quoted string: not what the grammar says */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* RFC 9111 5.2: both the token and the quoted form are accepted. An escape has no business in
 * either. */
static void read_value(struct directive *d, struct zq_slice value)
{
    d->quoted = value.n > 0 && value.p[0] == '"';
    d->has_value = true;
    if (d->quoted && (value.n < 2 || value.p[value.n - 1] != '"'))
        d->spoiled = true;
    else if (d->quoted)
        value = zq_slice(value.p + 1, value.n - 2);
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == '"' || value.p[i] == '\\' || (!d->quoted && is_blank(value.p[i])))
            d->spoiled = true;
    d->value = value;
}

static struct directive read_directive(struct zq_slice member)
{
    struct directive d = {.name = member};

    for (size_t i = 0; i < member.n; i++) {
        if (member.p[i] == '=') {
            d.name.n = i;
            read_value(&d, zq_slice(member.p + i + 1, member.n - i - 1));
            break;
        }
        if (is_blank(member.p[i])) {
            d.name.n = i;
            d.spoiled = true;
            break;
        }
    }
    return d;
}

/* Invalid freshness is stale (RFC 9111 4.2.1), that is: none left. */
static int64_t read_delta(const struct directive *d)
{
    uint64_t seconds;
    int error = zq_parse_u64(d->value, (uint64_t)ZQ_DELTA_MAX, &seconds);

    if (d->spoiled || !d->has_value || error == ZQ_EINVAL)
        return 0;
    return error < 0 ? ZQ_DELTA_MAX : (int64_t)seconds;
}

/* ---- the directives ---- */

/* How a directive is read: DELTA has seconds; what RESTRICTs counts in every form, also with an
 * argument that makes no sense; what PERMITs counts only as the grammar has it; FIELDS restrict,
 * but with a quoted list of names they are about those fields alone. `plain` is noted besides where
 * it is as the grammar has it. */
enum form { DELTA, RESTRICT, PERMIT, FIELDS };

static const struct {
    struct zq_slice name;
    enum form form;
    size_t offset, plain;
} known[] = {
#define DIRECTIVE(text, form, field) BOTH(text, form, field, field)
#define BOTH(text, form, field, plain)                                                             \
    {                                                                                              \
        {text, sizeof(text) - 1}, form, offsetof(struct zq_cache_control, field),                  \
            offsetof(struct zq_cache_control, plain)                                               \
    }
    DIRECTIVE("max-age", DELTA, max_age),
    DIRECTIVE("s-maxage", DELTA, s_maxage),
    DIRECTIVE("stale-while-revalidate", DELTA, while_revalidate),
    DIRECTIVE("stale-if-error", DELTA, if_error),
    DIRECTIVE("min-fresh", DELTA, min_fresh),
    DIRECTIVE("max-stale", DELTA, max_stale),
    DIRECTIVE("no-store", RESTRICT, no_store),
    DIRECTIVE("no-transform", RESTRICT, no_transform),
    BOTH("must-understand", RESTRICT, must_understand, understood_is_stored),
    BOTH("must-revalidate", RESTRICT, must_revalidate, revalidated_is_shared),
    DIRECTIVE("proxy-revalidate", RESTRICT, proxy_revalidate),
    DIRECTIVE("only-if-cached", RESTRICT, only_if_cached),
    DIRECTIVE("public", PERMIT, is_public),
    DIRECTIVE("decorated", PERMIT, decorated),
    DIRECTIVE("no-cache", FIELDS, no_cache),
    DIRECTIVE("private", FIELDS, is_private),
#undef BOTH
#undef DIRECTIVE
};

static void *member_of(struct zq_cache_control *cc, size_t i)
{
    return (char *)cc + known[i].offset;
}

static bool *plain_of(struct zq_cache_control *cc, size_t i)
{
    return (bool *)(void *)((char *)cc + known[i].plain);
}

/* Of a directive that is given several times the first counts (RFC 9111 4.2.1). max-stale without
 * a value takes any staleness (5.2.1.2). */
static void note_delta(const struct directive *d, size_t i, struct zq_cache_control *out)
{
    struct zq_delta *delta = member_of(out, i);

    if (delta->given)
        return;
    delta->given = true;
    delta->seconds = read_delta(d);
    if (delta == &out->max_stale && !d->has_value && !d->spoiled)
        delta->seconds = ZQ_DELTA_MAX;
}

static bool is_field_list(const struct directive *d)
{
    struct zq_slice list = d->value, name;

    return d->quoted && !d->spoiled && zq_list_next(&list, &name);
}

static void note_word(const struct directive *d, size_t i, struct zq_cache_control *out)
{
    if (known[i].form == FIELDS && is_field_list(d)) {
        out->names_fields = true;
        return;
    }
    if (known[i].form != PERMIT)
        *(bool *)member_of(out, i) = true;
    if (!d->spoiled && !d->has_value)
        *plain_of(out, i) = true;
}

static void note_directive(const struct directive *d, struct zq_cache_control *out)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(known); i++) {
        if (!zq_slice_ieq(d->name, known[i].name))
            continue;
        if (known[i].form == DELTA)
            note_delta(d, i, out);
        else
            note_word(d, i, out);
        return;
    }
}

void zq_cache_control_add(struct zq_cache_control *cc, struct zq_slice line)
{
    struct zq_slice member;

    while (zq_list_next(&line, &member)) {
        struct directive d = read_directive(member);
        note_directive(&d, cc);
    }
}

bool zq_cache_control_names(const struct zq_fields *response, struct zq_slice name)
{
    const struct zq_field *f = NULL;

    while ((f = zq_fields_find(response, ZQ_SLICE("cache-control"), f)) != NULL) {
        struct zq_slice line = f->value, member, named;
        while (zq_list_next(&line, &member)) {
            struct directive d = read_directive(member);
            bool lists = zq_slice_ieq(d.name, ZQ_SLICE("no-cache")) ||
                         zq_slice_ieq(d.name, ZQ_SLICE("private"));
            while (lists && is_field_list(&d) && zq_list_next(&d.value, &named))
                if (zq_slice_ieq(named, name))
                    return true;
        }
    }
    return false;
}

/* ---- targeted fields ---- */

/* Of a key that is given several times the last counts (RFC 9651 4.2.2). A value of another type
 * than the directive has restricts. */
static void note_member(const struct zq_sf_member *m, struct zq_cache_control *out)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(known); i++) {
        if (!zq_slice_eq(m->key, known[i].name))
            continue;
        bool is_false = m->kind == ZQ_SF_BOOLEAN && m->number == 0;
        bool is_true = m->kind == ZQ_SF_BOOLEAN && m->number == 1;
        if (known[i].form == DELTA) {
            bool counts = m->kind == ZQ_SF_INTEGER && m->number > 0;
            int64_t seconds = counts ? m->number : 0;
            *(struct zq_delta *)member_of(out, i) =
                (struct zq_delta){true, seconds < ZQ_DELTA_MAX ? seconds : ZQ_DELTA_MAX};
        } else {
            *plain_of(out, i) = is_true;
            if (known[i].form != PERMIT)
                *(bool *)member_of(out, i) = !is_false;
        }
    }
}

/* False when the field is absent, empty, or no dictionary in any of its lines: then it is as if it
 * were not there (RFC 9213 2.1). */
static bool read_targeted(const struct zq_fields *response, struct zq_slice name,
                          struct zq_cache_control *out)
{
    const struct zq_field *f = NULL;

    *out = (struct zq_cache_control){0};
    while ((f = zq_fields_find(response, name, f)) != NULL) {
        struct zq_slice line = f->value;
        struct zq_sf_member member;
        int more;
        while ((more = zq_sf_next(&line, &member)) > 0) {
            note_member(&member, out);
            out->targeted = true;
        }
        if (more < 0)
            return false;
    }
    return out->targeted;
}

/* What stands in the way of storing or of stale serving, or permits sharing, besides freshness. */
static void add_words(struct zq_cache_control *cc, struct zq_cache_control *more)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(known); i++) {
        if (known[i].form == DELTA)
            continue;
        *(bool *)member_of(cc, i) |= *(bool *)member_of(more, i);
        *plain_of(cc, i) |= *plain_of(more, i);
    }
    cc->names_fields |= more->names_fields;
}

static void read_untargeted(const struct zq_fields *response, struct zq_cache_control *out)
{
    const struct zq_field *f = NULL;

    *out = (struct zq_cache_control){0};
    while ((f = zq_fields_find(response, ZQ_SLICE("cache-control"), f)) != NULL)
        zq_cache_control_add(out, f->value);
}

void zq_policy_cache_control(const struct zq_fields *response, struct zq_cache_control *out)
{
    struct zq_cache_control others;

    bool ours = read_targeted(response, ZQ_SLICE("zq-cache-control"), out);
    if (ours && !out->decorated)
        return;
    if (!read_targeted(response, ZQ_SLICE("cdn-cache-control"), &others))
        read_untargeted(response, &others);
    if (ours)
        add_words(out, &others);
    else
        *out = others;
}

void zq_policy_asked(const struct zq_fields *request, struct zq_cache_control *out)
{
    const struct zq_field *f = NULL;

    *out = (struct zq_cache_control){0};
    while ((f = zq_fields_find(request, ZQ_SLICE("cache-control"), f)) != NULL)
        zq_cache_control_add(out, f->value);
    if (zq_fields_find(request, ZQ_SLICE("cache-control"), NULL) != NULL)
        return;
    /* RFC 9111 5.4 */
    while ((f = zq_fields_find(request, ZQ_SLICE("pragma"), f)) != NULL) {
        struct zq_slice line = f->value, member;
        while (zq_list_next(&line, &member))
            out->no_cache |= zq_slice_ieq(member, ZQ_SLICE("no-cache"));
    }
}
