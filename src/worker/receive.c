#include "worker/awaitable.h"

/* Takes the reference to `body`. New reference. */
static PyObject *request_message(const struct zq_module *m, PyObject *body, bool more)
{
    PyObject *message = PyDict_New();

    if (message != NULL &&
        (PyDict_SetItem(message, zq_name(m, ZQ_NAME_type), zq_name(m, ZQ_NAME_http_request)) < 0 ||
         PyDict_SetItem(message, zq_name(m, ZQ_NAME_body), body) < 0 ||
         PyDict_SetItem(message, zq_name(m, ZQ_NAME_more_body), more ? Py_True : Py_False) < 0))
        Py_CLEAR(message);
    Py_DECREF(body);
    return message;
}

static PyObject *disconnect_message(const struct zq_module *m)
{
    PyObject *message = PyDict_New();

    if (message != NULL &&
        PyDict_SetItem(message, zq_name(m, ZQ_NAME_type), zq_name(m, ZQ_NAME_http_disconnect)) < 0)
        Py_CLEAR(message);
    return message;
}

/* Once the client has left, or the response has ended, that is all there is to say: what is left
 * of the body is of no use to anybody. */
static int attempt(struct zq_awaitable *a, PyObject **result)
{
    struct zq_stream *s = &a->request->stream;
    const struct zq_module *m = a->request->bridge->module;
    PyObject *body = NULL;
    bool more = false;

    if (zq_stream_is_over(s)) {
        *result = disconnect_message(m);
        return *result != NULL ? 1 : -1;
    }
    zq_stream_want(s);
    int outcome = zq_stream_take_body(s, &body, &more);
    if (outcome <= 0)
        return outcome;
    *result = request_message(m, body, more);
    return *result != NULL ? 1 : -1;
}

static PyObject *receive(PyObject *self, PyObject *unused)
{
    struct zq_request *r = (struct zq_request *)self;

    return zq_awaitable_new(r, attempt, &r->receivers, NULL, "receive");
}

PyObject *zq_receive_new(struct zq_request *r)
{
    static PyMethodDef method = {"receive", receive, METH_NOARGS, NULL};

    return zq_bind(&method, (PyObject *)r);
}
