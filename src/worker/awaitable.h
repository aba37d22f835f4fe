/* Private to src/worker: what receive() and send() return: an object that can be awaited, or made
 * a task of (it has all that collections.abc.Coroutine asks for), and that completes without the
 * loop where it can. Nothing happens before it is resumed for the first time, and a wait that is
 * cancelled has taken nothing.
 */
#ifndef ZQ_WORKER_AWAITABLE_H
#define ZQ_WORKER_AWAITABLE_H

#include "worker/request.h"

/* One attempt: 1 with `*result` (new reference), 0 to wait for the next event, -1 with an
 * exception. */
typedef int zq_attempt(struct zq_awaitable *a, PyObject **result);

struct zq_awaitable {
    PyObject ob_base;
    struct zq_request *request; /* owned until finished */
    zq_attempt *attempt;        /* NULL once finished */
    PyObject *message;          /* what send() was given, owned; NULL once it was accepted */
    PyObject *future;           /* what it waits on, owned */
    struct zq_node node;        /* among the request's receivers or senders while it waits */
    struct zq_node *waiters;    /* that list */
    const char *name;           /* `receive` or `send` */
    uint64_t serial;            /* of the body part that send() gave */
};

/* New reference. `message` is borrowed, and may be NULL; `name` is borrowed for good. */
PyObject *zq_awaitable_new(struct zq_request *r, zq_attempt *attempt, struct zq_node *waiters,
                           PyObject *message, const char *name);
/* All that wait try again, in the order in which they came. Runs no Python code of others. */
void zq_awaitable_wake(struct zq_module *m, struct zq_node *waiters);
/* The freelist, at the module's end. */
void zq_awaitable_free_all(struct zq_module *m);

extern PyType_Spec zq_awaitable_spec;

#endif
