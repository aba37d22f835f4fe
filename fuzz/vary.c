/* Vary: what a stored response keeps of its request, and which others it answers (RFC 9111 4.1).
 *
 * Input: lines of response fields; an empty line; the same of one request; and of another.
 *
 * Invariants:
 *   - a response is selected by the request that it answered, and by one that differs from it only
 * in fields that are not named, or in how lists are split over lines and spaced;
 *   - another request selects it exactly if the fields that are named are the same to a reader that
 *     joins and splits them by itself;
 *   - zq_vary_alike says the same of two requests as the block of one does of the other, either way
 *     round. */
#include "support/fuzz.h"

#include "cache/vary.h"

/* ---- another reading ---- */

static bool is_verbatim(struct zq_slice name)
{
    return zq_slice_ieq(name, ZQ_SLICE("cookie")) || zq_slice_ieq(name, ZQ_SLICE("authorization"));
}

/* All of a field, joined: each member (of Cookie and Authorization each line) behind a mark. */
static void normal_form(struct zq_buf *out, const struct zq_fields *request, struct zq_slice name)
{
    for (size_t i = 0; i < request->n; i++) {
        struct zq_slice rest = request->v[i].value, member;
        if (!zq_slice_ieq(request->v[i].name, name))
            continue;
        FUZZ_CHECK(zq_buf_append(out, out->n == 0 ? "p" : "", out->n == 0) == 0);
        if (is_verbatim(name)) {
            member = zq_slice_trim(rest);
            FUZZ_CHECK(zq_buf_append(out, "\n", 1) == 0);
            FUZZ_CHECK(zq_buf_append(out, member.p, member.n) == 0);
            continue;
        }
        while (zq_list_next(&rest, &member)) {
            FUZZ_CHECK(zq_buf_append(out, "\n", 1) == 0);
            FUZZ_CHECK(zq_buf_append(out, member.p, member.n) == 0);
        }
    }
}

static bool same_field(const struct zq_fields *a, const struct zq_fields *b, struct zq_slice name)
{
    struct zq_buf x = {0}, y = {0};
    normal_form(&x, a, name);
    normal_form(&y, b, name);
    bool same = x.n == y.n && (x.n == 0 || memcmp(zq_buf_data(&x), zq_buf_data(&y), x.n) == 0);
    zq_buf_fini(&x);
    zq_buf_fini(&y);
    return same;
}

static bool should_match(const struct zq_fields *response, const struct zq_fields *a,
                         const struct zq_fields *b)
{
    const struct zq_field *f = NULL;
    while ((f = zq_fields_find(response, ZQ_SLICE("vary"), f)) != NULL) {
        struct zq_slice rest = f->value, name;
        while (zq_list_next(&rest, &name))
            if (!same_field(a, b, name))
                return false;
    }
    return true;
}

/* ---- another spelling ---- */

/* Lists a member a line, with blanks; a field that nobody names is added. */
static size_t respell(struct zq_field *out, size_t max, const struct zq_fields *request)
{
    size_t n = 0;
    for (size_t i = 0; i < request->n; i++) {
        struct zq_slice rest = request->v[i].value, member;
        size_t before = n;
        while (!is_verbatim(request->v[i].name) && zq_list_next(&rest, &member)) {
            if (n == max)
                return 0;
            out[n++] = (struct zq_field){request->v[i].name, member};
        }
        if (n == before && n == max)
            return 0;
        if (n == before)
            out[n++] = request->v[i];
    }
    return n;
}

static void check_respelled(struct zq_slice block, const struct zq_fields *request)
{
    struct zq_field lines[256];
    struct zq_fields again = {lines, respell(lines, ZQ_ARRAY_SIZE(lines), request)};
    if (again.n > 0)
        FUZZ_CHECK(zq_vary_match(block, &again) && zq_vary_alike(block, request, &again));
}

static void build(struct zq_buf *out, const struct zq_fields *response,
                  const struct zq_fields *request)
{
    FUZZ_CHECK(zq_vary_build(out, response, request) == 0);
}

static struct zq_slice block_of(const struct zq_buf *buf)
{
    return zq_slice(buf->n > 0 ? zq_buf_data(buf) : NULL, buf->n);
}

static void check(const struct zq_fields *response, const struct zq_fields *a,
                  const struct zq_fields *b)
{
    struct zq_buf of_a = {0}, of_b = {0};
    if (!zq_vary_selects(response))
        return;
    build(&of_a, response, a);
    build(&of_b, response, b);
    struct zq_slice x = block_of(&of_a), y = block_of(&of_b);
    FUZZ_CHECK(zq_vary_match(x, a) && zq_vary_match(y, b));
    FUZZ_CHECK(zq_vary_alike(x, a, a) && zq_vary_alike(x, b, b));
    check_respelled(x, a);
    bool expected = should_match(response, a, b);
    FUZZ_CHECK(zq_vary_match(x, b) == expected && zq_vary_match(y, a) == expected);
    FUZZ_CHECK(zq_vary_alike(x, a, b) == expected && zq_vary_alike(y, b, a) == expected);
    FUZZ_CHECK(zq_slice_eq(x, y) == expected);
    zq_buf_fini(&of_a);
    zq_buf_fini(&of_b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    struct fuzz_fields response, a, b;
    fuzz_fields_read(&response, &in, false);
    fuzz_fields_read(&a, &in, true);
    fuzz_fields_read(&b, &in, true);
    check(&response.fields, &a.fields, &b.fields);
    check(&response.fields, &b.fields, &a.fields);
    fuzz_fields_fini(&response);
    fuzz_fields_fini(&a);
    fuzz_fields_fini(&b);
    return 0;
}
