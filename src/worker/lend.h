/* Private to src/worker: long parts of bodies that the worker itself writes to the client's socket,
 * which the front lends it for one call (zq/wire.h, OFFER and LEND).
 */
#ifndef ZQ_WORKER_LEND_H
#define ZQ_WORKER_LEND_H

#include "worker/stream.h"

#include <sys/types.h>

/* ---- descriptors that come with frames ---- */

/* One more than LENDs can be incomplete. */
#define ZQ_LENT_MAX 2

/* Sockets whose LEND was not dispatched yet, in order; owned. Zero-initialised, none is. */
struct zq_lent {
    int fds[ZQ_LENT_MAX];
    unsigned n;
};

/* recv, without waiting, with what descriptors come. -1 with errno, which is EPROTO when they are
 * too many: then they are closed. */
ssize_t zq_lent_receive(struct zq_lent *lent, int fd, char *to, size_t room);
/* The first of them, which is the caller's then; -1 when there is none. */
int zq_lent_take(struct zq_lent *lent);
/* Closes all. */
void zq_lent_fini(struct zq_lent *lent);

/* ---- streams ---- */

/* Is that part of the body long enough, in a response whose length its head tells? */
bool zq_stream_can_offer(const struct zq_stream *s, size_t n, bool end);
/* Offers s->rest, which waits for the answer. */
void zq_stream_offer(struct zq_stream *s);
/* The answers. 0, or ZQ_EPROTO when nothing was offered. The stream may be over afterwards. Takes
 * over `fd`, in every case; writes what it takes of the rest. */
int zq_stream_lend(struct zq_stream *s, int fd);
int zq_stream_keep(struct zq_stream *s);

#endif
