/* References of Location and Content-Location, and what they name on the request's own origin
 * (RFC 9111 4.4, RFC 3986 5.2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "front/invalidate.h"

static const struct {
    const char *reference, *names; /* NULL: nothing */
} rows[] = {
    {"/a", "/a"},
    {"/a?b#c", "/a?b"},
    {"http://h:81/a?b", "/a?b"},
    {"HTTP://H:81/a", "/a"},
    {"http://h:81", "/"},
    {"http://h:81?q", "/?q"},
    {"//h:81/a", "/a"},
    {"new", "/dir/new"},
    {"new?x=/", "/dir/new?x=/"},
    {"?q", "/dir/page?q"},
    {"https://h:81/a", NULL},
    {"http://h/a", NULL},
    {"http://other:81/a", NULL},
    {"//other/a", NULL},
    {"http:/a", NULL},
    {"mailto:a", NULL},
    /* RFC 3986 5.2.4, 5.4 */
    {"../a", "/a"},
    {"./a", "/dir/a"},
    {".", "/dir/"},
    {"..", "/"},
    {"../../../a", "/a"},
    {"/..", "/"},
    {"/./a/../b/.?x=/../y", "/b/?x=/../y"},
    {"/a/b/c/./../../g", "/a/g"},
    {"a/..", "/dir/"},
    {"/.a/..b/c./d..", "/.a/..b/c./d.."},
    {"//h:81/a/../b", "/b"},
    {"http://h:81/..//a/../b", "//b"},
    {"/a//../b", "/a/b"},
    {"", NULL},
    {"#a", NULL},
};

static void references(void **state)
{
    struct zq_arena scratch = {0};

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        struct zq_slice got =
            invalidate_resolve(zq_slice_str(rows[i].reference), ZQ_SLICE("http"), ZQ_SLICE("h:81"),
                               ZQ_SLICE("/dir/page?old=/x"), &scratch);
        if (!zq_slice_eq(got, zq_slice_str(rows[i].names)))
            fail_msg("%s: %.*s", rows[i].reference, (int)got.n, got.p);
    }
    zq_arena_fini(&scratch);
}

/* RFC 9110 4.2.3: the scheme's default port is the same as none, and a host has no case. */
static void default_port(void **state)
{
    static const struct {
        const char *scheme, *host, *reference;
        bool ours;
    } origins[] = {
        {"http", "h", "http://h:80/a", true},    {"http", "h:80", "http://H/a", true},
        {"https", "H", "https://h:443/a", true}, {"http", "h", "//h:80/a", true},
        {"https", "h", "https://h:80/a", false}, {"http", "h", "http://h:443/a", false},
        {"http", "h", "http://h:8/a", false},    {"http", "h", "http://:80/a", false},
    };
    struct zq_arena scratch = {0};

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(origins); i++) {
        struct zq_slice got =
            invalidate_resolve(zq_slice_str(origins[i].reference), zq_slice_str(origins[i].scheme),
                               zq_slice_str(origins[i].host), ZQ_SLICE("/"), &scratch);
        if (!zq_slice_eq(got, origins[i].ours ? ZQ_SLICE("/a") : (struct zq_slice){0}))
            fail_msg("%s at %s: %.*s", origins[i].reference, origins[i].host, (int)got.n, got.p);
    }
    zq_arena_fini(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references),
        cmocka_unit_test(default_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
