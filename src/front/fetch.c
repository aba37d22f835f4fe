#include "front/fetch.h"

#include "front/interim.h"
#include "front/serve.h"
#include "zq/log.h"

#include <stdlib.h>

#define ATTEMPTS_MAX 2
/* Credit is given back in steps, not byte by byte. */
#define CREDIT_STEP (32u << 10)
/* How often it is asked, within --timeout-write, who holds up the others. */
#define PACE_STEPS 8

static void on_wake(struct zq_post *post);
static void on_timeout(struct zq_timer *timer);
static void on_pace(struct zq_timer *timer);
static void on_readers_moved(struct zq_writer *writer);

/* ---- making and ending ---- */

static bool is_safe(const struct zq_request *r)
{
    return r->method_id == ZQ_METHOD_GET || r->method_id == ZQ_METHOD_HEAD ||
           r->method_id == ZQ_METHOD_OPTIONS;
}

static void fetch_free(struct fetch *fetch)
{
    struct zq_loop *loop = fetch->thread->loop;

    if (fetch->exchange != NULL)
        serve_fetch_ended(fetch->exchange);
    zq_timer_cancel(loop, &fetch->timer);
    zq_timer_cancel(loop, &fetch->pace);
    zq_loop_unpost(loop, &fetch->wake);
    zq_list_remove(&fetch->node);
    zq_list_remove(&fetch->roomless);
    zq_buf_fini(&fetch->request);
    zq_arena_fini(&fetch->arena);
    routes_unuse(fetch->choice.view);
    atomic_fetch_sub_explicit(&fetch->thread->front->calls, 1, memory_order_relaxed);
    fetch->magic = 0;
    free(fetch);
}

/* Lets go of the worker's stream, if it is still open there. */
static void let_go(struct fetch *fetch)
{
    lend_end(fetch);
    if (fetch->stream != 0)
        link_cancel(fetch->link, fetch->stream);
    fetch->stream = 0;
    fetch->link = NULL;
    zq_list_remove(&fetch->roomless);
}

/* 500 is the application's own word; with the others it was out of reach (RFC 9111 4.2.4). */
void fetch_answer(struct front_thread *thread, struct zq_writer *writer, unsigned status)
{
    bool disconnected = status == 502 || status == 503 || status == 504;

    if ((disconnected || status == 500) &&
        zq_entry_serve_stale(writer, disconnected, zq_loop_now_ms(thread->loop)))
        return;
    zq_entry_fail(writer, status);
}

void fetch_fail(struct fetch *fetch, unsigned status)
{
    let_go(fetch);
    if (fetch->state == FETCH_OPEN)
        zq_entry_finish(&fetch->writer, false);
    else
        fetch_answer(fetch->thread, &fetch->writer, status);
    fetch_free(fetch);
}

static void fetch_complete(struct fetch *fetch)
{
    lend_end(fetch);
    zq_entry_finish(&fetch->writer, true);
    fetch_free(fetch);
}

/* ---- towards the worker ---- */

void fetch_pull(struct fetch *fetch)
{
    uint64_t want = fetch->want;

    if (fetch->exchange == NULL || fetch->stream == 0 || want == 0)
        return;
    fetch->want = 0;
    zq_exchange_want(fetch->exchange, want);
}

/* True when it was sent; the request's frame is kept only for what may be tried again. */
static bool send_to(struct fetch *fetch, struct link *link)
{
    uint32_t stream = link_open(link, fetch);

    if (stream == 0)
        return false;
    zq_wire_restream(zq_buf_data(&fetch->request), stream);
    if (zq_buf_append(&link->out, zq_buf_data(&fetch->request), fetch->request.n) < 0) {
        link_cancel(link, stream);
        return false;
    }
    link_flush_later(link);
    fetch->link = link;
    fetch->stream = stream;
    fetch->state = FETCH_SENT;
    fetch->attempts++;
    fetch->interims = 0;
    fetch->credit = ZQ_WIRE_RESPONSE_WINDOW;
    if (!fetch->retryable || fetch->attempts >= ATTEMPTS_MAX)
        zq_buf_fini(&fetch->request);
    return true;
}

/* Sends, or queues until a worker is there. The fetch may be gone afterwards. */
static bool dispatch(struct fetch *fetch)
{
    struct link *link = link_choose(fetch->thread);

    zq_list_remove(&fetch->node);
    if (link == NULL) {
        fetch->state = FETCH_WAITING;
        zq_list_append(&fetch->thread->waiting, &fetch->node);
        return true;
    }
    zq_list_append(&fetch->thread->fetches, &fetch->node);
    if (send_to(fetch, link))
        return true;
    fetch_fail(fetch, 503);
    return false;
}

void fetch_pull_unless_expected(struct fetch *fetch)
{
    if (fetch->exchange != NULL && !fetch->exchange->request.expect_continue)
        fetch_pull(fetch);
}

void fetch_waiting(struct front_thread *thread)
{
    while (!zq_list_empty(&thread->waiting) && link_choose(thread) != NULL) {
        struct fetch *fetch = ZQ_CONTAINER(thread->waiting.next, struct fetch, node);
        if (dispatch(fetch))
            fetch_pull_unless_expected(fetch);
    }
}

static struct fetch *fetch_new(struct front_thread *thread, struct zq_exchange *exchange,
                               struct route_choice choice, bool background)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));

    if (fetch == NULL)
        return NULL;
    *fetch = (struct fetch){
        .magic = FETCH_MAGIC,
        .thread = thread,
        .choice = choice,
        .exchange = background ? NULL : exchange,
        .background = background,
        .wake = {.on_post = on_wake},
        .timer = {.on_expire = on_timeout},
        .pace = {.on_expire = on_pace},
        .want = exchange->request.has_body ? ZQ_WIRE_REQUEST_WINDOW : 0,
        .is_head = !background && exchange->request.method_id == ZQ_METHOD_HEAD,
        .unsafe = !is_safe(&exchange->request),
        .retryable = is_safe(&exchange->request) && !exchange->request.has_body,
        .body_done = !exchange->request.has_body,
    };
    zq_list_init(&fetch->node);
    zq_list_init(&fetch->roomless);
    choice.view->uses++;
    ROUTES_COUNT(routes_counts(choice.view, choice.route), calls);
    atomic_fetch_add_explicit(&thread->front->calls, 1, memory_order_relaxed);
    return fetch;
}

/* The time until the head. It begins anew with each part of the request's content: an application
 * that waits for a slow client is not late, and the client has a timeout of its own. */
void fetch_expect_head(struct fetch *fetch)
{
    int64_t limit = fetch->thread->front->config->timeout_response;

    if (limit > 0)
        zq_timer_set(fetch->thread->loop, &fetch->timer, limit);
}

static struct fetch *start(struct front_thread *thread, struct zq_exchange *exchange,
                           struct zq_writer *writer, struct route_choice choice, bool background)
{
    struct fetch *fetch = fetch_new(thread, exchange, choice, background);

    if (fetch == NULL) {
        fetch_answer(thread, writer, 503);
        return NULL;
    }
    fetch->writer = *writer;
    fetch->writer.notify = on_readers_moved;
    zq_writer_moved(&fetch->writer);
    int error = fetch_encode(fetch, exchange);
    if (error < 0) {
        fetch->exchange = NULL;
        fetch_fail(fetch, error == ZQ_ELIMIT ? 431 : 503);
        return NULL;
    }
    fetch_expect_head(fetch);
    fetch->exchange = NULL; /* a failure is the caller's to tell, by our NULL */
    if (!dispatch(fetch))
        return NULL;
    fetch->exchange = background ? NULL : exchange;
    return fetch;
}

struct fetch *fetch_start(struct front_thread *thread, struct zq_exchange *exchange,
                          struct zq_writer *writer, struct route_choice choice)
{
    return start(thread, exchange, writer, choice, false);
}

void fetch_refresh(struct front_thread *thread, struct zq_exchange *exchange,
                   struct zq_writer *writer, struct route_choice choice)
{
    start(thread, exchange, writer, choice, true);
}

/* ---- from the worker ---- */

/* The time between two parts of the body; a worker that may not send for lack of credit is not
 * late. */
void fetch_expect_more(struct fetch *fetch)
{
    int64_t limit = fetch->thread->front->config->timeout_response_idle;

    if (limit > 0)
        zq_timer_set(fetch->thread->loop, &fetch->timer, limit);
    else
        zq_timer_cancel(fetch->thread->loop, &fetch->timer);
}

/* Of several readers, those that hold up the others for --timeout-write are cut. */
static void watch_pace(struct fetch *fetch)
{
    struct zq_loop *loop = fetch->thread->loop;
    int64_t limit = fetch->thread->front->config->timeout_write;

    if (limit > 0 && zq_writer_cut_laggards(&fetch->writer, zq_loop_now_ms(loop), limit))
        zq_timer_set(loop, &fetch->pace, (limit + PACE_STEPS - 1) / PACE_STEPS);
}

static void on_pace(struct zq_timer *timer)
{
    watch_pace(ZQ_CONTAINER(timer, struct fetch, pace));
}

/* Readers have taken bytes, or new ones were appended: the worker may send more. */
static void grant(struct fetch *fetch)
{
    size_t window = zq_writer_window(&fetch->writer);

    if (window < CREDIT_STEP && fetch->pace.deadline_ms == 0)
        watch_pace(fetch);
    if (fetch->stream == 0 || window < fetch->credit + CREDIT_STEP)
        return;
    uint32_t more = (uint32_t)window - fetch->credit;
    if (zq_wire_encode_number(&fetch->link->out, ZQ_WIRE_CREDIT, fetch->stream, more) < 0)
        return;
    fetch->credit += more;
    link_flush_later(fetch->link);
}

/* Some more of the content has come; past the end of the stream the fetch is over and gone. */
static void go_on(struct fetch *fetch, const struct zq_wire_frame *frame)
{
    if (frame->flags & ZQ_WIRE_END) {
        fetch_complete(fetch);
        return;
    }
    fetch_expect_more(fetch);
    grant(fetch);
}

/* Appends content, which lies in `chunk`. */
static int take_content(struct fetch *fetch, const struct zq_wire_frame *frame,
                        struct zq_slice data, struct zq_chunk *chunk)
{
    if (data.n > fetch->credit)
        return ZQ_EPROTO;
    fetch->credit -= (uint32_t)data.n;
    lend_came(fetch, data.n);
    if (data.n > 0 && zq_entry_append_chunk(&fetch->writer, data, chunk) < 0) {
        fetch_fail(fetch, 503);
        return 0;
    }
    go_on(fetch, frame);
    return 0;
}

static int on_body(struct fetch *fetch, const struct zq_wire_frame *frame, struct zq_chunk *chunk)
{
    if (fetch->state != FETCH_OPEN || !lend_may_come(fetch))
        return ZQ_EPROTO;
    return take_content(fetch, frame, frame->payload, chunk);
}

static int on_returned(struct fetch *fetch, const struct zq_wire_frame *frame)
{
    int error = lend_returned(fetch, frame);

    if (error == 0)
        go_on(fetch, frame);
    return error;
}

static int on_response(struct fetch *fetch, const struct zq_wire_frame *frame,
                       struct zq_chunk *chunk)
{
    struct zq_arena *arena = &fetch->thread->scratch;
    struct zq_wire_response response;

    if (fetch->state != FETCH_SENT)
        return ZQ_EPROTO;
    zq_arena_reset(arena);
    int error = zq_wire_decode_response(frame->payload, arena, &response);
    if (error < 0)
        return error;
    unsigned status = fetch_head(fetch, &response, (frame->flags & ZQ_WIRE_END) != 0);
    if (status != 0) {
        fetch_fail(fetch, status);
        return 0;
    }
    fetch->state = FETCH_OPEN;
    zq_buf_fini(&fetch->request);
    return take_content(fetch, frame, response.body, chunk);
}

static int on_credit(struct fetch *fetch, const struct zq_wire_frame *frame)
{
    uint32_t more;
    int error = zq_wire_decode_number(frame, &more);

    if (error < 0 || fetch->want > ZQ_WIRE_CREDIT_MAX)
        return ZQ_EPROTO;
    fetch->want += more;
    fetch_pull(fetch);
    return 0;
}

static int on_frame(struct fetch *fetch, const struct zq_wire_frame *frame, struct zq_chunk *chunk)
{
    switch (frame->type) {
    case ZQ_WIRE_RESPONSE:
        return on_response(fetch, frame, chunk);
    case ZQ_WIRE_INTERIM:
        return interim_pass(fetch, frame);
    case ZQ_WIRE_BODY:
        return on_body(fetch, frame, chunk);
    case ZQ_WIRE_OFFER:
        return lend_offered(fetch, frame);
    case ZQ_WIRE_RETURNED:
        return on_returned(fetch, frame);
    case ZQ_WIRE_CREDIT:
        return on_credit(fetch, frame);
    case ZQ_WIRE_WANT:
        fetch_pull(fetch);
        return 0;
    case ZQ_WIRE_RESET:
        fetch_fail(fetch, 500);
        return 0;
    default:
        return ZQ_EPROTO;
    }
}

int fetch_frame(struct fetch *fetch, const struct zq_wire_frame *frame, struct zq_chunk *chunk)
{
    ZQ_CHECK(fetch, FETCH_MAGIC);
    /* A stream that ends here is not cancelled any more, whatever becomes of the fetch. */
    bool ends = frame->type == ZQ_WIRE_RESET || (frame->flags & ZQ_WIRE_END);
    if (ends)
        fetch->stream = 0;
    int error = on_frame(fetch, frame, chunk);
    if (error == ZQ_ENOMEM) {
        zq_log(ZQ_LOG_ERROR, "no memory for the response of worker %u", fetch->link->worker->id);
        fetch_fail(fetch, 503);
        return 0;
    }
    if (error < 0 && ends)
        fetch->stream = frame->stream;
    return error;
}

void fetch_orphaned(struct fetch *fetch, bool hung)
{
    ZQ_CHECK(fetch, FETCH_MAGIC);
    fetch->stream = 0;
    lend_end(fetch);
    fetch->link = NULL;
    zq_list_remove(&fetch->roomless);
    if (fetch->state == FETCH_SENT && fetch->retryable && !hung && fetch->attempts < ATTEMPTS_MAX)
        dispatch(fetch);
    else
        fetch_fail(fetch, hung ? 504 : 502);
}

/* ---- readers and time ---- */

static void give_up_if_abandoned(struct fetch *fetch)
{
    if (!zq_writer_abandoned(&fetch->writer)) {
        grant(fetch);
        return;
    }
    let_go(fetch);
    if (fetch->state == FETCH_OPEN)
        zq_entry_finish(&fetch->writer, false);
    else
        zq_entry_fail(&fetch->writer, 499);
    fetch_free(fetch);
}

static void on_wake(struct zq_post *post)
{
    give_up_if_abandoned(ZQ_CONTAINER(post, struct fetch, wake));
}

static void on_readers_moved(struct zq_writer *writer)
{
    struct fetch *fetch = ZQ_CONTAINER(writer, struct fetch, writer);

    zq_loop_post(fetch->thread->loop, &fetch->wake);
}

void fetch_leave(struct fetch *fetch)
{
    ZQ_CHECK(fetch, FETCH_MAGIC);
    fetch->exchange = NULL;
    lend_left(fetch);
    give_up_if_abandoned(fetch);
}

static void on_timeout(struct zq_timer *timer)
{
    struct fetch *fetch = ZQ_CONTAINER(timer, struct fetch, timer);

    bool waits = fetch->credit == 0 || fetch->lend.state == LEND_FULL; /* for its client */

    if (fetch->state == FETCH_OPEN && waits)
        fetch_expect_more(fetch);
    else
        fetch_fail(fetch, 504);
}
