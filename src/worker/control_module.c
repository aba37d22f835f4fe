#include "worker/control_module.h"

#include "zq/control.h"
#include "zq/log.h"

#include <unistd.h>

static PyObject *descriptors(const struct zq_control *message)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)message->n_fds);

    for (size_t i = 0; tuple && i < message->n_fds; i++) {
        PyObject *fd = PyLong_FromLong(message->fds[i]);
        if (fd == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, fd);
    }
    return tuple;
}

static PyObject *control_receive(PyObject *self, PyObject *unused)
{
    struct zq_control message;
    char *storage = PyMem_Malloc(ZQ_CONTROL_TEXT_MAX);
    PyObject *result = NULL;

    if (storage == NULL)
        return PyErr_NoMemory();
    int error = zq_control_receive(ZQ_CONTROL_FD, &message, storage, ZQ_CONTROL_TEXT_MAX);
    if (error == ZQ_EAGAIN) {
        result = Py_NewRef(Py_None);
    } else if (error < 0) {
        PyErr_SetString(error == ZQ_ECLOSED ? PyExc_EOFError : PyExc_OSError, zq_strerror(error));
    } else {
        PyObject *fds = descriptors(&message);
        if (fds != NULL)
            result =
                Py_BuildValue("(sLs#N)", zq_control_name(message.type), (long long)message.value,
                              message.text.p, (Py_ssize_t)message.text.n, fds);
        if (result == NULL)
            while (message.n_fds > 0)
                close(message.fds[--message.n_fds]);
    }
    PyMem_Free(storage);
    return result;
}

static PyObject *control_ready(PyObject *self, PyObject *arg)
{
    Py_ssize_t n;
    const char *text = PyUnicode_AsUTF8AndSize(arg, &n);

    if (text == NULL)
        return NULL;
    struct zq_control message = {.type = ZQ_CONTROL_READY, .text = zq_slice(text, (size_t)n)};
    int error = zq_control_send(ZQ_CONTROL_FD, &message);
    if (error < 0) {
        PyErr_SetString(PyExc_OSError, zq_strerror(error));
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *log_line(PyObject *self, PyObject *args)
{
    static const struct {
        const char *name;
        enum zq_log_level level;
    } levels[] = {
        {"debug", ZQ_LOG_DEBUG}, {"info", ZQ_LOG_INFO},         {"warning", ZQ_LOG_WARNING},
        {"error", ZQ_LOG_ERROR}, {"critical", ZQ_LOG_CRITICAL},
    };
    const char *name, *text; /* bytes: what is no UTF-8 has been escaped */

    if (!PyArg_ParseTuple(args, "sy:log", &name, &text))
        return NULL;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(levels); i++)
        if (strcmp(levels[i].name, name) == 0) {
            zq_log(levels[i].level, "%s", text);
            return PyBool_FromLong(zq_log_enabled(levels[i].level));
        }
    PyErr_Format(PyExc_ValueError, "there is no log level '%s'", name);
    return NULL;
}

PyMethodDef zq_control_methods[] = {
    {"control_receive", control_receive, METH_NOARGS,
     "control_receive() -> (type, value, text, descriptors), or None; EOFError when super is gone"},
    {"control_ready", control_ready, METH_O, "control_ready(text): tell super that we serve"},
    {"log", log_line, METH_VARARGS, "log(level, text) -> whether that level is logged"},
    {0},
};
