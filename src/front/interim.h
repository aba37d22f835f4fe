/* Interim responses (RFC 9110 15.2) on their way from the application to the client whose request
 * the fetch was made for: those that joined it get none, and none is stored. */
#ifndef ZQ_FRONT_INTERIM_H
#define ZQ_FRONT_INTERIM_H

#include "front/fetch.h"

/* An INTERIM frame before the response's head. 0, ZQ_EPROTO or ZQ_ENOMEM. */
int interim_pass(struct fetch *fetch, const struct zq_wire_frame *frame);

#endif
