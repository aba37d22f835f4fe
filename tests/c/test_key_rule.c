/* src/front/key_rule.c: what a route's rule leaves of a request. */
#include "front/key_rule.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct zq_slice names[8];

/* `a b c` as a list. */
static struct zq_slices list_of(const char *words)
{
    struct zq_slices list = {names, 0};

    while (*words != '\0') {
        size_t n = strcspn(words, " ");
        names[list.n++] = zq_slice(words, n);
        words += n + (words[n] == ' ');
    }
    return list;
}

static void check_target(const struct zq_key_rule *rule, const char *target, const char *expected)
{
    struct zq_arena arena = {0};
    struct zq_slice out;

    assert_int_equal(key_rule_target(rule, zq_slice_str(target), &arena, &out), 0);
    assert_int_equal(out.n, strlen(expected));
    assert_memory_equal(out.p, expected, out.n);
    zq_arena_fini(&arena);
}

static void an_allow_list_keeps_and_sorts(void **state)
{
    struct zq_key_rule rule = {.has_query = true, .query = list_of("page q s p")};

    (void)state;
    check_target(&rule, "/a", "/a");
    check_target(&rule, "/a?", "/a");
    check_target(&rule, "/a?utm=1", "/a");
    check_target(&rule, "/a?q=1&page=2&x=3", "/a?page=2&q=1");
    check_target(&rule, "/a?page=2&&q=1&", "/a?page=2&q=1");
    check_target(&rule, "/a?q=2&q=1&page", "/a?page&q=2&q=1"); /* their order may mean something */
    check_target(&rule, "/a?Q=1&q%20=1", "/a");
    check_target(&rule, "/a?%70age=1", "/a?%70age=1"); /* as the application decodes it */
    check_target(&rule, "/a?q=a?b=c&p=%26x=1", "/a?p=%26x=1&q=a?b=c");
    check_target(&rule, "/a?q=1;page=2", "/a?q=1;page=2"); /* one pair */
    check_target(&rule, "/a?%=1&%7=1&+=1", "/a");
    rule.query.n = 0;
    check_target(&rule, "/a?page=1", "/a");
}

static void an_ignore_list_drops_and_sorts(void **state)
{
    struct zq_key_rule rule = {.ignore_query = list_of("utm_* fbclid *_x*y")};

    (void)state;
    check_target(&rule, "/a?b=1&utm_source=x&a=2&fbclid=3&utm_=", "/a?a=2&b=1");
    check_target(&rule, "/a?utm=1&fbclid2=1", "/a?fbclid2=1&utm=1");
    check_target(&rule, "/a?utm%5Fsource=1&c_x12y=1&c_xy=2&c_x=3", "/a?c_x=3");
    check_target(&rule, "/a?=1&a+b=2", "/a?=1&a+b=2");
}

static void without_a_list_a_query_stays_as_it_is(void **state)
{
    struct zq_key_rule rule = {0};

    (void)state;
    check_target(&rule, "/a?b=1&a=2&&", "/a?b=1&a=2&&");
    check_target(&rule, "/a?", "/a?");
}

static void a_long_query_is_left_alone(void **state)
{
    struct zq_key_rule rule = {.has_query = true, .query = list_of("a")};
    static char target[4 + 2 * (KEY_RULE_PARAMETERS_MAX + 2)] = "/p?";

    (void)state;
    for (int i = 0; i <= KEY_RULE_PARAMETERS_MAX; i++)
        strcat(target, "b&");
    check_target(&rule, target, target);
    target[strlen(target) - 2] = '\0';
    check_target(&rule, target, "/p");
}

static void check_cookies(const char *wanted, const char *first, const char *second,
                          const char *expected)
{
    struct zq_key_rule rule = {.has_cookies = true, .cookies = list_of(wanted)};
    struct zq_field v[] = {
        {ZQ_SLICE("cookie"), zq_slice_str(first)},
        {ZQ_SLICE("host"), ZQ_SLICE("h")},
        {ZQ_SLICE("cookie"), zq_slice_str(second)},
    };
    struct zq_fields fields = {v, 3}, out;
    struct zq_arena arena = {0};

    assert_int_equal(key_rule_fields(&rule, &fields, &arena, &out), 0);
    const struct zq_field *f = zq_fields_find(&out, ZQ_SLICE("cookie"), NULL);
    assert_int_equal(out.n, expected != NULL ? 2 : 1);
    if (expected != NULL) {
        assert_int_equal(f->value.n, strlen(expected));
        assert_memory_equal(f->value.p, expected, f->value.n);
    }
    zq_arena_fini(&arena);
}

static void cookies_are_kept_by_name(void **state)
{
    (void)state;
    check_cookies("", "a=1; b=2", "c=3", NULL);
    check_cookies("b", "a=1; b=2", "c=3", "b=2");
    check_cookies("c b", "a=1;b=2 ;x", "c=3", "c=3; b=2");
    check_cookies("a", "a=1; a=2", "a", "a=1; a=2; a");
    check_cookies("a a", "a=1", "", "a=1");
    check_cookies("sid", "lang=\"x; sid=1\"", "SID=2", "sid=1\"");
    check_cookies("a", "a;a;a", "a;a", "a; a; a; a; a");
}

static void without_a_cookie_rule_fields_are_the_same(void **state)
{
    struct zq_key_rule rule = {0};
    struct zq_field v[] = {{ZQ_SLICE("cookie"), ZQ_SLICE("a=1")}};
    struct zq_fields fields = {v, 1}, out;
    struct zq_arena arena = {0};

    (void)state;
    assert_int_equal(key_rule_fields(&rule, &fields, &arena, &out), 0);
    assert_ptr_equal(out.v, v);
}

static void headers_and_cookies_select(void **state)
{
    struct zq_key_rule rule = {.headers = list_of("x-a x-b")};
    struct zq_arena arena = {0};

    (void)state;
    assert_true(zq_slice_eq(key_rule_selects(&rule, &arena), ZQ_SLICE("x-a, x-b")));
    rule.has_cookies = true;
    assert_true(zq_slice_eq(key_rule_selects(&rule, &arena), ZQ_SLICE("x-a, x-b")));
    rule.cookies = list_of("lang");
    rule.headers.n = 0;
    assert_true(zq_slice_eq(key_rule_selects(&rule, &arena), ZQ_SLICE("cookie")));
    rule.has_cookies = false;
    rule.cookies.n = 0;
    assert_int_equal(key_rule_selects(&rule, &arena).n, 0);
    zq_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allow_list_keeps_and_sorts),
        cmocka_unit_test(an_ignore_list_drops_and_sorts),
        cmocka_unit_test(without_a_list_a_query_stays_as_it_is),
        cmocka_unit_test(a_long_query_is_left_alone),
        cmocka_unit_test(cookies_are_kept_by_name),
        cmocka_unit_test(without_a_cookie_rule_fields_are_the_same),
        cmocka_unit_test(headers_and_cookies_select),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
