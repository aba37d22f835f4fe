#include "zq/clock.h"

#include <stdio.h>
#ifdef ZQ_DEBUG
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

#ifdef ZQ_DEBUG
static pthread_once_t shift_once = PTHREAD_ONCE_INIT;
static const atomic_llong *shift;

static void shift_open(void)
{
    static const atomic_llong none;
    const char *path = getenv("ZQ_TEST_CLOCK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    shift = at != MAP_FAILED ? at : &none;
    if (fd >= 0)
        close(fd);
}

/* How far a test has put the clocks forward. */
static int64_t shift_ms(void)
{
    pthread_once(&shift_once, shift_open);
    return atomic_load_explicit(shift, memory_order_relaxed);
}
#else
static int64_t shift_ms(void)
{
    return 0;
}
#endif

int64_t zq_now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 + shift_ms() * 1000;
}

int64_t zq_now_ms(void)
{
    return zq_now_us() / 1000;
}

time_t zq_wall_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return t.tv_sec + shift_ms() / 1000;
}

static void put2(char *to, int value)
{
    to[0] = (char)('0' + value / 10);
    to[1] = (char)('0' + value % 10);
}

void zq_date_format(time_t t, char out[ZQ_DATE_SIZE])
{
    struct tm tm;

    if (t < 0 || gmtime_r(&t, &tm) == NULL || tm.tm_year > 9999 - 1900) {
        t = 0;
        gmtime_r(&t, &tm);
    }
    memcpy(out, "Sun, 06 Nov 1994 08:49:37 GMT", ZQ_DATE_SIZE);
    memcpy(out, day_names[tm.tm_wday], 3);
    put2(out + 5, tm.tm_mday);
    memcpy(out + 8, month_names[tm.tm_mon], 3);
    put2(out + 12, (tm.tm_year + 1900) / 100);
    put2(out + 14, (tm.tm_year + 1900) % 100);
    put2(out + 17, tm.tm_hour);
    put2(out + 20, tm.tm_min);
    put2(out + 23, tm.tm_sec);
}

/* ---- reading (RFC 9110 5.6.7) ---- */

/* Without regard to case, as a cache should (RFC 9111 4.2). */
static bool take(struct zq_slice *s, const char *literal)
{
    size_t n = strlen(literal);

    if (s->n < n || !zq_slice_ieq(zq_slice(s->p, n), zq_slice(literal, n)))
        return false;
    s->p += n;
    s->n -= n;
    return true;
}

static bool take_digits(struct zq_slice *s, size_t n, int *out)
{
    int value = 0;

    if (s->n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        value = value * 10 + (s->p[i] - '0');
    }
    s->p += n;
    s->n -= n;
    *out = value;
    return true;
}

static bool take_month(struct zq_slice *s, int *out)
{
    for (int i = 0; i < 12; i++)
        if (take(s, month_names[i])) {
            *out = i;
            return true;
        }
    return false;
}

static bool take_time(struct zq_slice *s, struct tm *tm)
{
    return take_digits(s, 2, &tm->tm_hour) && take(s, ":") && take_digits(s, 2, &tm->tm_min) &&
           take(s, ":") && take_digits(s, 2, &tm->tm_sec);
}

/* `06 Nov 1994 08:49:37 GMT` behind `Sun, ` */
static bool read_fixdate(struct zq_slice s, struct tm *tm)
{
    return take_digits(&s, 2, &tm->tm_mday) && take(&s, " ") && take_month(&s, &tm->tm_mon) &&
           take(&s, " ") && take_digits(&s, 4, &tm->tm_year) && take(&s, " ") &&
           take_time(&s, tm) && take(&s, " GMT") && s.n == 0;
}

/* `when` has its year in full, `today` has it as C does. */
static bool is_more_than_50_years_ahead(struct tm when, struct tm today)
{
    when.tm_year -= 1900;
    today.tm_year += 50;
    return timegm(&when) > timegm(&today);
}

/* `06-Nov-94 08:49:37 GMT` behind `Sunday, `. What is more than 50 years ahead is in the past. */
static bool read_rfc850(struct zq_slice s, struct tm *tm)
{
    if (!(take_digits(&s, 2, &tm->tm_mday) && take(&s, "-") && take_month(&s, &tm->tm_mon) &&
          take(&s, "-") && take_digits(&s, 2, &tm->tm_year) && take(&s, " ") && take_time(&s, tm) &&
          take(&s, " GMT") && s.n == 0))
        return false;
    time_t now = zq_wall_clock();
    struct tm today;
    gmtime_r(&now, &today);
    int this_year = today.tm_year + 1900;
    tm->tm_year += this_year - this_year % 100;
    if (is_more_than_50_years_ahead(*tm, today))
        tm->tm_year -= 100;
    return true;
}

/* `Nov  6 08:49:37 1994` behind `Sun ` */
static bool read_asctime(struct zq_slice s, struct tm *tm)
{
    if (!take_month(&s, &tm->tm_mon) || !take(&s, " "))
        return false;
    bool day = take(&s, " ") ? take_digits(&s, 1, &tm->tm_mday) : take_digits(&s, 2, &tm->tm_mday);
    return day && take(&s, " ") && take_time(&s, tm) && take(&s, " ") &&
           take_digits(&s, 4, &tm->tm_year) && s.n == 0;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Here the year has its century. */
static bool in_range(const struct tm *tm)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int last = days[tm->tm_mon] + (tm->tm_mon == 1 && is_leap(tm->tm_year));

    return tm->tm_mday >= 1 && tm->tm_mday <= last && tm->tm_hour < 24 && tm->tm_min < 60 &&
           tm->tm_sec <= 60;
}

int zq_date_parse(struct zq_slice s, time_t *out)
{
    static const char *const full_day_rest[7] = {"day",   "day", "sday", "nesday",
                                                 "rsday", "day", "urday"};
    struct tm tm = {0};
    bool read = false;

    for (int i = 0; i < 7; i++) {
        struct zq_slice rest = s;
        if (!take(&rest, day_names[i]))
            continue;
        if (take(&rest, ", "))
            read = read_fixdate(rest, &tm);
        else if (take(&rest, " "))
            read = read_asctime(rest, &tm);
        else if (take(&rest, full_day_rest[i]) && take(&rest, ", "))
            read = read_rfc850(rest, &tm);
        break;
    }
    if (!read || !in_range(&tm))
        return ZQ_EINVAL;
    tm.tm_year -= 1900;
    *out = timegm(&tm);
    return 0;
}
