/* room: base */
#include "config_units.h"

#include "zq/config.h"

#include <inttypes.h>
#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* In the order in which a value is written: the largest that divides it first, `shown` of them. */
static const struct unit sizes[] = {
    {"TiB", 1ull << 40},
    {"GiB", 1ull << 30},
    {"MiB", 1ull << 20},
    {"KiB", 1ull << 10},
    {"B", 1},
    {"TB", 1000000000000},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"KB", 1000},
    {"T", 1ull << 40},
    {"G", 1ull << 30},
    {"M", 1ull << 20},
    {"K", 1ull << 10},
    {"", 1},
};
#define SIZES_SHOWN 5

static const struct unit durations[] = {
    {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {"d", 86400000}, {"", 1000},
};
#define DURATIONS_SHOWN 4

#define SIZE_MAXIMUM (1ull << 60)
#define DURATION_MAXIMUM (10ull * 366 * 86400000)

static const struct unit *find_unit(const struct unit *units, size_t n, struct zq_slice name)
{
    for (size_t i = 0; i < n; i++)
        if (zq_slice_ieq(name, zq_slice_str(units[i].name)))
            return &units[i];
    return NULL;
}

/* digits[.digits]unit, exact: a fraction that does not come out whole is refused. */
static int parse(const char *text, const struct unit *units, size_t n, uint64_t max, uint64_t *out)
{
    size_t whole_n = strspn(text, "0123456789"), point = text[whole_n] == '.';
    const char *fraction = text + whole_n + point;
    size_t fraction_n = point ? strspn(fraction, "0123456789") : 0;
    const struct unit *unit = find_unit(units, n, zq_slice_str(fraction + fraction_n));
    uint64_t whole, part = 0, scale = 1;

    if (!unit || (point && fraction_n == 0) || fraction_n > 6)
        return ZQ_EINVAL;
    if (zq_parse_u64(zq_slice(text, whole_n), max / unit->factor, &whole) < 0)
        return ZQ_EINVAL;
    for (size_t i = 0; i < fraction_n; i++, scale *= 10)
        part = part * 10 + (uint64_t)(fraction[i] - '0');
    if (part && (unit->factor > UINT64_MAX / part || part * unit->factor % scale))
        return ZQ_EINVAL;
    *out = whole * unit->factor + part * unit->factor / scale;
    return 0;
}

int zq_units_parse_size(const char *text, uint64_t *bytes)
{
    return parse(text, sizes, ZQ_ARRAY_SIZE(sizes), SIZE_MAXIMUM, bytes);
}

int zq_units_parse_duration(const char *text, int64_t *ms)
{
    uint64_t value;
    int rc = parse(text, durations, ZQ_ARRAY_SIZE(durations), DURATION_MAXIMUM, &value);

    if (rc == 0)
        *ms = (int64_t)value;
    return rc;
}

static void format(uint64_t value, const struct unit *units, size_t shown, char out[32])
{
    const struct unit *unit = units;

    while (unit < units + shown - 1 && (value == 0 || value % unit->factor))
        unit++;
    snprintf(out, 32, "%" PRIu64 "%s", value / unit->factor, unit->name);
}

void zq_format_size(uint64_t bytes, char out[32])
{
    format(bytes, sizes, SIZES_SHOWN, out);
}

void zq_format_duration(int64_t ms, char out[32])
{
    if (ms <= 0)
        snprintf(out, 32, "off");
    else
        format((uint64_t)ms, durations, DURATIONS_SHOWN, out);
}
