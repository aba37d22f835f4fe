/* Wire frames, as each end reads the other's.
 *
 * Input: which end reads; then a stream of frames.
 *
 * Invariants: a frame that is not whole is never taken, and says how long it will be; what is
 * decoded and encoded again is the same bytes, but for a path that need not have been sent, and
 * decodes to the same. */
#include "support/fuzz.h"

#include "zq/wire.h"

static struct zq_slice content(const struct zq_buf *buf)
{
    return zq_slice(zq_buf_data(buf), buf->n);
}

/* Every shorter input is incomplete, or as wrong as the whole. */
static void check_prefixes(struct zq_slice input, enum zq_wire_from from, int outcome, size_t whole)
{
    for (size_t n = 0; n < whole && n <= input.n; n += n < 16 ? 1 : 97) {
        struct zq_wire_frame frame;
        size_t used;
        int rc = zq_wire_next(zq_slice(input.p, n), from, &frame, &used);
        if (n < ZQ_WIRE_HEADER_SIZE)
            FUZZ_CHECK(rc == ZQ_EAGAIN && used == 0);
        else if (outcome == ZQ_EPROTO)
            FUZZ_CHECK(rc == ZQ_EPROTO);
        else
            FUZZ_CHECK(rc == ZQ_EAGAIN && used == whole);
    }
}

static bool same_fields(const struct zq_fields *a, const struct zq_fields *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!zq_slice_eq(a->v[i].name, b->v[i].name) || !zq_slice_eq(a->v[i].value, b->v[i].value))
            return false;
    return true;
}

static void same_request(const struct zq_wire_request *a, const struct zq_wire_request *b)
{
    FUZZ_CHECK(a->version_minor == b->version_minor && a->client_port == b->client_port);
    FUZZ_CHECK(a->server_port == b->server_port && zq_slice_eq(a->method, b->method));
    FUZZ_CHECK(zq_slice_eq(a->scheme, b->scheme) && zq_slice_eq(a->raw_path, b->raw_path));
    FUZZ_CHECK(zq_slice_eq(a->path, b->path) && zq_slice_eq(a->query, b->query));
    FUZZ_CHECK(zq_slice_eq(a->client, b->client) && zq_slice_eq(a->server, b->server));
    FUZZ_CHECK(same_fields(&a->fields, &b->fields) && zq_slice_eq(a->body, b->body));
}

static int again_request(const struct zq_wire_frame *frame, struct zq_arena *arena,
                         struct zq_buf *out)
{
    struct zq_wire_request request, back;
    struct zq_wire_frame copy;
    size_t used;
    int rc = zq_wire_decode_request(frame->payload, arena, &request);
    if (rc != 0)
        return rc;
    FUZZ_CHECK(request.method.n > 0 && (request.path.n > 0 || request.raw_path.n == 0));
    FUZZ_CHECK(zq_wire_encode_request(out, frame->stream, &request, frame->flags) == 0);
    FUZZ_CHECK(zq_wire_next(content(out), ZQ_WIRE_FROM_FRONT, &copy, &used) == 0);
    FUZZ_CHECK(copy.stream == frame->stream && copy.flags == frame->flags);
    FUZZ_CHECK(zq_wire_decode_request(copy.payload, arena, &back) == 0);
    same_request(&request, &back);
    /* Shorter by a path that said no more than raw_path. */
    if (copy.payload.n != frame->payload.n) {
        FUZZ_CHECK(zq_slice_eq(request.path, request.raw_path));
        FUZZ_CHECK(copy.payload.n + request.path.n == frame->payload.n);
        out->n = 0;
    }
    return 0;
}

static int again_response(const struct zq_wire_frame *frame, struct zq_arena *arena,
                          struct zq_buf *out)
{
    struct zq_wire_response response;
    int rc = zq_wire_decode_response(frame->payload, arena, &response);
    if (rc != 0)
        return rc;
    FUZZ_CHECK(response.status >= 200 && response.status <= 599);
    FUZZ_CHECK(zq_wire_encode_response(out, frame->stream, &response, frame->flags) == 0);
    return 0;
}

static int again_interim(const struct zq_wire_frame *frame, struct zq_arena *arena,
                         struct zq_buf *out)
{
    struct zq_wire_response interim;
    int rc = zq_wire_decode_interim(frame->payload, arena, &interim);
    if (rc != 0)
        return rc;
    FUZZ_CHECK(interim.status >= 102 && interim.status <= 199 && interim.body.n == 0);
    FUZZ_CHECK(zq_wire_encode_interim(out, frame->stream, &interim) == 0);
    return 0;
}

static int again_number(const struct zq_wire_frame *frame, struct zq_buf *out)
{
    uint32_t number;
    int rc = zq_wire_decode_number(frame, &number);
    if (rc != 0)
        return rc;
    if (frame->type == ZQ_WIRE_RETURNED)
        FUZZ_CHECK(zq_wire_encode_returned(out, frame->stream, number, frame->flags) == 0);
    else
        FUZZ_CHECK(zq_wire_encode_number(out, frame->type, frame->stream, number) == 0);
    return 0;
}

static int again_shared(const struct zq_wire_frame *frame, struct zq_buf *out)
{
    struct zq_wire_shared shared;
    int rc = zq_wire_decode_shared(frame->payload, &shared);
    if (rc != 0)
        return rc;
    FUZZ_CHECK(shared.bytes > 0 && shared.bytes <= ZQ_REGION_BLOCK_BYTES);
    FUZZ_CHECK(zq_wire_encode_shared(out, frame->stream, shared, frame->flags) == 0);
    return 0;
}

static int again_purge(const struct zq_wire_frame *frame, struct zq_buf *out)
{
    struct zq_wire_purge purge;
    int rc = zq_wire_decode_purge(frame->payload, &purge);
    if (rc != 0)
        return rc;
    FUZZ_CHECK(zq_wire_encode_purge(out, &purge) == 0);
    return 0;
}

static int again_answer(const struct zq_wire_frame *frame, struct zq_buf *out)
{
    struct zq_wire_answer answer;
    int rc = zq_wire_decode_answer(frame->payload, &answer);
    if (rc != 0)
        return rc;
    FUZZ_CHECK(answer.status >= 200 && answer.status <= 599);
    FUZZ_CHECK(zq_wire_encode_answer(out, &answer) == 0);
    return 0;
}

static int again_route(const struct zq_wire_frame *frame, struct zq_arena *arena,
                       struct zq_buf *out)
{
    struct zq_route route;
    int rc = zq_wire_decode_route(frame->payload, arena, &route);
    if (rc != 0)
        return rc;
    FUZZ_CHECK(zq_route_fault(route.path) == NULL && route.methods.n > 0);
    FUZZ_CHECK((route.status != 0) == (route.kind == ZQ_ROUTE_STATIC));
    FUZZ_CHECK(zq_wire_encode_route(out, &route) == 0);
    return 0;
}

/* Encodes again what was decoded; `out` stays empty where that need not be the same bytes. */
static int again(const struct zq_wire_frame *frame, struct zq_arena *arena, struct zq_buf *out)
{
    switch (frame->type) {
    case ZQ_WIRE_REQUEST:
        return again_request(frame, arena, out);
    case ZQ_WIRE_RESPONSE:
        return again_response(frame, arena, out);
    case ZQ_WIRE_INTERIM:
        return again_interim(frame, arena, out);
    case ZQ_WIRE_BODY:
        return zq_wire_encode_body(out, frame->stream, frame->payload, frame->flags);
    case ZQ_WIRE_CREDIT:
    case ZQ_WIRE_PING:
    case ZQ_WIRE_PONG:
    case ZQ_WIRE_INFO:
    case ZQ_WIRE_ROUTES:
    case ZQ_WIRE_OFFER:
    case ZQ_WIRE_RETURNED:
        return again_number(frame, out);
    case ZQ_WIRE_SHARED:
        return again_shared(frame, out);
    case ZQ_WIRE_PURGE:
        return again_purge(frame, out);
    case ZQ_WIRE_ANSWER:
        return again_answer(frame, out);
    case ZQ_WIRE_ROUTE:
        return again_route(frame, arena, out);
    default:
        return zq_wire_encode_signal(out, frame->type, frame->stream, frame->flags);
    }
}

static void check_frame(const struct zq_wire_frame *frame, struct zq_slice bytes)
{
    struct zq_arena arena = {0};
    struct zq_buf out = {0};
    int rc = again(frame, &arena, &out);
    FUZZ_CHECK(rc == 0 || rc == ZQ_EPROTO);
    if (rc == 0 && out.n > 0) {
        FUZZ_CHECK(zq_slice_eq(content(&out), bytes));
        zq_wire_restream(zq_buf_data(&out), frame->stream ^ 0x5a5a5a5a);
        zq_wire_restream(zq_buf_data(&out), frame->stream);
        FUZZ_CHECK(zq_slice_eq(content(&out), bytes));
    }
    zq_buf_fini(&out);
    zq_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    enum zq_wire_from from = fuzz_byte(&in) % 2 != 0 ? ZQ_WIRE_FROM_WORKER : ZQ_WIRE_FROM_FRONT;
    struct zq_slice rest = zq_slice(in.p, in.n);
    for (;;) {
        struct zq_wire_frame frame;
        size_t used;
        int rc = zq_wire_next(rest, from, &frame, &used);
        FUZZ_CHECK(rc == 0 || rc == ZQ_EAGAIN || rc == ZQ_EPROTO);
        if (rc == ZQ_EAGAIN)
            FUZZ_CHECK(used == 0 ? rest.n < ZQ_WIRE_HEADER_SIZE : used > rest.n);
        check_prefixes(rest, from, rc, rc == ZQ_EPROTO ? rest.n : used);
        if (rc != 0)
            return 0;
        FUZZ_CHECK(used <= rest.n && used == ZQ_WIRE_HEADER_SIZE + frame.payload.n);
        struct zq_slice whole = fuzz_copy(zq_slice(rest.p, used));
        FUZZ_CHECK(zq_wire_next(whole, from, &frame, &used) == 0);
        check_frame(&frame, whole);
        free((char *)(uintptr_t)whole.p);
        rest = zq_slice(rest.p + used, rest.n - used);
    }
}
