#include "worker/routes.h"

#include "zq/wire.h"

/* ---- from Python ---- */

static struct zq_slice bytes_of(PyObject *bytes)
{
    return zq_slice(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

static int wrong(const struct zq_declared *d, const char *fault)
{
    PyErr_Format(PyExc_ValueError, "the route '%s' (%s) %s", PyBytes_AS_STRING(d->path),
                 PyBytes_AS_STRING(d->why), fault);
    return -1;
}

/* A list of bytes, borrowed, or None: 1, 0 for None, -1 with an exception. */
static int read_list(const struct zq_declared *d, PyObject *list, struct zq_arena *arena,
                     struct zq_slices *out)
{
    *out = (struct zq_slices){0};
    if (list == Py_None)
        return 0;
    if (!PyList_Check(list))
        return wrong(d, "has a rule that is no list");
    size_t n = (size_t)PyList_GET_SIZE(list);
    if (n > ZQ_ROUTE_LIST_MAX)
        return wrong(d, "has a rule with too many names");
    out->v = zq_arena_alloc(arena, (n + 1) * sizeof(*out->v));
    if (out->v == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (; out->n < n; out->n++) {
        PyObject *item = PyList_GET_ITEM(list, (Py_ssize_t)out->n);
        if (!PyBytes_Check(item))
            return wrong(d, "has a name in a rule that is no bytes");
        out->v[out->n] = bytes_of(item);
        if (out->v[out->n].n == 0 || out->v[out->n].n > ZQ_WIRE_ROUTE_TEXT_MAX)
            return wrong(d, "has an empty name in a rule, or one that is too long");
    }
    return 1;
}

/* (name, value) pairs of bytes, borrowed. */
static int read_fields(const struct zq_declared *d, PyObject *list, struct zq_arena *arena,
                       struct zq_fields *out)
{
    size_t n = (size_t)PyList_GET_SIZE(list);

    *out = (struct zq_fields){zq_arena_alloc(arena, (n + 1) * sizeof(*out->v)), 0};
    if (out->v == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (; out->n < n; out->n++) {
        PyObject *name, *value, *pair = PyList_GET_ITEM(list, (Py_ssize_t)out->n);
        if (!PyTuple_Check(pair) || !PyArg_ParseTuple(pair, "SS", &name, &value))
            return wrong(d, "has a header that is no pair of bytes");
        out->v[out->n] = (struct zq_field){bytes_of(name), bytes_of(value)};
    }
    return 0;
}

static int read_response(const struct zq_declared *d, PyObject *payload, struct zq_arena *arena,
                         struct zq_route *out)
{
    PyObject *headers, *body;
    int status;

    if (!PyTuple_Check(payload) ||
        !PyArg_ParseTuple(payload, "iO!S", &status, &PyList_Type, &headers, &body))
        return wrong(d, "is static, and its payload is no (status, headers, body)");
    if (status < 200 || status > 599)
        return wrong(d, "has a status that is not from 200 to 599");
    out->status = (unsigned)status;
    out->body = bytes_of(body);
    return read_fields(d, headers, arena, &out->fields);
}

static int read_rule(const struct zq_declared *d, PyObject *const lists[4], struct zq_arena *arena,
                     struct zq_key_rule *out)
{
    struct zq_slices *to[4] = {&out->query, &out->ignore_query, &out->cookies, &out->headers};
    int given[4];

    for (int i = 0; i < 4; i++)
        if ((given[i] = read_list(d, lists[i], arena, to[i])) < 0)
            return -1;
    out->has_query = given[0];
    out->has_cookies = given[2];
    return 0;
}

/* The names of a pattern's parameters. New reference. */
static PyObject *names_of(struct zq_slice pattern)
{
    struct zq_slice rest = zq_slice(pattern.p + 1, pattern.n - 1), segment;
    PyObject *names = PyList_New(0), *tuple = NULL;

    while (names != NULL && zq_route_segment(&rest, &segment)) {
        struct zq_route_piece piece;
        zq_route_piece(segment, &piece);
        if (piece.type == ZQ_ROUTE_LITERAL)
            continue;
        PyObject *name = PyUnicode_DecodeASCII(piece.name.p, (Py_ssize_t)piece.name.n, NULL);
        if (name == NULL || PyList_Append(names, name) < 0)
            Py_CLEAR(names);
        Py_XDECREF(name);
    }
    if (names != NULL)
        tuple = PyList_AsTuple(names);
    Py_XDECREF(names);
    return tuple;
}

/* ---- one declaration ---- */

static int add_to_tree(struct zq_routes *routes, struct zq_declared *d)
{
    void *conflict;
    int error =
        zq_route_tree_add(routes->tree, bytes_of(d->path), bytes_of(d->methods), d, &conflict);
    const struct zq_declared *other = conflict;

    if (error == ZQ_ENOMEM) {
        PyErr_NoMemory();
        return -1;
    }
    if (other != NULL)
        PyErr_Format(PyExc_ValueError,
                     "the routes '%s' (%s) and '%s' (%s) answer the same requests",
                     PyBytes_AS_STRING(other->path), PyBytes_AS_STRING(other->why),
                     PyBytes_AS_STRING(d->path), PyBytes_AS_STRING(d->why));
    return error == 0 ? 0 : -1;
}

static int encode(struct zq_buf *out, const struct zq_declared *d, const struct zq_route *route)
{
    switch (zq_wire_encode_route(out, route)) {
    case 0:
        break;
    case ZQ_EINVAL:
        return wrong(d, "has methods that are not in upper case and separated by commas, or is "
                        "explained in too many words");
    case ZQ_ELIMIT:
        return wrong(d, "has a response of more than 1 MiB");
    default:
        PyErr_NoMemory();
        return -1;
    }
    return out->n <= ZQ_WIRE_ROUTES_BYTES_MAX
               ? 0
               : wrong(d, "is one too many: their responses take more than 64 MiB");
}

/* Reads `item` into the next place. */
static int declare(struct zq_routes *routes, PyObject *item, struct zq_arena *arena,
                   struct zq_buf *frames)
{
    struct zq_declared *d = &routes->v[routes->n];
    PyObject *lists[4], *payload;
    int kind;

    if (!PyTuple_Check(item) ||
        !PyArg_ParseTuple(item, "iSSOOOOSO:declare", &kind, &d->path, &d->methods, &lists[0],
                          &lists[1], &lists[2], &lists[3], &d->why, &payload)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "a route is a tuple");
        *d = (struct zq_declared){0};
        return -1;
    }
    d->kind = (enum zq_route_kind)kind;
    d->payload = kind == ZQ_ROUTE_DIRECT ? Py_NewRef(payload) : NULL;
    Py_INCREF(d->path);
    Py_INCREF(d->methods);
    Py_INCREF(d->why);
    routes->n++;
    struct zq_route route = {
        .kind = d->kind,
        .path = bytes_of(d->path),
        .methods = bytes_of(d->methods),
        .why = bytes_of(d->why),
    };
    if (kind < 0 || kind >= ZQ_ROUTE_KIND_COUNT)
        return wrong(d, "is of no known kind");
    if (zq_route_fault(route.path) != NULL)
        return wrong(d, zq_route_fault(route.path));
    if (d->payload != NULL && !PyCallable_Check(d->payload))
        return wrong(d, "is direct, and its payload cannot be called");
    if ((d->names = names_of(route.path)) == NULL || read_rule(d, lists, arena, &route.rule) < 0)
        return -1;
    if (kind == ZQ_ROUTE_STATIC && read_response(d, payload, arena, &route) < 0)
        return -1;
    return encode(frames, d, &route) < 0 ? -1 : add_to_tree(routes, d);
}

/* ---- all of them ---- */

static int declare_all(struct zq_routes *routes, PyObject *list, struct zq_buf *frames)
{
    size_t n = (size_t)PyList_GET_SIZE(list);
    struct zq_arena arena = {0};
    int error = 0;

    if (n > ZQ_WIRE_ROUTES_MAX) {
        PyErr_Format(PyExc_ValueError, "an application cannot declare %zu routes", n);
        return -1;
    }
    routes->tree = zq_route_tree_new();
    routes->v = PyMem_Calloc(n + 1, sizeof(*routes->v));
    if (routes->tree == NULL || routes->v == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < n && error == 0; i++) {
        error = declare(routes, PyList_GET_ITEM(list, (Py_ssize_t)i), &arena, frames);
        zq_arena_reset(&arena);
    }
    zq_arena_fini(&arena);
    if (error == 0 && zq_wire_encode_number(frames, ZQ_WIRE_ROUTES, 0, (uint32_t)n) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    return error;
}

int zq_routes_declare(struct zq_routes *routes, PyObject *list)
{
    struct zq_buf frames = {0};

    if (routes->frames != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the routes were declared already");
        return -1;
    }
    int error = declare_all(routes, list, &frames);
    if (error == 0)
        routes->frames = PyBytes_FromStringAndSize(zq_buf_data(&frames), (Py_ssize_t)frames.n);
    zq_buf_fini(&frames);
    if (routes->frames != NULL)
        return 0;
    zq_routes_fini(routes);
    return -1;
}

void zq_routes_fini(struct zq_routes *routes)
{
    zq_route_tree_free(routes->tree);
    routes->tree = NULL;
    while (routes->n > 0) {
        struct zq_declared *d = &routes->v[--routes->n];
        Py_CLEAR(d->path);
        Py_CLEAR(d->methods);
        Py_CLEAR(d->why);
        Py_CLEAR(d->payload);
        Py_CLEAR(d->names);
    }
    PyMem_Free(routes->v);
    routes->v = NULL;
    Py_CLEAR(routes->frames);
}

int zq_routes_traverse(const struct zq_routes *routes, visitproc visit, void *arg)
{
    for (size_t i = 0; i < routes->n; i++)
        Py_VISIT(routes->v[i].payload);
    return 0;
}

const struct zq_declared *zq_routes_find(const struct zq_routes *routes, struct zq_slice path,
                                         struct zq_slice method, struct zq_route_match *match)
{
    if (routes->tree == NULL || !zq_route_tree_match(routes->tree, path, method, match))
        return NULL;
    const struct zq_declared *d = match->user;
    return d->kind == ZQ_ROUTE_DIRECT ? d : NULL;
}
