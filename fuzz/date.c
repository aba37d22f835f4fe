/* HTTP dates.
 *
 * Input: eight bytes of a time; then a date.
 *
 * Invariants: a time that has an IMF-fixdate is read back from it; what is read of any date is read
 * again from the fixdate that it is written as; a fixdate that is accepted is written as it was,
 * but for its weekday and for what lies outside the calendar (30 Feb, a leap second). */
#include "support/fuzz.h"

#include "zq/clock.h"

/* 9999-12-31T23:59:59Z: years have four digits. */
#define LAST 253402300799

static void check_time(uint64_t number)
{
    time_t t = (time_t)(number % (LAST + 1)), again;
    char text[ZQ_DATE_SIZE];
    zq_date_format(t, text);
    FUZZ_CHECK(zq_date_parse(zq_slice(text, sizeof(text)), &again) == 0 && again == t);
    zq_date_format((time_t)number, text); /* whatever it is */
    FUZZ_CHECK(zq_date_parse(zq_slice(text, sizeof(text)), &again) == 0);
}

static bool is_regular(struct zq_slice s)
{
    int day = (s.p[5] - '0') * 10 + s.p[6] - '0';
    return s.n == ZQ_DATE_SIZE && s.p[3] == ',' && day <= 28 && s.p[23] != '6';
}

static void check_date(struct zq_slice s)
{
    time_t t, again;
    char text[ZQ_DATE_SIZE];
    if (zq_date_parse(s, &t) != 0)
        return;
    FUZZ_CHECK(s.n >= 24 && s.n <= 34);
    if (t < 0 || t > LAST)
        return;
    zq_date_format(t, text);
    FUZZ_CHECK(zq_date_parse(zq_slice(text, sizeof(text)), &again) == 0 && again == t);
    if (is_regular(s))
        FUZZ_CHECK(zq_slice_ieq(zq_slice(s.p + 3, s.n - 3), zq_slice(text + 3, s.n - 3)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    check_time(fuzz_number(&in, 8));
    struct zq_slice copy = fuzz_copy(zq_slice(in.p, in.n));
    check_date(copy);
    free((char *)(uintptr_t)copy.p);
    return 0;
}
