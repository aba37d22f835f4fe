#include "worker/ask.h"

/* Any link leads to the same cache. NULL with ConnectionError. */
static struct zq_link *choose_link(struct zq_bridge *b)
{
    for (struct zq_node *n = b->links.next; n != &b->links; n = n->next) {
        struct zq_link *link = ZQ_CONTAINER(n, struct zq_link, node);
        if (link->fd >= 0 && !link->broken && !link->asked)
            return link;
    }
    PyErr_SetString(PyExc_ConnectionError, "this worker has no link to the front");
    return NULL;
}

/* The question was encoded, or not. */
static PyObject *sent(struct zq_link *link, int error)
{
    if (error < 0) {
        PyErr_SetString(error == ZQ_ELIMIT ? PyExc_ValueError : PyExc_MemoryError,
                        error == ZQ_ELIMIT ? "is too long" : zq_strerror(error));
        return NULL;
    }
    link->asked = true;
    zq_link_flush_soon(link);
    Py_RETURN_NONE;
}

PyObject *zq_bridge_ask_purge(PyObject *self, PyObject *args)
{
    struct zq_wire_purge purge = {0};
    struct zq_link *link;
    const char *text;
    Py_ssize_t n;
    int soft;

    if (!PyArg_ParseTuple(args, "bpy#:ask_purge", &purge.kind, &soft, &text, &n) ||
        (link = choose_link((struct zq_bridge *)self)) == NULL)
        return NULL;
    purge.soft = soft != 0;
    purge.text = zq_slice(text, (size_t)n);
    purge.number = ++link->question;
    return sent(link, zq_wire_encode_purge(&link->out.frames, &purge));
}

PyObject *zq_bridge_ask_info(PyObject *self, PyObject *unused)
{
    struct zq_link *link = choose_link((struct zq_bridge *)self);

    if (link == NULL)
        return NULL;
    return sent(link, zq_wire_encode_number(&link->out.frames, ZQ_WIRE_INFO, 0, ++link->question));
}

PyObject *zq_bridge_notify_answer(PyObject *self, PyObject *callable)
{
    struct zq_bridge *b = (struct zq_bridge *)self;

    Py_XSETREF(b->on_answer, Py_NewRef(callable));
    Py_RETURN_NONE;
}

static void call(struct zq_link *link, unsigned status, struct zq_slice text)
{
    PyObject *on_answer = link->bridge->on_answer, *result;

    link->asked = false;
    if (on_answer == NULL)
        return;
    Py_INCREF(on_answer); /* which may replace itself */
    result = PyObject_CallFunction(on_answer, "Iy#", status, text.n > 0 ? text.p : "",
                                   (Py_ssize_t)text.n);
    if (result == NULL)
        PyErr_WriteUnraisable(on_answer);
    Py_XDECREF(result);
    Py_DECREF(on_answer);
}

int zq_ask_answered(struct zq_link *link, const struct zq_wire_frame *frame)
{
    struct zq_wire_answer answer;
    int error = zq_wire_decode_answer(frame->payload, &answer);

    if (error < 0 || !link->asked || answer.number != link->question)
        return ZQ_EPROTO;
    call(link, answer.status, answer.text);
    return 0;
}

void zq_ask_lost(struct zq_link *link)
{
    if (link->asked)
        call(link, 0, (struct zq_slice){0});
}
