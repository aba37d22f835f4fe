#include "worker/bridge.h"

#include "worker/ask.h"
#include "worker/link.h"
#include "worker/request.h"
#include "worker/scope.h"

#include <unistd.h>

void zq_bridge_look_up_factory(struct zq_bridge *b)
{
    PyObject *factory =
        PyObject_CallMethodNoArgs(b->loop, zq_name(b->module, ZQ_NAME_get_task_factory));

    if (factory == NULL)
        PyErr_Clear(); /* a loop without factories */
    if (factory == Py_None)
        Py_CLEAR(factory);
    Py_XSETREF(b->task_factory, factory); /* the reference moves */
}

void zq_bridge_report(struct zq_bridge *b, const char *kind, PyObject *method, PyObject *path)
{
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *result = PyObject_CallFunction(b->on_error, "sOOO", kind, method, path,
                                             exception ? exception : Py_None);

    if (result == NULL)
        PyErr_WriteUnraisable(b->on_error);
    Py_XDECREF(result);
    Py_XDECREF(exception);
}

static bool is_idle(const struct zq_bridge *b)
{
    if (b->n_requests > 0)
        return false;
    for (const struct zq_node *n = b->links.next; n != &b->links; n = n->next) {
        const struct zq_link *link = ZQ_CONTAINER(n, struct zq_link, node);
        if (zq_output_bytes(&link->out) > 0 || link->n_streams > 0)
            return false; /* a stream without request still has something to send */
    }
    return true;
}

void zq_bridge_check_idle(struct zq_bridge *b)
{
    if (b->on_idle == NULL || !is_idle(b))
        return;
    PyObject *on_idle = b->on_idle, *result; /* the reference moves */
    b->on_idle = NULL;
    result = PyObject_CallNoArgs(on_idle);
    if (result == NULL)
        PyErr_WriteUnraisable(on_idle);
    Py_XDECREF(result);
    Py_DECREF(on_idle);
}

/* ---- methods ---- */

static PyObject *bridge_open(PyObject *self, PyObject *args)
{
    struct zq_region *region = NULL;
    int fd, memory;
    unsigned index;

    if (!PyArg_ParseTuple(args, "iiI:open", &fd, &memory, &index))
        return NULL;
    if (memory >= 0 && (region = zq_region_new(memory, index)) == NULL) {
        close(fd);
        PyErr_SetString(PyExc_MemoryError, "the memory shared with the front cannot be mapped");
        return NULL;
    }
    if (zq_link_open((struct zq_bridge *)self, fd, region) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* Before any link is open: its first frames say what is declared. */
static PyObject *bridge_declare(PyObject *self, PyObject *list)
{
    struct zq_bridge *b = (struct zq_bridge *)self;

    if (!PyList_Check(list) || !zq_list_empty(&b->links)) {
        PyErr_SetString(PyExc_TypeError, "declare() takes a list, and comes before open()");
        return NULL;
    }
    if (zq_routes_declare(&b->routes, list) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static void close_links(struct zq_bridge *b)
{
    while (!zq_list_empty(&b->links))
        zq_link_close(ZQ_CONTAINER(b->links.next, struct zq_link, node));
}

static PyObject *bridge_close_links(PyObject *self, PyObject *unused)
{
    close_links((struct zq_bridge *)self);
    Py_RETURN_NONE;
}

/* Nothing may be left for the garbage collector when the interpreter ends. */
static PyObject *bridge_close(PyObject *self, PyObject *unused)
{
    struct zq_bridge *b = (struct zq_bridge *)self;

    Py_CLEAR(b->on_answer);
    Py_CLEAR(b->on_idle);
    close_links(b);
    zq_requests_abandon(b);
    Py_RETURN_NONE;
}

static PyObject *bridge_notify_idle(PyObject *self, PyObject *callable)
{
    struct zq_bridge *b = (struct zq_bridge *)self;

    Py_XSETREF(b->on_idle, Py_NewRef(callable));
    zq_bridge_check_idle(b);
    Py_RETURN_NONE;
}

/* A list of the running requests' tasks. */
static PyObject *bridge_tasks(PyObject *self, PyObject *unused)
{
    struct zq_bridge *b = (struct zq_bridge *)self;
    PyObject *list = PyList_New(0);

    for (struct zq_node *n = b->requests.next; list && n != &b->requests; n = n->next) {
        struct zq_request *r = ZQ_CONTAINER(n, struct zq_request, node);
        if (r->task != NULL && PyList_Append(list, r->task) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyMethodDef bridge_methods[] = {
    {"open", bridge_open, METH_VARARGS,
     "open(fd, memory, index): serve a link to a front, with region `index` of the descriptor "
     "`memory` (-1: without); takes fd over"},
    {"declare", bridge_declare, METH_O,
     "declare(routes): the routes of the application; ValueError names the one that is wrong"},
    {"close_links", bridge_close_links, METH_NOARGS, "close_links(): their requests are lost"},
    {"close", bridge_close, METH_NOARGS, "close(): the loop will not run any more"},
    {"notify_idle", bridge_notify_idle, METH_O,
     "notify_idle(callable): call it once when no request runs and all output is written"},
    {"ask_purge", zq_bridge_ask_purge, METH_VARARGS,
     "ask_purge(kind, soft, text): have the front purge; ConnectionError if there is none"},
    {"ask_info", zq_bridge_ask_info, METH_NOARGS, "ask_info(): ask how the cache is doing"},
    {"notify_answer", zq_bridge_notify_answer, METH_O,
     "notify_answer(callable): call it with (status, text) of each answer; one question at a time"},
    {"tasks", bridge_tasks, METH_NOARGS, "tasks(): the tasks of the requests that run"},
    {0},
};

/* ---- life ---- */

/* New reference. */
static PyObject *import_from(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name), *found = NULL;

    if (module != NULL)
        found = PyObject_GetAttrString(module, name);
    Py_XDECREF(module);
    return found;
}

/* Not when `_zq` is made, but when asyncio and zq are there already. */
static int import_classes(struct zq_module *m)
{
    Py_XSETREF(m->task_type, import_from("asyncio", "Task"));
    if (m->task_type != NULL)
        Py_XSETREF(m->cancelled_error, import_from("asyncio", "CancelledError"));
    if (m->cancelled_error != NULL)
        Py_XSETREF(m->client_disconnected, import_from("zq", "ClientDisconnected"));
    return m->client_disconnected != NULL ? 0 : -1;
}

static PyObject *task_kwnames(const struct zq_module *m)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyTuple_Pack(2, zq_name(m, ZQ_NAME_loop), zq_name(m, ZQ_NAME_eager_start));
#else
    return PyTuple_Pack(1, zq_name(m, ZQ_NAME_loop));
#endif
}

static int bridge_init(struct zq_bridge *b)
{
    struct zq_module *m = b->module;

    if (import_classes(m) < 0)
        return -1;
    b->call_soon = PyObject_GetAttr(b->loop, zq_name(m, ZQ_NAME_call_soon));
    b->create_future = PyObject_GetAttr(b->loop, zq_name(m, ZQ_NAME_create_future));
    b->scope = zq_scope_template(m, b->root_path);
    b->asgi = zq_asgi_template(m);
    b->extensions = zq_extensions_template();
    b->task_kwnames = task_kwnames(m);
    zq_bridge_look_up_factory(b);
    return b->call_soon && b->create_future && b->scope && b->asgi && b->extensions &&
                   b->task_kwnames
               ? 0
               : -1;
}

static PyObject *bridge_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *app, *loop, *state, *root_path, *on_error;

    if (kwargs != NULL) {
        PyErr_SetString(PyExc_TypeError, "Bridge(app, loop, state, root_path, on_error)");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "OOO!UO:Bridge", &app, &loop, &PyDict_Type, &state, &root_path,
                          &on_error))
        return NULL;
    struct zq_bridge *b = (struct zq_bridge *)type->tp_alloc(type, 0); /* zeroed, tracked */
    if (b == NULL)
        return NULL;
    zq_list_init(&b->links);
    zq_list_init(&b->requests);
    b->module = PyType_GetModuleState(type);
    b->app = Py_NewRef(app);
    b->loop = Py_NewRef(loop);
    b->state = Py_NewRef(state);
    b->root_path = Py_NewRef(root_path);
    b->on_error = Py_NewRef(on_error);
    if (bridge_init(b) < 0)
        Py_CLEAR(b);
    return (PyObject *)b;
}

static int bridge_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct zq_bridge *b = (struct zq_bridge *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(b->app);
    Py_VISIT(b->loop);
    Py_VISIT(b->state);
    Py_VISIT(b->on_error);
    Py_VISIT(b->call_soon);
    Py_VISIT(b->create_future);
    Py_VISIT(b->task_factory);
    Py_VISIT(b->on_answer);
    Py_VISIT(b->on_idle);
    if (zq_routes_traverse(&b->routes, visit, arg) != 0)
        return 1;
    if (b->links.next == NULL)
        return 0; /* tracked by tp_alloc, but not filled in yet */
    for (struct zq_node *n = b->links.next; n != &b->links; n = n->next)
        Py_VISIT(ZQ_CONTAINER(n, struct zq_link, node));
    for (struct zq_node *n = b->requests.next; n != &b->requests; n = n->next)
        Py_VISIT(ZQ_CONTAINER(n, struct zq_request, node));
    return 0;
}

/* Python has closed it: no link and no request is left. */
static int bridge_clear(PyObject *self)
{
    struct zq_bridge *b = (struct zq_bridge *)self;

    Py_CLEAR(b->on_idle);
    zq_routes_fini(&b->routes);
    Py_CLEAR(b->app);
    Py_CLEAR(b->state);
    Py_CLEAR(b->on_error);
    Py_CLEAR(b->call_soon);
    Py_CLEAR(b->create_future);
    Py_CLEAR(b->task_factory);
    Py_CLEAR(b->loop);
    return 0;
}

static void bridge_dealloc(PyObject *self)
{
    struct zq_bridge *b = (struct zq_bridge *)self;
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    bridge_clear(self);
    ZQ_ASSERT(zq_list_empty(&b->links) && zq_list_empty(&b->requests)); /* they refer to it */
    Py_CLEAR(b->root_path);
    Py_CLEAR(b->scope);
    Py_CLEAR(b->asgi);
    Py_CLEAR(b->extensions);
    Py_CLEAR(b->task_kwnames);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot bridge_slots[] = {
    {Py_tp_new, bridge_new},     {Py_tp_dealloc, bridge_dealloc}, {Py_tp_traverse, bridge_traverse},
    {Py_tp_clear, bridge_clear}, {Py_tp_methods, bridge_methods}, {0, NULL},
};

PyType_Spec zq_bridge_spec = {
    .name = "_zq.Bridge",
    .basicsize = sizeof(struct zq_bridge),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = bridge_slots,
};
