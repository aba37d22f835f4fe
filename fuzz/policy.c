/* Cache-Control, freshness, and whether a response may be stored (RFC 9111 3, 4.2, 5.2).
 *
 * Input: two bytes of status; lines of request fields; an empty
 * line; lines of response fields.
 *
 * Invariants:
 *   - where the lines of Cache-Control are split, and in what case its directives are written,
 * makes no difference;
 *   - what forbids forbids in any company: no-store on either side, private, no-cache, Set-Cookie,
 *     Vary: *;
 *   - what is storable has a final status, and a 206 was asked for, and says which part it is;
 * nothing permits to use stale what is strict;
 *   - without credentials a response is no less storable than with them. */
#include "support/fuzz.h"

#include "cache/policy.h"

#define DAY_MS 86400000

static struct zq_policy_exchange exchange_of(const struct fuzz_fields *request,
                                             const struct fuzz_fields *response, unsigned status)
{
    return (struct zq_policy_exchange){
        .traits = zq_policy_request(&request->fields),
        .status = status,
        .response = &response->fields,
        .request_ms = DAY_MS,
        .response_ms = DAY_MS + 1500,
        .now = 784111777, /* Sun, 06 Nov 1994 08:49:37 GMT */
    };
}

static enum zq_policy_verdict judge(struct zq_policy_exchange x)
{
    struct zq_freshness f;
    enum zq_policy_verdict verdict = zq_policy_judge(&x, &f);
    FUZZ_CHECK(f.lifetime_ms >= 0 && f.lifetime_ms <= (1ll << 31) * 1000);
    FUZZ_CHECK(f.initial_age_ms >= 0 && f.response_ms == x.response_ms);
    FUZZ_CHECK(zq_freshness_age_ms(&f, x.response_ms + 7) == f.initial_age_ms + 7);
    FUZZ_CHECK(zq_freshness_is_fresh(&f, x.response_ms) == (f.lifetime_ms > f.initial_age_ms));
    FUZZ_CHECK(!zq_freshness_is_fresh(&f, x.response_ms + f.lifetime_ms));
    FUZZ_CHECK(!f.strict || !zq_freshness_permits(&f, x.response_ms, INT64_MAX));
    return verdict;
}

/* ---- splitting and case ---- */

static bool same_delta(struct zq_delta a, struct zq_delta b)
{
    FUZZ_CHECK(a.seconds >= 0 && a.seconds <= ZQ_DELTA_MAX && (a.given || a.seconds == 0));
    return a.given == b.given && a.seconds == b.seconds;
}

static bool same_directives(const struct zq_cache_control *a, const struct zq_cache_control *b)
{
    return a->no_store == b->no_store && a->no_cache == b->no_cache &&
           a->is_private == b->is_private && a->is_public == b->is_public &&
           a->must_revalidate == b->must_revalidate && a->must_understand == b->must_understand &&
           a->proxy_revalidate == b->proxy_revalidate && a->names_fields == b->names_fields &&
           a->revalidated_is_shared == b->revalidated_is_shared &&
           a->understood_is_stored == b->understood_is_stored &&
           a->only_if_cached == b->only_if_cached && same_delta(a->max_age, b->max_age) &&
           same_delta(a->s_maxage, b->s_maxage) && same_delta(a->if_error, b->if_error) &&
           same_delta(a->while_revalidate, b->while_revalidate) &&
           same_delta(a->min_fresh, b->min_fresh) && same_delta(a->max_stale, b->max_stale);
}

static bool is_cache_control(const struct zq_field *field)
{
    return zq_slice_ieq(field->name, ZQ_SLICE("cache-control"));
}

/* A line for every member, its letters in the other case. */
static void check_split(const struct zq_fields *fields)
{
    struct zq_field split[512];
    struct zq_fields lines = {split, 0};
    struct zq_cache_control a, b;
    for (size_t i = 0; i < fields->n; i++) {
        struct zq_slice rest = fields->v[i].value, member;
        while (is_cache_control(&fields->v[i]) && zq_list_next(&rest, &member)) {
            if (lines.n == ZQ_ARRAY_SIZE(split))
                goto out;
            struct zq_slice copy = fuzz_copy(member);
            for (size_t j = 0; j < copy.n; j++)
                if ((copy.p[j] >= 'a' && copy.p[j] <= 'z') ||
                    (copy.p[j] >= 'A' && copy.p[j] <= 'Z'))
                    ((char *)(uintptr_t)copy.p)[j] ^= 0x20;
            split[lines.n++] = (struct zq_field){ZQ_SLICE("CACHE-control"), copy};
        }
    }
    zq_policy_cache_control(fields, &a);
    if (a.targeted)
        goto out;
    zq_policy_cache_control(&lines, &b);
    FUZZ_CHECK(same_directives(&a, &b));
out:
    for (size_t i = 0; i < lines.n; i++)
        free((char *)(uintptr_t)split[i].value.p);
}

/* ---- what forbids ---- */

static void check_forbidden(struct zq_policy_exchange x, const char *name, const char *value)
{
    struct zq_field more[FUZZ_FIELDS_MAX + 1];
    struct zq_fields fields = {more, x.response->n + 1};
    memcpy(more, x.response->v, x.response->n * sizeof(*more));
    more[x.response->n] = (struct zq_field){zq_slice_str(name), zq_slice_str(value)};
    x.response = &fields;
    FUZZ_CHECK(judge(x) != ZQ_POLICY_STORABLE);
}

static void check_company(struct zq_policy_exchange x)
{
    static const char *const never[][2] = {
        {"Cache-Control", "no-store"},
        {"Cache-Control", "private"},
        {"cache-control", "NO-STORE=\"x\""},
        {"cache-control", "Private=a"},
        {"Set-Cookie", "a=b"},
        {"Vary", "*"},
        {"vary", "a b"},
    };
    struct zq_cache_control cc;
    zq_policy_cache_control(x.response, &cc);
    /* A targeted field hides Cache-Control, and must-understand a no-store. */
    size_t first = cc.targeted ? 4 : cc.understood_is_stored ? 1 : 0;
    for (size_t i = first; i < ZQ_ARRAY_SIZE(never); i++)
        if (i != 2 || !cc.understood_is_stored)
            check_forbidden(x, never[i][0], never[i][1]);
    enum zq_policy_verdict verdict = judge(x);
    FUZZ_CHECK(verdict != ZQ_POLICY_STORABLE ||
               (x.status >= 200 && x.status != 304 &&
                (x.status != 206 ||
                 ((x.traits & ZQ_REQUEST_RANGE) != 0 &&
                  zq_fields_find(x.response, ZQ_SLICE("content-range"), NULL) != NULL))));
    FUZZ_CHECK(verdict != ZQ_POLICY_STORABLE || (x.traits & ZQ_REQUEST_NO_STORE) == 0);
    x.traits &= ~(unsigned)ZQ_REQUEST_CREDENTIALS;
    if (verdict == ZQ_POLICY_STORABLE)
        FUZZ_CHECK(judge(x) == ZQ_POLICY_STORABLE);
    x.traits |= ZQ_REQUEST_NO_STORE;
    FUZZ_CHECK(judge(x) != ZQ_POLICY_STORABLE);
    x.traits &= ~(unsigned)(ZQ_REQUEST_NO_STORE | ZQ_REQUEST_RANGE);
    x.status = 206;
    FUZZ_CHECK(judge(x) != ZQ_POLICY_STORABLE);
    x.traits |= ZQ_REQUEST_RANGE;
    check_forbidden(x, "Content-Range", "bytes 0-1/*");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    struct fuzz_fields request, response;
    unsigned status = 100 + (unsigned)fuzz_number(&in, 2) % 500;
    fuzz_fields_read(&request, &in, true);
    fuzz_fields_read(&response, &in, false);
    check_split(&response.fields);
    check_company(exchange_of(&request, &response, status));
    fuzz_fields_fini(&request);
    fuzz_fields_fini(&response);
    return 0;
}
