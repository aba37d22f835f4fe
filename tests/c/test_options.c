/* src/super: the command line, the environment, and what can be checked before anything starts. */
#include "super/backoff.h"
#include "super/check.h"
#include "super/endpoint.h"
#include "super/options.h"
#include "super/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static struct zq_options options;
static struct zq_config_error error;

static const char *const variables[] = {"ZQ_PORT",
                                        "ZQ_HOST",
                                        "ZQ_WORKERS",
                                        "ZQ_BIND",
                                        "ZQ_FORWARDED_ALLOW_IPS",
                                        "WEB_CONCURRENCY",
                                        "FORWARDED_ALLOW_IPS",
                                        "VIRTUAL_ENV"};

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(variables); i++)
        unsetenv(variables[i]);
    zq_config_init(&options.config);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    zq_options_fini(&options);
    return 0;
}

/* Parses words up to NULL. */
static int parse(const char *first, ...)
{
    char *words[16];
    int n = 0;
    va_list arguments;

    va_start(arguments, first);
    for (const char *word = first; word; word = va_arg(arguments, const char *))
        words[n++] = (char *)(uintptr_t)word;
    va_end(arguments);
    zq_options_fini(&options);
    error.text[0] = '\0';
    return zq_options_parse(n, words, &options, &error);
}

static void says(const char *text)
{
    if (!strstr(error.text, text))
        fail_msg("`%s` is not in: %s", text, error.text);
}

/* ---- the command line ---- */

static void values_follow_or_are_joined(void **state)
{
    (void)state;
    assert_int_equal(parse("--port", "81", "--host=::1", "shop:app", "--workers=3", NULL), 0);
    assert_int_equal(options.config.port, 81);
    assert_string_equal(options.config.host, "::1");
    assert_string_equal(options.config.app, "shop:app");
    assert_int_equal(options.config.workers, 3);
    assert_true(options.listens_by_default);
}

static void booleans_have_a_no(void **state)
{
    (void)state;
    assert_int_equal(parse("--no-access-log", "--factory", "--no-cache", "a:b", NULL), 0);
    assert_false(options.config.access_log);
    assert_true(options.config.factory);
    assert_false(options.config.cache);
    assert_int_equal(parse("--access-log=no", "--no-cache", "--cache", "a:b", NULL), 0);
    assert_false(options.config.access_log);
    assert_true(options.config.cache);
    assert_int_equal(parse("--no-port", "a:b", NULL), ZQ_EINVAL);
    assert_int_equal(parse("--no-cache=yes", "a:b", NULL), ZQ_EINVAL);
}

static void two_dashes_end_the_options(void **state)
{
    (void)state;
    assert_int_equal(parse("--", "--port", NULL), 0);
    assert_string_equal(options.config.app, "--port");
}

static void the_other_servers_spellings_are_known(void **state)
{
    (void)state;
    assert_int_equal(parse("--url-path-prefix", "/x", "--workers-kill-timeout=7", "a:b", NULL), 0);
    assert_string_equal(options.config.root_path, "/x");
    assert_int_equal(options.config.timeout_graceful_shutdown, 7000);
}

static void help_is_asked_for(void **state)
{
    (void)state;
    assert_int_equal(parse("--port", "1", "--help", NULL), 1);
    assert_int_equal(parse("-h", "--nonsense", NULL), 1);
}

/* "An unknown option suggests the nearest" */
static void an_unknown_option_suggests_the_nearest(void **state)
{
    (void)state;
    assert_int_equal(parse("--prot", "80", NULL), ZQ_EINVAL);
    says("`--prot`; did you mean `--port`?");
    assert_int_equal(parse("--worker=2", NULL), ZQ_EINVAL);
    says("`--worker`; did you mean `--workers`?");
    assert_int_equal(parse("--no-acces-log", NULL), ZQ_EINVAL);
    says("did you mean `--no-access-log`?");
    assert_int_equal(parse("--timeout-resp", "1", NULL), ZQ_EINVAL);
    says("did you mean `--timeout-response`?");
    assert_int_equal(parse("--halp", NULL), ZQ_EINVAL);
    says("did you mean `--help`?");
    assert_int_equal(parse("--ssl-ciphers-and-more", "x", NULL), ZQ_EINVAL);
    assert_null(strstr(error.text, "did you mean"));
    assert_int_equal(parse("-p", "80", NULL), ZQ_EINVAL);
    says("no option");
}

static void a_missing_value_is_not_taken_from_the_next_option(void **state)
{
    (void)state;
    assert_int_equal(parse("a:b", "--host", "--port", "1", NULL), ZQ_EINVAL);
    says("--host needs a value: ADDRESS");
    assert_int_equal(parse("a:b", "--port", NULL), ZQ_EINVAL);
    says("--port needs a value: PORT");
}

static void there_is_one_application(void **state)
{
    (void)state;
    assert_int_equal(parse("a:b", "c:d", NULL), ZQ_EINVAL);
    says("`c:d`");
}

/* ---- the environment ---- */

static void the_command_line_wins_over_the_environment(void **state)
{
    (void)state;
    setenv("ZQ_PORT", "81", 1);
    setenv("ZQ_WORKERS", "nonsense", 1);
    assert_int_equal(parse("a:b", "--workers", "2", NULL), 0);
    assert_int_equal(options.config.port, 81);
    assert_int_equal(options.config.workers, 2);
    assert_true(options.listens_by_default);
    assert_int_equal(parse("a:b", NULL), ZQ_EINVAL);
    says("ZQ_WORKERS");
    says("nonsense");
}

static void a_list_on_the_command_line_does_not_add_to_the_environments(void **state)
{
    (void)state;
    setenv("ZQ_BIND", "127.0.0.1:1,127.0.0.1:2", 1);
    assert_int_equal(parse("a:b", NULL), 0);
    assert_int_equal(options.config.bind.n, 2);
    assert_int_equal(parse("a:b", "--bind", "127.0.0.1:3", NULL), 0);
    assert_int_equal(options.config.bind.n, 1);
}

static void other_servers_variables_come_last(void **state)
{
    (void)state;
    setenv("WEB_CONCURRENCY", "4", 1);
    setenv("FORWARDED_ALLOW_IPS", "*", 1);
    assert_int_equal(parse("a:b", NULL), 0);
    assert_int_equal(options.config.workers, 4);
    assert_string_equal(options.config.forwarded_allow_ips.v[0], "*");
    assert_int_equal(options.config.forwarded_allow_ips.n, 1);
    setenv("ZQ_WORKERS", "2", 1);
    assert_int_equal(parse("a:b", NULL), 0);
    assert_int_equal(options.config.workers, 2);
    setenv("ZQ_WORKERS", "", 1);
    assert_int_equal(parse("a:b", NULL), 0);
    assert_int_equal(options.config.workers, 4);
    setenv("WEB_CONCURRENCY", "many", 1);
    assert_int_equal(parse("a:b", NULL), ZQ_EINVAL);
    says("WEB_CONCURRENCY");
}

/* ---- checks ---- */

static void refused(const char *option, const char *value, const char *text)
{
    assert_int_equal(parse("a:b", option, value, NULL), 0);
    assert_int_equal(zq_check_options(&options, &error), ZQ_EINVAL);
    says(text);
}

static void app_is_refused(const char *app, const char *text)
{
    assert_int_equal(parse(app, NULL), 0);
    assert_int_equal(zq_check_options(&options, &error), ZQ_EINVAL);
    says(text);
}

static void the_application_is_module_and_app(void **state)
{
    static const char *const good[] = {"a:b", "shop.main:make.app", "_x1:caf\xc3\xa9"};

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(good); i++) {
        assert_int_equal(parse(good[i], NULL), 0);
        assert_int_equal(zq_check_options(&options, &error), 0);
    }
    app_is_refused("shop", "did you mean `shop:app`?");
    app_is_refused("shop.py", "did you mean `shop:app`?");
    app_is_refused("shop.py:main", "did you mean `shop:main`?");
    app_is_refused("src/shop.py", "did you mean `--app-dir src shop:app`?");
    app_is_refused("shop:", "did you mean `shop:app`?");
    app_is_refused(":app", "is not MODULE:APP");
    app_is_refused("a..b:app", "is not MODULE:APP");
    app_is_refused("a:app()", "is not MODULE:APP");
    app_is_refused("1a:app", "is not MODULE:APP");
    assert_int_equal(parse("--port", "1", NULL), 0);
    assert_int_equal(zq_check_options(&options, &error), ZQ_EINVAL);
    says("MODULE:APP");
}

static void values_that_only_a_look_around_can_judge_are_refused(void **state)
{
    (void)state;
    refused("--root-path", "x", "--root-path: `x`");
    refused("--root-path", "/x/", "--root-path: `/x/`");
    refused("--forwarded-allow-ips", "10.0.0.0/33", "`10.0.0.0/33`");
    refused("--forwarded-allow-ips", "::1/129", "`::1/129`");
    refused("--forwarded-allow-ips", "proxy", "`proxy`");
    refused("--app-dir", "/nonexistent", "--app-dir: `/nonexistent`");
    refused("--venv", "/nonexistent", "--venv: `/nonexistent`");
    refused("--venv", "/proc", "bin/python");
    refused("--worker-executable", "/nonexistent", "--worker-executable: `/nonexistent`");
    setenv("VIRTUAL_ENV", "/nonexistent", 1);
    refused("--port", "1", "$VIRTUAL_ENV: `/nonexistent`");
}

static void the_configuration_is_completed(void **state)
{
    (void)state;
    assert_int_equal(parse("a:b", "--forwarded-allow-ips", "*,unix,10.0.0.0/8,::1,[fe80::]/10",
                           "--root-path=/x", NULL),
                     0);
    assert_int_equal(zq_check_options(&options, &error), 0);
    assert_in_range(options.config.front_threads, 1, 128);
    assert_non_null(strstr(options.config.worker_executable, "/zq-worker"));
    assert_string_equal(options.config.venv, "");
}

/* ---- where to listen ---- */

static struct endpoint found[8];

static int endpoints(void)
{
    return endpoint_list(&options, found, ZQ_ARRAY_SIZE(found), &error);
}

static void host_and_port_are_for_those_who_ask_or_say_nothing(void **state)
{
    (void)state;
    parse("a:b", NULL);
    assert_int_equal(endpoints(), 1);
    assert_string_equal(found[0].host, "127.0.0.1");
    assert_int_equal(found[0].port, 8000);
    parse("a:b", "--uds", "/tmp/x", NULL);
    assert_int_equal(endpoints(), 1);
    assert_int_equal(found[0].kind, ENDPOINT_UNIX);
    assert_string_equal(found[0].path, "/tmp/x");
    parse("a:b", "--uds", "/tmp/x", "--fd=5", "--port", "81", "--bind", "[::1]:82", "--bind=:83",
          "--bind", "unix:/tmp/y", NULL);
    assert_int_equal(endpoints(), 6);
    assert_int_equal(found[0].port, 81);
    assert_string_equal(found[1].host, "::1");
    assert_int_equal(found[1].port, 82);
    assert_string_equal(found[2].host, "");
    assert_string_equal(found[3].path, "/tmp/y");
    assert_string_equal(found[4].path, "/tmp/x");
    assert_int_equal(found[5].fd, 5);
}

static void places_that_make_no_sense_are_refused(void **state)
{
    static const char *const bad[] = {"8000",      "::1:80",  "127.0.0.1:", "127.0.0.1:65536",
                                      "host:http", "[::1]80", "unix:",      "[::1:80"};
    char path[120];

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(bad); i++) {
        parse("a:b", "--bind", bad[i], NULL);
        assert_int_equal(endpoints(), ZQ_EINVAL);
        says("--bind");
    }
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    parse("a:b", "--uds", path, NULL);
    assert_int_equal(endpoints(), ZQ_EINVAL);
    says("107");
    parse("a:b", "--bind", ":1,:2,:3,:4,:5,:6,:7,:8,:9", NULL);
    assert_int_equal(endpoints(), ZQ_EINVAL);
    says("8 places");
}

/* ---- small parts ---- */

static void distances_are_edits(void **state)
{
    (void)state;
    assert_int_equal(zq_suggest_distance("", "abc"), 3);
    assert_int_equal(zq_suggest_distance("port", "port"), 0);
    assert_int_equal(zq_suggest_distance("prot", "port"), 1);
    assert_int_equal(zq_suggest_distance("kitten", "sitting"), 3);
}

static void help_and_table_have_every_option(void **state)
{
    static const char *const names[] = {
#define OPTION(kind, field, name, metavar, value, help) name,
#include "zq/options.def"
    };
    char *text, wanted[64];
    size_t n;

    (void)state;
    for (int table = 0; table < 2; table++) {
        FILE *out = open_memstream(&text, &n);

        if (table)
            zq_options_table(out);
        else
            zq_options_help(out);
        fclose(out);
        for (size_t i = 0; i < ZQ_ARRAY_SIZE(names); i++) {
            snprintf(wanted, sizeof(wanted), "--%s", names[i]);
            assert_non_null(strstr(text, wanted));
        }
        free(text);
    }
}

/* "exponential backoff, jittered" */
static void restarts_slow_down_and_recover(void **state)
{
    struct backoff b = {0};
    int64_t expected = BACKOFF_FIRST_MS;

    (void)state;
    assert_int_equal(backoff_fail(&b, 1000, 0), 0);
    assert_int_equal(b.retry_at_ms, 1000);
    for (int i = 0; i < 12; i++) {
        int64_t delay = backoff_fail(&b, 1000, BACKOFF_WELL_MS - 1);

        assert_in_range(delay, expected * 8 / 10, expected * 12 / 10);
        assert_int_equal(b.retry_at_ms, 1000 + delay);
        expected = expected * 2 < BACKOFF_LAST_MS ? expected * 2 : BACKOFF_LAST_MS;
    }
    assert_int_equal(b.failures, 13);
    assert_int_equal(backoff_fail(&b, 1000, BACKOFF_WELL_MS), 0);
    assert_int_equal(b.failures, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(values_follow_or_are_joined),
        TEST(booleans_have_a_no),
        TEST(two_dashes_end_the_options),
        TEST(the_other_servers_spellings_are_known),
        TEST(help_is_asked_for),
        TEST(an_unknown_option_suggests_the_nearest),
        TEST(a_missing_value_is_not_taken_from_the_next_option),
        TEST(there_is_one_application),
        TEST(the_command_line_wins_over_the_environment),
        TEST(a_list_on_the_command_line_does_not_add_to_the_environments),
        TEST(other_servers_variables_come_last),
        TEST(the_application_is_module_and_app),
        TEST(values_that_only_a_look_around_can_judge_are_refused),
        TEST(the_configuration_is_completed),
        TEST(host_and_port_are_for_those_who_ask_or_say_nothing),
        TEST(places_that_make_no_sense_are_refused),
        TEST(distances_are_edits),
        TEST(help_and_table_have_every_option),
        TEST(restarts_slow_down_and_recover),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
