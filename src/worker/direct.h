/* Private to src/worker: a direct call: a request that is answered by one function that the
 * application declared (bridge.declare), without the application, and where the function is no
 * coroutine, without a task.
 *
 *   function(parameters: dict[str, str], query_string: bytes, method: str,
 *            headers: list[tuple[bytes, bytes]], body: bytes)
 *       -> (status: int, headers: list[tuple[bytes, bytes]], body: bytes), or an awaitable of it
 *
 * It is called when the whole of the request's body is there, in a context of its own.
 */
#ifndef ZQ_WORKER_DIRECT_H
#define ZQ_WORKER_DIRECT_H

#include "worker/request.h"

/* Makes r->direct. 0, or -1 with an exception. */
int zq_direct_new(struct zq_request *r, const struct zq_declared *declared,
                  const struct zq_route_match *match, const struct zq_wire_request *wire);
void zq_direct_free(struct zq_direct *d); /* NULL is fine, here and in the next two */
void zq_direct_clear(struct zq_direct *d);
int zq_direct_traverse(const struct zq_direct *d, visitproc visit, void *arg);

/* It waits for the request's body. */
bool zq_direct_is_collecting(const struct zq_request *r);
/* Takes what has come of the body, and calls the function when that was all. The request may have
 * ended, and be gone, afterwards. */
void zq_direct_run(struct zq_request *r);
/* Sends what the function returned. 0, or -1 with an exception. */
int zq_direct_answer(struct zq_request *r, PyObject *result);

#endif
