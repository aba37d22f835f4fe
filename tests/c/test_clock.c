/* src/base/clock.c: HTTP dates (RFC 9110 5.6.7). */
#include "zq/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>

#define EXAMPLE 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */

static void formats_imf_fixdate(void **state)
{
    char out[ZQ_DATE_SIZE];

    (void)state;
    zq_date_format(EXAMPLE, out);
    assert_memory_equal(out, "Sun, 06 Nov 1994 08:49:37 GMT", ZQ_DATE_SIZE);
    zq_date_format(0, out);
    assert_memory_equal(out, "Thu, 01 Jan 1970 00:00:00 GMT", ZQ_DATE_SIZE);
    zq_date_format(-5, out);
    assert_memory_equal(out, "Thu, 01 Jan 1970 00:00:00 GMT", ZQ_DATE_SIZE);
}

/* "A recipient … MUST accept all three HTTP-date formats." */
static void reads_all_three_forms(void **state)
{
    static const char *const forms[] = {
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    };

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(forms); i++) {
        time_t t = 0;
        assert_int_equal(zq_date_parse(zq_slice_str(forms[i]), &t), 0);
        assert_int_equal(t, EXAMPLE);
    }
}

/* "Recipients of a timestamp value in rfc850-date format … MUST interpret a timestamp that appears
 * to be more than 50 years in the future as representing the most recent year in the past". */
static void two_digit_years_lie_within_fifty_years(void **state)
{
    time_t now = zq_wall_clock(), t;
    struct tm today, tm;
    char text[64];

    (void)state;
    gmtime_r(&now, &today);
    for (int days = -2; days <= 2; days += 4) {
        tm = today;
        tm.tm_year += 50;
        tm.tm_mday += days;
        time_t when = timegm(&tm);
        size_t n = strftime(text, sizeof(text), "%A, %d-%b-", &tm);
        snprintf(text + n, sizeof(text) - n, "%02d %02d:%02d:%02d GMT", tm.tm_year % 100,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        assert_int_equal(zq_date_parse(zq_slice_str(text), &t), 0);
        if (days < 0)
            assert_int_equal(t, when);
        else
            assert_true(t < now);
    }
}

/* "… a cache recipient SHOULD match the field value case-insensitively." (RFC 9111 4.2) */
static void reads_dates_in_any_case(void **state)
{
    static const char *const forms[] = {
        "SUN, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 NOV 1994 08:49:37 gMT",
        "sunDAY, 06-nov-94 08:49:37 gmt",
        "sun nov  6 08:49:37 1994",
    };

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(forms); i++) {
        time_t t = 0;
        assert_int_equal(zq_date_parse(zq_slice_str(forms[i]), &t), 0);
        assert_int_equal(t, EXAMPLE);
    }
}

static void refuses_what_is_no_date(void **state)
{
    static const char *const bad[] = {
        "",
        "0",
        "-1",
        "Sun",
        "Sun, ",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Tue, 29 Feb 1994 08:49:37 GMT",
        "Mon, 29 Feb 2100 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun Nov 6 08:49:37 1994",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 19x4 08:49:37 GMT",
    };
    time_t t;

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(bad); i++)
        assert_int_equal(zq_date_parse(zq_slice_str(bad[i]), &t), ZQ_EINVAL);
}

static void a_leap_year_has_another_day(void **state)
{
    time_t t;

    (void)state;
    assert_int_equal(zq_date_parse(ZQ_SLICE("Tue, 29 Feb 2000 00:00:00 GMT"), &t), 0);
    assert_int_equal(t, 951782400);
    assert_int_equal(zq_date_parse(ZQ_SLICE("Thu Feb 29 00:00:00 2024"), &t), 0);
    assert_int_equal(t, 1709164800);
}

static void what_is_formatted_reads_back(void **state)
{
    (void)state;
    for (time_t t = 0; t < 4102444800; t += 86400 * 3 + 3671) {
        char out[ZQ_DATE_SIZE];
        time_t back;
        zq_date_format(t, out);
        assert_int_equal(zq_date_parse(zq_slice(out, ZQ_DATE_SIZE), &back), 0);
        assert_int_equal(back, t);
    }
}

static void monotonic_clocks_agree(void **state)
{
    int64_t us = zq_now_us(), ms = zq_now_ms();

    (void)state;
    assert_true(ms >= us / 1000);
    assert_true(ms - us / 1000 < 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_imf_fixdate),
        cmocka_unit_test(reads_all_three_forms),
        cmocka_unit_test(two_digit_years_lie_within_fifty_years),
        cmocka_unit_test(reads_dates_in_any_case),
        cmocka_unit_test(refuses_what_is_no_date),
        cmocka_unit_test(a_leap_year_has_another_day),
        cmocka_unit_test(what_is_formatted_reads_back),
        cmocka_unit_test(monotonic_clocks_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
