/* src/wire: frames survive the way there and back, and nothing else is accepted. */
#include "zq/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <unistd.h>

#define assert_slice(actual, expected) assert_true(zq_slice_eq((actual), (expected)))

static struct zq_field two_fields[] = {
    {{"host", 4}, {"example.org", 11}},
    {{"x-empty", 7}, {"", 0}},
};

static struct zq_wire_request a_request(void)
{
    return (struct zq_wire_request){
        .version_minor = 1,
        .method = ZQ_SLICE("POST"),
        .scheme = ZQ_SLICE("http"),
        .raw_path = ZQ_SLICE("/a%20b"),
        .path = ZQ_SLICE("/a b"),
        .query = ZQ_SLICE("q=1"),
        .client = ZQ_SLICE("192.0.2.1"),
        .client_port = 50000,
        .server = ZQ_SLICE("192.0.2.2"),
        .server_port = 80,
        .fields = {two_fields, 2},
        .body = ZQ_SLICE("body"),
    };
}

static struct zq_slice bytes_of(const struct zq_buf *b)
{
    return zq_slice(zq_buf_data(b), b->n);
}

static void request_goes_there_and_back(void **state)
{
    struct zq_buf out = {0};
    struct zq_arena arena = {0};
    struct zq_wire_request in = a_request(), back;
    struct zq_wire_frame frame;
    size_t used;

    (void)state;
    assert_int_equal(zq_wire_encode_request(&out, 9, &in, ZQ_WIRE_END), 0);
    zq_wire_restream(zq_buf_data(&out), 10);
    assert_int_equal(zq_wire_next(bytes_of(&out), ZQ_WIRE_FROM_FRONT, &frame, &used), 0);
    assert_int_equal(used, out.n);
    assert_int_equal(frame.type, ZQ_WIRE_REQUEST);
    assert_int_equal(frame.stream, 10);
    assert_int_equal(frame.flags, ZQ_WIRE_END);
    assert_int_equal(zq_wire_decode_request(frame.payload, &arena, &back), 0);
    assert_int_equal(back.version_minor, 1);
    assert_slice(back.method, in.method);
    assert_slice(back.scheme, in.scheme);
    assert_slice(back.raw_path, in.raw_path);
    assert_slice(back.path, in.path);
    assert_slice(back.query, in.query);
    assert_slice(back.client, in.client);
    assert_slice(back.server, in.server);
    assert_slice(back.body, in.body);
    assert_int_equal(back.client_port, 50000);
    assert_int_equal(back.server_port, 80);
    assert_int_equal(back.fields.n, 2);
    assert_slice(back.fields.v[0].value, in.fields.v[0].value);
    assert_int_equal(back.fields.v[1].value.n, 0);
    zq_arena_fini(&arena);
    zq_buf_fini(&out);
}

static void a_path_without_escapes_is_sent_once(void **state)
{
    struct zq_buf with = {0}, without = {0};
    struct zq_arena arena = {0};
    struct zq_wire_request in = a_request(), back;
    struct zq_wire_frame frame;
    size_t used;

    (void)state;
    assert_int_equal(zq_wire_encode_request(&with, 1, &in, 0), 0);
    in.path = in.raw_path;
    assert_int_equal(zq_wire_encode_request(&without, 1, &in, 0), 0);
    assert_int_equal(with.n - without.n, 4);
    assert_int_equal(zq_wire_next(bytes_of(&without), ZQ_WIRE_FROM_FRONT, &frame, &used), 0);
    assert_int_equal(zq_wire_decode_request(frame.payload, &arena, &back), 0);
    assert_slice(back.path, in.raw_path);
    zq_arena_fini(&arena);
    zq_buf_fini(&with);
    zq_buf_fini(&without);
}

static void response_goes_there_and_back(void **state)
{
    struct zq_buf out = {0};
    struct zq_arena arena = {0};
    struct zq_wire_response in = {200, {two_fields, 2}, ZQ_SLICE("x")}, back;
    struct zq_wire_frame frame;
    size_t used;

    (void)state;
    assert_int_equal(zq_wire_encode_response(&out, 3, &in, 0), 0);
    assert_int_equal(zq_wire_next(bytes_of(&out), ZQ_WIRE_FROM_WORKER, &frame, &used), 0);
    assert_int_equal(zq_wire_decode_response(frame.payload, &arena, &back), 0);
    assert_int_equal(back.status, 200);
    assert_int_equal(back.fields.n, 2);
    assert_slice(back.body, in.body);
    zq_arena_fini(&arena);
    zq_buf_fini(&out);
}

static void interim_goes_there_and_back(void **state)
{
    static char long_value[ZQ_WIRE_INTERIM_MAX];
    struct zq_field long_field = {ZQ_SLICE("a"), zq_slice(long_value, sizeof(long_value))};
    static const unsigned refused[] = {99, 100, 101, 200, 599};
    struct zq_buf out = {0};
    struct zq_arena arena = {0};
    struct zq_wire_response in = {103, {two_fields, 2}, {0}}, back;
    struct zq_wire_frame frame;
    size_t used;

    (void)state;
    assert_int_equal(zq_wire_encode_interim(&out, 3, &in), 0);
    assert_int_equal(zq_wire_next(bytes_of(&out), ZQ_WIRE_FROM_WORKER, &frame, &used), 0);
    assert_int_equal(frame.type, ZQ_WIRE_INTERIM);
    assert_int_equal(zq_wire_decode_interim(frame.payload, &arena, &back), 0);
    assert_int_equal(back.status, 103);
    assert_int_equal(back.fields.n, 2);
    in.fields = (struct zq_fields){&long_field, 1};
    assert_int_equal(zq_wire_encode_interim(&out, 3, &in), ZQ_ELIMIT);
    assert_int_equal(zq_wire_encode_response(&out, 3, &in, 0), 0); /* as long, in INTERIM's place */
    assert_int_equal(
        zq_wire_decode_interim(zq_slice(zq_buf_data(&out), ZQ_WIRE_INTERIM_MAX + 1), &arena, &back),
        ZQ_EPROTO);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(refused); i++) {
        uint16_t payload[2] = {(uint16_t)refused[i], 0};
        assert_int_equal(
            zq_wire_decode_interim(zq_slice((char *)payload, sizeof(payload)), &arena, &back),
            ZQ_EPROTO);
    }
    uint16_t with_body[3] = {103, 0, 0};
    assert_int_equal(
        zq_wire_decode_interim(zq_slice((char *)with_body, sizeof(with_body)), &arena, &back),
        ZQ_EPROTO);
    zq_arena_fini(&arena);
    zq_buf_fini(&out);
}

/* A head with the body's bytes behind it is the same frame. */
static void a_body_may_lie_elsewhere(void **state)
{
    struct zq_buf whole = {0}, parts = {0};
    struct zq_wire_response r = {200, {two_fields, 2}, ZQ_SLICE("a body")};

    (void)state;
    assert_int_equal(zq_wire_encode_response(&whole, 3, &r, 0), 0);
    assert_int_equal(zq_wire_encode_body(&whole, 3, r.body, ZQ_WIRE_END), 0);
    assert_int_equal(zq_wire_encode_response_head(&parts, 3, &r, 0), 0);
    assert_int_equal(zq_buf_append(&parts, r.body.p, r.body.n), 0);
    assert_int_equal(zq_wire_encode_body_head(&parts, 3, r.body.n, ZQ_WIRE_END), 0);
    assert_int_equal(zq_buf_append(&parts, r.body.p, r.body.n), 0);
    assert_slice(bytes_of(&parts), bytes_of(&whole));
    assert_int_equal(zq_wire_encode_body_head(&parts, 3, ZQ_WIRE_PAYLOAD_MAX + 1, 0), ZQ_ELIMIT);
    zq_buf_fini(&whole);
    zq_buf_fini(&parts);
}

/* Every prefix of a stream of frames is "not yet", and says how much is needed once it can. */
static void prefixes_are_incomplete(void **state)
{
    struct zq_buf out = {0};
    struct zq_wire_request in = a_request();
    struct zq_wire_frame frame;
    size_t used;

    (void)state;
    assert_int_equal(zq_wire_encode_request(&out, 1, &in, 0), 0);
    for (size_t n = 0; n < out.n; n++) {
        assert_int_equal(
            zq_wire_next(zq_slice(zq_buf_data(&out), n), ZQ_WIRE_FROM_FRONT, &frame, &used),
            ZQ_EAGAIN);
        assert_int_equal(used, n < ZQ_WIRE_HEADER_SIZE ? 0 : out.n);
    }
    zq_buf_fini(&out);
}

/* Cut anywhere, a BODY frame's parts are its bytes, and only the last ends the stream; any other
 * frame comes whole. */
static void a_body_comes_in_parts(void **state)
{
    struct zq_buf out = {0};
    struct zq_wire_parts parts = {0};
    struct zq_wire_frame frame;
    char body[64];
    size_t used, cut;

    (void)state;
    assert_int_equal(zq_wire_encode_body(&out, 7, ZQ_SLICE("content"), ZQ_WIRE_END), 0);
    assert_int_equal(zq_wire_encode_number(&out, ZQ_WIRE_CREDIT, 7, 5), 0);
    for (cut = 0; cut < out.n; cut++) {
        struct zq_slice input = zq_slice(zq_buf_data(&out), cut);
        size_t taken = 0, n = 0;
        bool ended = false;
        for (int rounds = 0; rounds < 2; rounds++, input.n = out.n - taken) {
            while (zq_wire_next_part(input, ZQ_WIRE_FROM_WORKER, &parts, &frame, &used) == 0) {
                input = zq_slice(input.p + used, input.n - used);
                taken += used;
                assert_int_equal(frame.stream, 7);
                if (frame.type != ZQ_WIRE_BODY)
                    continue;
                memcpy(body + n, frame.payload.p, frame.payload.n);
                n += frame.payload.n;
                assert_false(ended);
                ended = frame.flags & ZQ_WIRE_END;
                assert_int_equal(ended, n == 7);
            }
        }
        assert_int_equal(taken, out.n);
        assert_true(ended && frame.type == ZQ_WIRE_CREDIT && parts.left == 0);
        assert_memory_equal(body, "content", 7);
    }
    zq_buf_fini(&out);
}

struct raw_header {
    uint32_t length, stream;
    uint8_t type, flags;
    uint16_t zero;
};

static void headers_that_no_peer_may_send_are_refused(void **state)
{
    static const struct {
        enum zq_wire_from from;
        struct raw_header h;
    } rows[] = {
        {ZQ_WIRE_FROM_WORKER, {36, 1, ZQ_WIRE_REQUEST, 0, 0}}, /* wrong side */
        {ZQ_WIRE_FROM_FRONT, {4, 1, ZQ_WIRE_RESPONSE, 0, 0}},
        {ZQ_WIRE_FROM_FRONT, {0, 1, ZQ_WIRE_WANT, 0, 0}},
        {ZQ_WIRE_FROM_FRONT, {4, 1, ZQ_WIRE_INTERIM, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {4, 1, ZQ_WIRE_INTERIM, ZQ_WIRE_END, 0}},
        {ZQ_WIRE_FROM_WORKER, {0, 1, ZQ_WIRE_CANCEL, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {4, 0, ZQ_WIRE_PING, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {0, 1, 0, 0, 0}}, /* no such type */
        {ZQ_WIRE_FROM_WORKER, {0, 1, ZQ_WIRE_TYPE_COUNT, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {0, 1, 255, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {4, 0, ZQ_WIRE_RESPONSE, 0, 0}}, /* stream or none */
        {ZQ_WIRE_FROM_WORKER, {4, 1, ZQ_WIRE_PONG, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {3, 1, ZQ_WIRE_RESPONSE, 0, 0}}, /* lengths */
        {ZQ_WIRE_FROM_WORKER, {ZQ_WIRE_PAYLOAD_MAX + 1, 1, ZQ_WIRE_BODY, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {UINT32_MAX, 1, ZQ_WIRE_BODY, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {5, 1, ZQ_WIRE_CREDIT, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {1, 1, ZQ_WIRE_RESET, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {0, 1, ZQ_WIRE_BODY, 2, 0}}, /* flags */
        {ZQ_WIRE_FROM_WORKER, {0, 1, ZQ_WIRE_RESET, ZQ_WIRE_END, 0}},
        {ZQ_WIRE_FROM_WORKER, {4, 1, ZQ_WIRE_CREDIT, ZQ_WIRE_END, 0}},
        {ZQ_WIRE_FROM_WORKER, {0, 1, ZQ_WIRE_BODY, 0, 1}}, /* reserved */
        {ZQ_WIRE_FROM_FRONT, {8, 0, ZQ_WIRE_PURGE, 0, 0}},
        {ZQ_WIRE_FROM_FRONT, {4, 0, ZQ_WIRE_INFO, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {8, 0, ZQ_WIRE_ANSWER, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {8, 1, ZQ_WIRE_PURGE, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {7, 0, ZQ_WIRE_PURGE, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {8, 0, ZQ_WIRE_PURGE, ZQ_WIRE_END, 0}},
        {ZQ_WIRE_FROM_WORKER, {5, 0, ZQ_WIRE_INFO, 0, 0}},
        {ZQ_WIRE_FROM_FRONT, {7, 0, ZQ_WIRE_ANSWER, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {4, 0, ZQ_WIRE_OFFER, 0, 0}},
        {ZQ_WIRE_FROM_WORKER, {4, 1, ZQ_WIRE_OFFER, ZQ_WIRE_END, 0}},
        {ZQ_WIRE_FROM_WORKER, {3, 1, ZQ_WIRE_RETURNED, 0, 0}},
        {ZQ_WIRE_FROM_FRONT, {0, 1, ZQ_WIRE_LEND, ZQ_WIRE_END, 0}},
        {ZQ_WIRE_FROM_FRONT, {1, 1, ZQ_WIRE_KEEP, 0, 0}},
    };
    struct zq_wire_frame frame;
    size_t used;

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++)
        assert_int_equal(
            zq_wire_next(zq_slice(&rows[i].h, sizeof(rows[i].h)), rows[i].from, &frame, &used),
            ZQ_EPROTO);
}

static void numbers(void **state)
{
    struct zq_buf out = {0};
    struct zq_wire_frame frame;
    size_t used;
    uint32_t number;

    (void)state;
    assert_int_equal(zq_wire_encode_number(&out, ZQ_WIRE_CREDIT, 1, 4096), 0);
    assert_int_equal(zq_wire_next(bytes_of(&out), ZQ_WIRE_FROM_WORKER, &frame, &used), 0);
    assert_int_equal(zq_wire_decode_number(&frame, &number), 0);
    assert_int_equal(number, 4096);
    uint32_t bad[] = {0, ZQ_WIRE_CREDIT_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(bad); i++) {
        frame.payload = zq_slice(&bad[i], sizeof(bad[i]));
        assert_int_equal(zq_wire_decode_number(&frame, &number), ZQ_EPROTO);
    }
    zq_buf_fini(&out);
}

static void offers_and_answers_go_there_and_back(void **state)
{
    static const struct {
        enum zq_wire_type type;
        enum zq_wire_from from;
        bool has_number;
    } rows[] = {
        {ZQ_WIRE_OFFER, ZQ_WIRE_FROM_WORKER, true},
        {ZQ_WIRE_LEND, ZQ_WIRE_FROM_FRONT, false},
        {ZQ_WIRE_KEEP, ZQ_WIRE_FROM_FRONT, false},
    };
    struct zq_buf out = {0};
    struct zq_wire_frame frame;
    size_t used;
    uint32_t number;

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        zq_buf_consume(&out, out.n);
        int error = rows[i].has_number ? zq_wire_encode_number(&out, rows[i].type, 7, 1 << 20)
                                       : zq_wire_encode_signal(&out, rows[i].type, 7, 0);
        assert_int_equal(error, 0);
        assert_int_equal(zq_wire_next(bytes_of(&out), rows[i].from, &frame, &used), 0);
        assert_int_equal(frame.type, rows[i].type);
        assert_int_equal(frame.stream, 7);
        assert_int_equal(zq_wire_next(bytes_of(&out), !rows[i].from, &frame, &used), ZQ_EPROTO);
        if (rows[i].has_number)
            assert_int_equal(zq_wire_decode_number(&frame, &number), 0);
    }
    for (unsigned flags = 0; flags <= ZQ_WIRE_END; flags++) {
        zq_buf_consume(&out, out.n);
        assert_int_equal(zq_wire_encode_returned(&out, 7, 0, flags), 0);
        assert_int_equal(zq_wire_next(bytes_of(&out), ZQ_WIRE_FROM_WORKER, &frame, &used), 0);
        assert_int_equal(frame.type, ZQ_WIRE_RETURNED);
        assert_int_equal(frame.flags, flags);
        assert_int_equal(zq_wire_decode_number(&frame, &number), 0);
        assert_int_equal(number, 0);
    }
    uint32_t bad[] = {0, ZQ_WIRE_OFFER_MAX + 1, UINT32_MAX};
    frame.type = ZQ_WIRE_OFFER;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(bad); i++) {
        frame.payload = zq_slice(&bad[i], sizeof(bad[i]));
        assert_int_equal(zq_wire_decode_number(&frame, &number), ZQ_EPROTO);
    }
    zq_buf_fini(&out);
}

static void purges_and_answers_go_there_and_back(void **state)
{
    struct zq_buf out = {0};
    struct zq_wire_purge purge = {7, 3, true, ZQ_SLICE("company:42")}, purge_back;
    struct zq_wire_answer answer = {7, 400, ZQ_SLICE("why")}, answer_back;
    struct zq_wire_frame frame;
    size_t used;

    (void)state;
    assert_int_equal(zq_wire_encode_purge(&out, &purge), 0);
    assert_int_equal(zq_wire_next(bytes_of(&out), ZQ_WIRE_FROM_WORKER, &frame, &used), 0);
    assert_int_equal(zq_wire_decode_purge(frame.payload, &purge_back), 0);
    assert_int_equal(purge_back.number, 7);
    assert_int_equal(purge_back.kind, 3);
    assert_true(purge_back.soft);
    assert_slice(purge_back.text, purge.text);
    zq_buf_consume(&out, used);
    assert_int_equal(zq_wire_encode_answer(&out, &answer), 0);
    assert_int_equal(zq_wire_next(bytes_of(&out), ZQ_WIRE_FROM_FRONT, &frame, &used), 0);
    assert_int_equal(zq_wire_decode_answer(frame.payload, &answer_back), 0);
    assert_int_equal(answer_back.number, 7);
    assert_int_equal(answer_back.status, 400);
    assert_slice(answer_back.text, answer.text);
    zq_buf_fini(&out);
}

static void damaged_purges_and_answers_are_refused(void **state)
{
    static const char purges[][8] = {{0, 0, 0, 0, 0, 2}, {0, 0, 0, 0, 0, 0, 1}};
    struct zq_wire_purge purge;
    struct zq_wire_answer answer;
    char *big = calloc(1, 8 + ZQ_WIRE_PURGE_TEXT_MAX + 1);

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(purges); i++)
        assert_int_equal(zq_wire_decode_purge(zq_slice(purges[i], 8), &purge), ZQ_EPROTO);
    assert_int_equal(zq_wire_decode_purge(zq_slice(big, 7), &purge), ZQ_EPROTO);
    assert_int_equal(zq_wire_decode_purge(zq_slice(big, 8 + ZQ_WIRE_PURGE_TEXT_MAX), &purge), 0);
    assert_int_equal(zq_wire_decode_purge(zq_slice(big, 9 + ZQ_WIRE_PURGE_TEXT_MAX), &purge),
                     ZQ_EPROTO);
    assert_int_equal(zq_wire_decode_answer(zq_slice(big, 8), &answer), ZQ_EPROTO); /* status 0 */
    big[4] = (char)200;
    assert_int_equal(zq_wire_decode_answer(zq_slice(big, 8 + ZQ_WIRE_ANSWER_TEXT_MAX), &answer), 0);
    assert_int_equal(zq_wire_decode_answer(zq_slice(big, 9 + ZQ_WIRE_ANSWER_TEXT_MAX), &answer),
                     ZQ_EPROTO);
    big[6] = 1;
    assert_int_equal(zq_wire_decode_answer(zq_slice(big, 8), &answer), ZQ_EPROTO);
    free(big);
}

/* ---- routes ---- */

static const struct zq_route a_route = {
    .kind = ZQ_ROUTE_STATIC,
    .path = {"/c/<int:id>", 11},
    .methods = {"GET,POST", 8},
    .why = {"app.view", 8},
    .rule =
        {
            .has_query = true,
            .query = {(struct zq_slice[]){{"page", 4}, {"q", 1}}, 2},
            .has_cookies = true,
            .headers = {(struct zq_slice[]){{"x-a", 3}}, 1},
        },
    .status = 203,
    .fields = {(struct zq_field[]){{{"a", 1}, {"b", 1}}}, 1},
    .body = {"hello", 5},
};

static void routes_go_there_and_back(void **state)
{
    struct zq_buf out = {0}, again = {0};
    struct zq_arena arena = {0};
    struct zq_wire_frame frame;
    struct zq_route back;
    size_t used;

    (void)state;
    assert_int_equal(zq_wire_encode_route(&out, &a_route), 0);
    struct zq_slice whole = zq_slice(zq_buf_data(&out), out.n);
    assert_int_equal(zq_wire_next(whole, ZQ_WIRE_FROM_FRONT, &frame, &used), ZQ_EPROTO);
    assert_int_equal(zq_wire_next(whole, ZQ_WIRE_FROM_WORKER, &frame, &used), 0);
    assert_int_equal(zq_wire_decode_route(frame.payload, &arena, &back), 0);
    assert_int_equal(back.kind, ZQ_ROUTE_STATIC);
    assert_slice(back.path, a_route.path);
    assert_slice(back.methods, a_route.methods);
    assert_slice(back.why, a_route.why);
    assert_true(back.rule.has_query && back.rule.has_cookies);
    assert_int_equal(back.rule.query.n, 2);
    assert_slice(back.rule.query.v[1], ZQ_SLICE("q"));
    assert_int_equal(back.rule.ignore_query.n, 0);
    assert_int_equal(back.rule.cookies.n, 0);
    assert_slice(back.rule.headers.v[0], ZQ_SLICE("x-a"));
    assert_int_equal(back.status, 203);
    assert_slice(back.fields.v[0].value, ZQ_SLICE("b"));
    assert_slice(back.body, ZQ_SLICE("hello"));
    assert_int_equal(zq_wire_encode_route(&again, &back), 0);
    assert_int_equal(again.n, out.n);
    assert_memory_equal(zq_buf_data(&again), zq_buf_data(&out), out.n);
    /* Cut anywhere before the body it is refused, and reads nothing beyond. */
    for (size_t n = 0; n + a_route.body.n < frame.payload.n; n++) {
        char *copy = malloc(n + 1);
        memcpy(copy, frame.payload.p, n);
        assert_int_equal(zq_wire_decode_route(zq_slice(copy, n), &arena, &back), ZQ_EPROTO);
        free(copy);
    }
    zq_arena_fini(&arena);
    zq_buf_fini(&out);
    zq_buf_fini(&again);
}

static void routes_that_say_nonsense_are_not_encoded(void **state)
{
    struct zq_route wrong[] = {a_route, a_route, a_route, a_route, a_route, a_route, a_route};
    struct zq_buf out = {0};

    (void)state;
    wrong[0].path = ZQ_SLICE("c");
    wrong[1].methods = ZQ_SLICE("get");
    wrong[2].methods = ZQ_SLICE("GET,");
    wrong[3].why = ZQ_SLICE("a\nb");
    wrong[4].kind = ZQ_ROUTE_CACHED; /* and has a response */
    wrong[5].status = 101;
    wrong[6].rule.has_query = false;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(wrong); i++)
        assert_int_equal(zq_wire_encode_route(&out, &wrong[i]), ZQ_EINVAL);
    struct zq_route large = a_route;
    large.body = zq_slice(calloc(1, ZQ_WIRE_PAYLOAD_MAX), ZQ_WIRE_PAYLOAD_MAX);
    assert_int_equal(zq_wire_encode_route(&out, &large), ZQ_ELIMIT);
    free((char *)(uintptr_t)large.body.p);
    assert_int_equal(out.n, 0);
}

static void too_much_is_not_encoded(void **state)
{
    struct zq_buf out = {0};
    struct zq_wire_response r = {200, {NULL, 0}, {0}};
    char *big = calloc(1, ZQ_WIRE_PAYLOAD_MAX + 1);

    (void)state;
    r.body = zq_slice(big, ZQ_WIRE_PAYLOAD_MAX);
    assert_int_equal(zq_wire_encode_response(&out, 1, &r, 0), ZQ_ELIMIT);
    assert_int_equal(zq_wire_encode_body(&out, 1, zq_slice(big, ZQ_WIRE_PAYLOAD_MAX + 1), 0),
                     ZQ_ELIMIT);
    struct zq_wire_purge purge = {.text = zq_slice(big, ZQ_WIRE_PURGE_TEXT_MAX + 1)};
    assert_int_equal(zq_wire_encode_purge(&out, &purge), ZQ_ELIMIT);
    struct zq_wire_answer answer = {1, 200, zq_slice(big, ZQ_WIRE_ANSWER_TEXT_MAX + 1)};
    assert_int_equal(zq_wire_encode_answer(&out, &answer), ZQ_ELIMIT);
    assert_int_equal(out.n, 0);
    free(big);
    zq_buf_fini(&out);
}

/* Every truncation, and thousands of random changes, of a payload decode to slices inside the
 * payload, or to an error: never beyond (the sanitizers watch). */
static void damaged_payloads_stay_inside(void **state)
{
    struct zq_buf out = {0};
    struct zq_arena arena = {0};
    struct zq_wire_request in = a_request(), back;

    (void)state;
    srand(11);
    assert_int_equal(zq_wire_encode_request(&out, 1, &in, 0), 0);
    size_t n = out.n - ZQ_WIRE_HEADER_SIZE;
    for (int i = 0; i < 20000; i++) {
        size_t length = (size_t)i < n ? (size_t)i : n;
        char *copy = malloc(length ? length : 1);
        memcpy(copy, zq_buf_data(&out) + ZQ_WIRE_HEADER_SIZE, length);
        for (int k = rand() % 4; i >= (int)n && k >= 0; k--)
            copy[(size_t)rand() % (k == 0 ? 40 : length)] = (char)rand();
        int error = zq_wire_decode_request(zq_slice(copy, length), &arena, &back);
        if (error == 0) {
            assert_true(back.method.p >= copy && back.method.n <= length);
            for (size_t f = 0; f < back.fields.n; f++)
                assert_true(back.fields.v[f].value.p + back.fields.v[f].value.n <= copy + length);
            assert_true(back.body.p + back.body.n == copy + length);
        } else {
            assert_int_equal(error, ZQ_EPROTO);
        }
        zq_arena_reset(&arena);
        free(copy);
    }
    zq_arena_fini(&arena);
    zq_buf_fini(&out);
}

static void shared_parts_go_there_and_back(void **state)
{
    struct zq_wire_shared in = {3, ZQ_REGION_BLOCK_BYTES}, back;
    struct zq_buf out = {0};
    struct zq_wire_frame frame;
    size_t used;

    (void)state;
    assert_int_equal(zq_wire_encode_shared(&out, 9, in, ZQ_WIRE_END), 0);
    assert_int_equal(zq_wire_next(bytes_of(&out), ZQ_WIRE_FROM_FRONT, &frame, &used), 0);
    assert_int_equal(zq_wire_next(bytes_of(&out), ZQ_WIRE_FROM_WORKER, &frame, &used), 0);
    assert_int_equal(used, out.n);
    assert_int_equal(frame.type, ZQ_WIRE_SHARED);
    assert_int_equal(frame.flags, ZQ_WIRE_END);
    assert_int_equal(zq_wire_decode_shared(frame.payload, &back), 0);
    assert_int_equal(back.block, 3);
    assert_int_equal(back.bytes, ZQ_REGION_BLOCK_BYTES);
    zq_buf_fini(&out);
}

static void shared_parts_have_a_length(void **state)
{
    static const uint32_t bad[] = {0, ZQ_REGION_BLOCK_BYTES + 1, UINT32_MAX};
    struct zq_wire_shared shared = {0, 1};
    struct zq_slice payload = zq_slice((char *)&shared, sizeof(shared));

    (void)state;
    assert_int_equal(zq_wire_decode_shared(payload, &shared), 0);
    assert_int_equal(zq_wire_decode_shared(zq_slice(payload.p, 7), &shared), ZQ_EPROTO);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(bad); i++) {
        shared.bytes = bad[i];
        assert_int_equal(zq_wire_decode_shared(payload, &shared), ZQ_EPROTO);
    }
}

/* "ZQ_EAGAIN when it has to go in a BODY frame: it is too short or too long, no block is free, or
 * `region` is NULL" */
static void what_cannot_be_shared_is_left_to_the_caller(void **state)
{
    static char bytes[ZQ_REGION_BLOCK_BYTES + 1] = "content";
    const enum zq_region_way way = ZQ_REGION_TO_WORKER;
    int memory = zq_region_memory(1);
    struct zq_region *region = zq_region_new(memory, 0);
    struct zq_buf out = {0};

    (void)state;
    assert_non_null(region);
    assert_int_equal(
        zq_wire_share(&out, 1, region, way, zq_slice(bytes, ZQ_WIRE_SHARED_LEAST - 1), 0),
        ZQ_EAGAIN);
    assert_int_equal(zq_wire_share(&out, 1, region, way, zq_slice(bytes, sizeof(bytes)), 0),
                     ZQ_EAGAIN);
    assert_int_equal(zq_wire_share(&out, 1, NULL, way, zq_slice(bytes, ZQ_WIRE_SHARED_LEAST), 0),
                     ZQ_EAGAIN);
    assert_int_equal(out.n, 0);
    for (unsigned i = 0; i < ZQ_REGION_TO_WORKER_BLOCKS; i++)
        assert_int_equal(
            zq_wire_share(&out, 1, region, way, zq_slice(bytes, ZQ_REGION_BLOCK_BYTES), 0), 0);
    assert_int_equal(out.n, ZQ_REGION_TO_WORKER_BLOCKS * (ZQ_WIRE_HEADER_SIZE + 8));
    assert_string_equal(zq_region_block(region, way, 1), "content");
    assert_int_equal(zq_wire_share(&out, 1, region, way, zq_slice(bytes, ZQ_REGION_BLOCK_BYTES), 0),
                     ZQ_EAGAIN);
    zq_buf_fini(&out);
    zq_region_unref(region);
    close(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_goes_there_and_back),
        cmocka_unit_test(a_path_without_escapes_is_sent_once),
        cmocka_unit_test(response_goes_there_and_back),
        cmocka_unit_test(interim_goes_there_and_back),
        cmocka_unit_test(a_body_may_lie_elsewhere),
        cmocka_unit_test(prefixes_are_incomplete),
        cmocka_unit_test(a_body_comes_in_parts),
        cmocka_unit_test(headers_that_no_peer_may_send_are_refused),
        cmocka_unit_test(numbers),
        cmocka_unit_test(offers_and_answers_go_there_and_back),
        cmocka_unit_test(purges_and_answers_go_there_and_back),
        cmocka_unit_test(damaged_purges_and_answers_are_refused),
        cmocka_unit_test(shared_parts_go_there_and_back),
        cmocka_unit_test(shared_parts_have_a_length),
        cmocka_unit_test(what_cannot_be_shared_is_left_to_the_caller),
        cmocka_unit_test(routes_go_there_and_back),
        cmocka_unit_test(routes_that_say_nonsense_are_not_encoded),
        cmocka_unit_test(too_much_is_not_encoded),
        cmocka_unit_test(damaged_payloads_stay_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
