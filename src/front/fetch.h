/* A fetch: one call into the application on behalf of one exchange (and of those that joined it).
 * It owns the entry's writer; the exchange that opened it may leave earlier, and then it goes on
 * as long as somebody profits. Belongs to one I/O thread.
 *
 *   WAITING  no worker was there yet
 *   SENT     the request went to a worker
 *   OPEN     its response head has come
 *
 * Retry: only when the worker died; only GET, HEAD and OPTIONS without content, before the
 * response's head; two workers at most.
 */
#ifndef ZQ_FRONT_FETCH_H
#define ZQ_FRONT_FETCH_H

#include "front/lend.h"
#include "front/link.h"
#include "front/routes.h"

#define FETCH_MAGIC 0x46544348u
enum fetch_state { FETCH_WAITING, FETCH_SENT, FETCH_OPEN };

struct fetch {
    unsigned magic;
    enum fetch_state state;
    struct zq_node node; /* in thread->waiting or thread->fetches */
    struct front_thread *thread;
    struct zq_exchange *exchange; /* whose request content is sent; NULL when it has left */
    struct zq_writer writer;
    struct zq_post wake;   /* the readers moved on */
    struct zq_timer timer; /* --timeout-response, then --timeout-response-idle */
    struct zq_timer pace;  /* while the worker may not send, for a reader is slow */
    struct zq_buf request; /* the encoded REQUEST frame, while it may have to be sent (again) */
    struct link *link;     /* while SENT or OPEN */
    struct route_choice choice;
    uint32_t stream;
    unsigned attempts;       /* workers it was sent to */
    unsigned interims;       /* responses of 1xx that the last of them sent */
    uint32_t credit;         /* response bytes that the worker may still send */
    struct lend lend;        /* those that it may send by itself */
    struct zq_node roomless; /* in link->roomless, while the request's content waits for a block */
    size_t room_wanted;
    uint64_t want; /* request bytes that the worker may still get */
    bool retryable, is_head, unsafe;
    bool background; /* for no exchange */
    bool body_done;  /* the request's content was sent whole */
    struct zq_arena arena;
    struct zq_slice selects;              /* forwarded_selects of its request */
    struct zq_slice scheme, host, target; /* for an unsafe method's invalidation; else empty */
};

/* Starts the fetch for an exchange whose `writer` zq_cache_get has opened (moved from there). The
 * entry fails by itself when it cannot be sent. NULL when that happened already. */
struct fetch *fetch_start(struct front_thread *thread, struct zq_exchange *exchange,
                          struct zq_writer *writer, struct route_choice choice);
/* The same for nobody: a GET with the exchange's fields, which it is done with on return. */
void fetch_refresh(struct front_thread *thread, struct zq_exchange *exchange,
                   struct zq_writer *writer, struct route_choice choice);
/* There will be no response: a stale one goes out where that is permitted, or else the status. */
void fetch_answer(struct front_thread *thread, struct zq_writer *writer, unsigned status);
/* Asks the exchange for the content that the worker may get, once there is a worker. A client that
 * sent Expect: 100-continue is asked only when the application wants it (WANT). */
void fetch_pull(struct fetch *fetch);
void fetch_pull_unless_expected(struct fetch *fetch);

/* ---- the request's content (fetch_body.c) ---- */

/* Decoded request content for the worker, never more than was wanted. */
void fetch_body(struct fetch *fetch, struct zq_slice data, bool end);
/* Where the next of it is best put, `*n` bytes at most (less afterwards if there is less room), to
 * be given to fetch_body at once; NULL: anywhere, or with an `*n` of 0 nowhere before a block is
 * free: then the exchange is asked for it again. */
char *fetch_body_room(struct fetch *fetch, size_t *n);
/* From link.c: blocks may be free again. */
void fetch_make_room(struct link *link);

/* The exchange leaves; the fetch goes on only if somebody profits. */
void fetch_leave(struct fetch *fetch);
/* Sends what waits for a worker, oldest first, while there is one. */
void fetch_waiting(struct front_thread *thread);

/* From link.c: a frame of the fetch's stream, whose payload lies in `chunk` (NULL: where it may not
 * be kept). ZQ_EPROTO when the worker broke the rules. The stream is closed by the caller behind
 * END and RESET. */
int fetch_frame(struct fetch *fetch, const struct zq_wire_frame *frame, struct zq_chunk *chunk);
/* The worker died with this stream open. `hung`: it was killed for not answering. */
void fetch_orphaned(struct fetch *fetch, bool hung);

/* There is no response (yet) to pass on: everyone who waits gets this status. Past the head the
 * response is cut short instead. The fetch is gone afterwards. */
void fetch_fail(struct fetch *fetch, unsigned status);
/* The time until the head begins anew. */
void fetch_expect_head(struct fetch *fetch);
/* From now on the worker may take --timeout-response-idle for what comes next. */
void fetch_expect_more(struct fetch *fetch);

/* ---- what it passes on ---- */

/* fetch_request.c: encodes the request's frame, and copies what an unsafe method's success will
 * invalidate. 0, ZQ_ENOMEM or ZQ_ELIMIT. */
int fetch_encode(struct fetch *fetch, const struct zq_exchange *exchange);
/* fetch_head.c: gives the head of a response to the entry. `ends`: its content is there, too.
 * 0, or the status to fail with. */
unsigned fetch_head(struct fetch *fetch, const struct zq_wire_response *wire, bool ends);

#endif
