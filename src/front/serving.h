/* An exchange that is being served: decided on in serve.c, answered in serve_answer.c. */
#ifndef ZQ_FRONT_SERVING_H
#define ZQ_FRONT_SERVING_H

#include "front/cache_status.h"
#include "front/fetch.h"
#include "front/routes.h"

#define RETRY_AFTER_S 1

/* An exchange under way; lives in its arena. */
struct serving {
    struct zq_exchange *exchange;
    struct front_thread *thread;
    struct zq_reader reader;
    struct zq_post wake;
    struct zq_timer patience; /* for another's head, or for the routes to be known */
    struct zq_node undecided; /* in the thread's list, while they are not */
    struct fetch *fetch;      /* that this exchange opened and may feed; NULL when there is none */
    struct route_choice choice;
    struct zq_slice target; /* as it came, for the log */
    enum zq_cache_verdict verdict;
    enum zq_cache_forward forward;
    bool untrusted_forwarded;
    bool rejected;       /* the front answered by itself */
    bool portioned;      /* not all content goes out: */
    uint64_t skip, left; /* so much is passed over first, so much goes out */
    bool *gone;          /* set when the exchange ends inside a call of ours */
};

static inline bool serving_is_static(const struct serving *s)
{
    return s->choice.route != NULL && s->choice.route->declared.kind == ZQ_ROUTE_STATIC;
}

/* Who makes what is not replayed. */
static inline const char *serving_maker(const struct serving *s)
{
    return s->choice.route != NULL && s->choice.route->declared.kind == ZQ_ROUTE_DIRECT ? "direct"
                                                                                        : "app";
}

/* While `gone` is watched, an exchange that ends inside a call says so there: `*s` is not to be
 * touched any more then. NULL: nobody watches. */
void serving_watch(struct serving *s, bool *gone);

/* ---- serve_answer.c; the exchange may end inside each ---- */

/* Sends what there is of the response, head and content, as far as the client takes it. False when
 * the exchange did end. */
bool serving_send(struct serving *s);
/* There is none: sends the status that the entry failed with. */
void serving_fail(struct serving *s);
/* It was cut short. */
void serving_cut(struct serving *s);
/* There will be no answer but this, which is the front's own. */
void serving_reject(struct serving *s, unsigned status);

#endif
