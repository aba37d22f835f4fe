#include "test_cache_rig.h"

#include "cache/key.h"

/* The key as text, with `|` for what stands between its parts. */
static const char *key_of(const char *scheme, const char *host, const char *target)
{
    static char text[8192];
    struct zq_buf key = {0};

    assert_int_equal(
        zq_cache_key(&key, zq_slice_str(scheme), zq_slice_str(host), zq_slice_str(target)), 0);
    assert_true(key.n < sizeof(text));
    assert_true(key.n <=
                zq_key_bound(zq_slice_str(scheme), zq_slice_str(host), zq_slice_str(target)));
    for (size_t i = 0; i < key.n; i++)
        text[i] = zq_buf_data(&key)[i] == '\n' ? '|' : zq_buf_data(&key)[i];
    text[key.n] = '\0';
    zq_buf_fini(&key);
    return text;
}

/* RFC 9110 4.2.3: scheme and host are case-insensitive, the default port is the same as none. */
static void scheme_and_host_are_normalised(void **state)
{
    assert_string_equal(key_of("http", "Example.COM", "/"), "http|example.com|/");
    assert_string_equal(key_of("HTTP", "example.com:80", "/"), "http|example.com|/");
    assert_string_equal(key_of("https", "example.com:443", "/"), "https|example.com|/");
    assert_string_equal(key_of("http", "[::1]:80", "/"), "http|[::1]|/");
    assert_string_equal(key_of("http", "example.com:443", "/"), "http|example.com:443|/");
    assert_string_equal(key_of("https", "example.com:80", "/"), "https|example.com:80|/");
    assert_string_equal(key_of("http", "example.com:8080", "/"), "http|example.com:8080|/");
    assert_string_equal(key_of("ws", "example.com:80", "/"), "ws|example.com:80|/");
    assert_string_equal(key_of("http", "", "/"), "http||/");
    assert_string_equal(key_of("http", ":80", "/"), "http|:80|/");
    /* No port, but the last group of a bare address. */
    assert_string_equal(key_of("http", "fe::80", "/"), "http|fe::80|/");
    assert_string_equal(key_of("http", "fe:1:80", "/"), "http|fe:1:80|/");
}

/* What the application sees is what is in the key. */
static void hosts_as_they_are_seen(void **state)
{
    static const char *const rows[][3] = {
        {"http", "example.com", "example.com"},
        {"http", "Example.COM:80", "example.com"},
        {"https", "example.com:443", "example.com"},
        {"http", "example.com:81", "example.com:81"},
        {"http", "[::A]:80", "[::a]"},
        {"http", "", ""},
    };
    struct zq_arena arena = {0};

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        struct zq_slice seen =
            zq_cache_host(zq_slice_str(rows[i][0]), zq_slice_str(rows[i][1]), &arena);
        assert_true(zq_slice_eq(seen, zq_slice_str(rows[i][2])));
    }
    zq_arena_fini(&arena);
}

/* RFC 3986 6.2.2.1, and nothing beyond it. */
static void escapes_have_no_case(void **state)
{
    assert_string_equal(key_of("http", "a", "/%2f?q=%c3%bc"), "http|a|/%2F?q=%C3%BC");
    assert_string_equal(key_of("http", "a", "/%2F?q=%C3%BC"), "http|a|/%2F?q=%C3%BC");
    assert_string_equal(key_of("http", "a", "/%%2f"), "http|a|/%%2F");
    assert_string_equal(key_of("http", "a", "/%2g%zz%a"), "http|a|/%2g%zz%a");
    assert_string_equal(key_of("http", "a", "/%"), "http|a|/%");
    assert_string_equal(key_of("http", "a", ""), "http|a|");
}

static void the_rest_of_the_target_stays(void **state)
{
    static const char *const targets[] = {
        "/a",   "/A",    "/%41", "//a",    "/./a", "/b/../a",    "/a/",   "/a?",     "/a?x=1&y=2",
        "/a;x", "/a%3B", "/a#",  "/a%20b", "/a+b", "/a?y=2&x=1", "/a%00", "/a%2500",
    };
    char first[64];

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(targets); i++)
        for (size_t j = 0; j < ZQ_ARRAY_SIZE(targets); j++) {
            snprintf(first, sizeof(first), "%s", key_of("http", "a", targets[i]));
            assert_int_equal(strcmp(first, key_of("http", "a", targets[j])) == 0, i == j);
        }
}

/* No way to say one part's end in another part. */
static void parts_do_not_run_into_each_other(void **state)
{
    char first[64];

    snprintf(first, sizeof(first), "%s", key_of("http", "a/b", "/c"));
    assert_string_not_equal(first, key_of("http", "a", "/b/c"));
    snprintf(first, sizeof(first), "%s", key_of("http", "a", "b/"));
    assert_string_not_equal(first, key_of("http", "ab", "/"));
}

static void the_key_is_appended(void **state)
{
    struct zq_buf out = {0};

    assert_int_equal(zq_buf_append(&out, "x", 1), 0);
    assert_int_equal(zq_cache_key(&out, ZQ_SLICE("http"), ZQ_SLICE("a"), ZQ_SLICE("/")), 0);
    assert_true(zq_slice_eq(zq_slice(zq_buf_data(&out), out.n), ZQ_SLICE("xhttp\na\n/")));
    zq_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scheme_and_host_are_normalised),
        cmocka_unit_test(hosts_as_they_are_seen),
        cmocka_unit_test(escapes_have_no_case),
        cmocka_unit_test(the_rest_of_the_target_stays),
        cmocka_unit_test(parts_do_not_run_into_each_other),
        cmocka_unit_test(the_key_is_appended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
