/* Vary: what a stored response keeps of its request, and which others it answers (RFC 9111 4.1).
 *
 * Input: lines of response fields; an empty line; the same of one request; and of another.
 *
 * Invariants:
 *   - a response is selected by the request that it answered, and by one that differs from it only
 * in fields that are not named, or in how lists are split over lines and spaced;
 *   - another request selects it exactly if the fields that are named are the same to a reader that
 *     joins, splits and sorts them by itself, or if it wishes above all for the language that the
 *     response is in;
 *   - zq_vary_alike says the same of two requests as the block of one does of the other, either way
 *     round. */
#include "support/fuzz.h"

#include "cache/vary.h"

#define FUZZ_WISHES_MAX 33 /* one more than are sorted */

/* ---- another reading ---- */

static bool is_verbatim(struct zq_slice name)
{
    return zq_slice_ieq(name, ZQ_SLICE("cookie")) || zq_slice_ieq(name, ZQ_SLICE("authorization"));
}

static bool is_wishes(struct zq_slice name)
{
    return zq_slice_ieq(name, ZQ_SLICE("accept")) ||
           zq_slice_ieq(name, ZQ_SLICE("accept-language")) ||
           zq_slice_ieq(name, ZQ_SLICE("accept-encoding")) ||
           zq_slice_ieq(name, ZQ_SLICE("accept-charset"));
}

/* `range;q=0.5`: the range in lower case unless it has parameters; the weight in thousandths. */
struct wish {
    char *range;
    size_t n;
    int weight;
};

static int weight_of(const char *s, size_t n)
{
    double weight = 0;
    char text[8] = "";
    if (n == 0 || n > 5 || (s[0] != '0' && s[0] != '1') || (n > 1 && s[1] != '.'))
        return -1;
    for (size_t i = 2; i < n; i++)
        if (s[i] < '0' || s[i] > '9')
            return -1;
    memcpy(text, s, n);
    weight = strtod(text, NULL);
    return weight <= 1 ? (int)(weight * 1000 + 0.5) : -1;
}

static struct wish wish_of(struct zq_slice member)
{
    struct wish w = {NULL, member.n, 1000};
    size_t at = member.n;
    while (at > 0 && member.p[at - 1] != ';')
        at--;
    struct zq_slice last = zq_slice_trim(zq_slice(member.p + at, member.n - at));
    if (at > 0 && last.n > 2 && (last.p[0] == 'q' || last.p[0] == 'Q') && last.p[1] == '=') {
        int weight = weight_of(last.p + 2, last.n - 2);
        if (weight >= 0) {
            w.n = zq_slice_trim(zq_slice(member.p, at - 1)).n;
            w.weight = weight;
            member = zq_slice_trim(zq_slice(member.p, at - 1));
        }
    }
    FUZZ_CHECK((w.range = malloc(w.n + 1)) != NULL);
    for (size_t i = 0; i < w.n; i++)
        w.range[i] = member.p[i];
    if (memchr(w.range, ';', w.n) == NULL)
        for (size_t i = 0; i < w.n; i++)
            w.range[i] = zq_lower(w.range[i]);
    return w;
}

static int compare_wishes(const void *a, const void *b)
{
    const struct wish *x = a, *y = b;
    int c = memcmp(x->range, y->range, x->n < y->n ? x->n : y->n);
    if (x->weight != y->weight)
        return x->weight - y->weight;
    return c != 0 ? c : (x->n > y->n) - (x->n < y->n);
}

struct wishes {
    struct wish v[FUZZ_WISHES_MAX];
    size_t n; /* FUZZ_WISHES_MAX: too many to be sorted */
};

static void read_wishes(struct wishes *out, const struct zq_fields *request, struct zq_slice name)
{
    out->n = 0;
    for (size_t i = 0; i < request->n; i++) {
        struct zq_slice rest = request->v[i].value, member;
        while (zq_slice_ieq(request->v[i].name, name) && zq_list_next(&rest, &member))
            if (out->n < FUZZ_WISHES_MAX)
                out->v[out->n++] = wish_of(member);
    }
    qsort(out->v, out->n, sizeof(*out->v), compare_wishes);
}

static void free_wishes(struct wishes *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i].range);
}

static bool same_wishes(const struct zq_fields *a, const struct zq_fields *b, struct zq_slice name,
                        bool *sorted)
{
    struct wishes x, y;
    read_wishes(&x, a, name);
    read_wishes(&y, b, name);
    *sorted = x.n < FUZZ_WISHES_MAX && y.n < FUZZ_WISHES_MAX;
    bool same = x.n == y.n &&
                (zq_fields_find(a, name, NULL) != NULL) == (zq_fields_find(b, name, NULL) != NULL);
    for (size_t i = 0; same && i < x.n; i++)
        same = compare_wishes(&x.v[i], &y.v[i]) == 0;
    same &= (x.n < FUZZ_WISHES_MAX) == (y.n < FUZZ_WISHES_MAX);
    free_wishes(&x);
    free_wishes(&y);
    return same;
}

/* Is the response in the one language that the request wishes for most? */
static bool is_wished(const struct zq_fields *response, const struct zq_fields *request)
{
    struct wishes w;
    const struct zq_field *f = zq_fields_find(response, ZQ_SLICE("content-language"), NULL);
    struct zq_slice line, language, other;
    if (f == NULL || zq_fields_find(response, ZQ_SLICE("content-language"), f) != NULL)
        return false;
    line = f->value;
    if (!zq_list_next(&line, &language) || zq_list_next(&line, &other) || language.n > 255)
        return false;
    read_wishes(&w, request, ZQ_SLICE("accept-language"));
    bool wished = w.n > 0 && w.n < FUZZ_WISHES_MAX && w.v[w.n - 1].weight > 0 &&
                  (w.n == 1 || w.v[w.n - 2].weight < w.v[w.n - 1].weight) &&
                  zq_slice_ieq(zq_slice(w.v[w.n - 1].range, w.v[w.n - 1].n), language);
    free_wishes(&w);
    return wished;
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
    bool sorted;
    if (is_wishes(name)) {
        bool alike = same_wishes(a, b, name, &sorted);
        if (sorted || !alike)
            return alike;
    }
    normal_form(&x, a, name);
    normal_form(&y, b, name);
    bool same = x.n == y.n && (x.n == 0 || memcmp(zq_buf_data(&x), zq_buf_data(&y), x.n) == 0);
    zq_buf_fini(&x);
    zq_buf_fini(&y);
    return same;
}

/* `by_language`: also by what the response is in. */
static bool should_match(const struct zq_fields *response, const struct zq_fields *a,
                         const struct zq_fields *b, bool by_language)
{
    const struct zq_field *f = NULL;
    while ((f = zq_fields_find(response, ZQ_SLICE("vary"), f)) != NULL) {
        struct zq_slice rest = f->value, name;
        while (zq_list_next(&rest, &name))
            if (!same_field(a, b, name) &&
                !(by_language && zq_slice_ieq(name, ZQ_SLICE("accept-language")) &&
                  is_wished(response, b)))
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
    bool expected = should_match(response, a, b, false);
    FUZZ_CHECK(zq_vary_match(x, b) == should_match(response, a, b, true));
    FUZZ_CHECK(zq_vary_match(y, a) == should_match(response, b, a, true));
    FUZZ_CHECK(zq_vary_alike(x, a, b) == expected && zq_vary_alike(y, b, a) == expected);
    FUZZ_CHECK(zq_vary_same(x, y) == expected && zq_vary_same(y, x) == expected);
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
