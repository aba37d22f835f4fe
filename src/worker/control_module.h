/* Private to src/worker: the functions of `_zq` through which Python speaks with super and logs.
 * Not on the way of a request. */
#ifndef ZQ_WORKER_CONTROL_MODULE_H
#define ZQ_WORKER_CONTROL_MODULE_H

#include "worker/module.h"

extern PyMethodDef zq_control_methods[];

#endif
