/* What an operator changes of the cache at run time, the switch and the bypass rules; and how that
 * outlives a front: super keeps it as a text that only fronts read, a line for the switch and one
 * for each rule. */
#ifndef ZQ_FRONT_ADMIN_BYPASS_H
#define ZQ_FRONT_ADMIN_BYPASS_H

#include "front/admin.h"

/* At start: what --cache-bypass says, or instead of it what super kept (`state`, n is 0: nothing).
 * 0, or why a rule was not taken. */
int operator_restore(struct front *front, struct zq_slice state);
void operator_switch(struct front *front, bool on);

void admin_on_bypass(struct front *front, const struct admin_request *request,
                     struct admin_reply *reply);
void admin_on_bypass_add(struct front *front, const struct admin_request *request,
                         struct admin_reply *reply);
void admin_on_bypass_rm(struct front *front, const struct admin_request *request,
                        struct admin_reply *reply);

#endif
