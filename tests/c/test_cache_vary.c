#include "test_cache_rig.h"

#include "cache/vary.h"

/* Does a response with these Vary lines, stored for `first`, answer `second`? */
static bool selects(const char *vary, const char *first, const char *second)
{
    struct rig_fields response, a, b;
    struct zq_buf block = {0};

    rig_fields(&response, vary);
    assert_true(zq_vary_selects(&response.fields));
    assert_int_equal(zq_vary_build(&block, &response.fields, rig_fields(&a, first)), 0);
    rig_fields(&b, second);
    struct zq_slice s = zq_slice(block.n ? zq_buf_data(&block) : NULL, block.n);
    assert_true(zq_vary_match(s, &a.fields));
    bool matches = zq_vary_match(s, &b.fields);
    /* What was stored for the one answers the other exactly when the two look alike. */
    assert_int_equal(matches, zq_vary_alike(s, &a.fields, &b.fields));
    assert_int_equal(matches, zq_vary_alike(s, &b.fields, &a.fields));
    zq_buf_fini(&block);
    return matches;
}

/* RFC 9111 4.1 */
static void named_fields_select(void **state)
{
    assert_true(selects(NULL, "accept: a", "accept: b"));
    assert_true(selects("Vary:", "accept: a", "accept: b"));
    assert_true(selects("Vary: Accept", "accept: a", "accept: a"));
    assert_false(selects("Vary: Accept", "accept: a", "accept: b"));
    assert_false(selects("Vary: Accept", "accept: a", "accept: A"));
    assert_false(selects("vary: ACCEPT", "accept: a", "accept: ab"));
    assert_false(selects("vary: ACCEPT", "accept: ab", "accept: a"));
    assert_true(selects("Vary: Accept", "accept: a\nx: 1", "x: 2\naccept: a"));
    assert_false(selects("Vary: Accept, X", "accept: a\nx: 1", "x: 2\naccept: a"));
    assert_false(selects("Vary: Accept\nVary: X", "accept: a\nx: 1", "x: 2\naccept: a"));
    assert_false(selects("Vary: Accept,Accept,X", "accept: a\nx: 1", "x: 2\naccept: a"));
    assert_true(selects("Vary: Accept,accept", "accept: a\nx: 1", "x: 2\naccept: a"));
}

/* RFC 9111 4.1: an absent field matches only an absent one. */
static void absent_is_not_empty(void **state)
{
    assert_true(selects("Vary: Accept", NULL, "x: 1"));
    assert_false(selects("Vary: Accept", NULL, "accept: a"));
    assert_false(selects("Vary: Accept", "accept: a", NULL));
    assert_false(selects("Vary: Accept", "accept:", NULL));
    assert_false(selects("Vary: Accept", NULL, "accept:"));
    assert_true(selects("Vary: Accept", "accept:", "accept: "));
    assert_false(selects("Vary: Cookie", "cookie:", NULL));
}

/* RFC 9111 4.1: whitespace and the division into lines are normalised. */
static void lists_are_normalised(void **state)
{
    assert_true(
        selects("Vary: Accept-Encoding", "accept-encoding: gzip, br", "accept-encoding: gzip,br"));
    assert_true(selects("Vary: Accept-Encoding", "accept-encoding: gzip\naccept-encoding: br",
                        "accept-encoding: gzip ,\tbr"));
    assert_true(selects("Vary: foo", "foo: 1,2", "foo:  1,  2 "));
    assert_true(selects("Vary: foo", "foo: 1,2", "foo: ,1,,2,"));
    assert_false(selects("Vary: foo", "foo: 1,2", "foo: 2,1"));
    assert_false(selects("Vary: foo", "foo: 1,2", "foo: 12"));
    assert_false(selects("Vary: foo", "foo: 1,2", "foo: 1"));
    assert_false(selects("Vary: foo", "foo: 1 2", "foo: 1  2"));
    /* Quoted strings are one member, and broken ones do not make two requests alike. */
    assert_false(selects("Vary: foo", "foo: \"1, 2\"", "foo: \"1,2\""));
    assert_false(selects("Vary: foo", "foo: \"1\nfoo: 2\"", "foo: \"1,2\""));
}

/* RFC 6265 4.2.1, RFC 9110 11.6.2: no lists. */
static void credentials_are_compared_as_they_came(void **state)
{
    assert_true(selects("Vary: Cookie", "cookie: a=1; b=2", "cookie: a=1; b=2"));
    assert_false(selects("Vary: Cookie", "cookie: a=1,2", "cookie: a=1, 2"));
    assert_false(selects("Vary: Cookie", "cookie: a=1; b=2", "cookie: a=1\ncookie: b=2"));
    assert_false(selects("Vary: Authorization", "authorization: Digest a=1,b=2",
                         "authorization: Digest a=1, b=2"));
}

static void long_values(void **state)
{
    static char a[20000], b[20000];

    memset(a, 'a', sizeof(a) - 1);
    memcpy(a, "foo: ", 5);
    memcpy(b, a, sizeof(b));
    b[sizeof(b) - 2] = 'b';
    assert_true(selects("Vary: foo", a, a));
    assert_false(selects("Vary: foo", a, b));
}

/* RFC 9110 12.5.5 */
static void what_selects_nothing(void **state)
{
    static const char *const bad[] = {"*", "a, *", "*, a", "a b", "a/b", "\"a\"", "a\x80"};

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(bad); i++) {
        struct zq_field f = {ZQ_SLICE("Vary"), zq_slice_str(bad[i])};
        assert_false(zq_vary_selects(&(struct zq_fields){&f, 1}));
    }
    struct zq_field nul = {ZQ_SLICE("Vary"), ZQ_SLICE("a\0b")};
    assert_false(zq_vary_selects(&(struct zq_fields){&nul, 1}));
    static char name[70000];
    memset(name, 'a', sizeof(name));
    struct zq_field long_name = {ZQ_SLICE("Vary"), zq_slice(name, sizeof(name))};
    assert_false(zq_vary_selects(&(struct zq_fields){&long_name, 1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(named_fields_select),
        cmocka_unit_test(absent_is_not_empty),
        cmocka_unit_test(lists_are_normalised),
        cmocka_unit_test(credentials_are_compared_as_they_came),
        cmocka_unit_test(long_values),
        cmocka_unit_test(what_selects_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
