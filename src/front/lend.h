/* Long parts of bodies that a worker could write to the client's socket by itself (zq/wire.h,
 * OFFER): for what a fetch offers it is lent the socket of its own exchange's client, where nobody
 * else wants it, or the front keeps that and sends the part.
 *
 *   NONE     nothing is offered
 *   OFFERED  the worker waits for an answer
 *   LENT     it has the socket, and owes a RETURNED
 *   FULL     it did not get all of it out; when the socket takes more, it is OFFERED again
 *   KEPT     it hands the part over, as fast as the client takes it; else it is NONE
 *
 * What could be lent is kept where the front has more time for it than the worker. Copying is what
 * takes the time of long parts: what is LENT the worker copies into the socket; what is KEPT it
 * copies into shared memory, which takes half as long, and the front into the socket. So the worker
 * is behind by the bytes that are LENT and half of those KEPT, the front by those KEPT of all
 * workers. It keeps a part if it is less behind than the worker even with that. One by itself is
 * lent, then, which takes the least time in all; of many at once two thirds at most are kept, and
 * fewer where there are several workers.
 *
 * It takes more time in all, so where I/O threads and workers share cores nothing is kept for that.
 * A front that serves hits has no time for it: none is to wait behind a long part.
 */
#ifndef ZQ_FRONT_LEND_H
#define ZQ_FRONT_LEND_H

#include "zq/wire.h"

enum lend_state { LEND_NONE, LEND_OFFERED, LEND_LENT, LEND_FULL, LEND_KEPT };

/* Of a fetch; zero-initialised, nothing is offered. */
struct lend {
    enum lend_state state;
    uint32_t left; /* bytes of the part that the worker still has to itself */
};

struct fetch;
struct serving;

/* ---- for the fetch ---- */

/* The frames: 0, or ZQ_EPROTO. The answer is the exchange's, which looks after it soon. */
int lend_offered(struct fetch *fetch, const struct zq_wire_frame *frame);
/* What has left is as good as written. The caller ends the fetch behind END. */
int lend_returned(struct fetch *fetch, const struct zq_wire_frame *frame);

/* Content has come: may it? And so many bytes have. */
bool lend_may_come(const struct fetch *fetch);
void lend_came(struct fetch *fetch, size_t bytes);

/* The exchange has left; the fetch may go on for others. */
void lend_left(struct fetch *fetch);
/* The link is about to be let go of. */
void lend_end(struct fetch *fetch);

/* ---- for the exchange ---- */

/* All that came in front is handed on: answers what its fetch offers. */
void lend_answer(struct serving *s);
/* The socket takes more. */
void lend_writable(struct serving *s);

#endif
