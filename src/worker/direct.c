#include "worker/direct.h"

#include "worker/link.h"
#include "worker/response.h"
#include "worker/scope.h"

/* Every object is owned, and gone once the function was called. */
struct zq_direct {
    PyObject *function, *parameters, *query, *headers;
    struct zq_buf body;
    bool called;
};

/* ---- life ---- */

static PyObject *parameters_of(const struct zq_declared *declared,
                               const struct zq_route_match *match)
{
    PyObject *dict = PyDict_New();

    for (size_t i = 0; i < match->n && dict != NULL; i++) {
        struct zq_slice value = match->parameters[i].value;
        PyObject *text = PyUnicode_DecodeUTF8(value.p, (Py_ssize_t)value.n, "replace");
        PyObject *name = PyTuple_GET_ITEM(declared->names, (Py_ssize_t)i);
        if (text == NULL || PyDict_SetItem(dict, name, text) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(text);
    }
    return dict;
}

int zq_direct_new(struct zq_request *r, const struct zq_declared *declared,
                  const struct zq_route_match *match, const struct zq_wire_request *wire)
{
    struct zq_direct *d = PyMem_Calloc(1, sizeof(*d));

    if (d == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    r->direct = d;
    d->function = Py_NewRef(declared->payload);
    d->parameters = parameters_of(declared, match);
    d->query = PyBytes_FromStringAndSize(wire->query.p, (Py_ssize_t)wire->query.n);
    d->headers = zq_scope_headers(r->bridge->module, &wire->fields);
    return d->parameters != NULL && d->query != NULL && d->headers != NULL ? 0 : -1;
}

void zq_direct_clear(struct zq_direct *d)
{
    if (d == NULL)
        return;
    Py_CLEAR(d->function);
    Py_CLEAR(d->parameters);
    Py_CLEAR(d->query);
    Py_CLEAR(d->headers);
    zq_buf_fini(&d->body);
}

void zq_direct_free(struct zq_direct *d)
{
    zq_direct_clear(d);
    PyMem_Free(d);
}

int zq_direct_traverse(const struct zq_direct *d, visitproc visit, void *arg)
{
    if (d == NULL)
        return 0;
    Py_VISIT(d->function);
    Py_VISIT(d->parameters);
    Py_VISIT(d->headers);
    return 0;
}

/* ---- the response ---- */

static int not_a_response(void)
{
    PyErr_SetString(PyExc_TypeError, "the function of a direct route returns (status, headers, "
                                     "body): an int, pairs of bytes, and bytes");
    return -1;
}

/* RFC 9112 6.3: a body of another length than the head says would be cut off. */
static int check_length(const struct zq_request *r, PyObject *body)
{
    if (!r->checks_length || r->length_declared == (uint64_t)PyBytes_GET_SIZE(body))
        return 0;
    PyErr_Format(PyExc_ValueError, "the response has %zd bytes of body, but content-length is %llu",
                 PyBytes_GET_SIZE(body), (unsigned long long)r->length_declared);
    return -1;
}

static int send_response(struct zq_request *r, PyObject *status, PyObject *headers, PyObject *body)
{
    struct zq_head *head = zq_response_head_of(r, status, headers);

    if (head == NULL)
        return -1;
    if (check_length(r, body) < 0) {
        zq_head_free(head);
        return -1;
    }
    if (zq_stream_is_over(&r->stream)) { /* reading the headers ran code */
        zq_head_free(head);
        return 0;
    }
    zq_stream_start(&r->stream, head); /* takes it */
    return zq_stream_write(&r->stream, body, true);
}

int zq_direct_answer(struct zq_request *r, PyObject *result)
{
    if (zq_stream_is_over(&r->stream))
        return 0; /* the client has left */
    if (result == NULL || !PyTuple_Check(result) || PyTuple_GET_SIZE(result) != 3 ||
        !PyBytes_Check(PyTuple_GET_ITEM(result, 2)))
        return not_a_response();
    return send_response(r, PyTuple_GET_ITEM(result, 0), PyTuple_GET_ITEM(result, 1),
                         PyTuple_GET_ITEM(result, 2));
}

/* ---- the call ---- */

/* New reference, or NULL with an exception. */
static PyObject *call_function(struct zq_request *r)
{
    struct zq_direct *d = r->direct;
    const char *p = d->body.n > 0 ? zq_buf_data(&d->body) : NULL;
    PyObject *body = PyBytes_FromStringAndSize(p, (Py_ssize_t)d->body.n), *result = NULL;

    zq_buf_fini(&d->body);
    if (body != NULL) {
        PyObject *args[] = {d->parameters, d->query, r->method, d->headers, body};
        result = PyObject_Vectorcall(d->function, args, 5, NULL);
        Py_DECREF(body);
    }
    zq_direct_clear(d);
    return result;
}

/* Answers at once, or makes a task of what is to be awaited. */
static void call(struct zq_request *r)
{
    PyObject *result = call_function(r);
    int error = 0;

    if (result == NULL) {
        error = zq_request_raised(r);
    } else if (PyTuple_Check(result)) {
        error = zq_request_returned(r, result);
        Py_DECREF(result);
    } else {
        r->iterator = zq_request_iterator(result, "the function of a direct route");
        error = r->iterator != NULL ? zq_request_make_task(r) : zq_request_raised(r);
    }
    if (error < 0)
        PyErr_Clear(); /* a cancellation that no task is there for */
}

/* What the function sets in its context is seen by nobody else. */
static void call_in_context(struct zq_request *r)
{
    PyObject *context = PyContext_CopyCurrent();

    r->direct->called = true;
    if (context == NULL || PyContext_Enter(context) < 0) {
        Py_XDECREF(context);
        zq_request_raised(r);
        return;
    }
    call(r);
    if (PyContext_Exit(context) < 0)
        PyErr_Clear();
    Py_DECREF(context);
}

/* 1 when the whole body is there, 0 when more has to come, -1 with an exception. */
static int collect(struct zq_request *r)
{
    bool more = true;

    while (more) {
        PyObject *part;
        int outcome = zq_stream_take_body(&r->stream, &part, &more);
        if (outcome <= 0)
            return outcome;
        int error = zq_buf_append(&r->direct->body, PyBytes_AS_STRING(part),
                                  (size_t)PyBytes_GET_SIZE(part));
        Py_DECREF(part);
        if (error < 0) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return 1;
}

bool zq_direct_is_collecting(const struct zq_request *r)
{
    return r->direct != NULL && r->running && !r->direct->called;
}

void zq_direct_run(struct zq_request *r)
{
    Py_INCREF(r);
    zq_stream_want(&r->stream);
    int outcome = collect(r);
    if (outcome > 0)
        call_in_context(r);
    else if (outcome < 0)
        zq_request_raised(r);
    Py_DECREF(r);
}
