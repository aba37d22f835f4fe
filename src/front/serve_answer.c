/* What a client gets: the head with its Cache-Status, and content as the entry has it. */
#include "front/serving.h"

#include "front/static.h"
#include "zq/log.h"

#define RUNS_MAX 16

/* ---- Cache-Status ---- */

/* With the key where the log is for debugging: it shows what a key rule made of the target. */
static struct zq_slice with_key(const struct serving *s, struct zq_slice value)
{
    const struct zq_request *r = &s->exchange->request;
    struct zq_buf key = {0};

    if (zq_cache_key(&key, r->scheme, r->host, r->target) == 0)
        value = cache_status_keyed(value, zq_slice(zq_buf_data(&key), key.n), &s->exchange->arena);
    zq_buf_fini(&key);
    return value;
}

/* `info`: NULL where no response came. */
static struct zq_slice status_of(const struct serving *s, const struct zq_entry_info *info,
                                 char out[CACHE_STATUS_SIZE])
{
    if (serving_is_static(s))
        return ZQ_SLICE(CACHE_STATUS_STATIC);
    struct zq_slice value = cache_status(s->verdict, s->forward, info, serving_maker(s), out);
    return s->thread->front->config->cache && zq_log_enabled(ZQ_LOG_DEBUG) ? with_key(s, value)
                                                                           : value;
}

/* ---- the head ---- */

/* The head of a part, or of the word that the client has the response already; made in the thread's
 * buffer, as it is used before zq_exchange_start returns. Without memory the whole goes out. */
static void replace_head(struct serving *s, const struct zq_answer *answer,
                         struct zq_response_head *head)
{
    struct zq_buf *block = &s->thread->block;

    zq_buf_consume(block, block->n);
    if (zq_answer_block(block, answer, head->block) < 0)
        return;
    head->block = zq_slice(zq_buf_data(block), block->n);
    head->status = answer->status;
    head->content_length = answer->status == 304 ? -1 : (int64_t)answer->n;
    s->portioned = true;
    s->skip = answer->first;
    s->left = answer->n;
}

/* A static response is as old as its replay: it has no Age, and the Date of now. */
static void date_head(struct serving *s, struct zq_response_head *head)
{
    struct front_thread *thread = s->thread;

    if (head->block.p != zq_buf_data(&thread->block)) {
        zq_buf_consume(&thread->block, thread->block.n);
        if (zq_buf_append(&thread->block, head->block.p, head->block.n) < 0)
            return;
    }
    if (static_date(&thread->block, thread->front->config, front_wall_clock(thread)) == 0)
        head->block = zq_slice(zq_buf_data(&thread->block), thread->block.n);
    head->age = -1;
}

/* RFC 9111 5.1: an answer from the store has an Age. One that was joined on its way has the one
 * that it came with; to its leader, the application's field goes as it is. */
static int64_t shown_age(const struct serving *s, const struct zq_entry_info *info)
{
    if (s->verdict == ZQ_CACHE_HIT || info->had_content ||
        (s->verdict == ZQ_CACHE_JOIN && info->age_s > 0))
        return info->age_s;
    return -1;
}

/* Decides which part of the response goes out. */
static void make_head(struct serving *s, const struct zq_entry_info *info,
                      struct zq_response_head *head)
{
    struct zq_answer answer;

    *head = (struct zq_response_head){
        .status = info->status,
        .block = info->block,
        .content_length = info->content_length,
        .age = shown_age(s, info),
        .close = info->close,
    };
    if (s->verdict == ZQ_CACHE_PASS)
        return;
    bool is_get = s->exchange->request.method_id == ZQ_METHOD_GET;
    s->portioned = !is_get; /* HEAD: its answer does not wait for the content */
    zq_answer_choose(&s->reader, is_get, info, &answer);
    if (answer.status != 0)
        replace_head(s, &answer, head);
    if (serving_is_static(s))
        date_head(s, head);
}

/* ---- content ---- */

/* Cuts the runs off behind `bytes`; how many remain. */
static int clip(struct iovec *runs, int n, uint64_t bytes)
{
    int i = 0;

    for (; i < n && bytes > 0; i++) {
        if (runs[i].iov_len > bytes)
            runs[i].iov_len = (size_t)bytes;
        bytes -= runs[i].iov_len;
    }
    return i;
}

/* The runs that go out next. */
static int peek(struct serving *s, struct iovec *runs, bool *end)
{
    int n = zq_reader_peek(&s->reader, runs, RUNS_MAX, end);

    while (s->skip > 0 && n > 0) {
        n = clip(runs, n, s->skip);
        size_t bytes = zq_iov_bytes(runs, n);
        zq_reader_advance(&s->reader, bytes);
        s->skip -= bytes;
        n = zq_reader_peek(&s->reader, runs, RUNS_MAX, end);
    }
    if (!s->portioned)
        return n;
    n = clip(runs, n, s->left);
    *end = zq_iov_bytes(runs, n) == s->left;
    return n;
}

/* Hands content on, behind the head if that is still to go. The exchange may end inside. */
static size_t hand_on(struct serving *s, const struct zq_response_head *head,
                      const struct iovec *runs, int n, bool end)
{
    return head != NULL ? zq_exchange_start(s->exchange, head, runs, n, end)
                        : zq_exchange_write(s->exchange, runs, n, end);
}

/* Moves what there is; true while it may go on. The exchange may end inside, which `gone` says. */
static bool move_content(struct serving *s, bool started, const bool *gone)
{
    struct zq_entry_info info;
    struct zq_response_head head;
    struct iovec runs[RUNS_MAX];
    char text[CACHE_STATUS_SIZE];
    bool end;

    if (!started) {
        zq_entry_describe(&s->reader, zq_loop_now_ms(s->thread->loop), &info);
        make_head(s, &info, &head);
        head.cache_status = status_of(s, &info, text);
    }
    int n = peek(s, runs, &end);
    if (n == 0 && !end && started)
        return false;
    size_t accepted = hand_on(s, started ? NULL : &head, runs, n, end);
    if (*gone)
        return false;
    if (accepted > 0)
        zq_reader_advance(&s->reader, accepted);
    s->left -= s->portioned ? accepted : 0;
    return !end && n > 0 && accepted == zq_iov_bytes(runs, n);
}

bool serving_send(struct serving *s)
{
    bool gone = false;

    serving_watch(s, &gone);
    while (move_content(s, zq_exchange_started(s->exchange), &gone))
        ;
    if (!gone)
        serving_watch(s, NULL);
    return !gone;
}

/* ---- none, or no more ---- */

void serving_reject(struct serving *s, unsigned status)
{
    s->rejected = true;
    zq_exchange_error(s->exchange, status, status == 503 ? RETRY_AFTER_S : 0,
                      ZQ_SLICE(CACHE_STATUS_REJECTED));
}

/* With these the request did not get as far as the application. */
static bool is_rejection(unsigned status)
{
    return status == 431 || status == 503;
}

void serving_fail(struct serving *s)
{
    char text[CACHE_STATUS_SIZE];
    unsigned status = zq_entry_status(&s->reader);

    zq_reader_detach(&s->reader);
    if (is_rejection(status))
        serving_reject(s, status);
    else
        zq_exchange_error(s->exchange, status, 0, status_of(s, NULL, text));
}

/* Cut short before this client got any of it: it can still have a clear answer. */
void serving_cut(struct serving *s)
{
    char text[CACHE_STATUS_SIZE];

    if (zq_exchange_started(s->exchange))
        zq_exchange_abort(s->exchange);
    else
        zq_exchange_error(s->exchange, 502, 0, status_of(s, NULL, text));
}
