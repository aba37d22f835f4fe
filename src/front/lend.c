#include "front/lend.h"

#include "front/serving.h"

/* ---- for the fetch ---- */

static void keep(struct fetch *fetch)
{
    fetch->lend.state = LEND_NONE;
    if (zq_wire_encode_signal(&fetch->link->out, ZQ_WIRE_KEEP, fetch->stream, 0) == 0)
        link_flush_later(fetch->link);
}

int lend_offered(struct fetch *fetch, const struct zq_wire_frame *frame)
{
    struct lend *lend = &fetch->lend;
    uint32_t bytes;

    if (zq_wire_decode_number(frame, &bytes) < 0 || fetch->state != FETCH_OPEN ||
        lend->state != LEND_NONE)
        return ZQ_EPROTO;
    *lend = (struct lend){LEND_OFFERED, bytes};
    if (fetch->exchange == NULL) {
        keep(fetch);
    } else {
        struct serving *s = fetch->exchange->user;
        zq_loop_post(s->thread->loop, &s->wake);
    }
    return 0;
}

void lend_left(struct fetch *fetch)
{
    if (fetch->lend.state == LEND_OFFERED || fetch->lend.state == LEND_FULL)
        keep(fetch);
}

int lend_returned(struct fetch *fetch, const struct zq_wire_frame *frame)
{
    struct lend *lend = &fetch->lend;
    uint32_t bytes;

    if (zq_wire_decode_number(frame, &bytes) < 0 || lend->state != LEND_LENT ||
        bytes > lend->left || (bytes < lend->left && (frame->flags & ZQ_WIRE_END)))
        return ZQ_EPROTO;
    lend->left -= bytes;
    lend->state = lend->left > 0 ? LEND_FULL : LEND_NONE;
    ZQ_ASSERT(fetch->exchange != NULL); /* nobody else reads: when it leaves, the fetch ends */
    struct serving *s = fetch->exchange->user;
    zq_reader_bypass(&s->reader, &fetch->writer, bytes);
    zq_exchange_returned(s->exchange, bytes, lend->left > 0);
    return 0;
}

/* ---- for the exchange ---- */

static bool may_lend(struct serving *s)
{
    struct fetch *fetch = s->fetch;

    if (s->portioned || !zq_reader_is_only(&s->reader, &fetch->writer))
        return false;
    int fd = zq_exchange_lend_socket(s->exchange, fetch->lend.left);
    return fd >= 0 && link_lend(fetch->link, fetch->stream, fd) == 0;
}

void lend_answer(struct serving *s)
{
    struct fetch *fetch = s->fetch;

    if (fetch == NULL || fetch->lend.state != LEND_OFFERED)
        return;
    if (may_lend(s))
        fetch->lend.state = LEND_LENT;
    else
        keep(fetch);
    fetch_expect_more(fetch);
}

void lend_writable(struct serving *s)
{
    if (s->fetch != NULL && s->fetch->lend.state == LEND_FULL)
        s->fetch->lend.state = LEND_OFFERED;
}
