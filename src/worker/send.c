#include "worker/awaitable.h"
#include "worker/response.h"

static int wrong_order(const char *got, const char *expected)
{
    PyErr_Format(PyExc_RuntimeError, "expected the ASGI message '%s', but got '%s'", expected, got);
    return -1;
}

static int client_left(const struct zq_request *r)
{
    PyErr_SetString(r->bridge->module->client_disconnected, "the client has left");
    return -1;
}

/* ---- http.response.start ---- */

static int start(struct zq_request *r, PyObject *message)
{
    if (r->stream.state != ZQ_STREAM_WAITING)
        return wrong_order("http.response.start", "http.response.body");
    struct zq_head *head = zq_response_head(r, message);
    if (head == NULL)
        return -1;
    /* Reading the message may have run code of the application. */
    if (r->stream.state != ZQ_STREAM_WAITING) {
        zq_head_free(head);
        return wrong_order("http.response.start", "http.response.body");
    }
    zq_stream_start(&r->stream, head); /* takes it */
    return 1;
}

/* ---- zq.http.response.interim, http.response.early_hint ---- */

static int interim(struct zq_request *r, PyObject *message,
                   struct zq_head *read(struct zq_request *r, PyObject *message))
{
    struct zq_head *head = read(r, message);

    if (head == NULL)
        return -1;
    bool waits = r->stream.state == ZQ_STREAM_WAITING;
    int error = waits ? zq_stream_interim(&r->stream, head) : 0;
    zq_head_free(head);
    if (!waits) {
        PyErr_SetString(PyExc_RuntimeError, "an interim response came behind the final one's head");
        return -1;
    }
    if (error == 0)
        return 1;
    PyErr_Format(PyExc_ValueError,
                 "interim responses have at most %u bytes of headers, and a request %u of them",
                 ZQ_WIRE_INTERIM_MAX, ZQ_WIRE_INTERIMS_MAX);
    return -1;
}

/* ---- http.response.body ---- */

/* The body as bytes: what can change later is copied. New reference. */
static PyObject *body_of(const struct zq_module *m, PyObject *message)
{
    PyObject *body = PyDict_GetItemWithError(message, zq_name(m, ZQ_NAME_body)); /* borrowed */

    if (body == NULL)
        return PyErr_Occurred() ? NULL : Py_NewRef(m->no_bytes);
    if (PyBytes_CheckExact(body))
        return Py_NewRef(body);
    if (PyObject_CheckBuffer(body))
        return PyBytes_FromObject(body);
    PyErr_Format(PyExc_TypeError, "body must be bytes, not %.100s", Py_TYPE(body)->tp_name);
    return NULL;
}

/* 1, 0, or -1 with an exception. */
static int more_body_of(const struct zq_module *m, PyObject *message)
{
    PyObject *more = PyDict_GetItemWithError(message, zq_name(m, ZQ_NAME_more_body)); /* borrowed */

    if (more == NULL)
        return PyErr_Occurred() ? -1 : 0;
    return PyObject_IsTrue(more);
}

/* A body of another length than the head says would leave the client with a wrong idea of where
 * it ends (RFC 9112 6.3): the stream fails, and the client can tell. */
static int check_length(struct zq_request *r, PyObject *body, bool end)
{
    r->length_given += (uint64_t)PyBytes_GET_SIZE(body);
    bool wrong =
        r->length_given > r->length_declared || (end && r->length_given < r->length_declared);

    if (!r->checks_length || !wrong)
        return 0;
    zq_stream_fail(&r->stream);
    PyErr_Format(PyExc_RuntimeError,
                 "the response has %s: %llu bytes of body, but content-length is %llu",
                 r->length_given > r->length_declared ? "too much content" : "too little content",
                 (unsigned long long)r->length_given, (unsigned long long)r->length_declared);
    return -1;
}

static int give(struct zq_awaitable *a, PyObject *body, bool end)
{
    struct zq_request *r = a->request;

    if (check_length(r, body, end) < 0 || zq_stream_write(&r->stream, body, end) < 0)
        return -1;
    Py_CLEAR(a->message); /* accepted: a cancellation leaves it to the stream */
    a->serial = ++r->parts;
    return !zq_stream_is_over(&r->stream) && zq_stream_is_busy(&r->stream) ? 0 : 1;
}

static int body(struct zq_awaitable *a)
{
    struct zq_request *r = a->request;

    if (r->stream.state == ZQ_STREAM_WAITING)
        return wrong_order("http.response.body", "http.response.start");
    int more = more_body_of(r->bridge->module, a->message);
    if (more < 0)
        return -1;
    PyObject *bytes = body_of(r->bridge->module, a->message);
    if (bytes == NULL)
        return -1;
    /* Only one part at a time waits for credit; who comes meanwhile waits in front of it. */
    int outcome = zq_stream_is_busy(&r->stream) ? 0 : give(a, bytes, !more);
    Py_DECREF(bytes);
    return outcome;
}

/* ---- any message ---- */

/* New reference to the type, or NULL with an exception. */
static PyObject *type_of(const struct zq_module *m, PyObject *message)
{
    if (!PyDict_Check(message)) {
        PyErr_Format(PyExc_TypeError, "an ASGI message is a dict, not %.100s",
                     Py_TYPE(message)->tp_name);
        return NULL;
    }
    PyObject *type = PyDict_GetItemWithError(message, zq_name(m, ZQ_NAME_type)); /* borrowed */
    if (type != NULL && PyUnicode_Check(type))
        return Py_NewRef(type);
    if (type != NULL)
        PyErr_Format(PyExc_TypeError, "the type of an ASGI message is a str, not %.100s",
                     Py_TYPE(type)->tp_name);
    else if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "the ASGI message has no 'type'");
    return NULL;
}

static bool is(PyObject *type, const char *text)
{
    return PyUnicode_CompareWithASCIIString(type, text) == 0;
}

static int dispatch(struct zq_awaitable *a)
{
    PyObject *type = type_of(a->request->bridge->module, a->message);
    int outcome = -1;

    if (type == NULL)
        return -1;
    if (is(type, "http.response.body"))
        outcome = body(a);
    else if (is(type, "http.response.start"))
        outcome = start(a->request, a->message);
    else if (is(type, "zq.http.response.interim"))
        outcome = interim(a->request, a->message, zq_response_interim);
    else if (is(type, "http.response.early_hint"))
        outcome = interim(a->request, a->message, zq_response_early_hint);
    else
        PyErr_Format(PyExc_ValueError, "%R is not an ASGI message that a response can send", type);
    Py_DECREF(type);
    return outcome;
}

static int attempt(struct zq_awaitable *a, PyObject **result)
{
    struct zq_request *r = a->request;
    struct zq_stream *s = &r->stream;
    bool accepted = a->message == NULL;
    int outcome;

    if (accepted && (a->serial != r->parts || s->state == ZQ_STREAM_ENDED))
        outcome = 1; /* the part has left, another one is on its way */
    else if (s->state == ZQ_STREAM_LOST)
        outcome = client_left(r);
    else if (accepted)
        outcome = !zq_stream_is_busy(s);
    else if (s->end_given)
        outcome = 1; /* messages after the last part of the body mean nothing */
    else if (s->state == ZQ_STREAM_FAILED) {
        PyErr_SetString(PyExc_RuntimeError, "the response was cut off after an earlier error");
        outcome = -1;
    } else
        outcome = dispatch(a);
    if (outcome > 0)
        *result = Py_NewRef(Py_None);
    return outcome;
}

static PyObject *send(PyObject *self, PyObject *message)
{
    struct zq_request *r = (struct zq_request *)self;

    return zq_awaitable_new(r, attempt, &r->senders, message, "send");
}

PyObject *zq_send_new(struct zq_request *r)
{
    static PyMethodDef method = {"send", send, METH_O, NULL};

    return zq_bind(&method, (PyObject *)r);
}
