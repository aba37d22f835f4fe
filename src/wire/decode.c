#include "wire/frame.h"

struct frame_rule {
    const char *name;
    bool from_front, from_worker, has_stream;
    uint32_t least;
};

static const struct frame_rule rules[ZQ_WIRE_TYPE_COUNT] = {
#define X(name, front, worker, stream, least)                                                      \
    [ZQ_WIRE_##name] = {#name, front, worker, stream, least},
    ZQ_WIRE_TYPES(X)
#undef X
};

const char *zq_wire_name(enum zq_wire_type type)
{
    return type > ZQ_WIRE_NONE && type < ZQ_WIRE_TYPE_COUNT ? rules[type].name : "unknown";
}

static bool may_have_end(uint8_t type)
{
    return type == ZQ_WIRE_REQUEST || type == ZQ_WIRE_RESPONSE || type == ZQ_WIRE_BODY ||
           type == ZQ_WIRE_SHARED || type == ZQ_WIRE_RETURNED;
}

static bool is_variable(uint8_t type)
{
    return type == ZQ_WIRE_REQUEST || type == ZQ_WIRE_RESPONSE || type == ZQ_WIRE_BODY ||
           type == ZQ_WIRE_PURGE || type == ZQ_WIRE_ANSWER || type == ZQ_WIRE_INTERIM ||
           type == ZQ_WIRE_ROUTE;
}

static bool header_is_valid(const struct wire_header *h, enum zq_wire_from from)
{
    if (h->type == ZQ_WIRE_NONE || h->type >= ZQ_WIRE_TYPE_COUNT || h->zero != 0)
        return false;
    const struct frame_rule *rule = &rules[h->type];
    if (!(from == ZQ_WIRE_FROM_FRONT ? rule->from_front : rule->from_worker))
        return false;
    if ((h->stream != 0) != rule->has_stream)
        return false;
    if ((h->flags & ~ZQ_WIRE_END) != 0 || (h->flags != 0 && !may_have_end(h->type)))
        return false;
    if (h->length < rule->least || h->length > ZQ_WIRE_PAYLOAD_MAX)
        return false;
    /* Types without variable part have exactly their payload. */
    return is_variable(h->type) || h->length == rule->least;
}

int zq_wire_next(struct zq_slice input, enum zq_wire_from from, struct zq_wire_frame *frame,
                 size_t *used)
{
    struct wire_header h;

    *used = 0;
    if (input.n < sizeof(h))
        return ZQ_EAGAIN;
    memcpy(&h, input.p, sizeof(h));
    if (!header_is_valid(&h, from))
        return ZQ_EPROTO;
    *used = sizeof(h) + h.length;
    if (input.n < *used)
        return ZQ_EAGAIN;
    *frame = (struct zq_wire_frame){
        .type = (enum zq_wire_type)h.type,
        .flags = h.flags,
        .stream = h.stream,
        .payload = zq_slice(input.p + sizeof(h), h.length),
    };
    return 0;
}

static void take_part(struct zq_slice input, struct zq_wire_parts *parts,
                      struct zq_wire_frame *frame)
{
    size_t n = input.n < parts->left ? input.n : parts->left;

    parts->left -= (uint32_t)n;
    *frame = (struct zq_wire_frame){
        .type = ZQ_WIRE_BODY,
        .flags = parts->left == 0 ? parts->flags : 0,
        .stream = parts->stream,
        .payload = zq_slice(input.p, n),
    };
}

int zq_wire_next_part(struct zq_slice input, enum zq_wire_from from, struct zq_wire_parts *parts,
                      struct zq_wire_frame *frame, size_t *used)
{
    struct wire_header h;
    size_t head = 0;

    if (parts->left == 0) {
        int error = zq_wire_next(input, from, frame, used);
        if (error != ZQ_EAGAIN || *used == 0)
            return error;
        memcpy(&h, input.p, sizeof(h));
        if (h.type != ZQ_WIRE_BODY)
            return error;
        *parts = (struct zq_wire_parts){h.stream, h.length, h.flags};
        head = sizeof(h);
    }
    *used = head;
    if (head == 0 && input.n == 0)
        return ZQ_EAGAIN;
    take_part(zq_slice(input.p + head, input.n - head), parts, frame);
    *used += frame->payload.n;
    return 0;
}

bool zq_wire_take(struct zq_slice *in, size_t n, struct zq_slice *out)
{
    if (in->n < n)
        return false;
    *out = zq_slice(in->p, n);
    in->p += n;
    in->n -= n;
    return true;
}

bool zq_wire_take_copy(struct zq_slice *in, void *to, size_t n)
{
    struct zq_slice bytes;

    if (!zq_wire_take(in, n, &bytes))
        return false;
    memcpy(to, bytes.p, n);
    return true;
}

int zq_wire_take_fields(struct zq_slice *in, size_t n, struct zq_arena *arena,
                        struct zq_fields *out)
{
    *out = (struct zq_fields){NULL, n};
    if (n == 0)
        return 0;
    /* Each field takes at least its head: a count that cannot be true allocates nothing. */
    if (n > in->n / sizeof(struct wire_field_head))
        return ZQ_EPROTO;
    out->v = zq_arena_alloc(arena, n * sizeof(*out->v));
    if (out->v == NULL)
        return ZQ_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct wire_field_head head;
        if (!zq_wire_take_copy(in, &head, sizeof(head)) || head.name == 0 ||
            !zq_wire_take(in, head.name, &out->v[i].name) ||
            !zq_wire_take(in, head.value, &out->v[i].value))
            return ZQ_EPROTO;
    }
    return 0;
}

int zq_wire_decode_request(struct zq_slice in, struct zq_arena *arena, struct zq_wire_request *out)
{
    struct zq_slice *strings[7] = {&out->method, &out->scheme, &out->raw_path, &out->path,
                                   &out->query,  &out->client, &out->server};
    struct wire_request_head head;

    if (!zq_wire_take_copy(&in, &head, sizeof(head)) || head.zero != 0)
        return ZQ_EPROTO;
    out->version_minor = head.version_minor;
    out->client_port = head.client_port;
    out->server_port = head.server_port;
    for (int i = 0; i < 7; i++)
        if (!zq_wire_take(&in, head.lengths[i], strings[i]))
            return ZQ_EPROTO;
    if (out->method.n == 0)
        return ZQ_EPROTO;
    if (out->path.n == 0)
        out->path = out->raw_path;
    int error = zq_wire_take_fields(&in, head.n_fields, arena, &out->fields);
    out->body = in;
    return error;
}

static int decode_response(struct zq_slice in, unsigned least, unsigned most,
                           struct zq_arena *arena, struct zq_wire_response *out)
{
    struct wire_response_head head;

    if (!zq_wire_take_copy(&in, &head, sizeof(head)) || head.status < least || head.status > most)
        return ZQ_EPROTO;
    out->status = head.status;
    int error = zq_wire_take_fields(&in, head.n_fields, arena, &out->fields);
    out->body = in;
    return error;
}

int zq_wire_decode_response(struct zq_slice in, struct zq_arena *arena,
                            struct zq_wire_response *out)
{
    return decode_response(in, 200, 599, arena, out);
}

int zq_wire_decode_interim(struct zq_slice in, struct zq_arena *arena, struct zq_wire_response *out)
{
    if (in.n > ZQ_WIRE_INTERIM_MAX)
        return ZQ_EPROTO;
    int error = decode_response(in, 102, 199, arena, out);
    return error == 0 && out->body.n > 0 ? ZQ_EPROTO : error;
}

int zq_wire_decode_number(const struct zq_wire_frame *frame, uint32_t *out)
{
    if (frame->payload.n != sizeof(*out))
        return ZQ_EPROTO;
    memcpy(out, frame->payload.p, sizeof(*out));
    if (frame->type == ZQ_WIRE_CREDIT && (*out == 0 || *out > ZQ_WIRE_CREDIT_MAX))
        return ZQ_EPROTO;
    if (frame->type == ZQ_WIRE_OFFER && (*out == 0 || *out > ZQ_WIRE_OFFER_MAX))
        return ZQ_EPROTO;
    return 0;
}

int zq_wire_decode_shared(struct zq_slice in, struct zq_wire_shared *out)
{
    if (in.n != sizeof(*out) || !zq_wire_take_copy(&in, out, sizeof(*out)) || out->bytes == 0 ||
        out->bytes > ZQ_REGION_BLOCK_BYTES)
        return ZQ_EPROTO;
    return 0;
}

int zq_wire_decode_purge(struct zq_slice in, struct zq_wire_purge *out)
{
    struct wire_purge_head head;

    if (!zq_wire_take_copy(&in, &head, sizeof(head)) || head.soft > 1 || head.zero != 0 ||
        in.n > ZQ_WIRE_PURGE_TEXT_MAX)
        return ZQ_EPROTO;
    *out = (struct zq_wire_purge){head.number, head.kind, head.soft != 0, in};
    return 0;
}

int zq_wire_decode_answer(struct zq_slice in, struct zq_wire_answer *out)
{
    struct wire_answer_head head;

    if (!zq_wire_take_copy(&in, &head, sizeof(head)) || head.status < 200 || head.status > 599 ||
        head.zero != 0 || in.n > ZQ_WIRE_ANSWER_TEXT_MAX)
        return ZQ_EPROTO;
    *out = (struct zq_wire_answer){head.number, head.status, in};
    return 0;
}
