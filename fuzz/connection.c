/* A connection, from bytes to exchanges and back to bytes.
 *
 * Input: flags, a seed for what the handler does (0: it echoes), a seed for the cuts; then what the
 * client sends.
 *
 * Invariants:
 *   - what arrives in one piece and what arrives cut (and is answered into a socket that takes a
 *     few bytes at a time) hands on the same requests and contents, and sends the same answers;
 *   - what was handed on, written down as a request, is read as the same request;
 *   - the answers are a sequence of well-formed responses to these requests, in order
 * (responses.c);
 *   - what http.h promises of requests and callbacks (rig.c); every exchange ends, and no
 *     connection stays when its client has left. */
#include "support/rig.h"

enum { SMALL_LIMITS = 1, CHOPPY = 2, BYTEWISE = 4 };

struct plan {
    uint8_t flags, modes, cuts;
    struct zq_slice bytes;
};

static void configure(struct rig *rig, const struct plan *plan)
{
    *rig = (struct rig){.modes = plan->modes};
    rig->config.timeout_keep_alive = 5000;
    rig->config.timeout_request_header = 10000;
    rig->config.timeout_request_body = 30000;
    rig->config.timeout_write = 60000;
    rig->config.limit_request_line = 8192;
    rig->config.limit_request_headers = 65536;
    rig->config.limit_request_header_count = 100;
    if ((plan->flags & SMALL_LIMITS) == 0)
        return;
    rig->config.limit_request_line = 40;
    rig->config.limit_request_headers = 120;
    rig->config.limit_request_header_count = 5;
    rig->config.limit_request_body = 20;
}

static void run_whole(struct rig *rig, const struct plan *plan)
{
    configure(rig, plan);
    rig_init(rig);
    rig_feed(rig, plan->bytes);
    rig_end(rig);
}

static void run_cut(struct rig *rig, const struct plan *plan)
{
    uint64_t state = plan->cuts + 1u;
    size_t most = plan->bytes.n / 8 + 2;
    configure(rig, plan);
    rig->choppy = (plan->flags & CHOPPY) != 0 ? plan->cuts + 1u : 0;
    rig_init(rig);
    for (size_t at = 0, n; at < plan->bytes.n; at += n) {
        n = (plan->flags & BYTEWISE) != 0 ? 1 : 1 + fuzz_random(&state) % most;
        if (n > plan->bytes.n - at)
            n = plan->bytes.n - at;
        rig_feed(rig, zq_slice(plan->bytes.p + at, n));
    }
    rig_end(rig);
}

static struct zq_slice content(const struct zq_buf *buf)
{
    return zq_slice(buf->n > 0 ? zq_buf_data(buf) : NULL, buf->n);
}

static bool is_prefix(struct zq_slice a, struct zq_slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    return zq_slice_eq(zq_slice(a.p, n), zq_slice(b.p, n));
}

/* Of what was not taken to its end, each run may have had a part. */
static void same_exchange(const struct rig_exchange *a, const struct rig_exchange *b)
{
    FUZZ_CHECK(a->announced == b->announced && a->end == b->end && a->status == b->status);
    FUZZ_CHECK(zq_slice_eq(content(&a->view), content(&b->view)));
    FUZZ_CHECK(is_prefix(content(&a->body), content(&b->body)));
    FUZZ_CHECK(a->end != ZQ_EXCHANGE_COMPLETE || a->body_whole == b->body_whole);
    FUZZ_CHECK(!(a->body_whole && b->body_whole) ||
               zq_slice_eq(content(&a->body), content(&b->body)));
}

/* Such an answer may have got away whole before (to HEAD, say), in part, or not at all. */
static bool was_cut(const struct rig_exchange *x)
{
    return x->end != ZQ_EXCHANGE_COMPLETE && x->end != ZQ_EXCHANGE_REFUSED;
}

static void same_response(const struct rig_response *a, const struct rig_response *b, bool cut)
{
    FUZZ_CHECK(is_prefix(content(&a->body), content(&b->body)));
    FUZZ_CHECK(cut || a->complete == b->complete);
    if (a->complete && b->complete)
        FUZZ_CHECK(a->status == b->status && a->close == b->close &&
                   zq_slice_eq(a->head, b->head) && a->body.n == b->body.n);
}

/* What of an answer got away before it was cut depends on the socket: the last may be missing. */
static void only_a_cut_one_is_missing(const struct rig_responses *responses, size_t n,
                                      const struct rig *rig)
{
    FUZZ_CHECK(responses->n <= n + 1);
    FUZZ_CHECK(responses->n == n || !responses->v[n].complete || was_cut(&rig->exchanges[n]));
}

static void same_answers(const struct rig *a, const struct rig *b)
{
    struct rig_responses x, y;
    rig_responses_read(&x, a);
    rig_responses_read(&y, b);
    size_t n = x.n < y.n ? x.n : y.n;
    only_a_cut_one_is_missing(&x, n, a);
    only_a_cut_one_is_missing(&y, n, b);
    for (size_t i = 0; i < n; i++)
        same_response(&x.v[i], &y.v[i], was_cut(&a->exchanges[i]));
    rig_responses_fini(&x);
    rig_responses_fini(&y);
}

static void same_runs(const struct rig *a, const struct rig *b)
{
    FUZZ_CHECK(a->n == b->n);
    for (size_t i = 0; i < a->n; i++)
        same_exchange(&a->exchanges[i], &b->exchanges[i]);
    same_answers(a, b);
}

/* ---- the way back ---- */

static void write_request(struct zq_buf *out, const struct rig_exchange *x)
{
    struct zq_slice body = content(&x->body);
    int rc = zq_buf_append(out, zq_buf_data(&x->head), x->head.n);
    if (x->chunked && body.n > 0)
        rc |= zq_buf_printf(out, "%zX\r\n", body.n);
    rc |= zq_buf_append(out, body.p, body.n);
    if (x->chunked)
        rc |= zq_buf_append(out, &"\r\n0\r\n\r\n"[body.n > 0 ? 0 : 2], body.n > 0 ? 7 : 5);
    FUZZ_CHECK(rc == 0);
}

static void check_way_back(const struct rig_exchange *x)
{
    static struct rig rig;
    struct zq_buf text = {0};
    struct plan plan = {0};
    write_request(&text, x);
    plan.bytes = content(&text);
    run_whole(&rig, &plan);
    FUZZ_CHECK(rig.n == 1 && rig.exchanges[0].announced);
    FUZZ_CHECK(rig.exchanges[0].end == ZQ_EXCHANGE_COMPLETE);
    FUZZ_CHECK(zq_slice_eq(content(&rig.exchanges[0].view), content(&x->view)));
    FUZZ_CHECK(zq_slice_eq(content(&rig.exchanges[0].body), content(&x->body)));
    rig_fini(&rig);
    zq_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rig whole, cut;
    struct fuzz_input in = fuzz_input(data, size);
    struct plan plan = {.flags = fuzz_byte(&in), .modes = fuzz_byte(&in), .cuts = fuzz_byte(&in)};
    if (size > 16384)
        return 0; /* bounds on dropped bytes are counted a read at a time */
    plan.bytes = zq_slice(in.p, in.n);
    run_whole(&whole, &plan);
    run_cut(&cut, &plan);
    same_runs(&whole, &cut);
    for (size_t i = 0; i < whole.n; i++) {
        const struct rig_exchange *x = &whole.exchanges[i];
        if (x->announced && x->mode <= RIG_LATER && x->end == ZQ_EXCHANGE_COMPLETE)
            check_way_back(x);
    }
    rig_fini(&whole);
    rig_fini(&cut);
    return 0;
}
