/* src/front/forwarded.c: who is believed, and what. */
#include "front/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#define assert_slice(actual, literal) assert_true(zq_slice_eq((actual), zq_slice_str(literal)))

static struct trusted_peers *peers_of(char *words)
{
    struct zq_config_error error;
    struct trusted_peers *peers = trusted_peers_new(&(struct zq_strings){&words, 1}, &error);

    assert_non_null(peers);
    return peers;
}

static bool trusts(const struct trusted_peers *peers, const char *host)
{
    return trusted_peers_have(peers, &(struct zq_address){.host = zq_slice_str(host)});
}

static void peers_are_addresses_and_networks(void **state)
{
    struct trusted_peers *p = peers_of("127.0.0.1, 10.1.0.0/16,2001:db8::/33, ::1");

    (void)state;
    assert_true(trusts(p, "127.0.0.1"));
    assert_false(trusts(p, "127.0.0.2"));
    assert_true(trusts(p, "10.1.255.255"));
    assert_false(trusts(p, "10.2.0.0"));
    assert_true(trusts(p, "::1"));
    assert_true(trusts(p, "2001:db8:7fff::1"));
    assert_false(trusts(p, "2001:db8:8000::1"));
    assert_true(trusts(p, "::ffff:127.0.0.1"));
    assert_false(trusts(p, "localhost"));
    assert_false(trusts(p, ""));
    assert_false(trusted_peers_have(p, &(struct zq_address){.is_unix = true}));
    trusted_peers_free(p);

    p = peers_of("unix");
    assert_true(trusted_peers_have(p, &(struct zq_address){.is_unix = true}));
    assert_false(trusts(p, "127.0.0.1"));
    trusted_peers_free(p);

    p = peers_of("*");
    assert_true(trusted_peers_have(p, &(struct zq_address){.is_unix = true}));
    assert_true(trusts(p, "192.0.2.1"));
    trusted_peers_free(p);

    p = peers_of("0.0.0.0/0");
    assert_true(trusts(p, "192.0.2.1"));
    assert_false(trusts(p, "::1"));
    trusted_peers_free(p);
}

static void a_bad_word_is_named(void **state)
{
    static char *const bad[] = {"10.0.0.0/33", "2001:db8::/129", "localhost", "1.2.3",
                                "10.0.0.0/",   "10.0.0.0/8x",    "/8"};
    struct zq_config_error error;

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(bad); i++) {
        char *word = bad[i];
        assert_null(trusted_peers_new(&(struct zq_strings){&word, 1}, &error));
        assert_non_null(strstr(error.text, word));
        assert_non_null(strstr(error.text, "--forwarded-allow-ips"));
    }
}

/* A request from 127.0.0.1 with these fields; returns what forwarded_apply does. */
static bool apply(const struct trusted_peers *peers, struct zq_request *r, struct zq_field *fields,
                  size_t n)
{
    *r = (struct zq_request){
        .scheme = ZQ_SLICE("http"),
        .host = ZQ_SLICE("inner"),
        .fields = {fields, n},
        .client = {.host = ZQ_SLICE("127.0.0.1"), .port = 5},
    };
    return forwarded_apply(peers, r);
}

static void a_trusted_peer_is_believed(void **state)
{
    struct trusted_peers *p = peers_of("127.0.0.1");
    struct zq_field fields[] = {
        {ZQ_SLICE("host"), ZQ_SLICE("inner")},
        {ZQ_SLICE("x-forwarded-proto"), ZQ_SLICE("HTTPS")},
        {ZQ_SLICE("x-forwarded-host"), ZQ_SLICE("example.org:8443")},
        {ZQ_SLICE("x-forwarded-for"), ZQ_SLICE("198.51.100.7")},
    };
    struct zq_request r;

    (void)state;
    assert_false(apply(p, &r, fields, 4));
    assert_slice(r.scheme, "https");
    assert_slice(r.host, "example.org:8443");
    assert_slice(fields[0].value, "example.org:8443");
    assert_slice(fields[2].value, "example.org:8443"); /* passed on */
    assert_slice(r.client.host, "198.51.100.7");
    assert_int_equal(r.client.port, 0);
    trusted_peers_free(p);
}

static void others_are_believed_by_nobody(void **state)
{
    struct trusted_peers *p = peers_of("192.0.2.1");
    struct zq_field fields[] = {
        {ZQ_SLICE("host"), ZQ_SLICE("inner")},
        {ZQ_SLICE("x-forwarded-proto"), ZQ_SLICE("https")},
        {ZQ_SLICE("x-forwarded-host"), ZQ_SLICE("evil.example")},
        {ZQ_SLICE("x-forwarded-for"), ZQ_SLICE("198.51.100.7")},
    };
    struct zq_request r;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_true(apply(i ? p : NULL, &r, fields, 4));
        assert_slice(r.scheme, "http");
        assert_slice(r.host, "inner");
        assert_slice(r.client.host, "127.0.0.1");
    }
    assert_false(apply(p, &r, fields, 1)); /* nothing to vouch for */
    struct zq_field forwarded = {ZQ_SLICE("forwarded"), ZQ_SLICE("host=evil.example")};
    assert_true(apply(p, &r, &forwarded, 1));
    struct zq_field prefix = {ZQ_SLICE("x-forwarded-prefix"), ZQ_SLICE("/evil")};
    assert_true(apply(p, &r, &prefix, 1));
    trusted_peers_free(p);
}

/* The client is the rightmost address that is no trusted proxy; proto and host are taken from the
 * same hop. */
static void chains_are_walked_from_the_right(void **state)
{
    static const struct {
        const char *chain, *client, *protos, *scheme;
    } rows[] = {
        {"1.1.1.1", "1.1.1.1", "https", "https"},
        {"6.6.6.6, 1.1.1.1", "1.1.1.1", "https", "https"},
        {"6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1", "http, https, http", "https"},
        {"10.0.0.3, 10.0.0.2", "10.0.0.3", "https, http", "https"},
        {"1.1.1.1:4711", "1.1.1.1", "https", "https"},
        {"[2001:db8::1]:4711", "2001:db8::1", "https", "https"},
        {"2001:db8::1", "2001:db8::1", "http", "http"},
        {"unknown", "127.0.0.1", "https", "https"},
        {"unknown, 10.0.0.2", "10.0.0.2", "https", "https"},
        {"1.1.1.1, unknown, 10.0.0.3, 10.0.0.2", "10.0.0.3", "x, x, https, x", "https"},
        {"10.0.0.9, 1.1.1.1, 2.2.2.2, 10.0.0.2", "2.2.2.2", "x, x, https, x", "https"},
        {"10.0.0.9, 1.1.1.1, unknown", "127.0.0.1", "http, http, https", "https"},
        {"", "127.0.0.1", "https", "https"},
        {"1.1.1.1", "1.1.1.1", "gopher", "http"},
    };
    struct trusted_peers *p = peers_of("127.0.0.1,10.0.0.0/8");

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        struct zq_field fields[] = {
            {ZQ_SLICE("x-forwarded-for"), zq_slice_str(rows[i].chain)},
            {ZQ_SLICE("x-forwarded-proto"), zq_slice_str(rows[i].protos)},
        };
        struct zq_request r;
        assert_false(apply(p, &r, fields, 2));
        assert_slice(r.client.host, rows[i].client);
        assert_slice(r.scheme, rows[i].scheme);
    }
    trusted_peers_free(p);
}

/* As long as --limit-request-headers lets it be; it would take seconds to look for each member. */
static void a_long_chain_costs_its_length(void **state)
{
    static char chain[64 << 10];
    struct trusted_peers *p = peers_of("*");
    struct zq_field field = {ZQ_SLICE("x-forwarded-for"), zq_slice(chain, sizeof(chain))};
    struct zq_request r;

    (void)state;
    for (size_t i = 0; i < sizeof(chain); i += 4)
        memcpy(chain + i, "::2,", 4);
    clock_t start = clock();
    assert_false(apply(p, &r, &field, 1));
    assert_true(clock() - start < CLOCKS_PER_SEC);
    assert_slice(r.client.host, "::2");
    trusted_peers_free(p);
}

static void a_bad_host_is_ignored(void **state)
{
    static const char *const bad[] = {"a b",  "a/b", "user@host", "a\x01", "",
                                      "a\\b", "a?b", "a:99999",   "a:b",   "[::1"};
    struct trusted_peers *p = peers_of("*");

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(bad); i++) {
        struct zq_field field = {ZQ_SLICE("x-forwarded-host"), zq_slice_str(bad[i])};
        struct zq_request r;
        assert_false(apply(p, &r, &field, 1));
        assert_slice(r.host, "inner");
    }
    trusted_peers_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_are_addresses_and_networks),
        cmocka_unit_test(a_bad_word_is_named),
        cmocka_unit_test(a_trusted_peer_is_believed),
        cmocka_unit_test(others_are_believed_by_nobody),
        cmocka_unit_test(chains_are_walked_from_the_right),
        cmocka_unit_test(a_long_chain_costs_its_length),
        cmocka_unit_test(a_bad_host_is_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
