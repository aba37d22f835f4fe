/* Private to src/worker: what an application says in http.response.start, checked. */
#ifndef ZQ_WORKER_RESPONSE_H
#define ZQ_WORKER_RESPONSE_H

#include "worker/request.h"

/* Reads status and headers of the message into a new head, and the declared length into `r`. NULL
 * with an exception that tells the application's author what is wrong. */
struct zq_head *zq_response_head(struct zq_request *r, PyObject *message);
/* The same of zq.http.response.interim, and of http.response.early_hint, which has only links. */
struct zq_head *zq_response_interim(struct zq_request *r, PyObject *message);
struct zq_head *zq_response_early_hint(struct zq_request *r, PyObject *message);
/* The same, given apart; `headers` may be NULL. */
struct zq_head *zq_response_head_of(struct zq_request *r, PyObject *status, PyObject *headers);

#endif
