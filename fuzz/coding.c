/* Accept-Encoding (RFC 9110 12.5.3), which responses may be coded, and the head of a coded one.
 *
 * Input: lines of request fields up to an empty line; lines of response fields.
 *
 * Invariants:
 *   - what is ranked is acceptable, no worse than identity, each once, the best first;
 *   - what the rules do not have is not ranked, and the rest then keeps its order;
 *   - another field of Accept-Encoding that excludes a coding takes it away, and no other;
 *   - the fields' order makes no difference; an empty one none either;
 *   - a response that says no-transform or has a coding is never permitted;
 *   - the head of a coded response has one Content-Encoding, at most one tag, which is weak, and all
 *     other lines but those about bytes; made again of itself it has no other tag. */
#include "support/fuzz.h"

#include "cache/block.h"
#include "cache/coding.h"

static const struct zq_coding_rules all = {{ZQ_CODING_ZSTD, ZQ_CODING_GZIP, ZQ_CODING_BR}, 3, 0};

struct ranking {
    enum zq_coding v[ZQ_CODING_COUNT];
    size_t n;
};

static struct ranking rank(const struct zq_fields *request, const struct zq_coding_rules *rules)
{
    struct zq_accepted accepted = zq_coding_accepted(request);
    struct ranking r;
    r.n = zq_coding_rank(&accepted, rules, r.v);
    for (size_t i = 0; i < r.n; i++) {
        unsigned q = accepted.codings[r.v[i]];
        FUZZ_CHECK(q > 0 && q <= 1000 && q >= accepted.identity);
        for (size_t k = 0; k < i; k++)
            FUZZ_CHECK(r.v[k] != r.v[i] && accepted.codings[r.v[k]] >= q);
    }
    return r;
}

static bool same(const struct ranking *a, const struct ranking *b)
{
    return a->n == b->n && memcmp(a->v, b->v, a->n * sizeof(a->v[0])) == 0;
}

static struct ranking without(const struct ranking *r, enum zq_coding coding)
{
    struct ranking out = {.n = 0};
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i] != coding)
            out.v[out.n++] = r->v[i];
    return out;
}

/* Identity may gain from nothing here, so the others stay. */
static void check_exclusion(const struct zq_fields *request, const struct ranking *r,
                            enum zq_coding coding)
{
    char text[32];
    struct zq_field v[257];
    struct zq_coding_rules fewer = {.n = 0};
    if (request->n >= ZQ_ARRAY_SIZE(v))
        return;
    snprintf(text, sizeof(text), "%s;q=0", zq_coding_word(coding));
    if (request->n > 0)
        memcpy(v, request->v, request->n * sizeof(*v));
    v[request->n] = (struct zq_field){ZQ_SLICE("accept-encoding"), zq_slice_str(text)};
    struct zq_fields excluding = {v, request->n + 1};
    struct ranking expected = without(r, coding), got = rank(&excluding, &all);
    FUZZ_CHECK(same(&got, &expected));
    for (size_t i = 0; i < all.n; i++)
        if (all.codings[i] != coding)
            fewer.codings[fewer.n++] = all.codings[i];
    got = rank(request, &fewer);
    FUZZ_CHECK(same(&got, &expected));
    v[request->n].value = (struct zq_slice){0};
    got = rank(&excluding, &all);
    FUZZ_CHECK(same(&got, r));
}

static void check_order(const struct zq_fields *request, const struct ranking *r)
{
    struct zq_field v[256];
    if (request->n > ZQ_ARRAY_SIZE(v))
        return;
    for (size_t i = 0; i < request->n; i++)
        v[i] = request->v[request->n - 1 - i];
    struct zq_fields reversed = {v, request->n};
    struct ranking got = rank(&reversed, &all);
    FUZZ_CHECK(same(&got, r));
}

/* ---- responses ---- */

static void check_permission(const struct zq_fields *response)
{
    struct zq_field v[257];
    if (!zq_coding_permitted(response) || response->n >= ZQ_ARRAY_SIZE(v))
        return;
    FUZZ_CHECK(zq_fields_find(response, ZQ_SLICE("content-encoding"), NULL) == NULL);
    memcpy(v, response->v, response->n * sizeof(*v));
    struct zq_fields more = {v, response->n + 1};
    v[response->n] = (struct zq_field){ZQ_SLICE("Cache-Control"), ZQ_SLICE("a, No-Transform")};
    FUZZ_CHECK(!zq_coding_permitted(&more));
    v[response->n] = (struct zq_field){ZQ_SLICE("Content-Type"), ZQ_SLICE("text/html")};
    FUZZ_CHECK(!zq_coding_permitted(&more));
}

static size_t count(struct zq_slice block, struct zq_slice name)
{
    struct zq_slice lines = zq_block_lines(block);
    struct zq_block_line line;
    size_t n = 0;
    while (zq_block_next(&lines, &line))
        n += zq_slice_ieq(line.name, name);
    return n;
}

static struct zq_slice coded(struct zq_slice block)
{
    char *to = malloc(zq_coding_block_bound(block));
    FUZZ_CHECK(to != NULL);
    return zq_slice(to, zq_coding_block(to, block, ZQ_CODING_BR));
}

static void check_head(const struct zq_fields *response)
{
    struct zq_buf text = {0};
    FUZZ_CHECK(zq_buf_append(&text, "HTTP/1.1 200 OK\r\n", 17) == 0);
    for (size_t i = 0; i < response->n; i++) {
        const struct zq_field *f = &response->v[i];
        if (memchr(f->name.p ? f->name.p : "", ':', f->name.n) != NULL)
            continue;
        FUZZ_CHECK(zq_buf_append(&text, f->name.p, f->name.n) == 0);
        FUZZ_CHECK(zq_buf_append(&text, ": ", 2) == 0);
        FUZZ_CHECK(zq_buf_append(&text, f->value.p, f->value.n) == 0);
        FUZZ_CHECK(zq_buf_append(&text, "\r\n", 2) == 0);
    }
    struct zq_slice block = zq_slice(zq_buf_data(&text), text.n), etag, again_etag;
    struct zq_slice head = coded(block);
    size_t encodings = count(block, ZQ_SLICE("content-encoding"));
    FUZZ_CHECK(count(head, ZQ_SLICE("content-encoding")) == encodings + 1);
    FUZZ_CHECK(count(head, ZQ_SLICE("etag")) <= 1);
    FUZZ_CHECK(count(head, ZQ_SLICE("repr-digest")) == 0);
    FUZZ_CHECK(count(head, ZQ_SLICE("vary")) == count(block, ZQ_SLICE("vary")));
    if (zq_block_find(head, ZQ_SLICE("etag"), &etag)) {
        FUZZ_CHECK(etag.n >= 3 && memcmp(etag.p, "W/\"", 3) == 0);
        struct zq_slice again = coded(head);
        FUZZ_CHECK(zq_block_find(again, ZQ_SLICE("etag"), &again_etag));
        FUZZ_CHECK(zq_slice_eq(etag, again_etag));
        free((char *)(uintptr_t)again.p);
    }
    free((char *)(uintptr_t)head.p);
    zq_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    struct fuzz_fields request, response;
    fuzz_fields_read(&request, &in, true);
    fuzz_fields_read(&response, &in, false);
    struct ranking r = rank(&request.fields, &all);
    for (int i = 0; i < ZQ_CODING_COUNT; i++)
        check_exclusion(&request.fields, &r, (enum zq_coding)i);
    check_order(&request.fields, &r);
    check_permission(&response.fields);
    check_head(&response.fields);
    fuzz_fields_fini(&request);
    fuzz_fields_fini(&response);
    return 0;
}
