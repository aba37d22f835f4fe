/* Private to src/worker: the extension module `_zq`, its state, and what several CPython versions
 * call differently. Includes Python.h, which has to come first.
 *
 * Everything here runs on the loop's one thread, with the GIL held.
 */
#ifndef ZQ_WORKER_MODULE_H
#define ZQ_WORKER_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "worker/names.h"

#include "zq/base.h"

#define ZQ_FIELD_TABLE_SIZE 256 /* a power of two, several times ZQ_COMMON_FIELDS */
#define ZQ_AWAITABLES_KEPT 64

struct zq_awaitable;

/* Lives in the module object; every member is an owned reference unless it says otherwise. */
struct zq_module {
    PyTypeObject *bridge_type, *link_type, *request_type, *awaitable_type;
    PyObject *client_disconnected; /* zq.ClientDisconnected; this and the next with the bridge */
    PyObject *cancelled_error;     /* asyncio.CancelledError */
    PyObject *task_type;           /* asyncio.Task */
    PyObject *names[ZQ_NAME_COUNT];
    PyObject *no_bytes;                         /* b"" */
    PyObject *field_table[ZQ_FIELD_TABLE_SIZE]; /* bytes by hash, NULL where free */
    struct zq_awaitable *awaitables;            /* a freelist: memory without references */
    unsigned n_awaitables;
};

/* The state behind an object of one of the module's types (none of which can be subclassed). */
static inline struct zq_module *zq_module_of(PyObject *object)
{
    return PyType_GetModuleState(Py_TYPE(object));
}

/* Borrowed. */
static inline PyObject *zq_name(const struct zq_module *m, enum zq_name name)
{
    return m->names[name];
}

/* New references. A field name as bytes, a method or scheme as str: the interned object where
 * there is one. */
PyObject *zq_intern_field(const struct zq_module *m, struct zq_slice name);
PyObject *zq_intern_method(const struct zq_module *m, struct zq_slice method);

/* Entry point for PyImport_AppendInittab. */
PyMODINIT_FUNC PyInit__zq(void);

/* A bound method as a plain builtin: the cheapest callable there is. New reference. */
static inline PyObject *zq_bind(PyMethodDef *method, PyObject *self)
{
    return PyCFunction_NewEx(method, self, NULL);
}

#if PY_VERSION_HEX < 0x030C0000
/* As in 3.12: the pending exception as one object, new reference, or NULL. */
static inline PyObject *PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL)
        return NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(traceback);
    Py_DECREF(type);
    return value;
}

/* Takes the reference. */
static inline void PyErr_SetRaisedException(PyObject *exception)
{
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception,
                  PyException_GetTraceback(exception));
}
#endif

#endif
