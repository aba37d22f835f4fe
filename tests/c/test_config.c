/* src/base/config.c: options.def as a struct, as text, and what is refused. */
#include "zq/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static struct zq_config config;
static struct zq_config_error error;

static int setup(void **state)
{
    (void)state;
    zq_config_init(&config);
    error.text[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    zq_config_fini(&config);
    return 0;
}

static void set(const char *name, const char *value)
{
    if (zq_config_set(&config, name, value, &error) != 0)
        fail_msg("%s=%s: %s", name, value, error.text);
}

/* "a bad value names the option, the value and what is allowed" */
static void refused(const char *name, const char *value, const char *allowed)
{
    error.text[0] = '\0';
    assert_int_equal(zq_config_set(&config, name, value, &error), ZQ_EINVAL);
    if (!strstr(error.text, name) || !strstr(error.text, value) || !strstr(error.text, allowed))
        fail_msg("%s=%s is refused with: %s", name, value, error.text);
}

static void the_defaults_are_those_of_the_list(void **state)
{
    (void)state;
    assert_string_equal(config.app, "");
    assert_string_equal(config.host, "127.0.0.1");
    assert_int_equal(config.port, 8000);
    assert_int_equal(config.bind.n, 0);
    assert_string_equal(config.uds, "");
    assert_int_equal(config.uds_mode, 0666);
    assert_int_equal(config.fd, -1);
    assert_int_equal(config.backlog, 2048);
    assert_int_equal(config.workers, 1);
    assert_int_equal(config.front_threads, 0);
    assert_string_equal(config.loop, "auto");
    assert_true(config.access_log);
    assert_int_equal(config.forwarded_allow_ips.n, 2);
    assert_string_equal(config.forwarded_allow_ips.v[1], "::1");
    assert_int_equal(config.timeout_keep_alive, 5000);
    assert_int_equal(config.timeout_response_idle, 0);
    assert_int_equal(config.limit_request_line, 8192);
    assert_int_equal(config.limit_request_body, 0);
    assert_int_equal(config.limit_connections, 0);
    assert_int_equal(config.cache_size, 64 << 20);
    assert_false(config.factory);
}

/* "Units are accepted and shown (256MiB, 5s, 500ms)" */
static void units_are_accepted(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } sizes[] = {
        {"4096", 4096},
        {"1B", 1},
        {"64KiB", 65536},
        {"64kib", 65536},
        {"256MiB", 256 << 20},
        {"1GiB", 1 << 30},
        {"1.5MiB", 3 << 19},
        {"2K", 2048},
        {"3M", 3 << 20},
        {"1KB", 1000},
        {"0", 0},
    };
    static const struct {
        const char *text;
        int64_t ms;
    } times[] = {
        {"500ms", 500}, {"5s", 5000},    {"5", 5000},      {"0.5", 500}, {"1.25s", 1250},
        {"2m", 120000}, {"1h", 3600000}, {"1d", 86400000}, {"off", 0},
    };

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(sizes); i++) {
        set("cache-size", sizes[i].text);
        assert_int_equal(config.cache_size, sizes[i].bytes);
    }
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(times); i++) {
        set("timeout-write", times[i].text);
        assert_int_equal(config.timeout_write, times[i].ms);
    }
}

static void units_are_shown(void **state)
{
    char text[32];

    (void)state;
    zq_format_size(256u << 20, text);
    assert_string_equal(text, "256MiB");
    zq_format_size(8192, text);
    assert_string_equal(text, "8KiB");
    zq_format_size(1025, text);
    assert_string_equal(text, "1025B");
    zq_format_size(0, text);
    assert_string_equal(text, "0B");
    zq_format_duration(500, text);
    assert_string_equal(text, "500ms");
    zq_format_duration(5000, text);
    assert_string_equal(text, "5s");
    zq_format_duration(90000, text);
    assert_string_equal(text, "90s");
    zq_format_duration(120000, text);
    assert_string_equal(text, "2m");
}

static void bad_values_are_refused(void **state)
{
    (void)state;
    refused("port", "80a", "65535");
    refused("port", "65536", "65535");
    refused("port", "-1", "65535");
    refused("port", "", "65535");
    refused("workers", "0", "from 1");
    refused("workers", "two", "from 1");
    refused("workers", "1025", "1024");
    refused("front-threads", "129", "`auto`");
    refused("limit-connections", "0", "`unlimited`");
    refused("backlog", "99999999999999999999", "from 1");
    refused("uds-mode", "0888", "octal");
    refused("uds-mode", "01000", "octal");
    refused("access-log", "maybe", "yes or no");
    refused("loop", "trio", "auto asyncio uvloop");
    refused("loop", "auto|asyncio", "auto asyncio uvloop");
    refused("loop", "uv", "auto asyncio uvloop");
    refused("loop", "", "auto asyncio uvloop");
    refused("cache-size", "64MiBs", "256MiB");
    refused("cache-size", "-1", "256MiB");
    refused("cache-size", "0.3B", "256MiB");
    refused("cache-size", "unlimited", "256MiB");
    refused("cache-size", "9999999999TiB", "256MiB");
    refused("limit-request-body", "0", "`unlimited`");
    refused("limit-request-line", "0", "64KiB");
    refused("timeout-write", "5 s", "500ms");
    refused("timeout-write", "0", "`off`");
    refused("timeout-write", ".5", "500ms");
    refused("timeout-write", "1.", "500ms");
    refused("timeout-write", "0.0001", "500ms");
    refused("timeout-write", "11000d", "500ms");
    refused("fd", "x", "from 0");
    assert_int_equal(zq_config_set(&config, "no-such", "1", &error), ZQ_EINVAL);
    assert_non_null(strstr(error.text, "no-such"));
    assert_int_equal(zq_config_set(&config, "host", "a\nport=1", &error), ZQ_EINVAL);
    assert_int_equal(config.port, 8000);
}

static void words_stand_for_zero(void **state)
{
    (void)state;
    set("limit-connections", "100");
    set("limit-connections", "unlimited");
    assert_int_equal(config.limit_connections, 0);
    set("front-threads", "3");
    set("front-threads", "auto");
    assert_int_equal(config.front_threads, 0);
    set("limit-request-body", "1");
    set("limit-request-body", "unlimited");
    assert_int_equal(config.limit_request_body, 0);
    set("fd", "0");
    assert_int_equal(config.fd, 0);
    set("fd", "");
    assert_int_equal(config.fd, -1);
}

/* "an assignment adds to what was assigned before and replaces the default" */
static void lists_replace_the_default_and_then_grow(void **state)
{
    (void)state;
    set("forwarded-allow-ips", "127.0.0.1, ::1,");
    set("forwarded-allow-ips", "10.0.0.0/8");
    assert_int_equal(config.forwarded_allow_ips.n, 3);
    assert_string_equal(config.forwarded_allow_ips.v[0], "127.0.0.1");
    assert_string_equal(config.forwarded_allow_ips.v[2], "10.0.0.0/8");
    set("bind", "[::1]:80");
    set("bind", "unix:/a b");
    assert_int_equal(config.bind.n, 2);
    assert_string_equal(config.bind.v[1], "unix:/a b");
}

/* "its members are separated by commas, and `\\,` and `\\\\` stand for a comma and a backslash in
 * one" */
static void a_comma_in_a_list_has_a_backslash(void **state)
{
    (void)state;
    set("cache-bypass", "/a\\,b\\,, /c\\\\,/d\\e\\");
    assert_int_equal(config.cache_bypass.n, 3);
    assert_string_equal(config.cache_bypass.v[0], "/a,b,");
    assert_string_equal(config.cache_bypass.v[1], "/c\\");
    assert_string_equal(config.cache_bypass.v[2], "/d\\e\\");
}

static void an_empty_list_replaces_the_default(void **state)
{
    (void)state;
    set("forwarded-allow-ips", "");
    assert_int_equal(config.forwarded_allow_ips.n, 0);
    set("forwarded-allow-ips", "10.0.0.1");
    assert_int_equal(config.forwarded_allow_ips.n, 1);
}

/* `name=value` lines "that zq_config_load reads back to the same" */
static void what_is_dumped_loads_to_the_same(void **state)
{
    static const char *const values[][2] = {
        {"app", "shop.main:make=app"},
        {"host", ""},
        {"port", "0"},
        {"bind", "[::]:1,unix:/x y=z"},
        {"cache-bypass", "/a\\,\\\\\\,b,/c\\d,/\\\\"},
        {"uds-mode", "0"},
        {"fd", "7"},
        {"workers", "3"},
        {"factory", "yes"},
        {"lifespan", "off"},
        {"forwarded-allow-ips", ""},
        {"limit-connections", "9"},
        {"timeout-write", "1500ms"},
        {"timeout-response", "off"},
        {"limit-request-body", "1GB"},
        {"cache-size", "0"},
        {"date-header", "no"},
    };
    struct zq_buf first = {0}, second = {0};
    struct zq_config loaded;

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(values); i++)
        set(values[i][0], values[i][1]);
    assert_int_equal(zq_config_dump(&config, &first), 0);
    zq_config_init(&loaded);
    assert_int_equal(zq_config_load(&loaded, zq_slice(zq_buf_data(&first), first.n), &error), 0);
    assert_string_equal(loaded.app, "shop.main:make=app");
    assert_string_equal(loaded.host, "");
    assert_int_equal(loaded.bind.n, 2);
    assert_string_equal(loaded.bind.v[1], "unix:/x y=z");
    assert_int_equal(loaded.uds_mode, 0);
    assert_int_equal(loaded.forwarded_allow_ips.n, 0);
    assert_int_equal(loaded.limit_connections, 9);
    assert_int_equal(loaded.timeout_write, 1500);
    assert_int_equal(loaded.timeout_response, 0);
    assert_int_equal(loaded.cache_size, 0);
    assert_false(loaded.date_header);
    assert_int_equal(zq_config_dump(&loaded, &second), 0);
    assert_int_equal(first.n, second.n);
    assert_memory_equal(zq_buf_data(&first), zq_buf_data(&second), first.n);
    zq_config_fini(&loaded);
    zq_buf_fini(&first);
    zq_buf_fini(&second);
}

static void a_line_without_a_name_is_refused(void **state)
{
    (void)state;
    assert_int_equal(zq_config_load(&config, ZQ_SLICE("port=1\nnonsense\n"), &error), ZQ_EINVAL);
    assert_non_null(strstr(error.text, "nonsense"));
    assert_int_equal(zq_config_load(&config, ZQ_SLICE("port=x"), &error), ZQ_EINVAL);
    assert_int_equal(zq_config_load(&config, ZQ_SLICE(""), &error), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_defaults_are_those_of_the_list),
        TEST(units_are_accepted),
        TEST(units_are_shown),
        TEST(bad_values_are_refused),
        TEST(words_stand_for_zero),
        TEST(lists_replace_the_default_and_then_grow),
        TEST(a_comma_in_a_list_has_a_backslash),
        TEST(an_empty_list_replaces_the_default),
        TEST(what_is_dumped_loads_to_the_same),
        TEST(a_line_without_a_name_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
