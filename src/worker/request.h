/* Private to src/worker: a request, the middle layer of the bridge: one stream entered by the full
 * ASGI call, or by a direct call of one function (direct.h). It is the coroutine of the request's
 * task (it forwards to the application's own, and so sees its end without a callback), and what
 * receive() and send() are bound to.
 */
#ifndef ZQ_WORKER_REQUEST_H
#define ZQ_WORKER_REQUEST_H

#include "worker/bridge.h"
#include "worker/stream.h"

struct zq_request {
    PyObject ob_base;
    struct zq_bridge *bridge; /* owned */
    struct zq_stream stream;
    struct zq_node node; /* in the bridge's list, which holds a reference, while `running` */
    bool running;
    bool started; /* the application was called */
    bool is_head;
    PyObject *scope;                        /* owned until the application is called */
    PyObject *iterator;                     /* the application's coroutine, owned while it runs */
    PyObject *task;                         /* owned while it runs */
    PyObject *method, *path;                /* for the log */
    struct zq_node receivers, senders;      /* struct zq_awaitable that wait */
    bool checks_length;                     /* the response has a length that has to be kept */
    uint64_t length_declared, length_given; /* of its body */
    uint64_t parts;                         /* of the body that were accepted */
    struct zq_direct *direct;               /* owned; NULL: the full ASGI call */
};

/* A request for `wire`, not yet started. New reference. */
struct zq_request *zq_request_new(struct zq_link *link, const struct zq_wire_request *wire);
/* Some of its body, or the end of it, has come. */
void zq_request_fed(struct zq_request *r);
/* It runs from here on, and is the bridge's, until zq_request_end. */
void zq_request_begin(struct zq_request *r);
/* Keeps the pending exception; `r` may be gone afterwards. */
void zq_request_end(struct zq_request *r);
/* The function returned, or raised what is pending: the response is complete or fails, and the
 * request ends. 0, or -1 with an exception that the task has to see. */
int zq_request_returned(struct zq_request *r, PyObject *result);
int zq_request_raised(struct zq_request *r);
/* Makes the task that resumes it. 0, or -1: that was reported, and the request has ended. */
int zq_request_make_task(struct zq_request *r);
/* What `await` would iterate over: takes `awaitable`, new reference. `what` returned it. */
PyObject *zq_request_iterator(PyObject *awaitable, const char *what);
/* Makes its task, which may run to its end before this returns. Failures are reported and end the
 * stream. */
void zq_request_start(struct zq_request *r);

/* Lets go of those that run, at the end of the process. */
void zq_requests_abandon(struct zq_bridge *b);
/* The callables that the application gets (receive.c, send.c): new references. */
PyObject *zq_receive_new(struct zq_request *r);
PyObject *zq_send_new(struct zq_request *r);

extern PyType_Spec zq_request_spec;

#endif
