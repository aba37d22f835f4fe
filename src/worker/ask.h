/* Private to src/worker: questions to the front, PURGE and INFO, one at a time. Python queues them
 * (zq._front). Not on the way of a request. */
#ifndef ZQ_WORKER_ASK_H
#define ZQ_WORKER_ASK_H

#include "worker/link.h"

/* Methods of the bridge. */
PyObject *zq_bridge_ask_purge(PyObject *self, PyObject *args);
PyObject *zq_bridge_ask_info(PyObject *self, PyObject *unused);
PyObject *zq_bridge_notify_answer(PyObject *self, PyObject *callable);

/* From the link: an ANSWER has come. 0 or ZQ_EPROTO. */
int zq_ask_answered(struct zq_link *link, const struct zq_wire_frame *frame);
/* From the link, which is closed: there will be none. */
void zq_ask_lost(struct zq_link *link);

#endif
