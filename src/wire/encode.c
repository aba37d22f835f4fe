#include "wire/frame.h"

/* Room for one frame with that payload, header written, but for its last `elsewhere` bytes, which
 * the caller sends; NULL with `*error` set. */
static char *open_frame_of(struct zq_buf *out, enum zq_wire_type type, uint32_t stream,
                           unsigned flags, size_t length, size_t elsewhere, int *error)
{
    if (length > ZQ_WIRE_PAYLOAD_MAX) {
        *error = ZQ_ELIMIT;
        return NULL;
    }
    size_t here = ZQ_WIRE_HEADER_SIZE + length - elsewhere;
    char *to = zq_buf_reserve(out, here);
    if (to == NULL) {
        *error = ZQ_ENOMEM;
        return NULL;
    }
    struct wire_header header = {(uint32_t)length, stream, (uint8_t)type, (uint8_t)flags, 0};
    memcpy(to, &header, sizeof(header));
    zq_buf_commit(out, here);
    *error = 0;
    return to + ZQ_WIRE_HEADER_SIZE;
}

char *zq_wire_open_frame(struct zq_buf *out, enum zq_wire_type type, uint32_t stream,
                         unsigned flags, size_t length, int *error)
{
    return open_frame_of(out, type, stream, flags, length, 0, error);
}

char *zq_wire_put(char *to, const void *p, size_t n)
{
    if (n > 0)
        memcpy(to, p, n);
    return to + n;
}

size_t zq_wire_fields_length(const struct zq_fields *fields)
{
    size_t n = 0;

    for (size_t i = 0; i < fields->n; i++)
        n += sizeof(struct wire_field_head) + fields->v[i].name.n + fields->v[i].value.n;
    return n;
}

char *zq_wire_put_fields(char *to, const struct zq_fields *fields)
{
    for (size_t i = 0; i < fields->n; i++) {
        const struct zq_field *f = &fields->v[i];
        struct wire_field_head head = {(uint32_t)f->name.n, (uint32_t)f->value.n};
        to = zq_wire_put(to, &head, sizeof(head));
        to = zq_wire_put(to, f->name.p, f->name.n);
        to = zq_wire_put(to, f->value.p, f->value.n);
    }
    return to;
}

int zq_wire_encode_request(struct zq_buf *out, uint32_t stream, const struct zq_wire_request *r,
                           unsigned flags)
{
    struct zq_slice strings[7] = {r->method, r->scheme, r->raw_path, r->path,
                                  r->query,  r->client, r->server};
    struct wire_request_head head = {
        .version_minor = (uint8_t)r->version_minor,
        .n_fields = (uint16_t)r->fields.n,
        .client_port = r->client_port,
        .server_port = r->server_port,
    };
    size_t length = sizeof(head) + zq_wire_fields_length(&r->fields) + r->body.n;
    int error;

    if (r->fields.n > UINT16_MAX)
        return ZQ_ELIMIT;
    if (zq_slice_eq(r->path, r->raw_path))
        strings[3].n = 0;
    for (int i = 0; i < 7; i++) {
        head.lengths[i] = (uint32_t)strings[i].n;
        length += strings[i].n;
    }
    char *to = zq_wire_open_frame(out, ZQ_WIRE_REQUEST, stream, flags, length, &error);
    if (to == NULL)
        return error;
    to = zq_wire_put(to, &head, sizeof(head));
    for (int i = 0; i < 7; i++)
        to = zq_wire_put(to, strings[i].p, strings[i].n);
    to = zq_wire_put_fields(to, &r->fields);
    zq_wire_put(to, r->body.p, r->body.n);
    return 0;
}

/* `copied`: of the body's bytes; the others follow elsewhere. */
static int encode_head(struct zq_buf *out, enum zq_wire_type type, uint32_t stream,
                       const struct zq_wire_response *r, unsigned flags, size_t copied)
{
    struct wire_response_head head = {(uint16_t)r->status, (uint16_t)r->fields.n};
    int error;

    if (r->fields.n > UINT16_MAX)
        return ZQ_ELIMIT;
    size_t length = sizeof(head) + zq_wire_fields_length(&r->fields) + r->body.n;
    if (type == ZQ_WIRE_INTERIM && length > ZQ_WIRE_INTERIM_MAX)
        return ZQ_ELIMIT;
    char *to = open_frame_of(out, type, stream, flags, length, r->body.n - copied, &error);
    if (to == NULL)
        return error;
    to = zq_wire_put(to, &head, sizeof(head));
    to = zq_wire_put_fields(to, &r->fields);
    zq_wire_put(to, r->body.p, copied);
    return 0;
}

int zq_wire_encode_response(struct zq_buf *out, uint32_t stream, const struct zq_wire_response *r,
                            unsigned flags)
{
    return encode_head(out, ZQ_WIRE_RESPONSE, stream, r, flags, r->body.n);
}

int zq_wire_encode_response_head(struct zq_buf *out, uint32_t stream,
                                 const struct zq_wire_response *r, unsigned flags)
{
    return encode_head(out, ZQ_WIRE_RESPONSE, stream, r, flags, 0);
}

int zq_wire_encode_interim(struct zq_buf *out, uint32_t stream, const struct zq_wire_response *r)
{
    ZQ_ASSERT(r->body.n == 0);
    return encode_head(out, ZQ_WIRE_INTERIM, stream, r, 0, 0);
}

int zq_wire_encode_body(struct zq_buf *out, uint32_t stream, struct zq_slice body, unsigned flags)
{
    int error;
    char *to = zq_wire_open_frame(out, ZQ_WIRE_BODY, stream, flags, body.n, &error);

    if (to == NULL)
        return error;
    zq_wire_put(to, body.p, body.n);
    return 0;
}

int zq_wire_encode_body_head(struct zq_buf *out, uint32_t stream, size_t body_bytes, unsigned flags)
{
    int error;

    open_frame_of(out, ZQ_WIRE_BODY, stream, flags, body_bytes, body_bytes, &error);
    return error;
}

static int encode_number(struct zq_buf *out, enum zq_wire_type type, uint32_t stream,
                         uint32_t number, unsigned flags)
{
    int error;
    char *to = zq_wire_open_frame(out, type, stream, flags, sizeof(number), &error);

    if (to == NULL)
        return error;
    zq_wire_put(to, &number, sizeof(number));
    return 0;
}

int zq_wire_encode_number(struct zq_buf *out, enum zq_wire_type type, uint32_t stream,
                          uint32_t number)
{
    return encode_number(out, type, stream, number, 0);
}

int zq_wire_encode_returned(struct zq_buf *out, uint32_t stream, uint32_t bytes, unsigned flags)
{
    return encode_number(out, ZQ_WIRE_RETURNED, stream, bytes, flags);
}

int zq_wire_encode_shared(struct zq_buf *out, uint32_t stream, struct zq_wire_shared shared,
                          unsigned flags)
{
    int error;
    char *to = zq_wire_open_frame(out, ZQ_WIRE_SHARED, stream, flags, sizeof(shared), &error);

    if (to == NULL)
        return error;
    zq_wire_put(to, &shared, sizeof(shared));
    return 0;
}

int zq_wire_share(struct zq_buf *out, uint32_t stream, struct zq_region *region,
                  enum zq_region_way way, struct zq_slice part, unsigned flags)
{
    if (region == NULL || part.n < ZQ_WIRE_SHARED_LEAST || part.n > ZQ_REGION_BLOCK_BYTES)
        return ZQ_EAGAIN;
    int block = zq_region_take_at(region, way, part.p);
    if (block < 0) {
        block = zq_region_take(region, way);
        if (block < 0)
            return ZQ_EAGAIN;
        memcpy(zq_region_block(region, way, (uint32_t)block), part.p, part.n);
    }
    struct zq_wire_shared shared = {(uint32_t)block, (uint32_t)part.n};
    int error = zq_wire_encode_shared(out, stream, shared, flags);
    if (error < 0)
        zq_region_give(region, way, (uint32_t)block);
    return error;
}

int zq_wire_encode_signal(struct zq_buf *out, enum zq_wire_type type, uint32_t stream,
                          unsigned flags)
{
    int error;

    zq_wire_open_frame(out, type, stream, flags, 0, &error);
    return error;
}

static int encode_text(struct zq_buf *out, enum zq_wire_type type, const void *head,
                       struct zq_slice text)
{
    int error;
    char *to = zq_wire_open_frame(out, type, 0, 0, 8 + text.n, &error);

    if (to == NULL)
        return error;
    zq_wire_put(zq_wire_put(to, head, 8), text.p, text.n);
    return 0;
}

int zq_wire_encode_purge(struct zq_buf *out, const struct zq_wire_purge *purge)
{
    struct wire_purge_head head = {purge->number, purge->kind, purge->soft, 0};

    if (purge->text.n > ZQ_WIRE_PURGE_TEXT_MAX)
        return ZQ_ELIMIT;
    return encode_text(out, ZQ_WIRE_PURGE, &head, purge->text);
}

int zq_wire_encode_answer(struct zq_buf *out, const struct zq_wire_answer *answer)
{
    struct wire_answer_head head = {answer->number, (uint16_t)answer->status, 0};

    if (answer->text.n > ZQ_WIRE_ANSWER_TEXT_MAX)
        return ZQ_ELIMIT;
    return encode_text(out, ZQ_WIRE_ANSWER, &head, answer->text);
}

void zq_wire_restream(char *frame, uint32_t stream)
{
    memcpy(frame + offsetof(struct wire_header, stream), &stream, sizeof(stream));
}
