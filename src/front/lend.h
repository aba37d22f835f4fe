/* Long parts of bodies that a worker writes to the client's socket by itself (zq/wire.h, OFFER):
 * what a fetch offers is lent to its own exchange's client, where nobody else wants it, or kept.
 *
 *   NONE     nothing is offered
 *   OFFERED  the worker waits for an answer
 *   LENT     it has the socket, and owes a RETURNED
 *   FULL     it did not get all of it out; when the socket takes more, it is OFFERED again
 */
#ifndef ZQ_FRONT_LEND_H
#define ZQ_FRONT_LEND_H

#include "zq/wire.h"

enum lend_state { LEND_NONE, LEND_OFFERED, LEND_LENT, LEND_FULL };

/* Of a fetch; zero-initialised, nothing is offered. */
struct lend {
    enum lend_state state;
    uint32_t left; /* bytes that the worker still has to itself */
};

struct fetch;
struct serving;

/* ---- for the fetch ---- */

/* The frames: 0, or ZQ_EPROTO. The answer is the exchange's, which looks after it soon. */
int lend_offered(struct fetch *fetch, const struct zq_wire_frame *frame);
/* What has left is as good as written. The caller ends the fetch behind END. */
int lend_returned(struct fetch *fetch, const struct zq_wire_frame *frame);

/* The exchange has left; the fetch may go on for others. */
void lend_left(struct fetch *fetch);

/* ---- for the exchange ---- */

/* All that came in front is handed on: answers what its fetch offers. */
void lend_answer(struct serving *s);
/* The socket takes more. */
void lend_writable(struct serving *s);

#endif
