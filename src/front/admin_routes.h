/* GET /routes of the admin API: what the workers declared, and what became of it. */
#ifndef ZQ_FRONT_ADMIN_ROUTES_H
#define ZQ_FRONT_ADMIN_ROUTES_H

#include "front/admin.h"

/* A line, or an object, a route; the last is `(undeclared)`, for what no route was declared for. */
void admin_on_routes(struct front *front, const struct admin_request *request,
                     struct admin_reply *reply);

#endif
