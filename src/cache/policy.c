#include "cache/policy.h"

#include "cache/part.h"
#include "cache/vary.h"
#include "zq/clock.h"

#define HEURISTIC_MAX_S (7 * 24 * 3600)

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
        return is(name, "range") ? ZQ_REQUEST_SELECTIVE | ZQ_REQUEST_RANGE : 0;
    case 6:
        return is(name, "cookie") ? ZQ_REQUEST_COOKIE : 0;
    case 8:
        if (is(name, "if-match"))
            return ZQ_REQUEST_ORIGINAL;
        return is(name, "if-range") ? ZQ_REQUEST_SELECTIVE : 0;
    case 13:
        if (is(name, "x-rewrite-url") || is(name, "x-http-method"))
            return ZQ_REQUEST_OVERRIDE;
        if (is(name, "if-none-match"))
            return ZQ_REQUEST_SELECTIVE;
        return is(name, "authorization") ? ZQ_REQUEST_AUTHORIZATION : 0;
    case 14:
        return is(name, "x-original-url") ? ZQ_REQUEST_OVERRIDE : 0;
    case 17:
        if (is(name, "x-method-override"))
            return ZQ_REQUEST_OVERRIDE;
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
            zq_cache_control_add(&cc, f->value);
            traits |= cc.no_store ? ZQ_REQUEST_NO_STORE : 0;
            traits |= cc.no_transform ? ZQ_REQUEST_NO_TRANSFORM : 0;
        }
    }
    return traits;
}

bool zq_policy_is_ambiguous(const struct zq_fields *request)
{
    for (size_t i = 0; i < request->n; i++)
        if (memchr(request->v[i].name.p, '_', request->v[i].name.n) != NULL)
            return true;
    return false;
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
    return seconds < 0 ? 0 : seconds > ZQ_DELTA_MAX ? ZQ_DELTA_MAX : seconds;
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

/* RFC 9111 4.2.1, without heuristics. False when nothing says how long. A targeted field hides
 * Expires, too (RFC 9213 2.1). */
static bool explicit_lifetime(const struct zq_cache_control *cc, const struct zq_fields *response,
                              time_t date, int64_t *out_s)
{
    if (cc->s_maxage.given)
        *out_s = cc->s_maxage.seconds;
    else if (cc->max_age.given)
        *out_s = cc->max_age.seconds;
    else
        return !cc->targeted && expires_lifetime(response, date, out_s);
    return true;
}

/* The status codes that RFC 9110 15.1 defines as heuristically cacheable. */
static bool has_heuristic_status(unsigned status)
{
    static const unsigned short known[] = {200, 203, 204, 206, 300, 301,
                                           308, 404, 405, 410, 414, 501};

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(known); i++)
        if (known[i] == status)
            return true;
    return false;
}

/* RFC 9111 4.2.2: a tenth of the time that it had not changed for, up to a week. */
static bool heuristic_lifetime(const struct zq_policy_exchange *x,
                               const struct zq_cache_control *cc, time_t date, int64_t *out_s)
{
    time_t modified;

    if (!x->rules.heuristic || !(cc->is_public || has_heuristic_status(x->status)) ||
        !find_date(x->response, ZQ_SLICE("last-modified"), &modified) || modified >= date)
        return false;
    *out_s = ((int64_t)date - (int64_t)modified) / 10;
    if (*out_s > HEURISTIC_MAX_S)
        *out_s = HEURISTIC_MAX_S;
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
    int error = zq_parse_u64(member, (uint64_t)ZQ_DELTA_MAX, &seconds);
    if (error == ZQ_EINVAL)
        return 0;
    return error < 0 ? ZQ_DELTA_MAX : (int64_t)seconds;
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
    static const unsigned short known[] = {200, 203, 204, 206, 300, 301, 302, 303, 307, 308, 400,
                                           403, 404, 405, 410, 414, 451, 500, 501, 502, 503, 504};

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(known); i++)
        if (known[i] == status)
            return true;
    return false;
}

/* 304 says something about another response; 206 is the part that its own request asked for. What
 * answers a POST represents its target only in a success (RFC 9110 8.7), and 200 is the one that a
 * GET would have had, too. */
static bool is_storable_status(const struct zq_policy_exchange *x,
                               const struct zq_cache_control *cc)
{
    struct zq_part part;

    if (x->status == 206 &&
        (!(x->traits & ZQ_REQUEST_RANGE) || !zq_part_of_fields(x->response, &part)))
        return false;
    if ((x->traits & ZQ_REQUEST_POST) && x->status != 200)
        return false;
    return x->status >= 200 && x->status != 304 &&
           (!cc->must_understand || is_understood(x->status));
}

/* no-store beside must-understand is for caches that do not know it (RFC 9111 5.2.2.3). */
static bool forbids_storing(const struct zq_cache_control *cc)
{
    return cc->no_store && !cc->understood_is_stored;
}

/* RFC 9111 3.5, and by default the same for Cookie: an application that answers one user's session
 * with nothing but max-age meant that user's browser. One that speaks to this cache alone, or says
 * that it looked at the cookie, meant what it said. */
static bool may_share(const struct zq_policy_exchange *x, const struct zq_cache_control *cc)
{
    bool permits = cc->is_public || cc->s_maxage.given || cc->revalidated_is_shared;

    if ((x->traits & ZQ_REQUEST_AUTHORIZATION) && !permits)
        return false;
    return !(x->traits & ZQ_REQUEST_COOKIE) || permits || x->rules.rfc_cookies || cc->targeted ||
           zq_vary_has(x->response, ZQ_SLICE("cookie"));
}

static bool sets_cookie(const struct zq_policy_exchange *x, const struct zq_cache_control *cc)
{
    return (!x->rules.set_cookie || cc->decorated) &&
           zq_fields_find(x->response, ZQ_SLICE("set-cookie"), NULL) != NULL;
}

static bool has_validator(const struct zq_fields *response)
{
    return zq_fields_find(response, ZQ_SLICE("etag"), NULL) != NULL ||
           zq_fields_find(response, ZQ_SLICE("last-modified"), NULL) != NULL;
}

static enum zq_policy_verdict judge_fields(const struct zq_policy_exchange *x,
                                           const struct zq_cache_control *cc)
{
    if (!is_storable_status(x, cc))
        return ZQ_POLICY_STATUS;
    if (forbids_storing(cc))
        return ZQ_POLICY_NO_STORE;
    if (cc->is_private)
        return ZQ_POLICY_PRIVATE;
    if (cc->no_cache && !has_validator(x->response))
        return ZQ_POLICY_NO_CACHE;
    if (sets_cookie(x, cc))
        return ZQ_POLICY_SET_COOKIE;
    if (!zq_vary_selects(x->response))
        return ZQ_POLICY_VARY;
    /* Last: these say something of the request, not of the response. */
    if (x->traits & ZQ_REQUEST_NO_STORE)
        return ZQ_POLICY_REQUEST;
    return may_share(x, cc) ? ZQ_POLICY_STORABLE : ZQ_POLICY_CREDENTIALS;
}

static uint32_t window_s(const struct zq_delta *delta)
{
    return delta->seconds < ZQ_DELTA_MAX ? (uint32_t)delta->seconds : (uint32_t)ZQ_DELTA_MAX - 1;
}

/* Fresh, or to be validated, or to be had stale. */
static bool is_of_use(const struct zq_policy_exchange *x, const struct zq_freshness *f)
{
    uint32_t longest =
        f->while_revalidate_s > f->if_error_s ? f->while_revalidate_s : f->if_error_s;

    return zq_freshness_is_fresh(f, x->response_ms) || has_validator(x->response) ||
           zq_freshness_permits(f, x->response_ms, (int64_t)longest * 1000);
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
    bool guess = !(x->traits & ZQ_REQUEST_POST); /* RFC 9110 9.3.3 */
    bool lasts = explicit_lifetime(&cc, x->response, date, &lifetime_s) ||
                 (guess && heuristic_lifetime(x, &cc, date, &lifetime_s));
    *freshness = (struct zq_freshness){
        .lifetime_ms = cc.no_cache ? 0 : lifetime_s * 1000,
        .initial_age_ms = initial_age_ms(x, date),
        .response_ms = x->response_ms,
        .date_s = (int64_t)date,
        .while_revalidate_s = window_s(&cc.while_revalidate),
        .if_error_s = window_s(&cc.if_error),
        .strict = cc.must_revalidate || cc.proxy_revalidate || cc.s_maxage.given || cc.no_cache,
    };
    enum zq_policy_verdict verdict = judge_fields(x, &cc);
    if (verdict != ZQ_POLICY_STORABLE)
        return verdict;
    if (!lasts && !(cc.no_cache && guess))
        return ZQ_POLICY_NO_FRESHNESS;
    return is_of_use(x, freshness) ? ZQ_POLICY_STORABLE : ZQ_POLICY_STALE;
}

const char *zq_policy_word(enum zq_policy_verdict verdict)
{
    static const char *const words[] = {
#define X(name, word) word,
        ZQ_POLICY_VERDICTS(X)
#undef X
    };

    ZQ_ASSERT((size_t)verdict < ZQ_ARRAY_SIZE(words));
    return words[verdict];
}
