#include "worker/stream.h"

#include "worker/lend.h"
#include "worker/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ANNOUNCED_SHARE                                                                            \
    16 /* of an announced body, what has to be there for all of it to get room */

/* The only setter: a state is never gone back to. */
static void move(struct zq_stream *s, enum zq_stream_state state)
{
    ZQ_ASSERT(state > s->state && s->state < ZQ_STREAM_ENDED);
    s->state = state;
}

/* ---- heads ---- */

struct zq_head *zq_head_new(size_t n)
{
    size_t fields = (n + 1) * sizeof(struct zq_field), refs = 2 * n * sizeof(PyObject *);
    struct zq_head *head = PyMem_Malloc(sizeof(*head) + fields + refs);

    if (head == NULL)
        return NULL;
    *head = (struct zq_head){.n = 0, .v = (struct zq_field *)(void *)(head + 1)};
    head->refs = (PyObject **)(void *)(head->v + n + 1);
    return head;
}

void zq_head_free(struct zq_head *head)
{
    if (head == NULL)
        return;
    for (size_t i = 0; i < head->n_refs; i++)
        Py_DECREF(head->refs[i]);
    PyMem_Free(head);
}

/* ---- life ---- */

void zq_stream_init(struct zq_stream *s, PyObject *owner,
                    void (*on_event)(struct zq_stream *, enum zq_stream_event))
{
    *s = (struct zq_stream){.owner = owner, .on_event = on_event};
    zq_list_init(&s->held);
}

void zq_stream_fini(struct zq_stream *s)
{
    ZQ_ASSERT(s->link == NULL);
    zq_head_free(s->head);
    s->head = NULL;
    Py_CLEAR(s->part);
    Py_CLEAR(s->body);
    Py_CLEAR(s->rest);
    zq_buf_fini(&s->bodies);
}

/* The last thing that is done with a stream: its owner may be gone when this returns. */
static void finish(struct zq_stream *s, enum zq_stream_state state)
{
    struct zq_link *link = s->link;
    PyObject *owner = s->owner;

    move(s, state);
    zq_link_remove(link, s);
    zq_stream_fini(s);
    s->on_event(s, ZQ_STREAM_OVER);
    zq_link_flush_soon(link);
    Py_DECREF(owner); /* the table's reference */
}

/* Frames are small or bounded by credit: when one cannot be made there is no memory at all, and
 * the link is given up. */
static void encoded(struct zq_stream *s, int error)
{
    if (error < 0)
        zq_link_break(s->link, zq_strerror(error));
}

static void reset(struct zq_stream *s, enum zq_stream_state state)
{
    encoded(s, zq_wire_encode_signal(&s->link->out.frames, ZQ_WIRE_RESET, s->id, 0));
    finish(s, state);
}

int zq_stream_open(struct zq_stream *s, struct zq_link *link, uint32_t id, struct zq_slice body,
                   uint64_t announced, bool end)
{
    s->announced = announced;
    s->id = id;
    s->link = link;
    s->window = ZQ_WIRE_REQUEST_WINDOW;
    s->credit = ZQ_WIRE_RESPONSE_WINDOW;
    if (zq_link_add(link, s) < 0) {
        s->link = NULL;
        return ZQ_ENOMEM;
    }
    return zq_stream_feed_body(s, body, end);
}

void zq_stream_lose(struct zq_stream *s, bool answer)
{
    if (answer)
        reset(s, ZQ_STREAM_LOST);
    else
        finish(s, ZQ_STREAM_LOST);
}

/* ---- the request's body ---- */

/* Of a body that is under way, room for all that was announced is made once a good part of it is
 * there: it is not copied again then. Else for what is there, for one part is mostly all there is
 * of a message, and when there are more of them, soon enough for many. Never more than may come. */
static size_t part_size(const struct zq_stream *s, size_t n)
{
    size_t need = s->part_n + n, cap = s->part ? (size_t)PyBytes_GET_SIZE(s->part) : 0;
    uint64_t whole = s->part_n + s->announced, most = s->part_n + s->window;
    size_t size = 2 * cap > need ? 2 * cap : need;

    if (whole > size && whole / ANNOUNCED_SHARE <= need)
        size = whole < most ? (size_t)whole : (size_t)most;
    return size < most ? size : (size_t)most;
}

static int grow_part(struct zq_stream *s, size_t n)
{
    if (s->part != NULL && s->part_n + n <= (size_t)PyBytes_GET_SIZE(s->part))
        return 0;
    Py_ssize_t size = (Py_ssize_t)part_size(s, n);
    if (s->part == NULL)
        s->part = PyBytes_FromStringAndSize(NULL, size);
    else /* nobody else has seen it; when it fails, it is gone */
        _PyBytes_Resize(&s->part, size);
    if (s->part != NULL)
        return 0;
    PyErr_Clear();
    return ZQ_ENOMEM;
}

static int keep_body(struct zq_stream *s, struct zq_slice body)
{
    if (body.n == 0)
        return 0;
    if (grow_part(s, body.n) < 0)
        return ZQ_ENOMEM;
    memcpy(PyBytes_AS_STRING(s->part) + s->part_n, body.p, body.n);
    s->part_n += body.n;
    return 0;
}

int zq_stream_feed_body(struct zq_stream *s, struct zq_slice body, bool end)
{
    if (s->body_ended || body.n > s->window)
        return ZQ_EPROTO;
    int error = keep_body(s, body);
    if (error < 0)
        return error;
    s->window -= (uint32_t)body.n;
    s->announced -= body.n < s->announced ? body.n : s->announced;
    s->body_ended = end;
    s->on_event(s, ZQ_STREAM_BODY);
    return 0;
}

/* Credit goes back in halves of the window: often enough that the front never stops while the
 * application keeps up, and not with every part. */
static void give_credit(struct zq_stream *s, size_t taken)
{
    s->owed += (uint32_t)taken;
    if (s->body_ended || s->link == NULL || s->owed < ZQ_WIRE_REQUEST_WINDOW / 2)
        return;
    encoded(s, zq_wire_encode_number(&s->link->out.frames, ZQ_WIRE_CREDIT, s->id, s->owed));
    s->window += s->owed;
    s->owed = 0;
    zq_link_flush_soon(s->link);
}

int zq_stream_take_body(struct zq_stream *s, PyObject **bytes, bool *more)
{
    size_t n = s->part_n;

    if (s->body_taken || (n == 0 && !s->body_ended))
        return 0;
    if (n < (s->part ? (size_t)PyBytes_GET_SIZE(s->part) : 0))
        _PyBytes_Resize(&s->part, (Py_ssize_t)n);
    else if (n == 0)
        s->part = PyBytes_FromStringAndSize(NULL, 0);
    if (s->part == NULL)
        return -1;
    *bytes = s->part; /* the reference moves */
    s->part = NULL;
    s->part_n = 0;
    s->body_taken = s->body_ended;
    *more = !s->body_taken;
    give_credit(s, n);
    return 1;
}

void zq_stream_want(struct zq_stream *s)
{
    if (s->wanted || s->body_ended || s->link == NULL)
        return;
    s->wanted = true;
    encoded(s, zq_wire_encode_signal(&s->link->out.frames, ZQ_WIRE_WANT, s->id, 0));
    zq_link_flush_soon(s->link);
}

/* ---- the response ---- */

int zq_stream_interim(struct zq_stream *s, const struct zq_head *head)
{
    struct zq_wire_response interim = {head->status, {head->v, head->n}, {0}};

    ZQ_ASSERT(s->state == ZQ_STREAM_WAITING);
    if (s->interims == ZQ_WIRE_INTERIMS_MAX)
        return ZQ_ELIMIT;
    int error = zq_wire_encode_interim(&s->link->out.frames, s->id, &interim);
    if (error == ZQ_ELIMIT)
        return error;
    encoded(s, error);
    s->interims++;
    zq_link_flush_soon(s->link);
    return 0;
}

void zq_stream_start(struct zq_stream *s, struct zq_head *head)
{
    move(s, ZQ_STREAM_HELD);
    s->head = head;
    zq_link_hold(s->link, s);
}

static int hold(struct zq_stream *s, PyObject *bytes)
{
    if (PyBytes_GET_SIZE(bytes) == 0)
        return 0;
    if (s->body == NULL && s->bodies.n == 0) {
        s->body = Py_NewRef(bytes);
        return 0;
    }
    if (s->body != NULL) {
        if (zq_buf_append(&s->bodies, PyBytes_AS_STRING(s->body),
                          (size_t)PyBytes_GET_SIZE(s->body)) < 0)
            return ZQ_ENOMEM;
        Py_CLEAR(s->body);
    }
    return zq_buf_append(&s->bodies, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

static struct zq_slice held_body(const struct zq_stream *s)
{
    if (s->body != NULL)
        return zq_slice(PyBytes_AS_STRING(s->body), (size_t)PyBytes_GET_SIZE(s->body));
    return s->bodies.n ? zq_slice(zq_buf_data(&s->bodies), s->bodies.n) : (struct zq_slice){0};
}

/* A complete response that needs several frames: the front could not count it. */
static void add_length(struct zq_stream *s, uint64_t length)
{
    struct zq_head *head = s->head;

    if (head->has_length || head->bodyless)
        return;
    int n = snprintf(s->length_text, sizeof(s->length_text), "%" PRIu64, length);
    head->v[head->n++] =
        (struct zq_field){ZQ_SLICE("content-length"), zq_slice(s->length_text, (size_t)n)};
    head->has_length = true;
}

/* What is long enough is not copied: it lies in `holder`, or that is NULL. */
static bool is_referred(PyObject *holder, size_t n)
{
    return holder != NULL && n >= ZQ_OUTPUT_REFER_LEAST;
}

static bool is_shared(const struct zq_stream *s, size_t n)
{
    return s->link->region != NULL && n >= ZQ_WIRE_SHARED_LEAST;
}

/* Where a block would be wanted and none is free, it is ZQ_EAGAIN for who is patient. */
static int put_part(struct zq_stream *s, struct zq_slice part, PyObject *holder, unsigned flags,
                    bool patient)
{
    struct zq_output *out = &s->link->out;
    int error =
        zq_wire_share(&out->frames, s->id, s->link->region, ZQ_REGION_TO_FRONT, part, flags);

    if (error != ZQ_EAGAIN || (patient && is_shared(s, part.n)))
        return error;
    if (!is_referred(holder, part.n))
        return zq_wire_encode_body(&out->frames, s->id, part, flags);
    error = zq_wire_encode_body_head(&out->frames, s->id, part.n, flags);
    return error < 0 ? error : zq_output_refer(out, holder, part.p, part.n);
}

/* Sends `body`, which there is credit for, in frames of a size that the wire likes; the bytes that
 * went: of a patient one, those that a block was free for. */
static size_t put_body(struct zq_stream *s, struct zq_slice body, PyObject *holder, bool end,
                       bool patient)
{
    size_t put = 0;

    do {
        size_t n = body.n - put < ZQ_WIRE_BODY_MAX ? body.n - put : ZQ_WIRE_BODY_MAX;
        unsigned flags = end && put + n == body.n ? ZQ_WIRE_END : 0;
        int error = put_part(s, zq_slice(body.p + put, n), holder, flags, patient);
        if (error == ZQ_EAGAIN)
            break;
        encoded(s, error);
        put += n;
    } while (put < body.n);
    return put;
}

static int put_head(struct zq_stream *s, struct zq_slice part, PyObject *holder, unsigned flags)
{
    struct zq_output *out = &s->link->out;
    struct zq_wire_response response = {s->head->status, {s->head->v, s->head->n}, part};

    if (!is_referred(holder, part.n))
        return zq_wire_encode_response(&out->frames, s->id, &response, flags);
    int error = zq_wire_encode_response_head(&out->frames, s->id, &response, flags);
    return error < 0 ? error : zq_output_refer(out, holder, part.p, part.n);
}

/* RESPONSE, with as much of `body` as fits: how many bytes that is. What will be shared comes
 * behind it. */
static size_t put_response(struct zq_stream *s, struct zq_slice body, PyObject *holder, bool end)
{
    size_t n = body.n < ZQ_WIRE_BODY_MAX ? body.n : ZQ_WIRE_BODY_MAX;

    if (is_shared(s, n) && !s->head->bodyless)
        n = 0;
    bool whole = n == body.n;
    if (end && !whole)
        add_length(s, body.n);
    encoded(s, put_head(s, zq_slice(body.p, n), holder, whole && end ? ZQ_WIRE_END : 0));
    s->has_length = s->head->has_length && !s->head->bodyless;
    zq_head_free(s->head);
    s->head = NULL;
    return n;
}

/* Sends of `rest` what there is credit for, until blocks are missing. The stream may be over
 * afterwards. */
static void pump(struct zq_stream *s, bool patient)
{
    const char *p = PyBytes_AS_STRING(s->rest) + s->rest_offset;
    size_t left = (size_t)PyBytes_GET_SIZE(s->rest) - s->rest_offset;
    size_t n = left < s->credit ? left : s->credit;
    bool end = n == left && s->end_given;

    size_t put = n > 0 || end ? put_body(s, zq_slice(p, n), s->rest, end, patient) : 0;
    s->credit -= (uint32_t)put;
    s->rest_offset += put;
    if (put < n)
        zq_link_starve(s->link, s);
    else if (n == left)
        Py_CLEAR(s->rest);
    if (end && put == n)
        finish(s, ZQ_STREAM_ENDED);
    else
        zq_link_flush_soon(s->link);
}

/* Sends what is held. With `end` the stream is over when all of it has left. What is patient may
 * become the rest, and so wait for blocks. */
static void put_held(struct zq_stream *s, bool end, bool patient)
{
    struct zq_slice body = held_body(s);
    bool first = s->state == ZQ_STREAM_HELD;
    size_t sent = first ? put_response(s, body, s->body, end) : 0;
    bool all = sent == body.n && (first || !end);

    zq_list_remove(&s->held);
    if (first)
        move(s, ZQ_STREAM_SENDING);
    if (!all && patient && s->body != NULL) {
        s->rest = s->body; /* the reference moves */
        s->body = NULL;
        s->rest_offset = sent;
        s->credit += (uint32_t)(body.n - sent); /* which it takes when it goes */
        pump(s, true);
        return;
    }
    if (!all)
        put_body(s, zq_slice(body.p + sent, body.n - sent), s->body, end, false);
    Py_CLEAR(s->body);
    zq_buf_fini(&s->bodies);
    if (end)
        finish(s, ZQ_STREAM_ENDED);
    else
        zq_link_flush_soon(s->link);
}

void zq_stream_release(struct zq_stream *s)
{
    put_held(s, false, true);
}

/* Where the head is out the client gets what was accepted and has credit, and then is cut off;
 * where it is not, the front is free to answer 500. */
void zq_stream_fail(struct zq_stream *s)
{
    if (zq_stream_is_over(s))
        return;
    if (s->state == ZQ_STREAM_SENDING && s->rest != NULL && !s->offered)
        pump(s, false);
    else if (s->state == ZQ_STREAM_SENDING && s->rest == NULL)
        put_held(s, false, false);
    if (!zq_stream_is_over(s))
        reset(s, ZQ_STREAM_FAILED);
}

/* The part can wait for the end of the turn: it has its credit, and others may join it. What is a
 * frame by itself would only be kept from the client. */
static bool can_hold(const struct zq_stream *s, size_t n)
{
    return n <= s->credit && (s->state == ZQ_STREAM_HELD || held_body(s).n + n < ZQ_WIRE_BODY_MAX);
}

static int write_held(struct zq_stream *s, PyObject *bytes, bool end)
{
    if (hold(s, bytes) < 0) {
        zq_stream_fail(s);
        PyErr_NoMemory();
        return -1;
    }
    s->credit -= (uint32_t)PyBytes_GET_SIZE(bytes);
    if (end)
        put_held(s, true, true);
    else if (zq_list_empty(&s->held))
        zq_link_hold(s->link, s);
    return 0;
}

int zq_stream_write(struct zq_stream *s, PyObject *bytes, bool end)
{
    size_t n = (size_t)PyBytes_GET_SIZE(bytes);

    ZQ_ASSERT((s->state == ZQ_STREAM_HELD || s->state == ZQ_STREAM_SENDING) && s->rest == NULL);
    s->end_given = end;
    bool offers = zq_stream_can_offer(s, n, end);
    if (!offers && can_hold(s, n))
        return write_held(s, bytes, end);
    if (end && s->state == ZQ_STREAM_HELD)
        add_length(s, held_body(s).n + n);
    put_held(s, false, false);
    s->rest = Py_NewRef(bytes);
    s->rest_offset = 0;
    if (offers)
        zq_stream_offer(s);
    else
        pump(s, true);
    return 0;
}

/* Some of the rest may go now. The stream may be over afterwards. */
static void go_on(struct zq_stream *s)
{
    Py_INCREF(s->owner);
    pump(s, true);
    if (!zq_stream_is_over(s) && s->rest == NULL)
        s->on_event(s, ZQ_STREAM_ROOM);
    Py_DECREF(s->owner);
}

void zq_stream_written(struct zq_stream *s)
{
    if (s->rest_offset < (size_t)PyBytes_GET_SIZE(s->rest)) {
        zq_link_flush_soon(s->link);
        return;
    }
    Py_CLEAR(s->rest);
    if (s->end_given) {
        finish(s, ZQ_STREAM_ENDED);
        return;
    }
    zq_link_flush_soon(s->link);
    s->on_event(s, ZQ_STREAM_ROOM);
}

int zq_stream_feed_credit(struct zq_stream *s, uint32_t bytes)
{
    if (bytes > ZQ_WIRE_CREDIT_MAX - s->credit)
        return ZQ_EPROTO;
    s->credit += bytes;
    if (s->rest != NULL && !s->offered && zq_list_empty(&s->held))
        go_on(s);
    return 0;
}

void zq_stream_resume(struct zq_stream *s)
{
    zq_list_remove(&s->held);
    go_on(s);
}
