#include "front/lend.h"

#include "front/serving.h"

/* After a hit the next ones are so near that the front is not to be busy with long parts. */
#define HIT_NEAR_MS 10

/* ---- who is behind ---- */

/* Adds the bytes that are under way to what each side has to do, or takes them off. */
static void count(const struct fetch *fetch, bool begins)
{
    uint64_t bytes = begins ? fetch->lend.left : -(uint64_t)fetch->lend.left;

    if (fetch->lend.state == LEND_LENT)
        fetch->link->lent += bytes;
    if (fetch->lend.state != LEND_KEPT)
        return;
    fetch->link->kept += bytes;
    fetch->thread->kept += bytes;
}

/* The only setter. */
static void move(struct fetch *fetch, enum lend_state state, uint32_t left)
{
    count(fetch, false);
    fetch->lend = (struct lend){state, left};
    count(fetch, true);
}

static bool front_has_time(const struct fetch *fetch)
{
    const struct front_thread *thread = fetch->thread;
    const struct link *link = fetch->link;

    return thread->front->own_cores &&
           thread->kept + fetch->lend.left < link->lent + link->kept / 2 && link->region != NULL &&
           zq_loop_now_ms(thread->loop) - thread->hit_ms > HIT_NEAR_MS;
}

/* ---- for the fetch ---- */

static void keep(struct fetch *fetch)
{
    move(fetch, fetch->exchange != NULL ? LEND_KEPT : LEND_NONE, fetch->lend.left);
    if (zq_wire_encode_signal(&fetch->link->out, ZQ_WIRE_KEEP, fetch->stream, 0) == 0)
        link_flush_later(fetch->link);
}

int lend_offered(struct fetch *fetch, const struct zq_wire_frame *frame)
{
    uint32_t bytes;

    if (zq_wire_decode_number(frame, &bytes) < 0 || fetch->state != FETCH_OPEN ||
        fetch->lend.state != LEND_NONE)
        return ZQ_EPROTO;
    move(fetch, LEND_OFFERED, bytes);
    if (fetch->exchange == NULL) {
        keep(fetch);
    } else {
        struct serving *s = fetch->exchange->user;
        zq_loop_post(s->thread->loop, &s->wake);
    }
    return 0;
}

bool lend_may_come(const struct fetch *fetch)
{
    return fetch->lend.state == LEND_NONE || fetch->lend.state == LEND_KEPT;
}

void lend_came(struct fetch *fetch, size_t bytes)
{
    uint32_t left = fetch->lend.left;

    if (fetch->lend.state == LEND_KEPT)
        move(fetch, bytes < left ? LEND_KEPT : LEND_NONE,
             bytes < left ? left - (uint32_t)bytes : 0);
}

void lend_left(struct fetch *fetch)
{
    if (fetch->lend.state == LEND_OFFERED || fetch->lend.state == LEND_FULL)
        keep(fetch);
    else if (fetch->lend.state == LEND_KEPT)
        lend_end(fetch);
}

void lend_end(struct fetch *fetch)
{
    move(fetch, LEND_NONE, 0);
}

int lend_returned(struct fetch *fetch, const struct zq_wire_frame *frame)
{
    const struct lend *lend = &fetch->lend;
    uint32_t bytes;

    if (zq_wire_decode_number(frame, &bytes) < 0 || lend->state != LEND_LENT ||
        bytes > lend->left || (bytes < lend->left && (frame->flags & ZQ_WIRE_END)))
        return ZQ_EPROTO;
    move(fetch, bytes < lend->left ? LEND_FULL : LEND_NONE, lend->left - bytes);
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

    if (fetch == NULL)
        return;
    if (fetch->lend.state == LEND_KEPT && zq_exchange_is_blocked(s->exchange))
        lend_end(fetch);
    if (fetch->lend.state != LEND_OFFERED)
        return;
    if (front_has_time(fetch) || !may_lend(s))
        keep(fetch);
    else
        move(fetch, LEND_LENT, fetch->lend.left);
    fetch_expect_more(fetch);
}

void lend_writable(struct serving *s)
{
    if (s->fetch != NULL && s->fetch->lend.state == LEND_FULL)
        move(s->fetch, LEND_OFFERED, s->fetch->lend.left);
}
