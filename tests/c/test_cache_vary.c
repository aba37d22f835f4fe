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
    assert_false(selects("Vary: X", "x: a", "x: A"));
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

static const struct {
    const char *name, *first, *second;
    bool same;
} wishes[] = {
    {"accept-language", "en, de", "de, en", true},
    {"accept-language", "en, de", "eN, De", true},
    {"accept-language", "en, de", " en ,   de", true},
    {"accept-language", "en;q=0.5, de", "de,en ; Q=0.500", true},
    {"accept-language", "en;q=1.000", "en", true},
    {"accept-language", "en;q=0.5, de", "en, de;q=0.5", false},
    {"accept-language", "en;q=0.5", "en;q=0.6", false},
    {"accept-language", "en;q=0.001", "en;q=0", false},
    {"accept-language", "en", "en-US", false},
    {"accept-language", "en", "en, en", false},
    {"accept-encoding", "gzip, br;q=0.9", "br;q=.9, gzip", false}, /* no qvalue: a range */
    {"accept-encoding", "gzip, br;q=0.9", "BR;q=0.9, gzip", true},
    {"accept-encoding", "gzip;q=1.001", "gzip", false},
    {"accept-encoding", "gzip;q=0.1234", "gzip;q=0.123", false},
    {"accept-encoding", "gzip;q=0.", "gzip;q=0", true},
    {"accept-charset", "utf-8, latin1;q=0", "latin1;q=0.0,UTF-8", true},
    {"accept", "text/html, */*;q=0.1", "*/*;q=0.1, TEXT/html", true},
    {"accept", "text/html;level=1;q=0.5", "text/html;level=1; q=0.5", true},
    {"accept", "text/html;level=a", "text/html;level=A", false}, /* a parameter's case may count */
    {"accept", "text/html;q=0.5;x=1", "text/html;q=0.5", false},
    {"accept-ranges", "b, a", "a, b", false}, /* not one of them */
};

/* RFC 9111 4.1, RFC 9110 12.5: of one weight and another range the order says nothing, nor does
 * case. */
static void order_without_meaning(void **state)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(wishes); i++) {
        char vary[64], first[64], second[64];
        snprintf(vary, sizeof(vary), "Vary: %s", wishes[i].name);
        snprintf(first, sizeof(first), "%s: %s", wishes[i].name, wishes[i].first);
        snprintf(second, sizeof(second), "%s: %s", wishes[i].name, wishes[i].second);
        if (selects(vary, first, second) != wishes[i].same)
            fail_msg("%s | %s", first, second);
    }
    assert_true(selects("Vary: Accept", "accept: a\naccept: b", "accept: b, a"));
    assert_false(selects("Vary: Accept", "accept: a", NULL));
}

/* More ranges than are sorted are compared as they came. */
static void long_lists_of_wishes(void **state)
{
    static char up[400], down[400], *u, *d;

    u = up + sprintf(up, "accept: ");
    d = down + sprintf(down, "accept: ");
    for (int i = 0; i < 33; i++) {
        u += sprintf(u, "%d,", 10 + i);
        d += sprintf(d, "%d,", 42 - i);
    }
    assert_true(selects("Vary: Accept", up, up));
    assert_false(selects("Vary: Accept", up, down));
    *strrchr(up, ',') = *strrchr(down, ',') = '\0';
    *strrchr(up, ',') = '\0';                        /* without the 42 */
    memmove(down + 8, down + 11, strlen(down) - 10); /* which comes first here */
    assert_true(selects("Vary: Accept", up, down));
}

static const struct {
    const char *content_language, *second;
    bool selected;
} languages[] = {
    {"de", "fr;q=0.5, de;q=1.0", true},
    {"de", "fr;q=0.5, DE", true},
    {"De", "de", true},
    {"de", "de, *;q=0.9", true},
    {"de", "fr, de", false}, /* as welcome as another */
    {"de", "fr, de;q=0.9", false},
    {"de", "de-AT", false},
    {"de", "de;q=0", false},
    {"de", NULL, false},
    {"de, en", "de", false},
    {"de\nContent-Language: en", "de", false},
};

/* RFC 9110 8.5, 12.5.4: a response in the language that is wished for most. */
static void a_language_selects(void **state)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(languages); i++) {
        struct rig_fields response, a, b;
        struct zq_buf block = {0};
        char text[128], second[64] = "";
        snprintf(text, sizeof(text), "Vary: Accept-Language\nContent-Language: %s",
                 languages[i].content_language);
        if (languages[i].second != NULL)
            snprintf(second, sizeof(second), "accept-language: %s", languages[i].second);
        assert_int_equal(zq_vary_build(&block, rig_fields(&response, text),
                                       rig_fields(&a, "accept-language: en, de")),
                         0);
        struct zq_slice s = zq_slice(zq_buf_data(&block), block.n);
        assert_true(zq_vary_match(s, &a.fields));
        if (zq_vary_match(s, rig_fields(&b, second)) != languages[i].selected)
            fail_msg("%s for %s", text, second);
        zq_buf_fini(&block);
    }
}

/* Another language in answer to the same request is no other variant. */
static void blocks_of_the_same_request(void **state)
{
    struct rig_fields response, request;
    struct zq_buf block[3] = {0};
    struct zq_slice s[3];
    static const char *const responses[] = {
        "Vary: Accept-Language\nContent-Language: de",
        "Vary: Accept-Language",
        "Vary: Accept-Language, X\nContent-Language: de",
    };

    for (int i = 0; i < 3; i++) {
        assert_int_equal(zq_vary_build(&block[i], rig_fields(&response, responses[i]),
                                       rig_fields(&request, "accept-language: de")),
                         0);
        s[i] = zq_slice(zq_buf_data(&block[i]), block[i].n);
    }
    assert_true(zq_vary_same(s[0], s[1]) && zq_vary_same(s[1], s[0]));
    assert_false(zq_vary_same(s[0], s[2]) || zq_vary_same(s[2], s[0]));
    for (int i = 0; i < 3; i++)
        zq_buf_fini(&block[i]);
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
        cmocka_unit_test(order_without_meaning),
        cmocka_unit_test(long_lists_of_wishes),
        cmocka_unit_test(a_language_selects),
        cmocka_unit_test(blocks_of_the_same_request),
        cmocka_unit_test(credentials_are_compared_as_they_came),
        cmocka_unit_test(long_values),
        cmocka_unit_test(what_selects_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
