/* Private to src/worker: the bridge, what all links and requests of a worker share: the
 * application, the loop, and the tasks that run. One a process; Python holds it.
 */
#ifndef ZQ_WORKER_BRIDGE_H
#define ZQ_WORKER_BRIDGE_H

#include "worker/module.h"
#include "worker/routes.h"

struct zq_bridge {
    PyObject ob_base;
    struct zq_module *module; /* the module outlives its types' objects: borrowed */
    PyObject *app, *loop;
    PyObject *state;    /* dict of the lifespan; copied for each request */
    PyObject *on_error; /* (kind, method, path, exception): logs */
    PyObject *root_path;
    PyObject *call_soon, *create_future; /* bound methods of the loop */
    PyObject *scope, *asgi, *extensions; /* templates, copied for each request */
    PyObject *task_kwnames;              /* of the call that makes a task */
    PyObject *task_factory;              /* that the application gave the loop, or NULL */
    bool late_tasks;                     /* a task was made that has not run yet */
    struct zq_node links;                /* struct zq_link: references held */
    struct zq_node requests;             /* struct zq_request whose task runs: references held */
    size_t n_requests;
    struct zq_routes routes;
    PyObject *on_answer; /* (status, text) of the front's answer, 0 when it has left; or NULL */
    PyObject *on_idle;   /* called once when no task runs and nothing is left to write, or NULL */
};

/* Asks the loop for its task factory: once a read, not once a request. */
void zq_bridge_look_up_factory(struct zq_bridge *b);
/* Reports the pending exception, which is cleared, to on_error. */
void zq_bridge_report(struct zq_bridge *b, const char *kind, PyObject *method, PyObject *path);
/* Calls on_idle if it is time to. */
void zq_bridge_check_idle(struct zq_bridge *b);

extern PyType_Spec zq_bridge_spec;

#endif
