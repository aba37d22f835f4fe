#include "cache/policy.h"

#include "cache/vary.h"
#include "zq/clock.h"

/* RFC 9111 1.2.2: what is too large to hold counts as 2^31, "very large". */
#define DELTA_MAX ((int64_t)1 << 31)

/* ---- directives ---- */

struct directive {
    struct zq_slice name, value;
    bool has_value;
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
    bool quoted = value.n > 0 && value.p[0] == '"';

    d->has_value = true;
    if (quoted && (value.n < 2 || value.p[value.n - 1] != '"'))
        d->spoiled = true;
    else if (quoted)
        value = zq_slice(value.p + 1, value.n - 2);
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == '"' || value.p[i] == '\\' || (!quoted && is_blank(value.p[i])))
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
    int error = zq_parse_u64(d->value, (uint64_t)DELTA_MAX, &seconds);

    if (d->spoiled || !d->has_value || error == ZQ_EINVAL)
        return 0;
    return error < 0 ? DELTA_MAX : (int64_t)seconds;
}

/* Of a directive that is given several times the first counts (RFC 9111 4.2.1). */
static void note_delta(const struct directive *d, bool *has, int64_t *seconds)
{
    if (!*has)
        *seconds = read_delta(d);
    *has = true;
}

/* What restricts counts in every form, also in the ones with an argument: no-cache="field" and
 * private="field" are taken for the whole response (RFC 9111 5.2.2.4 and 5.2.2.7 expect that of
 * caches). What permits counts only as the grammar has it. */
static void note_directive(const struct directive *d, struct zq_cache_control *out)
{
    bool plain = !d->spoiled && !d->has_value;

    if (zq_slice_ieq(d->name, ZQ_SLICE("max-age")))
        note_delta(d, &out->has_max_age, &out->max_age_s);
    else if (zq_slice_ieq(d->name, ZQ_SLICE("s-maxage")))
        note_delta(d, &out->has_s_maxage, &out->s_maxage_s);
    else if (zq_slice_ieq(d->name, ZQ_SLICE("no-store")))
        out->no_store = true;
    else if (zq_slice_ieq(d->name, ZQ_SLICE("no-cache")))
        out->no_cache = true;
    else if (zq_slice_ieq(d->name, ZQ_SLICE("private")))
        out->is_private = true;
    else if (zq_slice_ieq(d->name, ZQ_SLICE("must-understand")))
        out->must_understand = true;
    else if (zq_slice_ieq(d->name, ZQ_SLICE("public")))
        out->is_public |= plain;
    else if (zq_slice_ieq(d->name, ZQ_SLICE("must-revalidate")))
        out->must_revalidate |= plain;
}

static void note_line(struct zq_slice line, struct zq_cache_control *out)
{
    struct zq_slice member;

    while (zq_list_next(&line, &member)) {
        struct directive d = read_directive(member);
        note_directive(&d, out);
    }
}

void zq_policy_cache_control(const struct zq_fields *fields, struct zq_cache_control *out)
{
    const struct zq_field *f = NULL;

    *out = (struct zq_cache_control){0};
    while ((f = zq_fields_find(fields, ZQ_SLICE("cache-control"), f)) != NULL)
        note_line(f->value, out);
}

/* ---- requests ---- */

static bool is(struct zq_slice name, const char *literal)
{
    return memcmp(name.p, literal, name.n) == 0;
}

/* By length first: this runs over every field of every request. */
static unsigned trait_of(struct zq_slice name)
{
    switch (name.n) {
    case 5:
        return is(name, "range") ? ZQ_REQUEST_SELECTIVE : 0;
    case 6:
        return is(name, "cookie") ? ZQ_REQUEST_COOKIE : 0;
    case 8:
        if (is(name, "if-match"))
            return ZQ_REQUEST_ORIGINAL;
        return is(name, "if-range") ? ZQ_REQUEST_SELECTIVE : 0;
    case 13:
        if (is(name, "x-rewrite-url"))
            return ZQ_REQUEST_OVERRIDE;
        if (is(name, "if-none-match"))
            return ZQ_REQUEST_SELECTIVE;
        return is(name, "authorization") ? ZQ_REQUEST_AUTHORIZATION : 0;
    case 14:
        return is(name, "x-original-url") ? ZQ_REQUEST_OVERRIDE : 0;
    case 17:
        return is(name, "if-modified-since") ? ZQ_REQUEST_SELECTIVE : 0;
    case 19:
        return is(name, "if-unmodified-since") ? ZQ_REQUEST_ORIGINAL : 0;
    case 22:
        return is(name, "x-http-method-override") ? ZQ_REQUEST_OVERRIDE : 0;
    default:
        return 0;
    }
}

unsigned zq_policy_request(const struct zq_fields *request)
{
    unsigned traits = 0;

    for (size_t i = 0; i < request->n; i++) {
        const struct zq_field *f = &request->v[i];
        traits |= trait_of(f->name);
        if (f->name.n == 13 && is(f->name, "cache-control")) {
            struct zq_cache_control cc = {0};
            note_line(f->value, &cc);
            traits |= cc.no_store ? ZQ_REQUEST_NO_STORE : 0;
        }
    }
    return traits;
}

/* ---- freshness ---- */

/* The first line counts; the dates hold commas, so these are no lists. */
static bool find_date(const struct zq_fields *fields, struct zq_slice name, time_t *out)
{
    const struct zq_field *f = zq_fields_find(fields, name, NULL);

    return f != NULL && zq_date_parse(zq_slice_trim(f->value), out) == 0;
}

static int64_t clamp_s(int64_t seconds)
{
    return seconds < 0 ? 0 : seconds > DELTA_MAX ? DELTA_MAX : seconds;
}

/* Expires (RFC 9111 5.3): what is no date, `0` above all, is in the past. */
static bool expires_lifetime(const struct zq_fields *response, time_t date, int64_t *out_s)
{
    time_t expires;

    if (zq_fields_find(response, ZQ_SLICE("expires"), NULL) == NULL)
        return false;
    *out_s = 0;
    if (find_date(response, ZQ_SLICE("expires"), &expires))
        *out_s = clamp_s((int64_t)expires - (int64_t)date);
    return true;
}

/* RFC 9111 4.2.1, without heuristics. False when nothing says how long. */
static bool explicit_lifetime(const struct zq_cache_control *cc, const struct zq_fields *response,
                              time_t date, int64_t *out_s)
{
    if (cc->has_s_maxage)
        *out_s = cc->s_maxage_s;
    else if (cc->has_max_age)
        *out_s = cc->max_age_s;
    else
        return expires_lifetime(response, date, out_s);
    return true;
}

/* Age (RFC 9111 5.1): the first member counts, and an invalid one is no Age at all. */
static int64_t age_value_s(const struct zq_fields *response)
{
    const struct zq_field *f = zq_fields_find(response, ZQ_SLICE("age"), NULL);
    struct zq_slice line, member;
    uint64_t seconds;

    if (f == NULL)
        return 0;
    line = f->value;
    if (!zq_list_next(&line, &member))
        return 0;
    int error = zq_parse_u64(member, (uint64_t)DELTA_MAX, &seconds);
    if (error == ZQ_EINVAL)
        return 0;
    return error < 0 ? DELTA_MAX : (int64_t)seconds;
}

/* corrected_initial_age of RFC 9111 4.2.3. */
static int64_t initial_age_ms(const struct zq_policy_exchange *x, time_t date)
{
    int64_t delay_ms = x->response_ms - x->request_ms;
    int64_t apparent_ms = clamp_s((int64_t)x->now - (int64_t)date) * 1000;
    int64_t corrected_ms = age_value_s(x->response) * 1000 + (delay_ms > 0 ? delay_ms : 0);

    return apparent_ms > corrected_ms ? apparent_ms : corrected_ms;
}

/* ---- storing ---- */

/* The status codes whose caching requirements this cache knows (for must-understand, RFC 9111
 * 5.2.2.3). */
static bool is_understood(unsigned status)
{
    static const unsigned short known[] = {200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 403,
                                           404, 405, 410, 414, 451, 500, 501, 502, 503, 504};

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(known); i++)
        if (known[i] == status)
            return true;
    return false;
}

/* 206 is a part, and 304 says something about another response: neither stands for itself. */
static bool is_storable_status(unsigned status, const struct zq_cache_control *cc)
{
    return status >= 200 && status != 206 && status != 304 &&
           (!cc->must_understand || is_understood(status));
}

/* RFC 9111 3.5, and the same for Cookie: an application that answers one user's session with
 * nothing but max-age meant that user's browser. */
static bool may_share(unsigned traits, const struct zq_cache_control *cc)
{
    return (traits & ZQ_REQUEST_CREDENTIALS) == 0 || cc->is_public || cc->has_s_maxage ||
           cc->must_revalidate;
}

static enum zq_policy_verdict judge_fields(const struct zq_policy_exchange *x,
                                           const struct zq_cache_control *cc)
{
    if (!is_storable_status(x->status, cc))
        return ZQ_POLICY_STATUS;
    if (cc->no_store || (x->traits & ZQ_REQUEST_NO_STORE))
        return ZQ_POLICY_NO_STORE;
    if (cc->is_private)
        return ZQ_POLICY_PRIVATE;
    if (cc->no_cache)
        return ZQ_POLICY_NO_CACHE;
    if (zq_fields_find(x->response, ZQ_SLICE("set-cookie"), NULL) != NULL)
        return ZQ_POLICY_SET_COOKIE;
    if (!may_share(x->traits, cc))
        return ZQ_POLICY_CREDENTIALS;
    if (!zq_vary_selects(x->response))
        return ZQ_POLICY_VARY;
    return ZQ_POLICY_STORABLE;
}

enum zq_policy_verdict zq_policy_judge(const struct zq_policy_exchange *x,
                                       struct zq_freshness *freshness)
{
    struct zq_cache_control cc;
    int64_t lifetime_s = 0;
    time_t date;

    zq_policy_cache_control(x->response, &cc);
    /* A response without a (valid) Date is dated when it came (RFC 9110 6.6.1). */
    if (!find_date(x->response, ZQ_SLICE("date"), &date))
        date = x->now;
    bool is_explicit = explicit_lifetime(&cc, x->response, date, &lifetime_s);
    *freshness = (struct zq_freshness){
        .lifetime_ms = lifetime_s * 1000,
        .initial_age_ms = initial_age_ms(x, date),
        .response_ms = x->response_ms,
    };
    enum zq_policy_verdict verdict = judge_fields(x, &cc);
    if (verdict != ZQ_POLICY_STORABLE)
        return verdict;
    if (!is_explicit)
        return ZQ_POLICY_NO_FRESHNESS;
    if (!zq_freshness_is_fresh(freshness, x->response_ms))
        return ZQ_POLICY_STALE;
    return ZQ_POLICY_STORABLE;
}
