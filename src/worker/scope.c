#include "worker/scope.h"

void zq_scope_cache_fini(struct zq_scope_cache *cache)
{
    Py_CLEAR(cache->client_host);
    Py_CLEAR(cache->server);
}

/* ---- templates ---- */

PyObject *zq_asgi_template(const struct zq_module *m)
{
    PyObject *asgi = PyDict_New();

    if (asgi != NULL &&
        PyDict_SetItem(asgi, zq_name(m, ZQ_NAME_version), zq_name(m, ZQ_NAME_version_3_0)) == 0 &&
        PyDict_SetItem(asgi, zq_name(m, ZQ_NAME_spec_version),
                       zq_name(m, ZQ_NAME_spec_version_2_4)) == 0)
        return asgi;
    Py_XDECREF(asgi);
    return NULL;
}

/* An extension's own dict is the same in all requests: there is nothing in it. */
PyObject *zq_extensions_template(void)
{
    return Py_BuildValue("{s{}s{}}", "zq.http.response.interim", "http.response.early_hint");
}

/* What a key holds in the template: the value that most requests have. Borrowed. */
static PyObject *usual(const struct zq_module *m, enum zq_name key, PyObject *root_path)
{
    switch (key) {
    case ZQ_NAME_type:
    case ZQ_NAME_scheme:
        return zq_name(m, ZQ_NAME_http);
    case ZQ_NAME_http_version:
        return zq_name(m, ZQ_NAME_http_1_1);
    case ZQ_NAME_method:
        return zq_name(m, ZQ_NAME_GET);
    case ZQ_NAME_root_path:
        return root_path;
    default:
        return Py_None;
    }
}

/* All keys, so that a copy has its final size and only some values change later. */
PyObject *zq_scope_template(const struct zq_module *m, PyObject *root_path)
{
    static const enum zq_name keys[] = {
        ZQ_NAME_type,   ZQ_NAME_asgi,     ZQ_NAME_http_version, ZQ_NAME_method,     ZQ_NAME_scheme,
        ZQ_NAME_path,   ZQ_NAME_raw_path, ZQ_NAME_query_string, ZQ_NAME_root_path,  ZQ_NAME_headers,
        ZQ_NAME_client, ZQ_NAME_server,   ZQ_NAME_state,        ZQ_NAME_extensions,
    };
    PyObject *scope = PyDict_New();

    if (scope == NULL)
        return NULL;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(keys); i++)
        if (PyDict_SetItem(scope, zq_name(m, keys[i]), usual(m, keys[i], root_path)) < 0) {
            Py_DECREF(scope);
            return NULL;
        }
    return scope;
}

/* ---- values: new references ---- */

PyObject *zq_scope_path(const struct zq_bridge *b, struct zq_slice path)
{
    PyObject *decoded = PyUnicode_DecodeUTF8(path.p, (Py_ssize_t)path.n, "replace");

    if (decoded == NULL || PyUnicode_GET_LENGTH(b->root_path) == 0)
        return decoded;
    PyObject *whole = PyUnicode_Concat(b->root_path, decoded);
    Py_DECREF(decoded);
    return whole;
}

static PyObject *to_bytes(struct zq_slice s)
{
    return PyBytes_FromStringAndSize(s.p, (Py_ssize_t)s.n);
}

/* Addresses are ASCII; a socket's path may be anything, and is kept as os.fsdecode would. */
static PyObject *to_str(struct zq_slice s)
{
    return PyUnicode_DecodeUTF8(s.p, (Py_ssize_t)s.n, "surrogateescape");
}

/* False also for a str that has no UTF-8 form. */
static bool str_is(PyObject *str, struct zq_slice s)
{
    Py_ssize_t n;
    const char *p = PyUnicode_AsUTF8AndSize(str, &n);

    if (p == NULL)
        PyErr_Clear();
    return p != NULL && zq_slice_eq(zq_slice(p, (size_t)n), s);
}

/* Borrowed. */
static PyObject *http_version(const struct zq_module *m, unsigned minor)
{
    return zq_name(m, minor == 20  ? ZQ_NAME_http_2
                      : minor == 0 ? ZQ_NAME_http_1_0
                                   : ZQ_NAME_http_1_1);
}

/* Takes both references; NULL where one is NULL. */
static PyObject *pair(PyObject *first, PyObject *second)
{
    PyObject *tuple = first && second ? PyTuple_New(2) : NULL;

    if (tuple == NULL) {
        Py_XDECREF(first);
        Py_XDECREF(second);
        return NULL;
    }
    PyTuple_SET_ITEM(tuple, 0, first);
    PyTuple_SET_ITEM(tuple, 1, second);
    return tuple;
}

/* Connections differ in the port, behind a proxy not in the host. */
static PyObject *client(struct zq_scope_cache *cache, const struct zq_wire_request *wire)
{
    if (wire->client.n == 0)
        Py_RETURN_NONE;
    if (cache->client_host == NULL || !str_is(cache->client_host, wire->client)) {
        PyObject *host = to_str(wire->client);
        if (host == NULL)
            return NULL;
        Py_XSETREF(cache->client_host, host);
    }
    return pair(Py_NewRef(cache->client_host), PyLong_FromLong(wire->client_port));
}

static bool server_is(PyObject *server, const struct zq_wire_request *wire)
{
    PyObject *port = PyTuple_GET_ITEM(server, 1);
    long number = port == Py_None ? 0 : PyLong_AsLong(port);

    return number == wire->server_port && str_is(PyTuple_GET_ITEM(server, 0), wire->server);
}

static PyObject *server(struct zq_scope_cache *cache, const struct zq_wire_request *wire)
{
    if (wire->server.n == 0)
        Py_RETURN_NONE;
    if (cache->server == NULL || !server_is(cache->server, wire)) {
        PyObject *port =
            wire->server_port ? PyLong_FromLong(wire->server_port) : Py_NewRef(Py_None);
        PyObject *tuple = pair(to_str(wire->server), port);
        if (tuple == NULL)
            return NULL;
        Py_XSETREF(cache->server, tuple);
    }
    return Py_NewRef(cache->server);
}

PyObject *zq_scope_headers(const struct zq_module *m, const struct zq_fields *fields)
{
    PyObject *list = PyList_New((Py_ssize_t)fields->n);

    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < fields->n; i++) {
        PyObject *field = pair(zq_intern_field(m, fields->v[i].name), to_bytes(fields->v[i].value));
        if (field == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, field);
    }
    return list;
}

/* ---- the scope ---- */

/* Takes the reference to `value`; false where it is NULL. */
static bool set(PyObject *scope, const struct zq_module *m, enum zq_name key, PyObject *value)
{
    if (value == NULL)
        return false;
    int error = PyDict_SetItem(scope, zq_name(m, key), value);
    Py_DECREF(value);
    return error == 0;
}

/* The same, where the template may hold it already. Borrows `value`. */
static bool set_unless_usual(PyObject *scope, const struct zq_module *m, enum zq_name key,
                             PyObject *value)
{
    return value == usual(m, key, NULL) || PyDict_SetItem(scope, zq_name(m, key), value) == 0;
}

static bool set_scheme(PyObject *scope, const struct zq_module *m, struct zq_slice s)
{
    if (zq_slice_eq(s, ZQ_SLICE("http")))
        return true;
    return set(scope, m, ZQ_NAME_scheme,
               zq_slice_eq(s, ZQ_SLICE("https")) ? Py_NewRef(zq_name(m, ZQ_NAME_https))
                                                 : to_str(s));
}

PyObject *zq_scope_new(const struct zq_bridge *b, struct zq_scope_cache *cache,
                       const struct zq_wire_request *wire, PyObject *method, PyObject *path)
{
    const struct zq_module *m = b->module;
    PyObject *scope = PyDict_Copy(b->scope);

    if (scope != NULL && set(scope, m, ZQ_NAME_asgi, PyDict_Copy(b->asgi)) &&
        set_unless_usual(scope, m, ZQ_NAME_http_version, http_version(m, wire->version_minor)) &&
        set_unless_usual(scope, m, ZQ_NAME_method, method) && set_scheme(scope, m, wire->scheme) &&
        set(scope, m, ZQ_NAME_path, Py_NewRef(path)) &&
        set(scope, m, ZQ_NAME_raw_path, to_bytes(wire->raw_path)) &&
        set(scope, m, ZQ_NAME_query_string, to_bytes(wire->query)) &&
        set(scope, m, ZQ_NAME_headers, zq_scope_headers(m, &wire->fields)) &&
        set(scope, m, ZQ_NAME_client, client(cache, wire)) &&
        set(scope, m, ZQ_NAME_server, server(cache, wire)) &&
        set(scope, m, ZQ_NAME_state, PyDict_Copy(b->state)) &&
        set(scope, m, ZQ_NAME_extensions, PyDict_Copy(b->extensions)))
        return scope;
    Py_XDECREF(scope);
    return NULL;
}
