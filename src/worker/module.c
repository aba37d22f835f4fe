#include "worker/module.h"

#include "worker/awaitable.h"
#include "worker/bridge.h"
#include "worker/control_module.h"
#include "worker/link.h"
#include "worker/request.h"

#include "zq/control.h"

/* ---- interning ---- */

static size_t field_slot(struct zq_slice name)
{
    size_t h = name.n * 7 + (unsigned char)name.p[0] * 31 +
               (unsigned char)name.p[name.n - 1] * 131 + (unsigned char)name.p[name.n / 2] * 17;

    return h & (ZQ_FIELD_TABLE_SIZE - 1);
}

static struct zq_slice bytes_slice(PyObject *bytes)
{
    return zq_slice(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

PyObject *zq_intern_field(const struct zq_module *m, struct zq_slice name)
{
    if (name.n > 0)
        for (size_t i = field_slot(name); m->field_table[i] != NULL;
             i = (i + 1) & (ZQ_FIELD_TABLE_SIZE - 1))
            if (zq_slice_eq(bytes_slice(m->field_table[i]), name))
                return Py_NewRef(m->field_table[i]);
    return PyBytes_FromStringAndSize(name.p, (Py_ssize_t)name.n);
}

PyObject *zq_intern_method(const struct zq_module *m, struct zq_slice method)
{
    for (int i = ZQ_NAME_GET; i < ZQ_NAME_COUNT; i++) {
        Py_ssize_t n;
        const char *p = PyUnicode_AsUTF8AndSize(m->names[i], &n);
        if (p == NULL)
            return NULL;
        if (zq_slice_eq(zq_slice(p, (size_t)n), method))
            return Py_NewRef(m->names[i]);
    }
    return PyUnicode_DecodeLatin1(method.p, (Py_ssize_t)method.n, NULL);
}

static int intern_all(struct zq_module *m)
{
    static const char *const names[] = {
#define X(name, text) text,
        ZQ_NAMES(X)
#undef X
    };
    static const char *const fields[] = {
#define X(text) text,
        ZQ_COMMON_FIELDS(X)
#undef X
    };

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(names); i++)
        if ((m->names[i] = PyUnicode_InternFromString(names[i])) == NULL)
            return -1;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(fields); i++) {
        size_t slot = field_slot(zq_slice_str(fields[i]));
        while (m->field_table[slot] != NULL)
            slot = (slot + 1) & (ZQ_FIELD_TABLE_SIZE - 1);
        if ((m->field_table[slot] = PyBytes_FromString(fields[i])) == NULL)
            return -1;
    }
    m->no_bytes = PyBytes_FromStringAndSize(NULL, 0);
    return m->no_bytes != NULL ? 0 : -1;
}

/* ---- the module ---- */

static int add_type(PyObject *module, PyTypeObject **out, PyType_Spec *spec)
{
    *out = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *out != NULL ? PyModule_AddType(module, *out) : -1;
}

static int module_exec(PyObject *module)
{
    struct zq_module *m = PyModule_GetState(module);

    if (intern_all(m) < 0 || add_type(module, &m->bridge_type, &zq_bridge_spec) < 0 ||
        add_type(module, &m->link_type, &zq_link_spec) < 0 ||
        add_type(module, &m->request_type, &zq_request_spec) < 0 ||
        add_type(module, &m->awaitable_type, &zq_awaitable_spec) < 0)
        return -1;
    return PyModule_AddIntConstant(module, "CONTROL_FD", ZQ_CONTROL_FD);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct zq_module *m = PyModule_GetState(module);

    Py_VISIT(m->bridge_type);
    Py_VISIT(m->link_type);
    Py_VISIT(m->request_type);
    Py_VISIT(m->awaitable_type);
    Py_VISIT(m->client_disconnected);
    Py_VISIT(m->cancelled_error);
    Py_VISIT(m->task_type);
    return 0;
}

static int module_clear(PyObject *module)
{
    struct zq_module *m = PyModule_GetState(module);

    zq_awaitable_free_all(m);
    Py_CLEAR(m->bridge_type);
    Py_CLEAR(m->link_type);
    Py_CLEAR(m->request_type);
    Py_CLEAR(m->awaitable_type);
    Py_CLEAR(m->client_disconnected);
    Py_CLEAR(m->cancelled_error);
    Py_CLEAR(m->task_type);
    Py_CLEAR(m->no_bytes);
    for (size_t i = 0; i < ZQ_NAME_COUNT; i++)
        Py_CLEAR(m->names[i]);
    for (size_t i = 0; i < ZQ_FIELD_TABLE_SIZE; i++)
        Py_CLEAR(m->field_table[i]);
    return 0;
}

static void module_free(void *module)
{
    module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_zq",
    .m_doc = "The bridge between zq and an ASGI application. Private: import zq instead.",
    .m_size = sizeof(struct zq_module),
    .m_methods = zq_control_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__zq(void)
{
    return PyModuleDef_Init(&definition);
}
