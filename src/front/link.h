/* One I/O thread's end of the socketpair to one worker: frames in and out, the streams on it, and
 * the worker's pulse. Belongs to its thread.
 *
 * A stream's slot is taken by link_open and given back when the worker has closed the stream by
 * END or RESET, also after the fetch has let go of it (link_cancel), so that a frame for a stream
 * which is not open is always the worker's fault.
 */
#ifndef ZQ_FRONT_LINK_H
#define ZQ_FRONT_LINK_H

#include "front/front.h"
#include "front/routes.h"
#include "zq/wire.h"

struct fetch;

struct stream {
    uint32_t id;         /* 0: free */
    uint32_t next_free;  /* index + 1 */
    struct fetch *fetch; /* NULL once cancelled */
};

struct link {
    unsigned magic;
    struct zq_node node; /* in thread->links */
    struct front_thread *thread;
    struct front_worker *worker;
    struct zq_region *region; /* NULL: no memory is shared; owned */
    struct zq_io io;
    struct zq_buf in;           /* the beginning of a frame */
    size_t awaited;             /* bytes of that frame; 0: not known yet */
    struct zq_wire_parts parts; /* of the BODY frame that is coming in */
    struct zq_buf out;
    struct zq_defer flush;
    struct routes_declaring declaring;
    size_t shared;     /* bytes in the blocks that were named since it was last written */
    size_t unanswered; /* bytes of `out` up to the end of the last ANSWER */
    size_t unfreed;    /* the same, of the last BLOCKS */
    struct stream *streams;
    uint32_t n_streams, free_stream, open;
    uint32_t round; /* makes stream numbers differ when a slot is used again */
    uint64_t lent;  /* bytes of long parts that the worker is to write to sockets (lend.h), */
    uint64_t kept;  /* and that it is to hand over */
    struct zq_node roomless;      /* struct fetch, whose content waits for a free block */
    uint32_t named, pinged_named; /* blocks, ever; those in front of the last ping */
    struct zq_timer pulse;
    int64_t pinged_ms; /* 0: no ping is under way */
    int64_t pace_ms;   /* from a ping's answer to the next ping */
    bool quick;        /* a stream was opened since the last ping of the pulse */
    uint32_t ping;
    bool suspect; /* did not answer for a second */
    bool broken;  /* closed or misbehaved: waits for WORKER_DEAD */
};

/* Takes over `fd`, `region` and one reference to `worker`; NULL (and all given back) when out of
 * memory. */
struct link *link_new(struct front_thread *thread, struct front_worker *worker,
                      struct zq_region *region, int fd);
/* Frees it; no stream may be open with a fetch. */
void link_free(struct link *link);
/* The link of the worker that a new request should go to, or NULL. */
struct link *link_choose(struct front_thread *thread);
struct link *link_find(struct front_thread *thread, uint32_t worker);

/* Opens a stream for a fetch: its number, or 0 when out of memory. */
uint32_t link_open(struct link *link, struct fetch *fetch);
/* The fetch lets go: the worker is told, and what still comes is dropped. */
void link_cancel(struct link *link, uint32_t stream);
/* The worker is dead: its fetches are told (fetch_orphaned), the link is freed. */
void link_orphan(struct link *link, bool hung);
/* Of an older generation and without a stream: closes and frees the link; the last one of a worker
 * reports WORKER_IDLE. */
void link_retire_if_idle(struct link *link);

/* ---- output (link_output.c) ---- */

/* `link->out` was appended to: it is written once, at the end of the turn. */
void link_flush_later(struct link *link);
/* Sends a part of a request's body (at most ZQ_WIRE_BODY_MAX bytes): a long one by shared memory,
 * or if no block is free, from where it is if the socket takes it. 0 or ZQ_ENOMEM (then nothing was
 * sent). */
int link_body(struct link *link, uint32_t stream, struct zq_slice data, unsigned flags);
/* LEND: gives the worker a copy of `fd` for that stream. 0, or ZQ_EAGAIN when the link takes
 * nothing now (nothing was sent). */
int link_lend(struct link *link, uint32_t stream, int fd);
/* The callback of `link->flush`. */
void link_turn_ended(struct zq_defer *defer);

/* ---- the pulse (link_pulse.c) ---- */

/* For a new link; a link without work has none. */
void link_pulse_start(struct link *link);
/* A request comes: with it the worker is asked, unless it was just now or will be soon. */
void link_quicken(struct link *link);
/* Content waits for a free block: the answer to a ping says that the worker has given back what was
 * named in front of it. */
void link_ask_room(struct link *link);
/* The answer. 0 or ZQ_EPROTO. */
int link_pong(struct link *link, const struct zq_wire_frame *frame);

#endif
