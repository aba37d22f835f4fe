#include "worker/request.h"

#include "worker/awaitable.h"
#include "worker/direct.h"
#include "worker/link.h"
#include "worker/scope.h"

static bool is_complete(const struct zq_request *r)
{
    return zq_stream_is_over(&r->stream) || r->stream.end_given;
}

static void on_event(struct zq_stream *stream, enum zq_stream_event event)
{
    struct zq_request *r = ZQ_CONTAINER(stream, struct zq_request, stream);

    if (event != ZQ_STREAM_ROOM)
        zq_awaitable_wake(r->bridge->module, &r->receivers);
    if (event != ZQ_STREAM_BODY)
        zq_awaitable_wake(r->bridge->module, &r->senders);
    if (event == ZQ_STREAM_OVER && zq_direct_is_collecting(r))
        zq_request_end(r);
}

/* What it is entered with: a direct call's function, or the application's scope. */
static int prepare(struct zq_request *r, struct zq_link *link, const struct zq_wire_request *wire)
{
    struct zq_bridge *b = r->bridge;
    struct zq_route_match match;
    const struct zq_declared *declared =
        zq_routes_find(&b->routes, wire->raw_path, wire->method, &match);

    if (declared != NULL)
        return zq_direct_new(r, declared, &match, wire);
    r->scope = zq_scope_new(b, &link->scopes, wire, r->method, r->path);
    return r->scope != NULL ? 0 : -1;
}

struct zq_request *zq_request_new(struct zq_link *link, const struct zq_wire_request *wire)
{
    struct zq_bridge *b = link->bridge;
    struct zq_request *r = PyObject_GC_New(struct zq_request, b->module->request_type);

    if (r == NULL)
        return NULL;
    memset((char *)r + sizeof(PyObject), 0, sizeof(*r) - sizeof(PyObject));
    zq_stream_init(&r->stream, (PyObject *)r, on_event);
    zq_list_init(&r->node);
    zq_list_init(&r->receivers);
    zq_list_init(&r->senders);
    r->bridge = (struct zq_bridge *)Py_NewRef((PyObject *)b);
    r->is_head = zq_slice_eq(wire->method, ZQ_SLICE("HEAD"));
    r->method = zq_intern_method(b->module, wire->method);
    r->path = zq_scope_path(b, wire->path);
    int error = r->method != NULL && r->path != NULL ? prepare(r, link, wire) : -1;
    PyObject_GC_Track(r);
    if (error < 0) {
        Py_DECREF(r);
        return NULL;
    }
    return r;
}

/* ---- the end ---- */

void zq_request_begin(struct zq_request *r)
{
    r->running = true;
    zq_list_append(&r->bridge->requests, &r->node);
    r->bridge->n_requests++;
    Py_INCREF(r); /* the running list's; zq_request_end gives it back */
}

void zq_request_end(struct zq_request *r)
{
    struct zq_bridge *b = r->bridge;
    PyObject *exception = PyErr_GetRaisedException();

    Py_CLEAR(r->iterator);
    Py_CLEAR(r->scope);
    Py_CLEAR(r->task);
    if (r->running) {
        r->running = false;
        zq_list_remove(&r->node);
        b->n_requests--;
        zq_bridge_check_idle(b);
        Py_DECREF(r); /* the running list's reference */
    }
    if (exception != NULL)
        PyErr_SetRaisedException(exception);
}

/* SystemExit and the like end no worker: they are reported like any other. */
int zq_request_raised(struct zq_request *r)
{
    bool is_cancel = PyErr_ExceptionMatches(r->bridge->module->cancelled_error) ||
                     PyErr_ExceptionMatches(PyExc_GeneratorExit);

    if (is_cancel) {
        PyObject *exception = PyErr_GetRaisedException();
        if (!is_complete(r)) {
            zq_bridge_report(r->bridge, "cancelled", r->method, r->path);
            zq_stream_fail(&r->stream);
        }
        PyErr_SetRaisedException(exception); /* takes the reference */
    } else {
        zq_bridge_report(r->bridge, "exception", r->method, r->path);
        if (!is_complete(r))
            zq_stream_fail(&r->stream);
    }
    zq_request_end(r);
    return is_cancel ? -1 : 0;
}

/* What it returned means nothing to ASGI; of a direct call it is the response. */
int zq_request_returned(struct zq_request *r, PyObject *result)
{
    if (r->direct != NULL && zq_direct_answer(r, result) < 0)
        return zq_request_raised(r);
    if (!is_complete(r)) {
        zq_bridge_report(r->bridge, r->stream.state == ZQ_STREAM_WAITING ? "no-start" : "no-end",
                         r->method, r->path);
        zq_stream_fail(&r->stream);
    }
    zq_request_end(r);
    return 0;
}

/* ---- the application's coroutine ---- */

PyObject *zq_request_iterator(PyObject *awaitable, const char *what)
{
    PyAsyncMethods *async = Py_TYPE(awaitable)->tp_as_async;
    PyObject *iterator = NULL;

    if (PyCoro_CheckExact(awaitable))
        return awaitable;
    if (async != NULL && async->am_await != NULL) {
        iterator = async->am_await(awaitable);
        if (iterator != NULL && !PyIter_Check(iterator)) {
            PyErr_Format(PyExc_TypeError, "__await__() returned non-iterator of type '%.100s'",
                         Py_TYPE(iterator)->tp_name);
            Py_CLEAR(iterator);
        }
    } else {
        PyErr_Format(PyExc_TypeError, "%s returned %.100s, which cannot be awaited", what,
                     Py_TYPE(awaitable)->tp_name);
    }
    Py_DECREF(awaitable);
    return iterator;
}

/* Calls the application, in its task and context. 0, or -1 with an exception. */
static int call_app(struct zq_request *r)
{
    PyObject *receive = zq_receive_new(r), *send = zq_send_new(r), *result = NULL;

    r->started = true;
    if (receive != NULL && send != NULL) {
        PyObject *args[] = {r->scope, receive, send};
        result = PyObject_Vectorcall(r->bridge->app, args, 3, NULL);
    }
    Py_XDECREF(receive);
    Py_XDECREF(send);
    Py_CLEAR(r->scope);
    if (result != NULL)
        r->iterator = zq_request_iterator(result, "the ASGI application"); /* takes it */
    return r->iterator != NULL ? 0 : -1;
}

static PyObject *finished(void)
{
    PyErr_SetString(PyExc_RuntimeError, "this request is over");
    return NULL;
}

/* am_send: one step of the task. */
static PySendResult step(PyObject *self, PyObject *value, PyObject **result)
{
    struct zq_request *r = (struct zq_request *)self;
    PySendResult outcome = PYGEN_ERROR;

    if (r->started && r->iterator == NULL) {
        *result = finished();
        return PYGEN_ERROR;
    }
    if (r->iterator != NULL || call_app(r) == 0) {
        r->started = true;
        outcome = PyIter_Send(r->iterator, value, result);
    }
    if (outcome == PYGEN_NEXT)
        return PYGEN_NEXT;
    Py_INCREF(self);
    if (outcome == PYGEN_RETURN) {
        PyObject *returned = *result;
        if (zq_request_returned(r, returned) < 0)
            outcome = PYGEN_ERROR;
        Py_DECREF(returned);
    } else if (zq_request_raised(r) == 0) {
        outcome = PYGEN_RETURN;
    }
    *result = outcome == PYGEN_RETURN ? Py_NewRef(Py_None) : NULL;
    Py_DECREF(self);
    return outcome;
}

static PyObject *request_iternext(PyObject *self)
{
    PyObject *result;
    PySendResult outcome = step(self, Py_None, &result);

    if (outcome == PYGEN_RETURN)
        Py_CLEAR(result); /* no exception: StopIteration(None) */
    return result;
}

static PyObject *request_send(PyObject *self, PyObject *value)
{
    PyObject *result;

    if (step(self, value, &result) == PYGEN_RETURN) {
        Py_CLEAR(result);
        PyErr_SetNone(PyExc_StopIteration);
    }
    return result;
}

/* throw(exception) or the older throw(type, value, traceback). */
static PyObject *forward_throw(struct zq_request *r, PyObject *const *args, Py_ssize_t n)
{
    PyObject *result = NULL, *throw = NULL;

    if (r->iterator != NULL)
        throw = PyObject_GetAttr(r->iterator, zq_name(r->bridge->module, ZQ_NAME_throw));
    if (throw != NULL) {
        result = PyObject_Vectorcall(throw, args, (size_t)n, NULL);
        Py_DECREF(throw);
        return result;
    }
    PyErr_Clear(); /* an iterator without throw() */
    if (PyExceptionInstance_Check(args[0]))
        PyErr_SetObject((PyObject *)Py_TYPE(args[0]), args[0]);
    else
        PyErr_SetObject(args[0], n > 1 ? args[1] : NULL);
    return NULL;
}

/* Is the pending exception StopIteration, a return? Then it is cleared. */
static bool take_return(PyObject **value)
{
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return false;
    PyObject *stop = PyErr_GetRaisedException();
    *value = PyObject_GetAttrString(stop, "value");
    Py_DECREF(stop);
    if (*value == NULL)
        PyErr_Clear();
    return true;
}

static PyObject *request_throw(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    struct zq_request *r = (struct zq_request *)self;

    if (n < 1 || n > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes 1 to 3 arguments");
        return NULL;
    }
    Py_INCREF(self);
    PyObject *result = forward_throw(r, args, n);
    r->started = true;
    if (result == NULL) {
        PyObject *returned = NULL;
        int error =
            take_return(&returned) ? zq_request_returned(r, returned) : zq_request_raised(r);
        Py_XDECREF(returned);
        if (error == 0)
            PyErr_SetNone(PyExc_StopIteration);
    }
    Py_DECREF(self);
    return result;
}

static PyObject *request_close(PyObject *self, PyObject *unused)
{
    struct zq_request *r = (struct zq_request *)self;
    PyObject *result = NULL, *exception;

    Py_INCREF(self);
    r->started = true;
    if (r->iterator != NULL)
        result = PyObject_CallMethodNoArgs(r->iterator, zq_name(r->bridge->module, ZQ_NAME_close));
    else
        result = Py_NewRef(Py_None);
    exception = PyErr_GetRaisedException();
    zq_stream_fail(&r->stream);
    zq_request_end(r);
    if (exception != NULL)
        PyErr_SetRaisedException(exception); /* takes the reference */
    Py_DECREF(self);
    return result;
}

/* asyncio, and debuggers, ask a task's coroutine for cr_frame and the like. */
static PyObject *request_get(PyObject *self, void *name)
{
    struct zq_request *r = (struct zq_request *)self;

    if (r->iterator != NULL)
        return PyObject_GetAttrString(r->iterator, name);
    if (strncmp(name, "cr_", 3) != 0)
        return PyUnicode_FromString("zq.Request");
    if (strcmp(name, "cr_running") == 0 || strcmp(name, "cr_suspended") == 0)
        Py_RETURN_FALSE;
    Py_RETURN_NONE;
}

/* ---- the task ---- */

/* With the application's factory as loop.create_task() would call it, which with some pairs of
 * uvloop and Python hands it arguments that it does not know. New reference. */
static PyObject *make_task(struct zq_bridge *b, struct zq_request *r)
{
    if (b->task_factory != NULL) {
        PyObject *args[] = {b->loop, (PyObject *)r};
        return PyObject_Vectorcall(b->task_factory, args, 2, NULL);
    }
    PyObject *args[] = {(PyObject *)r, b->loop, Py_True};
    return PyObject_Vectorcall(b->module->task_type, args, 1, b->task_kwnames);
}

int zq_request_make_task(struct zq_request *r)
{
    struct zq_bridge *b = r->bridge;
    PyObject *task = make_task(b, r);

    if (task == NULL) {
        zq_bridge_report(b, "exception", r->method, r->path);
        zq_stream_fail(&r->stream);
        zq_request_end(r);
        return -1;
    }
    if (!r->running) {
        Py_DECREF(task);
        return 0;
    }
    r->task = task; /* the reference moves */
    b->late_tasks |= !r->started;
    return 0;
}

void zq_request_start(struct zq_request *r)
{
    zq_request_begin(r);
    if (r->direct != NULL)
        zq_direct_run(r);
    else
        zq_request_make_task(r);
}

void zq_request_fed(struct zq_request *r)
{
    if (zq_direct_is_collecting(r))
        zq_direct_run(r);
}

void zq_requests_abandon(struct zq_bridge *b)
{
    while (!zq_list_empty(&b->requests))
        zq_request_end(ZQ_CONTAINER(b->requests.next, struct zq_request, node));
}

/* ---- the type ---- */

static int request_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct zq_request *r = (struct zq_request *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(r->bridge);
    Py_VISIT(r->scope);
    Py_VISIT(r->iterator);
    Py_VISIT(r->task);
    return zq_direct_traverse(r->direct, visit, arg);
}

static int request_clear(PyObject *self)
{
    struct zq_request *r = (struct zq_request *)self;

    Py_CLEAR(r->scope);
    Py_CLEAR(r->iterator);
    Py_CLEAR(r->task);
    zq_direct_clear(r->direct);
    return 0;
}

static void request_dealloc(PyObject *self)
{
    struct zq_request *r = (struct zq_request *)self;
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    request_clear(self);
    zq_stream_fini(&r->stream);
    zq_direct_free(r->direct);
    Py_CLEAR(r->method);
    Py_CLEAR(r->path);
    Py_CLEAR(r->bridge);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef request_methods[] = {
    {"send", request_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))request_throw, METH_FASTCALL, NULL},
    {"close", request_close, METH_NOARGS, NULL},
    {0},
};

#define GETTER(name)                                                                               \
    {                                                                                              \
        name, request_get, NULL, NULL, (void *)(uintptr_t)name                                     \
    }
static PyGetSetDef request_getset[] = {
    GETTER("__name__"),   GETTER("__qualname__"), GETTER("cr_await"),
    GETTER("cr_code"),    GETTER("cr_frame"),     GETTER("cr_origin"),
    GETTER("cr_running"), GETTER("cr_suspended"), {0},
};

static PyType_Slot request_slots[] = {
    {Py_tp_dealloc, request_dealloc},
    {Py_tp_traverse, request_traverse},
    {Py_tp_clear, request_clear},
    {Py_tp_methods, request_methods},
    {Py_tp_getset, request_getset},
    {Py_tp_iternext, request_iternext},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, step},
    {0, NULL},
};

PyType_Spec zq_request_spec = {
    .name = "_zq.Request",
    .basicsize = sizeof(struct zq_request),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = request_slots,
};
