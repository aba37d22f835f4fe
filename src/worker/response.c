#include "worker/response.h"

#include "zq/wire.h"

/* What leaves room for a frame of body and the frame's own numbers. */
#define HEAD_BYTES_MAX (ZQ_WIRE_PAYLOAD_MAX - ZQ_WIRE_BODY_MAX - 4096)
#define HEAD_FIELDS_MAX 8192

/* RFC 9110 5.6.2 */
static bool is_token(struct zq_slice s)
{
    static const bool tchar[256] = {
        ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1,         ['&'] = 1,         ['\''] = 1,
        ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,         ['^'] = 1,         ['_'] = 1,
        ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
    };

    for (size_t i = 0; i < s.n; i++)
        if (!tchar[(unsigned char)s.p[i]])
            return false;
    return s.n > 0;
}

/* CR, LF and NUL would let a value end its field (RFC 9110 5.5). Eight bytes at a time: a byte
 * below 0x10 is rare enough to be looked at again. */
static bool is_value(struct zq_slice s)
{
    const uint64_t low = 0x1010101010101010u, high = 0x8080808080808080u;
    size_t i = 0;

    for (; i + 8 <= s.n; i += 8) {
        uint64_t eight;
        memcpy(&eight, s.p + i, 8);
        if ((eight - low) & ~eight & high)
            break;
    }
    for (; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return false;
    return true;
}

/* ---- Content-Length ---- */

/* 0, -1 with an exception, or 1 when the field repeats what was said before. */
static int declare_length(struct zq_request *r, struct zq_head *head, PyObject *value)
{
    struct zq_slice text = zq_slice(PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
    uint64_t length;

    if (zq_parse_u64(zq_slice_trim(text), INT64_MAX, &length) < 0) {
        PyErr_Format(PyExc_ValueError, "content-length must be a decimal number, not %R", value);
        return -1;
    }
    if (head->has_length && length != r->length_declared) {
        PyErr_SetString(PyExc_ValueError, "content-length is given twice, and differently");
        return -1;
    }
    r->length_declared = length;
    if (head->has_length)
        return 1;
    head->has_length = true;
    return 0;
}

/* ---- fields ---- */

static int add_field(struct zq_request *r, struct zq_head *head, PyObject *name, PyObject *value)
{
    if (!PyBytes_Check(name) || !PyBytes_Check(value)) {
        PyErr_Format(PyExc_TypeError,
                     "header names and values must be bytes, not %.100s and %.100s",
                     Py_TYPE(name)->tp_name, Py_TYPE(value)->tp_name);
        return -1;
    }
    struct zq_field field = {
        zq_slice(PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name)),
        zq_slice(PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value)),
    };
    if (!is_token(field.name)) {
        PyErr_Format(PyExc_ValueError, "%R is not a header name", name);
        return -1;
    }
    if (!is_value(field.value)) {
        PyErr_Format(PyExc_ValueError, "the value of header %R contains CR, LF or NUL", name);
        return -1;
    }
    if (field.name.n == 14 && zq_slice_ieq(field.name, ZQ_SLICE("content-length"))) {
        int outcome = declare_length(r, head, value);
        if (outcome != 0)
            return outcome < 0 ? -1 : 0;
    }
    head->refs[head->n_refs++] = Py_NewRef(name);
    head->refs[head->n_refs++] = Py_NewRef(value);
    head->v[head->n++] = field;
    return 0;
}

/* One item of `headers`: two bytes objects, in a tuple, a list, or whatever gives two. */
static int add_pair(struct zq_request *r, struct zq_head *head, PyObject *item)
{
    PyObject *pair = PySequence_Fast(item, "each header must be a pair of bytes");
    int error = -1;

    if (pair == NULL)
        return -1;
    if (PySequence_Fast_GET_SIZE(pair) == 2)
        error = add_field(r, head, PySequence_Fast_GET_ITEM(pair, 0),
                          PySequence_Fast_GET_ITEM(pair, 1));
    else
        PyErr_SetString(PyExc_ValueError, "each header must be a pair of bytes");
    Py_DECREF(pair);
    return error;
}

static struct zq_head *add_all(struct zq_request *r, PyObject *items)
{
    size_t n = items ? (size_t)PySequence_Fast_GET_SIZE(items) : 0, bytes = 0;

    if (n > HEAD_FIELDS_MAX) {
        PyErr_Format(PyExc_ValueError, "a response cannot have %zu headers", n);
        return NULL;
    }
    struct zq_head *head = zq_head_new(n);
    if (head == NULL)
        return (struct zq_head *)PyErr_NoMemory();
    /* An item that is no sequence may run code that changes the list: its size is asked again. */
    for (size_t i = 0; i < n && i < (size_t)PySequence_Fast_GET_SIZE(items); i++) {
        PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(items, (Py_ssize_t)i));
        int error = add_pair(r, head, item);
        Py_DECREF(item);
        if (error < 0) {
            zq_head_free(head);
            return NULL;
        }
    }
    for (size_t i = 0; i < head->n; i++)
        bytes += 8 + head->v[i].name.n + head->v[i].value.n;
    if (bytes <= HEAD_BYTES_MAX)
        return head;
    PyErr_Format(PyExc_ValueError, "a response cannot have %zu bytes of headers", bytes);
    zq_head_free(head);
    return NULL;
}

/* ---- the message ---- */

/* From `least` to `most`, or 0 with an exception. */
static unsigned status_of(PyObject *status, long least, long most)
{
    if (!PyLong_Check(status)) {
        PyErr_Format(PyExc_TypeError, "status must be an int, not %.100s",
                     Py_TYPE(status)->tp_name);
        return 0;
    }
    int overflow;
    long number = PyLong_AsLongAndOverflow(status, &overflow);
    if (number >= least && number <= most && !overflow)
        return (unsigned)number;
    PyErr_Format(PyExc_ValueError, "status must be from %ld to %ld, not %S", least, most, status);
    return 0;
}

/* `headers` may be NULL. */
static struct zq_head *make_head(struct zq_request *r, PyObject *status, PyObject *headers,
                                 long least, long most)
{
    unsigned number = status_of(status, least, most);
    PyObject *items = NULL;

    if (number == 0)
        return NULL;
    if (headers != NULL) {
        items = PySequence_Fast(headers, "headers must be an iterable of pairs of bytes");
        if (items == NULL)
            return NULL;
    }
    struct zq_head *head = add_all(r, items);
    Py_XDECREF(items);
    if (head != NULL)
        head->status = number;
    return head;
}

static struct zq_head *head_of(struct zq_request *r, PyObject *message, long least, long most)
{
    const struct zq_module *m = r->bridge->module;
    PyObject *status = PyDict_GetItemWithError(message, zq_name(m, ZQ_NAME_status)); /* borrowed */

    if (status == NULL) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_ValueError, "'%s' has no 'status'",
                         most < 200 ? "zq.http.response.interim" : "http.response.start");
        return NULL;
    }
    PyObject *headers =
        PyDict_GetItemWithError(message, zq_name(m, ZQ_NAME_headers)); /* borrowed */
    if (headers == NULL && PyErr_Occurred())
        return NULL;
    return make_head(r, status, headers, least, most);
}

static struct zq_head *finish_head(struct zq_request *r, struct zq_head *head)
{
    if (head == NULL)
        return NULL;
    head->bodyless = r->is_head || head->status == 204 || head->status == 304;
    r->checks_length = head->has_length && !head->bodyless;
    return head;
}

struct zq_head *zq_response_head(struct zq_request *r, PyObject *message)
{
    return finish_head(r, head_of(r, message, 200, 599));
}

struct zq_head *zq_response_head_of(struct zq_request *r, PyObject *status, PyObject *headers)
{
    return finish_head(r, make_head(r, status, headers, 200, 599));
}

/* ---- interim responses ---- */

/* 100 is the server's to send, and 101 would end the conversation in HTTP. */
struct zq_head *zq_response_interim(struct zq_request *r, PyObject *message)
{
    return head_of(r, message, 102, 199);
}

static int add_links(struct zq_request *r, struct zq_head *head, PyObject *links)
{
    PyObject *name = PyBytes_FromString("link");
    int error = name == NULL ? -1 : 0;

    for (Py_ssize_t i = 0; error == 0 && i < PyTuple_GET_SIZE(links); i++)
        error = add_field(r, head, name, PyTuple_GET_ITEM(links, i));
    Py_XDECREF(name);
    return error;
}

struct zq_head *zq_response_early_hint(struct zq_request *r, PyObject *message)
{
    PyObject *links = PyDict_GetItemString(message, "links"); /* borrowed */

    if (links == NULL) {
        PyErr_SetString(PyExc_ValueError, "'http.response.early_hint' has no 'links'");
        return NULL;
    }
    PyObject *items = PySequence_Tuple(links);
    struct zq_head *head = items ? zq_head_new((size_t)PyTuple_GET_SIZE(items)) : NULL;
    if (head == NULL) {
        if (items != NULL)
            PyErr_NoMemory();
    } else {
        head->status = 103;
        if (add_links(r, head, items) < 0) {
            zq_head_free(head);
            head = NULL;
        }
    }
    Py_XDECREF(items);
    return head;
}
