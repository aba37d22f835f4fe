#include "front/purge.h"

#include "zq/clock.h"

#include <inttypes.h>

#define SWEEP_US 300 /* of one turn */

/* ---- the sweep ---- */

static void on_sweep(struct zq_post *post)
{
    struct front *front = ZQ_CONTAINER(post, struct front, sweep);
    int64_t until = zq_now_us() + SWEEP_US;
    bool more;

    do
        more = zq_cache_sweep(front->cache);
    while (more && zq_now_us() < until);
    if (more)
        zq_loop_post(front->threads[0].loop, &front->sweep); /* in the next turn */
}

void front_purge_init(struct front *front)
{
    front->sweep.on_post = on_sweep;
}

void front_purge_fini(struct front *front)
{
    zq_loop_unpost(front->threads[0].loop, &front->sweep);
}

int front_purge(struct front_thread *thread, const struct zq_purge *purge, uint64_t *number)
{
    struct front *front = thread->front;
    struct zq_purge keyed = *purge;
    struct zq_arena arena = {0};
    int error = 0;

    if (purge->kind == ZQ_PURGE_URL && zq_purge_fault(purge) == NULL)
        error = routes_key_url(thread->routes, purge->text, &arena, &keyed.text);
    if (error == 0)
        error = zq_cache_purge(front->cache, &keyed, zq_loop_now_ms(thread->loop), number);
    zq_arena_fini(&arena);
    if (error == 0)
        zq_loop_post(front->threads[0].loop, &front->sweep);
    return error;
}

/* ---- statistics ---- */

int front_stat_json(struct front *front, struct zq_buf *out)
{
    struct zq_cache_stat stat;

    zq_cache_stat(front->cache, &stat);
    int error = zq_buf_printf(out, "{\"on\": %s", stat.on ? "true" : "false");
#define X(name)                                                                                    \
    if (error == 0)                                                                                \
        error = zq_buf_printf(out, ", \"" #name "\": %" PRIu64, stat.name);
    ZQ_CACHE_STATS(X)
#undef X
    if (error == 0)
        error = zq_buf_printf(out, ", \"reasons\": {");
    for (size_t i = 0; error == 0 && i < ZQ_CACHE_REASONS_MAX && stat.reasons[i].word != NULL; i++)
        error = zq_buf_printf(out, "%s\"%s\": %" PRIu64, i > 0 ? ", " : "", stat.reasons[i].word,
                              stat.reasons[i].keys);
    return error == 0 ? zq_buf_append(out, "}}", 2) : error;
}

/* ---- workers ---- */

static int answer(struct link *link, uint32_t number, unsigned status, struct zq_slice text)
{
    const struct zq_wire_answer a = {number, status, text};
    int error = zq_wire_encode_answer(&link->out, &a);

    if (error == 0) {
        link->unanswered = link->out.n;
        link_flush_later(link);
    }
    return error;
}

static int on_purge(struct link *link, const struct zq_wire_frame *frame)
{
    struct zq_wire_purge asked;
    uint64_t number;
    int error = zq_wire_decode_purge(frame->payload, &asked);

    if (error < 0)
        return error;
    const struct zq_purge purge = {asked.kind, asked.soft, asked.text};
    error = front_purge(link->thread, &purge, &number);
    if (error == ZQ_EINVAL)
        return answer(link, asked.number, 400, zq_slice_str(zq_purge_fault(&purge)));
    if (error == ZQ_ELIMIT)
        return answer(link, asked.number, 503, ZQ_SLICE("too many purges are under way"));
    if (error == ZQ_ENOMEM)
        return answer(link, asked.number, 503, ZQ_SLICE("no memory in the front"));
    return error < 0 ? error : answer(link, asked.number, 200, (struct zq_slice){0});
}

static int on_info(struct link *link, const struct zq_wire_frame *frame)
{
    struct zq_buf text = {0};
    uint32_t number;
    int error = zq_wire_decode_number(frame, &number);

    if (error == 0)
        error = front_stat_json(link->thread->front, &text);
    if (error == 0)
        error = answer(link, number, 200, zq_slice(zq_buf_data(&text), text.n));
    zq_buf_fini(&text);
    return error;
}

int front_answer(struct link *link, const struct zq_wire_frame *frame)
{
    if (link->unanswered > 0)
        return ZQ_EPROTO; /* it cannot have read the last answer */
    return frame->type == ZQ_WIRE_PURGE ? on_purge(link, frame) : on_info(link, frame);
}
