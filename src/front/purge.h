/* Purging, for workers and the admin listener: any thread may ask, I/O thread 0 sweeps. */
#ifndef ZQ_FRONT_PURGE_H
#define ZQ_FRONT_PURGE_H

#include "front/link.h"

void front_purge_init(struct front *front);
void front_purge_fini(struct front *front); /* thread 0, before its loop goes */
/* As zq_cache_purge, and the sweep follows, a little each turn. A URL is what the key rule of its
 * route makes of it. */
int front_purge(struct front_thread *thread, const struct zq_purge *purge, uint64_t *number);

/* `{"on": true, "size": 67108864, …}`, on one line. 0 or ZQ_ENOMEM. */
int front_stat_json(struct front *front, struct zq_buf *out);

/* A worker's PURGE or INFO: answers on the same link. 0, ZQ_EPROTO or ZQ_ENOMEM. */
int front_answer(struct link *link, const struct zq_wire_frame *frame);

#endif
