/* The admin listener: PURGE, and a small JSON API, for the operator and for `zq purge` and `zq
 * cache`. A second HTTP server, on I/O thread 0.
 *
 * Who may: over a Unix domain socket, processes of our own user and root's; over TCP, who shows the
 * bearer token.
 */
#ifndef ZQ_FRONT_ADMIN_H
#define ZQ_FRONT_ADMIN_H

#include "front/front.h"

/* On thread 0, before it runs; nothing to do without listeners. 0, or an error. */
int admin_start(struct front *front);
void admin_drain(struct front *front); /* nobody waits for admin requests */
void admin_fini(struct front *front);  /* before thread 0's loop goes */

/* ---- what is answered (admin_api.c) ---- */

struct admin_request {
    const struct zq_request *http;
    struct zq_slice body;
    struct zq_arena *arena;
    bool plain; /* the client prefers text/plain: lines for people, and for scripts */
    int64_t now_ms;
};

struct admin_reply {
    unsigned status;
    struct zq_buf text;
    const char *allow; /* with 405 */
    bool more;         /* the listing goes on at `next` */
    uint64_t next;
    bool no_memory; /* some of the text is missing */
};

#define ADMIN_BODY_MAX (256u << 10)

void admin_answer(struct front *front, const struct admin_request *request,
                  struct admin_reply *reply);

/* ---- writing it (admin_text.c) ---- */

/* Each appends to the text, or notes that there was no memory. */
void admin_put(struct admin_reply *reply, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void admin_put_slice(struct admin_reply *reply, struct zq_slice s);
void admin_put_string(struct admin_reply *reply, struct zq_slice s); /* as JSON, with its quotes */
/* The status and, in place of what was written, `what: why`. */
void admin_fail(const struct admin_request *request, struct admin_reply *reply, unsigned status,
                const char *what, const char *why);

#endif
