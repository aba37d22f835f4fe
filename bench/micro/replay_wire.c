/* Frames between front and worker: encode and decode. */
#include "replay.h"

#include "zq/wire.h"

static struct zq_field request_fields[] = {
    {{"host", 4}, {"shop.example", 12}},
    {{"user-agent", 10}, {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101", 56}},
    {{"accept", 6}, {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 63}},
    {{"accept-language", 15}, {"en-US,en;q=0.5", 14}},
    {{"accept-encoding", 15}, {"gzip, deflate, br, zstd", 23}},
};

static struct zq_field response_fields[] = {
    {{"content-type", 12}, {"text/html; charset=utf-8", 24}},
    {{"content-length", 14}, {"1024", 4}},
    {{"cache-control", 13}, {"public, max-age=60, s-maxage=300", 32}},
};

static char body[1024];

static struct zq_wire_request a_request(void)
{
    return (struct zq_wire_request){
        .version_minor = 1,
        .method = ZQ_SLICE("GET"),
        .scheme = ZQ_SLICE("http"),
        .raw_path = ZQ_SLICE("/summary/ACME"),
        .path = ZQ_SLICE("/summary/ACME"),
        .query = ZQ_SLICE("range=year"),
        .client = ZQ_SLICE("127.0.0.1"),
        .client_port = 50000,
        .server = ZQ_SLICE("127.0.0.1"),
        .server_port = 8000,
        .fields = {request_fields, ZQ_ARRAY_SIZE(request_fields)},
    };
}

static struct zq_wire_response a_response(void)
{
    return (struct zq_wire_response){
        .status = 200,
        .fields = {response_fields, ZQ_ARRAY_SIZE(response_fields)},
        .body = {body, sizeof(body)},
    };
}

static void encode_request(unsigned long n)
{
    struct zq_wire_request request = a_request();
    struct zq_buf out = {0};
    for (unsigned long i = 0; i < n; i++) {
        MUST(zq_wire_encode_request(&out, 1 + (uint32_t)i, &request, ZQ_WIRE_END) == 0);
        zq_buf_consume(&out, out.n);
    }
    zq_buf_fini(&out);
}

static void encode_response(unsigned long n)
{
    struct zq_wire_response response = a_response();
    struct zq_buf out = {0};
    for (unsigned long i = 0; i < n; i++) {
        MUST(zq_wire_encode_response(&out, 1 + (uint32_t)i, &response, ZQ_WIRE_END) == 0);
        zq_buf_consume(&out, out.n);
    }
    zq_buf_fini(&out);
}

static void decode_request(unsigned long n)
{
    struct zq_wire_request request = a_request(), back;
    struct zq_buf out = {0};
    struct zq_arena arena = {0};
    MUST(zq_wire_encode_request(&out, 1, &request, ZQ_WIRE_END) == 0);
    for (unsigned long i = 0; i < n; i++) {
        struct zq_wire_frame frame;
        size_t used;
        struct zq_slice input = zq_slice(zq_buf_data(&out), out.n);
        MUST(zq_wire_next(input, ZQ_WIRE_FROM_FRONT, &frame, &used) == 0);
        MUST(zq_wire_decode_request(frame.payload, &arena, &back) == 0);
        zq_arena_reset(&arena);
    }
    zq_arena_fini(&arena);
    zq_buf_fini(&out);
}

static void decode_response(unsigned long n)
{
    struct zq_wire_response response = a_response(), back;
    struct zq_buf out = {0};
    struct zq_arena arena = {0};
    MUST(zq_wire_encode_response(&out, 1, &response, ZQ_WIRE_END) == 0);
    for (unsigned long i = 0; i < n; i++) {
        struct zq_wire_frame frame;
        size_t used;
        struct zq_slice input = zq_slice(zq_buf_data(&out), out.n);
        MUST(zq_wire_next(input, ZQ_WIRE_FROM_WORKER, &frame, &used) == 0);
        MUST(zq_wire_decode_response(frame.payload, &arena, &back) == 0);
        zq_arena_reset(&arena);
    }
    zq_arena_fini(&arena);
    zq_buf_fini(&out);
}

int main(int argc, char **argv)
{
    static const struct replay list[] = {
        {"encode-request", encode_request},
        {"decode-request", decode_request},
        {"encode-response", encode_response},
        {"decode-response", decode_response},
    };
    return replay_main(argc, argv, list, ZQ_ARRAY_SIZE(list));
}
