/* What RFC 9111 says, as pure functions: no I/O, no clock, no memory. */
#ifndef ZQ_CACHE_POLICY_H
#define ZQ_CACHE_POLICY_H

#include "zq/base.h"
#include "zq/cache.h"
#include "zq/field.h"

#include <time.h>

/* What a request's fields mean to the cache, gathered in one pass. */
enum zq_request_trait {
    ZQ_REQUEST_COOKIE = 1,
    ZQ_REQUEST_AUTHORIZATION = 2,
    ZQ_REQUEST_NO_STORE = 4,  /* RFC 9111 5.2.1.5 */
    ZQ_REQUEST_SELECTIVE = 8, /* If-None-Match, If-Modified-Since, Range, If-Range */
    ZQ_REQUEST_OVERRIDE = 16, /* the application may see another method or target than the key */
    ZQ_REQUEST_ORIGINAL = 32, /* If-Match, If-Unmodified-Since: the origin's (RFC 9111 4.3.2) */
    ZQ_REQUEST_NO_TRANSFORM = 64, /* RFC 9111 5.2.1.6 */
    ZQ_REQUEST_RANGE = 128,       /* of an entry's leader: it went out with it */
    ZQ_REQUEST_HEAD = 256,        /* the same: not a GET */
    ZQ_REQUEST_POST = 512         /* the same, not a GET: see zq_writer_adopt */
};
/* What goes out so has an answer for nobody else. */
#define ZQ_REQUEST_ALONE (ZQ_REQUEST_RANGE | ZQ_REQUEST_HEAD)
#define ZQ_REQUEST_CREDENTIALS (ZQ_REQUEST_COOKIE | ZQ_REQUEST_AUTHORIZATION)
unsigned zq_policy_request(const struct zq_fields *request);
/* Has a field an underscore in its name? Gateways and frameworks that make variables of fields (as
 * CGI does, RFC 3875 4.1.18) take it for the one with a hyphen there, which the cache does not:
 * what neither the key nor Vary nor the traits know of would choose what all get. */
bool zq_policy_is_ambiguous(const struct zq_fields *request);

/* A number of seconds: 0 when it was no valid one, as such a response is stale (RFC 9111 4.2.1). */
struct zq_delta {
    bool given;
    int64_t seconds;
};
/* RFC 9111 1.2.2: what is too large to hold counts as 2^31, "very large". */
#define ZQ_DELTA_MAX ((int64_t)1 << 31)

/* What a response's Cache-Control says over all its lines, or instead of it and of Expires the
 * first of Zq-Cache-Control and CDN-Cache-Control that is there and well-formed (RFC 9213 2.2); or
 * what a request's says. Zq-Cache-Control with the member `decorated` was added by zq.cached_route
 * to what said nothing of the kind: what hooks and middleware said later is heard as well, but for
 * how long. */
struct zq_cache_control {
    bool no_store, no_cache, is_private, is_public;
    bool must_revalidate, proxy_revalidate, must_understand, only_if_cached, no_transform;
    bool revalidated_is_shared; /* must-revalidate, with no argument: what it permits (3.5) */
    bool understood_is_stored;  /* must-understand, the same (5.2.2.3) */
    bool names_fields;          /* no-cache="…" or private="…": see zq_cache_control_names */
    bool targeted;              /* it was no Cache-Control */
    bool decorated; /* Zq-Cache-Control of a decorated view, which is a default: see below */
    struct zq_delta max_age, s_maxage, while_revalidate, if_error, min_fresh, max_stale;
};
void zq_policy_cache_control(const struct zq_fields *response, struct zq_cache_control *out);
/* A request's, with Pragma where there is no Cache-Control (RFC 9111 5.4). */
void zq_policy_asked(const struct zq_fields *request, struct zq_cache_control *out);
void zq_cache_control_add(struct zq_cache_control *cc, struct zq_slice line);
/* Is a response's field one that no-cache="…" or private="…" keeps out of what is stored? */
bool zq_cache_control_names(const struct zq_fields *response, struct zq_slice name);

/* Ages and lifetimes are kept in milliseconds, so that a second's rounding makes nothing fresh
 * for longer than it said. */
struct zq_freshness {
    int64_t lifetime_ms;         /* RFC 9111 4.2.1; 0 when there is none */
    int64_t initial_age_ms;      /* corrected_initial_age, RFC 9111 4.2.3 */
    int64_t response_ms;         /* monotonic: when the head came; resident time runs from here */
    int64_t date_s;              /* Date: what the most recent of several responses goes by */
    uint32_t while_revalidate_s; /* RFC 5861 3, 4: for how long beyond */
    uint32_t if_error_s : 31;
    uint32_t strict : 1; /* never stale, whatever these and others say (RFC 9111 4.2.4) */
};
static inline int64_t zq_freshness_age_ms(const struct zq_freshness *f, int64_t now_ms)
{
    return f->initial_age_ms + (now_ms > f->response_ms ? now_ms - f->response_ms : 0);
}
static inline bool zq_freshness_is_fresh(const struct zq_freshness *f, int64_t now_ms)
{
    return f->lifetime_ms > zq_freshness_age_ms(f, now_ms);
}
/* What is left of the lifetime of a response that is made stale at that time: none, if it was stale
 * before. */
static inline int64_t zq_freshness_lifetime_until(const struct zq_freshness *f, int64_t end_ms)
{
    int64_t age_ms = zq_freshness_age_ms(f, end_ms);

    return age_ms < f->lifetime_ms ? age_ms : f->lifetime_ms;
}
/* May it still be used when it is stale, by whoever permits that for so long? */
static inline bool zq_freshness_permits(const struct zq_freshness *f, int64_t now_ms,
                                        int64_t stale_ms)
{
    return !f->strict && stale_ms > 0 &&
           zq_freshness_age_ms(f, now_ms) - f->lifetime_ms <= stale_ms;
}

/* May the response be stored, and if not, why: name, word for people. */
#define ZQ_POLICY_VERDICTS(X)                                                                      \
    X(STORABLE, "storable")                                                                        \
    X(STATUS, "its status") /* not final, partial, or not understood */                            \
    X(NO_STORE, "no-store")                                                                        \
    X(PRIVATE, "private")                                                                          \
    X(NO_CACHE, "no-cache without a validator")                                                    \
    X(SET_COOKIE, "Set-Cookie")                                                                    \
    X(REQUEST, "the request's no-store")                                                           \
    X(CREDENTIALS, "the request's Cookie or Authorization")                                        \
    X(VARY, "Vary") /* no other request can be known to match */                                   \
    X(NO_FRESHNESS, "no freshness")                                                                \
    X(STALE, "stale on arrival") /* and it has no validator */                                     \
    X(SIZE, "its size")          /* for the store to say */

enum zq_policy_verdict {
#define X(name, word) ZQ_POLICY_##name,
    ZQ_POLICY_VERDICTS(X)
#undef X
        ZQ_POLICY_COUNT
};
const char *zq_policy_word(enum zq_policy_verdict verdict);

struct zq_policy_exchange {
    unsigned traits; /* of the request */
    unsigned status;
    const struct zq_fields *response;
    int64_t request_ms, response_ms; /* monotonic */
    time_t now;                      /* when the response came */
    struct zq_cache_rules rules;
};

/* RFC 9111 3 for a shared cache that stores what has freshness left, what it can validate, and what
 * may be used though it is stale.
 * `*freshness` is filled in any case. */
enum zq_policy_verdict zq_policy_judge(const struct zq_policy_exchange *exchange,
                                       struct zq_freshness *freshness);

#endif
