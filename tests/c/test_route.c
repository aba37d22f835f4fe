/* src/base/route*.c: patterns, and which of them a path matches. */
#include "zq/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char *const GET = "GET";

static void add(struct zq_route_tree *tree, const char *pattern, const char *methods)
{
    void *conflict;

    assert_int_equal(zq_route_tree_add(tree, zq_slice_str(pattern), zq_slice_str(methods),
                                       (void *)(uintptr_t)pattern, &conflict),
                     0);
}

static struct zq_route_tree *tree_of(const char *const *patterns)
{
    struct zq_route_tree *tree = zq_route_tree_new();

    assert_non_null(tree);
    for (; *patterns != NULL; patterns++)
        add(tree, *patterns, GET);
    return tree;
}

static const char *match(const struct zq_route_tree *tree, const char *path, const char *method)
{
    struct zq_route_match m;

    return zq_route_tree_match(tree, zq_slice_str(path), zq_slice_str(method), &m) ? m.user : "";
}

#define assert_match(tree, path, pattern) assert_string_equal(match(tree, path, GET), pattern)

static void exact_before_pattern(void **state)
{
    static const char *const patterns[] = {"/a/<path:rest>", "/a/<name>", "/a/<int:n>",
                                           "/a/<uuid:u>",    "/a/new",    "/a/<float:f>",
                                           "/a/n<name>",     "/a/<n>.js", NULL};
    struct zq_route_tree *tree = tree_of(patterns);

    (void)state;
    assert_match(tree, "/a/new", "/a/new");
    assert_match(tree, "/a/12", "/a/<int:n>");
    assert_match(tree, "/a/12.5", "/a/<float:f>");
    assert_match(tree, "/a/0123abcd-0123-abcd-0123-0123456789ab", "/a/<uuid:u>");
    assert_match(tree, "/a/other", "/a/<name>");
    assert_match(tree, "/a/next", "/a/n<name>");
    assert_match(tree, "/a/next.js", "/a/<n>.js");
    assert_match(tree, "/a/.js", "/a/<name>");
    assert_match(tree, "/a/x/y", "/a/<path:rest>");
    assert_match(tree, "/a/", "");
    assert_match(tree, "/a", "");
    zq_route_tree_free(tree);
}

static void a_choice_that_leads_nowhere_is_taken_back(void **state)
{
    static const char *const patterns[] = {"/a/b/c", "/a/<x>/d", "/<path:p>", NULL};
    struct zq_route_tree *tree = tree_of(patterns);

    (void)state;
    assert_match(tree, "/a/b/c", "/a/b/c");
    assert_match(tree, "/a/b/d", "/a/<x>/d");
    assert_match(tree, "/a/b/e", "/<path:p>");
    assert_match(tree, "/", "");
    zq_route_tree_free(tree);
}

static void types_are_strict(void **state)
{
    static const char *const patterns[] = {"/i/<int:n>", "/f/<float:n>", "/u/<uuid:n>", NULL};
    static const char *const none[] = {
        "/i/-1",
        "/i/1a",
        "/i/",
        "/i/1.0",
        "/f/1",
        "/f/1.",
        "/f/.5",
        "/f/1.2.3",
        "/f/1e5",
        "/u/0123abcd0123abcd01230123456789ab",
        "/u/0123abcd-0123-abcd-0123-0123456789ag",
    };
    struct zq_route_tree *tree = tree_of(patterns);

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(none); i++)
        assert_match(tree, none[i], "");
    assert_match(tree, "/i/007", "/i/<int:n>");
    assert_match(tree, "/f/0.25", "/f/<float:n>");
    assert_match(tree, "/u/0123ABCD-0123-abcd-0123-0123456789ab", "/u/<uuid:n>");
    zq_route_tree_free(tree);
}

/* A pattern's one parameter is in its last segment. */
static void assert_takes(const char *pattern, const char *text, bool expected)
{
    struct zq_route_piece piece;
    struct zq_slice value;

    assert_null(zq_route_piece(zq_slice_str(pattern), &piece));
    if (zq_route_piece_takes(&piece, zq_slice_str(text), &value) != expected)
        fail_msg("%s %s %s", pattern, expected ? "does not take" : "takes", text);
}

static void arguments_bound_a_type(void **state)
{
    static const struct {
        const char *pattern, *takes[5], *not [7];
    } cases[] = {
        {"<str(length=2):x>", {"ab", "--"}, {"a", "abc", ""}},
        {"<str(minlength=2,maxlength=3):x>", {"ab", "abc"}, {"a", "abcd"}},
        {"<str(minlength=0):x>", {"", "a"}, {NULL}},
        {"v<slug(maxlength=3):x>.js", {"vA-_.js", "v9.js"}, {"v.js", "vabcd.js", "va.b.js"}},
        {"<chars(a-c.9-):x>", {"a.b", "c-9"}, {"d", "8", "a/b", ""}},
        {"<chars(a):x>", {"a", "aaa"}, {"b", "A"}},
        {"<any(a,ab,json):x>", {"a", "ab", "json"}, {"", "b", "a,ab", "jso", "abc", ","}},
        {"v<any(1,12):x>2", {"v12", "v122"}, {"v1", "v2"}},
        {"<int(min=3,max=120):x>",
         {"3", "120", "0003"},
         {"2", "121", "-3", "99999999999999999999"}},
        {"<int(signed,min=-5,max=-2):x>", {"-5", "-2", "-02"}, {"-6", "-1", "5", "-", "--5"}},
        {"<int(signed):x>", {"-0", "12"}, {"+1", "1-", "-"}},
        {"<int(max=999999999999999999):x>",
         {"999999999999999999"},
         {"1000000000000000000", "18446744073709551617"}},
        {"<int(length=4):x>", {"0012"}, {"12", "00012"}},
        {"<float(signed):x>", {"-1.5", "1.5"}, {"1", "-1", "-.5", "1.5-"}},
        {"<float(loose):x>", {"1", "1.5"}, {"1.", ".5", "-1", ""}},
        {"<uuid(lower):x>",
         {"0123abcd-0123-4567-89ab-0123456789ab"},
         {"0123ABCD-0123-4567-89ab-0123456789ab", "0123abcd0123456789ab0123456789ab"}},
        {"<uuid(loose):x>",
         {"0123abcd0123456789ab0123456789AB", "0123abcd-0123456789ab-0123456789ab",
          "0123abcd-0123-4567-89ab-0123456789ab"},
         {"0123abcd--0123456789ab0123456789ab", "0123abcd0123456789ab0123456789a-b",
          "0123abcd0123456789ab0123456789ab-"}},
        {"<path(minlength=0):x>", {"", "a/b/"}, {NULL}},
        {"<path(maxlength=3):x>", {"a/b"}, {"", "a/bc"}},
    };

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(cases); i++) {
        for (size_t j = 0; j < 5 && cases[i].takes[j] != NULL; j++)
            assert_takes(cases[i].pattern, cases[i].takes[j], true);
        for (size_t j = 0; j < 7 && cases[i].not [j] != NULL; j++)
            assert_takes(cases[i].pattern, cases[i].not [j], false);
    }
}

static void who_has_arguments_goes_first(void **state)
{
    static const char *const patterns[] = {"/a/<int:n>",           "/a/<int(min=5,max=9):n>",
                                           "/a/<any(7,x):n>",      "/a/<slug:n>",
                                           "/a/<chars(x-z):n>",    "/a/<str(length=3):n>",
                                           "/a/<str:n>",           "/a/<path(minlength=0):n>",
                                           "/a/<int(length=4):n>", NULL};
    struct zq_route_tree *tree = tree_of(patterns);

    (void)state;
    assert_match(tree, "/a/7", "/a/<any(7,x):n>");
    assert_match(tree, "/a/8", "/a/<int(min=5,max=9):n>");
    assert_match(tree, "/a/12", "/a/<int:n>");
    assert_match(tree, "/a/1234", "/a/<int(length=4):n>");
    assert_match(tree, "/a/xyz", "/a/<chars(x-z):n>");
    assert_match(tree, "/a/a-b", "/a/<slug:n>");
    assert_match(tree, "/a/a.b", "/a/<str(length=3):n>");
    assert_match(tree, "/a/a.bc", "/a/<str:n>");
    assert_match(tree, "/a/", "/a/<path(minlength=0):n>");
    assert_match(tree, "/a/b/c", "/a/<path(minlength=0):n>");
    assert_match(tree, "/a", "");
    zq_route_tree_free(tree);
}

/* Issue 4: 'a natively answered route matches only paths that normalisation leaves unchanged'. */
static void only_plain_paths_match(void **state)
{
    static const char *const patterns[] = {"/a/b", "/x/<path:p>", "/s/<name>", "/s/<name>/",
                                           "/%41", "/c;d",        "/p//q",     NULL};
    static const char *const none[] = {
        "/a/%62", "/a//b", "//a/b", "/a/./b",      "/a/../a/b", "/a/b;v=1", "/a\\b",   "a/b",
        "",       "*",     "/x/..", "/x/.",        "/x/a/../b", "/x/a%2Fb", "/x/a//b", "/s/a%00",
        "/%41",   "/c;d",  "/p//q", "/x/%2e%2e/b", "/a/b/",     "/A/b",     "/s/a;x",
    };
    struct zq_route_tree *tree = tree_of(patterns);

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(none); i++)
        assert_match(tree, none[i], "");
    assert_match(tree, "/a/b", "/a/b");
    assert_match(tree, "/s/a", "/s/<name>");
    assert_match(tree, "/s/a/", "/s/<name>/");
    assert_match(tree, "/x/a/", "/x/<path:p>");
    assert_match(tree, "/x/...", "/x/<path:p>");
    zq_route_tree_free(tree);
}

static void parameters_have_the_names_of_their_own_pattern(void **state)
{
    struct zq_route_tree *tree = zq_route_tree_new();
    struct zq_route_match m;

    (void)state;
    add(tree, "/c/<int:id>", "GET");
    add(tree, "/c/<int:other>/v<b>.x", "POST");
    assert_true(zq_route_tree_match(tree, ZQ_SLICE("/c/7/vtwo.x"), ZQ_SLICE("POST"), &m));
    assert_int_equal(m.n, 2);
    assert_true(zq_slice_eq(m.parameters[0].name, ZQ_SLICE("other")));
    assert_true(zq_slice_eq(m.parameters[0].value, ZQ_SLICE("7")));
    assert_int_equal(m.parameters[0].type, ZQ_ROUTE_INT);
    assert_true(zq_slice_eq(m.parameters[1].name, ZQ_SLICE("b")));
    assert_true(zq_slice_eq(m.parameters[1].value, ZQ_SLICE("two")));
    zq_route_tree_free(tree);
}

static void methods_choose_and_get_answers_head(void **state)
{
    struct zq_route_tree *tree = zq_route_tree_new();

    (void)state;
    add(tree, "/m/<x>", "GET,POST");
    add(tree, "/m/one", "PUT");
    assert_string_equal(match(tree, "/m/one", "PUT"), "/m/one");
    assert_string_equal(match(tree, "/m/one", "GET"), "/m/<x>");
    assert_string_equal(match(tree, "/m/one", "HEAD"), "/m/<x>");
    assert_string_equal(match(tree, "/m/one", "DELETE"), "");
    assert_string_equal(match(tree, "/m/two", "PUT"), "");
    zq_route_tree_free(tree);
}

static void conflicts_are_told(void **state)
{
    struct zq_route_tree *tree = zq_route_tree_new();
    void *conflict;

    (void)state;
    add(tree, "/c/<int:a>", "GET");
    add(tree, "/c/<int:b>", "POST,PUT");
    assert_int_equal(
        zq_route_tree_add(tree, ZQ_SLICE("/c/<int:z>"), ZQ_SLICE("PATCH,PUT"), NULL, &conflict),
        ZQ_EINVAL);
    assert_string_equal(conflict, "/c/<int:b>");
    assert_int_equal(
        zq_route_tree_add(tree, ZQ_SLICE("/c/<int:z>"), ZQ_SLICE("HEAD"), NULL, &conflict),
        ZQ_EINVAL);
    assert_string_equal(conflict, "/c/<int:a>");
    assert_int_equal(zq_route_tree_add(tree, ZQ_SLICE("/c/<z>"), ZQ_SLICE("GET"), NULL, &conflict),
                     0);
    zq_route_tree_free(tree);
}

static void faults_are_told(void **state)
{
    static const char *const faulty[] = {
        "",
        "a",
        "/<",
        "/>",
        "/<a",
        "/a>b<",
        "/<a><b>",
        "/<>",
        "/<1a>",
        "/<a-b>",
        "/<nix:a>",
        "/<int:>",
        "/<a>/<a>",
        "/<path:a>/b",
        "/<path:a>.x",
        "/<path(minlength=0):a>/b",
        "/<int():a>",
        "/<int(:a>",
        "/<int(min=1:a>",
        "/<any:a>",
        "/<any():a>",
        "/<any(a,,b):a>",
        "/<chars:a>",
        "/<chars(b-a):a>",
        "/<chars(!):a>",
        "/<chars(a-~):a>",
        "/<chars(,length=1):a>",
        "/<int(min=2,max=1):a>",
        "/<str(minlength=2,maxlength=1):a>",
        "/<str(min=1):a>",
        "/<str(length=-1):a>",
        "/<str(length=):a>",
        "/<str(length=1,):a>",
        "/<int(min=1000000000000000000):a>",
        "/<int(lower):a>",
        "/<uuid(signed):a>",
        "/<float(min=1):a>",
        "/<a>/<b>/<c>/<d>/<e>/<f>/<g>/<h>/<i>/<j>/<k>/<l>/<m>/<n>/<o>/<p>/<q>",
    };
    struct zq_route_tree *tree = zq_route_tree_new();
    void *conflict;

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(faulty); i++) {
        assert_non_null(zq_route_fault(zq_slice_str(faulty[i])));
        assert_int_equal(
            zq_route_tree_add(tree, zq_slice_str(faulty[i]), ZQ_SLICE("GET"), NULL, &conflict),
            ZQ_EINVAL);
        assert_null(conflict);
    }
    assert_null(zq_route_fault(ZQ_SLICE("/")));
    assert_null(zq_route_fault(ZQ_SLICE("/a/<_x1>/b-<int:y>.z/<path:p>")));
    zq_route_tree_free(tree);
}

static void many_literals_are_found(void **state)
{
    static char names[3000][16];
    struct zq_route_tree *tree = zq_route_tree_new();

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(names); i++) {
        snprintf(names[i], sizeof(names[i]), "/r%zu/x", i * 7919 % 3000);
        add(tree, names[i], "GET");
    }
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(names); i++)
        assert_match(tree, names[i], names[i]);
    assert_match(tree, "/r3000/x", "");
    zq_route_tree_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_before_pattern),
        cmocka_unit_test(a_choice_that_leads_nowhere_is_taken_back),
        cmocka_unit_test(types_are_strict),
        cmocka_unit_test(arguments_bound_a_type),
        cmocka_unit_test(who_has_arguments_goes_first),
        cmocka_unit_test(only_plain_paths_match),
        cmocka_unit_test(parameters_have_the_names_of_their_own_pattern),
        cmocka_unit_test(methods_choose_and_get_answers_head),
        cmocka_unit_test(conflicts_are_told),
        cmocka_unit_test(faults_are_told),
        cmocka_unit_test(many_literals_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
