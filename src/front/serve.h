/* What the front does with an exchange: decide, then pump the entry's bytes to the client. */
#ifndef ZQ_FRONT_SERVE_H
#define ZQ_FRONT_SERVE_H

#include "front/front.h"

struct fetch;

extern const struct zq_http_handler serve_handler;

/* The fetch that an exchange feeds with request content has ended. */
void serve_fetch_ended(struct zq_exchange *exchange);

/* The routes are known now: decides on what came before them. */
void serve_undecided(struct front_thread *thread);

#endif
