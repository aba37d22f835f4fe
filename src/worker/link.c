#include "worker/link.h"

#include "worker/ask.h"
#include "worker/request.h"

#include "zq/clock.h"
#include "zq/log.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (64u << 10)

/* ---- the loop ---- */

void zq_link_break(struct zq_link *link, const char *why)
{
    if (link->broken)
        return;
    zq_log(ZQ_LOG_ERROR, "the link to the front is closed: %s", why);
    link->broken = true;
}

void zq_link_call_loop(struct zq_link *link, enum zq_name method, PyObject *callback)
{
    struct zq_bridge *b = link->bridge;
    PyObject *fd = PyLong_FromLong(link->fd), *result = NULL;
    PyObject *args[] = {b->loop, fd, callback};

    if (fd != NULL)
        result =
            PyObject_VectorcallMethod(zq_name(b->module, method), args, callback ? 3 : 2, NULL);
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)link);
        zq_link_break(link, "the event loop does not take it");
    }
    Py_XDECREF(result);
    Py_XDECREF(fd);
}

/* Writes what is there, and closes the link if that is its lot. */
static void flush(struct zq_link *link)
{
    zq_link_write_out(link);
    if (link->broken)
        zq_link_close(link);
    else if (zq_output_bytes(&link->out) == 0)
        zq_bridge_check_idle(link->bridge);
}

/* ---- input ---- */

/* The Content-Length; 0: there is none. */
static uint64_t announced_bytes(const struct zq_fields *fields)
{
    uint64_t n;

    for (size_t i = 0; i < fields->n; i++)
        if (zq_slice_eq(fields->v[i].name, ZQ_SLICE("content-length")))
            return zq_parse_u64(fields->v[i].value, INT64_MAX, &n) == 0 ? n : 0;
    return 0;
}

static int open_stream(struct zq_link *link, const struct zq_wire_frame *frame)
{
    struct zq_wire_request wire;
    int error;

    if (zq_link_find(link, frame->stream) != NULL)
        return ZQ_EPROTO;
    zq_arena_reset(&link->arena);
    error = zq_wire_decode_request(frame->payload, &link->arena, &wire);
    if (error < 0)
        return error;
    struct zq_request *r = zq_request_new(link, &wire);
    if (r == NULL) {
        PyErr_WriteUnraisable((PyObject *)link);
        return zq_wire_encode_signal(&link->out.frames, ZQ_WIRE_RESET, frame->stream, 0);
    }
    bool end = frame->flags & ZQ_WIRE_END;
    error = zq_stream_open(&r->stream, link, frame->stream, wire.body,
                           end ? 0 : announced_bytes(&wire.fields), end);
    if (error == 0)
        zq_request_start(r);
    Py_DECREF(r);
    return error;
}

static int feed_body(struct zq_stream *s, const struct zq_wire_frame *frame)
{
    if (s == NULL)
        return 0;
    PyObject *owner = Py_NewRef(s->owner);
    int error = zq_stream_feed_body(s, frame->payload, frame->flags & ZQ_WIRE_END);
    if (error == 0)
        zq_request_fed((struct zq_request *)owner);
    Py_DECREF(owner);
    return error;
}

/* As BODY, with what lies in the block. */
static int feed_shared(struct zq_link *link, struct zq_stream *s, const struct zq_wire_frame *frame)
{
    struct zq_wire_frame body = *frame;
    struct zq_wire_shared shared;

    if (zq_wire_decode_shared(frame->payload, &shared) < 0)
        return ZQ_EPROTO;
    const char *block = zq_region_block(link->region, ZQ_REGION_TO_WORKER, shared.block);
    if (block == NULL)
        return ZQ_EPROTO;
    body.payload = zq_slice(block, shared.bytes);
    int error = feed_body(s, &body);
    zq_region_give(link->region, ZQ_REGION_TO_WORKER, shared.block);
    return error;
}

static int feed_credit(struct zq_stream *s, const struct zq_wire_frame *frame)
{
    uint32_t bytes;
    int error = zq_wire_decode_number(frame, &bytes);

    return error < 0 || s == NULL ? error : zq_stream_feed_credit(s, bytes);
}

static int lend(struct zq_link *link, struct zq_stream *s)
{
    int fd = zq_lent_take(&link->lent);

    if (fd < 0)
        return ZQ_EPROTO;
    if (s != NULL)
        return zq_stream_lend(s, fd);
    close(fd);
    return 0;
}

/* Frames for streams that are over were on their way already: they are ignored. */
static int dispatch(struct zq_link *link, const struct zq_wire_frame *frame)
{
    struct zq_stream *s = frame->stream ? zq_link_find(link, frame->stream) : NULL;
    uint32_t number;

    switch (frame->type) {
    case ZQ_WIRE_REQUEST:
        return open_stream(link, frame);
    case ZQ_WIRE_BODY:
        return feed_body(s, frame);
    case ZQ_WIRE_SHARED:
        return feed_shared(link, s, frame);
    case ZQ_WIRE_CREDIT:
        return feed_credit(s, frame);
    case ZQ_WIRE_CANCEL:
        if (s != NULL)
            zq_stream_lose(s, true);
        return 0;
    case ZQ_WIRE_LEND:
        return lend(link, s);
    case ZQ_WIRE_KEEP:
        return s != NULL ? zq_stream_keep(s) : 0;
    case ZQ_WIRE_PING:
        if (zq_wire_decode_number(frame, &number) < 0)
            return ZQ_EPROTO;
        return zq_wire_encode_number(&link->out.frames, ZQ_WIRE_PONG, 0, number);
    case ZQ_WIRE_ANSWER:
        return zq_ask_answered(link, frame);
    case ZQ_WIRE_BLOCKS:
        if (!link->asked_blocks)
            return ZQ_EPROTO;
        link->asked_blocks = false;
        return 0;
    default:
        return ZQ_EPROTO;
    }
}

static void dispatch_all(struct zq_link *link)
{
    while (link->in.n > 0 && !link->broken && link->fd >= 0) {
        struct zq_wire_frame frame;
        size_t used;
        int error = zq_wire_next(zq_slice(zq_buf_data(&link->in), link->in.n), ZQ_WIRE_FROM_FRONT,
                                 &frame, &used);
        if (error == ZQ_EAGAIN) {
            if (used > link->in.n && zq_buf_reserve(&link->in, used - link->in.n) == NULL)
                zq_link_break(link, zq_strerror(ZQ_ENOMEM));
            return;
        }
        if (error == 0)
            error = dispatch(link, &frame);
        if (error < 0) {
            zq_link_break(link, zq_strerror(error));
            return;
        }
        zq_buf_consume(&link->in, used);
    }
    if (link->lent.n > 0 && link->fd >= 0) /* of no LEND */
        zq_link_break(link, zq_strerror(ZQ_EPROTO));
}

/* False when there is nothing to dispatch. */
static bool read_in(struct zq_link *link)
{
    char *to = zq_buf_reserve(&link->in, READ_BYTES);

    if (to == NULL) {
        zq_link_break(link, zq_strerror(ZQ_ENOMEM));
        return false;
    }
    size_t room = link->in.cap - link->in.off - link->in.n;
    ssize_t n = zq_lent_receive(&link->lent, link->fd, to, room);
    if (n > 0) {
        zq_buf_commit(&link->in, (size_t)n);
        return true;
    }
    if (n < 0 && errno == EPROTO)
        zq_link_break(link, zq_strerror(ZQ_EPROTO));
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        link->broken = true; /* the front is gone */
    return false;
}

static PyObject *on_readable(PyObject *self, PyObject *unused)
{
    struct zq_link *link = (struct zq_link *)self;

    ZQ_CHECK(link, ZQ_LINK_MAGIC);
    /* An application that runs the loop inside a callback must not get us in here twice. */
    if (link->reading || link->fd < 0)
        Py_RETURN_NONE;
    Py_INCREF(self);
    link->reading = true;
    link->written_us = zq_now_us();
    if (read_in(link)) {
        zq_bridge_look_up_factory(link->bridge);
        dispatch_all(link);
        zq_link_feed_starved(link);
    }
    link->reading = false;
    /* Tasks that this Python cannot start eagerly run in the rest of this turn, and what they
     * send can still leave in it if the flush is queued behind them. */
    if (!zq_list_empty(&link->held) || link->bridge->late_tasks)
        zq_link_schedule_turn_end(link);
    link->bridge->late_tasks = false;
    flush(link);
    Py_DECREF(self);
    Py_RETURN_NONE;
}

static PyObject *on_writable(PyObject *self, PyObject *unused)
{
    struct zq_link *link = (struct zq_link *)self;

    if (link->fd < 0)
        Py_RETURN_NONE;
    Py_INCREF(self);
    link->blocked = false;
    zq_link_call_loop(link, ZQ_NAME_remove_writer, NULL);
    flush(link);
    Py_DECREF(self);
    Py_RETURN_NONE;
}

static PyObject *on_turn_end(PyObject *self, PyObject *unused)
{
    struct zq_link *link = (struct zq_link *)self;

    link->flush_soon = false;
    if (link->fd < 0)
        Py_RETURN_NONE;
    Py_INCREF(self);
    while (!zq_list_empty(&link->held))
        zq_stream_release(ZQ_CONTAINER(link->held.next, struct zq_stream, held));
    flush(link);
    Py_DECREF(self);
    Py_RETURN_NONE;
}

/* ---- life ---- */

static PyMethodDef callbacks[] = {
    {"on_readable", on_readable, METH_NOARGS, NULL},
    {"on_writable", on_writable, METH_NOARGS, NULL},
    {"on_turn_end", on_turn_end, METH_NOARGS, NULL},
};

static struct zq_link *new_link(struct zq_bridge *bridge, int fd, struct zq_region *region)
{
    struct zq_link *link = PyObject_GC_New(struct zq_link, bridge->module->link_type);

    if (link == NULL) {
        zq_region_unref(region);
        return NULL;
    }
    memset((char *)link + sizeof(PyObject), 0, sizeof(*link) - sizeof(PyObject));
    link->magic = ZQ_LINK_MAGIC;
    link->fd = fd;
    link->region = region;
    link->bridge = (struct zq_bridge *)Py_NewRef((PyObject *)bridge);
    zq_list_init(&link->node);
    zq_list_init(&link->held);
    zq_list_init(&link->starved);
    PyObject_GC_Track(link);
    link->on_readable = zq_bind(&callbacks[0], (PyObject *)link);
    link->on_writable = zq_bind(&callbacks[1], (PyObject *)link);
    link->on_turn_end = zq_bind(&callbacks[2], (PyObject *)link);
    if (link->on_readable == NULL || link->on_writable == NULL || link->on_turn_end == NULL) {
        link->fd = -1;
        Py_DECREF(link);
        return NULL;
    }
    return link;
}

/* What the application declares goes out first, and is shared by all links. */
static int put_routes(struct zq_link *link)
{
    PyObject *frames = link->bridge->routes.frames;

    if (frames == NULL)
        return zq_wire_encode_number(&link->out.frames, ZQ_WIRE_ROUTES, 0, 0);
    return zq_output_refer(&link->out, frames, PyBytes_AS_STRING(frames),
                           (size_t)PyBytes_GET_SIZE(frames));
}

int zq_link_open(struct zq_bridge *bridge, int fd, struct zq_region *region)
{
    struct zq_link *link = new_link(bridge, fd, region);

    if (link == NULL) {
        close(fd);
        return -1;
    }
    zq_list_append(&bridge->links, &link->node); /* which holds our reference */
    zq_link_call_loop(link, ZQ_NAME_add_reader, link->on_readable);
    if (link->broken) {
        zq_link_close(link);
        PyErr_SetString(PyExc_RuntimeError, "the event loop does not take the link");
        return -1;
    }
    if (put_routes(link) < 0) {
        zq_link_close(link);
        PyErr_NoMemory();
        return -1;
    }
    zq_link_flush_soon(link);
    return 0;
}

static void lose_streams(struct zq_link *link)
{
    for (size_t i = 0; i < link->n_buckets; i++)
        while (link->table[i] != NULL)
            zq_stream_lose(link->table[i], false);
}

void zq_link_close(struct zq_link *link)
{
    if (link->fd < 0)
        return;
    if (link->blocked)
        zq_link_call_loop(link, ZQ_NAME_remove_writer, NULL);
    zq_link_call_loop(link, ZQ_NAME_remove_reader, NULL);
    int fd = link->fd;
    link->fd = -1; /* nothing is sent or scheduled any more */
    lose_streams(link);
    zq_ask_lost(link);
    close(fd);
    zq_lent_fini(&link->lent);
    zq_buf_fini(&link->in);
    zq_output_fini(&link->out);
    zq_list_remove(&link->node);
    zq_bridge_check_idle(link->bridge);
    Py_DECREF(link);
}

static int link_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct zq_link *link = (struct zq_link *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(link->bridge);
    Py_VISIT(link->on_readable);
    Py_VISIT(link->on_writable);
    Py_VISIT(link->on_turn_end);
    for (size_t i = 0; i < link->n_buckets; i++)
        for (struct zq_stream *s = link->table[i]; s != NULL; s = s->next)
            Py_VISIT(s->owner);
    return 0;
}

/* An open link is held by the bridge and by the loop: only a closed one gets here. */
static int link_clear(PyObject *self)
{
    struct zq_link *link = (struct zq_link *)self;

    Py_CLEAR(link->on_readable);
    Py_CLEAR(link->on_writable);
    Py_CLEAR(link->on_turn_end);
    return 0;
}

static void link_dealloc(PyObject *self)
{
    struct zq_link *link = (struct zq_link *)self;
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    ZQ_ASSERT(link->fd < 0 && link->n_streams == 0);
    link_clear(self);
    Py_CLEAR(link->bridge);
    zq_scope_cache_fini(&link->scopes);
    zq_buf_fini(&link->in);
    zq_output_fini(&link->out);
    zq_arena_fini(&link->arena);
    zq_region_unref(link->region);
    PyMem_Free(link->table);
    link->magic = 0;
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot link_slots[] = {
    {Py_tp_dealloc, link_dealloc},
    {Py_tp_traverse, link_traverse},
    {Py_tp_clear, link_clear},
    {0, NULL},
};

PyType_Spec zq_link_spec = {
    .name = "_zq.Link",
    .basicsize = sizeof(struct zq_link),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = link_slots,
};
