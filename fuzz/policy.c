/* Cache-Control, freshness, and whether a response may be stored (RFC 9111 3, 4.2, 5.2).
 *
 * Input: two bytes of status; lines of request fields; an empty
 * line; lines of response fields.
 *
 * Invariants:
 *   - where the lines of Cache-Control are split, and in what case its directives are written,
 * makes no difference;
 *   - what forbids forbids in any company: no-store on either side, private, no-cache, Set-Cookie,
 *     Vary: *, 206;
 *   - what is storable has a final status, says how long it is fresh, and is fresh on arrival;
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
    if (verdict == ZQ_POLICY_STORABLE)
        FUZZ_CHECK(f.lifetime_ms > f.initial_age_ms && zq_freshness_is_fresh(&f, x.response_ms) &&
                   !zq_freshness_is_fresh(&f, x.response_ms + f.lifetime_ms));
    return verdict;
}

/* ---- splitting and case ---- */

static bool same_directives(const struct zq_cache_control *a, const struct zq_cache_control *b)
{
    return a->no_store == b->no_store && a->no_cache == b->no_cache &&
           a->is_private == b->is_private && a->is_public == b->is_public &&
           a->must_revalidate == b->must_revalidate && a->must_understand == b->must_understand &&
           a->has_max_age == b->has_max_age && a->has_s_maxage == b->has_s_maxage &&
           a->max_age_s == b->max_age_s && a->s_maxage_s == b->s_maxage_s;
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
    zq_policy_cache_control(&lines, &b);
    FUZZ_CHECK(same_directives(&a, &b));
    FUZZ_CHECK(a.max_age_s >= 0 && a.s_maxage_s >= 0);
    FUZZ_CHECK((a.has_max_age || a.max_age_s == 0) && (a.has_s_maxage || a.s_maxage_s == 0));
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
        {"Cache-Control", "no-cache"},
        {"cache-control", "NO-STORE=\"x\""},
        {"cache-control", "Private=\"a, b\""},
        {"Set-Cookie", "a=b"},
        {"Vary", "*"},
        {"vary", "a b"},
    };
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(never); i++)
        check_forbidden(x, never[i][0], never[i][1]);
    enum zq_policy_verdict verdict = judge(x);
    FUZZ_CHECK(verdict != ZQ_POLICY_STORABLE ||
               (x.status >= 200 && x.status != 206 && x.status != 304));
    FUZZ_CHECK(verdict != ZQ_POLICY_STORABLE || (x.traits & ZQ_REQUEST_NO_STORE) == 0);
    x.traits &= ~(unsigned)ZQ_REQUEST_CREDENTIALS;
    if (verdict == ZQ_POLICY_STORABLE)
        FUZZ_CHECK(judge(x) == ZQ_POLICY_STORABLE);
    x.traits |= ZQ_REQUEST_NO_STORE;
    FUZZ_CHECK(judge(x) != ZQ_POLICY_STORABLE);
    x.status = 206;
    FUZZ_CHECK(judge(x) != ZQ_POLICY_STORABLE);
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
