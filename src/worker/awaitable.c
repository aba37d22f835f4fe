#include "worker/awaitable.h"

/* ---- making and freeing ---- */

static struct zq_awaitable *allocate(struct zq_module *m)
{
    struct zq_awaitable *a = m->awaitables;

    if (a == NULL)
        return PyObject_GC_New(struct zq_awaitable, m->awaitable_type);
    m->awaitables = (struct zq_awaitable *)(void *)a->future;
    m->n_awaitables--;
    return (struct zq_awaitable *)PyObject_Init((PyObject *)a, m->awaitable_type);
}

PyObject *zq_awaitable_new(struct zq_request *r, zq_attempt *attempt, struct zq_node *waiters,
                           PyObject *message, const char *name)
{
    struct zq_awaitable *a = allocate(r->bridge->module);

    if (a == NULL)
        return NULL;
    a->request = (struct zq_request *)Py_NewRef((PyObject *)r);
    a->attempt = attempt;
    a->message = Py_XNewRef(message);
    a->future = NULL;
    a->waiters = waiters;
    a->serial = 0;
    a->name = name;
    zq_list_init(&a->node);
    PyObject_GC_Track(a);
    return (PyObject *)a;
}

static void stop_waiting(struct zq_awaitable *a)
{
    zq_list_remove(&a->node);
    Py_CLEAR(a->future);
}

static void finish(struct zq_awaitable *a)
{
    a->attempt = NULL;
    stop_waiting(a);
    Py_CLEAR(a->message);
    Py_CLEAR(a->request);
}

static void awaitable_dealloc(PyObject *self)
{
    struct zq_awaitable *a = (struct zq_awaitable *)self;
    PyTypeObject *type = Py_TYPE(self);
    struct zq_module *m = PyType_GetModuleState(type);

    if (m == NULL)
        PyErr_Clear(); /* the interpreter ends, and has taken the type apart */
    PyObject_GC_UnTrack(self);
    finish(a);
    if (m != NULL && m->n_awaitables < ZQ_AWAITABLES_KEPT) {
        a->future = (PyObject *)(void *)m->awaitables; /* the freelist's link, no reference */
        m->awaitables = a;
        m->n_awaitables++;
    } else {
        type->tp_free(self);
    }
    Py_DECREF(type);
}

void zq_awaitable_free_all(struct zq_module *m)
{
    while (m->awaitables != NULL) {
        struct zq_awaitable *a = m->awaitables;
        m->awaitables = (struct zq_awaitable *)(void *)a->future;
        PyObject_GC_Del(a);
    }
    m->n_awaitables = 0;
}

/* ---- waiting ---- */

/* Yields a new future of the loop, as `await future` would: borrowed from `a`, or NULL. */
static PyObject *wait(struct zq_awaitable *a)
{
    struct zq_bridge *b = a->request->bridge;
    PyObject *future = PyObject_CallNoArgs(b->create_future);

    if (future == NULL)
        return NULL;
    if (PyObject_SetAttr(future, zq_name(b->module, ZQ_NAME_future_blocking), Py_True) < 0) {
        Py_DECREF(future);
        return NULL;
    }
    a->future = future; /* the reference moves */
    zq_list_append(a->waiters, &a->node);
    return future;
}

/* A waiter that was cancelled, but not resumed yet, has a future that is done. */
static void resolve(struct zq_module *m, PyObject *future)
{
    PyObject *done = PyObject_CallMethodNoArgs(future, zq_name(m, ZQ_NAME_done));
    PyObject *result = NULL;

    if (done == Py_False)
        result = PyObject_CallMethodOneArg(future, zq_name(m, ZQ_NAME_set_result), Py_None);
    if (done == NULL || (done == Py_False && result == NULL))
        PyErr_WriteUnraisable(future);
    Py_XDECREF(done);
    Py_XDECREF(result);
}

void zq_awaitable_wake(struct zq_module *m, struct zq_node *waiters)
{
    while (!zq_list_empty(waiters)) {
        struct zq_awaitable *a = ZQ_CONTAINER(waiters->next, struct zq_awaitable, node);
        PyObject *future = Py_NewRef(a->future);

        zq_list_remove(&a->node);
        resolve(m, future);
        Py_DECREF(future);
    }
}

/* ---- iteration ---- */

/* am_send. What is sent in (None, by tasks) means nothing. */
static PySendResult step(PyObject *self, PyObject *value, PyObject **result)
{
    struct zq_awaitable *a = (struct zq_awaitable *)self;

    *result = NULL;
    if (a->attempt == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this receive() or send() has been awaited already");
        return PYGEN_ERROR;
    }
    stop_waiting(a);
    zq_attempt *attempt = a->attempt;
    a->attempt = NULL; /* busy: Python code that it calls must not finish it meanwhile */
    int outcome = attempt(a, result);
    if (outcome == 0) {
        a->attempt = attempt;
        *result = Py_XNewRef(wait(a));
        if (*result != NULL)
            return PYGEN_NEXT;
        outcome = -1;
    }
    finish(a);
    return outcome > 0 ? PYGEN_RETURN : PYGEN_ERROR;
}

/* StopIteration with a value: never a tuple or an exception here, so it needs no wrapping. */
static PyObject *stop_iteration(PyObject *result)
{
    PyErr_SetObject(PyExc_StopIteration, result);
    Py_DECREF(result);
    return NULL;
}

static PyObject *awaitable_iternext(PyObject *self)
{
    PyObject *result;

    if (step(self, Py_None, &result) != PYGEN_RETURN)
        return result;
    if (result != Py_None)
        return stop_iteration(result);
    Py_DECREF(result);
    return NULL; /* without an exception: None */
}

static PyObject *awaitable_send(PyObject *self, PyObject *value)
{
    PyObject *result;

    return step(self, value, &result) == PYGEN_RETURN ? stop_iteration(result) : result;
}

static void close_awaitable(struct zq_awaitable *a)
{
    if (a->attempt != NULL)
        finish(a);
}

/* throw(exception) or the older throw(type, value, traceback): how a cancellation arrives. */
static PyObject *awaitable_throw(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    if (n < 1 || n > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes 1 to 3 arguments");
        return NULL;
    }
    close_awaitable((struct zq_awaitable *)self);
    if (PyExceptionInstance_Check(args[0]))
        PyErr_SetObject((PyObject *)Py_TYPE(args[0]), args[0]);
    else if (PyExceptionClass_Check(args[0]))
        PyErr_SetObject(args[0], n > 1 ? args[1] : NULL);
    else
        PyErr_SetString(PyExc_TypeError, "throw() takes an exception");
    return NULL;
}

static PyObject *awaitable_close(PyObject *self, PyObject *unused)
{
    close_awaitable((struct zq_awaitable *)self);
    Py_RETURN_NONE;
}

/* ---- the type ---- */

static int awaitable_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct zq_awaitable *a = (struct zq_awaitable *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(a->request);
    Py_VISIT(a->message);
    Py_VISIT(a->future);
    return 0;
}

static int awaitable_clear(PyObject *self)
{
    finish((struct zq_awaitable *)self);
    return 0;
}

/* asyncio shows it in the repr of a task. */
static PyObject *awaitable_name(PyObject *self, void *unused)
{
    return PyUnicode_FromString(((struct zq_awaitable *)self)->name);
}

static PyGetSetDef awaitable_getset[] = {
    {"__name__", awaitable_name, NULL, NULL, NULL},
    {"__qualname__", awaitable_name, NULL, NULL, NULL},
    {0},
};

static PyMethodDef awaitable_methods[] = {
    {"send", awaitable_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))awaitable_throw, METH_FASTCALL, NULL},
    {"close", awaitable_close, METH_NOARGS, NULL},
    {0},
};

static PyType_Slot awaitable_slots[] = {
    {Py_tp_dealloc, awaitable_dealloc},
    {Py_tp_traverse, awaitable_traverse},
    {Py_tp_clear, awaitable_clear},
    {Py_tp_methods, awaitable_methods},
    {Py_tp_getset, awaitable_getset},
    {Py_tp_iternext, awaitable_iternext},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, step},
    {0, NULL},
};

PyType_Spec zq_awaitable_spec = {
    .name = "_zq.Awaitable",
    .basicsize = sizeof(struct zq_awaitable),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = awaitable_slots,
};
