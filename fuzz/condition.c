/* Entity tags, conditions, ranges (RFC 9110 8.8.3, 13, 14.1) and structured dictionaries (RFC
 * 9651).
 *
 * Input: a byte of length; a stored tag up to a line feed; lines of request fields.
 *
 * Invariants:
 *   - a list of tags ends, and no tag reaches beyond it;
 *   - weak comparison is symmetric and follows from the strong one; a tag in quotes without either
 *     inside is found in any list of such, by itself or among others;
 *   - a part lies inside of the content, begins where it was asked for, and is cut the same from
 *     longer content unless that is why it ended;
 *   - a dictionary that can be read can be read with spaces around its commas, to the same keys. */
#include "support/fuzz.h"

#include "cache/block.h"
#include "cache/condition.h"
#include "cache/structured.h"

/* ---- tags ---- */

static void check_tags(struct zq_slice list)
{
    struct zq_slice rest = list;
    struct zq_etag a, b = {0};
    while (zq_etag_next(&rest, &a)) {
        FUZZ_CHECK(a.opaque.p >= list.p && a.opaque.p + a.opaque.n <= list.p + list.n);
        FUZZ_CHECK(zq_etag_weakly_equal(&a, &a));
        FUZZ_CHECK(zq_etag_weakly_equal(&a, &b) == zq_etag_weakly_equal(&b, &a));
        FUZZ_CHECK(!zq_etag_strongly_equal(&a, &b) || zq_etag_weakly_equal(&a, &b));
        b = a;
    }
    FUZZ_CHECK(rest.n == 0);
}

static bool is_plain(struct zq_slice tag)
{
    return tag.n == 0 || (memchr(tag.p, '"', tag.n) == NULL && memchr(tag.p, '\r', tag.n) == NULL);
}

/* A stored tag is found behind another. */
static void check_found(struct zq_slice tag)
{
    struct zq_buf list = {0}, block = {0};
    if (!is_plain(tag))
        return;
    FUZZ_CHECK(zq_buf_printf(&list, "\"other\" , W/\"%.*s\"", (int)tag.n, tag.p) == 0);
    FUZZ_CHECK(zq_buf_printf(&block, "HTTP/1.1 200 OK\r\nx: y\r\nETAG:\t\"%.*s\" \r\n", (int)tag.n,
                             tag.p) == 0);
    struct zq_field field = {ZQ_SLICE("if-none-match"), zq_slice(zq_buf_data(&list), list.n)};
    struct zq_fields request = {&field, 1};
    struct zq_validators v = zq_validators_of(zq_slice(zq_buf_data(&block), block.n));
    if (memchr(tag.p ? tag.p : "", '\0', tag.n) == NULL)
        FUZZ_CHECK(zq_condition_not_modified(&request, &v));
    zq_buf_fini(&list);
    zq_buf_fini(&block);
}

/* ---- ranges ---- */

static void check_range(const struct zq_fields *request, uint64_t length)
{
    struct zq_range r = zq_range_of(request, length);
    struct zq_range longer = zq_range_of(request, length + 1);
    if (r.kind != ZQ_RANGE_PART)
        return;
    FUZZ_CHECK(r.first <= r.last && r.last < length);
    FUZZ_CHECK(longer.kind == ZQ_RANGE_PART && longer.last >= r.last);
    if (r.last + 1 < length)
        FUZZ_CHECK(longer.first == r.first && longer.last == r.last);
}

/* ---- dictionaries ---- */

static size_t count(struct zq_slice line)
{
    struct zq_sf_member m;
    size_t n = 0;
    int more;
    while ((more = zq_sf_next(&line, &m)) > 0) {
        FUZZ_CHECK(m.key.n > 0 && (m.kind != ZQ_SF_BOOLEAN || m.number == 0 || m.number == 1));
        FUZZ_CHECK(m.number >= -999999999999999 && m.number <= 999999999999999);
        n++;
    }
    return more < 0 ? SIZE_MAX : n;
}

static void check_dictionary(struct zq_slice line)
{
    struct zq_buf twice = {0};
    size_t n = count(line);
    if (n == SIZE_MAX || n == 0)
        return;
    FUZZ_CHECK(zq_buf_append(&twice, line.p, line.n) == 0);
    FUZZ_CHECK(zq_buf_append(&twice, " \t,\t ", 5) == 0);
    FUZZ_CHECK(zq_buf_append(&twice, line.p, line.n) == 0);
    struct zq_slice both = zq_slice(zq_buf_data(&twice), twice.n);
    while (both.n > 0 && both.p[0] == ' ')
        both = zq_slice(both.p + 1, both.n - 1);
    FUZZ_CHECK(count(both) == 2 * n);
    zq_buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    struct fuzz_fields request;
    uint64_t length = fuzz_byte(&in);
    struct zq_slice tag = fuzz_until(&in, '\n');
    check_found(tag);
    fuzz_fields_read(&request, &in, true);
    for (size_t i = 0; i < request.fields.n; i++) {
        check_tags(request.v[i].value);
        check_dictionary(request.v[i].value);
    }
    check_range(&request.fields, length);
    struct zq_validators v = {.etag = tag, .date = tag, .last_modified = tag};
    zq_condition_not_modified(&request.fields, &v);
    zq_condition_range_counts(&request.fields, &v);
    fuzz_fields_fini(&request);
    return 0;
}
