/* Each row cites the section of RFC 9111 (or RFC 9110, or zq's own rule) that it is about. */
#include "test_cache_rig.h"

#include "cache/policy.h"
#include "zq/clock.h"

#define NOW 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\n"
#define VERY_LARGE 2147483648

/* ---- may it be stored ---- */

struct row {
    const char *section, *request;
    unsigned status; /* 0: 200 */
    const char *response;
    enum zq_policy_verdict verdict;
};

static const struct row rows[] = {
    /* What says how long it is fresh. */
    {"3", NULL, 0, "Cache-Control: max-age=60", ZQ_POLICY_STORABLE},
    {"3", NULL, 0, "Cache-Control: s-maxage=60", ZQ_POLICY_STORABLE},
    {"3", NULL, 0, DATE "Expires: Sun, 06 Nov 1994 08:50:37 GMT", ZQ_POLICY_STORABLE},
    {"5.3", NULL, 0, "Expires: Sun, 06 Nov 1994 08:50:37 GMT", ZQ_POLICY_STORABLE},
    {"3", NULL, 0, NULL, ZQ_POLICY_NO_FRESHNESS},
    {"3", NULL, 0, "Cache-Control: public", ZQ_POLICY_NO_FRESHNESS},
    {"5.2.3", NULL, 0, "Cache-Control: immutable, x-maxage=60", ZQ_POLICY_NO_FRESHNESS},
    {"3", NULL, 0, "Last-Modified: Sun, 06 Nov 1994 08:00:00 GMT", ZQ_POLICY_NO_FRESHNESS},
    {"4.2", NULL, 0, "Cache-Control: max-age=0", ZQ_POLICY_STALE},
    {"4.2", NULL, 0, "Cache-Control: max-age=60, s-maxage=0", ZQ_POLICY_STALE},
    {"4.2.3", NULL, 0, "Cache-Control: max-age=60\nAge: 60", ZQ_POLICY_STALE},
    {"4.2.3", NULL, 0, "Cache-Control: max-age=60\nAge: 59", ZQ_POLICY_STORABLE},
    {"4.2.3", NULL, 0, "Cache-Control: max-age=60\nDate: Sun, 06 Nov 1994 08:48:37 GMT",
     ZQ_POLICY_STALE},
    {"5.3", NULL, 0, DATE "Expires: 0", ZQ_POLICY_STALE},
    {"5.3", NULL, 0, DATE "Expires: tomorrow", ZQ_POLICY_STALE},
    {"5.3", NULL, 0, DATE "Expires: Sun, 06 Nov 1994 08:49:37 GMT", ZQ_POLICY_STALE},
    {"5.3", NULL, 0, DATE "Expires: 0\nCache-Control: max-age=60", ZQ_POLICY_STORABLE},
    {"5.3", NULL, 0, DATE "Expires: 0\nCache-Control: s-maxage=60", ZQ_POLICY_STORABLE},

    /* What forbids it. */
    {"5.2.2.5", NULL, 0, "Cache-Control: no-store, max-age=60", ZQ_POLICY_NO_STORE},
    {"5.2.2.5", NULL, 0, "Cache-Control: max-age=60\nCache-Control: no-store", ZQ_POLICY_NO_STORE},
    {"5.2", NULL, 0, "Cache-Control: max-age=60, NO-STORE", ZQ_POLICY_NO_STORE},
    {"5.2", NULL, 0, "cache-control: Max-Age=60, No-Store=\"\"", ZQ_POLICY_NO_STORE},
    {"5.2", NULL, 0, "Cache-Control: max-age=60, no-store =x", ZQ_POLICY_NO_STORE},
    {"5.2.3", NULL, 0, "Cache-Control: max-age=60, x=\"no-store\", y=\", no-store, \"",
     ZQ_POLICY_STORABLE},
    {"5.2.1.5", "cache-control: no-store", 0, "Cache-Control: max-age=60", ZQ_POLICY_REQUEST},
    {"5.2.1.4", "cache-control: no-cache", 0, "Cache-Control: max-age=60", ZQ_POLICY_STORABLE},
    {"5.2.2.7", NULL, 0, "Cache-Control: private, max-age=60", ZQ_POLICY_PRIVATE},
    {"5.2.2.7", NULL, 0, "Cache-Control: private=\"x-user\", max-age=60", ZQ_POLICY_STORABLE},
    {"5.2.2.7", NULL, 0, "Cache-Control: private=x-user, max-age=60", ZQ_POLICY_PRIVATE},
    {"5.2.2.7", NULL, 0, "Cache-Control: private=\"\", max-age=60", ZQ_POLICY_PRIVATE},
    {"5.2.2.7", NULL, 0, "Cache-Control: private=\"x, max-age=60", ZQ_POLICY_PRIVATE},
    {"4.2.1", NULL, 0, "Cache-Control: private=\"x-user\", private, max-age=60", ZQ_POLICY_PRIVATE},
    {"4.2.1", NULL, 0, "Cache-Control: public, private, s-maxage=60", ZQ_POLICY_PRIVATE},
    {"5.2.2.4", NULL, 0, "Cache-Control: no-cache, max-age=60", ZQ_POLICY_NO_CACHE},
    /* What can be validated, or may be used stale, is stored though it is not fresh. */
    {"4.3.1", NULL, 0, "Cache-Control: no-cache\nETag: \"a\"", ZQ_POLICY_STORABLE},
    {"4.3.1", NULL, 0,
     "Cache-Control: no-cache\nLast-Modified: "
     "Sun, 06 Nov 1994 08:00:00 GMT",
     ZQ_POLICY_STORABLE},
    {"4.3.1", NULL, 0, "Cache-Control: max-age=0\nETag: \"a\"", ZQ_POLICY_STORABLE},
    {"3", NULL, 0, "ETag: \"a\"", ZQ_POLICY_NO_FRESHNESS},
    {"5861 3", NULL, 0, "Cache-Control: max-age=0, stale-while-revalidate=9", ZQ_POLICY_STORABLE},
    {"5861 4", NULL, 0, "Cache-Control: max-age=0, stale-if-error=9", ZQ_POLICY_STORABLE},
    {"5861 4", NULL, 0, "Cache-Control: max-age=0, stale-if-error=9\nAge: 10", ZQ_POLICY_STALE},
    {"4.2.4", NULL, 0, "Cache-Control: max-age=0, stale-if-error=9, must-revalidate",
     ZQ_POLICY_STALE},
    {"4.2.4", NULL, 0, "Cache-Control: s-maxage=0, stale-if-error=9", ZQ_POLICY_STALE},
    /* An argument that nobody defined does not take away what a directive forbids. */
    {"5.2.2.2", NULL, 0, "Cache-Control: max-age=0, stale-if-error=9, must-revalidate=no",
     ZQ_POLICY_STALE},
    {"5.2.2.8", NULL, 0, "Cache-Control: max-age=0, stale-if-error=9, proxy-revalidate=\"\"",
     ZQ_POLICY_STALE},
    {"5.2.2.5", NULL, 0, "Cache-Control: max-age=60, no-store=1", ZQ_POLICY_NO_STORE},
    {"5.2.2.4", NULL, 0, "Cache-Control: max-age=60, no-cache=foo", ZQ_POLICY_NO_CACHE},
    {"5.2.2.4", NULL, 0, "Cache-Control: no-cache=\"a, b\", max-age=60", ZQ_POLICY_STORABLE},
    {"5.2.2.4", NULL, 0, "Cache-Control: no-cache=\"a, b, max-age=60", ZQ_POLICY_NO_CACHE},
    {"zq: Set-Cookie", NULL, 0, "Cache-Control: public, max-age=60\nset-cookie: a=1",
     ZQ_POLICY_SET_COOKIE},
    {"4.1", NULL, 0, "Cache-Control: max-age=60\nVary: *", ZQ_POLICY_VARY},
    {"4.1", NULL, 0, "Cache-Control: max-age=60\nVary: accept, *", ZQ_POLICY_VARY},
    {"4.1", NULL, 0, "Cache-Control: max-age=60\nVary: accept\nVary: *, x", ZQ_POLICY_VARY},
    {"9110 12.5.5", NULL, 0, "Cache-Control: max-age=60\nVary: a b", ZQ_POLICY_VARY},
    {"4.1", NULL, 0, "Cache-Control: max-age=60\nVary: accept, Cookie", ZQ_POLICY_STORABLE},
    {"4.1", NULL, 0, "Cache-Control: max-age=60\nVary: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p",
     ZQ_POLICY_STORABLE},
    {"zq: ZQ_VARY_NAMES_MAX", NULL, 0,
     "Cache-Control: max-age=60\nVary: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", ZQ_POLICY_VARY},
    {"zq: ZQ_VARY_NAMES_MAX", NULL, 0,
     "Cache-Control: max-age=60\nVary: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\nZq-Vary: P,a",
     ZQ_POLICY_STORABLE},

    /* Requests that name a user. */
    {"3.5", "authorization: x", 0, "Cache-Control: max-age=60", ZQ_POLICY_CREDENTIALS},
    {"3.5", "authorization: x", 0, DATE "Expires: Sun, 06 Nov 1994 08:50:37 GMT",
     ZQ_POLICY_CREDENTIALS},
    {"3.5", "authorization: x", 0, "Cache-Control: max-age=60, public", ZQ_POLICY_STORABLE},
    {"3.5", "authorization: x", 0, "Cache-Control: s-maxage=60", ZQ_POLICY_STORABLE},
    {"3.5", "authorization: x", 0, "Cache-Control: max-age=60, must-revalidate",
     ZQ_POLICY_STORABLE},
    {"3.5", "authorization: x", 0, "Cache-Control: max-age=60, proxy-revalidate",
     ZQ_POLICY_CREDENTIALS},
    {"5.2", "authorization: x", 0, "Cache-Control: max-age=60, public=yes", ZQ_POLICY_CREDENTIALS},
    {"5.2", "authorization: x", 0, "Cache-Control: max-age=60, public=\"\"", ZQ_POLICY_CREDENTIALS},
    {"5.2", "authorization: x", 0, "Cache-Control: max-age=60, must-revalidate soon",
     ZQ_POLICY_CREDENTIALS},
    {"5.2", "authorization: x", 0, "Cache-Control: max-age=60, must-revalidate=1",
     ZQ_POLICY_CREDENTIALS},
    {"zq: Cookie", "cookie: a=1", 0, "Cache-Control: max-age=60", ZQ_POLICY_CREDENTIALS},
    {"zq: Cookie", "cookie: a=1", 0, "Cache-Control: max-age=60\nVary: Accept, Cookie",
     ZQ_POLICY_STORABLE},
    {"3.5", "authorization: a", 0, "Cache-Control: max-age=60\nVary: Cookie",
     ZQ_POLICY_CREDENTIALS},
    {"zq: Cookie", "cookie: a=1", 0, "Cache-Control: public, max-age=60", ZQ_POLICY_STORABLE},
    {"zq: Cookie", "cookie: a=1", 0, "Cache-Control: s-maxage=60", ZQ_POLICY_STORABLE},

    /* Status codes. */
    {"3", NULL, 203, "Cache-Control: max-age=60", ZQ_POLICY_STORABLE},
    {"3", NULL, 204, "Cache-Control: max-age=60", ZQ_POLICY_STORABLE},
    {"3", NULL, 301, "Cache-Control: max-age=60", ZQ_POLICY_STORABLE},
    {"3", NULL, 302, "Cache-Control: max-age=60", ZQ_POLICY_STORABLE},
    {"3", NULL, 404, "Cache-Control: max-age=60", ZQ_POLICY_STORABLE},
    {"3", NULL, 500, "Cache-Control: max-age=60", ZQ_POLICY_STORABLE},
    {"3", NULL, 599, "Cache-Control: max-age=60", ZQ_POLICY_STORABLE},
    {"3", NULL, 100, "Cache-Control: max-age=60", ZQ_POLICY_STATUS},
    {"3", NULL, 199, "Cache-Control: max-age=60", ZQ_POLICY_STATUS},
    {"3.3", NULL, 206, "Cache-Control: max-age=60", ZQ_POLICY_STATUS},
    {"3.3", NULL, 206, "Cache-Control: max-age=60\nContent-Range: bytes 0-1/3", ZQ_POLICY_STATUS},
    {"3.3", "range: x", 206, "Cache-Control: max-age=60", ZQ_POLICY_STATUS},
    {"3.3", "range: x", 206, "Cache-Control: max-age=60\nContent-Range: bytes 0-1/3",
     ZQ_POLICY_STORABLE},
    {"3.3", "range: x", 206, "Cache-Control: max-age=60\ncontent-range: BYTES 2-2/3",
     ZQ_POLICY_STORABLE},
    {"3.3", "range: x", 206, "Cache-Control: max-age=60\nContent-Range: bytes 0-1/*",
     ZQ_POLICY_STATUS},
    {"3.3", "range: x", 206, "Cache-Control: max-age=60\nContent-Range: bytes 2-1/3",
     ZQ_POLICY_STATUS},
    {"3.3", "range: x", 206, "Cache-Control: max-age=60\nContent-Range: bytes 1-3/3",
     ZQ_POLICY_STATUS},
    {"3.3", "range: x", 206, "Cache-Control: max-age=60\nContent-Range: lines 0-1/3",
     ZQ_POLICY_STATUS},
    {"3.3", "range: x", 206,
     "Cache-Control: max-age=60\nContent-Range: bytes 0-1/3\nContent-Range: bytes 0-1/3",
     ZQ_POLICY_STATUS},
    {"3.3", "range: x", 206, "Cache-Control: no-store\nContent-Range: bytes 0-1/3",
     ZQ_POLICY_NO_STORE},
    {"4.3.4", NULL, 304, "Cache-Control: max-age=60", ZQ_POLICY_STATUS},
    {"5.2.2.3", NULL, 200, "Cache-Control: max-age=60, must-understand", ZQ_POLICY_STORABLE},
    {"5.2.2.3", NULL, 299, "Cache-Control: max-age=60, must-understand", ZQ_POLICY_STATUS},
    {"5.2.2.3", NULL, 200, "Cache-Control: max-age=60, must-understand, no-store",
     ZQ_POLICY_STORABLE},
    {"5.2.2.3", NULL, 299, "Cache-Control: max-age=60, must-understand, no-store",
     ZQ_POLICY_STATUS},
    {"5.2.2.3", NULL, 299, "Cache-Control: max-age=60, must-understand=1", ZQ_POLICY_STATUS},
    {"5.2.2.3", NULL, 200, "Cache-Control: max-age=60, must-understand=1, no-store",
     ZQ_POLICY_NO_STORE},
    {"5.2.1.5", "cache-control: no-store", 200, "Cache-Control: max-age=60, must-understand",
     ZQ_POLICY_REQUEST},

    /* Targeted fields (RFC 9213). */
    {"9213 2.2", NULL, 0, "CDN-Cache-Control: max-age=60", ZQ_POLICY_STORABLE},
    {"9213 2.2", NULL, 0, "CDN-Cache-Control: max-age=60\nCache-Control: no-store",
     ZQ_POLICY_STORABLE},
    {"9213 2.2", NULL, 0, "CDN-Cache-Control: no-store\nCache-Control: max-age=60",
     ZQ_POLICY_NO_STORE},
    {"9213 2.2", NULL, 0, "CDN-Cache-Control: private\nCache-Control: max-age=60",
     ZQ_POLICY_PRIVATE},
    {"9213 2.2", NULL, 0, "CDN-Cache-Control: private=\"a\", max-age=60", ZQ_POLICY_PRIVATE},
    {"9213 2.2", NULL, 0, "CDN-Cache-Control: no-store=?0, max-age=60", ZQ_POLICY_STORABLE},
    {"9213 2.2", NULL, 0, "CDN-Cache-Control: no-store=0, max-age=60", ZQ_POLICY_NO_STORE},
    {"9213 2.2", NULL, 0, "CDN-Cache-Control: x=1\nCache-Control: max-age=60",
     ZQ_POLICY_NO_FRESHNESS},
    {"9213 2.2", NULL, 0, "CDN-Cache-Control: x=1\n" DATE "Expires: Sun, 06 Nov 1994 08:50:37 GMT",
     ZQ_POLICY_NO_FRESHNESS},
    {"9213 2.2", NULL, 0, "CDN-Cache-Control: no-store, MAX-AGE=60\nCache-Control: max-age=60",
     ZQ_POLICY_STORABLE},
    {"9213 2.2", NULL, 0, "CDN-Cache-Control: no-store\nZq-Cache-Control: max-age=60",
     ZQ_POLICY_STORABLE},
    {"9213 2.2", NULL, 0, "CDN-Cache-Control: max-age=60\nZq-Cache-Control: no-store",
     ZQ_POLICY_NO_STORE},
    {"9213 2.2", NULL, 0, "CDN-Cache-Control: max-age=60\nZq-Cache-Control: no-store,",
     ZQ_POLICY_STORABLE},
    {"zq: Cookie", "cookie: a=1", 0, "Zq-Cache-Control: max-age=60", ZQ_POLICY_STORABLE},
    {"3.5", "authorization: a", 0, "Zq-Cache-Control: max-age=60", ZQ_POLICY_CREDENTIALS},
    {"3.5", "authorization: a", 0, "Zq-Cache-Control: max-age=60, public", ZQ_POLICY_STORABLE},
    {"3.5", "authorization: a", 0, "Zq-Cache-Control: max-age=60, must-revalidate",
     ZQ_POLICY_STORABLE},
    {"9213 2.2", "authorization: a", 0, "Zq-Cache-Control: max-age=60, must-revalidate=1",
     ZQ_POLICY_CREDENTIALS},
    {"9213 2.2", NULL, 0, "Zq-Cache-Control: max-age=0, stale-if-error=9, must-revalidate=1",
     ZQ_POLICY_STALE},

    /* What a decorator adds is a default: what comes to the response later may forbid. */
    {"zq: decorated", NULL, 0, "Zq-Cache-Control: max-age=60, decorated", ZQ_POLICY_STORABLE},
    {"zq: decorated", "cookie: a=1", 0, "Zq-Cache-Control: max-age=60, decorated",
     ZQ_POLICY_STORABLE},
    {"zq: decorated", NULL, 0,
     "Zq-Cache-Control: max-age=60, decorated\nCache-Control: max-age=0, public",
     ZQ_POLICY_STORABLE},
    {"zq: decorated", NULL, 0, "Zq-Cache-Control: max-age=60, decorated\nCache-Control: no-store",
     ZQ_POLICY_NO_STORE},
    {"zq: decorated", NULL, 0, "Zq-Cache-Control: max-age=60, decorated\nCache-Control: private",
     ZQ_POLICY_PRIVATE},
    {"zq: decorated", NULL, 0, "Zq-Cache-Control: max-age=60, decorated\nCache-Control: no-cache",
     ZQ_POLICY_NO_CACHE},
    {"zq: decorated", NULL, 0,
     "Zq-Cache-Control: max-age=60, decorated\nCDN-Cache-Control: no-store", ZQ_POLICY_NO_STORE},
    {"zq: decorated", NULL, 0, "Zq-Cache-Control: max-age=60, decorated\nSet-Cookie: a=1",
     ZQ_POLICY_SET_COOKIE},
    {"zq: decorated", NULL, 0, "Zq-Cache-Control: max-age=60, decorated\nVary: *", ZQ_POLICY_VARY},
    {"zq: decorated", "authorization: a", 0, "Zq-Cache-Control: max-age=60, decorated",
     ZQ_POLICY_CREDENTIALS},
    {"3.5", "authorization: a", 0, "Zq-Cache-Control: max-age=60, decorated\nCache-Control: public",
     ZQ_POLICY_STORABLE},
    {"zq: decorated", NULL, 0,
     "Zq-Cache-Control: max-age=0, stale-if-error=9, decorated\nCache-Control: must-revalidate",
     ZQ_POLICY_STALE},
};

static enum zq_policy_verdict judge(const char *request, unsigned status, const char *response,
                                    struct zq_freshness *freshness)
{
    struct rig_fields asked, answered;
    struct zq_policy_exchange x = {
        .traits = zq_policy_request(rig_fields(&asked, request)),
        .status = status ? status : 200,
        .response = rig_fields(&answered, response),
        .request_ms = 5000,
        .response_ms = 5000,
        .now = NOW,
    };

    return zq_policy_judge(&x, freshness);
}

static void storing(void **state)
{
    struct zq_freshness freshness;
    int wrong = 0;

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        const struct row *r = &rows[i];
        enum zq_policy_verdict got = judge(r->request, r->status, r->response, &freshness);
        if (got == r->verdict)
            continue;
        wrong++;
        print_error("RFC 9111 %s: %s: %d, wanted %d\n", r->section, r->response, got, r->verdict);
    }
    assert_int_equal(wrong, 0);
}

/* ---- how long ---- */

struct lifetime_row {
    const char *section, *response;
    int64_t seconds;
};

static const struct lifetime_row lifetimes[] = {
    {"4.2.1", "Cache-Control: s-maxage=10, max-age=20", 10},
    {"4.2.1", "Cache-Control: max-age=20, s-maxage=10", 10},
    {"4.2.1", "Cache-Control: max-age=20\nCache-Control: s-maxage=10", 10},
    {"4.2.1", DATE "Cache-Control: max-age=20\nExpires: Sun, 06 Nov 1994 08:50:37 GMT", 20},
    {"4.2.1", DATE "Expires: Sun, 06 Nov 1994 08:50:37 GMT", 60},
    {"4.2.1", "Date: Sun, 06 Nov 1994 08:49:07 GMT\nExpires: Sun, 06 Nov 1994 08:50:37 GMT", 90},
    {"9110 5.6.7", DATE "Expires: Sunday, 06-Nov-94 08:50:37 GMT", 60},
    {"9110 5.6.7", DATE "Expires: Sun Nov  6 08:50:37 1994", 60},
    {"4.2.1", DATE "Expires: Sun, 06 Nov 1994 08:50:37 GMT\nExpires: Sun, 06 Nov 1994 09:49:37 GMT",
     60},
    {"9110 6.6.1", "Date: never\nExpires: Sun, 06 Nov 1994 08:50:37 GMT", 60},
    {"5.3", DATE "Expires: Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"1.2.2", DATE "Expires: Fri, 06 Nov 2993 08:50:37 GMT", VERY_LARGE},

    /* Repeated directives: the first counts. */
    {"4.2.1", "Cache-Control: max-age=10, max-age=20", 10},
    {"4.2.1", "Cache-Control: max-age=20, max-age=10", 20},
    {"4.2.1", "Cache-Control: max-age=x, max-age=10", 0},
    {"4.2.1", "Cache-Control: s-maxage=x, max-age=10", 0},

    /* Forms. */
    {"5.2", "Cache-Control: max-age=\"30\"", 30},
    {"5.2", "Cache-Control: max-age=\"\"", 0},
    {"5.2", "Cache-Control: max-age=\"30", 0},
    {"5.2", "Cache-Control: max-age=\"", 0},
    {"5.2", "Cache-Control: max-age=30\"", 0},
    {"5.2", "Cache-Control: max-age=\"3\\0\"", 0},
    {"5.2", "Cache-Control: max-age='30'", 0},
    {"5.2", "Cache-Control: MAX-AGE=30", 30},
    {"5.2", "Cache-Control: ,, max-age=30 ,", 30},
    {"5.2", "Cache-Control: a=\"x, max-age=10\", max-age=30", 30},
    {"5.2", "Cache-Control: max-age =30", 0},
    {"5.2", "Cache-Control: max-age= 30", 0},
    {"5.2", "Cache-Control: max-age", 0},
    {"5.2", "Cache-Control: max-age=", 0},
    {"1.2.2", "Cache-Control: max-age=030", 30},
    {"4.2.1", "Cache-Control: max-age=-1", 0},
    {"4.2.1", "Cache-Control: max-age=+1", 0},
    {"4.2.1", "Cache-Control: max-age=1.5", 0},
    {"4.2.1", "Cache-Control: max-age=30s", 0},
    {"4.2.1", "Cache-Control: max-age=0x1e", 0},
    {"1.2.2", "Cache-Control: max-age=2147483647", 2147483647},
    {"1.2.2", "Cache-Control: max-age=2147483648", VERY_LARGE},
    {"1.2.2", "Cache-Control: max-age=99999999999999999999999", VERY_LARGE},
    {"5.2.3", "Cache-Control: maxage=10, max-age=30, max-agee=9", 30},

    /* Targeted fields. */
    {"9213 2.2", "CDN-Cache-Control: max-age=10\nCache-Control: max-age=30", 10},
    {"9213 2.2", "CDN-Cache-Control: max-age=10\nZq-Cache-Control: max-age=20", 20},
    {"9213 2.2", "CDN-Cache-Control: s-maxage=10, max-age=30", 10},
    {"9651 4.2.2", "CDN-Cache-Control: max-age=10, max-age=20", 20},
    {"9651 4.2", "CDN-Cache-Control: max-age=10\nCDN-Cache-Control: max-age=20", 20},
    {"9651 4.2", "CDN-Cache-Control: max-age=10;a;b=\"x,y\",x=(1 2);y\t, z=:YQ==:", 10},
    {"9651 4.2.4", "CDN-Cache-Control: max-age=\"10\"\nCache-Control: max-age=30", 0},
    {"9651 4.2.4", "CDN-Cache-Control: max-age=10.0\nCache-Control: max-age=30", 0},
    {"9651 4.2.4", "CDN-Cache-Control: max-age=-1\nCache-Control: max-age=30", 0},
    {"9651 4.2.4", "CDN-Cache-Control: max-age\nCache-Control: max-age=30", 0},
    {"1.2.2", "CDN-Cache-Control: max-age=999999999999999", VERY_LARGE},
    {"9651 4.2.4", "CDN-Cache-Control: max-age=1000000000000000\nCache-Control: max-age=30", 30},
    {"9651 4.2", "CDN-Cache-Control: max-age=10,\nCache-Control: max-age=30", 30},
    {"9651 4.2", "CDN-Cache-Control: max-age =10\nCache-Control: max-age=30", 30},
    {"9651 4.2", "CDN-Cache-Control: max-age= 10\nCache-Control: max-age=30", 30},
    {"9651 4.2", "CDN-Cache-Control: max-age=10 x\nCache-Control: max-age=30", 30},
    {"9651 4.2", "CDN-Cache-Control: Max-Age=10\nCache-Control: max-age=30", 30},
    {"9651 4.2", "CDN-Cache-Control: max-age=10, a=\"\nCache-Control: max-age=30", 30},
    {"9651 4.2", "CDN-Cache-Control:\nCache-Control: max-age=30", 30},
};

/* ---- what the rules leave open ---- */

#define LONG_AGO "Last-Modified: Sun, 06 Nov 1994 07:49:37 GMT\n" /* an hour */

static const struct {
    const char *section;
    struct zq_cache_rules rules;
    const char *request;
    unsigned status;
    const char *response;
    enum zq_policy_verdict verdict;
    int64_t seconds;
} choices[] = {
    {"4.2.2", {0}, NULL, 200, DATE LONG_AGO, ZQ_POLICY_NO_FRESHNESS, 0},
    {"4.2.2", {.heuristic = true}, NULL, 200, DATE LONG_AGO, ZQ_POLICY_STORABLE, 360},
    {"4.2.2", {.heuristic = true}, NULL, 200, DATE, ZQ_POLICY_NO_FRESHNESS, 0},
    {"4.2.2",
     {.heuristic = true},
     NULL,
     200,
     DATE "Last-Modified: never",
     ZQ_POLICY_NO_FRESHNESS,
     0},
    {"4.2.2",
     {.heuristic = true},
     NULL,
     200,
     DATE "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
     ZQ_POLICY_NO_FRESHNESS,
     0},
    {"4.2.2",
     {.heuristic = true},
     NULL,
     200,
     DATE "Last-Modified: Sun, 06 Nov 1904 08:49:37 GMT",
     ZQ_POLICY_STORABLE,
     604800},
    {"4.2.2",
     {.heuristic = true},
     NULL,
     200,
     DATE LONG_AGO "Cache-Control: max-age=5",
     ZQ_POLICY_STORABLE,
     5},
    {"4.2.2",
     {.heuristic = true},
     NULL,
     200,
     DATE LONG_AGO "Cache-Control: max-age=x",
     ZQ_POLICY_STORABLE, /* to be validated */
     0},
    {"4.2.2",
     {.heuristic = true},
     NULL,
     200,
     DATE LONG_AGO "Cache-Control: no-store",
     ZQ_POLICY_NO_STORE,
     360},
    {"4.2.2", {.heuristic = true}, NULL, 404, DATE LONG_AGO, ZQ_POLICY_STORABLE, 360},
    {"4.2.2", {.heuristic = true}, NULL, 302, DATE LONG_AGO, ZQ_POLICY_NO_FRESHNESS, 0},
    {"4.2.2",
     {.heuristic = true},
     NULL,
     302,
     DATE LONG_AGO "Cache-Control: public",
     ZQ_POLICY_STORABLE,
     360},
    {"4.2.2", {.heuristic = true}, "cookie: a=1", 200, DATE LONG_AGO, ZQ_POLICY_CREDENTIALS, 360},
    {"7.3",
     {.set_cookie = true},
     NULL,
     200,
     "Cache-Control: max-age=60\nSet-Cookie: a=1",
     ZQ_POLICY_STORABLE,
     60},
    {"zq: decorated",
     {.set_cookie = true},
     NULL,
     200,
     "Zq-Cache-Control: max-age=60, decorated\nSet-Cookie: a=1",
     ZQ_POLICY_SET_COOKIE,
     60},
    {"zq: Cookie",
     {.rfc_cookies = true},
     "cookie: a=1",
     200,
     "Cache-Control: max-age=60",
     ZQ_POLICY_STORABLE,
     60},
    {"3.5",
     {.rfc_cookies = true},
     "authorization: a",
     200,
     "Cache-Control: max-age=60",
     ZQ_POLICY_CREDENTIALS,
     60},
};

static void choosing(void **state)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(choices); i++) {
        struct rig_fields asked, answered;
        struct zq_freshness freshness;
        struct zq_policy_exchange x = {
            .traits = zq_policy_request(rig_fields(&asked, choices[i].request)),
            .status = choices[i].status,
            .response = rig_fields(&answered, choices[i].response),
            .now = NOW,
            .rules = choices[i].rules,
        };
        enum zq_policy_verdict got = zq_policy_judge(&x, &freshness);
        if (got != choices[i].verdict || freshness.lifetime_ms != choices[i].seconds * 1000)
            fail_msg("%s: %s: %d, %lld ms", choices[i].section, choices[i].response, got,
                     (long long)freshness.lifetime_ms);
    }
}

/* ---- what requests ask for ---- */

static void asking(void **state)
{
    struct rig_fields fields;
    struct zq_cache_control cc;

    zq_policy_asked(rig_fields(&fields, "cache-control: max-stale, min-fresh=5\n"
                                        "cache-control: only-if-cached, max-age=\"7\""),
                    &cc);
    assert_true(cc.max_stale.given && cc.max_stale.seconds == VERY_LARGE);
    assert_true(cc.min_fresh.seconds == 5 && cc.max_age.seconds == 7 && cc.only_if_cached);
    assert_false(cc.no_cache);
    zq_policy_asked(rig_fields(&fields, "cache-control: max-stale=3"), &cc);
    assert_int_equal(cc.max_stale.seconds, 3);
    zq_policy_asked(rig_fields(&fields, "cache-control: max-stale=x"), &cc);
    assert_true(cc.max_stale.given && cc.max_stale.seconds == 0);
    /* 5.4 */
    zq_policy_asked(rig_fields(&fields, "pragma: x, No-Cache"), &cc);
    assert_true(cc.no_cache);
    zq_policy_asked(rig_fields(&fields, "pragma: no-cache\ncache-control: max-age=1"), &cc);
    assert_false(cc.no_cache);
}

static void field_lists(void **state)
{
    struct rig_fields fields;
    const struct zq_fields *f =
        rig_fields(&fields, "Cache-Control: no-cache=\"x-a, X-B\"\n"
                            "Cache-Control: private=\"x-c\", max-age=\"x-d\"");

    assert_true(zq_cache_control_names(f, ZQ_SLICE("X-A")));
    assert_true(zq_cache_control_names(f, ZQ_SLICE("x-b")));
    assert_true(zq_cache_control_names(f, ZQ_SLICE("x-c")));
    assert_false(zq_cache_control_names(f, ZQ_SLICE("x-d")));
}

static void freshness_lifetimes(void **state)
{
    struct zq_freshness freshness;
    int wrong = 0;

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(lifetimes); i++) {
        const struct lifetime_row *r = &lifetimes[i];
        judge(NULL, 200, r->response, &freshness);
        if (freshness.lifetime_ms == r->seconds * 1000)
            continue;
        wrong++;
        print_error("RFC 9111 %s: %s: %lld ms, wanted %lld s\n", r->section, r->response,
                    (long long)freshness.lifetime_ms, (long long)r->seconds);
    }
    assert_int_equal(wrong, 0);
}

/* ---- how old ---- */

struct age_row {
    const char *section, *response;
    int64_t delay_ms, age_ms;
};

static const struct age_row ages[] = {
    {"4.2.3", NULL, 0, 0},
    {"4.2.3", DATE, 0, 0},
    {"4.2.3", "Date: Sun, 06 Nov 1994 08:49:07 GMT", 0, 30000},
    {"4.2.3", "Date: Sun, 06 Nov 1994 08:59:07 GMT", 0, 0},
    {"4.2.3", "Age: 10", 0, 10000},
    {"4.2.3", "Age: 10", 1500, 11500},
    {"4.2.3", "Age: 10\nDate: Sun, 06 Nov 1994 08:49:07 GMT", 1500, 30000},
    {"4.2.3", "Age: 40\nDate: Sun, 06 Nov 1994 08:49:07 GMT", 0, 40000},
    {"4.2.3", NULL, 300, 300},
    {"4.2.3", NULL, -300, 0},
    {"5.1", "Age: 10, 20", 0, 10000},
    {"5.1", "Age: 10\nAge: 20", 0, 10000},
    {"5.1", "Age: -10", 0, 0},
    {"5.1", "Age: 1.5", 0, 0},
    {"5.1", "Age: abc", 0, 0},
    {"5.1", "Age: abc, 10", 0, 0},
    {"5.1", "Age:", 0, 0},
    {"1.2.2", "Age: 99999999999999999999", 0, VERY_LARGE * 1000},
};

static void initial_ages(void **state)
{
    int wrong = 0;

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(ages); i++) {
        struct rig_fields fields;
        struct zq_freshness freshness;
        struct zq_policy_exchange x = {
            .status = 200,
            .response = rig_fields(&fields, ages[i].response),
            .request_ms = 5000,
            .response_ms = 5000 + ages[i].delay_ms,
            .now = NOW,
        };
        zq_policy_judge(&x, &freshness);
        if (freshness.initial_age_ms == ages[i].age_ms)
            continue;
        wrong++;
        print_error("RFC 9111 %s: %s: %lld ms, wanted %lld\n", ages[i].section, ages[i].response,
                    (long long)freshness.initial_age_ms, (long long)ages[i].age_ms);
    }
    assert_int_equal(wrong, 0);
}

/* RFC 9111 4.2: fresh while the lifetime is greater than the current age; 4.2.3: which grows with
 * the time that it resides here, on the monotonic clock. */
static void growing_old(void **state)
{
    struct zq_freshness f = {.lifetime_ms = 60000, .initial_age_ms = 10000, .response_ms = 5000};

    assert_int_equal(zq_freshness_age_ms(&f, 5000), 10000);
    assert_int_equal(zq_freshness_age_ms(&f, 4000), 10000);
    assert_int_equal(zq_freshness_age_ms(&f, 54999), 59999);
    assert_true(zq_freshness_is_fresh(&f, 54999));
    assert_false(zq_freshness_is_fresh(&f, 55000));
}

/* RFC 9111 4.2.4: what is made stale before its time may be used stale from there on; what was
 * stale already, from when it became so. */
static void growing_old_early(void **state)
{
    struct zq_freshness f = {.lifetime_ms = 60000, .initial_age_ms = 10000, .response_ms = 5000};
    static const int64_t ends_ms[][2] = {
        {4000, 10000},  {5000, 10000},  {5001, 10001},          {54999, 59999},
        {55000, 60000}, {90000, 60000}, {INT64_MAX / 2, 60000},
    };

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(ends_ms); i++)
        assert_int_equal(zq_freshness_lifetime_until(&f, ends_ms[i][0]), ends_ms[i][1]);
    f.lifetime_ms = zq_freshness_lifetime_until(&f, 15000);
    assert_false(zq_freshness_is_fresh(&f, 15000));
    assert_true(zq_freshness_permits(&f, 45000, 30000));
    assert_false(zq_freshness_permits(&f, 45001, 30000));
    f.strict = true;
    assert_false(zq_freshness_permits(&f, 15000, 30000));
}

/* ---- requests ---- */

struct trait_row {
    const char *request;
    unsigned traits;
};

static const struct trait_row traits[] = {
    {NULL, 0},
    {"accept: */*\nhost: a", 0},
    {"cookie: a=1", ZQ_REQUEST_COOKIE},
    {"authorization: Basic x", ZQ_REQUEST_AUTHORIZATION},
    {"cookie: a\nauthorization: b", ZQ_REQUEST_CREDENTIALS},
    {"range: bytes=0-1", ZQ_REQUEST_SELECTIVE | ZQ_REQUEST_RANGE},
    {"if-range: \"a\"", ZQ_REQUEST_SELECTIVE},
    {"if-match: \"a\"", ZQ_REQUEST_ORIGINAL},
    {"if-none-match: \"a\"", ZQ_REQUEST_SELECTIVE},
    {"if-modified-since: x", ZQ_REQUEST_SELECTIVE},
    {"if-unmodified-since: x", ZQ_REQUEST_ORIGINAL},
    {"x-http-method-override: DELETE", ZQ_REQUEST_OVERRIDE},
    {"x-http-method: DELETE", ZQ_REQUEST_OVERRIDE},
    {"x-method-override: DELETE", ZQ_REQUEST_OVERRIDE},
    {"x-method-overrids: DELETE", 0},
    {"x-original-url: /admin", ZQ_REQUEST_OVERRIDE},
    {"x-rewrite-url: /admin", ZQ_REQUEST_OVERRIDE},
    {"cache-control: no-store", ZQ_REQUEST_NO_STORE},
    {"cache-control: max-age=0\ncache-control: no-transform, No-Store",
     ZQ_REQUEST_NO_STORE | ZQ_REQUEST_NO_TRANSFORM},
    {"cache-control: max-age=0, no-cache, only-if-cached", 0},
    /* Names of the same lengths that mean nothing here. */
    {"trail: 1\nexpect: 1\nif-horse: 1\nx-rewrite-uri: 1\nx-original-uri: 1", 0},
    {"if-modified-sinze: 1\nif-unmodified-sinze: 1\nx-http-method-overrids: 1", 0},
};

static void what_requests_say(void **state)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(traits); i++) {
        struct rig_fields fields;
        unsigned got = zq_policy_request(rig_fields(&fields, traits[i].request));
        if (got != traits[i].traits)
            fail_msg("%s: %u, wanted %u", traits[i].request, got, traits[i].traits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storing),           cmocka_unit_test(freshness_lifetimes),
        cmocka_unit_test(initial_ages),      cmocka_unit_test(growing_old),
        cmocka_unit_test(growing_old_early), cmocka_unit_test(what_requests_say),
        cmocka_unit_test(choosing),          cmocka_unit_test(asking),
        cmocka_unit_test(field_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
