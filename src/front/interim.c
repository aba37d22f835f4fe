#include "front/interim.h"

#include "front/tags.h"

int interim_pass(struct fetch *fetch, const struct zq_wire_frame *frame)
{
    struct front_thread *thread = fetch->thread;
    struct zq_wire_response wire;
    struct zq_fields shown;
    struct zq_slice bad;
    int64_t length;
    bool close;

    if (fetch->state != FETCH_SENT || fetch->interims++ == ZQ_WIRE_INTERIMS_MAX)
        return ZQ_EPROTO;
    zq_arena_reset(&thread->scratch);
    int error = zq_wire_decode_interim(frame->payload, &thread->scratch, &wire);
    if (error == 0)
        error = tags_strip(&wire.fields, thread->front->config->cache_tags_header, &thread->scratch,
                           &shown);
    if (error < 0 || fetch->exchange == NULL)
        return error;
    zq_buf_consume(&thread->block, thread->block.n);
    error = zq_http_block(&thread->block, wire.status, &shown, NULL, 0, &length, &close, &bad);
    if (error < 0)
        return error == ZQ_EINVAL ? ZQ_EPROTO : error;
    zq_exchange_interim(fetch->exchange, zq_slice(zq_buf_data(&thread->block), thread->block.n));
    return 0;
}
